"""CoNLL files to arrays, each distinct line parsed once however often it occurs.

Most lines of a large file stand in it many times. Whatever is out of the ordinary, a comment, a line
without its columns, a tag that continues nothing, is left to the line-by-line reader, which names it; so is all that it converts.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewtag.data.arrays import SentenceArrays
from fewtag.text.tags import TagSet, is_tag, split_tag

_BLOCK = 4 << 20  # bytes read at once
_TOKEN, _BOUNDARY, _SKIPPED = 0, 1, 2


class _Odd(Exception):
    """Something the line-by-line reader must look at."""


def read_plain_conll(path: Path, language: str, name: str) -> SentenceArrays | None:
    """The sentences of a file that has nothing but token lines with legal BIO tags, empty lines and ``-DOCSTART-``.

    Args:
        path: the file, plain or ``.gz``.
        language: of its sentences.
        name: for their ids.

    Returns:
        None when anything else is in it.

    Raises:
        OSError, EOFError: when it cannot be read; the line-by-line reader has the sentence for it.
    """
    lines = _Lines()
    try:
        numbers = np.concatenate([lines.numbers(block) for block in _blocks(path)])
        return _arrays(lines, numbers, path, language, name)
    except _Odd:
        return None


def _blocks(path: Path) -> Iterator[list[bytes]]:
    """Lines, some at a time, without their ends."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        rest = b""
        while block := stream.read(_BLOCK):
            *whole, rest = (rest + block).split(b"\n")
            if whole:
                yield whole
        yield [rest]


class _Lines:
    """Distinct lines, numbered, with what each says."""

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}
        self.words: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        self.parsed: list[tuple[int, int, int]] = []  # of each distinct line: what it is, its word, its tag

    def numbers(self, lines: list[bytes]) -> npt.NDArray[np.int32]:
        known = self._number
        for line in dict.fromkeys(lines):
            if line not in known:
                self.parsed.append(self._parse(line, first=not known))
                known[line] = len(known)
        return np.fromiter(map(known.__getitem__, lines), dtype=np.int32, count=len(lines))

    def _parse(self, raw: bytes, first: bool) -> tuple[int, int, int]:
        if first and raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            raise _Odd
        try:
            line = raw.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError:
            raise _Odd from None
        if "\r" in line:
            raise _Odd
        if not line or (line.isspace() and "\t" not in line):
            return _BOUNDARY, 0, 0
        columns = line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]
        if columns[0] == "-DOCSTART-":
            return _SKIPPED, 0, 0
        if line.startswith("#") or len(columns) < 2 or not columns[0].strip():
            raise _Odd
        tag = columns[-1].strip()
        if not is_tag(tag) or split_tag(tag)[0] not in ("O", "B", "I"):
            raise _Odd
        return _TOKEN, self.words.setdefault(columns[0], len(self.words)), self.tags.setdefault(tag, len(self.tags))


def _arrays(lines: _Lines, numbers: npt.NDArray[np.int32], path: Path, language: str, name: str) -> SentenceArrays:
    kinds, words, tags = np.array(lines.parsed, dtype=np.int32).T
    kind_of_line = kinds[numbers]
    places = np.flatnonzero(kind_of_line == _TOKEN)
    if not len(places):
        raise _Odd  # an empty file
    after = np.cumsum(kind_of_line == _BOUNDARY)[places]  # boundaries before each token
    firsts = np.flatnonzero(np.diff(after, prepend=-1))  # a token begins a sentence where their number has grown
    tag_names = list(lines.tags)
    tag_ids = tags[numbers[places]].astype(np.uint16)
    if not _legal(tag_names, tag_ids, firsts):
        raise _Odd
    return SentenceArrays(
        words=list(lines.words),
        word_ids=words[numbers[places]],
        starts=np.append(firsts, len(places)),
        lines=places[firsts] + 1,
        tags=tag_names,
        tag_ids=tag_ids,
        language=language,
        path=str(path),
        name=name,
    )


def _legal(names: list[str], tag_ids: npt.NDArray[np.uint16], firsts: npt.NDArray[np.int64]) -> bool:
    """Whether no ``I-`` stands without its span before it."""
    tag_set = TagSet.from_tags(names)
    places = np.array([tag_set.id_of[name] for name in names])
    may_follow, may_begin = tag_set.legal_CC[np.ix_(places, places)], tag_set.legal_start_C[places]
    fits = np.ones(len(tag_ids), dtype=bool)
    fits[1:] = may_follow[tag_ids[:-1], tag_ids[1:]]
    fits[firsts] = may_begin[tag_ids[firsts]]
    return bool(fits.all())
