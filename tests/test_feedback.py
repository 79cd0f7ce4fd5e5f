"""The kinds of feedback, each held to what it claims to be: finite differences of the student's loss, autograd, worked numbers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.learning.feedback import Feedback, FeedbackConfig, Told
from fewtag.learning.gradient import Gradient
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.pseudo_labels import PseudoLabels, label
from fewtag.learning.seeding import Key
from fewtag.tagger import Batch, Tagger
from fewtag.text import Sentence, TagSet

KEY = Key(0, "interact", 0)
TAG_SET = TagSet(("x",))
LABELED = [Sentence(("red", "shoe", "now"), ("B-x", "I-x", "O"), "en"), Sentence(("blue", "hat"), ("B-x", "I-x"), "en")]
RAW = [Sentence(("green", "shoe"), None, "en"), Sentence(("old", "blue", "hat", "here"), None, "en")]
MOMENTLESS = (0.0, 0.999)


def student_of(lr: float = 1e-3, betas: tuple[float, float] = MOMENTLESS, embeddings: str = "lazy") -> Learner:
    """A student in float64 without dropout that has taken a few steps, so that its optimizer has a scale for every weight."""
    torch.manual_seed(7)
    tagger = Tagger(CompactEncoder(CompactConfig(buckets=200, width=8, layers=1, dropout=0.0)), TAG_SET, dropout=0.0).double()
    torch.nn.init.normal_(tagger.head.weight)
    learner = Learner("student", tagger, LearnerConfig(lr=lr, head_lr="same", betas=betas, embeddings=embeddings))  # type: ignore[arg-type]
    labeled, raw = batches(learner)
    for step in range(3):
        gold, key = PseudoLabels(labeled.token_mask_BT, labeled.tag_ids_BT), Key(0, "warm", step)
        parts = (pseudo_of(raw), raw, "x"), (gold, labeled, "y")
        learner.descend(sum((target.against(learner.logits(batch, key, name)).mean for target, batch, name in parts), torch.zeros(())))
    return learner


def batches(learner: Learner) -> tuple[Batch, Batch]:
    batcher = learner.tagger.batcher
    return batcher.batch(LABELED, labeled=True), batcher.batch(RAW, labeled=False)


def teacher_of(raw: Batch) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(*raw.token_mask_BT.shape, len(TAG_SET), generator=generator, dtype=torch.float64)


def pseudo_of(raw: Batch, kind: str = "hard") -> PseudoLabels:
    return label(kind, teacher_of(raw), raw.token_mask_BT, 0.9)


def told(kind: str, learner: Learner, pseudo_kind: str = "hard", **values: Any) -> tuple[Told, float, Gradient]:
    """What a kind says of one step, the loss difference it should foresee, and the gradient taken."""
    labeled, raw = batches(learner)
    feedback = Feedback(FeedbackConfig(kind=kind, baseline="none", standardize=False, **values))  # type: ignore[arg-type]
    pseudo = pseudo_of(raw, pseudo_kind)
    before = feedback.before(learner, labeled, KEY)
    start = learner.labeled_loss(labeled)
    step = learner.descend(pseudo.against(learner.logits(raw, KEY, "pseudo")).mean)
    result = feedback.after(learner, labeled, before, step, raw, pseudo, KEY)
    return result, float(learner.labeled_loss(labeled) - start), step


@pytest.mark.parametrize("embeddings", ["lazy", "dense"])
def test_the_product_is_the_difference_to_first_order(embeddings: str) -> None:
    """Without momentum a step is P g, so the loss falls by v P g + O(lr^2): the error falls fourfold when the rate halves."""
    errors = []
    for lr in (1e-4, 5e-5, 2.5e-5):
        said, change, _ = told("product", student_of(lr, embeddings=embeddings))
        errors.append(abs(float(said.change) - change))
        assert errors[-1] < 0.1 * abs(change)
    assert [math.log2(a / b) for a, b in itertools.pairwise(errors)] == pytest.approx([2.0, 2.0], abs=0.1)


def test_momentum_of_other_steps_is_no_part_of_the_product() -> None:
    learner = student_of(lr=1e-4, betas=(0.9, 0.999))
    said, change, _ = told("product", learner)
    assert abs(float(said.change) - change) > 0.2 * abs(change)  # the difference hears three warm-up steps as well


def test_the_cosine_is_one_for_the_direction_that_helps_most() -> None:
    learner = student_of()
    labeled, raw = batches(learner)
    feedback = Feedback(FeedbackConfig(kind="cosine", baseline="none", standardize=False))
    own = learner.labeled_gradient(labeled)
    gone = learner.preconditioned(own)
    expected = float(own.dot(gone) / (own.norm() * gone.norm()))
    said = feedback.after(learner, labeled, torch.zeros(()), own, raw, pseudo_of(raw), KEY)
    assert float(said.factor) == pytest.approx(expected) and 0 < expected <= 1
    opposite = Gradient([-part for part in own.body], own.rows, -own.values_RD)  # type: ignore[operator]
    assert float(feedback.after(learner, labeled, torch.zeros(()), opposite, raw, pseudo_of(raw), KEY).factor) == pytest.approx(-expected)


@pytest.mark.parametrize("embeddings", ["lazy", "dense"])
def test_sensitivity_is_the_derivative_along_the_direction_and_leaves_no_trace(embeddings: str) -> None:
    learner = student_of(embeddings=embeddings)
    labeled, raw = batches(learner)
    direction = learner.preconditioned(learner.labeled_gradient(labeled))
    kept = {name: value.clone() for name, value in learner.state()["weights"].items()}
    found_BTC = learner.sensitivity(raw, direction, reach=1e-4)
    assert all(torch.equal(value, kept[name]) for name, value in learner.state()["weights"].items())
    learner.tagger.eval()
    for b, t, c in itertools.product(range(2), range(2), range(3)):
        exact = learner.gradient(learner.tagger(raw).log_softmax(-1)[b, t, c]).dot(direction)
        assert float(found_BTC[b, t, c]) == pytest.approx(float(exact), rel=1e-6, abs=1e-12)


def test_per_token_feedback_is_the_gradient_of_the_students_loss_through_soft_labels() -> None:
    """d L_S,lab(theta_S - P grad CE(z, S)) / d teacher, by moving each of the teacher's logits, against z * D; to 1e-6."""
    learner = student_of(lr=0.05)
    labeled, raw = batches(learner)
    teacher_BTC, mask_BT = teacher_of(raw), raw.token_mask_BT
    learner.tagger.eval()

    def step_of(logits_BTC: Tensor) -> Gradient:
        soft = PseudoLabels(mask_BT, probs_BTC=logits_BTC.softmax(-1))
        return learner.preconditioned(learner.gradient(soft.against(learner.tagger(raw)).mean))  # P is the optimizer's, held fixed

    def after(logits_BTC: Tensor) -> Tensor:
        gone = step_of(logits_BTC)
        with torch.no_grad(), learner._moved(gone, torch.tensor(-1.0)):
            return learner.labeled_loss(labeled)

    def step_of_constant(logits_BTC: Tensor) -> Gradient:
        with torch.enable_grad():
            return step_of(logits_BTC)

    gone = step_of_constant(teacher_BTC)
    with torch.no_grad(), learner._moved(gone, torch.tensor(-1.0)), torch.enable_grad():
        wanted = learner.labeled_gradient(labeled)  # v, where the student arrives
    harm_BTC = learner.sensitivity(raw, learner.preconditioned(wanted), reach=1e-4)  # D, where it starts
    logits_BTC = teacher_BTC.clone().requires_grad_()
    meta = Told(torch.zeros(()), -harm_BTC).meta(logits_BTC, PseudoLabels(mask_BT, probs_BTC=teacher_BTC.softmax(-1)))
    (found_BTC,) = torch.autograd.grad(meta, logits_BTC)
    scale, small = float(found_BTC.abs().max()), 1e-4
    assert scale > 1e-6
    for b, t, c in itertools.product(range(2), range(4), range(3)):
        nudge = torch.zeros_like(teacher_BTC)
        nudge[b, t, c] = small
        numeric = float(after(teacher_BTC + nudge) - after(teacher_BTC - nudge)) / (2 * small)
        assert float(found_BTC[b, t, c]) == pytest.approx(numeric, abs=1e-6 * scale)


