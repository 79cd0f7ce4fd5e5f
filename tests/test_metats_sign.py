"""The sign of L_meta (paper 3.3, ambiguities A1, A2 and A10): by enumeration, by differences, and by what one step does to a teacher."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from exact import LABELED, PLAIN, batches, exact
from fewtag.learning.feedback import Feedback, FeedbackConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.pseudo_labels import PseudoLabels
from fewtag.learning.seeding import Key
from fewtag.methods.metats import MetaTS
from fewtag.tagger import Batch
from fewtag.text import Sentence

KEY = Key(0, "interact", 0)
OWN = [Sentence(("a", "big", "cup"), ("O", "O", "O"), "en")]  # what a teacher learns apart from what it hears


# A linear teacher and a linear student small enough to enumerate: 4 tokens, 3 tags, 81 labelings.


def _world() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    raw_ND = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    labeled_ND = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    gold_N = torch.randint(0, 3, (6,), generator=generator)
    teacher_DC = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    student_DC = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    return raw_ND, labeled_ND, gold_N, teacher_DC, student_DC


def _loss(vectors_ND: Tensor, weights_DC: Tensor, tags_N: Tensor) -> Tensor:
    return -(vectors_ND @ weights_DC).log_softmax(-1)[torch.arange(len(tags_N)), tags_N].mean()


def _updated(student_DC: Tensor, raw_ND: Tensor, tags_N: Tensor, optimizer: str) -> Tensor:
    weights_DC = student_DC.clone().requires_grad_()
    step = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]([weights_DC], lr=0.3)
    _loss(raw_ND, weights_DC, tags_N).backward()
    step.step()
    return weights_DC.detach()


def _losses_after(optimizer: str) -> dict[tuple[int, ...], Tensor]:
    """The student's labeled loss after one step on each labeling of the raw tokens."""
    raw_ND, labeled_ND, gold_N, _, student_DC = _world()
    every = itertools.product(range(3), repeat=4)
    return {a: _loss(labeled_ND, _updated(student_DC, raw_ND, torch.tensor(a), optimizer), gold_N) for a in every}


def _true_gradient(after: dict[tuple[int, ...], Tensor]) -> Tensor:
    """d expected loss after the student's step / d teacher, the labels drawn from the teacher, by central differences."""
    raw_ND, _, _, teacher_DC, _ = _world()

    def expected_loss(weights_DC: Tensor) -> Tensor:
        log_p = (raw_ND @ weights_DC).log_softmax(-1)
        return torch.stack([log_p[torch.arange(4), torch.tensor(a)].sum().exp() * loss for a, loss in after.items()]).sum()

    step, numeric = 1e-5, torch.zeros_like(teacher_DC)
    for i, j in itertools.product(range(3), range(3)):
        nudge = torch.zeros_like(teacher_DC)
        nudge[i, j] = step
        numeric[i, j] = (expected_loss(teacher_DC + nudge) - expected_loss(teacher_DC - nudge)) / (2 * step)
    return numeric


def _of_one_labeling(labeling: tuple[int, ...], loss_after: Tensor, feedback: Feedback) -> Tensor:
    """The gradient of L_meta for one labeling, as the feedback tells it; times 4, for log q of a labeling is a sum over its tokens."""
    raw_ND, labeled_ND, gold_N, teacher_DC, student_DC = _world()
    weights_DC = teacher_DC.clone().requires_grad_()
    pseudo = PseudoLabels(torch.ones(1, 4, dtype=torch.bool), tag_ids_BT=torch.tensor([labeling]))
    told = feedback.of(_loss(labeled_ND, student_DC, gold_N) - loss_after, "en", KEY)
    (gradient_DC,) = torch.autograd.grad(4 * told.meta((raw_ND @ weights_DC).unsqueeze(0), pseudo), weights_DC)
    return gradient_DC


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("sign", "direction"), [("corrected", 1.0), ("printed", -1.0)])
def test_feedback_is_the_policy_gradient(optimizer: str, sign: str, direction: float) -> None:
    """The mean gradient of L_meta over labelings drawn from the teacher is that of the student's expected loss, differenced."""
    raw_ND, _, _, teacher_DC, _ = _world()
    after = _losses_after(optimizer)
    feedback = Feedback(FeedbackConfig(sign=sign, **PLAIN))
    log_p = (raw_ND @ teacher_DC).log_softmax(-1)
    estimate = torch.zeros_like(teacher_DC)
    for labeling, loss in after.items():
        probability = log_p[torch.arange(4), torch.tensor(labeling)].sum().exp()
        estimate += probability * _of_one_labeling(labeling, loss, feedback)
    torch.testing.assert_close(direction * estimate, _true_gradient(after), rtol=1e-6, atol=1e-9)


def test_arg_max_labels_bias_the_estimate() -> None:
    """A2: the printed labels give one labeling's gradient, which leans the right way and is not the true gradient's direction."""
    raw_ND, _, _, teacher_DC, _ = _world()
    after = _losses_after("sgd")
    most = tuple((raw_ND @ teacher_DC).argmax(-1).tolist())
    found = _of_one_labeling(most, after[most], Feedback(FeedbackConfig(**PLAIN)))
    cosine = float(torch.nn.functional.cosine_similarity(found.flatten(), _true_gradient(after).flatten(), dim=0))
    assert 0.1 < cosine < 0.95


# The same through a whole step of MetaTS


def _tags(labeled: Batch, right: bool) -> Tensor:
    """The gold tags, or each one's next."""
    assert labeled.tag_ids_BT is not None
    return labeled.tag_ids_BT if right else torch.where(labeled.tag_ids_BT >= 0, (labeled.tag_ids_BT + 1) % 3, labeled.tag_ids_BT)


