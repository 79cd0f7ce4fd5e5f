"""The parts every chart is drawn from: elements, round tick values, scales, a frame with axes, a legend. Text in, SVG text out.

A chart is 380 units wide, so that its letters stay readable on a phone. Letters and axes take the color of the text around them and so
follow a dark page; data have colors that people with color-blindness can tell apart, and differ in dashes or in numbers besides.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.cells import cell_len, set_cell_size

# Okabe and Ito 2008 without yellow, which vanishes on white, and black, which vanishes on dark pages.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("", "6 3", "2 2")
WIDTH = 380
SIZE = 11.0  # of letters
_EM = 0.58  # width of a letter in its size: sans-serif letters are a little narrower


def number(value: float) -> str:
    """A coordinate: two digits are finer than any screen."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def element(tag: str, content: str = "", /, **attributes: object) -> str:
    """One element; underscores of attribute names become hyphens, numbers are rounded, None is left out. Content is not escaped."""
    parts = [tag]
    for name, value in attributes.items():
        if value is not None:
            shown = number(value) if isinstance(value, float) else str(value)
            parts.append(f'{name.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    return f"<{' '.join(parts)}>{content}</{tag}>" if content else f"<{' '.join(parts)}/>"


def label(x: float, y: float, text: str, *, anchor: str = "start", size: float = SIZE, **attributes: object) -> str:
    """A line of text whose baseline ends, begins or is centered at (x, y)."""
    return element("text", escape(text), x=x, y=y, text_anchor=anchor, font_size=size, **attributes)


def width_of(text: str, size: float = SIZE) -> float:
    """About how wide a text is; wide characters count as two."""
    return cell_len(text) * size * _EM


def shortened(text: str, width: float, size: float = SIZE) -> str:
    """The text, or as much of it as fits, with an ellipsis."""
    most = max(2, int(width / (size * _EM)))
    return text if cell_len(text) <= most else set_cell_size(text, most - 1).rstrip() + "…"


def document(body: str, height: float, title: str, description: str) -> str:
    """A whole SVG that stands alone or in a page; a screen reader reads its title and description."""
    name = f"plot-{zlib.crc32((title + description + body).encode()):08x}"
    head = element("title", escape(title), id=f"{name}-title") + element("desc", escape(description), id=f"{name}-desc")
    return element(
        "svg",
        head + body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {number(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        font_family="system-ui, sans-serif",
        fill="currentColor",
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) within [low, high], at most ``most`` of them."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    factor = next(f for f in (1, 2, 5, 10, 20, 50) if math.floor(high / (step * f) + 1e-9) - math.ceil(low / (step * f) - 1e-9) < most)
    step *= factor
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * k, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Values 1, 2 and 5 times powers of ten within [low, high]; only powers of ten where those are too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    return found if len(found) <= most else [value for value in found if math.log10(value) % 1 == 0]


def tick_text(value: float) -> str:
    """A tick as people write it: 1500 as 1.5k, 0.05 as it is."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"


@dataclass(frozen=True)
class Scale:
    """From values to coordinates.

    Args:
        low, high: the values at both ends.
        start, end: their coordinates.
        log: whether equal ratios are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The coordinate of a value; values outside stop at the edge."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, min(max(value, self.low), self.high)))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Where to write values."""
        return log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high)


def frame(x: Scale, y: Scale, x_label: str, y_label: str) -> str:
    """Axes with ticks and faint lines; the names of both axes."""
    bottom, left = y.start, x.start
    parts = []
    for value in y.ticks():
        at = y(value)
        parts.append(element("line", x1=left, x2=x.end, y1=at, y2=at, stroke="currentColor", stroke_opacity="0.15"))
        parts.append(label(left - 4, at + 3.5, tick_text(value), anchor="end"))
    for value in x.ticks():
        at = x(value)
        parts.append(element("line", x1=at, x2=at, y1=bottom, y2=bottom + 3, stroke="currentColor"))
        parts.append(label(at, bottom + 14, tick_text(value), anchor="middle"))
    parts.append(element("path", d=f"M{number(left)} {number(y.end)}V{number(bottom)}H{number(x.end)}", fill="none", stroke="currentColor"))
    parts.append(label((left + x.end) / 2, bottom + 28, x_label, anchor="middle"))
    parts.append(label(4, y.end - 9, y_label))
    return "".join(parts)


def ruled(x: Scale, bottom: float, x_label: str) -> str:
    """What stands behind rows: a faint line and a value at each tick of x, its name below; 34 units are added to the height."""
    parts = []
    for value in x.ticks():
        at = x(value)
        parts.append(element("line", x1=at, x2=at, y1=4.0, y2=bottom, stroke="currentColor", stroke_opacity="0.15"))
        parts.append(label(at, bottom + 12, tick_text(value), anchor="middle"))
    parts.append(label((x.start + x.end) / 2, bottom + 27, x_label, anchor="middle"))
    return "".join(parts)


def legend(entries: Sequence[tuple[str, str, str]], top: float) -> tuple[str, float]:
    """Rows of (name, color, dash); returns the drawing and its height."""
    if not entries:
        return "", 0.0
    column = min(WIDTH - 16.0, max(width_of(name) for name, _, _ in entries) + 36)
    columns = max(1, min(len(entries), int((WIDTH - 16) / column)))
    parts = []
    for place, (name, color, dash) in enumerate(entries):
        left, at = 10 + column * (place % columns), top + 14 * (place // columns) + 10
        pen = {"stroke": color, "stroke_width": 2, "stroke_dasharray": dash or None}
        parts.append(element("line", x1=left, x2=left + 20, y1=at - 3.5, y2=at - 3.5, **pen))
        parts.append(label(left + 25, at, shortened(name, column - 30)))
    return "".join(parts), 14.0 * math.ceil(len(entries) / columns) + 4
