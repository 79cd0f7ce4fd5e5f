"""Task-adaptive pre-training (Gururangan et al., ACL 2020): first of all the encoder learns to guess hidden words of the raw text.

A stage in front of any method. Some positions are hidden, and what stood there is asked of the vectors the encoder gives: a product with
the encoder's own vocabulary table, as BERT's masked language model has it. All networks of the method then start from what was learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from fewtag.config import Config
from fewtag.encoders.encoder import Encoder, Inputs
from fewtag.errors import ConfigError
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import Term, precise
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Noted, Said, Stage
from fewtag.methods.supervised import SupervisedConfig, supervised_stage
from fewtag.tagger.batch import Batch, Batcher
from fewtag.tagger.tagger import Tagger


class PretrainingConfig(Config):
    """How long, and how much is hidden."""

    steps: NonNegativeInt = 0  # 0: none
    lr: PositiveFloat | Literal["auto"] = "auto"  # auto: that of the training
    batch_size: PositiveInt = 32  # raw sentences a step, of one language
    chosen: float = Field(default=0.15, gt=0, lt=1)  # share of the words that are asked for (BERT); of the pieces without whole_words
    whole_words: bool = True  # the pieces of a word are chosen and hidden together: one piece among its others is too easy a guess
    hidden: float = Field(default=0.9, gt=0, le=1)  # share of these that are hidden; one in ten is shown as it is (BERT)


class WordGuesser(nn.Module):
    """An encoder, and a head that turns its vectors into guesses at words.

    Args:
        encoder: with a vocabulary table.
        batcher: of its tagger.
    """

    def __init__(self, encoder: Encoder, batcher: Batcher) -> None:
        super().__init__()
        self.batcher = batcher
        if encoder.vocabulary is None:
            raise ConfigError("pretraining.steps needs an encoder with a vocabulary table, and this one has none; set it to 0")
        self.encoder = encoder
        width = encoder.vocabulary.shape[1]
        self.head = nn.Sequential(nn.Linear(encoder.width, width), nn.GELU(), nn.LayerNorm(width))  # BERT's transform
        self.head.register_parameter("bias", nn.Parameter(torch.zeros(len(encoder.vocabulary))))

    def tag(self, vectors_BLD: Tensor, batch: Batch, dropout: bool) -> Tensor:
        """What is compared with the rows of the table, at every position."""
        return cast(Tensor, self.head(vectors_BLD))

    def guesses(self, transformed_ND: Tensor) -> Tensor:
        """logits_NV over the rows of the table."""
        assert self.encoder.vocabulary is not None
        return transformed_ND @ self.encoder.vocabulary.T + cast(Tensor, self.head.bias)


class WordGuessing(Method):
    """Pre-training alone: one stage, and an encoder that comes of it.

    Args:
        config: of the pre-training.
        make_tagger: builds a fresh tagger; only its encoder is used.
        learner: optimizer of the pre-training. Every row of the vocabulary table has a gradient at every step.
    """

    def __init__(self, config: PretrainingConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        tagger = make_tagger("pretraining")
        self.guesser = WordGuesser(tagger.encoder, tagger.batcher).to(tagger.head.weight)  # its device and kind of number
        update: dict[str, Any] = {} if learner.embeddings == "frozen" else {"embeddings": "dense"}
        if config.lr != "auto":
            update["lr"] = config.lr
        everywhere = learner.model_copy(update=update)
        self.learner = Learner("pretraining", cast(Tagger, self.guesser), everywhere)  # it needs an encoder, a head and `tag`, no tags

    def step(self, labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        """One step on the hidden words of raw sentences.

        Args:
            labeled: not used.
            unlabeled: raw sentences.
            key: of this step.
        """
        assert unlabeled is not None, "pre-training needs raw text"
        inputs, encoder = unlabeled.inputs, self.guesser.encoder
        chosen_BL, hidden_BL = choose(inputs, self.config, key)
        shown = replace(unlabeled, inputs=encoder.hide(inputs, hidden_BL))
        (transformed_BLD,) = self.learner.passes(key, "guess", Pass(shown))
        wanted_N = encoder.identities(inputs)[chosen_BL]
        guesses_NV = precise(self.guesser.guesses(transformed_BLD[chosen_BL]))
        loss = Term(F.cross_entropy(guesses_NV, wanted_N, reduction="sum"), chosen_BL.sum()).mean
        self.learner.descend(loss)
        return {"masked words": loss.detach()}

    def stages(self) -> list[Stage]:
        own = Stage(
            "pretrain",
            self.step,
            self.learner,
            begin=self.learner.restart,
            draws="raw",
            effort="pretraining",
            evaluated=False,
            raw_batch=self.config.batch_size,
        )
        return [own]

    def learners(self) -> dict[str, Learner]:
        return {"pretraining": self.learner}

    @property
    def delivered(self) -> Learner:
        return self.learner


class Pretrained(WordGuessing):
    """A method with pre-training in front.

    Args:
        inner: the method.
        config, make_tagger, learner: see `WordGuessing`.
        guarded: whether a tagger that was never pre-trained learns the labels first of all, so that the guard knows what there was without.
    """

    def __init__(
        self,
        inner: Method,
        config: PretrainingConfig,
        make_tagger: Callable[[str], Tagger],
        learner: LearnerConfig,
        guarded: bool = False,
    ) -> None:
        super().__init__(config, make_tagger, learner)
        self.inner = inner
        self.bare = Learner("bare", make_tagger("student"), learner) if guarded or inner.hears_bare else None
        self._noted: Noted = inner.hear_bare(self.bare) if self.bare and inner.hears_bare else lambda scores: None
        self._handed_over = False

    def stages(self) -> list[Stage]:
        first, *rest = self.inner.stages()

        def begin() -> None:
            self._hand_over()
            first.begin()

        bare = [supervised_stage("bare", self.bare, SupervisedConfig().label_smoothing, ended=self._noted)] if self.bare else []
        return [*bare, *super().stages(), replace(first, begin=begin), *rest]

    def _hand_over(self) -> None:
        with self.learner.settled():
            self.inner.start_from(self.guesser.encoder.state_dict())
        self._handed_over = True

    @property
    def _own(self) -> dict[str, Learner]:
        """The learners that are not the method's."""
        return {**({"bare": self.bare} if self.bare else {}), **super().learners()}

    def learners(self) -> dict[str, Learner]:
        return {**self._own, **self.inner.learners()}

    @property
    def delivered(self) -> Learner:
        return self.inner.delivered

    @property
    def others(self) -> Sequence[Learner]:  # type: ignore[override]
        return self.inner.others

    @property
    def said(self) -> Said | None:
        return self.inner.said

    @said.setter
    def said(self, value: Said | None) -> None:
        self.inner.said = value

    def state(self) -> dict[str, Any]:
        own = {name: learner.state() for name, learner in self._own.items()}
        return {**own, "handed_over": self._handed_over, "inner": self.inner.state()}

    def restore(self, state: dict[str, Any]) -> None:
        for name, learner in self._own.items():
            learner.restore(state[name])
        if state["handed_over"]:
            self._hand_over()  # what networks start afresh from is made again; their own weights follow
        self.inner.restore(state["inner"])


