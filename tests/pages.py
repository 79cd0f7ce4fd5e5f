"""Pages under test: a parser that notes what stands in one, text that would do harm unescaped, and what a browser makes of one."""

from __future__ import annotations

import html
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "br", "img", "rect", "line", "path", "circle"}
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


class Reader(HTMLParser):
    """Reads a page; notes elements that do not close, text, table rows, ids and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


# What a browser says of a page 390 pixels wide: how wide it would like to be, what it asked for, and which words stick out of their chart.
_FRAME = """<!DOCTYPE html><body><iframe id="frame" style="width:390px;height:2000px;border:0" srcdoc="{page}"></iframe><script>
document.getElementById("frame").addEventListener("load", event => {{
  const inner = event.target.contentDocument, asked = event.target.contentWindow.performance.getEntriesByType("resource");
  const outside = [...inner.querySelectorAll("svg text")].filter(text => {{
    const a = text.getBoundingClientRect(), b = text.ownerSVGElement.getBoundingClientRect();
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
  }});
  const said = document.createElement("p"), charts = inner.querySelectorAll("svg").length;
  said.textContent = ["measured", inner.documentElement.scrollWidth, asked.length, charts, outside.length].join(" ");
  document.body.replaceChildren(said);
}});
</script>"""


class Measures(NamedTuple):
    """What a browser says of a page: its width, how many things it asked for, charts, words that stick out of a chart."""

    width: int
    asked: int
    charts: int
    outside: int


def measured(page: str, folder: Path) -> Measures:
    """The page in a frame as wide as a phone."""
    found = re.search(r"measured (\d+) (\d+) (\d+) (\d+)", _browser(_FRAME.format(page=html.escape(page)), folder, "--dump-dom"))
    assert found
    return Measures(*map(int, found.groups()))


def screenshot(page: str, folder: Path, width: int, height: int) -> list[list[tuple[int, int, int]]]:
    """The page in a window, as rows of red, green and blue."""
    _browser(page, folder, f"--window-size={width},{height}", f"--screenshot={folder / 'page.png'}")
    return _pixels((folder / "page.png").read_bytes())


def printed(page: str, folder: Path) -> bytes:
    """The page as PDF."""
    _browser(page, folder, "--no-pdf-header-footer", f"--print-to-pdf={folder / 'page.pdf'}")
    return (folder / "page.pdf").read_bytes()


def _browser(page: str, folder: Path, *flags: str) -> str:
    (folder / "shown.html").write_text(page, encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
    command += [f"--user-data-dir={folder / 'user'}", *flags, f"file://{folder / 'shown.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _pixels(png: bytes) -> list[list[tuple[int, int, int]]]:
    """A PNG of eight bits for each of red, green and blue, as Chromium writes it, by the standard's five filters."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) == (8, 2)
    place, packed = 8, b""
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        packed += png[place + 8 : place + 8 + length] if png[place + 4 : place + 8] == b"IDAT" else b""
        place += length + 12
    # What a byte is counted from, by the row's filter: a is the same color to the left, b above, c above to the left.
    foretold: list[Callable[[int, int, int], int]] = [
        lambda a, b, c: 0,
        lambda a, b, c: a,
        lambda a, b, c: b,
        lambda a, b, c: (a + b) // 2,
        lambda a, b, c: min((a, b, c), key=lambda each: abs(a + b - c - each)),
    ]
    raw, above, rows = zlib.decompress(packed), bytearray(3 * width + 3), []
    for start in range(0, height * (3 * width + 1), 3 * width + 1):
        row = bytearray(3) + raw[start + 1 : start + 1 + 3 * width]
        for i in range(3, len(row)):
            row[i] = (row[i] + foretold[raw[start]](row[i - 3], above[i], above[i - 3])) % 256
        rows.append([(row[i], row[i + 1], row[i + 2]) for i in range(3, len(row), 3)])
        above = row
    return rows
