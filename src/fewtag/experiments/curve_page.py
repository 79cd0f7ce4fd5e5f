"""A label curve for people: a figure, a page, a table for the terminal."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

from fewtag.data.files import write_text
from fewtag.evaluation.tables import aligned
from fewtag.experiments.curve import Outlook
from fewtag.experiments.page import Figure, Figures, Section, Table, Text, render
from fewtag.experiments.plots import Line, line_chart
from fewtag.experiments.saturation import middle

_AHEAD = 4.0  # times the largest size: how far a figure looks ahead


def line_of(outlook: Outlook, language: str, *, steps: int = 40) -> Line:
    """Measurements of a language, its curve, and the 95 % band; dashed beyond the largest size."""
    shown = outlook.forecasts[language]
    dots = list(zip(shown.sizes, shown.scores, strict=True))
    curve = outlook.curves.get(language)
    if curve is None:
        means = [(size, statistics.mean(y for x, y in dots if x == size)) for size in sorted(set(shown.sizes))]
        return Line(language, means, dots=dots)
    most = max(shown.sizes)
    grid = [min(shown.sizes) * math.exp(k / steps * math.log(_AHEAD * most / min(shown.sizes))) for k in range(steps + 1)]
    grid = sorted({*grid, most})
    spread = [(size, *middle(curve.at(size))) for size in grid]
    points = [(size, median) for size, _, median, _ in spread]
    band = [(size, max(0.0, low), min(100.0, high)) for size, low, _, high in spread]
    return Line(language, points, band=band, dots=dots, dashed_from=most)


def figure(outlook: Outlook, language: str | None = None) -> str:
    """One language, or all of them in one chart, as SVG."""
    languages = [language] if language else list(outlook.forecasts)
    lines = [line_of(outlook, each) for each in languages]
    if language is None and len(lines) > 1:  # bands of several languages would hide each other
        lines = [Line(line.name, line.points, dots=line.dots, dashed_from=line.dashed_from) for line in lines]
    target = next(iter(outlook.forecasts.values())).target
    return line_chart(
        lines,
        title=f"F1 against labeled sentences, {', '.join(languages)}",
        description=". ".join(outlook.forecasts[each].sentence for each in languages),
        x_label="labeled sentences, logarithmic",
        y_label=f"{outlook.on} F1 ({outlook.mode})",
        log_x=True,
        target=target,
    )


def rows(outlook: Outlook) -> tuple[list[str], list[list[str]]]:
    """Mean F1 by language and size, with the standard deviation over seeds, and the forecast of twice the labels."""
    shares = sorted({each.share for each in outlook.measurements})
    header = ["language", *(f"{100 * share:.4g} %" for share in shares), "labels now", "twice would add"]
    found = []
    for language, shown in outlook.forecasts.items():
        cells = []
        for share in shares:
            own = [each.f1[language] for each in outlook.measurements if each.share == share and language in each.f1]
            cells.append(f"{statistics.mean(own):.1f}" + (f" ±{statistics.stdev(own):.1f}" if len(own) > 1 else ""))
        gain = f"{shown.doubled[1]:+.1f} ({shown.doubled[0]:.1f}..{shown.doubled[2]:.1f})" if shown.doubled else "-"
        found.append([language, *cells, f"{max(shown.sizes):.0f}", gain])
    return header, found


def text(outlook: Outlook) -> str:
    """The curve for a terminal."""
    what = f"{outlook.on} F1 in percent, {outlook.mode}, {outlook.method}, {outlook.encoder}"
    head = f"{what}; columns: share of the labels, mean ± sd over seeds"
    return "\n\n".join([head, aligned(*rows(outlook)), "\n".join(each.sentence for each in outlook.forecasts.values())])


def page(outlook: Outlook) -> str:
    """The curve as HTML."""
    seeds = len({each.seed for each in outlook.measurements})
    about = (
        f"{outlook.method} with {outlook.encoder}, scored on {outlook.on} ({outlook.mode}), {seeds} "
        f"seed{'s' if seeds > 1 else ''}. All languages grow together. Intervals are 95 % and suppose that a saturating curve is right."
    )
    figures = [Figure(figure(outlook, language), f"{shown.sentence}.") for language, shown in outlook.forecasts.items()]
    dots = Text("Dots are runs, the line is the curve F1 = a - b · n^-c, dashed where it looks ahead, the band its 95 % interval.")
    header, cells = rows(outlook)
    table = Table(f"{outlook.on} F1 ({outlook.mode}) at shares of the labels, mean ± standard deviation over seeds", header, cells)
    return render("How many more labels?", about, [Section("By language", [dots, Figures(figures)]), Section("Numbers", [table])])


def write_outlook(outlook: Outlook, out: Path) -> None:
    """Write ``curve.json``, and the page ``curve.html`` with the figure ``curve.svg``."""
    write_text(out / "curve.json", json.dumps(outlook.to_json(), indent=1, ensure_ascii=False) + "\n")
    write_text(out / "curve.svg", figure(outlook) + "\n")
    write_text(out / "curve.html", page(outlook))
