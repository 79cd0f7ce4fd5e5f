"""How good the pseudo-labels of a finished run were, where its raw text has gold tags. After training, and for people only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fewtag.evaluation import score
from fewtag.evaluation.bootstrap import Floats

PARTS = 10  # of each stage, for the course of F1 over time and for what is ranked together
_ENOUGH = 8  # recorded steps, below which a correlation is not given
_TOGETHER = 5  # steps that are ranked together at least: where few were recorded, the parts are fewer than ten
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PseudoQuality:
    """Pseudo-labels against gold.

    Args:
        sentences: labelings that could be judged.
        f1: span F1 over time: by stage, a number (percent) for each of up to `PARTS` parts of its steps.
        f1_by_language: over the whole run.
        feedback_correlation: `rank_correlation`, by language, of the feedback of a step with the share of its tokens that were tagged
            right; positive when the feedback praises what is right. None where too few steps were recorded or all were alike.
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
        mean = f"{sum(heard) / len(heard):+.2f}" if heard else ""
        told = f"; the feedback's rank correlation with how right they were, trends left out: {mean}" if heard else ""
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
    steps: dict[str, dict[str, list[tuple[float, float]]]] = {}
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
            own = steps.setdefault(event["language"], {}).setdefault(event["stage"], [])
            own.append((event["feedback"], float(np.mean(right))))
    if not by_language:
        return None
    course: dict[str, list[float]] = {}
    for (stage, _), pairs in by_part.items():
        course.setdefault(stage, []).append(_f1(pairs, mode))
    return PseudoQuality(
        sum(len(pairs) for pairs in by_language.values()),
        course,
        {language: _f1(pairs, mode) for language, pairs in sorted(by_language.items())},
        {language: rank_correlation(list(by_stage.values())) for language, by_stage in sorted(steps.items())},
    )


def rank_correlation(stages: Sequence[Sequence[tuple[float, float]]]) -> float | None:
    """Spearman's rank correlation of two series, without what both owe to the course of training.

    As training goes on pseudo-labels get better (or worse), and feedback changes with how much there is left to learn. Ranked over a whole
    run any two things that change together with time correlate, also where the feedback of a step knows nothing of that step's labels. So
    each stage is cut into `PARTS` of equally many steps, of at least `_TOGETHER`; ranks are taken within a part, a straight line over
    time is taken out of them, and what is left is correlated over all parts.

    Args:
        stages: for each stage the pairs in the order of its steps.

    Returns:
        -1 to 1; None below `_ENOUGH` pairs, or where one side varies by nothing but a trend.
    """
    parts = [part for pairs in stages for part in np.array_split(np.asarray(pairs), min(PARTS, max(1, len(pairs) // _TOGETHER)))]
    left = [(_beside_trend(part[:, 0]), _beside_trend(part[:, 1])) for part in parts if len(part) >= _TOGETHER]
    if sum(len(a) for a, _ in left) < _ENOUGH:
        return None
    a, b = (np.concatenate(side) for side in zip(*left, strict=True))
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    return None if min(lengths) < _ROUNDING else float(a @ b) / (lengths[0] * lengths[1])


def _beside_trend(values: Floats) -> Floats:
    """Ranks from their mean, less the straight line that fits them best."""
    ranks = _ranks(values)
    ranks, time = ranks - ranks.mean(), np.arange(len(ranks)) - (len(ranks) - 1) / 2
    beside: Floats = ranks - time * (time @ ranks) / (time @ time)
    return beside


def _ranks(values: Floats) -> Floats:
    """From 1; ties share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _f1(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], mode: str) -> float:
    return score([gold for gold, _ in pairs], [tags for _, tags in pairs], mode)[0].f1
