"""A page: sections of blocks in, one self-contained HTML file out.

Whoever has results makes blocks of them and calls `render`; what they hold is text and is escaped, only a `Figure` holds SVG from
`fewtag.experiments.plots`. The file needs no network and no script, fits a phone, follows a dark screen and prints.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@dataclass(frozen=True)
class Text:
    """A paragraph; a ``warning`` stands out."""

    text: str
    warning: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Facts:
    """Names with values, such as what was run."""

    pairs: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Args:
        caption: what it shows.
        header, rows: cells as text.
        strong: how many of the last rows are sums and stand apart.
        words: numbers of the columns that hold text rather than figures; the first always does.
        titles: number of a row -> heading over it and those that follow.
        best: (row, column) of cells that stand out.
        notes: below it.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: int = 0
    words: Sequence[int] = ()
    titles: Mapping[int, str] = field(default_factory=dict)
    best: Collection[tuple[int, int]] = ()
    notes: Sequence[str] = ()
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """A chart.

    Args:
        svg: from `fewtag.experiments.plots`; the one thing a page takes as it is.
        caption: below it.
    """

    svg: str
    caption: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Figures:
    """Charts beside each other where there is room."""

    figures: Sequence[Figure]
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Piece:
    """A part of a sentence.

    Args:
        text: its tokens.
        label: of the span it is; empty outside spans.
        right: whether both readings have this span.
    """

    text: str
    label: str = ""
    right: bool = True


@dataclass(frozen=True)
class Reading:
    """One reading of a sentence, such as the annotator's."""

    name: str
    pieces: Sequence[Piece]


@dataclass(frozen=True)
class Marked:
    """A sentence with the spans of several readings, one below the other.

    Args:
        language: for fonts, hyphens and the direction of writing.
        about: where it stands and what is remarkable in it.
        readings: over the same tokens.
    """

    language: str
    about: str
    readings: Sequence[Reading]
    kind: ClassVar[str] = "marked"


@dataclass(frozen=True)
class Code:
    """Text as it is, such as a configuration."""

    caption: str
    text: str
    kind: ClassVar[str] = "code"


Block = Text | Facts | Table | Figure | Figures | Marked | Code


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading; it stands in the list of contents."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """Where links go."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@cache
def _template() -> Template:
    loader = PackageLoader("fewtag.experiments", "pages")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html.j2")


def render(title: str, summary: str, sections: Sequence[Section]) -> str:
    """The page as HTML.

    Args:
        title: of the document and its first heading.
        summary: a sentence or two under it: what a reader in a hurry should know.
        sections: in order; those without blocks are left out.
    """
    return _template().render(title=title, summary=summary, sections=_anchored([section for section in sections if section.blocks]))


def _anchored(sections: Sequence[Section]) -> list[tuple[str, Section]]:
    """Each section with an anchor that no other has: titles may differ in what an anchor leaves out, such as any letter but a to z."""
    found: dict[str, Section] = {}
    for section in sections:
        anchor = section.anchor or "section"
        while anchor in found:
            anchor += "-too"
        found[anchor] = section
    return list(found.items())
