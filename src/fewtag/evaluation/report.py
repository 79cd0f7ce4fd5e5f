"""A report: scores by language and label, their average over languages, intervals, kinds of errors; the mode beside every number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fewtag.errors import DataError
from fewtag.evaluation.bootstrap import Interval, as_array, check_resamples, generator_for, interval_of, resampled_f1
from fewtag.evaluation.errors import KINDS, count_errors
from fewtag.evaluation.span_f1 import Score, Tags, check_mode, count_by_sentence, total


@dataclass(frozen=True, slots=True)
class LanguageReport:
    """Scores of one language.

    Args:
        score: micro over its sentences.
        by_label: the same by label.
        num_sentences: how many were scored.
        interval: 95 % bootstrap interval of F1 over sentences, in percent; None when not asked for.
        errors: kind -> count, see `fewtag.evaluation.errors`.
    """

    score: Score
    by_label: dict[str, Score]
    num_sentences: int
    interval: Interval | None
    errors: dict[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of all languages.

    Args:
        mode: ``"lenient"`` or ``"strict"``.
        by_language: in alphabetical order; a language without sentences stands in it but counts in no average.
        average_interval: 95 % bootstrap interval of `average_f1`, in percent.
    """

    mode: str
    by_language: dict[str, LanguageReport]
    average_interval: Interval | None = None

    @property
    def average_f1(self) -> float:
        """Mean over languages of span micro-F1, the "Avg" of the paper's tables 4 to 6, in percent."""
        scored = [part.score.f1 for part in self.by_language.values() if part.num_sentences]
        return sum(scored) / len(scored)

    @property
    def micro(self) -> Score:
        """All languages' spans in one count."""
        return sum((part.score for part in self.by_language.values()), Score())

    @property
    def by_label(self) -> dict[str, Score]:
        """Scores by label over all languages."""
        labels = sorted({label for part in self.by_language.values() for label in part.by_label})
        return {label: sum((part.by_label.get(label, Score()) for part in self.by_language.values()), Score()) for label in labels}

    @property
    def errors(self) -> dict[str, int]:
        """Kinds of errors over all languages."""
        return {kind: sum(part.errors[kind] for part in self.by_language.values()) for kind in KINDS}

    @property
    def num_sentences(self) -> int:
        """Sentences of all languages."""
        return sum(part.num_sentences for part in self.by_language.values())

    @classmethod
    def merge(cls, reports: Iterable[Report]) -> Report:
        """One report of several with different languages; the interval of the average cannot be carried over.

        Raises:
            DataError: when there is none, or a language or the mode does not fit.
        """
        reports = list(reports)
        modes = sorted({report.mode for report in reports})
        languages = sorted(language for report in reports for language in report.by_language)
        twice = sorted({language for language in languages if languages.count(language) > 1})
        if len(modes) != 1 or twice:
            why = f"they have the modes {modes}" if len(modes) != 1 else f"more than one scores {', '.join(twice)}"
            raise DataError(f"these {len(reports)} reports cannot be merged: {why}")
        merged = {language: part for report in reports for language, part in report.by_language.items()}
        return cls(modes[0], dict(sorted(merged.items())))

    def to_json(self) -> dict[str, Any]:
        """Plain values; F1, precision, recall and intervals in percent."""
        return {
            "mode": self.mode,
            "average_f1": self.average_f1,
            "average_interval": _list(self.average_interval),
            "micro": _score_json(self.micro),
            "by_label": {label: _score_json(each) for label, each in self.by_label.items()},
            "errors": self.errors,
            "by_language": {
                language: {
                    **_score_json(part.score),
                    "interval": _list(part.interval),
                    "sentences": part.num_sentences,
                    "errors": part.errors,
                    "by_label": {label: _score_json(each) for label, each in part.by_label.items()},
                }
                for language, part in self.by_language.items()
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`; what can be derived from the counts is derived anew."""
        parts = {
            language: LanguageReport(
                _score_from(part),
                {label: _score_from(each) for label, each in part["by_label"].items()},
                part["sentences"],
                tuple(part["interval"]) if part["interval"] else None,
                dict(part["errors"]),
            )
            for language, part in values["by_language"].items()
        }
        interval = values["average_interval"]
        return cls(values["mode"], parts, tuple(interval) if interval else None)


def _list(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _score_json(each: Score) -> dict[str, float]:
    return {
        "f1": each.f1,
        "precision": each.precision,
        "recall": each.recall,
        "correct": each.correct,
        "predicted": each.predicted,
        "gold": each.gold,
    }


def _score_from(values: Mapping[str, Any]) -> Score:
    return Score(values["correct"], values["predicted"], values["gold"])


def check_languages(gold: Mapping[str, Sequence[Tags]], predicted: Mapping[str, Sequence[Tags]]) -> None:
    """Refuse to score other languages than the gold has, or nothing at all.

    Raises:
        DataError: naming both sets of languages.
    """
    if set(gold) != set(predicted):
        raise DataError(f"gold has the languages {sorted(gold)} but the predictions have {sorted(predicted)}")
    if not any(gold.values()):
        raise DataError("there is no sentence to score")


def evaluate(
    gold: Mapping[str, Sequence[Tags]],
    predicted: Mapping[str, Sequence[Tags]],
    *,
    mode: str = "lenient",
    bootstrap: int = 0,
    seed: int = 0,
) -> Report:
    """Score predictions by language.

    Args:
        gold, predicted: language -> tag sequences, one per sentence, in the same order.
        mode: ``"lenient"`` (conlleval) or ``"strict"`` (IOB2).
        bootstrap: how often to draw the sentences anew for the intervals; 0 for none.
        seed: of these draws.

    Raises:
        DataError: when a language, a sentence or a tag is missing, or there is nothing to score.
        ConfigError: for an unknown mode or a negative number of resamples.
    """
    check_mode(mode)
    check_resamples(bootstrap)
    check_languages(gold, predicted)
    parts: dict[str, LanguageReport] = {}
    resampled = []
    for language in sorted(gold):
        try:
            counts = count_by_sentence(gold[language], predicted[language], mode)
        except DataError as error:
            raise DataError(f"language {language}: {error}") from None
        interval = None
        if bootstrap and counts:
            (values_R,) = resampled_f1(as_array(counts)[None], bootstrap, generator_for(seed, language))
            interval = interval_of(values_R)
            resampled.append(values_R)
        errors = count_errors(gold[language], predicted[language], mode=mode)
        parts[language] = LanguageReport(*total(counts), len(counts), interval, errors)
    return Report(mode, parts, interval_of(np.mean(resampled, axis=0)) if resampled else None)
