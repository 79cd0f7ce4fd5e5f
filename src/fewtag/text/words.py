"""Raw text of any script -> tokens with exact character offsets.

Han, Kana, Thai, Lao, Khmer and Myanmar are cut by character (a combining mark stays with its base); other scripts into words, numbers and
single punctuation marks. Nothing is normalized: offsets are code points of the string as given, and every character that is not white
space lies in exactly one token.
"""

from __future__ import annotations

import re
import unicodedata

from fewtag.text.sentence import Sentence

# Scripts written without spaces: one character, one token.
_SINGLE = (
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Kana, iteration marks
    "\u2e80-\u2fd5\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_WORD = rf"(?:(?![{_SINGLE}])[^\W_])"  # a letter or digit of any other script
_PATTERN = re.compile(
    rf"""
      \d+(?:[.,]\d+)+(?!{_WORD})       # a number with separators: 3.5  1,000
    | {_WORD}+(?:['’\-]{_WORD}+)*      # a word, with apostrophes and hyphens inside: don't  t-shirt  l'amour
    | [{_SINGLE}]
    | \S
    """,
    re.VERBOSE,
)
_JOINERS = {"\u200d", "\u200c", "\ufe0e", "\ufe0f", "\u20e3"}  # zero-width joiners, emoji variation and keycap marks


def _continues(text: str, end: int) -> bool:
    """Whether the character at ``end`` belongs to the token before it: a mark, a joiner, or what follows a joiner."""
    character = text[end]
    if character.isspace():
        return False
    if unicodedata.category(character) in ("Mn", "Mc", "Me") or character in _JOINERS or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    return text[end - 1] == "\u200d" and unicodedata.category(character) == "So"


def tokenize(text: str) -> list[tuple[int, int]]:
    """Half-open code-point ranges of the tokens of a text, in order."""
    ranges: list[tuple[int, int]] = []
    place, size = 0, len(text)
    while place < size:
        match = _PATTERN.search(text, place)
        if match is None:
            break
        start, end = match.span()
        while end < size and _continues(text, end):
            end += 1
            # A word goes on after its marks: Hebrew points, decomposed accents, Indic vowel signs.
            more = _LETTERS.match(text, end) if text[end - 1] not in _JOINERS and _LETTERS.match(text, start) else None
            end = more.end() if more else end
        ranges.append((start, end))
        place = end
    return ranges


_LETTERS = re.compile(rf"{_WORD}+(?:['’\-]{_WORD}+)*")


def sentence_from_text(text: str, *, language: str = "und", id: str = "", source: str = "") -> Sentence:
    """A sentence of raw text, with the text and its tokens' offsets."""
    offsets = tuple(tokenize(text))
    return Sentence(tuple(text[a:b] for a, b in offsets), None, language, id, text, offsets, source)
