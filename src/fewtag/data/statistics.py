"""The columns of the paper's Table 3 for any corpus."""

from __future__ import annotations

from dataclasses import dataclass

from fewtag.data.corpus import Corpus
from fewtag.text.tags import spans_of


@dataclass(frozen=True, slots=True)
class Statistics:
    """One line of Table 3.

    Args:
        train, dev, test, unlabeled: sentences.
        types: labels that occur.
        coverage: percent of tokens in train, dev and test that are not ``O``.
        average_length: tokens per sentence of train, dev and test.
        longest: tokens of the longest sentence, raw text included.
        entities: spans in train.
    """

    train: int
    dev: int
    test: int
    unlabeled: int
    types: int
    coverage: float
    average_length: float
    longest: int
    entities: int


def statistics(corpus: Corpus) -> dict[str, Statistics]:
    """Table 3 of a corpus, by language."""
    result = {}
    for language in corpus.languages:
        parts = corpus.sentences[language]
        tagged = [s for name in ("train", "dev", "test") for s in parts.get(name, []) if s.tags is not None]
        tokens = sum(len(s) for s in tagged)
        inside = sum(tag != "O" for s in tagged for tag in s.tags or ())
        result[language] = Statistics(
            train=len(parts.get("train", [])),
            dev=len(parts.get("dev", [])),
            test=len(parts.get("test", [])),
            unlabeled=len(parts.get("unlabeled", [])),
            types=len({span.label for s in tagged for span in spans_of(s.tags or ())}),
            coverage=100 * inside / tokens if tokens else 0.0,
            average_length=tokens / len(tagged) if tagged else 0.0,
            longest=max((len(s) for some in parts.values() for s in some), default=0),
            entities=sum(len(spans_of(s.tags or ())) for s in parts.get("train", [])),
        )
    return result
