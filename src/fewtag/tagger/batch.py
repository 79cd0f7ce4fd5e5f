"""Sentences -> padded tensors of near-equal length under a token budget; long text goes through overlapping windows.

Each token counts in exactly one window: the one where it stands farthest from an edge. So training, evaluation and prediction see every
token once, however long its sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fewtag.encoders.encoder import Encoder, Inputs, Subwords
from fewtag.text.sentence import Sentence
from fewtag.text.tags import TagSet

IGNORED = -100  # tag id of padding and of context tokens: counted nowhere


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens ``[start, end)`` of a sentence, of which ``[keep_start, keep_end)`` are this window's own; the rest is context."""

    sentence: int
    start: int
    end: int
    keep_start: int
    keep_end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of tokens as tensors.

    Args:
        language: of all its sentences; ``"mixed"`` when there are several.
        inputs: what the encoder reads.
        token_mask_BT: True for tokens that count (real, and this window's own).
        tag_ids_BT: gold tags, ``IGNORED`` elsewhere; None when the sentences are unlabeled. Raw text can hold no gold tag here.
        windows: which part of which sentence each row is.
        second: the same rows as another encoder reads them, where a method has networks with another one.
    """

    language: str
    inputs: Inputs
    token_mask_BT: Tensor
    tag_ids_BT: Tensor | None
    windows: tuple[Window, ...]
    second: Inputs | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            token_mask_BT=self.token_mask_BT.to(device),
            tag_ids_BT=None if self.tag_ids_BT is None else self.tag_ids_BT.to(device),
            second=None if self.second is None else self.second.to(device),
        )

    def for_second(self) -> Batch:
        """The same batch for a network with the other encoder."""
        assert self.second is not None, "this batch was made for one encoder"
        return replace(self, inputs=self.second, second=None)


def plan_windows(positions: Sequence[int] | np.ndarray, limit: int, sentence: int = 0) -> list[Window]:
    """Cut a sentence into windows of at most ``limit`` positions that overlap by about a quarter.

    Args:
        positions: (T + 1,) cumulated positions of the tokens.
        limit: the most positions a window may hold; a single token longer than that gets a window of its own.
        sentence: number to write into the windows.

    Returns:
        Windows in order. Their own parts are disjoint and cover every token; the border lies in the middle of each overlap.
    """
    total = len(positions) - 1
    if total == 0:
        return []
    if positions[total] - positions[0] <= limit:
        return [Window(sentence, 0, total, 0, total)]
    overlap = limit // 4
    ranges: list[tuple[int, int]] = []
    start = 0
    while True:
        end = start + 1
        while end < total and positions[end + 1] - positions[start] <= limit:
            end += 1
        ranges.append((start, end))
        if end == total:
            break
        back = end
        while back - 1 > start and positions[end] - positions[back - 1] <= overlap:
            back -= 1
        while back < end and positions[end + 1] - positions[back] > limit:
            back += 1  # the next window must reach beyond this one
        start = back
    windows = []
    keep_start = 0
    for index, (start, end) in enumerate(ranges):
        keep_end = total if index == len(ranges) - 1 else (ranges[index + 1][0] + end + 1) // 2
        windows.append(Window(sentence, start, end, keep_start, keep_end))
        keep_start = keep_end
    return windows


class Batcher:
    """Turns sentences into batches for one encoder and one tag set.

    Args:
        encoder: gives sub-words and packs them.
        tag_set: numbers the tags.
        remember: how many sentences' sub-words to keep, for corpora read many times; 0 for streams.
        second: another encoder that the same rows are packed for; windows are cut for the first.
    """

    def __init__(self, encoder: Encoder, tag_set: TagSet, *, remember: int = 100_000, second: Encoder | None = None) -> None:
        self.encoder = encoder
        self.tag_set = tag_set
        self.remember = remember
        self._known: dict[tuple[str, ...], Subwords] = {}
        self._second = None if second is None else Batcher(second, tag_set, remember=remember)

    def subwords(self, sentences: Sequence[Sentence]) -> list[Subwords]:
        """Sub-words of each sentence, tokenized in one call where they are new."""
        new = list({s.tokens: None for s in sentences if s.tokens not in self._known})
        found = dict(zip(new, self.encoder.tokenize(new), strict=True)) if new else {}
        result = [found[s.tokens] if s.tokens in found else self._known[s.tokens] for s in sentences]
        if len(self._known) + len(found) > self.remember:
            self._known.clear()
        if len(found) <= self.remember:
            self._known.update(found)
        return result

    def batch(self, sentences: Sequence[Sentence], *, labeled: bool) -> Batch:
        """One batch of all given sentences, in order.

        Args:
            sentences: at least one with a token.
            labeled: whether to put gold tags in; False leaves ``tag_ids_BT`` None whatever the sentences hold.
        """
        subwords = self.subwords(sentences)
        windows = [
            window for index, units in enumerate(subwords) for window in plan_windows(units.positions, self.encoder.max_positions, index)
        ]
        return self._pack(sentences, subwords, windows, labeled)

    def batches(self, sentences: Sequence[Sentence], max_tokens: int) -> Iterator[Batch]:
        """Unlabeled batches over all sentences, windows sorted by length, each at most ``max_tokens`` padded positions (or one row)."""
        subwords = self.subwords(sentences)
        sized: list[tuple[int, int, Window]] = []
        for index, units in enumerate(subwords):
            for window in plan_windows(units.positions, self.encoder.max_positions, index):
                sized.append((int(units.positions[window.end] - units.positions[window.start]), len(sized), window))
        sized.sort(key=lambda item: item[:2])
        group: list[Window] = []
        for length, _, window in sized:
            if group and (len(group) + 1) * length > max_tokens:
                yield self._pack(sentences, subwords, group, False)
                group = []
            group.append(window)
        if group:
            yield self._pack(sentences, subwords, group, False)

    def _pack(self, sentences: Sequence[Sentence], subwords: Sequence[Subwords], windows: Sequence[Window], labeled: bool) -> Batch:
        inputs = self.encoder.pack([subwords[w.sentence].slice(w.start, w.end) for w in windows])
        rows, longest = inputs.first_BT.shape
        mask = np.zeros((rows, longest), dtype=bool)
        tag_ids = np.full((rows, longest), IGNORED, dtype=np.int64) if labeled else None
        for row, window in enumerate(windows):
            own = slice(window.keep_start - window.start, window.keep_end - window.start)
            mask[row, own] = True
            if tag_ids is not None:
                tags = sentences[window.sentence].tags
                if tags is None:
                    raise ValueError(f"sentence {sentences[window.sentence].id!r} has no tags but is in a labeled batch")
                tag_ids[row, own] = [self.tag_set.id_of[tag] for tag in tags[window.keep_start : window.keep_end]]
        second = None
        if self._second is not None:
            units = self._second.subwords(sentences)
            second = self._second.encoder.pack([units[w.sentence].slice(w.start, w.end) for w in windows])
        languages = {sentences[w.sentence].language for w in windows}
        return Batch(
            language=languages.pop() if len(languages) == 1 else "mixed",
            inputs=inputs,
            token_mask_BT=torch.from_numpy(mask),
            tag_ids_BT=None if tag_ids is None else torch.from_numpy(tag_ids),
            windows=tuple(windows),
            second=second,
        )
