"""Document: what a user gets for one input, with entities by half-open code-point offsets into the text as given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from fewtag.text.sentence import Sentence, Span


class Predicted(Protocol):
    """What a tagger says of one sentence."""

    @property
    def sentence(self) -> Sentence: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def spans(self) -> tuple[Span, ...]: ...
    @property
    def span_confidences(self) -> tuple[float, ...]: ...
    @property
    def windows(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Entity:
    """A labeled range of the text.

    Args:
        start, end: half-open code-point offsets.
        text: ``document.text[start:end]``.
        label: of the span.
        score: confidence, 0 to 1.
    """

    start: int
    end: int
    text: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Document:
    """One tagged input.

    Args:
        id: the input's own, or its number.
        language: as given.
        text: exactly as given; tokens joined by spaces where tokens were given.
        entities: in order.
        tokens, tags: one tag per token.
        windows: how many windows the text was read in.
        truncated: always False: long text is windowed, never cut.
        from_tokens: whether tokens were given rather than text.
    """

    id: str
    language: str
    text: str
    entities: tuple[Entity, ...]
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    windows: int
    truncated: bool = False
    from_tokens: bool = False

    def to_json(self) -> dict[str, Any]:
        """The object that ``fewtag predict`` prints; it is also valid training input."""
        record: dict[str, Any] = {"id": self.id, "lang": self.language, "text": self.text}
        if self.from_tokens:
            record |= {"tokens": list(self.tokens), "tags": list(self.tags)}
        entities = [{**asdict(entity), "score": round(entity.score, 4)} for entity in self.entities]
        return {**record, "entities": entities, "windows": self.windows, "truncated": self.truncated}


def document_of(predicted: Predicted, *, threshold: float = 0.0, id: str = "") -> Document:
    """The document of a prediction.

    Args:
        predicted: tags and spans of one sentence.
        threshold: entities with a lower score are dropped, and their tags become ``O``.
        id: used where the sentence has none.
    """
    sentence = predicted.sentence
    if sentence.text is not None and sentence.offsets is not None:
        text, offsets = sentence.text, sentence.offsets
    else:
        text, offsets = " ".join(sentence.tokens), _joined(sentence.tokens)
    entities, tags = [], list(predicted.tags)
    for span, score in zip(predicted.spans, predicted.span_confidences, strict=True):
        if score < threshold:
            tags[span.start : span.end] = ["O"] * (span.end - span.start)
            continue
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        entities.append(Entity(start, end, text[start:end], span.label, score))
    return Document(
        id=sentence.id or id,
        language=sentence.language,
        text=text,
        entities=tuple(entities),
        tokens=sentence.tokens,
        tags=tuple(tags),
        windows=predicted.windows,
        from_tokens=sentence.text is None,
    )


def _joined(tokens: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    ranges, at = [], 0
    for token in tokens:
        ranges.append((at, at + len(token)))
        at += len(token) + 1
    return tuple(ranges)
