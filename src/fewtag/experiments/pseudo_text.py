"""Pseudo-labels and two readings in words and tables, for a terminal; the page takes its tables from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fewtag.evaluation import KINDS
from fewtag.evaluation.tables import aligned
from fewtag.experiments.drift import Drift, shown
from fewtag.experiments.pseudo import Course, Row
from fewtag.experiments.pseudo_cases import Worst
from fewtag.experiments.two_readings import Case, Counts, TwoReadings
from fewtag.text.tags import spans_of

Cells = tuple[list[str], list[list[str]]]
MIXED = "F1 of a row depends on which languages its steps drew; --lang shows one language."
ONLY_DIFFERENCES = {  # the kinds of the second reading against the first, where there is no gold
    "boundary": "one label, another range of tokens",
    "type": "one range of tokens, another label",
    "both": "they overlap, with another range and another label",
    "missed": "only the first has a span there",
    "spurious": "only the second has a span there",
}


def bracketed(tokens: Sequence[str], tags: Sequence[str], mode: str) -> str:
    """A sentence with its spans in brackets: ``[new york LOC] is big``."""
    parts, at = [], 0
    for span in spans_of(tags, strict=mode == "strict"):
        parts += [*tokens[at : span.start], f"[{' '.join(tokens[span.start : span.end])} {span.label}]"]
        at = span.end
    return " ".join([*parts, *tokens[at:]])


def _number(value: float | None, form: str = ".1f", factor: float = 1.0) -> str:
    return "-" if value is None else f"{factor * value:{form}}"


def course_table(rows: Iterable[Row], name: str = "steps") -> Cells:
    """Rows over steps, or by language."""
    steps = [] if name == "steps" else ["steps"]
    header = [name, *steps, "sentences", "F1", "flips %", "kept %", "agreement %", "feedback"]
    cells = []
    for row in rows:
        shares = [_number(value, factor=100) for value in (row.flips, row.kept, row.agreement)]
        recorded = [str(row.steps)] if steps else []
        cells.append([row.name, *recorded, str(row.sentences), _number(row.f1), *shares, _number(row.feedback, "+.3f")])
    return header, cells


def drift_table(drift: Drift) -> Cells:
    """What the alarm tested: by language and stage the shift, and the F1 where there is gold."""
    falls = {(fall.language, fall.stage): fall for fall in drift.falls}
    header = ["language", "stage", "sentences", "distance", "p", "moved most", *(["F1 best", "last", "p"] if falls else [])]
    cells = []
    for shift in drift.shifts:
        fall = falls.get((shift.language, shift.stage))
        judged = [f"{fall.best:.1f}", f"{fall.last:.1f}", shown(fall.p_value)] if fall else ["-"] * 3
        label = f"{shift.label} {100 * shift.before:.0f} > {100 * shift.after:.0f} %" if shift.label else "-"
        first = [shift.language, shift.stage, f"{shift.sentences[0]}, {shift.sentences[1]}", f"{shift.distance:.3f}", shown(shift.p_value)]
        cells.append([*first, label, *(judged if falls else [])])
    return header, cells


def about_worst(each: Worst) -> str:
    """Where a sentence stands and what is wrong with it."""
    plural = "" if each.count == 1 else "s"
    what = f"{each.count} token{plural} changed" if each.before else f"{each.count} span error{plural}"
    return f"{each.sentence.language} · {each.sentence.id} · stage {each.stage}, step {each.step} · {what}"


def worst_readings(each: Worst) -> list[tuple[str, tuple[str, ...]]]:
    """The readings to show, by name."""
    return [("before" if each.before else "gold", each.before or each.sentence.tags or ()), ("pseudo", each.tags)]


def course_text(course: Course) -> str:
    """The course of pseudo-labels for a terminal."""
    total = course.languages[-1]
    gold = f"{total.judged} of them have gold, used after training only (span F1 in percent, {course.mode})"
    head = f"{total.sentences} pseudo-labeled sentences of {total.steps} recorded steps; {gold if total.judged else 'none has gold'}"
    parts = [f"{course.record.folder}: {course.record.metrics['method']}; {head}"]
    parts += [f"stage {stage}\n{aligned(*course_table(rows))}" for stage, rows in course.stages.items()]
    if total.judged and len(course.languages) > 2:
        parts.append(MIXED)
    parts.append(aligned(*course_table(course.shown_languages, "language")))
    parts.append("\n".join(course.drift.sentences))
    if course.drift.shifts:
        parts.append(aligned(*drift_table(course.drift)))
    if course.worst:
        parts.append("worst pseudo-labels")
        parts += [_shown(about_worst(each), each.sentence.tokens, worst_readings(each), course.mode) for each in course.worst]
    return "\n\n".join(parts)


def _shown(about: str, tokens: Sequence[str], readings: Iterable[tuple[str, Sequence[str]]], mode: str) -> str:
    return "\n".join([about, *(f"  {name:7} {bracketed(tokens, tags, mode)}" for name, tags in readings)])


def readings_table(found: TwoReadings) -> Cells:
    """Two taggers by language: how often they differ, and who is right."""
    header = ["language", "sentences", "differ", "with gold"]
    header += ["F1 first", "F1 second", "gain", "95 %", "only first right", "only second", "both", "neither"] if found.total.judged else []
    return header, [_counts(name, each, found.total.judged > 0) for name, each in _named(found).items()]


def _named(found: TwoReadings) -> Mapping[str, Counts]:
    return {**found.languages, **({"all": found.total} if len(found.languages) > 1 else {})}


def _counts(name: str, each: Counts, judged: bool) -> list[str]:
    cells = [name, str(each.sentences), f"{100 * each.differ / each.sentences:.1f} %", str(each.judged)]
    if not judged:
        return cells
    if each.f1 is None:
        return [*cells, *["-"] * 8]
    gain = [f"{each.gain.delta:+.1f}", f"{each.gain.interval[0]:+.1f}..{each.gain.interval[1]:+.1f}"] if each.gain else ["-", "-"]
    right = [str(number) for number in (each.only_first, each.only_second, each.both, each.neither)]
    return [*cells, f"{each.f1[0]:.1f}", f"{each.f1[1]:.1f}", *gain, *right]


def kinds_table(found: TwoReadings) -> Cells:
    """Errors of both by language and kind, first / second."""
    named = {name: each for name, each in _named(found).items() if each.judged}
    return ["errors", *KINDS], [[name, *(_pair(each, kind) for kind in KINDS)] for name, each in named.items()]


def _pair(each: Counts, kind: str) -> str:
    return f"{each.errors[0][kind]} / {each.errors[1][kind]}"


def groups_table(found: TwoReadings) -> Cells:
    """The measurable ones of the paper's four groups (section 5.5), first / second by language."""
    named = {name: each for name, each in _named(found).items() if each.judged}
    header = ["groups of Table 8", "ambiguous: type errors", "missing: spans missed", "high coverage: not all right", "of sentences"]
    rows = []
    for name, each in named.items():
        dense = f"{each.dense_wrong[0]} / {each.dense_wrong[1]}"
        rows.append([name, _pair(each, "type"), _pair(each, "missed"), dense, str(each.dense)])
    return header, rows


