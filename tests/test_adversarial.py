"""The adversary of virtual adversarial training, held to eigenvectors, to lengths worked by hand, and to chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from checkpoints import TEXT, save_checkpoint
from fewtag.encoders import build_encoder
from fewtag.learning.adversarial import AdversaryConfig, Shift, adversarial_direction, unit, worst_divergence
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import Term, cross_entropy, divergence
from fewtag.learning.seeding import Key
from fewtag.tagger import Batch, Tagger
from fewtag.text import Sentence, TagSet
from test_baselines import batches, build


def test_the_adversary_finds_the_top_eigenvector() -> None:
    """A distance of d H d / 2 has the gradient H d, so power iteration goes to the eigenvector of H's largest eigenvalue."""
    generator = torch.Generator().manual_seed(2)
    square = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(square @ square.T)
    matrix = vectors @ torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 8.0], dtype=torch.float64)) @ vectors.T
    start = torch.randn(1, 2, 3, generator=generator, dtype=torch.float64)
    mask = torch.ones(1, 2, dtype=torch.bool)

    def distance(change: Tensor) -> Tensor:
        flat = change.flatten()
        return flat @ matrix @ flat / 2

    found = [adversarial_direction(distance, start, mask, torch.tensor(0.01), rounds).flatten() for rounds in (1, 3, 10, 50)]
    cosines = [abs(float(direction @ vectors[:, -1])) for direction in found]
    assert cosines == sorted(cosines) and cosines[0] < cosines[-1] and cosines[-1] > 1 - 1e-6
    assert all(float(direction.norm()) == pytest.approx(1.0) for direction in found)
    assert values[-1] > values[0]


def fisher(vectors_D: Tensor, weights_CD: Tensor, bias_C: Tensor) -> Tensor:
    """(D, D) what a logistic model's log-likelihood tells of its input: the covariance of its score, tag by tag."""
    p_C = (weights_CD @ vectors_D + bias_C).softmax(-1)
    score_CD = weights_CD - p_C @ weights_CD
    return score_CD.T @ torch.diag(p_C) @ score_CD


def test_of_a_logistic_model_the_adversary_is_the_top_eigenvector_of_the_fisher_matrix() -> None:
    """KL(p(x) || p(x + r)) = r F r / 2 + O(r^3). Two sentences of two positions; the second has one of padding, where nothing may move."""
    generator = torch.Generator().manual_seed(3)
    x_BLD = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    weights_CD = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    bias_C = torch.randn(4, generator=generator, dtype=torch.float64)
    mask_BL = torch.tensor([[True, True], [True, False]])

    def logits(vectors_BLD: Tensor) -> Tensor:
        return (vectors_BLD.flatten(1) @ weights_CD.T + bias_C).unsqueeze(1)

    def distance(change_BLD: Tensor) -> Tensor:
        return divergence(logits(x_BLD + change_BLD), logits(x_BLD).softmax(-1), torch.ones(2, 1, dtype=torch.bool)).total

    start_BLD = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    small = torch.tensor(1e-5, dtype=torch.float64)
    once, often = (adversarial_direction(distance, start_BLD, mask_BL, small, rounds) for rounds in (1, 200))
    for row, free in enumerate((6, 3)):
        values, vectors = torch.linalg.eigh(fisher(x_BLD[row].flatten(), weights_CD, bias_C)[:free, :free])
        assert values[-1] > 1.1 * values[-2] > 0  # one direction is the worst, and others count as well
        top, found, early = vectors[:, -1], often[row].flatten(), once[row].flatten()
        assert not found[free:].any()
        torch.testing.assert_close(found[:free] * torch.sign(found[:free] @ top), top, rtol=0, atol=1e-4)  # O(small) of third order
        assert abs(float(early[:free] @ top)) < 1 - 1e-4  # it was not there from the start


