"""How good the pseudo-labels of a finished run were, where its raw text has gold tags. After training, and for people only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fewtag.evaluation import score

PARTS = 10  # of each stage, for the course of F1 over time
_ENOUGH = 8  # steps, below which a correlation is not given


@dataclass(frozen=True, slots=True)
class PseudoQuality:
    """Pseudo-labels against gold.

    Args:
        sentences: labelings that could be judged.
        f1: span F1 over time: by stage, a number (percent) for each of up to `PARTS` parts of its steps.
        f1_by_language: over the whole run.
        feedback_correlation: Spearman's, by language, of the feedback of a step with the share of its tokens that were tagged right;
            positive when the feedback praises what is right. None where too few steps were recorded or all were alike.
    """

    sentences: int
    f1: dict[str, list[float]]
    f1_by_language: dict[str, float]
    feedback_correlation: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For people."""
        stage, course = next(reversed(self.f1.items()))
        heard = [value for value in self.feedback_correlation.values() if value is not None]
        told = f"; the feedback's rank correlation with how right they were: {sum(heard) / len(heard):+.2f}" if heard else ""
        seen = f"pseudo-labels of {self.sentences} judged sentences"
        return f"{seen}: span F1 from {course[0]:.1f} to {course[-1]:.1f} in stage {stage}{told}"


def judge(events: Sequence[Mapping[str, Any]], hidden: Mapping[str, Sequence[str]], mode: str) -> PseudoQuality | None:
    """Compare recorded pseudo-labels with gold.

    Args:
        events: of ``pseudo.jsonl``.
        hidden: gold tags of raw sentences by id.
        mode: how spans are read.

    Returns:
        None where no recorded sentence has gold.
    """
    by_part: dict[tuple[str, int], list[tuple[Sequence[str], Sequence[str]]]] = {}
    by_language: dict[str, list[tuple[Sequence[str], Sequence[str]]]] = {}
    steps: dict[str, list[tuple[float, float]]] = {}
    last = {event["stage"]: event["step"] for event in events}
    for event in events:
        pairs = [(hidden[name], tags) for name, tags in zip(event["ids"], event["tags"], strict=True) if name in hidden]
        if not pairs:
            continue
        part = min(PARTS - 1, PARTS * (event["step"] - 1) // last[event["stage"]])
        by_part.setdefault((event["stage"], part), []).extend(pairs)
        by_language.setdefault(event["language"], []).extend(pairs)
        right = [g == p for gold, tags in pairs for g, p in zip(gold, tags, strict=True)]
        if event["feedback"] is not None:
            steps.setdefault(event["language"], []).append((event["feedback"], float(np.mean(right))))
    if not by_language:
        return None
    course: dict[str, list[float]] = {}
    for (stage, _), pairs in by_part.items():
        course.setdefault(stage, []).append(_f1(pairs, mode))
    return PseudoQuality(
        sum(len(pairs) for pairs in by_language.values()),
        course,
        {language: _f1(pairs, mode) for language, pairs in sorted(by_language.items())},
        {language: spearman(*zip(*pairs, strict=True)) for language, pairs in sorted(steps.items())},
    )


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation, ties sharing their mean rank; None below `_ENOUGH` pairs or where one side does not vary."""
    if len(a) < _ENOUGH or len(set(a)) == 1 or len(set(b)) == 1:
        return None
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def _f1(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], mode: str) -> float:
    return score([gold for gold, _ in pairs], [tags for _, tags in pairs], mode)[0].f1
