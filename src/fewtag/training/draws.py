"""From a stage and a step number to the batches of that step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fewtag.data.arrays import without_tags
from fewtag.data.low_resource import LowResource
from fewtag.data.stream import Stream
from fewtag.errors import ConfigError
from fewtag.learning.seeding import stable_seed
from fewtag.methods.method import Fold, Stage
from fewtag.tagger.batch import Batch, Batcher
from fewtag.text.sentence import Sentence

Sentences = Mapping[str, Sequence[Sentence]]


def split(labeled: Sequence[Sentence], language: str, seed: int, fold: Fold) -> tuple[list[Sentence], list[Sentence]]:
    """Labeled sentences of a language without those of a fold, and those of the fold.

    Args:
        labeled: of the language.
        language: its name.
        seed: of the choice; every fold of a seed is a part of one partition.
        fold: which.

    Raises:
        ConfigError: when there are fewer sentences than folds.
    """
    if len(labeled) < fold.of:
        raise ConfigError(
            f"{fold.of} folds need at least {fold.of} labeled sentences in every language, and {language} has {len(labeled)}: "
            "give method.folds a smaller number, or label more"
        )
    places = sorted(range(len(labeled)), key=lambda place: stable_seed(seed, "folds", language, place))
    inside = set(places[fold.number :: fold.of])
    return [s for place, s in enumerate(labeled) if place not in inside], [labeled[place] for place in sorted(inside)]


class Draws:
    """Batches as a pure function of (seed, kind of stage, step): stages that draw the same kinds of text see it in the same order.

    Args:
        data: labeled and unlabeled sentences by language.
        batcher: makes tensors.
        seed: of the draws.
        batch_size, unlabeled_batch_size: sentences a step.
        exponent: of the language sampling.
        weights: of languages, where raw text is drawn.
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
        weights: Mapping[str, float] = {},
    ) -> None:
        self._data, self._batcher, self._device = data, batcher, device
        self._seed, self._exponent, self._weights = seed, exponent, weights
        self._sizes = (batch_size, unlabeled_batch_size)
        self._streams: dict[str, Stream] = {}

    def __call__(self, stage: Stage, step: int) -> tuple[Batch | None, ...]:
        """The labeled and the unlabeled batch of a step, None for the kind the stage does not draw; then the batch that judges, if any.

        Raises:
            ConfigError: when a language has too few labeled sentences for the stage's folds or its judge.
        """
        drawn = self._stream(stage).draw(step)
        labeled = self._batcher.batch(drawn.labeled, labeled=True).to(self._device) if drawn.labeled else None
        unlabeled = self._batcher.batch(drawn.unlabeled, labeled=False).to(self._device) if drawn.unlabeled else None
        if not stage.has_judge:
            return labeled, unlabeled
        heard = self._stream(stage, heard=True).draw(step).labeled  # of the same language: a stream's languages are drawn by its raw text
        return labeled, unlabeled, self._batcher.batch(heard, labeled=True).to(self._device)

    def check(self, stage: Stage) -> None:
        """Refuse a stage that could not be drawn, before anything is trained.

        Raises:
            ConfigError: when a language has too few labeled sentences for the stage's folds or its judge.
        """
        self._stream(stage)
        if stage.has_judge:
            self._stream(stage, heard=True)

    def raw(self, stage: Stage, step: int) -> tuple[Sentence, ...]:
        """The raw sentences of a step, in the batch's order."""
        return self._stream(stage).draw(step).unlabeled

    def _stream(self, stage: Stage, heard: bool = False) -> Stream:
        name = f"{stage.name}, heard" if heard else stage.name
        if name not in self._streams:
            labeled, unlabeled = self._labeled(stage, heard), self._raw(stage)
            self._streams[name] = Stream(
                labeled,
                unlabeled,
                seed=self._seed,
                batch_size=(heard and stage.heard) or self._sizes[0],
                unlabeled_batch_size=(stage.raw_batch or self._sizes[1]) if unlabeled else 0,
                exponent=self._exponent,
                weights=self._weights if unlabeled else {},
                mixed=stage.mixed and not heard,
                purpose="heard" if heard and stage.fold is None else "labeled",  # a fold's sentences are others anyway
            )
        return self._streams[name]

    def _labeled(self, stage: Stage, heard: bool) -> Sentences:
        """What a stage learns labels from, or is judged by."""
        if stage.draws == "raw":
            return {}
        labeled: Sentences = {lang: some for lang, some in self._data.labeled.items() if some}
        if stage.fold is not None:
            labeled = {lang: split(some, lang, self._seed, stage.fold)[int(heard)] for lang, some in labeled.items()}
        few = [language for language, some in labeled.items() if heard and len(some) < stage.heard]
        if few:
            raise ConfigError(
                f"method.heard = {stage.heard}, and {few[0]} has {len(labeled[few[0]])} labeled sentences to judge by: give it "
                "a smaller number, or 0 for as many as a step learns from"
            )
        return labeled

    def _raw(self, stage: Stage) -> Sentences:
        """The raw text of a stage: of the languages it has labels of, where it draws both kinds.

        A language without raw text has the sentences that the stage learns from in place of it, without their tags: left out, it would
        have neither its labels in any step nor a say in what is forgotten.
        """
        raw: Sentences = {lang: some for lang, some in self._data.unlabeled.items() if some}
        if stage.draws != "both":
            return raw if stage.draws == "raw" else {}
        return {lang: raw.get(lang) or without_tags(some) for lang, some in self._labeled(stage, heard=False).items()}
