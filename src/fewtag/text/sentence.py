"""Sentence and Span: the unit of data and what is marked in it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of tokens ``[start, end)`` with a label such as ``PER``."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens in order, with one tag per token when they are known.

    Args:
        tokens: the tokens; never empty strings.
        tags: one BIO tag per token, or None when the sentence is unlabeled.
        language: ISO 639-1 code in lower case; ``"und"`` when unknown.
        id: unique within a corpus, stable between runs.
        text: the string the user gave, when the source was raw text.
        offsets: per token its half-open code-point range in ``text``.
        source: ``file:line`` where the sentence begins, for messages.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    language: str = "und"
    id: str = ""
    text: str | None = None
    offsets: tuple[tuple[int, int], ...] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.tags is not None and len(self.tags) != len(self.tokens):
            raise ValueError(f"{self.source or self.id or 'sentence'}: {len(self.tokens)} tokens but {len(self.tags)} tags")
        if self.offsets is not None and len(self.offsets) != len(self.tokens):
            raise ValueError(f"{self.source or self.id or 'sentence'}: {len(self.tokens)} tokens but {len(self.offsets)} offsets")

    def __len__(self) -> int:
        return len(self.tokens)

    def with_tags(self, tags: tuple[str, ...] | None) -> Sentence:
        """The same sentence with other tags."""
        return replace(self, tags=tags)

    def without_tags(self) -> Sentence:
        """The same sentence as unlabeled text: the tags are really gone, not hidden."""
        return replace(self, tags=None)
