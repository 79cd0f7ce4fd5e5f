"""Distillation: one tagger learns what several say together (Hinton et al. 2015), on raw text and beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.adversarial import AdversaryConfig, mean_worst
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.losses import cross_entropy, precise
from fewtag.learning.parallel import share
from fewtag.learning.pseudo_labels import label
from fewtag.learning.seeding import Key
from fewtag.methods.method import Said
from fewtag.tagger.batch import Batch

Targets = Literal["soft", "sharpened", "reweighted", "soft-high"]  # the teachers' mean distribution, its square, or BOND's of it


class DistillConfig(Config):
    """What the student is told of raw text, and what else it learns by."""

    label_smoothing: Share = 0.15  # paper section 5, for parity with the other rows; of the labels
    labels: Targets = "soft"
    label_threshold: Share = 0.9  # of soft-high, as in BOND
    # Of virtual adversarial training of the student on raw text
    weight_adversary: NonNegativeFloat = 0.0
    adversary: AdversaryConfig = AdversaryConfig()


def mean_of(
    members: Sequence[Learner], batch: Batch, key: Key, others: Sequence[Learner] = (), weights: Sequence[float] | None = None
) -> Tensor:
    """probs_BTC: the mean of the members' distributions, in evaluation mode, a constant.

    Args:
        members: at least one.
        batch: what to tag.
        key: of this step.
        others: members that have the batch's second encoder.
        weights: of all, in this order, with a sum of 1; None: all alike.
    """
    asked = [(member, batch) for member in members] + [(other, batch.for_second()) for other in others]
    each = [member.passes(key, "pseudo", Pass(own, dropout=False, graph=False))[0] for member, own in asked]
    probs_MBTC = torch.stack([precise(logits_BTC).softmax(-1) for logits_BTC in each])
    if weights is None:
        return probs_MBTC.mean(0)
    return torch.einsum("m,mbtc->btc", probs_MBTC.new_tensor(weights), probs_MBTC)


def distill_step(
    student: Learner,
    ask: Callable[[Batch, Key], Tensor],
    config: DistillConfig,
    tell: Callable[[Said], None] | None = None,
    own: Callable[[Batch], Batch] = lambda batch: batch,
) -> Callable[..., dict[str, Tensor]]:
    """The step in which the student takes one descent on what its teachers say together of raw text, and on labels.

    Args:
        student: who learns.
        ask: gives probs_BTC of a raw batch.
        config: what is made of them.
        tell: is told the pseudo-labels of each step.
        own: a batch as the student's encoder reads it; the teachers are asked about the batch as it comes.
    """
    c = config

    def step(labeled: Batch | None, unlabeled: Batch | None, key: Key, judge: Batch | None = None) -> dict[str, Tensor]:
        assert labeled is not None and unlabeled is not None, "distillation needs both kinds of text"
        mean_BTC, mask_BT = ask(unlabeled, key), unlabeled.token_mask_BT
        labeled, unlabeled = own(labeled), own(unlabeled)
        assert labeled.tag_ids_BT is not None, "distillation needs labels"
        pseudo = label(c.labels, mean_BTC.log(), mask_BT, c.label_threshold)  # log p is a logit
        if tell is not None:
            tell(Said.of(unlabeled, pseudo, mean_BTC))
        labeled_BTC, raw_BTC = student.passes(key, "supervised", Pass(labeled), Pass(unlabeled))
        sup = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=c.label_smoothing).mean
        taught = pseudo.against(raw_BTC).mean
        worst = mean_worst(student, unlabeled, key, "worst", c.adversary, c.weight_adversary)
        student.descend(sup + taught + c.weight_adversary * worst)
        told = {"student": taught.detach(), "supervised": sup.detach(), "kept": share(pseudo.mask_BT, mask_BT)}
        return {**told, "worst": worst.detach()} if c.weight_adversary else told

    return step
