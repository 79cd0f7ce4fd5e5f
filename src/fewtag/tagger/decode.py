"""Logits -> tags, spans and confidences: greedy as in the paper, or the best legal tag sequence (Viterbi)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewtag.errors import ConfigError, unknown
from fewtag.text.sentence import Sentence, Span
from fewtag.text.tags import TagSet, spans_of

Floats = npt.NDArray[np.float32]
DECODINGS = ("greedy", "viterbi")
_AT_ONCE = 1000  # sentences; bounds the memory of their probabilities


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


def viterbi(log_probs_RTC: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The legal tag sequence with the highest product of token probabilities, for sentences of one length.

    In the order of a `TagSet`, O B-a I-a B-b I-b ..., every tag may follow every tag, but I-x only B-x or I-x. So the best way to an O or
    a B is the best way to anywhere, and the best way to I-x is the better of two.

    Args:
        log_probs_RTC: (R, T, C) log-probabilities of R sentences.

    Returns:
        (R, T) tag ids. Ties go to the lower id.
    """
    rows, length, num_tags = log_probs_RTC.shape
    inside = np.arange(2, num_tags, 2)
    best_RC = log_probs_RTC[:, 0].copy()
    best_RC[:, inside] = -np.inf  # no sentence begins inside a span
    before_RTC = np.zeros((rows, length, num_tags), dtype=np.int64)
    for t in range(1, length):
        anywhere_R = best_RC.argmax(axis=1)
        begun_RK, gone_on_RK = best_RC[:, inside - 1], best_RC[:, inside]
        before_RTC[:, t] = anywhere_R[:, None]
        before_RTC[:, t, inside] = inside - (begun_RK >= gone_on_RK)
        through_RC = np.repeat(best_RC.max(axis=1)[:, None], num_tags, axis=1)
        through_RC[:, inside] = np.maximum(begun_RK, gone_on_RK)
        best_RC = through_RC + log_probs_RTC[:, t]
    path_RT = np.zeros((rows, length), dtype=np.int64)
    path_RT[:, -1] = best_RC.argmax(axis=1)
    for t in range(length - 1, 0, -1):
        path_RT[:, t - 1] = before_RTC[np.arange(rows), t, path_RT[:, t]]
    return path_RT


def decode(
    sentences: Sequence[Sentence],
    logits: Sequence[Floats],
    tag_set: TagSet,
    decoding: str = "viterbi",
    windows: Sequence[int] | None = None,
) -> list[Prediction]:
    """Tags, spans and confidences.

    Args:
        sentences: in any order, of any length.
        logits: (T, C) of each.
        tag_set: the C tags.
        decoding: ``"greedy"`` takes each token's best tag (paper); ``"viterbi"`` the best legal sequence.
        windows: how many windows each sentence's logits came from; None: one.

    Raises:
        ConfigError: for an unknown decoding.
    """
    if decoding not in DECODINGS:
        raise ConfigError(unknown("decoding", decoding, DECODINGS))
    counts = windows or [min(1, len(s)) for s in sentences]
    result: list[Prediction] = []
    for first in range(0, len(sentences), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        result += _decode(sentences[part], logits[part], tag_set, decoding, counts[part])
    return result


def _decode(
    sentences: Sequence[Sentence], logits: Sequence[Floats], tag_set: TagSet, decoding: str, windows: Sequence[int]
) -> list[Prediction]:
    lengths = np.array([len(s) for s in sentences])
    ends = np.cumsum(lengths)
    log_probs_NC = log_softmax(np.concatenate(logits))  # all tokens of all sentences, one after the other
    ids_N = log_probs_NC.argmax(axis=-1)
    if decoding == "viterbi":
        # A legal greedy path is the best of all paths, hence of the legal ones: the search is needed only for the others.
        wrong = np.unique(np.searchsorted(ends, _illegal(ids_N, ends - lengths, tag_set), side="right"))
        for length in np.unique(lengths[wrong]):
            some = wrong[lengths[wrong] == length]
            places_RT = (ends[some] - length)[:, None] + np.arange(length)
            ids_N[places_RT] = viterbi(log_probs_NC[places_RT])
    chosen = log_probs_NC[np.arange(len(ids_N)), ids_N]
    logs, probs, ids = chosen.tolist(), np.exp(chosen).tolist(), ids_N.tolist()
    result = []
    for sentence, end, count in zip(sentences, ends.tolist(), windows, strict=True):
        start = end - len(sentence)
        tags = tuple([tag_set.tags[i] for i in ids[start:end]])
        spans = spans_of(tags)
        means = (sum(logs[start + s.start : start + s.end]) / (s.end - s.start) for s in spans)
        result.append(Prediction(sentence, tags, spans, tuple(probs[start:end]), tuple(map(math.exp, means)), count))
    return result


def _illegal(ids_N: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], tag_set: TagSet) -> npt.NDArray[np.int64]:
    """Tokens whose tag may not stand where it stands."""
    if not len(ids_N):
        return ids_N
    fits_N = np.empty(len(ids_N), dtype=bool)
    fits_N[1:] = tag_set.legal_CC[ids_N[:-1], ids_N[1:]]
    starts = starts[starts < len(ids_N)]  # sentences without tokens may stand at the end
    fits_N[starts] = tag_set.legal_start_C[ids_N[starts]]
    return np.flatnonzero(~fits_N)
