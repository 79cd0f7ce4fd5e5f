"""What goes beyond the paper, held to worked numbers: weights by confidence, co-teaching, pre-training, a head that learns first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from fewtag.data.stream import Stream
from fewtag.errors import ConfigError
from fewtag.learning.confidence import Confidence, ConfidenceConfig
from fewtag.learning.feedback import Told
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.pseudo_labels import PseudoLabels
from fewtag.learning.seeding import Key
from fewtag.text import Sentence
from test_contract import LABELED, RAW, build, make_tagger

KEY = Key(0, "interact", 0)


# ---- weights by confidence


def spoken(*rows: tuple[float, ...]) -> torch.Tensor:
    """logits_BTC of one sentence whose distributions are given."""
    return torch.tensor([rows]).log()


def test_all_tokens_count_alike_unless_asked() -> None:
    assert Confidence(ConfidenceConfig(), 3).weights(spoken((0.8, 0.1, 0.1)), torch.ones(1, 1, dtype=torch.bool)) is None


def test_free_thresholds_by_hand() -> None:
    """Decay 0: the statistics are this batch's. O: 0.9 and 0.7, mean 0.8. Labels: 0.8, 0.6 and 0.4, mean 0.6, tag 2 half as frequent."""
    logits_BTC = spoken((0.9, 0.05, 0.05), (0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.2, 0.6, 0.2), (0.35, 0.25, 0.4), (0.1, 0.1, 0.8))
    mask_BT = torch.tensor([[True] * 5 + [False]])  # the last is padding
    often = [(0.05 + 0.2 + 0.8 + 0.6 + 0.25) / 5, (0.05 + 0.1 + 0.1 + 0.2 + 0.4) / 5]
    threshold_2 = 0.6 * often[1] / often[0]
    found = Confidence(ConfidenceConfig(kind="free", decay=0.0), 3).weights(logits_BTC, mask_BT)
    assert found is not None and threshold_2 < 0.4
    assert found.tolist() == [[1.0, 0.0, 1.0, float(0.6 > 0.6 + 1e-7), 1.0, 0.0]]  # 0.4 of the rarer tag counts


def test_where_there_is_no_label_nothing_is_taught() -> None:
    """One tag, O, of probability 1, which is never above its own mean."""
    found = Confidence(ConfidenceConfig(kind="free"), 1).weights(spoken((1.0,), (1.0,)), torch.ones(1, 2, dtype=torch.bool))
    assert found is not None and found.tolist() == [[0.0, 0.0]]


def test_soft_weights_by_hand() -> None:
    """Decay 0: O, tag 1 and tag 2 have a mean of 0.8, 0.7 and 0.6 and a spread of 0.1, 0.1 and 0.2 of their own; tag 3 was never said."""
    rows = [(0.9, 0.05, 0.05, 0.0), (0.7, 0.2, 0.1, 0.0), (0.1, 0.8, 0.1, 0.0), (0.2, 0.6, 0.2, 0.0)]
    rows += [(0.1, 0.1, 0.8, 0.0), (0.3, 0.3, 0.4, 0.0)]
    mask_BT = torch.tensor([[True] * 6 + [False]])
    found = Confidence(ConfidenceConfig(kind="soft", decay=0.0, spreads=2.0), 4).weights(spoken(*rows, (0.0, 0.0, 0.0, 1.0)), mask_BT)
    low = math.exp(-(0.1**2) * 4 / (2 * 0.01))  # one spread below its tag's mean: exp(-2)
    assert found is not None and found[0].tolist() == pytest.approx([1.0, low, 1.0, low, 1.0, low, 0.0], rel=1e-4)


def test_begin_and_inside_of_a_label_are_judged_apart() -> None:
    """B- of 0.9 and 0.7, I- of 0.5 and 0.5: together their mean would be 0.65, and both I- would be below it."""
    logits_BTC = spoken((0.05, 0.9, 0.05), (0.2, 0.7, 0.1), (0.3, 0.2, 0.5), (0.2, 0.3, 0.5))
    found = Confidence(ConfidenceConfig(kind="soft", decay=0.0), 3).weights(logits_BTC, torch.ones(1, 4, dtype=torch.bool))
    assert found is not None and found[0].tolist() == pytest.approx([1.0, math.exp(-2), 1.0, 1.0], rel=1e-3)


