"""Inputs to tag: files, globs and standard input as text lines, JSONL or CoNLL. Order is kept; a bad line is a record, not an abort."""

from __future__ import annotations

import glob
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewtag.data.files import read_lines
from fewtag.data.problems import Problems
from fewtag.errors import ConfigError, DataError, unknown
from fewtag.text.sentence import Sentence
from fewtag.text.words import sentence_from_text

FORMATS = ("txt", "jsonl", "conll")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".conll": "conll", ".tsv": "conll", ".bio": "conll", ".iob": "conll", ".conllu": "conll"}


@dataclass(frozen=True, slots=True)
class BadInput:
    """An input that cannot be tagged.

    Args:
        id: its own, or its number.
        message: what is wrong, with ``file:line``.
    """

    id: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """The record that stands in its place."""
        return {"id": self.id, "error": self.message}


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files of paths and glob patterns, in the order given, a pattern's matches sorted.

    Raises:
        DataError: when a pattern matches nothing.
    """
    files: list[Path] = []
    for pattern in patterns:
        matches = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise DataError(f"{pattern}: no such file")
        files += [Path(match) for match in matches]
    return files


def read_inputs(files: Sequence[Path], *, format: str = "auto", language: str = "und") -> Iterator[Sentence | BadInput]:
    """Inputs as they come; standard input when there are no files.

    Args:
        files: to read, one after the other.
        format: ``"txt"`` (one text a line), ``"jsonl"`` (text or tokens), ``"conll"`` (tokens in the first column), or ``"auto"``: by
            suffix, and text for standard input.
        language: of inputs that do not say.

    Raises:
        ConfigError: for an unknown format.
    """
    if format not in (*FORMATS, "auto"):
        raise ConfigError(unknown("input format", format, (*FORMATS, "auto")))
    sources = [(path, str(path)) for path in files] or [(None, "stdin")]
    number = 0
    for path, name in sources:
        kind = format
        if kind == "auto":
            kind = _SUFFIXES.get(Path(name.removesuffix(".gz")).suffix.lower(), "txt") if path else "txt"
        problems = Problems()
        lines = read_lines(path, problems) if path else _standard_input(problems)
        for item in _conll(lines, name, language) if kind == "conll" else _lines(lines, kind, name, language, problems):
            number += 1
            yield _numbered(item, number)


def _numbered(item: Sentence | BadInput, number: int) -> Sentence | BadInput:
    return item if item.id else replace(item, id=str(number))


def _standard_input(problems: Problems) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            problems.error("stdin", number, "encoding", f"byte 0x{raw[error.start]:02x} is not UTF-8")
            text = raw.decode("utf-8", errors="replace")
        yield number, text.rstrip("\n").removesuffix("\r")


def _lines(lines: Iterator[tuple[int, str]], kind: str, name: str, language: str, problems: Problems) -> Iterator[Sentence | BadInput]:
    reported = 0
    for number, line in lines:
        if len(problems) > reported:  # this very line is not UTF-8
            reported = len(problems)
            yield BadInput("", str(problems.errors[-1]))
        elif kind == "txt":
            yield sentence_from_text(line, language=language, source=f"{name}:{number}")
        else:
            yield _record(line, f"{name}:{number}", language)


def _record(line: str, source: str, language: str) -> Sentence | BadInput:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        return BadInput("", f"{source}: not JSON: {error.msg} at column {error.colno}")
    if not isinstance(record, dict):
        return BadInput("", f"{source}: expected an object with text or tokens, found {type(record).__name__}")
    id, language = str(record.get("id", "")), str(record.get("lang") or language)
    tokens, text = record.get("tokens"), record.get("text")
    if isinstance(tokens, list) and all(isinstance(token, str) and token.strip() for token in tokens):
        return Sentence(tuple(tokens), None, language, id, source=source)
    if tokens is not None:
        return BadInput(id, f"{source}: tokens must be a list of non-empty strings")
    if isinstance(text, str):
        return sentence_from_text(text, language=language, id=id, source=source)
    return BadInput(id, f"{source}: neither text nor tokens; found the keys {', '.join(map(str, record)) or 'none'}")


def _conll(lines: Iterator[tuple[int, str]], name: str, language: str) -> Iterator[Sentence | BadInput]:
    tokens: list[str] = []
    first, id = 0, ""
    for number, line in lines:
        if line.strip():
            if not tokens and line.startswith("# "):
                key, equals, value = line[2:].partition("=")
                id = value.strip() if equals and key.strip() in ("id", "sent_id") else id
                continue
            first = first or number
            token = (line.split("\t") if "\t" in line else line.split())[0]
            if token == "-DOCSTART-":
                first = 0
                continue
            tokens.append(token if token.strip() else "\ufffd")
        elif tokens:
            yield Sentence(tuple(tokens), None, language, id, source=f"{name}:{first}")
            tokens, first, id = [], 0, ""
    if tokens:
        yield Sentence(tuple(tokens), None, language, id, source=f"{name}:{first}")
