"""Mean Teacher (Tarvainen and Valpola, NeurIPS 2017): a student that agrees with the moving average of itself.

The student learns from labels, and from the average's predictions on every sentence, labeled or not; each sees the sentence through a
dropout mask of its own. The average is the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.average import follow
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import Term, cross_entropy, divergence, squared_distance
from fewtag.learning.pseudo_labels import sharpen
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Stage
from fewtag.methods.supervised import supervised_stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger

DISTANCES = {"mse": squared_distance, "kl": divergence}


class MeanTeacherConfig(Config):
    """How far the average lags, and what disagreement costs."""

    distance: Literal["mse", "kl"] = "mse"  # the rows mean-teacher-mse and mean-teacher-kl
    weight: NonNegativeFloat = 50.0  # of the distance at full length; mean over tags, so MSE is small. The kl row has 10
    ramp: PositiveInt = 300  # steps until the weight is full; BOND's Mean Teacher
    decay: Share = 0.99  # of the average; Mean Teacher has 0.99 while it learns fast
    label_smoothing: Share = 0.15  # paper section 5, for parity with the other rows


def ramped(weight: float, step: int, ramp: int) -> float:
    """``weight * exp(-5 (1 - min(step / ramp, 1))^2)``: rises to ``weight`` and stays there."""
    return weight * math.exp(-5.0 * (1.0 - min(step / ramp, 1.0)) ** 2)


class MeanTeacher(Method):
    """Student and average.

    Args:
        config: hyper-parameters.
        make_tagger: builds a fresh tagger for a role.
        learner: optimizer of the student; the average never descends. Every row of the vocabulary table moves at every step, since the
            average is of all of them.
    """

    def __init__(self, config: MeanTeacherConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        if learner.embeddings in ("auto", "lazy"):
            learner = learner.model_copy(update={"embeddings": "dense"})
        self.student = Learner("student", make_tagger("student"), learner)
        self.average = Learner("average", make_tagger("average"), learner)

    def step(self, labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        """The student takes one step towards labels and average, the average one towards the student.

        Args:
            labeled: with gold tags.
            unlabeled: raw sentences of the same language.
            key: of this step.
        """
        assert labeled is not None and labeled.tag_ids_BT is not None and unlabeled is not None, "Mean Teacher needs both kinds of text"
        c, batches = self.config, (labeled, unlabeled)
        wanted = self.average.passes(key, "agree", *(Pass(batch, graph=False) for batch in batches))
        shown = self.student.passes(key, "supervised", *(Pass(batch) for batch in batches))
        sup = cross_entropy(shown[0], labeled.tag_ids_BT, smoothing=c.label_smoothing).mean
        terms = [
            DISTANCES[c.distance](own_BTC, sharpen(its_BTC, 1.0), batch.token_mask_BT)
            for own_BTC, its_BTC, batch in zip(shown, wanted, batches, strict=True)
        ]
        distance = Term(terms[0].total + terms[1].total, terms[0].count + terms[1].count).mean
        weight = ramped(c.weight, key.step, c.ramp)
        self.student.descend(sup + weight * distance)
        follow(self.average, self.student, key.step, c.decay)
        return {"supervised": sup.detach(), "distance": distance.detach(), "weight": distance.new_tensor(weight)}

    def stages(self) -> list[Stage]:
        return [
            supervised_stage("supervised", self.student, self.config.label_smoothing),
            Stage("agree", self.step, self.average, begin=self._begin_agreement, score_start=True),
        ]

    def _begin_agreement(self) -> None:
        self.student.restart()
        self.average.copy_from(self.student)

    def learners(self) -> dict[str, Learner]:
        return {"student": self.student, "average": self.average}

    @property
    def delivered(self) -> Learner:
        return self.average