def test_statistics_move_by_their_decay_and_only_for_what_was_seen() -> None:
    confidence = Confidence(ConfidenceConfig(kind="soft", decay=0.9), 4)
    mask_BT = torch.ones(1, 1, dtype=torch.bool)
    confidence.weights(spoken((0.7, 0.1, 0.1, 0.1)), mask_BT)
    confidence.weights(spoken((0.1, 0.1, 0.6, 0.2)), mask_BT)
    state = confidence.state()
    assert state["mean"].tolist() == pytest.approx([0.9 * 0.25 + 0.1 * 0.7, 0.25, 0.9 * 0.25 + 0.1 * 0.6, 0.25])  # unseen: the start stays
    assert state["square"].tolist() == pytest.approx([0.9 * 1.0625 + 0.049, 1.0625, 0.9 * 1.0625 + 0.036, 1.0625])
    seen = [(0.7, 0.1), (0.1, 0.1), (0.1, 0.6), (0.1, 0.2)]
    assert state["often"].tolist() == pytest.approx([0.81 * 0.25 + 0.09 * first + 0.1 * second for first, second in seen])
    again = Confidence(ConfidenceConfig(kind="soft", decay=0.9), 4)
    again.restore(state)
    said = spoken((0.1, 0.1, 0.5, 0.3))
    first, second = confidence.weights(said, mask_BT), again.weights(said, mask_BT)
    assert first is not None and second is not None and torch.equal(first, second)


def test_a_spread_below_rounding_puts_no_token_aside() -> None:
    """All as sure as each other but for the last digits, which is no reason to count less."""
    for sure in torch.linspace(2.0, 9.0, 50).tolist():
        logits_BTC = torch.tensor([[[sure + more, 0.0, 0.0] for more in (0.0, 1e-6, -1e-6)]])
        found = Confidence(ConfidenceConfig(kind="soft", decay=0.0), 3).weights(logits_BTC, torch.ones(1, 3, dtype=torch.bool))
        assert found is not None and float(found.min()) > 0.99


def test_free_has_one_mean_for_all_labels_and_soft_one_for_each_tag() -> None:
    shapes = {kind: Confidence(ConfidenceConfig(kind=kind), 5).state()["mean"].shape for kind in ("free", "soft")}  # type: ignore[arg-type]
    assert shapes == {"free": (2,), "soft": (5,)}


@pytest.mark.parametrize("kind", ["free", "soft"])
def test_a_teacher_that_gets_surer_raises_the_bar(kind: str) -> None:
    confidence = Confidence(ConfidenceConfig(kind=kind, decay=0.5), 3)  # type: ignore[arg-type]
    mask_BT, same = torch.ones(1, 1, dtype=torch.bool), spoken((0.2, 0.6, 0.2))
    first = confidence.weights(same, mask_BT)
    for _ in range(20):
        confidence.weights(spoken((0.02, 0.96, 0.02)), mask_BT)
    last = confidence.weights(same, mask_BT)
    assert first is not None and last is not None and float(first) == 1.0 and float(last) < 0.2


def test_weights_scale_each_tokens_part_of_every_pseudo_loss() -> None:
    logits_BTC, mask_BT = torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    weights_BT, tags_BT = torch.tensor([[1.0, 0.0, 0.25]]), torch.tensor([[0, 1, 2]])
    alone = [float(cross_entropy(logits_BTC[:, t : t + 1], tags_BT[:, t : t + 1], smoothing=0.1).total) for t in range(3)]
    hard = PseudoLabels(mask_BT, tag_ids_BT=tags_BT, weights_BT=weights_BT)
    assert float(hard.against(logits_BTC, smoothing=0.1).mean) == pytest.approx((alone[0] + 0.25 * alone[2]) / 3, rel=1e-5)
    probs_BTC = torch.randn(1, 3, 4).softmax(-1)
    each = -(probs_BTC * logits_BTC.log_softmax(-1)).sum(-1)[0]
    soft = PseudoLabels(mask_BT, probs_BTC=probs_BTC, weights_BT=weights_BT)
    assert float(soft.against(logits_BTC).mean) == pytest.approx(float(each[0] + 0.25 * each[2]) / 3, rel=1e-5)
    factor_BTC = torch.randn(1, 3, 4)
    said = (logits_BTC.softmax(-1) * factor_BTC).sum(-1)[0]
    told = Told(torch.zeros(()), factor_BTC).meta(logits_BTC, hard)
    assert float(told) == pytest.approx(-float(said[0] + 0.25 * said[2]) / 3, rel=1e-5)


# ---- co-teaching


