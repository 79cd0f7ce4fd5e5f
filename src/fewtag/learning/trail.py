"""The mean of the weights a network has lately had (Polyak and Juditsky 1992; Izmailov et al. 2018).

A learning rate that stays as it is leaves a network jumping around the place it descends to. The mean of its jumps costs nothing to compute
and one more copy of the weights to hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

EVERY = 5  # steps between snapshots; those between would say little more


@torch.no_grad()
def move(weights: Mapping[str, Tensor], towards: Mapping[str, Tensor], by: float) -> None:
    """Move weights a part of the way.

    Args:
        weights: changed; what is no fraction, such as a counter, is copied.
        towards: by the same names.
        by: 0 stays, 1 arrives.
    """
    for name, value in weights.items():
        if by < 1 and value.is_floating_point():
            value.lerp_(towards[name], by)
        else:
            value.copy_(towards[name])


class Trail:
    """A moving average of snapshots of a network's weights.

    Args:
        network: whose weights; it changes only within `shown`.
        decay: of a step; the average of the first snapshots is their plain mean until ``1 / (1 - decay)`` steps have gone.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay = network, decay**EVERY
        self.clear()

    def clear(self) -> None:
        """Forget every snapshot."""
        self._mean: dict[str, Tensor] = {}
        self._taken = 0

    def take(self) -> None:
        """One more snapshot, of the weights of now: ``mean = d * mean + (1 - d) * weights``, ``d = min(n / (n + 1), decay)`` after n."""
        weights = self._network.state_dict()
        if not self._taken:
            self._mean = {name: value.clone() for name, value in weights.items()}
        else:
            move(self._mean, weights, 1 - min(self._taken / (self._taken + 1), self._decay))
        self._taken += 1

    @contextmanager
    def shown(self) -> Iterator[None]:
        """For the time of a ``with`` the network has the mean for its weights, or its own where there was no snapshot yet."""
        weights = self._network.state_dict() if self._taken else {}
        own = {name: value.clone() for name, value in weights.items()}
        move(weights, self._mean, 1)
        try:
            yield
        finally:
            move(weights, own, 1)

    def state(self) -> dict[str, Any]:
        """Mean and number of snapshots."""
        return {"mean": dict(self._mean), "taken": self._taken}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved `state`."""
        device = next(self._network.parameters()).device
        self._mean = {name: value.detach().to(device).clone() for name, value in state["mean"].items()}
        self._taken = int(state["taken"])
