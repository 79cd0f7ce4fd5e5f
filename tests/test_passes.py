"""How many passes a MetaTS step makes, and whether bfloat16 hears the same feedback as float32."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from checkpoints import TEXT, save_checkpoint
from fewtag.encoders import build_encoder
from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.tagger import Tagger
from fewtag.text import Sentence, TagSet

TAG_SET = TagSet(("x", "y"))
LABELED = [Sentence(("red", "shoe", "now"), ("B-x", "I-x", "O"), "en"), Sentence(("blue", "hat"), ("B-x", "I-x"), "en")]
RAW = [Sentence(("green", "shoe"), None, "en"), Sentence(("old", "blue", "box", "here"), None, "en")]


class Counted:
    """Passes through an encoder, each way; a batch that shares a call with others counts as a pass of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
        self.calls = self.forward = self.backward = 0
        self._watch(monkeypatch, kind, "encode", 1)
        if kind is HuggingFaceEncoder:
            self._watch(monkeypatch, kind, "encode_many", None)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, kind: type, name: str, batches: int | None) -> None:
        original = getattr(kind, name)

        def watched(encoder: Any, *arguments: Any) -> Any:
            result = original(encoder, *arguments)
            self.calls += 1
            for each in [result] if batches else result:
                self.forward += 1
                if each.requires_grad:
                    each.register_hook(self._came_back)
            return result

        monkeypatch.setattr(kind, name, watched)

    def _came_back(self, gradient: Tensor) -> None:
        self.backward += 1


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("bert"), "bert")


COSTS = {  # forward, backward, calls where passes can share one
    "metats": (6, 4, 4),
    "metats-paper": (6, 4, 4),
    "metats-paper-no-reg": (5, 3, 4),
    "metats-paper-no-meta": (4, 3, 3),
    "metats-paper-soft": (6, 4, 4),
    "metats-paper-soft-high": (6, 4, 4),
    "mean-teacher-mse": (4, 2, 2),
    "mean-teacher-kl": (4, 2, 2),
    "vat": (7, 5, 7),  # each of two batches: clean, looked around (and back), pushed (and back)
    "noisy-student": (3, 2, 2),
    "bond-hard": (3, 2, 2),
    "bond-soft": (3, 2, 2),
    "bond-soft-high": (3, 2, 2),
    "smooth-metats": (6, 4, 4),
    "smooth-bond": (6, 4, 5),  # and the raw text: clean, looked around (and back), pushed (and back)
    "ensemble": (5, 2, 4),  # three members are asked
    "smooth-ensemble": (8, 4, 7),
    "pretrained-ensemble": (8, 4, 7),
    "mixed-ensemble": (6, 2, 5),  # four members; the second stage has a speaker less
    "co-teaching": (6, 4, 4),
}


def test_every_method_on_raw_text_has_its_cost() -> None:
    assert COSTS.keys() == {name for name, row in METHODS.items() if row.uses_raw_text}
    assert [COSTS[f"metats-paper{part}"][0] + 2 * COSTS[f"metats-paper{part}"][1] for part in ("", "-no-reg", "-no-meta")] == [14, 11, 10]


