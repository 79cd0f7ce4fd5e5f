"""A whole step of MetaTS against one written down from the paper alone: a pass for everything that is said, loops for sums, Adam by hand.

The literal step shares no pass (16 forward units where MetaTS takes 14), knows neither padding nor masks, and takes nothing from
`fewtag.learning` but the seeds of its dropout. Of a tagger it asks the logits of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from exact import LABELED, RAW, Ripple, batches, exact, farthest, weights
from fewtag.learning.seeding import Key, stable_seed
from fewtag.methods.metats import MetaTS
from fewtag.tagger import Batch, Tagger

Weights = dict[str, Tensor]
LR, HEAD_LR, EPSILON, BETAS = 0.01, 0.02, 1e-8, (0.9, 0.999)
SMOOTHING, TAU, THRESHOLD, W_REG, W_META = 0.15, 0.7, 0.8, 0.8, 3.0


@dataclass
class Network:
    """Weights with moments: an Adam of Kingma and Ba's Algorithm 1 behind a gradient whose length is at most 1."""

    tagger: Tagger
    weights: Weights
    first: Weights = field(default_factory=dict)
    second: Weights = field(default_factory=dict)
    steps: int = 0

    def say(self, batch: Batch, lengths: list[int], noise: Ripple | None = None, *, dropout: bool) -> list[Tensor]:
        """(T, C) logits of each sentence."""
        self.tagger.train(dropout)
        logits_BTC: Tensor = functional_call(self.tagger, self.weights, (batch, noise))
        return [row[:length] for row, length in zip(logits_BTC, lengths, strict=True)]

    def descend(self, loss: Tensor) -> None:
        names = list(self.weights)
        found = dict(zip(names, torch.autograd.grad(loss, [self.weights[name] for name in names]), strict=True))
        length = torch.sqrt(sum(((g**2).sum() for g in found.values()), torch.zeros(())))
        self.steps += 1
        for name, g in found.items():
            g = g / length if length > 1 else g
            zero = torch.zeros_like(g)
            m = self.first[name] = BETAS[0] * self.first.get(name, zero) + (1 - BETAS[0]) * g
            v = self.second[name] = BETAS[1] * self.second.get(name, zero) + (1 - BETAS[1]) * g**2
            m_hat, v_hat = m / (1 - BETAS[0] ** self.steps), v / (1 - BETAS[1] ** self.steps)
            rate = HEAD_LR if name.startswith("head") else LR
            self.weights[name] = (self.weights[name].detach() - rate * m_hat / (v_hat.sqrt() + EPSILON)).requires_grad_()


def nll(logits: list[Tensor], tags: list[list[int]], smoothing: float = 0.0) -> Tensor:
    """Mean over all tokens of -sum over tags of ((1 - s) [tag is right] + s / C) log p (paper Eq. 3 and 4)."""
    losses = []
    for sentence, right in zip(logits, tags, strict=True):
        for token, tag in zip(sentence, right, strict=True):
            log_p = token - torch.logsumexp(token, 0)
            losses.append(-(1 - smoothing) * log_p[tag] - smoothing / len(token) * log_p.sum())
    return torch.stack(losses).mean()


@dataclass
class Literal16:
    """The step with 16 units; ``masks``: do the second and third clean pass drop what the first drops?"""

    teacher: Network
    student: Network
    temperature_mode: str = "sharpen"
    denominator: str = "all"
    sign: str = "corrected"
    dropout: bool = False  # of every pass that learns
    clean_dropout: bool = False  # A19
    masks: Literal["same", "own"] = "same"
    kept: list[int] = field(default_factory=list)  # by step: tokens that are confident
    lambdas: list[float] = field(default_factory=list)

    def step(self, labeled: Batch, raw: Batch, number: int) -> None:
        own, many = [len(s.tokens) for s in LABELED], [len(s.tokens) for s in RAW]
        tag_set = self.teacher.tagger.tag_set
        gold = [[tag_set.id_of[tag] for tag in s.tags or ()] for s in LABELED]
        # What the teacher says at t. Dropout masks follow one another: L_sup, clean, noised.
        torch.manual_seed(stable_seed(0, "interact", number, "teacher", "supervised"))
        said = self.teacher.say(labeled, own, dropout=self.dropout)
        before_clean = torch.get_rng_state()
        labeling = self.teacher.say(raw, many, dropout=self.clean_dropout)  # for Eq. 2
        after_clean = torch.get_rng_state()
        again = []
        for own_seed in (1, 2):  # for L_reg's target, and for L_meta
            torch.set_rng_state(before_clean) if self.masks == "same" else torch.manual_seed(own_seed)
            again.append(self.teacher.say(raw, many, dropout=self.clean_dropout))
        targeting, judged = again
        torch.set_rng_state(after_clean)
        noised = self.teacher.say(raw, many, Ripple(), dropout=self.dropout)
        # 3.2
        pseudo = [[int(token.argmax()) for token in sentence] for sentence in labeling]
        before = nll(self.student.say(labeled, own, dropout=False), gold)
        torch.manual_seed(stable_seed(0, "interact", number, "student", "pseudo"))
        self.student.descend(nll(self.student.say(raw, many, dropout=self.dropout), pseudo, SMOOTHING))
        after = nll(self.student.say(labeled, own, dropout=False), gold)
        # 3.3
        change = (after - before).detach()  # lambda
        meta = (change if self.sign == "printed" else -change) * nll(judged, pseudo)
        pieces, tokens = [], 0
        for clean, moved in zip(targeting, noised, strict=True):
            tokens += len(clean)
            for a, b in zip(clean.detach(), moved, strict=True):
                z = a.exp() / a.exp().sum()
                if z.max() > THRESHOLD:
                    target = z ** (1 / TAU) / (z ** (1 / TAU)).sum() if self.temperature_mode == "sharpen" else z / TAU
                    pieces.append(-(target * (b - torch.logsumexp(b, 0))).sum())
        reg = torch.stack(pieces).sum() / (tokens if self.denominator == "all" else len(pieces))
        self.teacher.descend(nll(said, gold, SMOOTHING) + W_REG * reg + W_META * meta)
        self.kept.append(len(pieces))
        self.lambdas.append(float(change))


