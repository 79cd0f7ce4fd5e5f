"""Every named loss reaches exactly the networks it claims: a gradient there, and none anywhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fewtag.learning.feedback import Feedback
from fewtag.learning.gradient import Gradient
from fewtag.learning.learner import Learner
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS
from fewtag.methods.ensemble import Ensemble
from fewtag.tagger import Batch
from test_contract import NAMES, PRETRAINED, build, draw, row_of

# Loss -> the network that learns from it, by row. What is not here is no loss: it must have no gradient at all.
STUDENT = {"supervised": "student", "student": "student"}
PAIR = {"student": "student", "supervised": "teacher", "regularization": "teacher", "meta": "teacher"}
ON_RAW_TEXT: dict[str, dict[str, str]] = {
    "metats": PAIR,
    "metats-paper": PAIR,
    "metats-paper-no-reg": {name: who for name, who in PAIR.items() if name != "regularization"},
    "metats-paper-no-meta": {name: who for name, who in PAIR.items() if name != "meta"},
    "metats-paper-soft": {name: who for name, who in PAIR.items() if name != "meta"},  # A32: exactly zero
    "metats-paper-soft-high": PAIR,
    "mean-teacher-mse": {"supervised": "student", "distance": "student"},
    "mean-teacher-kl": {"supervised": "student", "distance": "student"},
    "vat": {"supervised": "student", "divergence": "student"},
    "noisy-student": STUDENT,
    "bond-hard": STUDENT,
    "bond-soft": STUDENT,
    "bond-soft-high": STUDENT,
    "smooth-metats": PAIR,
    "smooth-bond": {**STUDENT, "worst": "student"},
    "ensemble": STUDENT,
    "smooth-ensemble": {**STUDENT, "worst": "student"},
    "pretrained-ensemble": {**STUDENT, "worst": "student"},
    "mixed-ensemble": dict.fromkeys(STUDENT, "compact-student"),  # first of all it, then the student
    "co-teaching": {f"{kind} student-{n}": f"student-{n}" for kind in ("supervised", "taught") for n in (1, 2)},
}
# By the name of a stage, where it is not the row's own; `distill` is so after the rounds of folds.
STAGES = {"distill": STUDENT, "pretrain": {"masked words": "pretraining"}}
MEASURES = {"lambda", "feedback", "kept", "selected", "weight", "agreement"}
_TOO_SMALL = 1e-6  # rounding of a gradient that is zero


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses keep their graphs when detached, and nobody's weights move, so that the graphs can still be gone through after a step."""
    detach = Tensor.detach

    def remembered(self: Tensor) -> Tensor:
        result = detach(self)
        result.origin = self  # type: ignore[attr-defined]
        return result

    def standing(self: Learner, loss: Tensor) -> Gradient:
        return self.gradient(loss, keep_graph=True)

    def told(self: Learner, batch: Batch, direction: Gradient, reach: float) -> Tensor:  # it would move the weights, and back
        return torch.randn(*batch.token_mask_BT.shape, len(self.tagger.tag_set))

    monkeypatch.setattr(Learner, "sensitivity", told)
    monkeypatch.setattr(Tensor, "detach", remembered)
    monkeypatch.setattr(Learner, "descend", standing)
    return


def reached(loss: Tensor, method: Any) -> set[str]:
    """The learners in whose weights a loss has a gradient."""
    origin = getattr(loss, "origin", loss)
    if not origin.requires_grad:
        return set()
    result = set()
    for role, learner in method.learners().items():
        found = torch.autograd.grad(origin, list(learner.tagger.parameters()), retain_graph=True, allow_unused=True)
        if any(g is not None and float((g.to_dense() if g.is_sparse else g).abs().max()) > _TOO_SMALL for g in found):
            result.add(role)
    return result


def prepared(name: str) -> Any:
    method: Any = build(name)
    for number, learner in enumerate(method.learners().values()):
        torch.manual_seed(number)
        for weight in learner.tagger.head.parameters():
            torch.nn.init.normal_(weight, std=1.5)
    own = getattr(method, "inner", method)
    if hasattr(own, "feedback"):  # a factor that is not 0 at the first step, of a student that stands still
        kind = own.feedback.config.kind
        plain = {"baseline": "none", "standardize": False, "permuted": False, "kind": kind if kind in ("token", "none") else "constant"}
        own.feedback = Feedback(own.feedback.config.model_copy(update=plain))
    if isinstance(own, Ensemble):  # strangers who speak at random are never sure together
        own.config = own.config.model_copy(update={"label_threshold": 0.5})
    return method


def test_every_method_says_what_its_losses_reach() -> None:
    assert ON_RAW_TEXT.keys() == {name for name, row in METHODS.items() if row.uses_raw_text}


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("name", [n for n in NAMES if METHODS[row_of(n)[0]].uses_raw_text])
def test_on_raw_text(name: str) -> None:
    """Every stage that draws raw text: rounds, generations, distillation, pre-training."""
    method = prepared(name)
    found_row, values = row_of(name)
    pushed = {f"{who} worst": who for who in ("student", "teacher") if values.get(f"weight_{who}_adversary")}
    stages = [stage for stage in method.stages() if stage.draws != "labeled"]
    first = next(stage for stage in stages if stage.name != "pretrain")
    for stage in stages:
        labeled, raw, *judge = draw(method)(stage, 0)
        losses = stage.step(labeled, raw, Key(0, stage.name, 1), *judge)
        whole = {**ON_RAW_TEXT[found_row], **pushed}
        expected = whole if stage is first else STAGES.get(stage.name, whole)
        assert {loss: reached(value, method) for loss, value in losses.items() if loss not in MEASURES} == {
            loss: {expected[loss]} if loss in expected else set() for loss in losses if loss not in MEASURES
        }, stage.name
        assert not any(reached(value, method) for loss, value in losses.items() if loss in MEASURES)
        assert expected.keys() <= losses.keys()


@pytest.mark.usefixtures("graphs")
def test_masked_words_reach_the_whole_of_the_pre_trained_encoder_and_its_head() -> None:
    method = prepared(PRETRAINED)
    stage = next(each for each in method.stages() if each.name == "pretrain")
    (loss,) = stage.step(*draw(method)(stage, 0), Key(0, stage.name, 1)).values()
    names, weights = zip(*method.guesser.named_parameters(), strict=True)
    found = torch.autograd.grad(loss.origin, weights, allow_unused=True)  # type: ignore[attr-defined]
    assert {name.split(".")[0] for name in names} == {"encoder", "head"}
    assert not [name for name, gradient in zip(names, found, strict=True) if gradient is None or not gradient.any()]


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("name", NAMES)
def test_in_supervised_stages_the_scored_network_learns(name: str) -> None:
    method = prepared(name)
    for stage in method.stages():
        if stage.draws != "labeled":
            continue
        labeled, raw, *_ = draw(method)(stage, 0)
        losses = stage.step(labeled, raw, Key(0, stage.name, 0))
        assert {loss: reached(value, method) for loss, value in losses.items()} == {"supervised": {stage.scored.name}}
