"""Logits -> tags, spans and confidences: greedy as in the paper, or the best legal tag sequence (Viterbi)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewtag.errors import ConfigError, unknown
from fewtag.text.sentence import Sentence, Span
from fewtag.text.tags import TagSet, spans_of

Floats = npt.NDArray[np.float32]
DECODINGS = ("greedy", "viterbi")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a tagger says of one sentence.

    Args:
        sentence: the sentence as it came in.
        tags: one tag per token.
        spans: the spans of these tags (conlleval's reading).
        tag_confidences: per token the probability of its tag, 0 to 1.
        span_confidences: per span the geometric mean of its tokens' probabilities.
        windows: how many windows the sentence was read in.
    """

    sentence: Sentence
    tags: tuple[str, ...]
    spans: tuple[Span, ...]
    tag_confidences: tuple[float, ...]
    span_confidences: tuple[float, ...]
    windows: int = 1


def log_softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Log-probabilities over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def viterbi(log_probs_TC: npt.NDArray[np.float64], tag_set: TagSet) -> npt.NDArray[np.int64]:
    """The legal tag sequence with the highest product of token probabilities.

    Args:
        log_probs_TC: (T, C) log-probabilities.
        tag_set: says which tag may follow which.

    Returns:
        (T,) tag ids. Ties go to the lower id.
    """
    blocked = np.where(tag_set.legal_CC, 0.0, -np.inf)
    length = len(log_probs_TC)
    best_C = log_probs_TC[0] + np.where(tag_set.legal_start_C, 0.0, -np.inf)
    before = np.zeros(log_probs_TC.shape, dtype=np.int64)
    for t in range(1, length):
        through_CC = best_C[:, None] + blocked
        before[t] = through_CC.argmax(axis=0)
        best_C = through_CC.max(axis=0) + log_probs_TC[t]
    path = np.zeros(length, dtype=np.int64)
    path[-1] = best_C.argmax()
    for t in range(length - 1, 0, -1):
        path[t - 1] = before[t, path[t]]
    return path


def is_legal(tag_ids: npt.NDArray[np.int64], tag_set: TagSet) -> bool:
    """Whether a sequence of tag ids has no ``I-`` without its span."""
    return bool(tag_set.legal_start_C[tag_ids[0]] and tag_set.legal_CC[tag_ids[:-1], tag_ids[1:]].all())


def decode(sentence: Sentence, logits_TC: Floats, tag_set: TagSet, decoding: str = "viterbi", windows: int = 1) -> Prediction:
    """Tags, spans and confidences of one sentence.

    Args:
        sentence: T tokens.
        logits_TC: (T, C) logits.
        tag_set: the C tags.
        decoding: ``"greedy"`` takes each token's best tag (paper); ``"viterbi"`` the best legal sequence.
        windows: how many windows the logits came from.

    Raises:
        ConfigError: for an unknown decoding.
    """
    if decoding not in DECODINGS:
        raise ConfigError(unknown("decoding", decoding, DECODINGS))
    if len(sentence) == 0:
        return Prediction(sentence, (), (), (), (), 0)
    log_probs_TC = log_softmax(logits_TC)
    tag_ids = log_probs_TC.argmax(axis=-1)
    # A legal greedy path is the best of all paths, hence of the legal ones: the search is needed only for the others.
    if decoding == "viterbi" and not is_legal(tag_ids, tag_set):
        tag_ids = viterbi(log_probs_TC, tag_set)
    chosen_T = log_probs_TC[np.arange(len(tag_ids)), tag_ids]
    tags = tuple(tag_set.tags[i] for i in tag_ids)
    spans = spans_of(tags)
    return Prediction(
        sentence=sentence,
        tags=tags,
        spans=spans,
        tag_confidences=tuple(np.exp(chosen_T).tolist()),
        span_confidences=tuple(float(np.exp(chosen_T[s.start : s.end].mean())) for s in spans),
        windows=windows,
    )
