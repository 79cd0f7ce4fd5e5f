"""Pseudo-labels and two readings as one HTML page, with charts over the steps."""

from __future__ import annotations

from collections.abc import Sequence

from fewtag.evaluation import KINDS
from fewtag.experiments.error_views import pieces
from fewtag.experiments.journal_plots import self_training_figures
from fewtag.experiments.page import Block, Figure, Figures, Marked, Reading, Section, Table, Text, render
from fewtag.experiments.plots import Line, line_chart
from fewtag.experiments.pseudo import Course, Row
from fewtag.experiments.pseudo_text import (
    MIXED,
    about_case,
    about_worst,
    case_readings,
    course_table,
    drift_table,
    groups_table,
    kind_title,
    kinds_table,
    readings_table,
    worst_readings,
)
from fewtag.experiments.two_readings import TwoReadings
from fewtag.text.sentence import Sentence
from fewtag.text.tags import spans_of

TRUST = (
    "The alarm compares the first and the last third of a stage's recorded steps. It knows that other sentences would give other numbers, "
    "not that another seed would; and a teacher that gets better shifts as well. Where there is gold, F1 says which of the two it was."
)


_KEY = "✓ in the first line: every other line has this span; below: the first line has it. ✗ otherwise."


def pseudo_page(course: Course | None, found: TwoReadings | None) -> str:
    """The page.

    Args:
        course: of a run's pseudo-labels; None leaves it out.
        found: a comparison with another run; None leaves it out.
    """
    sections = [*(_course_sections(course) if course else []), *(_readings_sections(found) if found else [])]
    record = course.record if course else found.first if found else None
    name = f"{record.metrics['method']}, {record.folder.name}" if record else ""
    return render(f"Pseudo-labels of {name}" if course else f"Two taggers: {name} and another", _summary(course, found), sections)


def _summary(course: Course | None, found: TwoReadings | None) -> str:
    said = []
    if course:
        total = course.languages[-1]
        f1 = f", span F1 {total.f1:.1f} against gold that training never saw" if total.f1 is not None else ", no gold to judge them by"
        said.append(
            f"{total.sentences:,} pseudo-labeled sentences of {total.steps:,} recorded steps{f1}; {'; '.join(course.drift.sentences)}."
        )
    if found:
        total_counts = found.total
        f1 = f"; F1 {total_counts.f1[0]:.1f} against {total_counts.f1[1]:.1f}" if total_counts.f1 else ""
        apart = f"{100 * total_counts.differ / total_counts.sentences:.1f} % of {total_counts.sentences:,} raw sentences"
        said.append(f"The taggers of {found.first.folder.name} and {found.second.folder.name} differ on {apart}{f1}.")
    return " ".join(said)


def _course_sections(course: Course) -> list[Section]:
    notes: list[Block] = [Text(note, warning=True) for note in course.notes]
    blocks: list[Block] = [*notes]
    for stage, rows in course.stages.items():
        if figures := _figures(course, stage, rows):
            blocks.append(Figures(figures))
        blocks.append(Table(f"Stage {stage}, F1 in percent, {course.mode}", *course_table(rows)))
    if course.languages[-1].judged and len(course.languages) > 2:
        blocks.append(Text(MIXED))
    told = course.drift.sentences
    alarms: list[Block] = [Text(each, warning=bool(course.drift.alarms)) for each in told]
    if course.drift.shifts:
        alarms.append(Table("Tested, p after Holm's correction", *drift_table(course.drift), words=[1, 5]))
    worst = [_marked(each.sentence, about_worst(each), worst_readings(each), course.mode) for each in course.worst]
    heard, languages = self_training_figures(course.record.events), course.shown_languages
    return [
        Section("Over the steps", blocks),
        Section("By language", [Table("Over the whole run", *course_table(languages, "language"), strong=int(len(languages) > 1))]),
        Section("Drift", [*alarms, Text(TRUST)]),
        Section("What the journal measured", [Figures(heard)] if heard else []),
        Section("Worst pseudo-labels", [Text(_KEY), *worst] if worst else []),
    ]


def _figures(course: Course, stage: str, rows: Sequence[Row]) -> list[Figure]:
    shares = {"flips": "of tokens seen before", "kept": "of tokens", "agreement": "of tokens"}
    lines = []
    for name in shares:
        points = [((row.first + row.last) / 2, 100 * value) for row in rows if (value := getattr(row, name)) is not None]
        lines += [Line(name, points)] if points else []
    judged = [((row.first + row.last) / 2, row.f1) for row in rows if row.f1 is not None]
    lines = [*([Line("F1", judged, strong=True)] if judged else []), *lines]
    figures = []
    if lines:
        title = f"Stage {stage}: pseudo-labels over the steps"
        told = ", ".join(f"{line.name} ends at {line.points[-1][1]:.1f}" for line in lines)
        chart = line_chart(lines, title=title, description=told, x_label="step", y_label="%", y_range=(0, 100))
        figures.append(Figure(chart, f"{title}; F1 against gold, flips, tokens kept, agreement of teacher and student, in percent."))
    by_language = course.by_language.get(stage, {})
    if len(by_language) > 1:
        title = f"Stage {stage}: F1 of the pseudo-labels by language"
        own = [Line(language, points) for language, points in sorted(by_language.items())]
        told = ", ".join(f"{line.name} ends at {line.points[-1][1]:.1f}" for line in own)
        chart = line_chart(own, title=title, description=told, x_label="step", y_label=f"F1 ({course.mode})")
        figures.append(Figure(chart, f"{title}. Points rest on few sentences; see the table of drift for what is beyond chance."))
    return figures


def _marked(sentence: Sentence, about: str, readings: Sequence[tuple[str, Sequence[str]]], mode: str) -> Marked:
    spans = {name: spans_of(tags, strict=mode == "strict") for name, tags in readings}
    reference, *others = spans.values()
    right = set(reference)
    found = [Reading(name, pieces(sentence.tokens, own, right)) for name, own in spans.items()]
    kept = right.intersection(*map(set, others))
    found[0] = Reading(found[0].name, pieces(sentence.tokens, reference, kept))
    return Marked(sentence.language, about, found)


def _readings_sections(found: TwoReadings) -> list[Section]:
    names = (
        f"First: {found.first.folder} ({found.first.metrics['method']}). Second: {found.second.folder} ({found.second.metrics['method']})."
    )
    blocks: list[Block] = [Text(f"{names} Both tagged the same raw sentences, which neither had the labels of.")]
    blocks += [Text(note, warning=True) for note in found.notes]
    judged, several = found.total.judged > 0, int(len(found.languages) > 1)
    blocks.append(Table(f"F1 in percent, {found.mode}", *readings_table(found), strong=several))
    if judged:
        blocks.append(Table("Errors by kind, first / second", *kinds_table(found), strong=several))
        blocks.append(Table("Groups of the paper's section 5.5, first / second", *groups_table(found), strong=several))
        blocks.append(Text("Transition contexts, the paper's fourth group, take a reader; no count stands for them."))
    else:
        blocks.append(Text("None of these sentences has gold: only differences are shown."))
    shown: list[Block] = [Text(_KEY)] if found.cases else []
    for kind in KINDS:
        own = [case for case in found.cases if case.kind == kind]
        if own:
            shown.append(Text(kind_title(kind, judged)))
            shown += [_marked(case.both.sentence, about_case(case), case_readings(case), found.mode) for case in own]
    return [Section("Two taggers on the same raw text", blocks), Section("Where they differ most", shown)]
