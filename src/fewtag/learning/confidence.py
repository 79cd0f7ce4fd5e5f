"""How much a pseudo-label counts by how sure the teacher is of it, judged against how sure it has been lately.

FreeMatch (Wang et al., ICLR 2023) keeps tokens above a threshold that follows the teacher's mean confidence and how often it says each
tag; SoftMatch (Chen et al., ICLR 2023) weighs them by a Gaussian that is cut off above the mean. In running text nine tokens in ten are O,
so O has statistics of its own in both: with common ones every label's threshold would fall to nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
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
        self._mean_2 = torch.full((2,), 1.0 / tags)  # of tokens called O, and of all others; a uniform start, as in FreeMatch
        self._square_2 = self._mean_2**2 + 1.0  # SoftMatch's start: mean 1 / C, variance 1
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
        group_BT = (tags_BT != _OUTSIDE).long()
        self._move(probs_BTC, highest_BT, group_BT, mask_BT)
        if self.config.kind == "free":
            kept_BT = highest_BT > self._thresholds()[tags_BT]
            return (kept_BT & mask_BT).to(probs_BTC.dtype)
        mean_BT = self._mean_2[group_BT]
        variance_BT = (self._square_2 - self._mean_2**2).clamp(min=torch.finfo(highest_BT.dtype).tiny)[group_BT]
        below_BT = (highest_BT - mean_BT).clamp(max=0)
        weights_BT = torch.exp(-(below_BT**2) * self.config.spreads**2 / (2 * variance_BT))
        return weights_BT.where(mask_BT, torch.zeros_like(weights_BT))

    def _thresholds(self) -> Tensor:
        """(C,): FreeMatch's ``tau * p_c / max p`` among tags of labels, and O's mean confidence for O."""
        labels_C = self._often_C[1:] / self._often_C[1:].max()
        return torch.cat([self._mean_2[:1], self._mean_2[1] * labels_C])

    def _move(self, probs_BTC: Tensor, highest_BT: Tensor, group_BT: Tensor, mask_BT: Tensor) -> None:
        keep = self.config.decay
        self._mean_2, self._square_2, self._often_C = (each.to(probs_BTC) for each in (self._mean_2, self._square_2, self._often_C))
        for group in (0, 1):
            own_BT = (mask_BT & (group_BT == group)).to(probs_BTC.dtype)
            count = over_ranks(own_BT.sum())
            mean, square = (over_ranks((own_BT * value).sum()) / count.clamp(min=1) for value in (highest_BT, highest_BT**2))
            for moving, value in ((self._mean_2, mean), (self._square_2, square)):
                moving[group] = torch.where(count > 0, keep * moving[group] + (1 - keep) * value, moving[group])
        often_C = over_ranks((probs_BTC * mask_BT.unsqueeze(-1)).sum((0, 1))) / over_ranks(mask_BT.sum()).clamp(min=1)
        self._often_C = keep * self._often_C + (1 - keep) * often_C

    def state(self) -> dict[str, Any]:
        """The moving statistics."""
        return {"mean": self._mean_2, "square": self._square_2, "often": self._often_C}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        self._mean_2, self._square_2, self._often_C = (state[name].clone() for name in ("mean", "square", "often"))
