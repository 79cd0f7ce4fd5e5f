"""Is one system better than another? Over sentences: paired bootstrap. Over seeds: paired t-test. Over many comparisons: Holm.

The two tests answer different questions: the bootstrap asks whether these two taggers would differ on other sentences, the t-test whether
the two methods would differ with other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fewtag.errors import ConfigError, DataError
from fewtag.evaluation.bootstrap import Floats, Interval, as_array, f1_of, generator_for, interval_of, resampled_f1
from fewtag.evaluation.report import check_languages
from fewtag.evaluation.span_f1 import Tags, check_mode, count_by_sentence

_ROUNDING = 1e-9  # F1 points: resampled differences closer than this are ties
_PRECISION = 1e-15
_TINY = 1e-300
_MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """What the second system gains over the first, over sentences.

    Args:
        delta: F1 of the second minus F1 of the first, in percent points.
        interval: the middle 95 % of the resampled differences.
        p_value: two-sided.
        resamples: how many the two rest on; p cannot be below 1 / (resamples + 1).
    """

    delta: float
    interval: Interval
    p_value: float
    resamples: int


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences by language, and of the average over languages.

    Args:
        mode: how spans were read, ``"lenient"`` or ``"strict"``.
        by_language: in alphabetical order.
        average: of the mean over languages of F1.
    """

    mode: str
    by_language: dict[str, Difference]
    average: Difference


@dataclass(frozen=True, slots=True)
class TTest:
    """A paired t-test over seeds.

    Args:
        delta: mean difference.
        deviation: sample standard deviation of the differences.
        t: the statistic.
        degrees: of freedom, one less than the number of seeds.
        p_value: two-sided.
    """

    delta: float
    deviation: float
    t: float
    degrees: int
    p_value: float


def paired_bootstrap(
    gold: Mapping[str, Sequence[Tags]],
    first: Mapping[str, Sequence[Tags]],
    second: Mapping[str, Sequence[Tags]],
    *,
    mode: str = "lenient",
    resamples: int = 1000,
    seed: int = 0,
) -> Differences:
    """Compare two systems on the same sentences.

    Both systems are scored on each resample of a language's sentences. The p-value is the share of resamples whose difference lies at
    least as far from the observed difference as that lies from 0, the observed one counted in.

    Args:
        gold, first, second: language -> tag sequences, one per sentence, in the same order.
        mode: ``"lenient"`` or ``"strict"``.
        resamples: how often to draw; at least 1.
        seed: of the draws.

    Raises:
        DataError: when languages, sentences or tags are missing.
        ConfigError: for an unknown mode or no resamples.
    """
    check_mode(mode)
    if resamples < 1:
        raise ConfigError(f"a paired bootstrap needs at least 1 resample, not {resamples}")
    for system in (first, second):
        check_languages(gold, system)
    deltas: dict[str, float] = {}
    drawn: dict[str, Floats] = {}
    for language in sorted(gold):
        if not gold[language]:
            continue
        try:
            counts_SN3 = np.stack([as_array(count_by_sentence(gold[language], s[language], mode)) for s in (first, second)])
        except DataError as error:
            raise DataError(f"language {language}: {error}") from None
        f1_S = f1_of(counts_SN3.sum(axis=1))
        f1_SR = resampled_f1(counts_SN3, resamples, generator_for(seed, language))
        deltas[language], drawn[language] = float(f1_S[1] - f1_S[0]), f1_SR[1] - f1_SR[0]
    by_language = {language: difference_of(deltas[language], drawn[language]) for language in deltas}
    return Differences(mode, by_language, difference_of(float(np.mean(list(deltas.values()))), np.mean(list(drawn.values()), axis=0)))


def difference_of(delta: float, drawn_R: Floats) -> Difference:
    """What an observed difference is worth beside its resampled ones.

    Args:
        delta: observed.
        drawn_R: resampled.
    """
    extreme = int((np.abs(drawn_R - delta) >= abs(delta) - _ROUNDING).sum())
    return Difference(delta, interval_of(drawn_R), (1 + extreme) / (1 + len(drawn_R)), len(drawn_R))


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> TTest:
    """Compare two methods over the same seeds, as the paper does at p < 0.01.

    Args:
        first, second: a score per seed, in the same order of seeds.

    Raises:
        DataError: when the seeds differ in number or are fewer than two: one seed shows nothing.
    """
    if len(first) != len(second):
        raise DataError(f"{len(first)} scores against {len(second)}: a paired test needs the same seeds on both sides")
    size = len(first)
    if size < 2:
        raise DataError(f"a t-test needs at least 2 seeds, found {size}")
    differences = [b - a for a, b in zip(first, second, strict=True)]
    mean = math.fsum(differences) / size
    deviation = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (size - 1))
    t = (math.copysign(math.inf, mean) if mean else 0.0) if deviation == 0 else mean / (deviation / math.sqrt(size))
    return TTest(mean, deviation, t, size - 1, student_p(t, size - 1))


def student_p(t: float, degrees: float) -> float:
    """Two-sided tail of Student's t distribution: P(|T| >= |t|)."""
    if math.isinf(t):
        return 0.0
    return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), a and b positive, x from 0 to 1."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast only below the mean of the distribution; above it the mirrored one does.
    if x > (a + 1) / (a + b + 2):
        return 1 - front * _beta_fraction(b, a, 1 - x) / b
    return front * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method.

    1 / (1 + d_1 / (1 + d_2 / (1 + ...))) with d_(2m) = m (b - m) x / ((a + 2m - 1)(a + 2m)) and
    d_(2m+1) = -(a + m)(a + b + m) x / ((a + 2m)(a + 2m + 1)).
    """
    value = upper = 1.0
    lower = 0.0
    for step in range(1, _MAX_STEPS):
        m = step // 2
        if step % 2 == 0:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        lower = 1 / _away_from_zero(1 + d * lower)
        upper = _away_from_zero(1 + d / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < _PRECISION:
            break
    return 1 / value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for having made several comparisons (Holm's step-down): compare each with the level of the whole family.

    Args:
        p_values: name -> p-value.

    Returns:
        The corrected ones under the same names, in the same order.
    """
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}
