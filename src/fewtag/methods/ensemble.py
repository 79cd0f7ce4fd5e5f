"""An ensemble distilled into one tagger: several supervised taggers, each with a start of its own, teach one on raw text.

The members differ in their initial weights and dropout, as in the K models of RoSTER (Meng et al., EMNLP 2021), which averages
their distributions and then trains one network on them. What is delivered costs no more than any other tagger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import Key
from fewtag.methods.distill import DistillConfig, distill_step, mean_of
from fewtag.methods.method import Method, Said, Stage, Step
from fewtag.methods.supervised import supervised_step
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class EnsembleConfig(DistillConfig):
    """How many members, and how they teach."""

    members: PositiveInt = 3  # RoSTER has 5; the gain of each further one falls
    compact_members: NonNegativeInt = 0  # more of them, with the built-in encoder: it errs elsewhere than a pre-trained one
    # Whose word counts how much: every member's the same, or as the square of its F1 on dev, so that a kind which does poorly says little
    say: Literal["same", "by-dev"] = "same"


class Ensemble(Method):
    """Members and a student.

    Args:
        config: hyper-parameters.
        make_tagger: builds a fresh tagger for a role; every ``member-...`` and ``compact-...`` has a start of its own, and the latter the
            built-in encoder.
        learner: optimizer of all.
    """

    def __init__(self, config: EnsembleConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        names = [f"member-{number}" for number in range(1, config.members + 1)]
        self.members = [Learner(name, make_tagger(name), learner) for name in names]
        usual = learner.model_copy(update={"lr": "auto", "head_lr": "auto"})  # a rate for the run's encoder is none for the built-in one
        others = [f"compact-{number}" for number in range(1, config.compact_members + 1)]
        self.others = [Learner(name, make_tagger(name), usual) for name in others]
        self.student = Learner("student", make_tagger("student"), learner)
        self.scores: dict[str, float] = {}  # of members whose training has ended, F1 on dev

    def stages(self) -> list[Stage]:
        c = self.config
        members = [self._alone(each, supervised_step(each, c.label_smoothing), deliverable=True) for each in self.members]
        others = [self._alone(each, _for_second(supervised_step(each, c.label_smoothing)), deliverable=False) for each in self.others]
        together = distill_step(self.student, self._ask, c, self._tell)
        tune = supervised_step(self.student, c.label_smoothing)
        return [
            *members,
            *others,
            Stage("distill", together, self.student, "both", False, self._begin_distillation, True, "semi_supervised"),
            Stage("finetune", tune, self.student, "labeled", True, self.student.restart, True, "finetune"),
        ]

    def _alone(self, member: Learner, step: Step, *, deliverable: bool) -> Stage:
        """A member's own training on the labeled sentences."""

        def ended(score: float) -> None:
            self.scores[member.name] = score

        return Stage(
            member.name, step, member, "labeled", True, member.restart, False, "supervised", deliverable=deliverable, ended=ended
        )

    def weights(self) -> list[float] | None:
        """Of each member's word, the built-in encoder's last; None: all alike."""
        squares = [self.scores.get(each.name, 0.0) ** 2 for each in (*self.members, *self.others)]
        if self.config.say == "same" or not sum(squares):
            return None
        return [square / sum(squares) for square in squares]

    def _ask(self, batch: Batch, key: Key) -> Tensor:
        return mean_of(self.members, batch, key, self.others, self.weights())

    def _tell(self, said: Said) -> None:
        self.said = said

    def _begin_distillation(self) -> None:
        self.student.copy_from(self.members[0])  # a pre-trained student must start warm

    def learners(self) -> dict[str, Learner]:
        return {**{each.name: each for each in (*self.members, *self.others)}, "student": self.student}

    def state(self) -> dict[str, Any]:
        return {**super().state(), "scores": dict(self.scores)}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.scores = dict(state["scores"])

    @property
    def delivered(self) -> Learner:
        return self.student


def _for_second(step: Step) -> Step:
    """A step of a network with the batches' second encoder."""

    def own(labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        assert labeled is not None, "a supervised step needs labeled sentences"
        return step(labeled.for_second(), unlabeled, key)

    return own