def choose(inputs: Inputs, config: PretrainingConfig, key: Key) -> tuple[Tensor, Tensor]:
    """Which positions are asked for, and which of these are hidden; at least one is, wherever there is a position.

    Args:
        inputs: of the batch; the positions that noise may touch may be chosen.
        config: the shares.
        key: of this step.
    """
    mask_BL = inputs.noise_mask_BL
    key.apply("pretraining", "chosen")
    drawn_BL, kept_BL = torch.rand(mask_BL.shape).to(mask_BL.device), torch.rand(mask_BL.shape).to(mask_BL.device)
    if config.whole_words:
        first_BL = _first_of_word(inputs)
        drawn_BL, kept_BL = drawn_BL.gather(1, first_BL), kept_BL.gather(1, first_BL)
    drawn_BL = drawn_BL.where(mask_BL, torch.ones_like(drawn_BL))
    least = drawn_BL.amin()
    chosen_BL = mask_BL & ((drawn_BL < config.chosen) | (drawn_BL == least))
    return chosen_BL, chosen_BL & ((kept_BL < config.hidden) | (drawn_BL == least))


def _first_of_word(inputs: Inputs) -> Tensor:
    """first_BL: for each position, where the word that it is a part of begins; any position where no word is."""
    begins_BL = torch.zeros_like(inputs.mask_BL).scatter_(1, inputs.first_BT, True)
    begins_BL[:, 0] = (inputs.first_BT[:, 0] == 0) & inputs.mask_BL[:, 0]  # 0 is also what padding says
    word_BL = (begins_BL.cumsum(1) - 1).clamp(min=0, max=inputs.first_BT.shape[1] - 1)
    return inputs.first_BT.gather(1, word_BL)
