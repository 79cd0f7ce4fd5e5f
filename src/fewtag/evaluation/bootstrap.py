"""Percentile bootstrap over sentences: how much F1 would move had other sentences been drawn.

Letters: S systems, N sentences, R resamples. Systems share each resample, so their differences are paired.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fewtag.errors import ConfigError
from fewtag.evaluation.span_f1 import Counts

Interval = tuple[float, float]
LEVEL = 95.0  # percent
_BLOCK = 1 << 20  # drawn sentence numbers held at once: bounds memory whatever N and R

Floats = npt.NDArray[np.float64]


def check_resamples(resamples: int) -> int:
    """The number, if it is one of resamples.

    Raises:
        ConfigError: when negative.
    """
    if resamples < 0:
        raise ConfigError(f"bootstrap resamples must be 0 or more, not {resamples}")
    return resamples


def as_array(counts: Sequence[Counts]) -> Floats:
    """(N, 3) correct, predicted and gold spans of each sentence over all labels."""
    rows = [[sum(each[place] for each in sentence.values()) for place in range(3)] for sentence in counts]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def generator_for(seed: int, language: str) -> np.random.Generator:
    """Draws for one language that do not depend on which other languages are scored."""
    return np.random.default_rng([seed, zlib.crc32(language.encode())])


def f1_of(counts: Floats) -> Floats:
    """F1 in percent over the last axis (correct, predicted, gold); 0 where nothing is gold and nothing predicted."""
    spans = counts[..., 1] + counts[..., 2]
    return np.asarray(200.0 * counts[..., 0] / np.where(spans > 0, spans, 1.0))


def resampled_f1(counts_SN3: Floats, resamples: int, generator: np.random.Generator) -> Floats:
    """(S, R) micro-F1 in percent, each over N sentences drawn with replacement.

    Args:
        counts_SN3: correct, predicted and gold spans by system and sentence; N at least 1.
        resamples: R.
        generator: of the draws.
    """
    systems, size, _ = counts_SN3.shape
    flat = counts_SN3.transpose(1, 0, 2).reshape(size, systems * 3)
    block = max(1, _BLOCK // size)
    parts = []
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        drawn = generator.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
        parts.append(f1_of((weights @ flat).reshape(rows, systems, 3)).T)
    return np.concatenate(parts, axis=1) if parts else np.zeros((systems, 0))


def interval_of(values_R: Floats) -> Interval:
    """The middle 95 % of resampled values."""
    low, high = np.percentile(values_R, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)