def test_per_token_feedback_summed_over_its_labels_is_the_product() -> None:
    """At the student that has moved, without dropout: D against the labels is v P grad CE."""
    learner = student_of()
    labeled, raw = batches(learner)
    pseudo = pseudo_of(raw)
    feedback = Feedback(FeedbackConfig(kind="token", baseline="none", standardize=False, reach=1e-4))
    said = feedback.after(learner, labeled, torch.zeros(()), Gradient([]), raw, pseudo, KEY)
    learner.tagger.eval()
    gradient = learner.gradient(pseudo.against(learner.tagger(raw)).mean)
    product = learner.labeled_gradient(labeled).dot(learner.preconditioned(gradient))
    assert float(said.change) == pytest.approx(-float(product), rel=1e-6)


def test_per_token_feedback_does_not_depend_on_how_far_it_looks() -> None:
    (near, _, _), (far, _, _) = told("token", student_of(), reach=5e-3), told("token", student_of(), reach=1e-2)
    torch.testing.assert_close(near.factor, far.factor, rtol=0.05, atol=float(near.factor.abs().max()) * 0.01)


def test_per_token_feedback_in_float32_and_with_a_bfloat16_encoder() -> None:
    exact, _, _ = told("token", student_of())
    learner = student_of()
    learner.tagger.float()
    learner.restart()
    learner.tagger.encoder.bf16 = False
    direction = Gradient([p.detach().clone() for p in learner._adam.weights])
    _, raw = batches(learner)
    plain_BTC = learner.sensitivity(raw, direction, 0.01)
    learner.tagger.encoder.bf16 = True
    assert torch.equal(learner.sensitivity(raw, direction, 0.01), plain_BTC) and learner.tagger.encoder.bf16
    assert exact.factor.dtype == torch.float64


