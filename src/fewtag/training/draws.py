"""From a stage and a step number to the batches of that step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fewtag.data.low_resource import LowResource
from fewtag.data.stream import Stream
from fewtag.methods.method import Stage
from fewtag.tagger.batch import Batch, Batcher
from fewtag.text.sentence import Sentence

Sentences = Mapping[str, Sequence[Sentence]]


class Draws:
    """Batches as a pure function of (seed, stage, step).

    Args:
        data: labeled and unlabeled sentences by language.
        batcher: makes tensors.
        seed: of the draws.
        batch_size, unlabeled_batch_size: sentences a step.
        exponent: of the language sampling.
        device: where the batches go.
    """

    def __init__(
        self,
        data: LowResource,
        batcher: Batcher,
        *,
        seed: int,
        batch_size: int,
        unlabeled_batch_size: int,
        exponent: float,
        device: torch.device,
    ) -> None:
        self._data, self._batcher, self._device = data, batcher, device
        self._seed, self._exponent = seed, exponent
        self._sizes = (batch_size, unlabeled_batch_size)
        self._streams: dict[str, Stream] = {}

    def __call__(self, stage: Stage, step: int) -> tuple[Batch | None, Batch | None]:
        """The labeled and the unlabeled batch of a step; None for the kind the stage does not draw."""
        drawn = self._stream(stage).draw(step)
        labeled = self._batcher.batch(drawn.labeled, labeled=True).to(self._device) if drawn.labeled else None
        unlabeled = self._batcher.batch(drawn.unlabeled, labeled=False).to(self._device) if drawn.unlabeled else None
        return labeled, unlabeled

    def _stream(self, stage: Stage) -> Stream:
        if stage.name not in self._streams:
            labeled: Sentences = {lang: some for lang, some in self._data.labeled.items() if some}
            unlabeled: Sentences = {}
            if stage.draws == "both":  # feedback needs labels of the same language, so both kinds or none
                unlabeled = {lang: some for lang, some in self._data.unlabeled.items() if some and labeled.get(lang)}
                labeled = {lang: labeled[lang] for lang in unlabeled}
            self._streams[stage.name] = Stream(
                labeled,
                unlabeled,
                seed=self._seed,
                batch_size=self._sizes[0],
                unlabeled_batch_size=self._sizes[1] if unlabeled else 0,
                exponent=self._exponent,
                mixed=stage.mixed,
            )
        return self._streams[stage.name]
