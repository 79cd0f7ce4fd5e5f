"""A saturating curve through scores at several sizes, with what the data leave open: F1 = a - b * n^-c, c > 0.

The power law with a ceiling is the usual shape of learning curves (Hestness et al. 2017, section 3; Viering and Loog 2022, section 4.1).

What the data leave open is given by draws from the posterior of (a, b, c) under normal noise of unknown spread, within bounds: 0 <= b,
0 <= score at the smallest size, a <= 100, and c from 0.1 to 2 (our choice: slower than 0.1 looks like a logarithm over any sizes one can
label, faster than 2 like a step). The priors are flat in a, in the score at the smallest size, and in the logarithms of c and of the
spread. There are only three numbers to draw, so the posterior is computed on a grid that closes in on where it lies. Drawing seeds or
points again instead (a bootstrap) was tried and leaves too much out, for three seeds hold too little of what chance can do (LOG.md,
2026-11-25).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewtag.evaluation.bootstrap import LEVEL

Floats = npt.NDArray[np.float64]
EXPONENTS = (0.1, 2.0)
_DRAWS = 4000
_GRID = 48  # values of each number
_ZOOMS = 4  # the grid begins with all that is allowed, and closes in
_FAINT = 1e-6  # of the highest weight: what is fainter is left outside
_FINEST = 0.05  # F1; scores of a run are not more exact than this, however well they lie on a curve


@dataclass(frozen=True)
class Curve:
    """Draws of curves that the data allow.

    Args:
        ceiling, rise, exponent: a, b and c, one of each a draw; n counts in units of ``smallest``.
        smallest: the smallest size of the data.
    """

    ceiling: Floats
    rise: Floats
    exponent: Floats
    smallest: float

    def at(self, size: float) -> Floats:
        """F1 at a size, by draw."""
        return np.asarray(self.ceiling - self.rise * (size / self.smallest) ** -self.exponent)

    def size_for(self, target: float) -> Floats:
        """Labels it takes to reach a score, by draw; infinite where the ceiling is not above it."""
        above = self.ceiling - target
        with np.errstate(divide="ignore", over="ignore"):
            sizes = self.smallest * (self.rise / np.where(above > 0, above, 1.0)) ** (1.0 / self.exponent)
        return np.where(above > 0, sizes, np.inf)


def middle(draws: Floats) -> tuple[float, float, float]:
    """Lower end of the 95 % interval, median, upper end; each may be infinite."""
    ordered = np.sort(draws)
    places = [(100 - LEVEL) / 200, 0.5, (100 + LEVEL) / 200]
    low, median, high = (ordered[min(len(ordered) - 1, int(place * len(ordered)))] for place in places)
    return float(low), float(median), float(high)


def fit(sizes: Sequence[float], scores: Sequence[float], *, seed: int = 13) -> Curve | None:
    """Curves that the scores allow.

    Args:
        sizes: number of labels of each measurement; several measurements may share one.
        scores: F1 in percent, one for each size.
        seed: of the draws.

    Returns:
        The draws; None where there are fewer than three different sizes or four measurements.
    """
    n, y = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(np.unique(n)) < 3 or len(n) < 4:
        return None
    # The grid's coordinates: the curve's score at the smallest and at the largest size, which data pin down well, and log c.
    allowed = np.array([[0.0, 100.0], [0.0, 100.0], np.log(EXPONENTS)])
    box = allowed
    for _ in range(_ZOOMS):
        axes = [np.linspace(low, high, _GRID) for low, high in box]
        weights = _weights(axes, n, y)
        inside = np.argwhere(weights > _FAINT)
        steps = np.array([axis[1] - axis[0] for axis in axes])
        first, last = (np.array([axis[place] for axis, place in zip(axes, edge, strict=True)]) for edge in (inside.min(0), inside.max(0)))
        box = np.stack([np.maximum(first - steps, allowed[:, 0]), np.minimum(last + steps, allowed[:, 1])], axis=1)
    generator = np.random.default_rng(seed)
    flat = weights.ravel() / weights.sum()
    chosen = np.unravel_index(generator.choice(flat.size, size=_DRAWS, p=flat), weights.shape)
    within = (generator.random((3, _DRAWS)) - 0.5) * steps[:, None]
    begin, end, log_c = (axis[place] + shift for axis, place, shift in zip(axes, chosen, within, strict=True))
    exponent = np.exp(log_c)
    left = (n.max() / n.min()) ** -exponent
    ceiling = np.clip(begin + np.maximum(end - begin, 0.0) / (1 - left), 0.0, 100.0)
    return Curve(ceiling, np.maximum(ceiling - begin, 0.0), exponent, float(n.min()))


def _weights(axes: Sequence[Floats], n: Floats, y: Floats) -> Floats:
    """The posterior over (score at the smallest size, score at the largest, log c) up to a factor, 1 at its highest; the spread is
    integrated out: (sum of squares)^(-m/2) for m measurements (Gelman et al. 2013, section 3.2)."""
    begin, end = axes[0][:, None, None], axes[1][None, :, None]
    exponents = np.exp(axes[2])
    left = (n.max() / n.min()) ** -exponents  # of the distance to the ceiling, at the largest size
    w_MK = (1 - (n / n.min())[:, None] ** -exponents) / (1 - left)  # f = begin * (1 - w) + end * w
    u_MK = 1 - w_MK
    squares = (y**2).sum() - 2 * (begin * (u_MK.T @ y) + end * (w_MK.T @ y))
    squares = squares + begin**2 * (u_MK**2).sum(0) + end**2 * (w_MK**2).sum(0) + 2 * begin * end * (u_MK * w_MK).sum(0)
    log_weights = -0.5 * len(n) * np.log(np.maximum(squares, 0.0) + len(n) * _FINEST**2) - np.log(1 - left)  # flat in a, not in end
    ceiling = begin + (end - begin) / (1 - left)
    log_weights = np.where((end >= begin) & (ceiling <= 100), log_weights, -np.inf)
    return np.asarray(np.exp(log_weights - log_weights.max()))