def test_a_student_learns_from_the_other_ones_average_where_both_agree() -> None:
    """Average 2 says tag 1 everywhere, average 1 says it of some sentences: student 1 learns there and nowhere else, from average 2."""
    method: Any = build("co-teaching")
    for average, bias in zip(method.averages, ([0.0, 0.0, 9.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0, 0.0]), strict=True):
        average.tagger.head.weight.data.zero_()
        average.tagger.head.bias.data.copy_(torch.tensor(bias))
    batcher = method.students[0].tagger.batcher
    labeled, raw = batcher.batch(LABELED["en"], labeled=True), batcher.batch(RAW["en"], labeled=False)
    told = method.step(labeled, raw, KEY)
    assert float(told["agreement"]) == 0.0 == float(told["kept"]) and float(told["taught student-1"]) == 0.0
    method.averages[0].tagger.head.bias.data.copy_(torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0]))
    for average in method.averages:
        average.tagger.head.weight.data.zero_()
    before = [each.tagger.head.weight.detach().clone() for each in method.averages]
    told = method.step(labeled, raw, Key(0, "co-teach", 1))
    assert float(told["agreement"]) == 1.0 and float(told["taught student-1"]) > 0
    assert not any(torch.equal(each.tagger.head.weight, old) for each, old in zip(method.averages, before, strict=True))  # they follow


def test_what_is_kept_is_the_mean_of_both() -> None:
    """Both agree on a tag, one of them too faintly to count: its side keeps nothing, the other all."""
    method: Any = build("co-teaching")
    for average, sure in zip(method.averages, (9.0, 0.1), strict=True):
        average.tagger.head.weight.data.zero_()
        average.tagger.head.bias.data.copy_(torch.tensor([0.0, sure, 0.0, 0.0, 0.0]))
    batcher = method.students[0].tagger.batcher
    told = method.step(batcher.batch(LABELED["en"], labeled=True), batcher.batch(RAW["en"], labeled=False), KEY)
    assert float(told["agreement"]) == 1.0 and float(told["kept"]) == 0.5


def test_each_student_hears_the_other_average() -> None:
    taught = []
    for silent in (0, 1):  # an average that is sure of nothing teaches nothing
        method: Any = build("co-teaching")
        for number, average in enumerate(method.averages):
            average.tagger.head.weight.data.zero_()
            average.tagger.head.bias.data.copy_(torch.tensor([0.0, 0.1 if number == silent else 9.0, 0.0, 0.0, 0.0]))
        batcher = method.students[0].tagger.batcher
        told = method.step(batcher.batch(LABELED["en"], labeled=True), batcher.batch(RAW["en"], labeled=False), KEY)
        taught.append([float(told[f"taught student-{n}"]) for n in (1, 2)])
    assert taught[0][0] > 0 == taught[0][1] and taught[1][1] > 0 == taught[1][0]


# ---- pre-training


def test_the_head_learns_first() -> None:
    learner = Learner("student", make_tagger("student"), LearnerConfig(lr=0.01, head_first=2))
    batch = learner.tagger.batcher.batch(LABELED["en"], labeled=True)
    assert batch.tag_ids_BT is not None
    moved, taken = [], []
    for step in range(3):
        with learner.settled() as tagger:
            before = {name: value.clone() for name, value in tagger.state_dict().items()}
        taken.append(learner.descend(cross_entropy(learner.logits(batch, Key(0, "s", step), "x"), batch.tag_ids_BT).mean))
        with learner.settled() as tagger:
            moved.append({name.split(".")[0] for name, value in tagger.state_dict().items() if not torch.equal(value, before[name])})
    assert moved == [{"head"}, {"head"}, {"head", "encoder"}]
    bodies = [[bool(each.any()) for each in gradient.body[:-2]] for gradient in taken]  # the head's two come last
    assert not any(bodies[0] + bodies[1]) and all(bodies[2])
    assert all(each.any() for gradient in taken for each in gradient.body[-2:])
    assert [bool(gradient.values_RD.any()) for gradient in taken if gradient.values_RD is not None] == [False, False, True]


def test_languages_are_drawn_by_their_weights() -> None:
    raw = {lang: [Sentence((lang,), None, lang)] * 10 for lang in ("de", "en", "fr")}
    labeled = {lang: [Sentence((lang,), ("O",), lang)] for lang in raw}
    stream = Stream(labeled, raw, seed=1, weights={"de": 3.0, "fr": 0.0})
    drawn = np.array([stream.draw(step).language for step in range(4000)])
    assert stream.languages == ("de", "en") and float((drawn == "de").mean()) == pytest.approx(0.75, abs=0.03)
    with pytest.raises(ConfigError, match="no sentence to draw from"):
        Stream(labeled, raw, seed=1, weights=dict.fromkeys(raw, 0.0))