def test_per_token_feedback_is_standardized_over_the_batch_and_spares_padding() -> None:
    learner = student_of()
    labeled, raw = batches(learner)
    feedback = Feedback(FeedbackConfig(kind="token", clip=1e9))
    said = feedback.after(learner, labeled, torch.zeros(()), Gradient([]), raw, pseudo_of(raw), KEY)
    real_NC = said.factor[raw.token_mask_BT]
    assert float(real_NC.square().mean()) == pytest.approx(1.0)
    torch.testing.assert_close(real_NC.mean(-1), torch.zeros(len(real_NC), dtype=torch.float64))
    assert not said.factor[~raw.token_mask_BT].any()
    printed = Feedback(FeedbackConfig(kind="token", clip=1e9, sign="printed"))
    opposite = printed.after(learner, labeled, torch.zeros(()), Gradient([]), raw, pseudo_of(raw), KEY)
    torch.testing.assert_close(opposite.factor, -said.factor)


@pytest.mark.parametrize("pseudo", ["hard", "soft"])
def test_per_token_feedback_moves_the_teacher_to_what_helps(pseudo: str) -> None:
    """One step of a teacher along the feedback lowers what the student's next loss will be; against it raises it."""
    learner = student_of(lr=0.02)
    labeled, raw = batches(learner)
    said, _, _ = told("token", learner, pseudo)
    learner.tagger.eval()
    teacher_BTC = teacher_of(raw).requires_grad_()
    (direction_BTC,) = torch.autograd.grad(said.meta(teacher_BTC, pseudo_of(raw, pseudo)), teacher_BTC)
    losses = []
    for way in (-1.0, 1.0):
        moved = (teacher_BTC + way * direction_BTC / direction_BTC.abs().max()).detach()
        soft = PseudoLabels(raw.token_mask_BT, probs_BTC=moved.softmax(-1))
        gone = learner.preconditioned(learner.gradient(soft.against(learner.tagger(raw)).mean))
        with torch.no_grad(), learner._moved(gone, torch.tensor(-1.0)):
            losses.append(float(learner.labeled_loss(labeled)))
    assert losses[0] < losses[1]