def about_case(case: Case) -> str:
    """Where a sentence stands and how far apart the readings are."""
    spans = f"{case.spans} span{'' if case.spans == 1 else 's'} not in common"
    return f"{case.both.sentence.language} · {case.both.sentence.id} · {spans}"


def case_readings(case: Case) -> list[tuple[str, tuple[str, ...]]]:
    """The readings to show, by name."""
    gold = [("gold", case.both.sentence.tags)] if case.both.sentence.tags is not None else []
    return [*gold, ("first", case.both.first), ("second", case.both.second)]


def kind_title(kind: str, judged: bool) -> str:
    """A heading over the cases of a kind."""
    return f"{kind} errors" if judged else f"{kind}: {ONLY_DIFFERENCES[kind]}"


def readings_text(found: TwoReadings) -> str:
    """Two taggers for a terminal."""
    runs = "; ".join(f"{name} = {run.folder} ({run.metrics['method']})" for name, run in (("first", found.first), ("second", found.second)))
    judged = found.total.judged > 0
    parts = [f"two taggers on raw sentences that neither had the labels of (span F1 in percent, {found.mode})\n{runs}"]
    parts.append(aligned(*readings_table(found)))
    if judged:
        parts += [f"first / second\n{aligned(*kinds_table(found))}", aligned(*groups_table(found))]
        parts.append("Transition contexts, the paper's fourth group, take a reader; no count stands for them.")
    else:
        parts.append("None of these sentences has gold: only differences are shown.")
    for kind in KINDS:
        own = [case for case in found.cases if case.kind == kind]
        if own:
            parts.append(f"-- {kind_title(kind, judged)}")
            parts += [_shown(about_case(case), case.both.sentence.tokens, case_readings(case), found.mode) for case in own]
    return "\n\n".join(parts)
