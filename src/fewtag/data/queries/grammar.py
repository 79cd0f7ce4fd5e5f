"""One made query: which slots, in which order, written how carelessly."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable

from fewtag.data.queries.lexicon import Lexicon, Phrase, phrase_of
from fewtag.text.sentence import Sentence
from fewtag.text.words import tokenize

# Slot -> label. Sizes in numbers and model numbers are made on the spot.
_LABEL_OF = {
    "types": "ProductType",
    "brands": "Brand",
    "lines": "ProductLine",
    "colors": "Color",
    "materials": "Material",
    "audiences": "Audience",
    "features": "Feature",
    "visuals": "VisualFeature",
    "occasions": "Occasion",
    "sizes": "Size",
    "number": "Size",
    "model": "ModelNumber",
    "linking": "NonContent",
    "misc": "Misc",
}
LABELS = tuple(sorted(set(_LABEL_OF.values())))
# What stands beside the product, and how often.
_BESIDE = {"brands": 0.36, "colors": 0.20, "features": 0.17, "materials": 0.16, "audiences": 0.14, "visuals": 0.12, "occasions": 0.07}
_LEADING = ("brands", "visuals", "colors", "features", "materials")  # before a product that comes last
_TRAILING = ("materials", "brands", "colors", "features", "visuals")  # after a product that comes first
_LINKED = ("audiences", "occasions", "features", "materials")  # may follow "for", "with", "of"
_BETWEEN = ("&", "+", ",", "/", "-")
# The rates of what makes queries hard; ours, so that 1 % of the labels leave a wide gap to all of them (docs/results.md).
_SHUFFLED, _TYPO, _PLAIN, _UPPER, _UNTAGGED, _PUNCTUATED = 0.15, 0.04, 0.10, 0.06, 0.02, 0.02
_UNTAGGED_WORDS = ("www", "buy", "ebay", "com", "shop", "x", "asin", "eur", "usd", "no")

_NO_ACCENT = str.maketrans("łıøŁ", "lioL", "") | {ord("ß"): "ss", ord("æ"): "ae", ord("œ"): "oe"}

Piece = tuple[str, Phrase]  # slot ("" for words outside every span), phrase


def query(words: Lexicon, chance: random.Random) -> Sentence:
    """A tagged query with its text and offsets, without an id.

    Args:
        words: of its language.
        chance: the only source of randomness.
    """
    pieces = _pieces(words, chance)
    if len(pieces) > 1 and chance.random() < _SHUFFLED:
        chance.shuffle(pieces)
    if chance.random() < _UNTAGGED:
        pieces.insert(chance.choice((0, len(pieces))), ("", phrase_of(chance.choice(_UNTAGGED_WORDS))))
    if len(pieces) > 1 and chance.random() < _PUNCTUATED:
        pieces.insert(chance.randrange(1, len(pieces)), ("", phrase_of(chance.choice(_BETWEEN))))
    return _written([(slot, _careless(phrase, chance)) for slot, phrase in pieces], words, chance)


def _pieces(words: Lexicon, chance: random.Random) -> list[Piece]:
    chosen = {slot for slot, share in _BESIDE.items() if chance.random() < share}
    if len(chosen) > 3:
        chosen = set(chance.sample(sorted(chosen), 3))
    draw: Callable[[str], Piece] = lambda slot: (slot, words.slots[slot].draw(chance))  # noqa: E731
    beside = [draw(slot) for slot in (_TRAILING if words.type_first else _LEADING) if slot in chosen]
    if "brands" in chosen:
        place = next(index for index, (slot, _) in enumerate(beside) if slot == "brands") + 1
        if chance.random() < 0.45:
            beside.insert(place, draw("lines"))
            place += 1
        if chance.random() < 0.25:
            beside.insert(place, ("model", _model_number(chance)))
    product = [draw("types")] if chance.random() < (0.72 if "brands" in chosen else 0.95) or not chosen else []
    after = []
    for slot in ("audiences", "occasions"):
        if slot in chosen:
            after += [draw("linking"), draw(slot)] if chance.random() < 0.4 else [draw(slot)]
    if not after and product and len(beside) < 3 and chance.random() < 0.06:
        after = [draw("linking"), draw(chance.choice(_LINKED))]
    if chance.random() < 0.16:
        after.append(("number", _number(words, chance)) if chance.random() < 0.6 else draw("sizes"))
    if chance.random() < 0.05:
        after.append(draw("misc"))
    return [*product, *beside, *after] if words.type_first else [*beside, *product, *after]


def _number(words: Lexicon, chance: random.Random) -> Phrase:
    number = str(
        chance.choice(
            (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 36, 38, 40, 42, 44, 50, 55, 60, 100, 120, 160, 180, 200, 250, 500, "1,5", "2.5")
        )
    )
    kind = chance.random()
    if kind < 0.25:
        return phrase_of(number)  # a bare number may be a model number as well
    unit = chance.choice(words.units)
    if kind < 0.35:
        return phrase_of(f"{number} x {chance.randrange(2, 99)} {unit}")
    return phrase_of(f"{number}{unit}" if kind < 0.6 or not words.spaced else f"{number} {unit}")


def _model_number(chance: random.Random) -> Phrase:
    letters = "".join(chance.choices("abcdefghklmnprstvwxz", k=chance.choice((1, 1, 2, 2, 3))))
    digits = str(chance.randrange(1, 10 ** chance.choice((1, 2, 3, 4))))
    shape = chance.random()
    if shape < 0.22:
        return phrase_of(digits)
    if shape < 0.4:
        return phrase_of(f"{letters}-{digits}")
    if shape < 0.5:
        return phrase_of(f"{letters} {digits}")
    return phrase_of(f"{letters}{digits}" if shape < 0.85 else f"{letters}{digits}{chance.choice('abcepst')}")


def _careless(phrase: Phrase, chance: random.Random) -> Phrase:
    """The phrase, sometimes with a letter lost, doubled or swapped: in words of five letters or more."""
    if chance.random() >= _TYPO * len(phrase.tokens):
        return phrase
    text = phrase.text
    places = [i for i in range(1, len(text) - 2) if text[i : i + 2].isalpha() and ord(text[i]) < 0x3000]
    if len(text) < 5 or not places:
        return phrase
    place, kind = chance.choice(places), chance.random()
    middle = text[place + 1] + text[place] if kind < 0.4 else text[place] if kind < 0.75 else text[place] * 2 + text[place + 1]
    return phrase_of(text[:place] + middle + text[place + 2 :])


def _written(pieces: list[Piece], words: Lexicon, chance: random.Random) -> Sentence:
    """Text, tokens, tags and offsets of the pieces, in the writer's manner."""
    manner = chance.random()
    change: Callable[[str], str] | None = None
    if manner < _UPPER / 3:
        change = str.upper
    elif manner < _UPPER:
        change = str.capitalize
    elif manner < _UPPER + _PLAIN and words.spaced:
        change = without_accents
    apart = words.spaced or chance.random() < 0.2
    text = ""
    tokens: list[str] = []
    tags: list[str] = []
    offsets: list[tuple[int, int]] = []
    for slot, phrase in pieces:
        phrase = phrase_of(change(phrase.text)) if change else phrase
        if text and (apart or (_latin(text[-1]) and _latin(phrase.text[0]))):
            text += " "
        start = len(text)
        text += phrase.text
        label = _LABEL_OF.get(slot)
        tokens += phrase.tokens
        tags += [f"B-{label}", *[f"I-{label}"] * (len(phrase.tokens) - 1)] if label else ["O"] * len(phrase.tokens)
        ranges = [(0, len(phrase.text))] if len(phrase.tokens) == 1 else tokenize(phrase.text)
        offsets += [(start + a, start + b) for a, b in ranges]
    return Sentence(tuple(tokens), tuple(tags), words.language, "", text, tuple(offsets))


def _latin(character: str) -> bool:
    return ord(character) < 0x2E80


def without_accents(text: str) -> str:
    """The text as typed on a keyboard without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return plain.translate(_NO_ACCENT)
