"""A report in words: plain text for a terminal, Markdown for files. The scoring mode is named at every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len

from fewtag.evaluation.bootstrap import Interval
from fewtag.evaluation.errors import Case
from fewtag.evaluation.report import Report
from fewtag.evaluation.significance import Differences
from fewtag.evaluation.span_f1 import Score

Row = list[str]
Table = tuple[Row, list[Row]]
_WIDE = 8  # labels that still stand as columns
_READING = {"lenient": "conlleval's reading of tags", "strict": "IOB2 to the letter"}


def _interval(values: Interval | None) -> str:
    return f"{values[0]:.1f}..{values[1]:.1f}" if values else ""


def _caption(mode: str, what: str) -> str:
    return f"{what}, {mode} ({_READING[mode]})"


def languages_table(report: Report) -> Table:
    """Languages by labels: F1 in percent with its parts; a dash where nothing is to be scored. Many labels have `labels_table` alone."""
    labels = list(report.by_label) if len(report.by_label) <= _WIDE else []
    spread = report.average_interval is not None or any(part.interval for part in report.by_language.values())
    header = ["language", f"F1 ({report.mode})", *(["95 %"] if spread else []), "P", "R", "sentences", "spans", *labels]

    def row(name: str, score: Score | None, f1: float | None, interval: Interval | None, sentences: int, by_label: dict[str, Score]) -> Row:
        precision, recall, spans = (f"{score.precision:.1f}", f"{score.recall:.1f}", str(score.gold)) if score else ("", "", "")
        each = [f"{by_label[label].f1:.1f}" if label in by_label else "-" if score else "" for label in labels]
        first = [name, "-" if f1 is None else f"{f1:.2f}", *([_interval(interval)] if spread else [])]
        return [*first, precision, recall, str(sentences), spans, *each]

    rows = [
        row(language, part.score, part.score.f1 if part.num_sentences else None, part.interval, part.num_sentences, part.by_label)
        for language, part in report.by_language.items()
    ]
    rows.append(row("average", None, report.average_f1, report.average_interval, report.num_sentences, {}))
    rows.append(row("micro", report.micro, report.micro.f1, None, report.num_sentences, report.by_label))
    return header, rows


def labels_table(report: Report) -> Table:
    """Labels over all languages, with counts; many labels have their F1 by language here too."""
    languages = [language for language, part in report.by_language.items() if part.num_sentences] if len(report.by_label) > _WIDE else []
    rows = []
    for label, each in report.by_label.items():
        counts = [f"{each.precision:.1f}", f"{each.recall:.1f}", str(each.correct), str(each.predicted), str(each.gold)]
        own = [report.by_language[language].by_label.get(label) for language in languages]
        rows.append([label, f"{each.f1:.2f}", *counts, *("-" if score is None else f"{score.f1:.1f}" for score in own)])
    return ["label", f"F1 ({report.mode})", "P", "R", "correct", "predicted", "gold", *languages], rows


def errors_table(report: Report) -> Table:
    """Kinds of errors by language."""
    kinds = list(report.errors)
    rows = [[language, *(str(part.errors[kind]) for kind in kinds)] for language, part in report.by_language.items()]
    return [f"errors ({report.mode})", *kinds], [*rows, ["all", *(str(report.errors[kind]) for kind in kinds)]]


def differences_table(differences: Differences) -> Table:
    """What a second system gains, by language."""
    header = ["language", f"F1 gain ({differences.mode})", "95 %", "p"]
    parts = {**differences.by_language, "average": differences.average}
    return header, [[name, f"{part.delta:+.2f}", _interval(part.interval), f"{part.p_value:.3f}"] for name, part in parts.items()]


def cases_text(found: Iterable[Case]) -> str:
    """Error examples, a line each: kind, gold span -> predicted span, sentence."""
    return "\n".join(
        f"{case.error.kind:8}  {case.surface(case.error.gold) or '-'} -> {case.surface(case.error.predicted) or '-'}"
        f"  | {case.sentence + 1}: {' '.join(case.tokens)}"
        for case in found
    )


def aligned(header: Row, rows: Sequence[Row]) -> str:
    """A plain table: first column left, the others right; wide characters count as two columns."""
    widths = [max(cell_len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        spaces = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0] + spaces[0], *(space + cell for space, cell in zip(spaces[1:], row[1:], strict=True))]).rstrip())
    return "\n".join(lines)


def markdown(header: Row, rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(header) - 1), *lines[1:]])


def _render(report: Report, table: Callable[[Row, Sequence[Row]], str]) -> str:
    parts = [_caption(report.mode, "Span F1 in percent"), table(*languages_table(report))]
    if len(report.by_label) > 1:
        parts.append(table(*labels_table(report)))
    return "\n\n".join([*parts, table(*errors_table(report))])


def report_text(report: Report) -> str:
    """A report for a terminal."""
    return _render(report, aligned)


def report_markdown(report: Report) -> str:
    """A report for a file."""
    return _render(report, markdown)