def start(dropout: float = 0.0, **values: Any) -> MetaTS:
    feedback = {"kind": "difference", "baseline": "none", "standardize": False, **values.pop("feedback", {})}
    settings = {"label_smoothing": SMOOTHING, "temperature": TAU, "threshold": THRESHOLD, "weight_reg": W_REG, "weight_meta": W_META}
    learner = {"lr": LR, "head_lr": HEAD_LR, "epsilon": EPSILON, "betas": BETAS}
    return exact(dropout, learner, **settings, **values, feedback=feedback)


def network(method: MetaTS, role: str) -> Network:
    """A learner's weights on their own way."""
    learner = method.learners()[role]
    return Network(learner.tagger, {name: value.requires_grad_() for name, value in weights(learner).items()})


def both_ways(method: MetaTS, reading: dict[str, Any], steps: int = 3) -> tuple[Literal16, float, float]:
    """As far as the teachers and the students of the two ways have come apart."""
    by_hand = Literal16(network(method, "teacher"), network(method, "student"), **reading)
    labeled, raw = batches(method)
    for number in range(steps):
        by_hand.step(labeled, raw, number)
        method.step(labeled, raw, Key(0, "interact", number))
    return by_hand, farthest(weights(method.teacher), by_hand.teacher.weights), farthest(weights(method.student), by_hand.student.weights)


READINGS = {"temperature_mode": ("sharpen", "literal"), "denominator": ("all", "kept"), "sign": ("corrected", "printed")}


@pytest.mark.parametrize("temperature_mode", READINGS["temperature_mode"])
@pytest.mark.parametrize("denominator", READINGS["denominator"])
@pytest.mark.parametrize("sign", READINGS["sign"])
def test_a_step_is_the_literal_step(temperature_mode: str, denominator: str, sign: str) -> None:
    """Three steps, so that Adam's moments and the student's new weights come into play; every reading leads elsewhere."""
    method = start(temperature_mode=temperature_mode, denominator=denominator, feedback={"sign": sign})
    start_at = weights(method.teacher)
    reading = {"temperature_mode": temperature_mode, "denominator": denominator, "sign": sign}
    literal, teacher, student = both_ways(method, reading)
    assert teacher < 1e-10 and student < 1e-10
    assert all(0 < kept < 9 for kept in literal.kept) and all(abs(change) > 1e-3 for change in literal.lambdas)
    assert farthest(start_at, literal.teacher.weights) > 1e-2
    for name, values in READINGS.items():
        method = start(temperature_mode=temperature_mode, denominator=denominator, feedback={"sign": sign})
        other = {**reading, name: next(value for value in values if value != reading[name])}
        assert both_ways(method, other)[1] > 1e-4, f"{name} makes no difference here"


@pytest.mark.parametrize(("clean_pass", "masks", "equal"), [("eval", "own", True), ("train", "same", True), ("train", "own", False)])
def test_one_clean_pass_is_three_where_it_has_no_dropout(clean_pass: str, masks: str, equal: bool) -> None:
    """A19, with dropout in every pass that learns: sharing is exact without dropout, or were the three to drop the same; else it is not."""
    method = start(0.3, clean_pass=clean_pass)
    _, teacher, student = both_ways(method, {"dropout": True, "clean_dropout": clean_pass == "train", "masks": masks}, steps=2)
    assert (teacher < 1e-10 and student < 1e-10) if equal else teacher > 1e-4
