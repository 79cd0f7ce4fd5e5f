"""How much a pseudo-label counts by how sure the teacher is of it, judged against how sure it has been lately.

FreeMatch (Wang et al., ICLR 2023) keeps tokens above a threshold that follows the teacher's mean confidence and how often it says each
tag; SoftMatch (Chen et al., ICLR 2023) weighs them by a Gaussian that is cut off above the mean. In running text nine tokens in ten are O,
so O has statistics of its own in both: with common ones every label's threshold would fall to nothing.

SoftMatch's mean and spread are of each tag, B- and I- of a label apart: whichever of the two is less sure by nature would always count less
beside the other. A tag that has not been seen yet keeps a start so wide that it counts in full. FreeMatch has one mean for all tags of
labels; what tells them apart is how often each is said.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.losses import precise
from fewtag.learning.parallel import over_ranks

_OUTSIDE = 0  # id of O in every tag set


class ConfidenceConfig(Config):
    """Which weights pseudo-labels get."""

    kind: Literal["all", "free", "soft"] = "all"  # all: every token counts alike (the paper's student)
    decay: Share = 0.99  # of the moving statistics; the papers' 0.999 is for runs of a hundred thousand steps
    spreads: PositiveFloat = 2.0  # soft: SoftMatch's n_sigma


class Confidence:
    """Moving statistics of a teacher's confidence, and the weights that follow from them.

    Args:
        config: kind and speed.
        tags: C.
    """

    def __init__(self, config: ConfidenceConfig, tags: int) -> None:
        self.config = config
        # Whose confidence is averaged together, by the tag a token is called. G groups: O and all others, or (soft) every tag alone.
        self._group_C = torch.arange(tags) if config.kind == "soft" else (torch.arange(tags) != _OUTSIDE).long()
        self._mean_G = torch.full((int(self._group_C.max()) + 1,), 1.0 / tags)  # a uniform start, as in FreeMatch
        self._square_G = self._mean_G**2 + 1.0  # SoftMatch's start: mean 1 / C, variance 1
        self._often_C = torch.full((tags,), 1.0 / tags)

    def weights(self, logits_BTC: Tensor, mask_BT: Tensor) -> Tensor | None:
        """(B, T) in [0, 1], constants; None where every token counts alike. Moves the statistics first.

        Args:
            logits_BTC: the teacher's.
            mask_BT: tokens that count.
        """
        if self.config.kind == "all":
            return None
        probs_BTC = precise(logits_BTC.detach()).softmax(-1)
        highest_BT, tags_BT = probs_BTC.max(-1)
        self._group_C = self._group_C.to(tags_BT.device)
        group_BT = self._group_C[tags_BT]
        self._move(probs_BTC, highest_BT, group_BT, mask_BT)
        if self.config.kind == "free":
            kept_BT = highest_BT > self._thresholds()[tags_BT]
            return (kept_BT & mask_BT).to(probs_BTC.dtype)
        mean_BT = self._mean_G[group_BT]
        finest = torch.finfo(highest_BT.dtype).eps  # less is rounding: the difference is of two numbers near 1
        variance_BT = (self._square_G - self._mean_G**2).clamp(min=finest)[group_BT]
        below_BT = (highest_BT - mean_BT).clamp(max=0)
        weights_BT = torch.exp(-(below_BT**2) * self.config.spreads**2 / (2 * variance_BT))
        return weights_BT.where(mask_BT, torch.zeros_like(weights_BT))

    def _thresholds(self) -> Tensor:
        """(C,): FreeMatch's ``tau * p_c / max p`` among tags of labels, and O's mean confidence for O."""
        labels_C = self._often_C[1:]
        if len(labels_C):  # else nothing but O was ever seen
            labels_C = labels_C / labels_C.max()
        return torch.cat([self._mean_G[:1], self._mean_G[1:2] * labels_C])

    def _move(self, probs_BTC: Tensor, highest_BT: Tensor, group_BT: Tensor, mask_BT: Tensor) -> None:
        keep = self.config.decay
        self._mean_G, self._square_G, self._often_C = (each.to(probs_BTC) for each in (self._mean_G, self._square_G, self._often_C))
        own_BTG = F.one_hot(group_BT, len(self._mean_G)).to(probs_BTC.dtype) * mask_BT.unsqueeze(-1)
        count_G = over_ranks(own_BTG.sum((0, 1)))

        def moved(moving_G: Tensor, value_BT: Tensor) -> Tensor:
            mean_G = over_ranks((own_BTG * value_BT.unsqueeze(-1)).sum((0, 1))) / count_G.clamp(min=1)
            return torch.where(count_G > 0, keep * moving_G + (1 - keep) * mean_G, moving_G)

        self._mean_G, self._square_G = moved(self._mean_G, highest_BT), moved(self._square_G, highest_BT**2)
        often_C = over_ranks((probs_BTC * mask_BT.unsqueeze(-1)).sum((0, 1))) / over_ranks(mask_BT.sum()).clamp(min=1)
        self._often_C = keep * self._often_C + (1 - keep) * often_C

    def state(self) -> dict[str, Any]:
        """The moving statistics."""
        return {"mean": self._mean_G, "square": self._square_G, "often": self._often_C}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        self._mean_G, self._square_G, self._often_C = (state[name].clone() for name in ("mean", "square", "often"))
