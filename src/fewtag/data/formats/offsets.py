"""Character spans -> tokens with tags. No entity is lost: where a span cuts a token, the token is split."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from fewtag.data.problems import Problems
from fewtag.text.sentence import Sentence, Span
from fewtag.text.tags import tags_of
from fewtag.text.words import tokenize


@dataclass(frozen=True, slots=True, order=True)
class CharacterSpan:
    """Half-open range of characters with a label."""

    start: int
    end: int
    label: str


def utf16_to_codepoint(text: str, span: CharacterSpan) -> CharacterSpan | None:
    """The span with offsets in UTF-16 units counted in code points instead; None when they cut a character or lie outside."""
    units, at = {0: 0}, 0
    for index, character in enumerate(text):
        at += 2 if ord(character) > 0xFFFF else 1
        units[at] = index + 1
    if span.start not in units or span.end not in units:
        return None
    return CharacterSpan(units[span.start], units[span.end], span.label)


def labeled_sentence(text: str, spans: Sequence[CharacterSpan], language: str, id: str, source: str, problems: Problems) -> Sentence | None:
    """A sentence of text with the tags of its spans.

    Args:
        text: as given.
        spans: half-open code-point ranges.
        language, id, source: of the sentence.
        problems: takes spans outside the text, empty or overlapping ones.

    Returns:
        None when a span cannot be taken: a sentence with half its entities would teach the wrong thing.
    """
    path, _, line = source.rpartition(":")
    number, good = int(line), True
    trimmed: list[CharacterSpan] = []
    for span in sorted(set(spans)):
        if not 0 <= span.start < span.end <= len(text):
            problems.error(
                path, number, "span-outside", f"span {span.start}..{span.end} {span.label} lies outside a text of {len(text)} characters"
            )
            good = False
            continue
        surface = text[span.start : span.end]
        start = span.start + len(surface) - len(surface.lstrip())
        end = span.end - (len(surface) - len(surface.rstrip()))
        if start >= end:
            problems.error(path, number, "span-empty", f"span {span.start}..{span.end} {span.label} covers only white space")
            good = False
            continue
        if trimmed and start < trimmed[-1].end:
            before = trimmed[-1]
            problems.error(
                path,
                number,
                "span-overlap",
                f"span {start}..{end} {span.label} overlaps {before.start}..{before.end} {before.label}; spans must lie apart",
            )
            good = False
            continue
        trimmed.append(CharacterSpan(start, end, span.label))
    if not good:
        return None
    offsets = _split_at(tokenize(text), {edge for span in trimmed for edge in (span.start, span.end)})
    starts = {a: index for index, (a, _) in enumerate(offsets)}
    ends = {b: index + 1 for index, (_, b) in enumerate(offsets)}
    tags = tags_of([Span(starts[s.start], ends[s.end], s.label) for s in trimmed], len(offsets))
    return Sentence(tuple(text[a:b] for a, b in offsets), tags, language, id, text, tuple(offsets), source)


def _split_at(ranges: list[tuple[int, int]], edges: set[int]) -> list[tuple[int, int]]:
    result = []
    for start, end in ranges:
        inside = sorted(edge for edge in edges if start < edge < end)
        bounds = [start, *inside, end]
        result += list(itertools.pairwise(bounds))
    return result
