"""JSONL: one object a line, either ``text`` with character spans or ``tokens`` with ``tags``.

    {"id": "1", "text": "Angela Merkel besuchte Paris.", "lang": "de", "entities": [{"start": 0, "end": 13, "label": "PER"}]}
    {"id": "2", "tokens": ["Paris", "!"], "tags": ["B-LOC", "O"]}

Spans are half-open. A span that cuts a token splits the token, so that no entity is lost. Where a record has tokens and tags, these
count; where it has tokens and a text with spans, the text does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fewtag.data.files import read_lines, write_text
from fewtag.data.formats.offsets import CharacterSpan, labeled_sentence, utf16_to_codepoint
from fewtag.data.problems import Problems
from fewtag.errors import ConfigError, unknown
from fewtag.text.records import half_a_character, record_of_line
from fewtag.text.sentence import Sentence
from fewtag.text.words import sentence_from_text

OFFSETS = ("auto", "codepoint", "utf16")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a pair or one of a whole one; no other escape can make half a character


def read(path: Path, *, language: str, problems: Problems, offsets: str = "auto") -> Iterator[Sentence]:
    """Sentences as they come, tags as written (BIO for character spans).

    Args:
        path: the file.
        language: of its sentences, unless a record has ``lang``.
        problems: takes records that cannot be read.
        offsets: how spans count: ``"codepoint"``, ``"utf16"`` units (as JavaScript tools write them), or ``"auto"``: code points, unless
            the record carries the surface of its spans and only the reading as UTF-16 agrees with it.

    Raises:
        ConfigError: for another value of ``offsets``.
    """
    if offsets not in OFFSETS:
        raise ConfigError(unknown("kind of offsets", offsets, OFFSETS))
    for number, line in read_lines(path, problems):
        if not line.strip():
            continue
        record = record_of_line(line)
        if isinstance(record, str):
            problems.error(path, number, "bad-json", record)
            continue
        half = half_a_character(json.dumps(record, ensure_ascii=False)) if _SURROGATE.search(line) else ""
        if half:
            problems.error(path, number, "half-character", half)
            continue
        sentence = _sentence(record, path, number, language, problems, offsets)
        if sentence is not None:
            yield sentence


def _sentence(record: dict[str, Any], path: Path, number: int, language: str, problems: Problems, offsets: str) -> Sentence | None:
    source, id = f"{path}:{number}", "" if record.get("id") is None else str(record["id"])
    language = str(record.get("lang") or record.get("language") or language)
    given, text = _given(record), record.get("text")
    without_tags = isinstance(given, list) and _tags(record) is None  # spans are of the text, whatever tokens stand beside it
    if record.get("tokens") is not None and not (without_tags and isinstance(text, str)):
        if without_tags and given:
            problems.error(path, number, "bad-record", "tokens, and spans without a text to count in; write text, or tags of the tokens")
            return None
        return _from_tokens(record, path, number, language, id, problems)
    if not isinstance(text, str):
        problems.error(path, number, "bad-record", f"neither text nor tokens; found the keys {', '.join(map(str, record)) or 'none'}")
        return None
    if given is None:
        return sentence_from_text(text, language=language, id=id, source=source)
    spans = _spans(given, text, path, number, problems, offsets)
    return None if spans is None else labeled_sentence(text, spans, language, id, source, problems)


def _given(record: dict[str, Any]) -> Any:
    """The spans of a record: of several keys the first that holds some; None where there is no such key."""
    there = [record[key] for key in ("entities", "spans", "label", "labels") if record.get(key) is not None]
    return next((each for each in there if isinstance(each, list) and each), there[0] if there else None)


def _tags(record: dict[str, Any]) -> Any:
    return record.get("tags") if record.get("tags") is not None else record.get("ner_tags")


def _from_tokens(record: dict[str, Any], path: Path, number: int, language: str, id: str, problems: Problems) -> Sentence | None:
    tokens, tags = record["tokens"], _tags(record)
    if not isinstance(tokens, list) or not all(isinstance(t, str) and t.strip() for t in tokens):
        problems.error(path, number, "empty-token", "tokens must be a list of non-empty strings")
        return None
    if tags is not None and (not isinstance(tags, list) or not all(isinstance(t, str) for t in tags)):
        problems.error(path, number, "bad-tag", "tags must be a list of strings such as B-PER")
        return None
    if tags is not None and len(tags) != len(tokens):
        problems.error(path, number, "length", f"the tokens are {len(tokens)} but the tags {len(tags)}")
        return None
    return Sentence(tuple(tokens), None if tags is None else tuple(tags), language, id, source=f"{path}:{number}")


def _spans(given: Any, text: str, path: Path, number: int, problems: Problems, offsets: str) -> list[CharacterSpan] | None:
    found: list[CharacterSpan] = []
    surfaces: list[str | None] = []
    for item in given if isinstance(given, list) else [given]:
        try:
            if isinstance(item, dict):
                label = item.get("label", item.get("entity_group", item.get("type")))
                start, end, surface = item["start"], item["end"], item.get("text", item.get("word"))
            else:
                (start, end, label), surface = item, None
            if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            problems.error(
                path, number, "bad-span", f"{json.dumps(item, ensure_ascii=False)[:80]} is not a span; write start, end and label"
            )
            return None
        found.append(CharacterSpan(start, end, label))
        surfaces.append(surface if isinstance(surface, str) else None)
    if offsets == "codepoint" or not found:
        return found
    repaired = [utf16_to_codepoint(text, span) for span in found]
    if offsets == "utf16":
        return [new or old for new, old in zip(repaired, found, strict=True)]

    def agrees(spans: list[CharacterSpan | None]) -> bool:
        return all(s is not None and (w is None or text[s.start : s.end] == w) for s, w in zip(spans, surfaces, strict=True))

    if any(surfaces) and not agrees(list(found)) and agrees(repaired):
        problems.warn(path, number, "utf16", "span offsets count UTF-16 units; read as such, because only so they match the spans' text")
        return [span for span in repaired if span is not None]
    for span, surface in zip(found, surfaces, strict=True):
        if surface is not None and text[span.start : span.end] != surface:
            cut = text[span.start : span.end]
            problems.warn(
                path, number, "surface", f"span {span.start}..{span.end} says it is {surface!r}, the text there is {cut!r}; offsets count"
            )
    return found


def write(sentences: Iterable[Sentence], path: Path) -> None:
    """Text with character spans where the sentence came from text, else tokens and tags."""
    write_text(path, (json.dumps(record_of(sentence), ensure_ascii=False) + "\n" for sentence in sentences))


def record_of(sentence: Sentence) -> dict[str, Any]:
    """The JSON object of a sentence."""
    from fewtag.text.tags import spans_of

    record: dict[str, Any] = {"id": sentence.id}
    if sentence.language != "und":  # nobody has said; a folder's name may still
        record["lang"] = sentence.language
    if sentence.text is not None and sentence.offsets is not None:
        record["text"] = sentence.text
        if sentence.tags is not None:
            offsets = sentence.offsets
            record["entities"] = [
                {
                    "start": offsets[s.start][0],
                    "end": offsets[s.end - 1][1],
                    "label": s.label,
                    "text": sentence.text[offsets[s.start][0] : offsets[s.end - 1][1]],
                }
                for s in spans_of(sentence.tags)
            ]
        return record
    record["tokens"] = list(sentence.tokens)
    if sentence.tags is not None:
        record["tags"] = list(sentence.tags)
    return record
