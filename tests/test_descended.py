"""What each method's student descends on, and through which passes, held to the formulas of its paper written out here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import Term, cross_entropy
from fewtag.learning.noise import GaussianNoise
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.tagger import Batch
from test_contract import LABELED, RAW, make_tagger

SMOOTHING = 0.3


@dataclass(frozen=True)
class Went:
    """A batch's way through a network."""

    part: Pass
    logits_BTC: Tensor


@dataclass
class Seen:
    """What a step did: the ways through each network in order, and what was descended on."""

    ways: dict[str, list[Went]]
    losses: list[float]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Nobody moves while this looks."""
    found = Seen({}, [])
    through = Learner.passes

    def passes(self: Learner, key: Key, purpose: str, *parts: Pass) -> list[Tensor]:
        logits = through(self, key, purpose, *parts)
        found.ways.setdefault(self.name, []).extend(Went(part, own.detach()) for part, own in zip(parts, logits, strict=True))
        return logits

    monkeypatch.setattr(Learner, "passes", passes)
    monkeypatch.setattr(Learner, "descend", lambda self, loss: found.losses.append(loss.item()))
    return found


def build(name: str, **values: Any) -> Any:
    """A method whose networks say something, each something else."""
    method: Any = METHODS[name].method(resolve(name, values), make_tagger, LearnerConfig(lr=0.01))
    for number, learner in enumerate(method.learners().values()):
        torch.manual_seed(number)
        torch.nn.init.normal_(learner.tagger.head.weight)
    return method


def take(method: Any, step: int = 0) -> tuple[dict[str, Tensor], Batch, Batch]:
    """A step on sentences of unlike lengths, so that there is padding, and fewer labeled tokens than raw ones."""
    batcher = method.delivered.tagger.batcher
    labeled, raw = batcher.batch(LABELED["en"][:2], labeled=True), batcher.batch(RAW["en"][:6], labeled=False)
    return method.step(labeled, raw, Key(0, "any", step)), labeled, raw


def log_p(logits_BTC: Tensor, batch: Batch) -> Tensor:
    """(N, C) of the tokens."""
    return logits_BTC[batch.token_mask_BT].double().log_softmax(-1)


def hard_loss(log_NC: Tensor, ids_N: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """Mean cross-entropy with targets of 1 - s for the tag and s shared out evenly."""
    target_NC = torch.full_like(log_NC, smoothing / log_NC.shape[-1])
    target_NC[torch.arange(len(ids_N)), ids_N] += 1 - smoothing
    return -(target_NC * log_NC).sum(-1).mean()


def gold(went: Went, batch: Batch, smoothing: float = SMOOTHING) -> float:
    assert batch.tag_ids_BT is not None and went.part.batch is batch
    return hard_loss(log_p(went.logits_BTC, batch), batch.tag_ids_BT[batch.token_mask_BT], smoothing).item()


def manner(went: Went) -> tuple[bool, bool, bool]:
    """Whether it had dropout, noise, and a graph."""
    return went.part.dropout, went.part.noise is not None, went.part.graph


def squared(wanted_NC: Tensor, own_NC: Tensor) -> Tensor:
    return ((wanted_NC.exp() - own_NC.exp()) ** 2).mean(-1)


def kullback_leibler(wanted_NC: Tensor, own_NC: Tensor) -> Tensor:
    return (wanted_NC.exp() * (wanted_NC - own_NC)).sum(-1)


@pytest.mark.parametrize(("name", "distance"), [("mean-teacher-mse", squared), ("mean-teacher-kl", kullback_leibler)])
def test_mean_teacher(name: str, distance: Callable[[Tensor, Tensor], Tensor], seen: Seen) -> None:
    """Labels, and as far as the ramp has come the distance from the average, over labeled and raw tokens; both under dropout."""
    method = build(name, weight=7.0, ramp=10, label_smoothing=SMOOTHING)
    for step, ramp in ((0, math.exp(-5.0)), (5, math.exp(-5.0 * 0.25)), (10, 1.0), (400, 1.0)):
        seen.ways.clear()
        _, labeled, raw = take(method, step)
        own, average = seen.ways["student"], seen.ways["average"]
        assert [manner(each) for each in own] == [(True, False, True)] * 2
        assert [manner(each) for each in average] == [(True, False, False)] * 2
        apart = [distance(log_p(a.logits_BTC, b), log_p(o.logits_BTC, b)) for a, o, b in zip(average, own, (labeled, raw), strict=True)]
        expected = gold(own[0], labeled) + 7.0 * ramp * torch.cat(apart).mean().item()
        assert seen.losses[-1] == pytest.approx(expected, rel=1e-4)
    assert method.stages()[-1].scored is method.average is method.delivered


def test_vat(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels, and by its weight the worst divergence over labeled and raw tokens: (6 + 20) / (3 + 5) = 3.25."""
    planted = {True: Term(torch.tensor(6.0), torch.tensor(3)), False: Term(torch.tensor(20.0), torch.tensor(5))}
    monkeypatch.setattr(
        "fewtag.methods.vat.worst_divergence", lambda student, batch, key, purpose, config: planted[batch.tag_ids_BT is not None]
    )
    for weight in (0.0, 1.0, 2.5):
        seen.ways.clear()
        _, labeled, _ = take(build("vat", weight=weight, label_smoothing=SMOOTHING))
        (own,) = seen.ways["student"]
        assert manner(own) == (True, False, True)
        assert seen.losses[-1] == pytest.approx(gold(own, labeled) + weight * 3.25, rel=1e-4)


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_noisy_student(labels: str, seen: Seen) -> None:
    """The teacher without dropout or noise; the student under both; sentences with an unsure token teach nothing."""
    method = build("noisy-student", labels=labels, weight_raw=3.0, keep_above=0.5, label_smoothing=SMOOTHING)
    told, labeled, raw = take(method)
    (teacher,), (own, taught) = seen.ways["teacher"], seen.ways["student"]
    assert manner(teacher) == (False, False, False) and [manner(each) for each in (own, taught)] == [(True, True, True)] * 2
    assert {id(own.part.noise), id(taught.part.noise)} == {id(method.noise)}
    probs_BTC = teacher.logits_BTC.double().softmax(-1)
    sure_B = torch.stack([row[mask].amax(-1).min() > 0.5 for row, mask in zip(probs_BTC, raw.token_mask_BT, strict=True)])
    assert sure_B.any() and not sure_B.all()
    kept_BT = raw.token_mask_BT & sure_B.unsqueeze(-1)
    log_NC, target_NC = taught.logits_BTC[kept_BT].double().log_softmax(-1), probs_BTC[kept_BT]
    soft = -(target_NC * log_NC).sum(-1).mean()
    expected = soft if labels == "soft" else hard_loss(log_NC, target_NC.argmax(-1))
    assert seen.losses == pytest.approx([gold(own, labeled) + 3.0 * expected.item()], rel=1e-4)
    assert torch.equal(method.said.tag_ids_BT[raw.token_mask_BT], probs_BTC.argmax(-1)[raw.token_mask_BT])  # also where nobody is taught
    assert float(told["kept"]) == pytest.approx(int(kept_BT.sum()) / int(raw.token_mask_BT.sum()))


