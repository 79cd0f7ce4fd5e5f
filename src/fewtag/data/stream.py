"""Seeded draws of one language each: a pure function of (seed, step), so that resuming needs no replay.

The language of a step comes from a counter-based generator, in blocks. Within a language every sentence is visited once per epoch, in a
permutation that depends only on (seed, language, epoch).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewtag.errors import ConfigError
from fewtag.text.sentence import Sentence

_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Draw:
    """Sentences for one step.

    Args:
        language: theirs; ``"mixed"`` when labeled ones of several are drawn and no unlabeled ones.
        labeled: with gold tags.
        unlabeled: without; tags are None even where gold exists.
    """

    language: str
    labeled: tuple[Sentence, ...]
    unlabeled: tuple[Sentence, ...]


def _generator(*parts: object) -> np.random.Generator:
    key = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8"), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


class _Pool:
    """Sentences visited in epochs."""

    def __init__(self, sentences: Sequence[Sentence], name: tuple[object, ...], raw: bool = False) -> None:
        self.sentences = sentences
        self._raw = raw  # whatever tags there are come off as a sentence is taken
        self._name = name
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def take(self, first: int, count: int) -> tuple[Sentence, ...]:
        """Sentences number ``first`` to ``first + count`` of the endless walk through the pool."""
        size = len(self.sentences)
        taken = (self.sentences[int(self._order(place // size)[place % size])] for place in range(first, first + count))
        return tuple(sentence.without_tags() if self._raw else sentence for sentence in taken)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch not in self._orders:
            if len(self._orders) > 2:
                self._orders.clear()
            self._orders[epoch] = _generator(*self._name, epoch).permutation(len(self.sentences))
        return self._orders[epoch]


class Stream:
    """Draws from labeled and unlabeled sentences by language.

    Args:
        labeled, unlabeled: sentences by language; a language may be in one of them only.
        seed: of every choice.
        batch_size: labeled sentences a draw.
        unlabeled_batch_size: unlabeled sentences a draw; 0 for none.
        exponent: a language is drawn in proportion to n^exponent, n its unlabeled sentences (its labeled ones where there are no
            unlabeled at all); ambiguity A23.
        mixed: draw labeled sentences of all languages at once, each once per epoch; unlabeled ones are of one language all the same.
        weights: by language, multiplies how often it is drawn; 1 where none is given.
        purpose: labeled sentences come in an order of its own.

    Raises:
        ConfigError: when there is nothing to draw from.
    """

    def __init__(
        self,
        labeled: Mapping[str, Sequence[Sentence]],
        unlabeled: Mapping[str, Sequence[Sentence]],
        *,
        seed: int,
        batch_size: int = 8,
        unlabeled_batch_size: int = 8,
        exponent: float = 0.5,
        mixed: bool = False,
        weights: Mapping[str, float] = {},
        purpose: str = "labeled",
    ) -> None:
        self._seed, self._sizes, self._mixed = seed, (batch_size, unlabeled_batch_size), mixed
        use_raw = unlabeled_batch_size > 0 and any(unlabeled.values())
        counted = unlabeled if use_raw else labeled
        self.languages = tuple(sorted(language for language, some in counted.items() if some and weights.get(language, 1.0) > 0))
        if not self.languages:
            why = "every language that has some has a weight of 0" if any(counted.values()) else "no language has labeled sentences"
            raise ConfigError(f"there is no sentence to draw from: {why}")
        sizes = np.array([len(counted[language]) for language in self.languages], dtype=np.float64)
        shares = sizes**exponent * np.array([weights.get(language, 1.0) for language in self.languages])
        self._edges = np.cumsum(shares / shares.sum())
        everything = [s for language in sorted(labeled) for s in labeled[language]]
        self._mix = _Pool(everything, (seed, "mixed"))
        self._labeled = {lang: _Pool(some, (seed, purpose, lang)) for lang, some in labeled.items() if some}
        raw = unlabeled if use_raw else {}
        self._unlabeled = {lang: _Pool(some, (seed, "unlabeled", lang), raw=True) for lang, some in raw.items() if some}
        self._before = [np.zeros(len(self.languages), dtype=np.int64)]  # draws of each language before block i

    def _block(self, number: int) -> npt.NDArray[np.int64]:
        uniform = _generator(self._seed, "languages", number).random(_BLOCK)
        return np.minimum(np.searchsorted(self._edges, uniform, side="right"), len(self.languages) - 1)

    def _language(self, step: int) -> tuple[str, int]:
        """The language of a step and how often it was drawn before."""
        block, place = divmod(step, _BLOCK)
        while len(self._before) <= block:
            done = np.bincount(self._block(len(self._before) - 1), minlength=len(self.languages))
            self._before.append(self._before[-1] + done)
        drawn = self._block(block)
        index = int(drawn[place])
        return self.languages[index], int(self._before[block][index] + (drawn[:place] == index).sum())

    def draw(self, step: int) -> Draw:
        """The draw of a step; the same whatever was drawn before."""
        size, raw_size = self._sizes
        mix = self._mix.take(step * size, size) if self._mixed else ()
        if self._mixed and not self._unlabeled:
            return Draw("mixed", mix, ())
        language, times = self._language(step)
        labeled = mix or (self._labeled[language].take(times * size, size) if language in self._labeled else ())
        unlabeled = self._unlabeled[language].take(times * raw_size, raw_size) if language in self._unlabeled else ()
        return Draw(language, labeled, unlabeled)
