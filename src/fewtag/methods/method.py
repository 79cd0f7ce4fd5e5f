"""The contract of a method: stages, each with a step of its own; what it owns can be saved and restored. Nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Concatenate, Literal

from torch import Tensor

from fewtag.learning.average import Blend
from fewtag.learning.learner import Learner
from fewtag.learning.pseudo_labels import PseudoLabels
from fewtag.learning.seeding import Key
from fewtag.tagger.batch import Batch, Batcher, Window

Noted = Callable[[Mapping[str, float]], None]  # is told F1 on dev by language
Step = Callable[Concatenate[Batch | None, Batch | None, Key, ...], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a stage may take.

    Args:
        max_steps: steps at most.
        evaluate_every: steps between evaluations on dev.
        patience: evaluations without a better score before the stage ends early (paper section 5: early stopping in both stages).
    """

    max_steps: int
    evaluate_every: int
    patience: int


@dataclass(frozen=True, slots=True)
class Fold:
    """A part of each language's labeled sentences that a stage does not train on.

    Args:
        number: which, from 0.
        of: how many parts there are.
    """

    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A named part of a method.

    Args:
        name: unique within the method.
        step: takes a labeled and an unlabeled batch of one language and a key, does its own descents, returns named losses. Where the
            stage draws both kinds and has a fold, a ``heard`` size, or mixed labels, a labeled batch of the language that judges follows.
        scored: the learner that is evaluated; its best weights are put back when the stage ends.
        begin: called once before the first step.
        score_start: whether the state before the first step competes for the best.
        draws: what a step is given: ``"labeled"``, ``"both"`` or ``"raw"``.
        mixed: True draws labeled sentences of all languages at once; raw ones are of one language all the same.
        effort: which entry of the training budget it takes: ``"supervised"``, ``"semi_supervised"``, ``"finetune"`` or ``"pretraining"``.
        share: of that entry's steps.
        fold: labeled sentences kept from it; None keeps none.
        evaluated: False for a stage whose learner is no tagger yet; it goes on for its steps and its last weights stay.
        raw_batch: raw sentences a step; None: the run's.
        heard: labeled sentences of the batch that judges, drawn apart; 0: as many as a step learns from.
        rivals: other learners that are scored beside ``scored``; the best of all that a run has seen can be delivered.
        offered: whether a supervised stage's tagger is a start of what the run delivers, and so offered to the guard.
        ended: is told the best dev score, by language, as the stage ends.
    """

    name: str
    step: Step
    scored: Learner
    _: KW_ONLY
    begin: Callable[[], None]
    score_start: bool = False
    draws: Literal["labeled", "both", "raw"] = "both"
    mixed: bool = False
    effort: Literal["supervised", "semi_supervised", "finetune", "pretraining"] = "semi_supervised"
    share: float = 1.0
    fold: Fold | None = None
    heard: int = 0
    rivals: tuple[Learner | Blend, ...] = ()
    evaluated: bool = True
    raw_batch: int | None = None
    offered: bool = True
    ended: Noted = lambda scores: None

    @property
    def has_judge(self) -> bool:
        """Whether a step is given a labeled batch besides the one it learns from."""
        return self.draws == "both" and (self.fold is not None or self.heard > 0 or self.mixed)


@dataclass(frozen=True, slots=True)
class Said:
    """The pseudo-labels of a step, for diagnosis.

    Args:
        windows: which part of which sentence each row is.
        tag_ids_BT: the most probable tag of each token's target, whether or not it was sure enough to be taught; any where no token is.
        feedback: () what the teacher heard of them; None where nobody speaks.
    """

    windows: Sequence[Window]
    tag_ids_BT: Tensor
    feedback: Tensor | None = None

    @classmethod
    def of(cls, unlabeled: Batch, pseudo: PseudoLabels, logits_BTC: Tensor, feedback: Tensor | None = None) -> Said:
        """The targets of a batch; hard ones end where the mask does, and there the labeling network's logits speak."""
        if pseudo.probs_BTC is not None:
            return cls(unlabeled.windows, pseudo.probs_BTC.argmax(-1), feedback)
        assert pseudo.tag_ids_BT is not None, "pseudo-labels are tags or distributions"
        return cls(unlabeled.windows, pseudo.tag_ids_BT.where(pseudo.mask_BT, logits_BTC.detach().argmax(-1)), feedback)


class Method(ABC):
    """One paper's procedure: a list of stages over learners it owns.

    Attributes:
        said: pseudo-labels of the last step, where it had any.
        others: learners with another encoder than the rest have, all with one; batches are packed for both.
        hears_bare: whether it makes use of a tagger whose encoder has read no raw text, where there is a pre-training in front.
    """

    said: Said | None = None
    others: Sequence[Learner] = ()
    hears_bare: bool = False

    @abstractmethod
    def stages(self) -> list[Stage]:
        """The stages in order; a list, so that a resume can jump to any of them."""

    @abstractmethod
    def learners(self) -> dict[str, Learner]:
        """Every learner by role."""

    @property
    @abstractmethod
    def delivered(self) -> Learner:
        """The learner whose tagger is the result."""

    @property
    def batcher(self) -> Batcher:
        """What packs its batches."""
        tagger = self.delivered.tagger
        return Batcher(tagger.encoder, tagger.tag_set, second=self.others[0].tagger.encoder) if self.others else tagger.batcher

    def start_from(self, encoder: Mapping[str, Tensor]) -> None:
        """Give every network but `others` other weights of its encoder to start from, before the first stage.

        Args:
            encoder: its weights by name.
        """
        for learner in (each for each in self.learners().values() if each not in self.others):
            learner.tagger.encoder.load_state_dict(encoder)
            learner.restart()

    def hear_bare(self, bare: Learner) -> Noted:
        """Take in a tagger that learns the labels before a pre-training; it stays the caller's. Called where `hears_bare` says so.

        Args:
            bare: still to be trained.

        Returns:
            What is to be told its F1 on dev when it is.
        """
        return lambda scores: None

    @property
    def num_passes(self) -> int:
        """Batches its learners took through their encoders since it was built: a way there counts 1, a way back 2."""
        return sum(learner.num_passes for learner in self.learners().values())

    def state(self) -> dict[str, Any]:
        """Everything the method owns that training changes."""
        return {name: learner.state() for name, learner in self.learners().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        for name, learner in self.learners().items():
            learner.restore(state[name])
