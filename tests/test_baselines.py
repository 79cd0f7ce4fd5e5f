"""BOND, Mean Teacher and the soft labels of MetaTS, held to worked numbers and closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.learning.average import follow
from fewtag.learning.feedback import Told
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import divergence, squared_distance
from fewtag.learning.pseudo_labels import label, reweighted
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.mean_teacher import ramped
from fewtag.tagger import Batch, Tagger
from fewtag.text import Sentence, TagSet

TAG_SET = TagSet(("x",))
LABELED = [Sentence(("red", "shoe", "now"), ("B-x", "I-x", "O"), "en"), Sentence(("blue", "hat"), ("B-x", "I-x"), "en")]
RAW = [Sentence(("green", "shoe"), None, "en"), Sentence(("old", "blue", "box", "here"), None, "en")]


def make_tagger(role: str) -> Tagger:
    torch.manual_seed(7)
    tagger = Tagger(CompactEncoder(CompactConfig(buckets=200, width=8, layers=1)), TAG_SET)
    torch.nn.init.normal_(tagger.head.weight)
    return tagger


def build(name: str, **values: Any) -> Any:
    return METHODS[name].method(resolve(name, values), make_tagger, LearnerConfig(lr=0.01))


def batches(method: Any) -> tuple[Batch, Batch]:
    batcher = method.student.tagger.batcher
    return batcher.batch(LABELED, labeled=True), batcher.batch(RAW, labeled=False)


def weights(learner: Learner) -> dict[str, Tensor]:
    with learner.settled() as tagger:
        return {name: value.clone() for name, value in tagger.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


# ---- BOND's re-weighting


def test_reweighting_by_hand() -> None:
    """Two tokens, two tags: f = (0.9 + 0.6, 0.1 + 0.4) = (1.5, 0.5); token 1: (0.81 / 1.5, 0.01 / 0.5) = (0.54, 0.02) -> 0.54 / 0.56."""
    probs_BTC = torch.tensor([[[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]])
    mask_BT = torch.tensor([[True, True, False]])  # the third is padding: it counts in no frequency
    found = reweighted(probs_BTC.log(), mask_BT)
    torch.testing.assert_close(found[0, 0], torch.tensor([0.54 / 0.56, 0.02 / 0.56]))
    torch.testing.assert_close(found[0, 1], torch.tensor([0.24 / 0.56, 0.32 / 0.56]))  # (0.36 / 1.5, 0.16 / 0.5): the rarer tag wins
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 3))
    padded = torch.cat([probs_BTC, torch.rand(1, 4, 2).softmax(-1)], 1)
    wider = torch.cat([mask_BT, torch.zeros(1, 4, dtype=torch.bool)], 1)
    torch.testing.assert_close(reweighted(padded.log(), wider)[:, :2], found[:, :2])


def test_reweighting_leaves_the_uniform_uniform_and_takes_from_what_is_everywhere() -> None:
    mask_BT = torch.ones(2, 3, dtype=torch.bool)
    torch.testing.assert_close(reweighted(torch.zeros(2, 3, 4), mask_BT), torch.full((2, 3, 4), 0.25))
    often = torch.tensor([0.6, 0.4]).log().expand(2, 3, 2)
    assert float(reweighted(often, mask_BT)[0, 0, 0]) == pytest.approx(0.6)  # p^2 / p: alike in every token, nothing moves
    mixed = torch.tensor([[[0.95, 0.05]] * 5 + [[0.55, 0.45]]]).log()
    assert float(reweighted(mixed, torch.ones(1, 6, dtype=torch.bool))[0, 5, 0]) < 0.55


def test_only_confident_tokens_count_in_soft_high() -> None:
    logits_BTC = torch.tensor([[[4.0, 0.0], [0.0, 4.0], [0.1, 0.0], [9.0, 0.0]]])
    mask_BT = torch.tensor([[True, True, True, False]])
    pseudo = label("soft-high", logits_BTC, mask_BT, 0.9)
    assert pseudo.mask_BT.tolist() == [[True, True, False, False]]
    assert label("reweighted", logits_BTC, mask_BT, 0.9).mask_BT.equal(mask_BT)


def test_sharpened_labels_are_squares_of_probabilities() -> None:
    """0.6, 0.3, 0.1: squares 0.36, 0.09, 0.01, a sum of 0.46. What other tokens say does not matter."""
    probs_BTC = torch.tensor([[[0.6, 0.3, 0.1], [0.9, 0.05, 0.05]]])
    found = label("sharpened", probs_BTC.log() + 3.0, torch.tensor([[True, False]]), 0.9)
    assert found.probs_BTC is not None and found.mask_BT.tolist() == [[True, False]]
    torch.testing.assert_close(found.probs_BTC[0, 0], torch.tensor([0.36, 0.09, 0.01]) / 0.46)


def test_divergence_is_zero_where_they_agree_and_pulls_there() -> None:
    logits_BTC = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    mask_BT = torch.tensor([[True, True, False]])
    own = divergence(logits_BTC, logits_BTC.detach().softmax(-1), mask_BT)
    assert float(own.total.detach()) == pytest.approx(0.0, abs=1e-6)
    target_BTC = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).expand(1, 3, 4)  # zeros must not become NaN
    away = divergence(logits_BTC, target_BTC, mask_BT)
    assert float(away.total.detach()) == pytest.approx(float(-logits_BTC.detach().log_softmax(-1)[0, :2, 0].sum()), rel=1e-5)
    (gradient,) = torch.autograd.grad(away.total, logits_BTC)
    torch.testing.assert_close(gradient.sum(-1), torch.zeros(1, 3, dtype=torch.float64), atol=1e-6, rtol=0)  # logits, not raw scores
    assert not gradient[0, 2].any()


def test_squared_distance_by_hand() -> None:
    logits_BTC, target_BTC = torch.tensor([[[0.7, 0.3], [0.5, 0.5]]]).log(), torch.tensor([[[0.5, 0.5], [0.0, 1.0]]])
    term = squared_distance(logits_BTC, target_BTC, torch.tensor([[True, False]]))
    assert float(term.mean) == pytest.approx(0.04) and int(term.count) == 1


# ---- who learns, and from whom


@pytest.mark.parametrize("name", ["bond-hard", "bond-soft", "bond-soft-high"])
def test_bonds_teacher_is_its_student_of_the_last_period(name: str) -> None:
    method = build(name, period=3, label_threshold=0.4)
    for step in range(7):
        before = weights(method.student)
        teacher = weights(method.teacher)
        method.step(*batches(method), Key(0, "self-train", step))
        assert same(weights(method.teacher), before if step % 3 == 0 else teacher)
        assert not same(weights(method.student), before)


def test_bond_without_confident_tokens_is_supervised_training() -> None:
    nobody, nothing = build("bond-soft-high", label_threshold=1.0), build("bond-hard", label_threshold=1.0)
    told = nobody.step(*batches(nobody), Key(0, "self-train", 0))
    assert float(told["kept"]) == 0.0 and float(told["student"]) == 0.0
    nothing.step(*batches(nothing), Key(0, "self-train", 0))
    assert not same(weights(nobody.student), weights(nothing.student))  # pseudo-labels do reach the student


def test_the_average_has_its_closed_form() -> None:
    student, average = (Learner(name, make_tagger(name), LearnerConfig(embeddings="dense")) for name in ("student", "average"))
    for value in student.tagger.state_dict().values():
        value.fill_(1.0)
    for value in average.tagger.state_dict().values():
        value.zero_()
    for step in range(40):
        follow(average, student, step, decay=0.9)
        # first the plain mean of all it has seen, its own zero start included; from d = 0.9 on a geometric approach
        expected = 1 - 1 / (step + 2) if step < 8 else 1 - 0.1 * 0.9 ** (step - 8)
        assert float(average.tagger.head.weight.detach()[0, 0]) == pytest.approx(expected, rel=1e-5)
    assert float(student.tagger.head.weight.detach()[0, 0]) == 1.0


def test_the_average_takes_counters_as_they_are_and_other_buffers_as_weights() -> None:
    """A buffer of 1, 2, 3, 4 averages with its start 0 to 2; a counter is the student's. Neither is the student's own tensor."""
    student, average = (Learner(name, make_tagger(name), LearnerConfig(embeddings="dense")) for name in ("student", "average"))
    for learner in (student, average):
        learner.tagger.encoder.register_buffer("scale", torch.zeros(2))
        learner.tagger.encoder.register_buffer("seen", torch.zeros((), dtype=torch.long))
    own, its = student.tagger.encoder, average.tagger.encoder
    for step in range(4):
        own.scale.fill_(step + 1.0)
        own.seen += 7
        follow(average, student, step, decay=1.0)
        assert its.seen.dtype == torch.long and int(its.seen) == 7 * (step + 1)
    assert its.scale.tolist() == pytest.approx([2.0, 2.0])
    own.scale.fill_(9.0)
    own.seen += 1
    assert its.scale.tolist() == pytest.approx([2.0, 2.0]) and int(its.seen) == 28


def test_the_ramp_rises_and_stays_up() -> None:
    assert ramped(10.0, 0, 300) == pytest.approx(10 * math.exp(-5))
    assert [ramped(10.0, step, 300) for step in (300, 450, 10_000)] == [10.0, 10.0, 10.0]
    assert all(ramped(1.0, step, 50) < ramped(1.0, step + 1, 50) for step in range(50))


@pytest.mark.parametrize("name", ["mean-teacher-mse", "mean-teacher-kl"])
def test_the_student_of_mean_teacher_learns_from_its_average(name: str) -> None:
    trained = []
    for weight in (0.0, 50.0):
        method = build(name, weight=weight, ramp=1)
        method._begin_agreement()
        assert method.average.tagger is not method.student.tagger
        for step in range(3):
            before = weights(method.average)
            told = method.step(*batches(method), Key(0, "agree", step))
            # the average moves towards the student and by nothing else
            moved, student = weights(method.average), weights(method.student)
            d = min(1 - 1 / (step + 2), 0.99)
            for part in moved:
                torch.testing.assert_close(moved[part], d * before[part] + (1 - d) * student[part], rtol=1e-5, atol=1e-6)
        assert float(told["distance"]) > 0  # two dropout masks never agree: a student that looks at its own output would
        trained.append(weights(method.student))
    assert not same(*trained)


# ---- soft labels of MetaTS


@pytest.mark.parametrize(("kind", "hears"), [("hard", True), ("soft", False), ("reweighted", True), ("soft-high", True)])
@pytest.mark.parametrize("told", [1.0, -40.0])
def test_feedback_on_the_teachers_own_distribution_says_nothing(kind: str, hears: bool, told: float) -> None:
    """A32: the gradient of cross-entropy at its own target is p - p, whatever is told. BOND's target is not the teacher's own."""
    torch.manual_seed(0)
    logits_BTC = (3 * torch.randn(2, 5, 4, dtype=torch.float64)).requires_grad_()
    pseudo = label(kind, logits_BTC, torch.ones(2, 5, dtype=torch.bool), 0.3)
    meta = Told(torch.zeros(()), torch.tensor(told, dtype=torch.float64)).meta(logits_BTC, pseudo)
    (gradient,) = torch.autograd.grad(meta, logits_BTC)
    assert abs(float(meta.detach())) > 1e-3  # a loss it is, but one that moves nothing
    assert (float(gradient.abs().max()) > 1e-3) == hears and (hears or float(gradient.abs().max()) < 1e-12)


# ---- Noisy Student


def test_a_generation_starts_afresh_under_the_last_student() -> None:
    method = build("noisy-student")
    fresh = weights(method.student)
    stages = method.stages()
    assert [s.name for s in stages] == ["supervised", "generation-1", "generation-2", "generation-3"]
    for stage in stages[1:]:
        method.step(*batches(method), Key(0, "before", 0))
        taught = weights(method.student)
        stage.begin()
        assert same(weights(method.teacher), taught) and same(weights(method.student), fresh)
        method.step(*batches(method), Key(0, stage.name, 0))
        assert same(weights(method.teacher), taught) and not same(weights(method.student), fresh)


def test_sentences_with_an_unsure_token_teach_nothing() -> None:
    method = build("noisy-student", keep_above=0.6)
    logits_BTC = torch.tensor([[[3.0, 0.0], [3.0, 0.0]], [[3.0, 0.0], [0.1, 0.0]], [[3.0, 0.0], [0.0, 0.0]]])
    mask_BT = torch.tensor([[True, True], [True, True], [True, False]])
    assert method._filtered(logits_BTC, mask_BT).mask_BT.tolist() == [[True, True], [False, False], [True, False]]
