"""Self-training and distillation beside virtual adversarial training: what is descended on, term by term."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.distill import DistillConfig, distill_step, mean_of
from test_contract import LABELED, RAW, make_tagger

KEY = Key(0, "distill", 0)


def learners(*names: str) -> list[Learner]:
    made = [Learner(name, make_tagger(name), LearnerConfig()) for name in names]
    for seed, learner in enumerate(made):
        torch.manual_seed(seed)
        torch.nn.init.normal_(learner.tagger.head.weight)
    return made


@pytest.fixture
def descended(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What learners were asked to descend on; nobody moves."""
    losses: list[float] = []
    monkeypatch.setattr(Learner, "descend", lambda self, loss: losses.append(loss.item()))
    return losses


def distilling(weight: float) -> Callable[..., dict[str, Tensor]]:
    student, *members = learners("student", "member-1", "member-2")
    return distill_step(student, partial(mean_of, members), DistillConfig(weight_adversary=weight))


def bond(weight: float) -> Callable[..., dict[str, Tensor]]:
    config = resolve("smooth-bond", {"weight_adversary": weight, "labels": "reweighted"})
    method: Any = METHODS["smooth-bond"].method(config, make_tagger, LearnerConfig())
    torch.manual_seed(3)
    torch.nn.init.normal_(method.student.tagger.head.weight)
    return method.step


@pytest.mark.parametrize("step", [distilling, bond])
def test_the_worst_divergence_counts_by_its_weight_beside_labels_and_pseudo_labels(step: Any, descended: list[float]) -> None:
    """A weight of 0 asks for no pass."""
    batcher = make_tagger("any").batcher
    labeled, raw = batcher.batch(LABELED["en"][:3], labeled=True), batcher.batch(RAW["en"][:3], labeled=False)
    told = [step(weight)(labeled, raw, KEY) for weight in (0.0, 2.0, 5.0)]
    plain, worst = float(told[0]["supervised"] + told[0]["student"]), float(told[1]["worst"])
    assert "worst" not in told[0] and worst > 1e-4
    assert descended == pytest.approx([plain, plain + 2 * worst, plain + 5 * worst], rel=1e-5)


@pytest.mark.usefixtures("descended")
def test_the_mean_of_the_members_is_what_is_reweighted() -> None:
    """q is p squared over the frequency of its tag in the batch, divided by its sum (BOND), of the mean p of two members."""
    student, *members = learners("student", "member-1", "member-2")
    batcher = student.tagger.batcher
    labeled, raw = batcher.batch(LABELED["en"][:3], labeled=True), batcher.batch(RAW["en"][:3], labeled=False)
    told = distill_step(student, partial(mean_of, members), DistillConfig(labels="reweighted"))(labeled, raw, KEY)
    probs_NC = mean_of(members, raw, KEY)[raw.token_mask_BT].double()
    squared_NC = probs_NC**2 / probs_NC.sum(0)
    target_NC = squared_NC / squared_NC.sum(-1, keepdim=True)
    _, logits_BTC = student.passes(KEY, "supervised", Pass(labeled), Pass(raw))
    log_NC = logits_BTC[raw.token_mask_BT].double().log_softmax(-1)
    assert float(told["student"]) == pytest.approx((-(target_NC * log_NC).sum(-1).mean()).item(), rel=1e-4)


@pytest.mark.usefixtures("descended")
@pytest.mark.parametrize("name", ["ensemble", "smooth-ensemble"])
def test_a_run_can_show_what_the_members_say(name: str) -> None:
    """Each token's most probable tag in the mean of three, or that weighed, as taught; the share that counts is told beside the losses."""
    method: Any = METHODS[name].method(resolve(name, {}), make_tagger, LearnerConfig())
    for seed, member in enumerate(method.members):
        torch.manual_seed(seed)
        torch.nn.init.normal_(member.tagger.head.weight, std=3.0)
    batcher = method.student.tagger.batcher
    labeled, raw = batcher.batch(LABELED["en"][:3], labeled=True), batcher.batch(RAW["en"][:3], labeled=False)
    (distill,) = [stage for stage in method.stages() if stage.draws == "both"]
    told = distill.step(labeled, raw, KEY)
    with torch.no_grad():
        mean_BTC = sum(member.passes(KEY, "pseudo", Pass(raw, dropout=False))[0].double().softmax(-1) for member in method.members) / 3
    mean_NC = mean_BTC[raw.token_mask_BT]
    taught_NC = mean_NC if name == "ensemble" else mean_NC**2 / mean_NC.sum(0)
    assert method.said.tag_ids_BT[raw.token_mask_BT].tolist() == taught_NC.argmax(-1).tolist()
    assert method.said.windows == raw.windows and method.said.feedback is None
    assert float(told["kept"]) == 1.0 if name == "ensemble" else 0.0 < float(told["kept"]) < 1.0
