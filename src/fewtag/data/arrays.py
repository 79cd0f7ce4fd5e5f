"""Many sentences as a few arrays: far less memory than objects take, and a `Sentence` is made when one is asked for.

Words are numbered; a sentence is a range of word numbers. What a sentence of raw text has besides its tokens (the text itself, offsets) is
not kept, so these serve training and checking, not converting.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import numpy.typing as npt

from fewtag.text.sentence import Sentence
from fewtag.text.tags import split_tag

Numbers = npt.NDArray[np.integer]
_BLOCK = 1024  # sentences made at a time


@dataclass(frozen=True)
class SentenceArrays(Sequence[Sentence]):
    """The sentences of one file.

    Args:
        words: every distinct token.
        word_ids: (N,) tokens of all sentences in order, as places in ``words``.
        starts: (S + 1,) sentence i has the tokens ``word_ids[starts[i]:starts[i + 1]]``.
        lines: (S,) where each begins in its file, from 1.
        tags: every distinct tag; empty for raw text.
        tag_ids: (N,) each token's tag, as a place in ``tags``; None for raw text.
        language: of all.
        path: of the file.
        name: the file's name without its suffix; sentence i has the id ``language/name:i + 1``.
        rows: which sentences, in which order; None: all as they are.
    """

    words: Sequence[str]
    word_ids: Numbers
    starts: Numbers
    lines: Numbers
    tags: Sequence[str]
    tag_ids: Numbers | None
    language: str
    path: str
    name: str
    rows: Numbers | None = None

    def __len__(self) -> int:
        return len(self.lines) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Sentence: ...
    @overload
    def __getitem__(self, index: slice) -> SentenceArrays: ...
    def __getitem__(self, index: int | slice) -> Sentence | SentenceArrays:
        if isinstance(index, slice):
            return self.pick(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        row = index if self.rows is None else int(self.rows[index])
        start, end = int(self.starts[row]), int(self.starts[row + 1])
        tokens = tuple([self.words[i] for i in self.word_ids[start:end].tolist()])
        tags = None if self.tag_ids is None else tuple([self.tags[i] for i in self.tag_ids[start:end].tolist()])
        return Sentence(tokens, tags, self.language, f"{self.language}/{self.name}:{row + 1}", source=f"{self.path}:{self.lines[row]}")

    def __iter__(self) -> Iterator[Sentence]:
        for first in range(0, len(self), _BLOCK):
            yield from self._some(np.arange(first, min(first + _BLOCK, len(self))))

    def _some(self, indices: Numbers) -> Iterator[Sentence]:
        """The sentences at some places: arrays become lists once for all of them, which is most of the work."""
        rows = indices if self.rows is None else self.rows[indices]
        lengths = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(lengths)
        places = np.repeat(self.starts[rows] - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
        words, tags = self.words, self.tags
        tokens = [words[i] for i in self.word_ids[places].tolist()]
        own_tags = None if self.tag_ids is None else [tags[i] for i in self.tag_ids[places].tolist()]
        start = 0
        for row, line, end in zip(rows.tolist(), self.lines[rows].tolist(), ends.tolist(), strict=True):
            own = None if own_tags is None else tuple(own_tags[start:end])
            name = f"{self.language}/{self.name}:{row + 1}"
            yield Sentence(tuple(tokens[start:end]), own, self.language, name, source=f"{self.path}:{line}")
            start = end

    def pick(self, indices: Sequence[int] | Numbers) -> SentenceArrays:
        """Some of the sentences, sharing the arrays."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(self, rows=chosen if self.rows is None else self.rows[chosen])

    def without_tags(self) -> SentenceArrays:
        """The same sentences as raw text: the tags cannot be reached from them."""
        return replace(self, tags=(), tag_ids=None)

    @property
    def labels(self) -> set[str]:
        """The labels that occur in the file."""
        return {split_tag(tag)[1] for tag in self.tags if tag != "O"}

    @classmethod
    def of(cls, sentences: Iterable[Sentence], language: str, path: str, name: str) -> SentenceArrays:
        """Gather sentences as they come; their tags are left behind.

        Args:
            sentences: of one file, with ``source`` saying where each begins.
            language, path, name: see the class.
        """
        numbers: dict[str, int] = {}
        word_ids, starts, lines = array("i"), array("q", [0]), array("q")
        for sentence in sentences:
            word_ids.extend([numbers.setdefault(token, len(numbers)) for token in sentence.tokens])
            starts.append(len(word_ids))
            line = sentence.source.rpartition(":")[2]
            lines.append(int(line) if line.isdigit() else 0)
        return cls(
            words=list(numbers),
            word_ids=np.frombuffer(word_ids, dtype=np.int32),
            starts=np.frombuffer(starts, dtype=np.int64),
            lines=np.frombuffer(lines, dtype=np.int64),
            tags=(),
            tag_ids=None,
            language=language,
            path=path,
            name=name,
        )


@dataclass(frozen=True)
class Joined(Sequence[Sentence]):
    """Several sequences one after the other, without a copy."""

    parts: tuple[Sequence[Sentence], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", np.cumsum([len(part) for part in self.parts]).tolist())

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @overload
    def __getitem__(self, index: int) -> Sentence: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sentence]: ...
    def __getitem__(self, index: int | slice) -> Sentence | list[Sentence]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        ends: list[int] = self._ends  # type: ignore[attr-defined]
        part = bisect_right(ends, index)
        return self.parts[part][index - (ends[part - 1] if part else 0)]

    def __iter__(self) -> Iterator[Sentence]:
        return (sentence for part in self.parts for sentence in part)

    def pick(self, indices: Sequence[int] | Numbers) -> Joined:
        """Some of the sentences, part by part.

        Args:
            indices: in rising order.
        """
        chosen, start, kept = np.asarray(indices, dtype=np.int64), 0, []
        for part in self.parts:
            inside = chosen[(chosen >= start) & (chosen < start + len(part))] - start
            kept.append(pick(part, inside.tolist()))
            start += len(part)
        return Joined(tuple(part for part in kept if len(part)))


class HiddenTags(Mapping[str, tuple[str, ...]]):
    """Gold tags that were taken from sentences, by id; put together when first asked for.

    Args:
        sentences: still with their tags.
    """

    def __init__(self, sentences: Iterable[Sequence[Sentence]] = ()) -> None:
        self._sentences = tuple(sentences)
        self._by_id: dict[str, tuple[str, ...]] | None = None

    def _found(self) -> dict[str, tuple[str, ...]]:
        if self._by_id is None:
            self._by_id = {s.id: s.tags for some in self._sentences for s in some if s.tags is not None}
        return self._by_id

    def __getitem__(self, id: str) -> tuple[str, ...]:
        return self._found()[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found())

    def __len__(self) -> int:
        return sum(len(some) for some in self._sentences)


def pick(sentences: Sequence[Sentence], indices: Sequence[int] | Numbers) -> Sequence[Sentence]:
    """Some sentences of a sequence, as arrays where they are arrays."""
    return sentences.pick(indices) if isinstance(sentences, SentenceArrays | Joined) else [sentences[i] for i in indices]


def without_tags(sentences: Sequence[Sentence]) -> Sequence[Sentence]:
    """The same sentences as raw text, as arrays where they are arrays."""
    return sentences.without_tags() if isinstance(sentences, SentenceArrays) else [s.without_tags() for s in sentences]


def tagged(sentences: Sequence[Sentence]) -> Sequence[Sentence]:
    """Those with tags and at least one token."""
    if isinstance(sentences, SentenceArrays):
        return sentences if sentences.tag_ids is not None else []
    return [s for s in sentences if s.tags is not None and len(s)]
