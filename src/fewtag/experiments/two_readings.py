"""Two delivered taggers on the same raw sentences (the paper's section 5.5 and Table 8): where they differ, and who is right.

Neither run had labels of these sentences. Where the data have gold it stands beside both readings; elsewhere differences are all there is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from fewtag.errors import ConfigError, DataError, unknown
from fewtag.evaluation import KINDS, Difference, count_errors, paired_bootstrap, score, span_errors
from fewtag.experiments.record import Record
from fewtag.experiments.seen import data_folder, sample_again
from fewtag.text.sentence import Sentence, Span
from fewtag.text.tags import spans_of

Tags = Sequence[str]
SENTENCES = 500  # by language
DENSE = 0.5  # share of tokens in gold spans, above which coverage is high
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Both:
    """One sentence as both taggers read it.

    Args:
        sentence: its tags are gold, or None where there is none.
        first, second: a tag per token.
    """

    sentence: Sentence
    first: tuple[str, ...]
    second: tuple[str, ...]

    @property
    def gold(self) -> tuple[str, ...]:
        """Of a sentence that has gold."""
        return self.sentence.tags or ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Two taggers on the sentences of a language, or of all.

    Args:
        sentences: how many both tagged.
        differ: on how many their spans differ.
        judged: how many have gold; what follows is about these.
        f1: of each, in percent; None where no sentence has gold.
        only_first, only_second, both, neither: sentences by whose reading is right in every span.
        errors: of each, by kind.
        dense: sentences of high entity coverage, with more than half of their tokens in gold spans.
        dense_wrong: how many of these each does not get right.
        gain: F1 of the second over the first, with its interval over sentences.
    """

    sentences: int
    differ: int
    judged: int
    f1: tuple[float, float] | None
    only_first: int
    only_second: int
    both: int
    neither: int
    errors: tuple[Mapping[str, int], Mapping[str, int]]
    dense: int
    dense_wrong: tuple[int, int]
    gain: Difference | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence on which the two differ.

    Args:
        kind: of error, in which they differ most; without gold, of the second reading against the first.
        spans: how many spans only one of them has.
        both: the readings.
    """

    kind: str
    spans: int
    both: Both


@dataclass(frozen=True)
class TwoReadings:
    """What a comparison of two taggers found.

    Args:
        first, second: the runs.
        mode: how spans were read.
        languages: counts by language.
        total: over all languages; its F1 and gain are means over them.
        cases: the sentences on which they differ most, by kind of error.
        notes: what to know beside it, as sentences.
    """

    first: Record
    second: Record
    mode: str
    languages: Mapping[str, Counts]
    total: Counts
    cases: Sequence[Case]
    notes: Sequence[str] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        runs = [{"run": str(each.folder), "method": each.metrics["method"]} for each in (self.first, self.second)]
        by_language = {language: asdict(counts) for language, counts in self.languages.items()}
        cases = [asdict(each) for each in self.cases]
        return {"runs": runs, "mode": self.mode, "languages": by_language, "all": asdict(self.total), "cases": cases, "notes": self.notes}


def two_readings(
    first: Record,
    second: Record,
    *,
    languages: Sequence[str] = (),
    sentences: int = SENTENCES,
    data_dir: Path | None = None,
    cases_per_kind: int = 3,
) -> TwoReadings:
    """Let the taggers of two finished runs read the same raw sentences.

    Args:
        first: its data folder gives the sentences, its settings how spans are read.
        second: another run with the same labels.
        languages: only these; empty: all that the first has raw text of.
        sentences: of each language, at most.
        data_dir: where the first's data lie now; None: where the run found them.
        cases_per_kind: how many cases to keep.

    Raises:
        ConfigError: when a run has no one tagger, or the two have different labels.
        DataError: when the data are gone or changed, or no sentence is left.
    """
    for record in (first, second):
        if not (record.folder / "model").is_dir():
            some = f"{record.metrics['method']} delivers no one tagger" if (record.folder / "languages").is_dir() else "its tagger is gone"
            raise ConfigError(f"{record.folder}: no model/ in it: {some}; give a run of another method")
    ours, theirs = first.data["labels"], second.data["labels"]
    if ours != theirs:
        alone = [f"only {record.folder} knows {', '.join(own)}" for record, own in _apart(first, second) if own]
        raise ConfigError(f"the two runs have different labels and cannot be compared: {'; '.join(alone)}")
    drawn, hidden, notes = raw_sentences(first, second, languages, sentences, data_dir)
    readings = [_tags(record, drawn) for record in (first, second)]
    both = {
        language: [
            Both(s.with_tags(hidden.get(s.id)), a, b) for s, a, b in zip(some, readings[0][language], readings[1][language], strict=True)
        ]
        for language, some in drawn.items()
    }
    if first.mode != second.mode:
        notes.append(f"tags are read as {first.folder} reads them, {first.mode}")
    return compared(first, second, both, first.mode, cases_per_kind, notes)


def _apart(first: Record, second: Record) -> list[tuple[Record, list[str]]]:
    ours, theirs = set(first.data["labels"]), set(second.data["labels"])
    return [(first, sorted(ours - theirs)), (second, sorted(theirs - ours))]


def raw_sentences(
    first: Record, second: Record, languages: Sequence[str], most: int, data_dir: Path | None = None
) -> tuple[dict[str, list[Sentence]], Mapping[str, tuple[str, ...]], list[str]]:
    """Sentences whose labels neither run had, the same at every call, with what is hidden of them and what to know of the choice.

    Args and errors as in `two_readings`.
    """
    data, notes = sample_again(first, data_dir), []
    used = {name for some in second.data["labeled_ids"].values() for name in some}
    shared = set(first.data["files"]) & set(second.data["files"])
    if any(first.data["files"][name] != second.data["files"][name] for name in shared) or not shared:
        notes.append(f"{second.folder} may have been trained on other files, and may have had labels of some of these sentences")
    else:
        try:
            used |= {s.id for some in sample_again(second, data_folder(first, data_dir)).dev.values() for s in some}
        except DataError:
            notes.append(f"which sentences {second.folder} kept aside cannot be told again; some may be among these")
    known = sorted(language for language, some in data.unlabeled.items() if len(some))
    for language in languages:
        if language not in known:
            raise ConfigError(f"{first.folder}: {unknown('language with raw text', language, known)}")
    drawn = {}
    for language in languages or known:
        free = [place for place, s in enumerate(data.unlabeled[language]) if s.id not in used]
        picked = sorted(random.Random(f"{language}/two readings").sample(free, min(most, len(free))))
        if picked:
            drawn[language] = [data.unlabeled[language][place] for place in picked]
    if not drawn:
        raise DataError(f"no raw sentence is left that neither {first.folder} nor {second.folder} had the labels of")
    return drawn, data.hidden, notes


def _tags(record: Record, sentences: Mapping[str, Sequence[Sentence]]) -> dict[str, list[tuple[str, ...]]]:
    from fewtag.tagger.folder import load
    from fewtag.training.prepare import pick_device
    from fewtag.training.scoring import predict_all

    tagger = load(record.folder / "model", device=str(pick_device("auto")), precision=None)
    return {language: [p.tags for p in some] for language, some in predict_all(tagger, sentences).items()}


def compared(
    first: Record, second: Record, both: Mapping[str, Sequence[Both]], mode: str, cases_per_kind: int, notes: Sequence[str] = ()
) -> TwoReadings:
    """Count and show what two readings of the same sentences have in common; arguments as in `two_readings`."""
    judged = {language: own for language, some in both.items() if (own := [each for each in some if each.sentence.tags is not None])}
    gains: dict[str, Difference] = {}
    average = None
    if judged:
        gold = {language: [each.gold for each in some] for language, some in judged.items()}
        ours = {language: [each.first for each in some] for language, some in judged.items()}
        theirs = {language: [each.second for each in some] for language, some in judged.items()}
        found = paired_bootstrap(gold, ours, theirs, mode=mode, resamples=_RESAMPLES)
        gains, average = found.by_language, found.average
    by_language = {language: count(some, mode, gains.get(language)) for language, some in both.items()}
    total = count([each for some in both.values() for each in some], mode, average)
    if scores := [each.f1 for each in by_language.values() if each.f1 is not None]:
        total = replace(total, f1=(fmean(first for first, _ in scores), fmean(second for _, second in scores)))
    shown = cases(judged or both, mode, cases_per_kind)
    return TwoReadings(first, second, mode, by_language, total, shown, notes)


def count(both: Sequence[Both], mode: str, gain: Difference | None = None) -> Counts:
    """Count who is right and what goes wrong.

    Args:
        both: sentences with both readings.
        mode: how spans are read.
        gain: to stand in the counts.
    """
    judged = [each for each in both if each.sentence.tags is not None]
    gold, first, second = [e.gold for e in judged], [e.first for e in judged], [e.second for e in judged]
    right = [tuple(not span_errors(g, each, mode=mode) for each in said) for g, *said in zip(gold, first, second, strict=True)]
    tally = Counter(right)
    dense = [place for place, each in enumerate(judged) if _coverage(each.gold, mode) > DENSE]
    return Counts(
        sentences=len(both),
        differ=sum(set(_spans(each.first, mode)) != set(_spans(each.second, mode)) for each in both),
        judged=len(judged),
        f1=(score(gold, first, mode)[0].f1, score(gold, second, mode)[0].f1) if judged else None,
        only_first=tally[True, False],
        only_second=tally[False, True],
        both=tally[True, True],
        neither=tally[False, False],
        errors=(count_errors(gold, first, mode=mode), count_errors(gold, second, mode=mode)),
        dense=len(dense),
        dense_wrong=(sum(not right[place][0] for place in dense), sum(not right[place][1] for place in dense)),
        gain=gain,
    )


def _spans(tags: Tags, mode: str) -> tuple[Span, ...]:
    return spans_of(tags, strict=mode == "strict")


def _coverage(tags: Tags, mode: str) -> float:
    return sum(span.end - span.start for span in _spans(tags, mode)) / len(tags) if tags else 0.0


def cases(both: Mapping[str, Iterable[Both]], mode: str, per_kind: int) -> list[Case]:
    """The sentences on which two readings differ most, in the order of `fewtag.evaluation.errors.KINDS`.

    A sentence stands under the kind of error whose number differs most between the readings; where all are equal, under the most frequent.
    Without gold the second reading is held against the first. Between equals languages take turns.

    Args:
        both: sentences with both readings, by language.
        mode: how spans are read.
        per_kind: how many of each kind.
    """
    ranked: list[tuple[int, int, str, Case]] = []
    for language, some in both.items():
        own = []
        for each in some:
            apart = len(set(_spans(each.first, mode)) ^ set(_spans(each.second, mode)))
            if apart:
                own.append(Case(_kind(each, mode), apart, each))
        seen: Counter[str] = Counter()
        for case in sorted(own, key=lambda case: (-case.spans, case.both.sentence.id)):
            seen[case.kind] += 1
            ranked.append((-case.spans, seen[case.kind], language, case))
    ranked.sort(key=lambda entry: entry[:3])
    return [case for kind in KINDS for case in [entry[3] for entry in ranked if entry[3].kind == kind][:per_kind]]


def _kind(each: Both, mode: str) -> str:
    if each.sentence.tags is None:
        kinds = Counter(error.kind for error in span_errors(each.first, each.second, mode=mode))
        return max(KINDS, key=lambda kind: kinds[kind])
    first, second = (Counter(error.kind for error in span_errors(each.gold, tags, mode=mode)) for tags in (each.first, each.second))
    return max(KINDS, key=lambda kind: (abs(first[kind] - second[kind]), first[kind] + second[kind]))
