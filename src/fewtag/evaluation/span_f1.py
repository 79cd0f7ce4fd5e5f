"""Exact span F1: a predicted span counts when start, end and label all agree with a gold span.

Two modes. ``lenient`` reads tags as conlleval does, where an ``I-`` that continues no span begins one. ``strict`` is IOB2 to the
letter: only what begins with ``B-`` is a span. Gold and predicted tags are read alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fewtag.errors import ConfigError, DataError, unknown
from fewtag.text.tags import spans_of

MODES = ("lenient", "strict")
Tags = Sequence[str]
Counts = dict[str, list[int]]  # label -> [correct, predicted, gold]


@dataclass(frozen=True, slots=True)
class Score:
    """Three counts; everything else is derived.

    Args:
        correct: spans both predicted and gold.
        predicted: predicted spans.
        gold: gold spans.
    """

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """Percent of predicted spans that are right; 0 when none is predicted."""
        return 100.0 * self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Percent of gold spans that were found; 0 when there is none."""
        return 100.0 * self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two, in percent; 0 when nothing is gold and nothing predicted."""
        return 200.0 * self.correct / (self.predicted + self.gold) if self.predicted + self.gold else 0.0


def check_mode(mode: str) -> str:
    """The mode, if it is one.

    Raises:
        ConfigError: otherwise.
    """
    if mode not in MODES:
        raise ConfigError(unknown("scoring mode", mode, MODES))
    return mode


def check_lengths(gold: Sequence[Tags], predicted: Sequence[Tags]) -> None:
    """Refuse predictions that do not cover the gold: what was cut off would otherwise be scored as if it had never been there.

    Raises:
        DataError: naming the first sentence (counted from 1) whose tags differ in number.
    """
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} gold sentences but {len(predicted)} predicted ones; predict every sentence, in the order of the gold")
    for index, (g, p) in enumerate(zip(gold, predicted, strict=True), 1):
        if len(g) != len(p):
            raise DataError(f"sentence {index}: {len(g)} gold tags but {len(p)} predicted ones; a prediction must cover every token")


def count_by_sentence(gold: Sequence[Tags], predicted: Sequence[Tags], mode: str = "lenient") -> list[Counts]:
    """Per sentence label -> [correct, predicted, gold].

    Args:
        gold, predicted: tag sequences, one per sentence, in the same order.
        mode: ``"lenient"`` or ``"strict"``.

    Raises:
        ConfigError: for another mode.
        DataError: when sentences or tags are missing.
    """
    strict = check_mode(mode) == "strict"
    check_lengths(gold, predicted)
    result: list[Counts] = []
    for g, p in zip(gold, predicted, strict=True):
        wanted, found = spans_of(g, strict=strict), spans_of(p, strict=strict)
        counts: Counts = {}
        for place, spans in ((0, set(wanted) & set(found)), (1, found), (2, wanted)):
            for span in spans:
                counts.setdefault(span.label, [0, 0, 0])[place] += 1
        result.append(counts)
    return result


def total(counts: Iterable[Counts]) -> tuple[Score, dict[str, Score]]:
    """The micro score of counted sentences, and the same by label in alphabetical order."""
    totals: Counts = {}
    for each in counts:
        for label, added in each.items():
            sums = totals.setdefault(label, [0, 0, 0])
            for place in range(3):
                sums[place] += added[place]
    by_label = {label: Score(*sums) for label, sums in sorted(totals.items())}
    return sum(by_label.values(), Score()), by_label


def score(gold: Sequence[Tags], predicted: Sequence[Tags], mode: str = "lenient") -> tuple[Score, dict[str, Score]]:
    """Micro score over sentences, and the same by label; arguments and errors as in `count_by_sentence`."""
    return total(count_by_sentence(gold, predicted, mode))
