"""Two data-parallel ranks are one rank with the doubled batch: sentences of unequal lengths, float64, no dropout."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.errors import ConfigError
from fewtag.learning.learner import Learner, LearnerConfig
from fewtag.learning.parallel import over_ranks, ranks
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.method import Method
from fewtag.methods.pretraining import Pretrained, PretrainingConfig
from fewtag.tagger import Batch, Tagger
from fewtag.text import Sentence, TagSet
from fewtag.training.checkpoint import flatten
from test_contract import NAMES, row_of

TAG_SET = TagSet(("color", "thing"))
LABELED = [
    Sentence(("red", "shoe"), ("B-color", "B-thing"), "en"),
    Sentence(("a", "big", "blue", "hat", "now"), ("O", "O", "B-color", "B-thing", "O"), "en"),
    Sentence(("coat",), ("B-thing",), "en"),
    Sentence(("green", "winter", "coat", "here"), ("B-color", "B-thing", "I-thing", "O"), "en"),
]
RAW = [Sentence(tuple(text.split()), None, "en") for text in ("old hat", "the small black bag over there", "shoe", "green bag now please")]
STEPS = 5


def seeded(role: str) -> Tagger:
    torch.manual_seed(len(role) + 7)
    tagger = Tagger(CompactEncoder(CompactConfig(buckets=150, width=8, layers=1, dropout=0.0)), TAG_SET, dropout=0.0).double()
    torch.nn.init.normal_(tagger.head.weight)
    return tagger


def build(name: str) -> Method:
    found, values = row_of(name)
    config = resolve(found, values)
    if "noise_variance" in type(config).model_fields:  # noise is drawn for a whole batch, so ranks would draw other numbers
        config = config.model_copy(update={"noise_variance": 0.0})
    learner = LearnerConfig(lr=0.01, embeddings="dense")
    method = METHODS[found].method(config, seeded, learner)
    return method


def after_steps(method: Method, rank: int, world: int) -> dict[str, Tensor]:
    """Everything a method holds after some steps on its rank's part of every batch."""
    batcher = method.delivered.tagger.batcher

    def part(sentences: list[Sentence], step: int, labeled: bool) -> Batch:
        turned = sentences[step % 2 :] + sentences[: step % 2]
        return batcher.batch(turned[rank::world], labeled=labeled)

    for stage in method.stages():
        for step in range(STEPS if stage.draws != "labeled" else 2):
            judge = [part(LABELED[::-1], step, True)] if stage.fold is not None and stage.draws == "both" else []
            labeled = part(LABELED, step, True) if stage.draws != "raw" else None
            raw = part(RAW, step, False) if stage.draws != "labeled" else None
            stage.step(labeled, raw, Key(0, stage.name, step), *judge)
    return {name: value for name, value in flatten(method.state())[0].items() if value.is_floating_point()}


def _work(rank: int, port: int, names: list[str], folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.randn_like = torch.ones_like  # the adversary's start, which is drawn for a whole batch
    dist.init_process_group("gloo", rank=rank, world_size=2)
    try:
        torch.save({name: after_steps(build(name), rank, 2) for name in names}, f"{folder}/rank-{rank}.pt")
    finally:
        dist.destroy_process_group()


def both(names: list[str], folder: Path) -> list[dict[str, dict[str, Tensor]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(_work, (port, names, str(folder)), nprocs=2)
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


# The adversary's direction is the gradient of a divergence of about 1e-8, made a unit: it enlarges the last digits.
LOOSER = {"vat": (1e-6, 1e-9)}
SOME = ["bond-soft", "metats, per token", "metats, soft", "noisy-student"]


DRAWN = ("permuted", "other readings")  # by random numbers for a whole batch
REST = [name for name in NAMES if name not in SOME and not any(part in name for part in DRAWN)]


@pytest.mark.parametrize("names", [SOME, pytest.param(REST, marks=pytest.mark.slow)], ids=["some", "the rest"])
def test_two_ranks_are_one_with_the_doubled_batch(names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = both(names, tmp_path)
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    for name in names:
        alone = after_steps(build(name), 0, 1)
        assert alone.keys() == found[0][name].keys()
        for part, value in alone.items():
            relative, absolute = LOOSER.get(name, (1e-10, 1e-12))
            for rank in (0, 1):
                differs = not torch.allclose(found[rank][name][part], value, rtol=relative, atol=absolute)
                assert not differs, f"{name}, {part}: {float((found[rank][name][part] - value).abs().max())}"


def test_alone_there_is_nothing_to_sum() -> None:
    value = torch.tensor(3.0)
    assert ranks() == 1 and over_ranks(value) is value


def test_rows_that_wait_are_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewtag.learning.learner.ranks", lambda: 2)
    assert Learner("student", seeded("student"), LearnerConfig()).state().keys() == {"weights", "adam", "steps", "rate"}  # auto: dense
    with pytest.raises(ConfigError, match=r"train\.embeddings = lazy is for one process"):
        Learner("student", seeded("student"), LearnerConfig(embeddings="lazy"))


def test_pre_training_counts_over_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The masked words of all ranks are the denominator: twice as many words elsewhere leave a third of the loss here."""
    losses = []
    for more in (1, 3):
        monkeypatch.setattr("fewtag.learning.losses.over_ranks", lambda count, more=more: count * more)
        inner = build("supervised-multi")
        method: Any = Pretrained(inner, PretrainingConfig(steps=1), seeded, LearnerConfig(embeddings="dense"))
        raw = inner.delivered.tagger.batcher.batch(RAW, labeled=False)
        losses.append(float(method.step(None, raw, Key(0, "pretrain", 0))["masked words"]))
    assert losses[0] == pytest.approx(3 * losses[1])