@pytest.mark.parametrize("name", sorted(COSTS))
@pytest.mark.parametrize("encoder", ["compact", "hugging_face"])
def test_a_step_costs_what_sharing_leaves(name: str, encoder: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MetaTS: 14 units where the plain step takes 16: the teacher's clean pass serves labels, both sides of L_reg, and L_meta."""
    small = CompactConfig(buckets=200, width=8, layers=1)
    make = {"compact": lambda: CompactEncoder(small), "hugging_face": lambda: build_encoder(str(checkpoint))}[encoder]
    method: Any = METHODS[name].method(resolve(name, {}), lambda role: Tagger(make(), TAG_SET), LearnerConfig())
    batcher = method.batcher
    batches = batcher.batch(LABELED, labeled=True), batcher.batch(RAW, labeled=False)
    counted = Counted(monkeypatch, type(method.delivered.tagger.encoder))
    step = next(stage.step for stage in method.stages() if stage.draws == "both")
    step(*batches, Key(0, "interact", 0))
    assert (counted.forward, counted.backward) == COSTS[name][:2]
    assert method.num_passes == counted.forward + 2 * counted.backward  # what a run reports of itself
    if encoder == "hugging_face":  # MetaTS: the teacher's passes are one call; the student's three cannot share, its weights change between
        assert counted.calls == COSTS[name][2]


@pytest.mark.parametrize(
    ("kind", "forward", "backward"),
    [("difference", 6, 4), ("product", 5, 5), ("cosine", 5, 5), ("token", 7, 5), ("constant", 4, 4), ("none", 4, 4)],
)
def test_what_a_kind_of_feedback_costs(kind: str, forward: int, backward: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In units of a forward pass, a way back counting two: 14, 15, 15, 17, 12, 12."""
    make = CompactConfig(buckets=200, width=8, layers=1)
    config = resolve("metats", {"feedback": {"kind": kind}})
    method: Any = METHODS["metats"].method(config, lambda role: Tagger(CompactEncoder(make), TAG_SET), LearnerConfig())
    batcher = method.student.tagger.batcher
    batches = batcher.batch(LABELED, labeled=True), batcher.batch(RAW, labeled=False)
    counted = Counted(monkeypatch, CompactEncoder)
    method.step(*batches, Key(0, "interact", 0))
    assert (counted.forward, counted.backward) == (forward, backward)
    assert method.num_passes == forward + 2 * backward


def test_the_feedback_of_bfloat16_is_that_of_float32(checkpoint: Path) -> None:
    """One student, frozen but for its one step on each batch of pseudo-labels, heard both ways; right labels and wrong ones."""
    chooser = random.Random(1)
    words = sorted({word for text in TEXT for word in text.split()})

    def sentences(count: int) -> list[Sentence]:
        some = [tuple(chooser.choices(words, k=chooser.randint(3, 7))) for _ in range(count)]
        return [Sentence(t, tuple(("O", "B-x", "B-y")[len(word) % 3] for word in t), "en") for t in some]

    torch.manual_seed(0)
    student = Learner("student", Tagger(build_encoder(str(checkpoint)), TAG_SET), LearnerConfig(lr=1e-3, embeddings="dense"))
    batcher, start = student.tagger.batcher, {name: value.clone() for name, value in student.tagger.state_dict().items()}
    labeled = batcher.batch(sentences(16), labeled=True)
    heard: dict[bool, list[float]] = {False: [], True: []}
    for number in range(24):
        student.take_over(start)
        before = both_ways(student, labeled)
        raw = batcher.batch(sentences(8), labeled=True)
        assert raw.tag_ids_BT is not None
        shift = number % 3  # right, and two kinds of wrong
        pseudo = torch.where(raw.tag_ids_BT >= 0, (raw.tag_ids_BT + 2 * shift) % len(TAG_SET), raw.tag_ids_BT)
        student.descend(cross_entropy(student.logits(raw, Key(0, "s", number), "pseudo"), pseudo).mean)
        after = both_ways(student, labeled)
        for bf16 in heard:
            heard[bf16].append(after[bf16] - before[bf16])
    full, low = (torch.tensor(heard[bf16], dtype=torch.float64) for bf16 in (False, True))
    assert float(torch.corrcoef(torch.stack([full, low]))[0, 1]) > 0.95
    assert full.min() < 0 < full.max()  # some helped, some hurt


def both_ways(student: Learner, labeled: Any) -> dict[bool, float]:
    result = {}
    for bf16 in (False, True):
        student.tagger.encoder.bf16 = bf16
        result[bf16] = float(student.labeled_loss(labeled))
    student.tagger.encoder.bf16 = False
    return result
