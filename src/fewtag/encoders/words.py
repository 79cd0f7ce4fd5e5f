"""Sub-words of distinct words, found once; sentences are put together from them by gathering.

Text repeats its words. So an encoder's units are looked up by word, and what is done per token is done by arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fewtag.encoders.encoder import Ints, Subwords

_Item = TypeVar("_Item", np.int32, np.int64)
MOST = 200_000  # words to remember: a bound on memory for endless streams of text


class WordTable:
    """From words to their units, remembered.

    Args:
        units_of: the units of some words, at least one each.
        spread: True gives every unit a position of its own, False every token one.
        most: words to remember; beyond them all are forgotten at once.
    """

    def __init__(self, units_of: Callable[[Sequence[str]], Sequence[Sequence[int]]], *, spread: bool, most: int = MOST) -> None:
        self._units_of, self._spread, self._most = units_of, spread, most
        self._forget()

    def _forget(self) -> None:
        self._number: dict[str, int] = {}
        self._units: npt.NDArray[np.int32] = np.zeros(1024, dtype=np.int32)  # of all words in order; longer than what is in use
        self._begins: npt.NDArray[np.int64] = np.zeros(256, dtype=np.int64)  # where each word's begin, and where the last's end

    def gather(self, sentences: Sequence[Sequence[str]]) -> list[Subwords]:
        """The sub-words of each sentence.

        Args:
            sentences: tokens of each.
        """
        tokens = list(chain.from_iterable(sentences))
        numbers = self._numbers(tokens)
        begins, counts = self._begins[numbers], self._begins[numbers + 1] - self._begins[numbers]
        starts = np.zeros(len(tokens) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        ids = self._units[np.repeat(begins - starts[:-1], counts) + np.arange(starts[-1])]
        # Every sentence's own starts, one after the other: sentence i has one more of them than tokens.
        lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
        ends = np.cumsum(lengths + 1)
        firsts = ends - lengths - 1 - np.arange(len(lengths))  # each sentence's first token
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths - 1, lengths + 1)
        own: Ints = (starts[np.repeat(firsts, lengths + 1) + within] - np.repeat(starts[firsts], lengths + 1)).astype(np.int32)
        positions = own if self._spread else within.astype(np.int32)
        bounds = starts[firsts].tolist(), starts[firsts + lengths].tolist(), (ends - lengths - 1).tolist(), ends.tolist()
        return [Subwords(ids[a:b], own[first:last], positions[first:last]) for a, b, first, last in zip(*bounds, strict=True)]

    def _numbers(self, tokens: Sequence[str]) -> npt.NDArray[np.int64]:
        known = self._number
        new = [token for token in dict.fromkeys(tokens) if token not in known]
        if new and known and len(known) + len(new) > self._most:
            self._forget()
            known, new = self._number, list(dict.fromkeys(tokens))
        if new:
            self._add(new)
        return np.fromiter(map(known.__getitem__, tokens), dtype=np.int64, count=len(tokens))

    def _add(self, words: Sequence[str]) -> None:
        units = self._units_of(words)
        first, used = len(self._number), int(self._begins[len(self._number)])
        ends = used + np.cumsum([len(some) for some in units])
        self._units = _grown(self._units, int(ends[-1]))
        self._begins = _grown(self._begins, first + len(words) + 1)
        self._units[used : ends[-1]] = np.fromiter(chain.from_iterable(units), dtype=np.int32)
        self._begins[first + 1 : first + 1 + len(words)] = ends
        self._number.update(zip(words, range(first, first + len(words)), strict=True))


def _grown(array: npt.NDArray[_Item], size: int) -> npt.NDArray[_Item]:
    """The array with room for ``size`` items, twice as much as needed so that growing stays rare."""
    if size <= len(array):
        return array
    larger = np.zeros(2 * size, dtype=array.dtype)
    larger[: len(array)] = array
    return larger