@pytest.mark.parametrize("name", ["bond-hard", "bond-soft", "bond-soft-high"])
def test_bond(name: str, seen: Seen) -> None:
    """The teacher without dropout; hard labels are smoothed, re-weighted ones are not; labels count by their weight."""
    method = build(name, weight_supervised=2.0, label_threshold=0.6, label_smoothing=SMOOTHING)
    method.teacher.tagger.head.weight.data.mul_(0.5)
    method.teacher.tagger.head.bias.data[0] += 0.5  # a tag that is everywhere, so that weighing changes what is said most
    _, labeled, raw = take(method, 1)  # not a step at which the teacher is replaced
    (teacher,), (own, taught) = seen.ways["teacher"], seen.ways["student"]
    assert manner(teacher) == (False, False, False) and [manner(each) for each in (own, taught)] == [(True, False, True)] * 2
    probs_NC, log_NC = log_p(teacher.logits_BTC, raw).exp(), log_p(taught.logits_BTC, raw)
    weighed_NC = probs_NC**2 / probs_NC.sum(0)
    target_NC = weighed_NC / weighed_NC.sum(-1, keepdim=True)
    kept_N = target_NC.amax(-1) > 0.6 if name == "bond-soft-high" else torch.ones(len(target_NC), dtype=torch.bool)
    assert kept_N.any() and (name != "bond-soft-high" or not kept_N.all())
    shown_N = (probs_NC if name == "bond-hard" else target_NC).argmax(-1)
    assert torch.equal(method.said.tag_ids_BT[raw.token_mask_BT], shown_N) and not torch.equal(target_NC.argmax(-1), probs_NC.argmax(-1))
    each_N = -(target_NC * log_NC).sum(-1)
    expected = hard_loss(log_NC, probs_NC.argmax(-1)) if name == "bond-hard" else each_N[kept_N].mean()
    assert seen.losses == pytest.approx([expected.item() + 2.0 * gold(own, labeled)], rel=1e-4)


