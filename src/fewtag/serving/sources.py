"""Where inputs come from: files, patterns and standard input as one stream of records, in order, a line at a time.

A file that breaks off or is no UTF-8 becomes a `BadInput` in its place; the stream goes on with the next.
"""

from __future__ import annotations

import glob
import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import IO

from fewtag.data.formats import FORMATS
from fewtag.errors import ConfigError, DataError, unknown
from fewtag.serving.readers import READERS, BadInput, Line, Origin, Record
from fewtag.text.records import record_of_line

STDIN = "-"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SUFFIXES = {"txt": (*FORMATS["plain"].suffixes, ""), "jsonl": FORMATS["jsonl"].suffixes, "conll": FORMATS["conll"].suffixes}


def expand(patterns: Sequence[str]) -> list[str]:
    """Paths of files and patterns, in the order given, the matches of a pattern sorted; none given is ``-``, standard input.

    Raises:
        DataError: for a file that is not there, a folder, or a pattern that matches nothing.
        ConfigError: when standard input is named twice.
    """
    paths: list[str] = []
    for pattern in patterns or [STDIN]:
        if pattern == STDIN:
            paths.append(pattern)
        elif Path(pattern).is_dir():
            raise DataError(f"{pattern}: is a folder; name its files, such as '{Path(pattern) / '*.txt'}'")
        elif Path(pattern).exists():
            paths.append(pattern)
        elif glob.has_magic(pattern):
            found = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())
            if not found:
                raise DataError(f"{pattern}: no file matches")
            paths += found
        else:
            raise DataError(f"{pattern}: no such file")
    if paths.count(STDIN) > 1:
        raise ConfigError("standard input (-) can be read only once")
    return paths


def format_by_suffix(path: str) -> str:
    """The input format that a file's suffix says, ``.gz`` apart; a name without suffix is text.

    Raises:
        ConfigError: when it says none.
    """
    suffix = Path(Path(path).name.removesuffix(".gz")).suffix.lower()
    for name, suffixes in _SUFFIXES.items():
        if suffix in suffixes:
            return name
    raise ConfigError(f"{path}: the suffix {suffix!r} says nothing of the format; choose one with --in-format: {', '.join(READERS)}")


def read_inputs(
    patterns: Sequence[str], *, format: str = "auto", language: str = "und", stdin: IO[bytes] | None = None
) -> Iterator[Record]:
    """Every input of files, patterns and standard input, in order; inputs without an id get their number, counted from 1.

    Args:
        patterns: paths and patterns; ``-`` or none is standard input. ``.gz`` files are unpacked on the way.
        format: a key of ``READERS``; ``"auto"`` goes by the suffix, and for standard input by whether its first line is a JSON object
            with ``text`` or ``tokens``.
        language: of inputs that do not say theirs.
        stdin: instead of the process's own.

    Raises:
        ConfigError: for an unknown format.
        DataError: when a file is not there. Both are raised at once, before anything is read.
    """
    if format != "auto" and format not in READERS:
        raise ConfigError(unknown("input format", format, ("auto", *READERS)))
    paths = expand(patterns)
    formats = [format_by_suffix(path) if format == "auto" and path != STDIN else format for path in paths]
    records = (record for path, each in zip(paths, formats, strict=True) for record in _read_file(path, each, language, stdin))
    return (record if record.id else replace(record, id=str(number)) for number, record in enumerate(records, 1))


def _read_file(path: str, format: str, language: str, stdin: IO[bytes] | None) -> Iterator[Record]:
    origin = Origin("<stdin>" if path == STDIN else path, language)
    reached = 0
    try:
        with _open(path, stdin) as stream:
            for record in _read(stream, format, origin):
                reached += 1
                yield record
    except (OSError, EOFError, zlib.error) as error:  # gzip's own fault is an OSError
        reason = getattr(error, "strerror", None) or str(error)
        yield BadInput("", origin.name, f"cannot be read beyond its first {reached} inputs: {reason}")


def _open(path: str, stdin: IO[bytes] | None) -> AbstractContextManager[Iterable[bytes]]:
    if path == STDIN:
        return nullcontext(stdin if stdin is not None else sys.stdin.buffer)  # not ours to close
    return gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb")


def _read(stream: Iterable[bytes], format: str, origin: Origin) -> Iterator[Record]:
    raw = iter(stream)
    head = list(islice(raw, 1))
    if head and head[0].startswith(_UTF16):
        yield BadInput("", origin.name, "is UTF-16; save it as UTF-8")
        return
    head = [line.removeprefix(_BOM) for line in head]
    if format == "auto":
        format = "jsonl" if head and _is_json_record(head[0]) else "txt"
    yield from READERS[format](_lines(chain(head, raw)), origin)


def _is_json_record(line: bytes) -> bool:
    record = record_of_line(line)
    return isinstance(record, dict) and ("text" in record or "tokens" in record)


def _lines(raw: Iterable[bytes]) -> Iterator[Line]:
    """Numbered lines without their ends; bytes that are not UTF-8 make a fault, not a guess."""
    for number, line in enumerate(raw, 1):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            yield Line(number, line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield Line(
                number, "", f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8"
            )
