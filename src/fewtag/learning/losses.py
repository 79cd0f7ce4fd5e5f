"""Losses as (sum, count) pairs, so that batches and ranks add up exactly.

Letters: B rows, T tokens, C tags.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fewtag.learning.parallel import over_ranks
from fewtag.tagger.batch import IGNORED


@dataclass(frozen=True, slots=True)
class Term:
    """A loss before it is divided: the sum over tokens and how many tokens count.

    Args:
        total: () sum over tokens, with its graph.
        count: () number of tokens to divide by.
    """

    total: Tensor
    count: Tensor

    @property
    def mean(self) -> Tensor:
        """() ``total / count``, and 0 (still with a graph) when nothing counts; of several ranks each has its part of the mean."""
        return self.total / over_ranks(self.count).clamp(min=1)


def per_sentence(mask_BT: Tensor) -> Tensor:
    """weights_BT that make a mean over the tokens of a mask the mean over rows of each row's own mean (ambiguity A9).

    Args:
        mask_BT: tokens that count; rows without any have no part in the mean.
    """
    tokens_B = mask_BT.sum(-1)
    average = over_ranks(tokens_B.sum()) / over_ranks((tokens_B > 0).sum()).clamp(min=1)
    return (average / tokens_B.clamp(min=1)).unsqueeze(-1).expand(mask_BT.shape)


def precise(logits_BTC: Tensor) -> Tensor:
    """The same in float32, or in float64 where it is so already: losses are never taken in half precision."""
    return logits_BTC if logits_BTC.dtype == torch.float64 else logits_BTC.float()


def only(values_BTC: Tensor, mask_BT: Tensor) -> Tensor:
    """The same, with 0 where the mask is False.

    A padded token may hold anything: of a NaN even a gradient of 0 times it is NaN, so it has to go before anything is made of it.
    """
    return values_BTC.where(mask_BT.unsqueeze(-1), values_BTC.new_zeros(()))


def cross_entropy(logits_BTC: Tensor, tag_ids_BT: Tensor, *, smoothing: float = 0.0, weights_BT: Tensor | None = None) -> Term:
    """Cross-entropy with label smoothing: (1 - s) * NLL + s * mean over tags of -log p, summed over tokens (paper section 5).

    Args:
        logits_BTC: float32 logits.
        tag_ids_BT: targets; ``IGNORED`` counts neither in the sum nor in the count.
        smoothing: s, in [0, 1).
        weights_BT: of each token's part in the sum; the count stays that of the tokens.
    """
    counts_BT = tag_ids_BT != IGNORED
    each = F.cross_entropy(
        only(precise(logits_BTC), counts_BT).flatten(0, 1),
        tag_ids_BT.flatten(),
        ignore_index=IGNORED,
        label_smoothing=smoothing,
        reduction="sum" if weights_BT is None else "none",
    )
    total = each if weights_BT is None else (each * weights_BT.flatten()).sum()
    return Term(total, counts_BT.sum())


def divergence(logits_BTC: Tensor, target_BTC: Tensor, mask_BT: Tensor) -> Term:
    """Kullback-Leibler divergence of a prediction from a constant target, summed over the tokens of a mask; 0 where they agree.

    Args:
        logits_BTC: the prediction's.
        target_BTC: distributions.
        mask_BT: which tokens count.
    """
    logits_BTC, target_BTC = only(precise(logits_BTC), mask_BT), only(target_BTC, mask_BT)
    return Term((torch.xlogy(target_BTC, target_BTC) - target_BTC * F.log_softmax(logits_BTC, dim=-1)).sum(-1).sum(), mask_BT.sum())


def squared_distance(logits_BTC: Tensor, target_BTC: Tensor, mask_BT: Tensor) -> Term:
    """Mean over tags of the squared difference of probabilities, summed over the tokens of a mask.

    Args:
        logits_BTC: the prediction's.
        target_BTC: distributions, constants.
        mask_BT: which tokens count.
    """
    apart_BTC = only(only(precise(logits_BTC), mask_BT).softmax(-1) - target_BTC, mask_BT)
    return Term(apart_BTC.pow(2).mean(-1).sum(), mask_BT.sum())


def soft_cross_entropy(
    logits_BTC: Tensor, target_BTC: Tensor, mask_BT: Tensor, count: Tensor | None = None, weights_BT: Tensor | None = None
) -> Term:
    """-sum over tags of target * log p, summed over the tokens of a mask.

    Args:
        logits_BTC: float32 logits.
        target_BTC: weights per tag, constants here (no gradient is taken into them unless they carry a graph).
        mask_BT: which tokens add to the sum.
        count: what to divide by; the mask's tokens when None.
        weights_BT: of each token's part in the sum.
    """
    per_token_BT = -(only(target_BTC, mask_BT) * F.log_softmax(only(precise(logits_BTC), mask_BT), dim=-1)).sum(-1)
    total = (per_token_BT if weights_BT is None else per_token_BT * weights_BT).sum()
    return Term(total, mask_BT.sum() if count is None else count)
