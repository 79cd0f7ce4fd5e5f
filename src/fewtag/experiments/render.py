"""A table as text for a terminal, Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator

from fewtag.evaluation.tables import aligned, markdown
from fewtag.experiments.tables import Cell, Table, Value

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
}
_LATEX_CHARACTERS = re.compile("|".join(map(re.escape, _LATEX)))


def number(value: Value, *, spread: bool = True) -> str:
    """``"63.79 ± 0.52†"``; without its spread ``"63.79†"``."""
    return _digits(value) + (f" ± {value.sd:.{value.digits}f}" if spread and value.sd is not None else "") + value.marks


def _digits(value: Value) -> str:
    return value.shown or f"{value.mean:{'+' if value.signed else ''}.{value.digits}f}"


def _rows(table: Table, show: Callable[[Cell, str], str]) -> Iterator[tuple[str, list[list[str]]]]:
    for section in table.sections:
        yield section.title, [[show(cell, name) for cell, name in zip(row, table.header, strict=True)] for row in section.rows]


def plain_rows(table: Table) -> list[tuple[str, list[list[str]]]]:
    """Title and rows of each section, for screens; the spread stands beside averages only, a dozen languages are wide enough."""
    narrow = len(table.header) > 8

    def show(cell: Cell, column: str) -> str:
        return number(cell, spread=not narrow or column == "avg") if isinstance(cell, Value) else cell

    return list(_rows(table, show))


def text(table: Table) -> str:
    """For a terminal."""
    sections = plain_rows(table)
    lines = aligned(table.header, [row for _, rows in sections for row in rows]).splitlines()
    shown, place = [lines[0]], 1
    for title, rows in sections:
        shown += [title] if title else []
        shown += lines[place : place + len(rows)]
        place += len(rows)
    return "\n".join([table.caption, "", *shown, "", *table.notes]).rstrip() + "\n"


def as_markdown(table: Table) -> str:
    """For documents; the best of each column is bold."""

    def show(cell: Cell, column: str) -> str:
        if isinstance(cell, Value):
            return f"**{number(cell)}**" if cell.is_best else number(cell)
        return cell

    rows = []
    for title, some in _rows(table, show):
        rows += [[f"*{title}*", *[""] * (len(table.header) - 1)]] if title else []
        rows += some
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([f"{table.caption}.", "", markdown(table.header, rows), "", *notes]).rstrip() + "\n"


def escaped(plain: str) -> str:
    """Plain text as LaTeX."""
    return _LATEX_CHARACTERS.sub(lambda match: _LATEX[match[0]], plain)


def latex(table: Table) -> str:
    """A ``table*`` with booktabs' rules; the spread is small, the best of each column bold."""

    def show(cell: Cell, column: str) -> str:
        if not isinstance(cell, Value):
            return escaped(cell)
        shown = escaped(_digits(cell))
        shown = rf"\textbf{{{shown}}}" if cell.is_best else shown
        return shown + escaped(cell.marks) + (rf"{{\scriptsize$\pm${cell.sd:.{cell.digits}f}}}" if cell.sd is not None else "")

    width = len(table.header)
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table*}[t]",
        r"\centering",
        r"\small",
        rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        r"\toprule",
        " & ".join(map(escaped, table.header)) + r" \\",
    ]
    for title, rows in _rows(table, show):
        lines.append(r"\midrule")
        lines += [rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escaped(title)}}}}} \\"] if title else []
        lines += [" & ".join(row) + r" \\" for row in rows]
    caption = escaped(". ".join([table.caption, *(note.rstrip(".") for note in table.notes)]) + ".")
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", rf"\label{{tab:{table.name}}}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def as_csv(table: Table) -> str:
    """For programs: every number in a column of its own, to four digits after the point or, of probabilities and counts, ten in all;
    its deviation beside it. Shares are in percent."""
    rows = [(section.title, row) for section in table.sections for row in section.rows]
    spread = {i for _, row in rows for i, cell in enumerate(row) if isinstance(cell, Value) and cell.sd is not None}
    marked = {i for _, row in rows for i, cell in enumerate(row) if isinstance(cell, Value) and cell.marks}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")

    def spell(values: list[tuple[str, str, str]]) -> list[str]:
        return [
            part
            for i, (value, deviation, marks) in enumerate(values)
            for part in (value, *([deviation] if i in spread else []), *([marks] if i in marked else []))
        ]

    writer.writerow(["section", *spell([(name, f"{name} sd", f"{name} marks") for name in table.header])])
    for title, row in rows:
        cells = [
            (f"{cell.mean:{'.10g' if cell.shown else '.4f'}}", "" if cell.sd is None else f"{cell.sd:.4f}", cell.marks)
            if isinstance(cell, Value)
            else (cell.strip(), "", "")
            for cell in row
        ]
        writer.writerow([title, *spell(cells)])
    return file.getvalue()


def document(tables: list[Table]) -> str:
    """Every table in one Markdown document."""
    return "\n".join(["# Comparison", "", *(f"## {table.name}\n\n{as_markdown(table)}" for table in tables)])
