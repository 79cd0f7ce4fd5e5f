"""Adam and clipping, held to torch's: dense weights to the bit of its fused kernel, waiting rows to rounding; norms worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.encoders.encoder import Inputs
from fewtag.learning.adam import Adam, Table
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.seeding import Key
from fewtag.tagger import Tagger
from fewtag.text import Sentence, TagSet

SENTENCES = [
    Sentence(("red", "shoe", "now"), ("B-x", "I-x", "O"), "en"),
    Sentence(("blue", "hat"), ("B-x", "I-x"), "en"),
    Sentence(("very", "old", "box", "here"), ("O", "O", "B-x", "O"), "en"),
    Sentence(("coat",), ("B-x",), "en"),
]


def learner(**values: object) -> Learner:
    torch.manual_seed(7)
    tagger = Tagger(CompactEncoder(CompactConfig(buckets=400, width=8, layers=1)), TagSet(("x",)))
    return Learner("student", tagger, LearnerConfig.model_validate({"lr": 0.01, **values}))


def train(each: Learner, steps: int, start: int = 0) -> None:
    for step in range(start, start + steps):
        batch = each.tagger.batcher.batch([SENTENCES[step % 4 if step % 7 else 0]], labeled=True)
        assert batch.tag_ids_BT is not None
        each.descend(cross_entropy(each.logits(batch, Key(0, "t", step), "x"), batch.tag_ids_BT, smoothing=0.1).mean)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_dense_weights_move_as_torchs_adamw_moves_them(decay: float) -> None:
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    adam = Adam([([ours.weight], 0.01), ([ours.bias], 0.1)], (0.9, 0.99), 1e-8, decay)
    groups = [{"params": [theirs.weight], "lr": 0.01}, {"params": [theirs.bias], "lr": 0.1}]
    reference = torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-8, weight_decay=decay, fused=True)
    for step in range(20):
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        adam.step(torch.autograd.grad(ours(x).pow(2).sum(), list(ours.parameters())), torch.ones(()))
        reference.zero_grad()
        theirs(x).pow(2).sum().backward()
        reference.step()
    assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("steps", [1, 2, 30, 400, 700])  # 700: beyond what the table remembers one by one
def test_a_table_whose_rows_wait_is_adam(steps: int, decay: float) -> None:
    """Rows read at random, some never, some once in hundreds of steps; the loss depends on what was read."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    lazy, dense = (start.clone().requires_grad_() for _ in range(2))
    table = Table(lazy, 0.01, (0.9, 0.999), 1e-8, decay)
    reference = torch.optim.AdamW([dense], lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)
    for step in range(steps):
        ids = torch.randint(0, 6, (4,), generator=generator) if step % 200 else torch.arange(9)  # 6 to 8 seldom, 9 to 11 never
        target = torch.randn(4 if step % 200 else 9, 3, generator=generator, dtype=torch.float64)
        table.read(ids)
        (sparse,) = torch.autograd.grad(F.embedding(ids, lazy, sparse=True).sub(target).pow(2).sum(), lazy)
        torch.testing.assert_close(lazy[ids], dense[ids], rtol=1e-6, atol=1e-9)
        found = sparse.coalesce()
        table.step(found.indices()[0], found.values())
        reference.zero_grad()
        F.embedding(ids, dense).sub(target).pow(2).sum().backward()
        reference.step()
    before = lazy.detach().clone()
    with table.settled():
        torch.testing.assert_close(lazy, dense, rtol=1e-6, atol=1e-9)
        assert steps < 3 or not torch.equal(lazy, before)  # some row had been waiting
    assert torch.equal(lazy, before)  # looking changes nothing


