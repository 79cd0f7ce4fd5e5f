"""Distillation: one tagger learns what several say together (Hinton et al. 2015), on raw text and beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fewtag.learning.adversarial import AdversaryConfig, worst_divergence
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.losses import cross_entropy, precise
from fewtag.learning.pseudo_labels import label
from fewtag.learning.seeding import Key
from fewtag.tagger.batch import Batch


def mean_of(members: Sequence[Learner], batch: Batch, key: Key) -> Tensor:
    """probs_BTC: the mean of the members' distributions, in evaluation mode, a constant.

    Args:
        members: at least one.
        batch: what to tag.
        key: of this step.
    """
    each = [member.passes(key, "pseudo", Pass(batch, dropout=False, graph=False))[0] for member in members]
    return torch.stack([precise(logits_BTC).softmax(-1) for logits_BTC in each]).mean(0)


def distill_step(
    student: Learner,
    members: Sequence[Learner],
    label_smoothing: float,
    weight_adversary: float = 0.0,
    adversary: AdversaryConfig = AdversaryConfig(),  # noqa: B008
    labels: str = "soft",
    label_threshold: float = 0.0,
) -> Callable[..., dict[str, Tensor]]:
    """The step in which the student takes one descent on the members' mean distribution of raw text, and on labels.

    Args:
        student: who learns.
        members: who are asked; they do not change.
        label_smoothing: of the labels.
        weight_adversary: of virtual adversarial training on the raw text.
        adversary: how that searches.
        labels, label_threshold: what is made of the mean distribution, see `fewtag.learning.pseudo_labels.label`.
    """

    def step(labeled: Batch | None, unlabeled: Batch | None, key: Key, judge: Batch | None = None) -> dict[str, Tensor]:
        assert labeled is not None and labeled.tag_ids_BT is not None and unlabeled is not None, "distillation needs both kinds of text"
        pseudo = label(labels, mean_of(members, unlabeled, key).log(), unlabeled.token_mask_BT, label_threshold)
        labeled_BTC, raw_BTC = student.passes(key, "supervised", Pass(labeled), Pass(unlabeled))
        sup = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=label_smoothing).mean
        taught = pseudo.against(raw_BTC).mean
        worst = worst_divergence(student, unlabeled, key, "worst", adversary).mean if weight_adversary else taught.new_zeros(())
        student.descend(sup + taught + weight_adversary * worst)
        told = {"student": taught.detach(), "supervised": sup.detach()}
        return {**told, "worst": worst.detach()} if weight_adversary else told

    return step
