"""What a curve says to someone who labels: how many more, stop, or that the data do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fewtag.experiments.saturation import Curve, fit, middle

Triple = tuple[float, float, float]
Kind = Literal["more", "reached", "flat", "out of reach", "cannot say"]
FLAT = 1.0  # F1: when twice the labels bring less than this for sure, labeling is not worth it (our choice)
FARTHEST = 16.0  # times the largest size measured: beyond, the shape of the curve says more than the data (our choice)


@dataclass(frozen=True)
class Forecast:
    """The outlook of one language.

    Args:
        language: its code.
        target: the F1 asked for.
        kind: what can be said.
        sentence: the same for people.
        sizes, scores: the measurements.
        ceiling: where the curve levels out: lower end, median, upper end; None without a curve.
        now: its score at the largest size measured.
        doubled: what twice as many labels would add.
        more: labeled sentences still to go; infinite ends are None in JSON.
    """

    language: str
    target: float
    kind: Kind
    sentence: str
    sizes: tuple[float, ...]
    scores: tuple[float, ...]
    ceiling: Triple | None = None
    now: Triple | None = None
    doubled: Triple | None = None
    more: Triple | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: _finite(value) for key, value in asdict(self).items()}


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(each) for each in value]
    return None if value == float("inf") else value


def forecast(
    language: str, sizes: Sequence[float], scores: Sequence[float], target: float, *, seed: int = 13
) -> tuple[Forecast, Curve | None]:
    """The outlook of a language, and the curves it rests on.

    Args:
        language: its code.
        sizes, scores: F1 in percent at numbers of labeled sentences.
        target: F1 in percent to reach.
        seed: of the draws.
    """
    curve = fit(sizes, scores, seed=seed)
    measured = (tuple(map(float, sizes)), tuple(map(float, scores)))
    if curve is None:
        why = f"a curve takes three sizes and four runs at least, and there are {len(set(sizes))} and {len(sizes)}"
        return Forecast(language, target, "cannot say", f"cannot say for {language}: {why}", *measured), None
    most = max(sizes)
    now, doubled = middle(curve.at(most)), middle(curve.at(2 * most) - curve.at(most))
    low, median, high = (size - float(most) for size in middle(curve.size_for(target)))
    kind, sentence = _verdict(language, target, most, now, doubled, middle(curve.ceiling), (low, median, high))
    more = (max(0.0, low), max(0.0, median), max(0.0, high))
    return Forecast(language, target, kind, sentence, *measured, middle(curve.ceiling), now, doubled, more), curve


def _verdict(language: str, target: float, most: float, now: Triple, doubled: Triple, ceiling: Triple, more: Triple) -> tuple[Kind, str]:
    goal = f"{target:g} in {language}"
    if now[1] >= target:
        return "reached", f"{goal} is reached: the curve stands at {now[1]:.1f} with {most:.0f} labeled sentences ({_range(now)})"
    if doubled[2] < FLAT:
        stands = f"it stands at {now[1]:.1f} ({_range(now)})"
        return "flat", f"flat: stop. Twice the labels would bring {language} {doubled[2]:.1f} at most; {stands}"
    low, median, high = more
    if low == float("inf"):
        return "out of reach", f"{goal} is out of reach of labels alone: the curve levels out near {ceiling[1]:.0f} ({_range(ceiling)})"
    farthest = FARTHEST * most
    if low > farthest:
        far = f"more than {rounded(farthest)} more labeled sentences"
        return "cannot say", f"cannot say: {goal} would take {far}, too far from those measured"
    if high > farthest:
        reach = f"anything from {rounded(max(0.0, low))} to more than {rounded(farthest)} more labeled sentences"
        return "cannot say", f"cannot say: {goal} may take {reach}; the curve levels out anywhere in {_range(ceiling)}"
    between = f"between {rounded(max(0.0, low))} and {rounded(high)}"
    return "more", f"about {rounded(median)} more labeled sentences to reach {goal} ({between})"


def _range(values: Triple) -> str:
    return f"{values[0]:.1f} to {values[2]:.1f}"


def rounded(value: float) -> str:
    """A number of sentences with two digits: 1234 as 1,200."""
    digits = max(0, len(str(int(value))) - 2)
    return f"{round(value, -digits):,.0f}"