def test_the_push_is_as_long_as_asked_for_and_touches_no_position_outside_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per sentence, in root-mean-square lengths of an embedding: those of the positions that may move, worked out here."""
    method = build("vat", radius=0.7, small=0.02, rounds=2)
    _, raw = batches(method)
    mask_BL = raw.inputs.noise_mask_BL.clone()
    mask_BL[1, 0] = False  # as a special position is
    assert mask_BL.tolist() == [[True, True, False, False], [False, True, True, True]]
    raw = replace(raw, inputs=replace(raw.inputs, noise_mask_BL=mask_BL))
    pushes: list[Tensor] = []
    monkeypatch.setattr("fewtag.learning.adversarial.Shift", lambda by_BLD: (pushes.append(by_BLD.detach()), Shift(by_BLD))[1])
    pushed(method, raw, 0)
    embeddings_BLD = method.student.tagger.encoder.embed(raw.inputs).detach()
    moving = [embeddings_BLD[row, place] for row in range(2) for place in range(4) if mask_BL[row, place]]
    length = (sum(float(each @ each) for each in moving) / 5) ** 0.5
    assert len(pushes) == 3  # two looks around, then the push itself
    for push_BLD, far in zip(pushes, (0.02, 0.02, 0.7), strict=True):
        assert [float(push_D.norm()) for push_D in push_BLD] == pytest.approx([far * length] * 2, rel=1e-5)
        assert not push_BLD[~mask_BL].any()


def test_a_push_has_its_length_per_sentence_and_spares_padding() -> None:
    direction = unit(torch.randn(3, 4, 5), torch.tensor([[True, True, False, False], [True, True, True, True], [False] * 4]))
    assert direction.flatten(1).norm(dim=1).tolist() == pytest.approx([1.0, 1.0, 0.0])
    assert not direction[0, 2:].any() and not direction[2].isnan().any()


def pushed(method: Any, raw: Batch, step: int) -> Term:
    return worst_divergence(method.student, raw, Key(0, "smooth", step), "worst, raw", method.config)


def test_vat_looks_through_one_dropout_mask() -> None:
    """With dropout on, the divergence of a sentence from itself is 0, and of second order in the push: masks are the same in every pass."""
    method = build("vat")
    _, raw = batches(method)
    values = []
    for radius in (1e-6, 0.02, 0.04):
        method = build("vat", radius=radius)
        values.append(float(pushed(method, raw, 3).total.detach()))
    assert abs(values[0]) < 1e-6 < values[1]
    assert values[2] / values[1] == pytest.approx(4.0, rel=0.15)


def test_vat_pushes_where_it_hurts_more_than_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build("vat", radius=0.3)
    _, raw = batches(method)
    worst = float(pushed(method, raw, 0).total.detach())
    monkeypatch.setattr("fewtag.learning.adversarial.adversarial_direction", lambda distance, start, mask, small, rounds: unit(start, mask))
    chance = [float(pushed(method, raw, step).total.detach()) for step in range(20)]
    assert worst > 2 * sum(chance) / len(chance)
    assert all(p.grad is None for p in method.student.tagger.parameters())  # the search leaves no gradient behind


def test_a_search_in_bfloat16_finds_what_one_in_float32_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it looks far enough for bfloat16 to see; told to look nearer it takes float32, for both sides of the divergence."""
    folder = save_checkpoint(tmp_path, "bert")
    torch.manual_seed(0)
    student = Learner("student", Tagger(build_encoder(str(folder)), TagSet(("x", "y"))), LearnerConfig(lr=1e-3, embeddings="dense"))
    words = sorted({word for text in TEXT for word in text.split()})
    batches = []
    for number in range(20):
        tokens = [tuple(words[(7 * number + 3 * row + place * place) % len(words)] for place in range(3 + row)) for row in range(4)]
        some = [Sentence(each, tuple(("O", "B-x", "B-y")[len(word) % 3] for word in each), "en") for each in tokens]
        batches.append(student.tagger.batcher.batch(some, labeled=True))
    for step, batch in enumerate(4 * batches):
        assert batch.tag_ids_BT is not None
        student.descend(cross_entropy(student.logits(batch, Key(0, "s", step), "learn"), batch.tag_ids_BT).mean)
    found: list[Tensor] = []
    monkeypatch.setattr(
        "fewtag.learning.adversarial.adversarial_direction", lambda *told: (found.append(adversarial_direction(*told)), found[-1])[1]
    )
    cosines: dict[float | None, list[float]] = {None: [], 0.01: []}
    for step, batch in enumerate(batches):
        for small, seen in cosines.items():
            for low in (False, True):
                student.tagger.encoder.bf16 = low
                worst_divergence(student, batch, Key(0, "smooth", step), "worst", AdversaryConfig(small=small))
                assert student.tagger.encoder.bf16 == low
            full_BLD, low_BLD = found[-2:]
            seen += (full_BLD * low_BLD).flatten(1).sum(1).tolist()
    told = {small: sum(each) / len(each) for small, each in cosines.items()}
    assert told[0.01] > 0.999 and told[None] > 0.8, told
