"""Predictor: text or tokens in, documents out; in batches, in order, in bounded memory, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar

from fewtag.errors import ConfigError, DataError
from fewtag.serving.documents import Document, PredictionLike, document_of
from fewtag.serving.readers import Record
from fewtag.serving.writers import Result
from fewtag.text.sentence import Sentence
from fewtag.text.words import sentence_from_text

Input = str | Sequence[str] | Sentence
_T = TypeVar("_T")


class SupportsPredict(Protocol):
    """A tagger, whatever it runs on."""

    def predict(self, sentences: Sequence[Sentence], *, batch_tokens: int = ...) -> Sequence[PredictionLike]:
        """One prediction per sentence, in the order given."""


class Predictor:
    """Tags what it is called with.

    Args:
        tagger: does the work; called by one thread at a time.
        batch_tokens: padded tokens per batch, at most.
        threshold: entities with a lower score are left out; 0 to 1.
        name: of the tagger, to stand in every document.

    Raises:
        ConfigError: for values out of range.
    """

    def __init__(self, tagger: SupportsPredict, *, batch_tokens: int = 4096, threshold: float = 0.0, name: str = "") -> None:
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold must lie between 0 and 1, not {threshold}")
        if batch_tokens < 1:
            raise ConfigError(f"batch_tokens must be at least 1, not {batch_tokens}")
        self.tagger = tagger
        self.batch_tokens = batch_tokens
        self.threshold = threshold
        self.name = name
        self._lock = threading.Lock()

    def __call__(self, text: Input, lang: str | None = None) -> Document:
        """Tag one text, or one sentence given as a list of tokens.

        Raises:
            DataError: for an empty token.
        """
        return self.many([text], lang)[0]

    def many(self, inputs: Sequence[Input], lang: str | None = None, *, first: int = 1) -> list[Document]:
        """Tag several at once, in order.

        Args:
            inputs: texts, lists of tokens, or sentences.
            lang: language of texts and tokens; None: unknown.
            first: number of the first input; those without an id get theirs as id.

        Raises:
            DataError: for an empty token.
        """
        if isinstance(inputs, str):
            raise TypeError("expected several inputs, found one string; call the predictor itself to tag one text")
        sentences = [_sentence(given, lang or "und", str(number)) for number, given in enumerate(inputs, first)]
        if not sentences:
            return []
        with self._lock:
            predictions = self.tagger.predict(sentences, batch_tokens=self.batch_tokens)
        if len(predictions) != len(sentences):
            raise ValueError(f"{len(sentences)} sentences but {len(predictions)} predictions")
        return [document_of(prediction, threshold=self.threshold, model=self.name) for prediction in predictions]

    def stream(self, inputs: Iterable[Input], lang: str | None = None, *, chunk: int = 1000) -> Iterator[Document]:
        """Tag without end, in order.

        Args:
            inputs: texts, lists of tokens, or sentences; lines of an open file may keep their line ends, which are no part of the text.
            lang: language of texts and tokens; None: unknown.
            chunk: how many inputs are held at a time.
        """
        if isinstance(inputs, str):
            raise TypeError("expected many inputs, found one string; call the predictor itself to tag one text")
        first = 1
        for some in _chunks(inputs, chunk):
            yield from self.many([_without_line_end(each) for each in some], lang, first=first)
            first += len(some)

    def records(self, records: Iterable[Record], *, chunk: int = 1000) -> Iterator[Result]:
        """Tag what readers give, in order; what could not be read goes through in its place.

        Args:
            records: sentences and bad inputs.
            chunk: how many are held at a time.
        """
        for some in _chunks(records, chunk):
            documents = iter(self.many([record for record in some if isinstance(record, Sentence)]))
            for record in some:
                yield next(documents) if isinstance(record, Sentence) else record


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while some := list(islice(iterator, max(1, size))):
        yield some


def _without_line_end(given: Input) -> Input:
    return given.removesuffix("\n").removesuffix("\r") if isinstance(given, str) else given


def _sentence(given: Input, language: str, id: str) -> Sentence:
    if isinstance(given, Sentence):
        return given if given.id else replace(given, id=id)
    if isinstance(given, str):
        return sentence_from_text(given, language=language, id=id)
    tokens = tuple(given)
    for number, token in enumerate(tokens, 1):
        if not isinstance(token, str) or not token.strip():
            raise DataError(f"input {id}: token {number} is {token!r}; tokens must be strings with something in them")
    return Sentence(tokens, None, language, id)
