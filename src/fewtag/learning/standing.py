"""A number against its own past: how far it stands from a moving mean, in moving spreads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class _Moments:
    """Numbers so far, moving mean and moving mean square, both not yet corrected for their start from zero."""

    steps: int
    mean: Tensor
    square: Tensor


class Standing:
    """Moving mean and spread by group.

    Args:
        decay: of both.
        clip: the farthest a standing may be, in spreads.
        center: whether the mean is taken off.
        scale: whether the spread is divided by.
    """

    def __init__(self, decay: float, clip: float, *, center: bool, scale: bool) -> None:
        self._decay, self._clip, self._center, self._scale = decay, clip, center, scale
        self._moments: dict[str, _Moments] = {}

    def __call__(self, value: Tensor, group: str) -> Tensor:
        """Where a value stands among those before it; 0 while too few are known. Nothing is asked of the device, so nobody waits for it.

        Args:
            value: () without a graph; joins the past afterwards.
            group: whose past.
        """
        kind = value.dtype
        value = value if value.device.type == "mps" else value.double()  # there is no float64 on mps
        past = self._moments.get(group) or _Moments(0, torch.zeros_like(value), torch.zeros_like(value))
        past = _Moments(past.steps, past.mean.to(value.device), past.square.to(value.device))
        grown = 1 - self._decay**past.steps or 1.0  # corrects the start from zero, as Adam does
        mean = past.mean / grown
        spread = (past.square / grown - mean**2).clamp(min=0).sqrt()
        self._moments[group] = _Moments(
            past.steps + 1,
            self._decay * past.mean + (1 - self._decay) * value,
            self._decay * past.square + (1 - self._decay) * value**2,
        )
        silence = torch.zeros_like(value)
        away = value - mean if self._center else value
        if not self._scale:
            return (away if past.steps else silence).to(kind)
        if past.steps < 2:
            return silence.to(kind)  # no spread is known yet: silence, not a guess
        return torch.where(spread > 0, (away / spread).clamp(-self._clip, self._clip), silence).to(kind)

    def state(self) -> dict[str, Any]:
        """The past, by group."""
        return {group: {"steps": each.steps, "mean": each.mean, "square": each.square} for group, each in self._moments.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`; the next value moves it to the device."""
        self._moments = {group: _Moments(**values) for group, values in state.items()}
