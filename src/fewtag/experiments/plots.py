"""The charts: lines with bands, horizontal bars with intervals, a matrix. Each function returns one SVG as text, made by itself alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fewtag.experiments.svg import (
    COLORS,
    DASHES,
    WIDTH,
    Scale,
    document,
    element,
    frame,
    label,
    legend,
    number,
    ruled,
    shortened,
    tick_text,
    width_of,
)

Point = tuple[float, float]
ROW = 19.0  # height of a row of bars or dots
_TOP, _RIGHT, _PLOT = 22.0, WIDTH - 12.0, 190.0  # of the plotting area of a line chart


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        name: for the legend.
        points: (x, y) in the order of x.
        band: (x, low, high) of a region around it; empty for none.
        dots: (x, y) of single measurements.
        strong: drawn thick in the color of text, before the others in the legend.
        dashed_from: x from which the line is a forecast, drawn in dashes.
    """

    name: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float, float]] = ()
    dots: Sequence[Point] = ()
    strong: bool = False
    dashed_from: float | None = None


@dataclass(frozen=True)
class Bar:
    """One bar.

    Args:
        name: in front of it.
        value: its length; None where nothing was measured.
        interval: whiskers; None for none.
        strong: in bold, for an average.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    strong: bool = False


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    description: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    log_x: bool = False,
    log_y: bool = False,
    target: float | None = None,
) -> str:
    """Lines over a common x.

    Args:
        lines: at least one with a point.
        title, description: what a screen reader says.
        x_label, y_label: names of the axes.
        y_range: of the y axis; None: what the data need, with a little air.
        log_x: equal ratios of x equally far apart; x must be positive.
        log_y: the same of y, between whole powers of ten where no range is given.
        target: a level to draw as a dotted line.
    """
    xs = [x for line in lines for x, *_ in (*line.points, *line.band, *line.dots)]
    ys = [y for line in lines for _, y in (*line.points, *line.dots)] + [y for line in lines for _, *both in line.band for y in both]
    low, high = y_range or (decades if log_y else aired)([*ys, *([] if target is None else [target])])
    x, y = area(min(xs), max(xs), low, high, log_x=log_x, log_y=log_y)
    left, styles = x.start, _styles(lines)
    parts = [frame(x, y, x_label, y_label)]
    if target is not None:
        at = y(target)
        parts.append(element("line", x1=left, x2=_RIGHT, y1=at, y2=at, stroke="currentColor", stroke_width=1.5, stroke_dasharray="1 4"))
        parts.append(label(_RIGHT, at - 4, f"target {target:g}", anchor="end"))
    for line, (color, _) in zip(lines, styles, strict=True):
        if line.band:
            edge = [(x(a), y(b)) for a, b, _ in line.band] + [(x(a), y(c)) for a, _, c in reversed(line.band)]
            parts.append(element("path", d=_path(edge) + "Z", fill=color, fill_opacity="0.18", stroke="none"))
    for line, (color, dash) in sorted(zip(lines, styles, strict=True), key=lambda pair: pair[0].strong):
        parts += _drawn(line, x, y, color, dash)
    named = [(line.name, *style) for line, style in zip(lines, styles, strict=True)] if len(lines) > 1 else []
    named = sorted(named, key=lambda entry: entry[1] != "currentColor")
    keys, height = legend(named, _TOP + _PLOT + 34)
    return document("".join([*parts, keys]), _TOP + _PLOT + 36 + height, title, description)


def aired(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that leave a little air around the values; 0 where it is near."""
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return (0.0 if 0 <= low < high / 4 else low - air), high + air


def decades(values: Sequence[float]) -> tuple[float, float]:
    """Powers of ten around positive values: ends of a logarithmic axis."""
    low = math.floor(math.log10(min(values)))
    return 10.0**low, 10.0 ** max(low + 1, math.ceil(math.log10(max(values))))


def area(x_low: float, x_high: float, y_low: float, y_high: float, *, log_x: bool = False, log_y: bool = False) -> tuple[Scale, Scale]:
    """The plotting area of a chart with two axes: their scales, with room for what stands at the ticks of y."""
    y = Scale(y_low, y_high, _TOP + _PLOT, _TOP, log_y)
    left = max(30.0, max(width_of(tick_text(value)) for value in y.ticks()) + 12)
    return Scale(x_low, x_high, left, _RIGHT, log_x), y


