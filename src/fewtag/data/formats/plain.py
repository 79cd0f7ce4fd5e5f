"""Plain text: one sentence a line, no tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fewtag.data.files import read_lines, write_text
from fewtag.data.problems import Problems
from fewtag.text.sentence import Sentence
from fewtag.text.words import sentence_from_text


def read(path: Path, *, language: str, problems: Problems) -> Iterator[Sentence]:
    """Sentences as they come; lines of white space are no sentences."""
    for number, line in read_lines(path, problems):
        if line.strip():
            yield sentence_from_text(line, language=language, source=f"{path}:{number}")


def write(sentences: Iterable[Sentence], path: Path) -> None:
    """The text of each sentence, or its tokens with spaces between; tags are left behind."""
    write_text(path, (" ".join((s.text if s.text is not None else " ".join(s.tokens)).split()) + "\n" for s in sentences))
