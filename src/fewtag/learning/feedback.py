"""The student's feedback: what the teacher is told of its pseudo-labels. Sign and scale live here and nowhere else."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from fewtag.config import Config


class FeedbackConfig(Config):
    """How the change of the student's labeled loss becomes the factor of L_meta.

    ``lambda = L_after - L_before`` (paper 3.3). As printed the factor is lambda; the policy gradient of the student's loss after its
    update is the opposite sign (ambiguity A1, proved by enumeration in the tests).
    """

    kind: Literal["difference", "constant", "none"] = "difference"
    sign: Literal["corrected", "printed"] = "corrected"  # A1
    baseline: Literal["per_language", "shared", "none"] = "per_language"  # A7
    decay: float = 0.99  # of the baseline's moving mean and spread; Meta Pseudo Labels uses 0.99
    standardize: bool = True  # A8: divide by the moving spread, so that one weight fits every learning rate
    clip: float = 3.0  # in spreads, where standardized


class Feedback:
    """Turns losses before and after into a factor h, remembering a moving baseline.

    Args:
        config: kind, sign, baseline and scale.
    """

    def __init__(self, config: FeedbackConfig) -> None:
        self.config = config
        self._moments: dict[str, list[float]] = {}  # language -> [steps, moving mean, moving mean square]

    def __call__(self, before: Tensor, after: Tensor, language: str) -> Tensor:
        """h, the factor of L_meta.

        Args:
            before: () the student's labeled loss before its update, no graph.
            after: () the same after, on the same sentences.
            language: whose baseline to use and move.

        Returns:
            () constant.
        """
        config = self.config
        if config.kind == "none":
            return torch.zeros_like(before)
        change = after - before  # lambda_meta
        value = change if config.sign == "printed" else -change
        if config.kind == "constant":
            return torch.ones_like(before)
        if config.baseline == "none" and not config.standardize:
            return value
        return torch.full_like(before, self._standing(float(value), language if config.baseline == "per_language" else "*"))

    def _standing(self, value: float, group: str) -> float:
        config = self.config
        steps, mean, square = self._moments.get(group, [0.0, 0.0, 0.0])
        grown = 1 - config.decay**steps  # corrects the start from zero, as Adam does
        center = mean / grown if steps and config.baseline != "none" else 0.0
        spread = math.sqrt(max(square / grown - (mean / grown) ** 2, 0.0)) if steps else 0.0
        self._moments[group] = [
            steps + 1,
            config.decay * mean + (1 - config.decay) * value,
            config.decay * square + (1 - config.decay) * value**2,
        ]
        if not config.standardize:
            return value - center if steps else 0.0
        if steps < 2 or spread == 0.0:
            return 0.0  # no spread is known yet: silence, not a guess
        return max(-config.clip, min(config.clip, (value - center) / spread))

    def state(self) -> dict[str, Any]:
        """The moving baselines."""
        return {"moments": {group: list(values) for group, values in self._moments.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        self._moments = {group: [float(v) for v in values] for group, values in state["moments"].items()}
