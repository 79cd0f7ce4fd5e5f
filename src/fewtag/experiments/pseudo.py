"""The course of a run's pseudo-labels: how good, how steady and how confident they were, over the steps and by language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from fewtag.errors import ConfigError, DataError, unknown
from fewtag.evaluation import score
from fewtag.experiments.drift import Drift, drift
from fewtag.experiments.pseudo_cases import Event, Tags, Worst, flips, labelings, worst_of
from fewtag.experiments.record import Record
from fewtag.experiments.seen import data_folder, sample_again
from fewtag.text.sentence import Sentence
from fewtag.training.pseudo_quality import PARTS

ENOUGH = 20  # sentences seen before, below which flips are not given


@dataclass(frozen=True, slots=True)
class Row:
    """The pseudo-labels of some recorded steps.

    Args:
        name: the steps, or a language.
        first, last: of the recorded steps, numbered in their stage.
        steps: how many were recorded.
        sentences: pseudo-labeled in them; one may occur often.
        judged: those of them that have gold.
        f1: span F1 of these, in percent; None where none has gold.
        recurred: sentences that an earlier step had recorded too.
        flips: share of their tokens with another tag than at the last time; None below `ENOUGH` of them.
        kept: share of tokens confident enough to count, at the evaluations of these steps, or the nearest one; None: not measured.
        agreement: share of tokens that teacher and student tag alike, likewise.
        feedback: its mean, likewise, else over the recorded steps; None where nobody speaks.
    """

    name: str
    first: int
    last: int
    steps: int
    sentences: int
    judged: int
    f1: float | None
    recurred: int
    flips: float | None
    kept: float | None
    agreement: float | None
    feedback: float | None


@dataclass(frozen=True)
class Course:
    """What `fewtag pseudo` says of one run.

    Args:
        record: of the run.
        mode: how spans were read.
        stages: rows over the steps, by stage.
        languages: a row each over the whole run, and one named ``all``.
        by_language: F1 over the steps by stage and language, where there is gold: (middle of the steps, percent).
        drift: the alarm.
        worst: as many as were asked for.
        notes: what could not be told, as sentences.
    """

    record: Record
    mode: str
    stages: Mapping[str, Sequence[Row]]
    languages: Sequence[Row]
    by_language: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
    drift: Drift
    worst: Sequence[Worst] = ()
    notes: Sequence[str] = ()

    @property
    def shown_languages(self) -> Sequence[Row]:
        """Rows to show: one language needs no ``all`` beside it."""
        return self.languages if len(self.languages) > 2 else self.languages[:1]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "run": str(self.record.folder),
            "method": self.record.metrics["method"],
            "mode": self.mode,
            "stages": {stage: [asdict(row) for row in rows] for stage, rows in self.stages.items()},
            "languages": [asdict(row) for row in self.languages],
            "drift": self.drift.to_json(),
            "worst": [asdict(each) for each in self.worst],
            "notes": list(self.notes),
        }


def course_of(record: Record, *, languages: Sequence[str] = (), worst: int = 0, data_dir: Path | None = None) -> Course:
    """Follow the pseudo-labels of a finished run.

    Args:
        record: of the run.
        languages: only these; empty: all that the run recorded.
        worst: how many of the worst sentences to find.
        data_dir: where the data lie now; None: where the run found them.

    Raises:
        ConfigError: when the run has no pseudo-labels, or none of a language that was asked for.
        DataError: when the data changed, or are not there and are needed.
    """
    recorded = _recorded(record, languages)
    events = [event for event in recorded if not languages or event["language"] in languages]
    notes: list[str] = []
    hidden: Mapping[str, Tags] = {}
    texts: dict[str, Sentence] = {}
    root = data_folder(record, data_dir)
    if data_dir is None and not worst and not root.is_dir():
        notes.append(f"{root}: no such folder, so nothing is compared with gold; say with --data where the data lie now")
    else:
        data = sample_again(record, data_dir)
        hidden = data.hidden
        wanted = {name for event in events for name in event["ids"]} if worst else set()
        texts = {s.id: s for lang, some in data.unlabeled.items() if wanted and lang in _languages(events) for s in some if s.id in wanted}
    mode = record.mode
    check_lengths(events, hidden, root)
    kept = record.events.get("", ())
    moved = flips(events)
    stages: dict[str, list[Row]] = {}
    by_language: dict[str, dict[str, list[tuple[float, float]]]] = {}
    ends = {event["stage"]: event["step"] for event in recorded}
    for (stage, _), places in _parts(events, ends).items():
        some = [events[place] for place in places]
        first, last = some[0]["step"], some[-1]["step"]
        measured = _Measured(kept, stage, (first, last), languages)
        row = _row(f"{first}-{last}" if first < last else str(first), some, [moved[place] for place in places], hidden, mode, measured)
        stages.setdefault(stage, []).append(row)
        for language in _languages(some):
            f1 = _f1([event for event in some if event["language"] == language], hidden, mode)[1]
            if f1 is not None:
                by_language.setdefault(stage, {}).setdefault(language, []).append(((first + last) / 2, f1))
    totals = []
    for language in (*_languages(events), "all"):
        places = [place for place, event in enumerate(events) if language in ("all", event["language"])]
        measured = _Measured(kept, "", None, languages if language == "all" else (language,))
        totals.append(_row(language, [events[p] for p in places], [moved[p] for p in places], hidden, mode, measured))
    found = worst_of(events, hidden, texts, mode, worst) if worst else []
    return Course(record, mode, stages, totals, by_language, drift(events, hidden, mode), found, notes)


def _recorded(record: Record, languages: Sequence[str]) -> list[Event]:
    events: list[Event] = list(record.pseudo_labels())
    if not events:
        from fewtag.methods import METHODS

        method = str(record.metrics["method"])
        why = "which recorded none"
        if not record.settings.get("train", {}).get("trace_every", 10):
            why = "with train.trace_every = 0"
        elif method in METHODS and not METHODS[method].uses_raw_text:
            why = "which learns from labels alone"
        raise ConfigError(
            f"{record.folder} has no pseudo-labels: it was trained by {method}, {why}; "
            f"fewtag pseudo {record.folder} --against OTHER_RUN still compares the taggers"
        )
    known = _languages(events)
    for language in languages:
        if language not in known:
            raise ConfigError(f"{record.folder}: {unknown('language', language, known)}")
    return events


def _languages(events: Iterable[Event]) -> list[str]:
    return sorted({event["language"] for event in events})


def check_lengths(events: Iterable[Event], hidden: Mapping[str, Tags], root: Path) -> None:
    """Refuse gold that is not of the sentences that were recorded.

    Raises:
        DataError: naming the first sentence.
    """
    for event in events:
        for name, tags in zip(event["ids"], event["tags"], strict=True):
            if name in hidden and len(hidden[name]) != len(tags):
                here = f"sentence {name!r} has {len(hidden[name])} tokens here, and had {len(tags)} in the run"
                raise DataError(f"{root}: {here}; give the old data with --data")


def _parts(events: Sequence[Event], ends: Mapping[str, int]) -> dict[tuple[str, int], list[int]]:
    """Places of events by stage and tenth of its steps, as `fewtag.training.pseudo_quality.judge` cuts them."""
    parts: dict[tuple[str, int], list[int]] = {}
    for place, event in enumerate(events):
        part = min(PARTS - 1, PARTS * (event["step"] - 1) // ends[event["stage"]])
        parts.setdefault((event["stage"], part), []).append(place)
    return parts


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the journal says of some steps: the mean of the evaluations within them, else the one nearest to their middle."""

    journal: Sequence[Event]
    stage: str  # empty: all
    steps: tuple[int, int] | None  # None: all
    languages: Sequence[str]  # empty: all together

    def __call__(self, name: str) -> float | None:
        found = [(event["step"], value) for event in self.journal if (value := self._value(event, name)) is not None]
        if not found:
            return None
        if self.steps is None:
            return fmean(value for _, value in found)
        first, last = self.steps
        inside = [value for step, value in found if first <= step <= last]
        return fmean(inside) if inside else min(found, key=lambda pair: abs(pair[0] - (first + last) / 2))[1]

    def _value(self, event: Event, name: str) -> float | None:
        losses = event.get("losses") or {}
        if self.stage and event.get("stage") != self.stage:
            return None
        names = [f"{name}/{language}" for language in self.languages] or [name]
        own = [losses[each] for each in names if each in losses]
        return fmean(own) if own else None


def _row(
    name: str, events: Sequence[Event], moved: Sequence[tuple[int, int, int]], hidden: Mapping[str, Tags], mode: str, measured: _Measured
) -> Row:
    judged, f1 = _f1(events, hidden, mode)
    recurred, tokens, changed = (sum(each[place] for each in moved) for place in range(3))
    feedback = measured("feedback")
    heard = [event["feedback"] for event in events if event["feedback"] is not None]
    return Row(
        name=name,
        first=min(event["step"] for event in events),
        last=max(event["step"] for event in events),
        steps=len(events),
        sentences=sum(len(event["ids"]) for event in events),
        judged=judged,
        f1=f1,
        recurred=recurred,
        flips=changed / tokens if recurred >= ENOUGH else None,
        kept=measured("kept"),
        agreement=measured("agreement"),
        feedback=fmean(heard) if feedback is None and heard else feedback,
    )


def _f1(events: Iterable[Event], hidden: Mapping[str, Tags], mode: str) -> tuple[int, float | None]:
    pairs = [(hidden[name], tags) for _, name, tags in labelings(events) if name in hidden]
    return len(pairs), score([gold for gold, _ in pairs], [tags for _, tags in pairs], mode)[0].f1 if pairs else None
