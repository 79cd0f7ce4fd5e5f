"""The charts of a comparison: differences seed by seed, differences by language, score against cost. One SVG as text each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

from fewtag.experiments.plots import ROW, Tile, aired, area, matrix
from fewtag.experiments.svg import COLORS, WIDTH, Scale, document, element, frame, label, number, ruled, shortened, width_of

_NARROW = 8  # columns of a map; where there are more, cells have no room for a plus sign, nor for more than two digits
_DEEPEST = 0.7  # opacity of a map's cells: on any deeper ground text would be hard to read, on a light page or on a dark one
_SMALL = 9.0  # letters beside points
_LONGEST = 130.0  # name beside a point
_SHIFTS = [0.0, *(sign * 9.5 * step for step in range(1, 12) for sign in (-1, 1))]  # where a name may stand above or below its point

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Dots:
    """A row of single measurements.

    Args:
        name: in front of it.
        values: in an order that all rows have in common; None where one is missing.
        strong: in bold.
    """

    name: str
    values: Sequence[float | None]
    strong: bool = False


@dataclass(frozen=True)
class Mark:
    """A named point.

    Args:
        name: beside it.
        x, y: where it is.
        spread: half the length of a whisker along y; None for none.
        strong: in bold.
    """

    name: str
    x: float
    y: float
    spread: float | None = None
    strong: bool = False


def dot_chart(rows: Sequence[Dots], names: Sequence[str], *, title: str, description: str, x_label: str) -> str:
    """Rows of dots around a line at 0; a bar at their mean, which is written at the end of the row.

    The dots of a row stand below each other in their order, so that one seed has one height in every row and no dot hides another.

    Args:
        rows: from top to bottom, each with a value.
        names: of the dots, such as seeds.
        title, description: what a screen reader says.
        x_label: what is measured.
    """
    values = [value for row in rows for value in row.values if value is not None]
    left = min(150.0, max(width_of(row.name) for row in rows) + 12)
    bottom = ROW * len(rows) + 6
    x = Scale(*aired([0.0, *values]), left, WIDTH - 48.0)
    zero = element("line", x1=x(0.0), x2=x(0.0), y1=4.0, y2=bottom, stroke="currentColor", stroke_opacity="0.7", stroke_width=1.2)
    parts = [ruled(x, bottom, x_label), zero]
    for place, row in enumerate(rows):
        middle = 6 + ROW * place + ROW / 2 - 1
        weight = "bold" if row.strong else None
        parts.append(label(left - 6, middle + 3.5, shortened(row.name, left - 8), anchor="end", font_weight=weight))
        mean = fmean(value for value in row.values if value is not None)
        pen = {"stroke": "currentColor", "stroke_width": 2.4, "stroke_opacity": "0.8"}
        parts.append(element("line", x1=x(mean), x2=x(mean), y1=middle - 7, y2=middle + 7, **pen))
        for order, value in enumerate(row.values):
            if value is not None:
                at = middle + (10.0 * order / (len(row.values) - 1) - 5.0 if len(row.values) > 1 else 0.0)
                said = element("title", escape(f"{row.name}, {names[order]}: {value:+.2f}"))
                dot = element("circle", cx=x(value), cy=at, r=2.3, fill=COLORS[0 if value >= 0 else 1], fill_opacity="0.85")
                parts.append(element("g", said + dot))
        parts.append(label(WIDTH - 4.0, middle + 3.5, f"{mean:+.2f}", anchor="end", font_weight=weight))
    return document("".join(parts), bottom + 34, title, description)


def difference_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    title: str,
    description: str,
    row_label: str,
    column_label: str,
) -> str:
    """A matrix of differences: above 0 in one color, below in another, the deeper the larger; each number in its cell.

    Args:
        rows, columns: names.
        values: by row and column.
        title, description: what a screen reader says.
        row_label, column_label: what rows and columns are.
    """
    most = max(abs(value) for some in values for value in some) or 1.0
    narrow = len(columns) > _NARROW
    spelling = f"{'' if narrow else '+'}.{0 if narrow and most >= 10 else 1}f"
    tiles = [[Tile(format(v, spelling), COLORS[0 if v >= 0 else 1], _DEEPEST * abs(v) / most) for v in some] for some in values]
    texts = {"title": title, "description": description, "row_label": row_label, "column_label": column_label}
    return matrix(rows, columns, tiles, names=150.0, height=22.0, **texts)


def cost_chart(marks: Sequence[Mark], *, title: str, description: str, x_label: str, y_label: str) -> str:
    """Named points over two axes; x is logarithmic where it spans a factor of eight or more.

    Args:
        marks: at least one.
        title, description: what a screen reader says.
        x_label, y_label: names of the axes.
    """
    xs = [mark.x for mark in marks]
    ends = aired([mark.y + sign * (mark.spread or 0.0) for mark in marks for sign in (-1, 1)])
    low, high = min(xs), max(xs)
    log = low > 0 and high >= 8 * low  # a factor of eight has two round values at the least
    x, y = area(*((low / 1.15, high * 1.15) if log else aired(xs)), *ends, log_x=log)
    parts = [frame(x, y, f"{x_label}, logarithmic" if log else x_label, y_label)]
    points = [(x(mark.x), y(mark.y)) for mark in marks]
    for mark, (left, top) in zip(marks, points, strict=True):
        if mark.spread is not None:
            whisker = f"M{number(left)} {number(y(mark.y - mark.spread))}V{number(y(mark.y + mark.spread))}"
            parts.append(element("path", d=whisker, stroke=COLORS[0], stroke_width=1.2, stroke_opacity="0.6", fill="none"))
        parts.append(element("circle", cx=left, cy=top, r=3.6 if mark.strong else 2.8, fill=COLORS[0]))
    for mark, (left, top), (at, line, anchor) in zip(marks, points, _name_places(marks, x, y), strict=True):
        if abs(line - top) > 5:
            end = at - 1.5 if anchor == "start" else at + 1.5
            parts.append(element("line", x1=left, y1=top, x2=end, y2=line, stroke="currentColor", stroke_opacity="0.4", stroke_width=0.7))
        weight = "bold" if mark.strong else None
        parts.append(label(at, line + 3, shortened(mark.name, _LONGEST, _SMALL), anchor=anchor, size=_SMALL, font_weight=weight))
    return document("".join(parts), y.start + 36, title, description)


def _name_places(marks: Sequence[Mark], x: Scale, y: Scale) -> list[tuple[float, float, str]]:
    """Where each name begins or ends: beside its point if there is room, else as near as possible without hiding what stands there."""
    points = [(x(mark.x), y(mark.y)) for mark in marks]
    taken: list[Box] = [(a - 4, b - 4, a + 4, b + 4) for a, b in points]
    taken += [(a - 1, y(m.y + m.spread), a + 1, y(m.y - m.spread)) for m, (a, _) in zip(marks, points, strict=True) if m.spread]
    found: dict[int, tuple[float, float, str]] = {}
    for place in sorted(range(len(points)), key=lambda k: points[k][1]):
        a, b = points[place]
        wide = width_of(shortened(marks[place].name, _LONGEST, _SMALL), _SMALL)
        spots = []
        for shift in _SHIFTS:
            away = 6 + abs(shift) / 4
            for anchor, start, at in (("start", a + away, a + away), ("end", a - away - wide, a - away)):
                box = (start, b + shift - 5, start + wide, b + shift + 4)
                if start >= x.start and box[2] <= WIDTH and box[1] >= y.end - 6 and box[3] <= y.start:
                    spots.append((sum(_shared(box, other) for other in taken), abs(shift), (at, b + shift, anchor), box))
        # A name longer than the room on either side of its point stands above it.
        above = min(max(a - wide / 2, x.start), WIDTH - wide)
        _, _, spot, box = min(spots, default=(0.0, 0.0, (above, b - 9, "start"), (above, b - 14, above + wide, b - 5)))
        found[place] = spot
        taken.append(box)
    return [found[place] for place in range(len(points))]


def _shared(one: Box, other: Box) -> float:
    """The area that two boxes have in common."""
    wide, tall = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    return max(0.0, wide) * max(0.0, tall)