def _taught(**values: Any) -> MetaTS:
    """MetaTS without momentum, whose student has begun to learn the labeled sentences: now wrong labels harm it."""
    method = exact(learner={"lr": 1e-3, "betas": (0.0, 0.999)}, **values)
    labeled, _ = batches(method)
    for step in range(20):
        logits_BTC = method.student.logits(labeled, Key(0, "before", step), "x")
        method.student.descend(cross_entropy(logits_BTC, _tags(labeled, True)).mean)
    return method


def test_feedback_tells_right_labels_from_wrong_ones() -> None:
    """Paper 3.3: lambda is negative when the labels helped."""
    lambdas = []
    for right in (True, False):
        student = _taught().student
        labeled = student.tagger.batcher.batch(LABELED, labeled=True)
        before = student.labeled_loss(labeled)
        student.descend(cross_entropy(student.logits(labeled, KEY, "x"), _tags(labeled, right)).mean)
        lambdas.append(float(student.labeled_loss(labeled) - before))
    assert lambdas[0] < 0 < lambdas[1]


def _loss_of(method: MetaTS, batch: Batch, tags_BT: Tensor) -> float:
    """The teacher's cross-entropy with some tags."""
    method.teacher.tagger.eval()
    log_p = method.teacher.tagger(batch).detach().log_softmax(-1)[batch.token_mask_BT]
    return float(-log_p[torch.arange(len(log_p)), tags_BT[batch.token_mask_BT]].mean())


@pytest.mark.parametrize("kind", ["difference", "product", "cosine", "token"])
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("sign", ["corrected", "printed"])
def test_a_step_moves_the_teacher_to_labels_that_helped(kind: str, right: bool, sign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth are the gold tags of the sentences the student is taught with: whoever says them helps, whoever says others hurts.

    Against a twin that hears nothing, the teacher says right labels more and wrong ones less; with the printed sign it is the reverse.
    """
    losses = {}
    for weight in (0.0, 1e4):
        feedback: dict[str, Any] = {"kind": kind, "sign": sign, **PLAIN}
        method = _taught(weight_meta=weight, weight_reg=0.0, label_smoothing=0.0, feedback=feedback)
        batcher = method.teacher.tagger.batcher
        own, judge, raw = batcher.batch(OWN, labeled=True), batcher.batch(LABELED, labeled=True), batcher.batch(LABELED, labeled=False)
        forced = PseudoLabels(raw.token_mask_BT, tag_ids_BT=_tags(judge, right))
        monkeypatch.setattr("fewtag.methods.metats.label", lambda *arguments: forced)  # noqa: B023
        said = method.step(own, raw, KEY, judge)
        assert not weight or (float(said["lambda"]) < 0) == right
        losses[weight] = _loss_of(method, raw, _tags(judge, right))
    more = losses[0.0] - losses[1e4]
    assert (more if right == (sign == "corrected") else -more) > 0.01


def test_smoothing_is_in_what_is_learned_and_never_in_what_is_heard() -> None:
    """A10, by hand from the networks' own log-probabilities: (1 - s) NLL + s mean over tags in Eq. 3 and Eq. 4, plain NLL elsewhere."""
    heard = {}
    for s in (0.0, 0.15, 0.6):
        method = exact(label_smoothing=s, weight_reg=0.0, weight_meta=2.0, feedback={"kind": "difference", **PLAIN})
        labeled, raw = batches(method)
        teacher, student = method.teacher.tagger.eval(), method.student.tagger.eval()
        assert labeled.tag_ids_BT is not None
        mask_BT, gold_N = labeled.token_mask_BT, labeled.tag_ids_BT[labeled.token_mask_BT].unsqueeze(-1)
        with torch.no_grad():
            own_NC, on_raw_NC = teacher(labeled)[mask_BT].log_softmax(-1), teacher(raw)[raw.token_mask_BT].log_softmax(-1)
            taught_NC, before = (
                student(raw)[raw.token_mask_BT].log_softmax(-1),
                -student(labeled)[mask_BT].log_softmax(-1).gather(1, gold_N),
            )
        pseudo_N = on_raw_NC.argmax(-1, keepdim=True)
        told = {name: float(value) for name, value in method.step(labeled, raw, KEY).items()}
        student.eval()
        after = -student(labeled).detach()[mask_BT].log_softmax(-1).gather(1, gold_N)
        learned = {"supervised": (own_NC, gold_N), "student": (taught_NC, pseudo_N)}
        for name, (log_p_NC, tags_N) in learned.items():
            smoothed = -(1 - s) * log_p_NC.gather(1, tags_N).mean() - s * log_p_NC.mean()
            assert told[name] == pytest.approx(float(smoothed), rel=1e-12)
        assert told["lambda"] == pytest.approx(float(after.mean() - before.mean()), rel=1e-9)
        assert told["meta"] == pytest.approx(-told["lambda"] * float(-on_raw_NC.max(-1).values.mean()), rel=1e-12)
        heard[s] = told["meta"] / -told["lambda"]
    assert heard[0.0] == pytest.approx(heard[0.15], rel=1e-12) and heard[0.0] == pytest.approx(heard[0.6], rel=1e-12)


@pytest.mark.parametrize(("labels", "hears"), [("hard", True), ("soft", False)])
def test_a_teacher_does_not_hear_what_is_told_of_soft_labels(labels: str, hears: bool) -> None:
    """A32 through a whole step: the term is there, and the length of its gradient in the teacher's weights is 0 (p - p)."""
    method = exact(labels=labels, weight_meta=10.0, diagnose_every=1, feedback={"kind": "difference", **PLAIN})
    told = method.step(*batches(method), KEY)
    assert abs(float(told["meta"])) > 1e-3
    assert (float(told["gradient meta"]) > 1e-3) == hears and (hears or float(told["gradient meta"]) < 1e-12)