def _styles(lines: Sequence[Line]) -> list[tuple[str, str]]:
    styles, place = [], 0
    for line in lines:
        styles.append(("currentColor", "") if line.strong else (COLORS[place % len(COLORS)], DASHES[place // len(COLORS) % len(DASHES)]))
        place += not line.strong
    return styles


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{number(a)} {number(b)}" for a, b in points)


def _drawn(line: Line, x: Scale, y: Scale, color: str, dash: str) -> list[str]:
    parts = []
    cut = len(line.points) if line.dashed_from is None else sum(a <= line.dashed_from for a, _ in line.points)
    for points, dashes in ((line.points[:cut], dash), (line.points[max(0, cut - 1) :] if cut < len(line.points) else (), "5 3")):
        path = [(x(a), y(b)) for a, b in points]
        thick = 2.5 if line.strong else 1.6
        if len(path) > 1:
            pen = {"stroke": color, "stroke_width": thick, "stroke_dasharray": dashes or None, "stroke_linejoin": "round"}
            parts.append(element("path", d=_path(path), fill="none", **pen))
        elif path:
            parts.append(element("circle", cx=path[0][0], cy=path[0][1], r=thick, fill=color))
    return parts + [element("circle", cx=x(a), cy=y(b), r=2.2, fill=color, fill_opacity="0.75") for a, b in line.dots]


def bar_chart(bars: Sequence[Bar], *, title: str, description: str, x_label: str, top: float | None = None, digits: int = 1) -> str:
    """Horizontal bars from 0, the value written behind each.

    Args:
        bars: from top to bottom.
        title, description: what a screen reader says.
        x_label: what is measured.
        top: the end of the axis; None: the greatest value.
        digits: of the values behind the bars.
    """
    left = min(130.0, max(width_of(bar.name) for bar in bars) + 12)
    values = [v for bar in bars for v in (bar.value, *(bar.interval or ())) if v is not None]
    x = Scale(0.0, top if top is not None else max([*values, 1e-9]), left, WIDTH - 44.0)
    bottom = ROW * len(bars) + 6
    parts = [ruled(x, bottom, x_label)]
    for place, bar in enumerate(bars):
        middle = 6 + ROW * place + ROW / 2 - 1
        weight = "bold" if bar.strong else None
        parts.append(label(left - 6, middle + 3.5, shortened(bar.name, left - 8), anchor="end", font_weight=weight))
        if bar.value is None:
            parts.append(label(left + 4, middle + 3.5, "-"))
            continue
        length = x(bar.value) - left
        shade = "0.9" if bar.strong else "0.55"
        parts.append(element("rect", x=left, y=middle - 6, width=length, height=12.0, fill=COLORS[0], fill_opacity=shade))
        end = x(bar.value)
        if bar.interval:
            low, end = x(bar.interval[0]), max(end, x(bar.interval[1]))
            whisker = f"M{number(low)} {number(middle)}H{number(x(bar.interval[1]))}"
            caps = "".join(f"M{number(x(v))} {number(middle - 3.5)}v7" for v in bar.interval)
            parts.append(element("path", d=whisker + caps, fill="none", stroke="currentColor", stroke_width=1.3))
        parts.append(label(end + 5, middle + 3.5, f"{bar.value:.{digits}f}", font_weight=weight))
    return document("".join(parts), bottom + 34, title, description)


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    title: str,
    description: str,
    row_label: str,
    column_label: str,
    digits: int = 0,
) -> str:
    """A matrix of shares, darker where larger; the share in percent stands in each cell.

    Args:
        rows, columns: names.
        values: by row and column, each 0 to 1; None is an empty cell, 0 is left blank.
        title, description: what a screen reader says.
        row_label, column_label: what rows and columns are.
        digits: of the percentages.
    """

    def tile(value: float | None) -> Tile | None:
        if not value:
            return None
        shown = f"{100 * value:.{digits}f}" if 100 * value >= 0.5 else "·"
        return Tile(shown, COLORS[0], 0.1 + 0.9 * value, "#fff" if value > 0.75 else "currentColor")

    tiles = [[tile(value) for value in some] for some in values]
    return matrix(rows, columns, tiles, title=title, description=description, row_label=row_label, column_label=column_label)


@dataclass(frozen=True)
class Tile:
    """A filled cell of a matrix.

    Args:
        text: in it.
        fill, opacity: its color.
        ink: the color of the text.
    """

    text: str
    fill: str
    opacity: float
    ink: str = "currentColor"


def matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    tiles: Sequence[Sequence[Tile | None]],
    *,
    title: str,
    description: str,
    row_label: str,
    column_label: str,
    names: float = 110.0,
    height: float = 34.0,
) -> str:
    """Cells in rows and columns.

    Args:
        rows, columns: names.
        tiles: by row and column; None is an empty cell.
        title, description: what a screen reader says.
        row_label, column_label: what rows and columns are.
        names: the most room for the names of rows.
        height: the most height of a row.
    """
    left = min(names, max(width_of(name, 9) for name in rows) + 22)
    cell = min(34.0, (WIDTH - left - 34) / len(columns))  # the last names lean over the edge
    height = min(cell, height)
    tall = min(90.0, max(width_of(name, 9) for name in columns) * 0.9 + 24)
    size = min(9.5, cell * 0.42)
    parts = [label(left, 10, column_label, size=9)]
    if width_of(row_label, 9) < height * len(rows):  # one row says by its name what it is
        side = f"translate(9 {number(tall + height * len(rows) / 2)}) rotate(-90)"
        parts.append(element("g", label(0, 0, row_label, size=9, anchor="middle"), transform=side))
    for j, name in enumerate(columns):
        at = f"translate({number(left + cell * (j + 0.5) + 3)} {number(tall - 5)}) rotate(-65)"
        parts.append(element("g", label(0, 0, shortened(name, 76, 9), size=9), transform=at))
    for i, name in enumerate(rows):
        top = tall + height * i
        parts.append(label(left - 5, top + height / 2 + 3.2, shortened(name, left - 20, 9), size=9, anchor="end"))
        for j, tile in enumerate(tiles[i]):
            x = left + cell * j
            box = {"x": x + 0.5, "y": top + 0.5, "width": cell - 1, "height": height - 1}
            parts.append(element("rect", **box, fill="none", stroke="currentColor", stroke_opacity="0.15", stroke_width=0.6))
            if tile:
                parts.append(element("rect", **box, fill=tile.fill, fill_opacity=tile.opacity))
                middle = (x + cell / 2, top + height / 2 + size * 0.36)
                parts.append(label(*middle, tile.text, anchor="middle", size=size, fill=tile.ink))
    return document("".join(parts), tall + height * len(rows) + 4, title, description)
