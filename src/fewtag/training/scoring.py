"""Scoring a tagger on sentences with gold tags: the only place where training meets a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fewtag.evaluation import Report, evaluate, score
from fewtag.tagger.decode import Prediction
from fewtag.tagger.tagger import Tagger
from fewtag.text.sentence import Sentence
from fewtag.training.fit import Scored

Sentences = Mapping[str, Sequence[Sentence]]


def predict_all(tagger: Tagger, sentences: Sentences) -> dict[str, list[Prediction]]:
    """Predictions by language; all languages go through the batches together."""
    flat = [s for some in sentences.values() for s in some]
    predictions = iter(tagger.predict(flat))
    return {language: [next(predictions) for _ in some] for language, some in sentences.items()}


def report_on(predictions: Mapping[str, Sequence[Prediction]], *, mode: str = "lenient", bootstrap: int = 0, seed: int = 0) -> Report:
    """Score predictions against the full gold tags of their own sentences.

    Args:
        predictions: by language, each of a sentence that has gold tags.
        mode: ``"lenient"`` or ``"strict"``.
        bootstrap: resamples for the intervals; 0: none.
        seed: of the resamples.
    """
    gold = {language: [p.sentence.tags or () for p in some] for language, some in predictions.items()}
    predicted = {language: [p.tags for p in some] for language, some in predictions.items()}
    return evaluate(gold, predicted, mode=mode, bootstrap=bootstrap, seed=seed)


def score_on_dev(tagger: Tagger, dev: Sentences, mode: str) -> Scored:
    """Span micro-F1 averaged over languages, as the paper early-stops (ambiguity A25)."""
    scores = {}
    for language, some in predict_all(tagger, dev).items():
        scores[language] = score([p.sentence.tags or () for p in some], [p.tags for p in some], mode)[0].f1
    return Scored(sum(scores.values()) / len(scores), scores)
