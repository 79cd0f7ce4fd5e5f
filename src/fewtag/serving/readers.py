"""Lines -> sentences to tag, in three formats. Every line of text gives one, an empty line too; a line that cannot be read becomes a
`BadInput` in its place, so that outputs stand beside inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fewtag.text.records import half_a_character, record_of_line
from fewtag.text.sentence import Sentence
from fewtag.text.words import sentence_from_text


@dataclass(frozen=True, slots=True)
class BadInput:
    """An input that could not be read.

    Args:
        id: its own, or its number.
        source: ``file:line``.
        message: what is wrong with it.
    """

    id: str
    source: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """The record that stands in its place."""
        return {"id": self.id, "error": f"{self.source}: {self.message}"}


Record = Sentence | BadInput


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, counted from 1: its text without the line end, or what is wrong with its bytes."""

    number: int
    text: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lines come from: the name of the file, and the language of inputs that do not say theirs."""

    name: str
    language: str

    def at(self, number: int) -> str:
        """``file:line``."""
        return f"{self.name}:{number}"


def read_txt(lines: Iterable[Line], origin: Origin) -> Iterator[Record]:
    """One text a line."""
    for line in lines:
        source = origin.at(line.number)
        yield BadInput("", source, line.fault) if line.fault else sentence_from_text(line.text, language=origin.language, source=source)


def read_jsonl(lines: Iterable[Line], origin: Origin) -> Iterator[Record]:
    """One object a line, with ``text`` or ``tokens`` or both; ``id`` and ``lang`` are kept, other keys passed over. An empty line is an
    empty text."""
    for line in lines:
        source = origin.at(line.number)
        if line.fault:
            yield BadInput("", source, line.fault)
        elif not line.text.strip():
            yield sentence_from_text(line.text, language=origin.language, source=source)
        else:
            yield _from_json(line.text, source, origin.language)


def read_conll(lines: Iterable[Line], origin: Origin) -> Iterator[Record]:
    """A token a line, in the first column; an empty line ends a sentence.

    Columns are apart by tabs where the line has one, else by spaces. Before the first token ``# id = x`` names the sentence, and other
    lines that begin with ``#`` and a space are comments. ``-DOCSTART-`` lines are no tokens.
    """
    tokens: list[str] = []
    id, first, fault = "", 0, ""

    def finished() -> Iterator[Record]:
        if fault:
            yield BadInput(id, origin.at(first), fault)
        elif tokens:
            yield Sentence(tuple(tokens), None, origin.language, id, source=origin.at(first))

    for line in lines:
        if not line.text.strip() and "\t" not in line.text and not line.fault:
            yield from finished()
            tokens, id, first, fault = [], "", 0, ""
            continue
        columns = line.text.split("\t") if "\t" in line.text else [column for column in line.text.split(" ") if column]
        if columns[:1] == ["-DOCSTART-"]:
            continue
        if not first and line.text.startswith("# ") and not _is_hash_token(columns):
            key, equals, value = line.text[1:].partition("=")
            id = value.strip() if equals and key.strip() in ("id", "sent_id") else id
            continue
        first = first or line.number
        tokens.append(columns[0].strip() if columns else "")
        if not tokens[-1]:
            fault = fault or f"line {line.number}: {line.fault or 'the first column, where the token should stand, is empty'}"
    yield from finished()


def _is_hash_token(columns: Sequence[str]) -> bool:
    """A ``#`` that is a token of its own: two columns, the second a tag."""
    return len(columns) == 2 and columns[0] == "#" and (columns[1] == "O" or columns[1][1:2] == "-")


READERS: dict[str, Callable[[Iterable[Line], Origin], Iterator[Record]]] = {"txt": read_txt, "jsonl": read_jsonl, "conll": read_conll}


def _from_json(line: str, source: str, language: str) -> Record:
    record = record_of_line(line)
    if isinstance(record, str):
        return BadInput("", source, record)
    id = "" if record.get("id") is None else str(record["id"]).encode("utf-8", errors="replace").decode("utf-8")
    language = record.get("lang") or record.get("language") or language
    text, tokens = record.get("text"), record.get("tokens")
    if "text" not in record and "tokens" not in record:
        return BadInput(id, source, f"neither text nor tokens; found the keys {', '.join(map(repr, record)) or 'none'}")
    fault = _fault(text, tokens, language)
    if fault:
        return BadInput(id, source, fault)
    if tokens is None:
        assert isinstance(text, str)  # else it is at fault
        return sentence_from_text(text, language=language, id=id, source=source)
    if text is None or text == " ".join(tokens):
        return Sentence(tuple(tokens), None, language, id, source=source)
    offsets, place = [], 0
    for number, token in enumerate(tokens, 1):
        start = text.find(token, place)
        if start < 0:
            return BadInput(id, source, f"token {number}, {token!r}, does not stand in the text after the tokens before it")
        place = start + len(token)
        offsets.append((start, place))
    return Sentence(tuple(tokens), None, language, id, text, tuple(offsets), source)


def _fault(text: object, tokens: object, language: object) -> str:
    """What is wrong with the values of a record; empty when nothing is."""
    strings = [text, language]
    if tokens is not None:
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token.strip() for token in tokens):
            return "tokens must be a list of strings, none of them empty"
        if not tokens and isinstance(text, str) and text.strip():
            return "tokens is empty and text is not; leave tokens out, and the text is split into them"
        strings += tokens
    elif not isinstance(text, str):
        return f"text must be a string, not {text!r:.40}"
    if text is not None and not isinstance(text, str):
        return f"text must be a string, not {text!r:.40}"
    if not isinstance(language, str):
        return f"lang must be a string such as 'de', not {language!r:.40}"
    return next((fault for each in strings if isinstance(each, str) and (fault := half_a_character(each))), "")
