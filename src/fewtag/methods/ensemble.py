"""An ensemble distilled into one tagger: several supervised taggers, each with a start of its own, teach one on raw text.

The members differ in their initial weights and dropout, as in the K models of RoSTER (Meng et al., EMNLP 2021), which averages
their distributions and then trains one network on them. What is delivered costs no more than any other tagger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import Key
from fewtag.methods.distill import DistillConfig, Targets, distill_step, mean_of
from fewtag.methods.method import Method, Noted, Said, Stage, Step
from fewtag.methods.supervised import supervised_stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class EnsembleConfig(DistillConfig):
    """How many members, and how they teach."""

    members: PositiveInt = 3  # RoSTER has 5; the gain of each further one falls
    compact_members: NonNegativeInt = 0  # more of them, with the built-in encoder: it errs elsewhere than a pre-trained one
    compact_student: bool = False  # whether all teach one of that encoder first, which then speaks for those members
    compact_labels: Targets = "soft-high"  # what it is told; LOG.md 2026-11-26
    # Decay of a moving average of the students' weights, which is what is scored and kept; 0: as `train.average` says. LOG.md 2026-11-26
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    hears_bare: bool = False  # after a pre-training: whether the tagger from before it, which the guard has anyway, teaches too
    # Whose word counts how much: every one's the same, or each kind's as its mean F1 on dev to a power, so a poor one says little;
    # by-language: the F1 of the text's language alone
    say: Literal["same", "by-dev", "by-language"] = "same"
    say_power: PositiveFloat = 2.0
    finetune: bool = False  # of the student on labels alone: they were in every step of it, and more of them cost F1; LOG.md 2026-11-26


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
        usual = learner
        if self.members[0].tagger.encoder.kind != "compact":  # what is right for the run's encoder is not for the built-in one
            tables = {"embeddings": "auto"} if learner.embeddings == "frozen" else {}  # its table begins with nothing learned
            usual = learner.model_copy(update={"lr": "auto", "head_lr": "auto", **tables})
        compact = [f"compact-{number}" for number in range(1, config.compact_members + 1)]
        self.compact = [Learner(name, make_tagger(name), usual) for name in compact]
        averaged = {"average": config.average or learner.average}
        pupils = ["compact-student"] if config.compact_student else []
        self.compact_students = [Learner(name, make_tagger(name), usual.model_copy(update=averaged)) for name in pupils]
        self.others = [*self.compact, *self.compact_students]
        self.student = Learner("student", make_tagger("student"), learner.model_copy(update=averaged))
        self.hears_bare = config.hears_bare
        self.bare: Learner | None = None
        self.scores: dict[str, Mapping[str, float]] = {}  # of those whose training has ended, F1 on dev by language

    def stages(self) -> list[Stage]:
        c = self.config
        together = distill_step(self.student, self._ask, c, self._tell)
        finetune = supervised_stage("finetune", self.student, c.label_smoothing, score_start=True, effort="finetune")
        return [
            *map(self._alone, self.members),
            *map(self._alone_of_second, self.compact),
            *map(self._relay, self.compact_students),
            Stage("distill", together, self.student, begin=self._begin_distillation, score_start=True),
            *([finetune] if c.finetune else []),
        ]

    def _relay(self, pupil: Learner) -> Stage:
        """The built-in encoder's student hears all members."""

        def begin() -> None:
            if self.compact:
                pupil.copy_from(self.compact[0])
            pupil.restart()

        told = self.config.model_copy(update={"labels": self.config.compact_labels})
        step = distill_step(pupil, self._ask, told, self._tell, Batch.for_second)
        return Stage(pupil.name, step, pupil, begin=begin, score_start=True, ended=self._note(pupil))

    def _alone(self, member: Learner) -> Stage:
        """A member's own training on the labeled sentences.

        The student starts from the first. The others are no start of it: the best of several, each on its luckiest look at a small dev set,
        would be kept for that luck.
        """
        first = member is self.members[0]
        return supervised_stage(member.name, member, self.config.label_smoothing, ended=self._note(member), offered=first)

    def _alone_of_second(self, member: Learner) -> Stage:
        """The same of a member with the batches' second encoder, which is not the run's."""
        stage = self._alone(member)
        return replace(stage, step=_for_second(stage.step))

    def _note(self, learner: Learner) -> Noted:
        """What keeps a learner's score."""
        return partial(self.scores.__setitem__, learner.name)

    def hear_bare(self, bare: Learner) -> Noted:
        self.bare = bare
        return self._note(bare)

    @property
    def speakers(self) -> tuple[Sequence[Learner], Sequence[Learner], Sequence[Learner]]:
        """Who teaches now: members, a tagger from before a pre-training, and the built-in encoder's or, as it is there, their student."""
        pupils = [each for each in self.compact_students if each.name in self.scores]
        return self.members, [self.bare] if self.bare else [], pupils or self.compact

    def weights(self, language: str) -> list[float] | None:
        """Of each speaker's word on text of a language, in their order; None: all alike."""
        c = self.config
        kinds = [[self._score(each, language) ** c.say_power for each in kind] for kind in self.speakers if kind]
        total = sum(map(fmean, kinds))
        if c.say == "same" or not total:
            return None
        return [one / len(kind) / total for kind in kinds for one in kind]

    def _score(self, learner: Learner, language: str) -> float:
        """F1 on dev: of the language where that is asked for and known, otherwise of all."""
        scores = self.scores.get(learner.name)
        if not scores:
            return 0.0
        everywhere = sum(scores.values()) / len(scores)
        return scores.get(language, everywhere) if self.config.say == "by-language" else everywhere

    def _ask(self, batch: Batch, key: Key) -> Tensor:
        members, bare, compact = self.speakers
        return mean_of([*members, *bare], batch, key, compact, self.weights(batch.language))

    def _tell(self, said: Said) -> None:
        self.said = said

    def _begin_distillation(self) -> None:
        self.student.copy_from(self.members[0])  # a pre-trained student must start warm

    def learners(self) -> dict[str, Learner]:
        return {each.name: each for each in (*self.members, *self.others, self.student)}

    def state(self) -> dict[str, Any]:
        return {**super().state(), "scores": dict(self.scores)}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.scores.clear()
        self.scores.update(state["scores"])

    @property
    def delivered(self) -> Learner:
        return self.student


def _for_second(step: Step) -> Step:
    """A step of a network with the batches' second encoder."""

    def own(labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        assert labeled is not None, "a supervised step needs labeled sentences"
        return step(labeled.for_second(), unlabeled, key)

    return own