def test_co_teaching(seen: Seen) -> None:
    """Each student: labels, and the other average's tags where both averages agree and the other is sure, smoothed as gold tags are."""
    method = build("co-teaching", weight_raw=3.0, threshold=0.6, label_smoothing=SMOOTHING)
    first, second = (each.tagger.head.weight.data for each in method.averages)
    second.copy_(first + 0.5 * torch.randn(first.shape))  # else they would agree on next to nothing
    _, labeled, raw = take(method)
    averages = [seen.ways[f"average-{n}"][0] for n in (1, 2)]
    assert [manner(each) for each in averages] == [(False, False, False)] * 2
    probs = [log_p(each.logits_BTC, raw).exp() for each in averages]
    assert torch.equal(method.said.tag_ids_BT[raw.token_mask_BT], probs[1].argmax(-1))
    agreed_N = probs[0].argmax(-1) == probs[1].argmax(-1)
    expected = []
    for number, other_NC in ((1, probs[1]), (2, probs[0])):
        own, taught = seen.ways[f"student-{number}"]
        assert [manner(each) for each in (own, taught)] == [(True, False, True)] * 2
        kept_N = agreed_N & (other_NC.amax(-1) > 0.6)
        assert kept_N.any() and not kept_N.all()
        learned = hard_loss(log_p(taught.logits_BTC, raw)[kept_N], other_NC.argmax(-1)[kept_N])
        expected.append(gold(own, labeled) + 3.0 * learned.item())
    assert seen.losses == pytest.approx(expected, rel=1e-4)


def test_the_supervised_stages_of_metats(seen: Seen) -> None:
    """Warm-up and fine-tuning: labeled sentences of all languages at once, each stage's own smoothing, and its own network."""
    method = build("metats", label_smoothing=SMOOTHING, finetune_smoothing=0.05)
    warm_up, interact, finetune = method.stages()
    assert [stage.mixed for stage in (warm_up, interact, finetune)] == [True, False, True]
    labeled = method.delivered.tagger.batcher.batch(LABELED["en"][:2], labeled=True)
    for stage, name, smoothing in ((warm_up, "teacher", SMOOTHING), (finetune, "student", 0.05)):
        seen.ways.clear()
        stage.step(labeled, None, Key(0, stage.name, 0))
        assert list(seen.ways) == [name] and stage.scored is method.learners()[name]
        assert seen.losses[-1] == pytest.approx(gold(seen.ways[name][0], labeled, smoothing), rel=1e-4)


def test_the_students_of_an_ensemble_begin_as_a_member_of_their_encoder() -> None:
    method = build("mixed-ensemble")
    pairs = {"compact-student": (method.compact_students[0], method.compact[0]), "distill": (method.student, method.members[0])}
    for stage in (each for each in method.stages() if each.name in pairs):
        student, member = pairs[stage.name]
        assert not torch.equal(student.tagger.head.weight, member.tagger.head.weight)
        stage.begin()
        assert all(torch.equal(a, b) for a, b in zip(student.tagger.parameters(), member.tagger.parameters(), strict=True))


def test_the_gradient_that_judges_is_taken_without_dropout() -> None:
    """A5: the student is heard in evaluation mode, whatever mode its step has left it in and whatever the generator's state."""
    learner = build("metats").student
    batch = learner.tagger.batcher.batch(LABELED["en"], labeled=True)
    found = []
    for seed in (1, 2):
        learner.tagger.train()
        torch.manual_seed(seed)
        found.append(learner.labeled_gradient(batch).body)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)) and any(each.any() for each in found[0])
    learner.tagger.eval()
    loss = cross_entropy(learner.tagger(batch), batch.tag_ids_BT).mean
    assert all(torch.equal(a, b) for a, b in zip(found[0], learner.gradient(loss).body, strict=True))
    learner.tagger.train()  # and dropout there is, or this would show nothing
    torch.manual_seed(1)
    dropped = learner.gradient(cross_entropy(learner.tagger(batch), batch.tag_ids_BT).mean).body
    assert not all(torch.equal(a, b) for a, b in zip(found[0], dropped, strict=True))


def test_relative_noise_is_measured_where_noise_goes() -> None:
    """What padding and special positions hold does not change it."""
    raw = make_tagger("any").batcher.batch(RAW["en"][:6], labeled=False)
    mask_BL = raw.inputs.noise_mask_BL
    assert not mask_BL.all()
    added = []
    for elsewhere in (0.0, 1000.0):
        embeddings_BLD = torch.ones(*mask_BL.shape, 4).where(mask_BL.unsqueeze(-1), torch.tensor(elsewhere))
        torch.manual_seed(3)
        added.append((GaussianNoise(0.04, relative=True)(embeddings_BLD, raw.inputs) - embeddings_BLD)[mask_BL])
    torch.testing.assert_close(added[0], added[1])
