"""What the made shop sells in one language: phrases by slot, frequent ones first."""

from __future__ import annotations

import random
import tomllib
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate, product

from fewtag.text.words import tokenize

UNSPACED = ("ja", "zh")
# Of each made brand its Latin, Katakana and Han syllables.
_SYLLABLES = {
    "ka": "カ卡", "ri": "リ瑞", "to": "ト托", "mi": "ミ米", "na": "ナ娜", "so": "ソ索", "le": "レ莱", "vo": "ボ沃", "da": "ダ达",
    "ne": "ネ奈", "lu": "ル鲁", "pa": "パ帕", "ro": "ロ罗", "si": "シ西", "te": "テ特", "ba": "バ巴", "mo": "モ莫", "ki": "キ奇",
    "zu": "ズ祖", "fe": "フェ菲", "ga": "ガ嘉", "ve": "ベ维", "no": "ノ诺", "xi": "クシ希", "ta": "タ塔", "re": "レイ雷", "lo": "ロウ洛",
    "be": "ベイ贝", "do": "ド多", "ma": "マ玛",
}  # fmt: skip
_ENDINGS = ("", "", "", "n", "x", "s", "tek", "ora", "ix", "well", "co")
# Brands people know, some of them words of another meaning: color, fruit, animal, gap.
_KNOWN_BRANDS = (
    "nike", "adidas", "samsung", "apple", "puma", "lego", "sony", "bosch", "orange", "gap", "mango", "philips", "canon",
    "jaguar", "levis", "fossil", "columbia", "north face", "new balance", "red bull", "black decker", "golden goose",
    "dove", "tiger", "polo", "diesel", "guess", "target", "shell", "dell", "hp", "lg", "asus", "casio", "seiko",
    "ray ban", "playmobil", "mattel", "brother", "champion",
)  # fmt: skip
# "classic", "sport", "smart" and the like are features as well.
_LINES = (
    "galaxy", "air max", "classic", "ultraboost", "iphone", "sport", "pro", "air force", "smart", "superstar", "elite",
    "air", "originals", "series 5", "pixel", "thinkpad", "vintage", "airpods", "501", "city", "technic", "lite",
    "pro max", "stan smith", "plus", "switch", "outdoor", "essential", "playstation 5", "titan", "comfort", "junior",
    "nova", "retro", "aero", "trail", "gold", "silver", "moon", "zoom", "surface", "royal", "baby",
)  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """A phrase and its tokens."""

    text: str
    tokens: tuple[str, ...]


class Weighted:
    """Phrases drawn by rank: the share of rank r falls as 1 / (r + 3)^0.9, near what word counts do."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.phrases = [phrase_of(text) for text in dict.fromkeys(texts)]
        self.bounds = list(accumulate((rank + 3) ** -0.9 for rank in range(len(self.phrases))))

    def draw(self, chance: random.Random) -> Phrase:
        """One phrase."""
        return self.phrases[min(bisect(self.bounds, chance.random() * self.bounds[-1]), len(self.phrases) - 1)]


def phrase_of(text: str) -> Phrase:
    """A phrase with the tokens that raw text of it would have."""
    return Phrase(text, tuple(text[a:b] for a, b in tokenize(text)))


@dataclass(frozen=True)
class Lexicon:
    """The phrases of one language by slot.

    Args:
        language: its code.
        type_first: whether the product comes before what describes it.
        spaced: whether phrases stand apart.
        slots: name of the slot -> its phrases.
        units: of sizes in numbers.
    """

    language: str
    type_first: bool
    spaced: bool
    slots: dict[str, Weighted]
    units: tuple[str, ...]


@cache
def lexicon(language: str) -> Lexicon:
    """The lexicon of a language; the same on every machine."""
    words = tomllib.loads((files(__package__) / "words" / f"{language}.toml").read_text(encoding="utf-8"))
    chance = random.Random(f"lexicon/{language}")
    type_first, spaced = words["order"] == "after", language not in UNSPACED
    compounds = [_compound(modifier, head, words["joined"], type_first) for modifier, head in product(words["modifiers"], words["heads"])]
    chance.shuffle(compounds)
    types = list(words["types"])
    types[12:] = _mixed(types[12:], compounds, chance)
    lists = {
        name: _shuffled_tail(words[name], chance)
        for name in ("colors", "materials", "audiences", "features", "visuals", "occasions", "sizes")
    }
    slots = {
        "types": types,
        "brands": _brands(language),
        "lines": _shuffled_tail(_LINES, chance, keep=2),
        "linking": words["linking"],
        "misc": words["misc"],
        **lists,
    }
    return Lexicon(language, type_first, spaced, {name: Weighted(texts) for name, texts in slots.items()}, tuple(words["units"]))


def _compound(modifier: str, head: str, joined: bool, type_first: bool) -> str:
    if joined:
        return modifier + head
    return f"{head} {modifier}" if type_first else f"{modifier} {head}"


def _mixed(first: Sequence[str], second: Sequence[str], chance: random.Random) -> list[str]:
    """Both lists, each in its order, the shorter spread over the first half of the longer."""
    places = sorted(chance.sample(range(len(first) + len(second) // 2), len(first)))
    waiting = iter(second)
    merged: list[str] = []
    for word, place in zip(first, places, strict=True):
        while len(merged) < place:
            merged.append(next(waiting))
        merged.append(word)
    return [*merged, *waiting]


def _shuffled_tail(words: Sequence[str], chance: random.Random, keep: int = 3) -> list[str]:
    """The first words stay first; the order of the others is the language's own."""
    tail = list(words[keep:])
    chance.shuffle(tail)
    return [*words[:keep], *tail]


@cache
def _made_brands() -> tuple[tuple[str, str, str], ...]:
    """3000 brands nobody has heard of, each in Latin, Katakana and Han."""
    chance = random.Random("brands")
    made: dict[str, tuple[str, str, str]] = {}
    while len(made) < 3000:
        syllables = chance.choices(list(_SYLLABLES), k=chance.choice((2, 2, 3)))
        latin = "".join(syllables) + chance.choice(_ENDINGS)
        scripts = [_SYLLABLES[each] for each in syllables]
        made.setdefault(latin, (latin, "".join(each[:-1] for each in scripts), "".join(each[-1] for each in scripts)))
    return tuple(made.values())


def _brands(language: str) -> list[str]:
    """Known brands among made ones, in an order of the language's own; where there is another script, half of the made ones use it."""
    chance = random.Random(f"brands/{language}")
    made = list(_made_brands())
    chance.shuffle(made)
    script = {"ja": 1, "zh": 2}.get(language, 0)
    names = [each[script if chance.random() < 0.5 else 0] for each in made]
    known = list(_KNOWN_BRANDS)
    chance.shuffle(known)
    return [*known[:6], *_mixed(known[6:], names[:400], chance), *names[400:]]
