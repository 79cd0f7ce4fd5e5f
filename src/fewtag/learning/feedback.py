"""The student's feedback: what the teacher is told of its pseudo-labels. Sign and scale live here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Moments:
    """Steps so far, moving mean and moving mean square, both not yet corrected for their start from zero."""

    steps: int
    mean: Tensor
    square: Tensor


class Feedback:
    """Turns losses before and after into a factor h, remembering a moving baseline.

    Args:
        config: kind, sign, baseline and scale.
    """

    def __init__(self, config: FeedbackConfig) -> None:
        self.config = config
        self._moments: dict[str, _Moments] = {}  # by language

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
        return self._standing(value, language if config.baseline == "per_language" else "*").to(before.dtype)

    def _standing(self, value: Tensor, group: str) -> Tensor:
        """A value against its group's past. Nothing is asked of the device, so that a GPU need not be waited for."""
        config = self.config
        value = value if value.device.type == "mps" else value.double()  # there is no float64 on mps
        past = self._moments.get(group) or _Moments(0, torch.zeros_like(value), torch.zeros_like(value))
        past = _Moments(past.steps, past.mean.to(value.device), past.square.to(value.device))
        grown = 1 - config.decay**past.steps or 1.0  # corrects the start from zero, as Adam does
        center = past.mean / grown
        spread = (past.square / grown - center**2).clamp(min=0).sqrt()
        self._moments[group] = _Moments(
            past.steps + 1,
            config.decay * past.mean + (1 - config.decay) * value,
            config.decay * past.square + (1 - config.decay) * value**2,
        )
        silence = torch.zeros_like(value)
        away = value if config.baseline == "none" else value - center
        if not config.standardize:
            return away if past.steps else silence
        if past.steps < 2:
            return silence  # no spread is known yet: silence, not a guess
        return torch.where(spread > 0, (away / spread).clamp(-config.clip, config.clip), silence)

    def state(self) -> dict[str, Any]:
        """The moving baselines."""
        return {
            "moments": {group: {"steps": each.steps, "mean": each.mean, "square": each.square} for group, each in self._moments.items()}
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`; the first step afterwards moves it to the device."""
        self._moments = {group: _Moments(**values) for group, values in state["moments"].items()}
