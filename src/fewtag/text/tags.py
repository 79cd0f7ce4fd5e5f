"""Tags and spans: the schemes people write, one scheme inside (BIO, also called IOB2), and the tag set.

A *scheme* says how a span is written as tags. Read: IO, IOB1, BIO (IOB2), BIOES and BILOU. Inside the project every sentence is BIO.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from fewtag.errors import ConfigError, unknown
from fewtag.text.sentence import Sentence, Span

SCHEMES = ("BIO", "BILOU", "BIOES", "IO", "IOB1")
_END = {"E", "L"}
_SINGLE = {"S", "U"}


def split_tag(tag: str) -> tuple[str, str]:
    """``"B-PER"`` -> ``("B", "PER")``; ``"O"`` -> ``("O", "")``. Labels may contain dashes."""
    if tag == "O":
        return "O", ""
    prefix, _, label = tag.partition("-")
    return prefix, label


def is_tag(tag: str) -> bool:
    """Whether ``tag`` is ``O`` or one of the known prefixes with a label."""
    prefix, label = split_tag(tag)
    return tag == "O" or (prefix in {"B", "I", "E", "L", "S", "U"} and bool(label))


def recognize(sequences: Iterable[Sequence[str]]) -> str:
    """Name the scheme that tag sequences are written in.

    BIOES and BILOU are known by their prefixes. Without them, no ``B-`` at all means IO (IOB1 without touching spans looks the same and
    converts to the same spans); a ``B-`` that only ever follows a span of its own label means IOB1; anything else is BIO.

    Args:
        sequences: tag sequences of whole sentences.

    Returns:
        One of ``SCHEMES``; ``"BIO"`` when no span occurs.
    """
    prefixes: set[str] = set()
    starts_with_i = needed_b = free_b = 0
    for tags in sequences:
        before = ("O", "")
        for tag in tags:
            prefix, label = split_tag(tag)
            prefixes.add(prefix)
            touches = before[0] != "O" and before[1] == label
            if prefix == "B":
                needed_b += touches
                free_b += not touches
            elif prefix == "I":
                starts_with_i += not touches
            before = (prefix, label)
    if prefixes & {"L", "U"}:
        return "BILOU"
    if prefixes & {"E", "S"}:
        return "BIOES"
    if "B" not in prefixes and "I" in prefixes:
        return "IO"
    if starts_with_i and needed_b and not free_b:
        return "IOB1"
    return "BIO"


def spans_of(tags: Sequence[str], *, strict: bool = False) -> tuple[Span, ...]:
    """Spans of a BIO sequence.

    Args:
        tags: BIO tags, legal or not.
        strict: False reads like conlleval, where an ``I-`` without its own span before it starts a span;
            True takes only spans that begin with ``B-`` and drops orphan ``I-`` tags.

    Returns:
        Spans in order of their start.
    """
    return (_remembered if len(tags) <= _SHORT else _spans_of)(tuple(tags), strict)


def _spans_of(tags: tuple[str, ...], strict: bool) -> tuple[Span, ...]:
    spans: list[Span] = []
    start, label = -1, ""
    for index, tag in enumerate(tags):
        prefix, this = split_tag(tag)
        if start >= 0 and (prefix != "I" or this != label):
            spans.append(Span(start, index, label))
            start = -1
        if prefix == "B" or (prefix == "I" and start < 0 and not strict):
            start, label = index, this
    if start >= 0:
        spans.append(Span(start, len(tags), label))
    return tuple(spans)


# Gold tags are read at every evaluation, and short texts share their tags; long ones do not, and an endless stream would fill memory.
_SHORT = 32  # tokens
_remembered = lru_cache(maxsize=100_000)(_spans_of)


def tags_of(spans: Iterable[Span], num_tokens: int, scheme: str = "BIO") -> tuple[str, ...]:
    """Write spans as tags of a scheme.

    Args:
        spans: spans that do not overlap.
        num_tokens: length of the sentence.
        scheme: one of ``SCHEMES``.

    Raises:
        ConfigError: for an unknown scheme.
        ValueError: for a span outside the sentence or overlapping another.
    """
    if scheme not in SCHEMES:
        raise ConfigError(unknown("tag scheme", scheme, SCHEMES))
    tags = ["O"] * num_tokens
    end_prefix, single_prefix = ("L", "U") if scheme == "BILOU" else ("E", "S")
    for span in sorted(spans):
        if not 0 <= span.start < span.end <= num_tokens:
            raise ValueError(f"span {span.start}..{span.end} {span.label} lies outside a sentence of {num_tokens} tokens")
        if any(tag != "O" for tag in tags[span.start : span.end]):
            raise ValueError(f"span {span.start}..{span.end} {span.label} overlaps another span")
        length = span.end - span.start
        prefixes = ["I"] * length
        if scheme == "BIO":
            prefixes[0] = "B"
        elif scheme == "IOB1":
            before = tags[span.start - 1] if span.start else "O"
            prefixes[0] = "B" if split_tag(before)[1] == span.label and before != "O" else "I"
        elif scheme in ("BIOES", "BILOU"):
            prefixes[0], prefixes[-1] = "B", end_prefix
            if length == 1:
                prefixes[0] = single_prefix
        tags[span.start : span.end] = [f"{prefix}-{span.label}" for prefix in prefixes]
    return tuple(tags)


def convert(tags: Sequence[str], source: str, target: str = "BIO") -> tuple[str, ...]:
    """Rewrite tags from one scheme in another by way of their spans.

    Illegal sequences are read as leniently as conlleval does: whatever continues no span begins one.
    """
    if source not in SCHEMES:
        raise ConfigError(unknown("tag scheme", source, SCHEMES))
    spans: list[Span] = []
    start, label, closed = -1, "", True
    for index, tag in enumerate(tags):
        prefix, this = split_tag(tag)
        opens = prefix in {"B"} | _SINGLE or (prefix in {"I"} | _END and (closed or this != label))
        if start >= 0 and (prefix == "O" or opens):
            spans.append(Span(start, index, label))
            start = -1
        if opens and prefix != "O":
            start, label, closed = index, this, False
        if prefix == "O" or prefix in _END | _SINGLE:
            closed = True
    if start >= 0:
        spans.append(Span(start, len(tags), label))
    return tags_of(spans, len(tags), target)


def repair(tags: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Turn each ``I-`` that continues no span into ``B-``, the reading of conlleval.

    Returns:
        The legal BIO tags and the positions that were changed.
    """
    fixed = tags_of(spans_of(tags), len(tags))
    return fixed, tuple(index for index, (old, new) in enumerate(zip(tags, fixed, strict=True)) if old != new)


