"""Scoring a tagger on sentences with gold tags: the only place where training meets a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from fewtag.evaluation import Report, evaluate
from fewtag.evaluation.bootstrap import as_array
from fewtag.evaluation.span_f1 import count_by_sentence, total
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
    scores, counts = {}, {}
    for language, some in predict_all(tagger, dev).items():
        counted = count_by_sentence([p.sentence.tags or () for p in some], [p.tags for p in some], mode)
        scores[language] = total(counted)[0].f1
        counts[language] = torch.from_numpy(as_array(counted).astype(np.int32))
    return Scored(sum(scores.values()) / len(scores), scores, counts)