@pytest.mark.parametrize("kind", ["difference", "product", "cosine"])
def test_permuted_feedback_is_that_of_another_step(kind: str) -> None:
    feedback = Feedback(FeedbackConfig(kind=kind, permuted=True, baseline="none", standardize=False))  # type: ignore[arg-type]
    gains = [0.5, 0.25, -1.0, 2.0]
    heard = [float(feedback.of(torch.tensor(gain), "en", Key(0, "interact", step)).factor) for step, gain in enumerate(gains)]
    assert heard[0] == 0.0 and all(h in gains[:step] for step, h in enumerate(heard) if step)
    assert float(feedback.of(torch.tensor(9.0), "de", KEY).factor) == 0.0  # another language has another past


def test_permuted_feedback_per_token_is_that_of_another_token() -> None:
    learner, other = student_of(), student_of()
    (own, _, _), (swapped, _, _) = told("token", learner), told("token", other, permuted=True)
    mask_BT = batches(learner)[1].token_mask_BT
    assert not torch.equal(own.factor, swapped.factor) and float(own.change) == float(swapped.change)
    assert sorted(own.factor[mask_BT].sum(-1).tolist()) == sorted(swapped.factor[mask_BT].sum(-1).tolist())


def test_controls() -> None:
    for kind, expected in (("none", 0.0), ("constant", 1.0)):
        said, _, _ = told(kind, student_of())
        assert float(said.factor) == expected


def _feed(feedback: Feedback, changes: list[float], language: str = "en") -> list[float]:
    return [float(feedback.of(torch.tensor(-change), language, KEY).factor) for change in changes]


def test_feedback_sign() -> None:
    plain = {"baseline": "none", "standardize": False}
    helped = [-0.25]  # the loss fell: lambda is negative
    assert _feed(Feedback(FeedbackConfig(sign="printed", **plain)), helped) == pytest.approx([-0.25])
    assert _feed(Feedback(FeedbackConfig(sign="corrected", **plain)), helped) == pytest.approx([0.25])


def test_feedback_baseline_is_the_bias_corrected_mean_of_what_came_before() -> None:
    feedback = Feedback(FeedbackConfig(standardize=False, decay=0.9))
    values = [-0.5, -0.25, -1.0]
    seen = _feed(feedback, values)
    mean_2 = (0.9 * 0.1 * 0.5 + 0.1 * 0.25) / (1 - 0.9**2)
    assert seen == pytest.approx([0.0, 0.25 - 0.5, 1.0 - mean_2], rel=1e-5)  # silent while nothing came before
    assert _feed(feedback, [-0.125], "de") == [0.0]  # another language has its own baseline


def test_a_shared_baseline_hears_every_language() -> None:
    feedback = Feedback(FeedbackConfig(standardize=False, decay=0.9, baseline="shared"))
    assert _feed(feedback, [-0.5]) == [0.0]
    assert _feed(feedback, [-0.25], "de") == pytest.approx([0.25 - 0.5])  # against what the other language brought


def test_feedback_standardized_is_silent_first_then_clipped() -> None:
    feedback = Feedback(FeedbackConfig(decay=0.5))
    assert _feed(feedback, [-0.5, -0.25]) == [0.0, 0.0]
    mean = (0.5 * 0.5 * 0.5 + 0.5 * 0.25) / (1 - 0.25)
    square = (0.5 * 0.5 * 0.25 + 0.5 * 0.0625) / (1 - 0.25)
    spread = math.sqrt(square - mean**2)
    assert _feed(feedback, [-0.375]) == pytest.approx([(0.375 - mean) / spread], rel=1e-4)
    assert _feed(feedback, [-1e6]) == [3.0]


def test_feedback_state_round_trip() -> None:
    first, second = Feedback(FeedbackConfig()), Feedback(FeedbackConfig())
    _feed(first, [-0.5, 0.3, 0.1])
    second.restore(first.state())
    assert _feed(first, [0.2]) == _feed(second, [0.2])