@dataclass(frozen=True)
class TagSet:
    """All tags of a task with their numbers: ``O`` first, then ``B-x``, ``I-x`` for each label in sorted order.

    Args:
        labels: the span labels.
    """

    labels: tuple[str, ...]
    tags: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(set(self.labels)))
        object.__setattr__(self, "labels", ordered)
        object.__setattr__(self, "tags", ("O", *(f"{prefix}-{label}" for label in ordered for prefix in "BI")))

    def __len__(self) -> int:
        return len(self.tags)

    @classmethod
    def from_sentences(cls, sentences: Iterable[Sentence]) -> TagSet:
        """The tag set of every label that occurs in the sentences' tags."""
        return cls(tuple({split_tag(tag)[1] for s in sentences for tag in s.tags or () if tag != "O"}))

    @classmethod
    def from_tags(cls, tags: Iterable[str]) -> TagSet:
        """The tag set whose labels are those of ``tags``."""
        return cls(tuple({split_tag(tag)[1] for tag in tags if tag != "O"}))

    @cached_property
    def id_of(self) -> dict[str, int]:
        """Tag name -> number."""
        return {tag: number for number, tag in enumerate(self.tags)}

    @cached_property
    def legal_start_C(self) -> npt.NDArray[np.bool_]:
        """(C,) whether a sentence may begin with the tag."""
        return np.array([not tag.startswith("I-") for tag in self.tags])

    @cached_property
    def legal_CC(self) -> npt.NDArray[np.bool_]:
        """(C, C) whether the column's tag may follow the row's: ``I-x`` only after ``B-x`` or ``I-x``."""
        legal = np.ones((len(self), len(self)), dtype=bool)
        for column, tag in enumerate(self.tags):
            prefix, label = split_tag(tag)
            if prefix == "I":
                legal[:, column] = [split_tag(before)[1] == label and before != "O" for before in self.tags]
        return legal
