"""An ensemble distilled into one tagger: several supervised taggers, each with a start of its own, teach one on raw text.

The members differ in their initial weights, dropout and draws, as in the K models of RoSTER (Meng et al., EMNLP 2021), which averages
their distributions and then trains one network on them. What is delivered costs no more than any other tagger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import PositiveInt

from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.methods.distill import DistillConfig, distill_step
from fewtag.methods.method import Method, Said, Stage
from fewtag.methods.supervised import supervised_step
from fewtag.tagger.tagger import Tagger


class EnsembleConfig(DistillConfig):
    """How many members, and how they teach."""

    members: PositiveInt = 3  # RoSTER has 5; the gain of each further one falls


class Ensemble(Method):
    """Members and a student.

    Args:
        config: hyper-parameters.
        make_tagger: builds a fresh tagger for a role; every ``member-...`` has a start of its own.
        learner: optimizer of all.
    """

    def __init__(self, config: EnsembleConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        names = [f"member-{number}" for number in range(1, config.members + 1)]
        self.members = [Learner(name, make_tagger(name), learner) for name in names]
        self.student = Learner("student", make_tagger("student"), learner)

    def stages(self) -> list[Stage]:
        c = self.config
        apart: list[dict[str, Any]] = [
            {"name": each.name, "step": supervised_step(each, c.label_smoothing), "scored": each, "begin": each.restart}
            for each in self.members
        ]
        members = [Stage(draws="labeled", mixed=True, score_start=False, effort="supervised", **each) for each in apart]
        together = distill_step(self.student, self.members, c, self._tell)
        tune = supervised_step(self.student, c.label_smoothing)
        return [
            *members,
            Stage("distill", together, self.student, "both", False, self._begin_distillation, True, "semi_supervised"),
            Stage("finetune", tune, self.student, "labeled", True, self.student.restart, True, "finetune"),
        ]

    def _tell(self, said: Said) -> None:
        self.said = said

    def _begin_distillation(self) -> None:
        self.student.copy_from(self.members[0])  # a pre-trained student must start warm

    def learners(self) -> dict[str, Learner]:
        return {**{each.name: each for each in self.members}, "student": self.student}

    @property
    def delivered(self) -> Learner:
        return self.student
