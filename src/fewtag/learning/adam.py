"""Adam with bias correction (Kingma and Ba 2015), and a vocabulary table whose rows wait until they are read.

A batch reads a few hundred rows of a table of a hundred thousand, yet plain Adam moves every row at every step: a row without a gradient
coasts on its momentum. What a row coasts in k steps has a closed form, so `Table` computes it when the row is next read. The result is
Adam's, up to rounding, at the price of the rows that were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.optim.adamw import adamw

_FORGOTTEN = 512  # steps after which nothing of a momentum is left to coast on: 0.9 ** 512 is 4e-24
_TINY = 1e-30  # keeps 0 / 0 from being NaN in a row that never had a gradient


class Adam:
    """Adam over weights that all have a gradient at every step.

    Args:
        groups: weights and their learning rate.
        betas, epsilon, weight_decay: Adam's; decay is decoupled from the gradient.
    """

    def __init__(
        self, groups: Sequence[tuple[Sequence[Tensor], float]], betas: tuple[float, float], epsilon: float, weight_decay: float
    ) -> None:
        self.groups = [(list(weights), lr) for weights, lr in groups]
        self.betas, self.epsilon, self.weight_decay = betas, epsilon, weight_decay
        every = [weight for weights, _ in self.groups for weight in weights]
        self._first = {id(w): torch.zeros_like(w) for w in every}
        self._second = {id(w): torch.zeros_like(w) for w in every}
        self._steps = {id(w): torch.zeros((), dtype=torch.float32, device=w.device) for w in every}

    @property
    def weights(self) -> list[Tensor]:
        """Every weight, group after group."""
        return [weight for weights, _ in self.groups for weight in weights]

    def step(self, gradients: Sequence[Tensor], scale: Tensor, *, only_last: bool = False) -> None:
        """One step.

        Args:
            gradients: one for each of `weights`; changed in place to what was taken.
            scale: () what each gradient is divided by first.
            only_last: whether weights of no group but the last move.
        """
        inside = scale.dtype == torch.float32  # the kernel divides as it goes, but by float32 only
        if not inside:
            torch._foreach_div_(list(gradients), scale)
        remaining = iter(gradients)
        for number, (weights, lr) in enumerate(self.groups, 1):
            own = [next(remaining) for _ in weights]
            if only_last and number < len(self.groups):
                torch._foreach_zero_(own)
                continue
            adamw(
                [w.detach() for w in weights],
                own,
                [self._first[id(w)] for w in weights],
                [self._second[id(w)] for w in weights],
                [],
                [self._steps[id(w)] for w in weights],
                fused=True,
                grad_scale=scale if inside else None,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=lr,
                weight_decay=self.weight_decay,
                eps=self.epsilon,
                maximize=False,
            )
            # The kernel changes weights without counting it as a change; copies made of them must notice (`MixedLinear`).
            increment_version(weights)

    @torch.no_grad()
    def preconditioned(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """``lr * g / (sqrt(v) + eps)`` with the second moment of now: how far a step goes along each gradient, momentum left out.

        Args:
            gradients: one for each of `weights`; left as they are.
        """
        remaining = iter(gradients)
        return [
            _scaled(next(remaining), self._second[id(w)], 1 - self.betas[1] ** self._steps[id(w)], lr, self.epsilon)
            for weights, lr in self.groups
            for w in weights
        ]

    def state(self) -> dict[str, Any]:
        """Both moments and the count of steps of each weight, by its place."""
        return {
            str(place): {"first": self._first[id(w)], "second": self._second[id(w)], "steps": self._steps[id(w)]}
            for place, w in enumerate(self.weights)
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        for place, weight in enumerate(self.weights):
            for name, kept in (("first", self._first), ("second", self._second), ("steps", self._steps)):
                kept[id(weight)].copy_(state[str(place)][name])


def _scaled(gradient: Tensor, second: Tensor, correction: float | Tensor, lr: float, epsilon: float) -> Tensor:
    """``lr * g / (sqrt(v / correction) + eps)``; 0 where there was no gradient yet, for nothing tells how far a step would go there."""
    far = gradient * lr / (second / correction).sqrt_().add_(epsilon)
    return torch.where(second > 0, far, torch.zeros_like(far))


class Table:
    """Adam over the rows of a table, each brought up to date when it is read.

    A row last moved at step t has, were it moved at every step since, first and second moments ``b1**k m`` and ``b2**k v`` after k more
    steps, and has gone ``lr * m / (sqrt(v) + eps') * waits[t]`` with ``waits[t] = sum over i from t+1 to n of q**(i-t) * c_i``,
    ``q = b1 / sqrt(b2)`` and ``c_i = sqrt(1 - b2**i) / (1 - b1**i)``. ``eps' = eps * sqrt(1 - b2**t)`` is the only approximation.

    Args:
        weight_VD: the table.
        lr, betas, epsilon, weight_decay: Adam's.
    """

    def __init__(self, weight_VD: Tensor, lr: float, betas: tuple[float, float], epsilon: float, weight_decay: float) -> None:
        self.weight_VD = weight_VD
        self.lr, self.betas, self.epsilon = lr, betas, epsilon
        self._keep = 1.0 - lr * weight_decay  # of a weight, at each step
        self.steps = 0
        self._first_VD, self._second_VD = torch.zeros_like(weight_VD), torch.zeros_like(weight_VD)
        self._last_V = torch.zeros(len(weight_VD), dtype=torch.long, device=weight_VD.device)  # the step each row stands at
        self._waits = torch.zeros(1, dtype=torch.float64, device=weight_VD.device)

    @torch.no_grad()
    def read(self, ids: Tensor) -> None:
        """Bring rows that are about to be read up to date.

        Args:
            ids: any shape, with repetitions.
        """
        rows = ids.flatten()
        rows = rows[self._last_V[rows] < self.steps].unique()  # type: ignore[no-untyped-call]
        if not len(rows):
            return
        ages = (self.steps - self._last_V[rows]).unsqueeze(1)
        self.weight_VD[rows] = self._moved(rows)
        self._first_VD[rows] *= self._power(self.betas[0], ages)
        self._second_VD[rows] *= self._power(self.betas[1], ages)
        self._last_V[rows] = self.steps

    def _power(self, base: float, ages: Tensor) -> Tensor:
        return torch.pow(torch.full_like(ages, base, dtype=torch.float64), ages).to(self.weight_VD.dtype)

    def _moved(self, rows: Tensor) -> Tensor:
        """(R, D): the weights of some rows as they would stand now."""
        last = self._last_V[rows]
        corrected = (1.0 - torch.pow(torch.full_like(last, self.betas[1], dtype=torch.float64), last)).sqrt()
        waits, epsilons = ((x.unsqueeze(1)).to(self.weight_VD.dtype) for x in (self.lr * self._waits[last], self.epsilon * corrected))
        divisors = self._second_VD[rows].sqrt_().add_(epsilons).clamp_(min=_TINY)
        kept = self.weight_VD[rows]
        if self._keep != 1.0:
            kept *= self._power(self._keep, (self.steps - last).unsqueeze(1))
        return kept.sub_(self._first_VD[rows].mul_(waits).div_(divisors))

    @torch.no_grad()
    def step(self, rows: Tensor, gradient_RD: Tensor) -> None:
        """One step.

        Args:
            rows: distinct rows that were read, each with a gradient.
            gradient_RD: theirs; every other row's is zero.
        """
        self.read(rows)
        (b1, b2), n = self.betas, self.steps + 1
        self._wait(n)
        first_RD = self._first_VD[rows].lerp_(gradient_RD, 1 - b1)
        second_RD = self._second_VD[rows].mul_(b2).addcmul_(gradient_RD, gradient_RD, value=1 - b2)
        denominators_RD = (second_RD.sqrt() / (1 - b2**n) ** 0.5).add_(self.epsilon)
        self.weight_VD[rows] = (self.weight_VD[rows] * self._keep).addcdiv_(first_RD, denominators_RD, value=-self.lr / (1 - b1**n))
        self._first_VD[rows], self._second_VD[rows], self._last_V[rows] = first_RD, second_RD, n
        self.steps = n

    def _wait(self, n: int) -> None:
        """Add step n to what rows that wait since each earlier step have to coast."""
        (b1, b2), since = self.betas, max(0, n - _FORGOTTEN)
        if self._keep != 1.0:
            self._waits *= self._keep
        ages = torch.arange(n - since, 0, -1, dtype=torch.float64, device=self._waits.device)
        self._waits[since:] += (b1 / b2**0.5) ** ages * ((1 - b2**n) ** 0.5 / (1 - b1**n))
        self._waits = torch.cat([self._waits, self._waits.new_zeros(1)])

    @torch.no_grad()
    def preconditioned(self, rows: Tensor, gradient_RD: Tensor) -> Tensor:
        """(R, D): the same as `Adam.preconditioned`, for rows that were read since the last step."""
        return _scaled(gradient_RD, self._second_VD[rows], 1 - self.betas[1] ** self.steps, self.lr, self.epsilon)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """For the time of a ``with`` the whole table is as plain Adam would have it; afterwards as before: looking changes nothing."""
        late = self._last_V < self.steps
        if self._keep == 1.0:
            late &= self._last_V > 0  # a row that never had a gradient stays where it is
        rows = late.nonzero().squeeze(1)
        with torch.no_grad():
            before_RD = self.weight_VD[rows]
            self.weight_VD[rows] = self._moved(rows)
        try:
            yield
        finally:
            with torch.no_grad():
                self.weight_VD[rows] = before_RD

    def state(self) -> dict[str, Any]:
        """Moments, the step each row stands at, and what there is to coast."""
        return {
            "first": self._first_VD,
            "second": self._second_VD,
            "last": self._last_V,
            "waits": self._waits,
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        for name, kept in (("first", self._first_VD), ("second", self._second_VD), ("last", self._last_V)):
            kept.copy_(state[name])
        self._waits = state["waits"].to(self._waits.device).clone()
        self.steps = int(state["steps"])
