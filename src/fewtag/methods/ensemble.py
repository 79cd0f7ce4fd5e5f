"""An ensemble distilled into one tagger: several supervised taggers, each with a start of its own, teach one on raw text.

The members differ in their initial weights, dropout and draws, as in the K models of RoSTER (Meng et al., EMNLP 2021), which averages
their distributions and then trains one network on them. What is delivered costs no more than any other tagger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import NonNegativeFloat, PositiveInt

from fewtag.config import Config, Share
from fewtag.learning.adversarial import AdversaryConfig
from fewtag.learning.learner import Learner, LearnerConfig
from fewtag.methods.distill import distill_step
from fewtag.methods.method import Method, Stage
from fewtag.methods.supervised import supervised_step
from fewtag.tagger.tagger import Tagger


class EnsembleConfig(Config):
    """How many members, and how they teach."""

    members: PositiveInt = 3  # RoSTER has 5; the gain of each further one falls
    label_smoothing: Share = 0.15  # paper section 5, for parity with the other rows
    labels: Literal["soft", "reweighted", "soft-high"] = "soft"  # what the student is told: the mean distribution, or BOND's of it
    label_threshold: Share = 0.9  # of soft-high, as in BOND
    # Of virtual adversarial training of the student on raw text, beside the distillation
    weight_adversary: NonNegativeFloat = 0.0
    adversary: AdversaryConfig = AdversaryConfig()


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
        together = distill_step(self.student, self.members, c.label_smoothing, c.weight_adversary, c.adversary, c.labels, c.label_threshold)
        tune = supervised_step(self.student, c.label_smoothing)
        return [
            *members,
            Stage("distill", together, self.student, "both", False, self._begin_distillation, True, "semi_supervised"),
            Stage("finetune", tune, self.student, "labeled", True, self.student.restart, True, "finetune"),
        ]

    def _begin_distillation(self) -> None:
        self.student.copy_from(self.members[0])  # a pre-trained student must start warm

    def learners(self) -> dict[str, Learner]:
        return {**{each.name: each for each in self.members}, "student": self.student}

    @property
    def delivered(self) -> Learner:
        return self.student