def test_a_tagger_learns_the_same_with_waiting_rows_as_without() -> None:
    lazy, dense = learner(embeddings="lazy"), learner(embeddings="dense")
    for each in (lazy, dense):
        train(each, 60)
    with lazy.settled() as tagger:
        for name, value in dense.tagger.state_dict().items():
            torch.testing.assert_close(tagger.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("wrong", [{"epsilon": 0.0}, {"betas": (0.9, 0.0)}])
def test_what_would_divide_by_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        LearnerConfig(**wrong)


def test_a_batch_that_takes_part_twice_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    each, looked, true = learner(), list[int](), CompactEncoder.embed
    batch, other = (each.tagger.batcher.batch(some, labeled=True) for some in (SENTENCES[:2], SENTENCES[2:]))

    def embed(self: CompactEncoder, inputs: Inputs) -> torch.Tensor:
        looked.append(id(inputs))
        return true(self, inputs)

    monkeypatch.setattr(CompactEncoder, "embed", embed)
    each.passes(Key(0, "look", 0), "look", Pass(batch), Pass(other), Pass(batch, dropout=False))
    assert looked == [id(batch.inputs), id(other.inputs)]


def test_a_frozen_table_stays_and_the_rest_learns() -> None:
    frozen = learner(embeddings="frozen")
    before = {name: value.clone() for name, value in frozen.tagger.state_dict().items()}
    train(frozen, 3)
    moved = {name for name, value in frozen.tagger.state_dict().items() if not torch.equal(value, before[name])}
    assert "encoder.table" not in moved and {"head.weight", "encoder.convolutions.0.weight"} <= moved


@pytest.mark.parametrize("mode", ["lazy", "dense", "frozen"])
def test_a_learner_goes_on_from_its_state_to_the_bit(mode: str) -> None:
    whole, first, again = (learner(embeddings=mode) for _ in range(3))
    train(whole, 25)
    train(first, 10)
    again.restore(first.state())
    train(again, 15, start=10)
    for name, value in whole.tagger.state_dict().items():
        assert torch.equal(value, again.tagger.state_dict()[name]), name


@pytest.mark.parametrize("mode", ["lazy", "dense"])
@pytest.mark.parametrize("norm", [1, 2])
def test_clipping_counts_the_table_and_rescales_to_its_target(mode: str, norm: int) -> None:
    """With Adam's moments at zero a step shows nothing of a gradient's size, so the second moments are read: (1 - b2) * g**2."""
    each = learner(embeddings=mode, clip_norm=norm, clip_threshold=1e-6, clip_target=0.5)
    train(each, 1)
    state = each.state()
    seconds = [v["second"] for v in state["adam"].values()] + ([state["table"]["second"]] if mode == "lazy" else [])
    gradient = torch.cat([(second / 0.001).sqrt().flatten() for second in seconds])
    assert float(gradient.norm(p=norm)) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("mode", ["lazy", "dense"])
def test_a_threshold_that_is_never_reached_changes_no_bit(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {}
    for name, threshold in (("far", 1e30), ("unclipped", 1e-3), ("clipped", 1e-3)):
        each = learner(embeddings=mode, clip_threshold=threshold, clip_target=1e-3)
        if name == "unclipped":
            monkeypatch.setattr(each, "_divisor", lambda gradients: torch.ones(()))
        train(each, 8)
        with each.settled() as tagger:
            runs[name] = {part: value.clone() for part, value in tagger.state_dict().items()}
    assert all(torch.equal(value, runs["unclipped"][part]) for part, value in runs["far"].items())
    assert not torch.equal(runs["clipped"]["head.weight"], runs["unclipped"]["head.weight"])  # clipping would have shown


def test_a_learner_that_never_clips_is_torchs_adamw_to_the_bit() -> None:
    ours, theirs = (learner(embeddings="dense", clip_threshold=1e30) for _ in range(2))
    train(ours, 8)
    optimizer = torch.optim.AdamW(theirs.tagger.parameters(), lr=0.01, eps=1e-8, weight_decay=0.0, fused=True)
    theirs.descend = lambda loss: (optimizer.zero_grad(), loss.backward(), optimizer.step())  # type: ignore[method-assign, assignment]
    train(theirs, 8)
    assert all(torch.equal(value, theirs.tagger.state_dict()[name]) for name, value in ours.tagger.state_dict().items())


@pytest.mark.parametrize("mode", ["lazy", "dense"])
@pytest.mark.parametrize(("last", "divisor"), [(6.5, 1.0), (7.0, 1.0), (7.5, 40.5), (967.0, 1000.0)])
def test_the_printed_clipping_on_either_side_of_40(mode: str, last: float, divisor: float) -> None:
    """A20: gradients with a 1-norm above 40 get one of 1. The loss is linear, so its gradient is its coefficients: 33 and the last."""
    each = learner(embeddings=mode, clip_norm=1, clip_threshold=40, clip_target=1)
    table = each.tagger.encoder.vocabulary
    assert table is not None
    bias_C, row_D = torch.tensor([10.0, -20.0, last]), torch.tensor([2.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    taken = each.descend((each.tagger.head.bias * bias_C).sum() + (table[3] * row_D).sum())
    found = sorted(float(value) for part in taken.parts for value in part.flatten() if value)
    assert found == pytest.approx(sorted(value / divisor for value in (10.0, -20.0, last, 2.0, -1.0)))
    assert divisor == 1.0 or sum(map(abs, found)) == pytest.approx(1.0)
