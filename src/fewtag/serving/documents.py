"""What comes out of a prediction: a document with its entities, as users and JSON see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fewtag.text.sentence import Sentence, Span

_DIGITS = 4  # of a score in JSON


class PredictionLike(Protocol):
    """What a tagger says of one sentence; `fewtag.tagger.decode.Prediction` is one."""

    @property
    def sentence(self) -> Sentence: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def spans(self) -> Sequence[Span]: ...
    @property
    def span_confidences(self) -> Sequence[float]: ...
    @property
    def windows(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity.

    Args:
        start, end: half-open code-point range in the document's text.
        text: the text of this range.
        label: its label, such as ``PER``.
        score: the tagger's confidence, 0 to 1.
    """

    start: int
    end: int
    text: str
    label: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"start": self.start, "end": self.end, "text": self.text, "label": self.label, "score": round(self.score, _DIGITS)}


@dataclass(frozen=True, slots=True)
class Document:
    """One tagged input.

    Args:
        id: as given, or where the input stood.
        language: its code; ``"und"`` when unknown.
        text: as given; of an input of tokens, the tokens with single spaces between.
        entities: in order of the text.
        tokens: all of them; none is ever left out.
        tags: one per token, in agreement with the entities.
        windows: how many windows the tagger read it in.
        truncated: whether a part was not read. This tagger reads everything, so it is False; the field says so in every output.
        from_tokens: whether the input came as tokens.
        model: which tagger made it; empty when it was not named.
    """

    id: str
    language: str
    text: str
    entities: tuple[Entity, ...]
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    windows: int = 1
    truncated: bool = False
    from_tokens: bool = False
    model: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; with tokens and tags when the input came as tokens. Valid as a labeled record of JSONL training data."""
        record: dict[str, Any] = {"id": self.id, "lang": self.language, "text": self.text}
        record["entities"] = [entity.to_json() for entity in self.entities]
        if self.from_tokens:
            record["tokens"], record["tags"] = list(self.tokens), list(self.tags)
        record["windows"], record["truncated"] = self.windows, self.truncated
        if self.model:
            record["model"] = self.model
        return record


def joined(tokens: Sequence[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Tokens with single spaces between, and the half-open range of each."""
    ranges, start = [], 0
    for token in tokens:
        ranges.append((start, start + len(token)))
        start += len(token) + 1
    return " ".join(tokens), tuple(ranges)


def document_of(prediction: PredictionLike, *, threshold: float = 0.0, model: str = "") -> Document:
    """The document of a prediction.

    Args:
        prediction: of one sentence, whole: a tag for every token.
        threshold: spans with a lower confidence are left out, and their tokens become ``O``.
        model: name of the tagger, to stand in the document.

    Raises:
        ValueError: when the prediction does not cover its sentence: a fault of the tagger.
    """
    sentence, tags = prediction.sentence, list(prediction.tags)
    if len(tags) != len(sentence.tokens) or len(prediction.spans) != len(prediction.span_confidences):
        raise ValueError(
            f"sentence {sentence.id!r}: {len(sentence.tokens)} tokens but {len(tags)} tags, "
            f"{len(prediction.spans)} spans but {len(prediction.span_confidences)} confidences"
        )
    has_text = sentence.text is not None and sentence.offsets is not None
    text, offsets = (sentence.text or "", sentence.offsets or ()) if has_text else joined(sentence.tokens)
    entities = []
    for span, confidence in zip(prediction.spans, prediction.span_confidences, strict=True):
        if confidence < threshold:
            tags[span.start : span.end] = ["O"] * (span.end - span.start)
            continue
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        entities.append(Entity(start, end, text[start:end], span.label, float(confidence)))
    return Document(
        id=sentence.id,
        language=sentence.language,
        text=text,
        entities=tuple(entities),
        tokens=sentence.tokens,
        tags=tuple(tags),
        windows=prediction.windows,
        from_tokens=not has_text,
        model=model,
    )
