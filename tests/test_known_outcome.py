"""A case whose right outcome is known: only feedback can correct the teacher, so each kind must, and the controls must not.

The teacher has learned to call every y-word x. The labeled sentences it goes on learning from hold no y-word; those that judge do. Whatever
moves its probability of y on y-words came through the student.
"""

from __future__ import annotations

import random
from math import comb
from typing import Any

import pytest
import torch

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.learning.learner import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.tagger import Tagger
from fewtag.text import Sentence, TagSet

TAG_SET = TagSet(("x", "y"))
X, Y, NONE = [f"x{letter}" for letter in "abcdefgh"], [f"y{letter}" for letter in "abcdefgh"], ["to", "of", "in", "by"]
SEEDS = range(10)


def sentence(chooser: random.Random, words: list[str]) -> Sentence:
    tokens = [chooser.choice(words + NONE) for _ in range(4)]
    return Sentence(tuple(tokens), tuple("B-x" if w in X else "B-y" if w in Y else "O" for w in tokens), "en")


def mistaken(some: Sentence) -> Sentence:
    return Sentence(some.tokens, tuple("B-x" if tag == "B-y" else tag for tag in some.tags or ()), "en")


def corrected(seed: int, weight: float, labels: str = "hard", **feedback: Any) -> float:
    """The teacher's mean log-probability of y on y-words after 200 steps."""
    chooser = random.Random(seed)
    labeled, judging = [sentence(chooser, X) for _ in range(40)], [sentence(chooser, X + Y) for _ in range(40)]
    raw = [sentence(chooser, X + Y) for _ in range(80)]

    def make_tagger(role: str) -> Tagger:
        torch.manual_seed(seed)
        return Tagger(CompactEncoder(CompactConfig(buckets=400, width=16, layers=1)), TAG_SET)

    settings = {"feedback": feedback, "labels": labels, "weight_meta": weight, "weight_reg": 0.0, "heard": 16, "label_smoothing": 0.0}
    method: Any = METHODS["metats"].method(resolve("metats", settings), make_tagger, LearnerConfig(lr=0.01))
    teacher, batcher = method.teacher, method.teacher.tagger.batcher
    for step in range(60):
        batch = batcher.batch([mistaken(each) for each in chooser.sample(raw, 8)], labeled=True)
        teacher.descend(cross_entropy(teacher.logits(batch, Key(seed, "plant", step), "plant"), batch.tag_ids_BT, smoothing=0.3).mean)
    method.stages()[1].begin()
    for step in range(200):
        own, judge, unlabeled = (chooser.sample(some, count) for some, count in ((labeled, 8), (judging, 16), (raw, 8)))
        batches = batcher.batch(own, labeled=True), batcher.batch([s.without_tags() for s in unlabeled], labeled=False)
        method.step(*batches, Key(seed, "interact", step), batcher.batch(judge, labeled=True))
    with teacher.settled() as tagger, torch.no_grad():
        tagger.eval()
        batch = batcher.batch(raw, labeled=True)
        wanted = TAG_SET.id_of["B-y"]
        return float(tagger(batch).log_softmax(-1)[batch.tag_ids_BT == wanted][:, wanted].mean())


@pytest.mark.slow
def test_feedback_corrects_what_only_feedback_knows() -> None:
    torch.set_num_threads(1)
    outcome = {
        "constant": [corrected(seed, 1.0, kind="constant") for seed in SEEDS],
        "token": [corrected(seed, 1.0, kind="token") for seed in SEEDS],
        # A hard label never tries y; a sampled one does now and then, and then the student says what came of it
        "difference": [corrected(seed, 3.0, "sample", kind="difference") for seed in SEEDS],
        "permuted": [corrected(seed, 3.0, "sample", kind="difference", permuted=True) for seed in SEEDS],
    }
    for better, worse in (("token", "constant"), ("difference", "permuted")):
        wins = sum(a > b for a, b in zip(outcome[better], outcome[worse], strict=True))
        p = sum(comb(10, k) for k in range(wins, 11)) / 2**10
        assert p < 0.02, f"{better} beats {worse} in {wins} of 10: {outcome[better]} against {outcome[worse]}"
    gained = [a - b for a, b in zip(outcome["permuted"], outcome["constant"], strict=True)]
    won = [a - b for a, b in zip(outcome["difference"], outcome["constant"], strict=True)]
    assert sorted(gained)[5] < sorted(won)[5]
