"""Predictor: text or tokens in, documents out; in batches, in order, in bounded memory, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from fewtag.serving.documents import Document, Predicted, document_of
from fewtag.text.sentence import Sentence
from fewtag.text.words import sentence_from_text

Input = str | Sequence[str] | Sentence


class SupportsPredict(Protocol):
    """A tagger, whatever it runs on."""

    def predict(self, sentences: Sequence[Sentence], *, batch_tokens: int = ...) -> Sequence[Predicted]: ...


class Predictor:
    """Tags what it is called with.

    Args:
        tagger: does the work.
        batch_tokens: padded tokens per batch.
        threshold: entities with a lower score are dropped.
    """

    def __init__(self, tagger: SupportsPredict, *, batch_tokens: int = 4096, threshold: float = 0.0) -> None:
        self.tagger = tagger
        self.batch_tokens = batch_tokens
        self.threshold = threshold
        self._lock = threading.Lock()

    def __call__(self, text: Input, *, lang: str = "und") -> Document:
        """Tag one text (a string), or one list of tokens."""
        return self.many([text], lang=lang)[0]

    def many(self, inputs: Sequence[Input], *, lang: str = "und", first: int = 1) -> list[Document]:
        """Tag several at once, in order; inputs without an id get their number, counted from ``first``."""
        sentences = [_sentence(each, lang) for each in inputs]
        with self._lock:
            predictions = self.tagger.predict(sentences, batch_tokens=self.batch_tokens)
        return [document_of(p, threshold=self.threshold, id=str(n)) for n, p in enumerate(predictions, first)]

    def stream(self, inputs: Iterable[Input], *, lang: str = "und", chunk: int = 2000) -> Iterator[Document]:
        """Tag without end, in order, holding ``chunk`` inputs at a time. Lines of a file may keep their line ends."""
        iterator, first = iter(inputs), 1
        while some := list(islice(iterator, chunk)):
            yield from self.many([each.rstrip("\r\n") if isinstance(each, str) else each for each in some], lang=lang, first=first)
            first += len(some)


def _sentence(given: Input, language: str) -> Sentence:
    if isinstance(given, Sentence):
        return given
    if isinstance(given, str):
        return sentence_from_text(given, language=language)
    return Sentence(tuple(given), None, language)
