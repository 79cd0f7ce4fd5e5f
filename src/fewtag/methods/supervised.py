"""Supervised training on the labeled sentences: one language at a time, all together, or with every label (paper 5.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class SupervisedConfig(Config):
    """Token cross-entropy on labeled sentences."""

    label_smoothing: Share = 0.15  # paper section 5, the same as the teacher's L_sup


def supervised_step(learner: Learner, label_smoothing: float) -> Callable[[Batch | None, Batch | None, Key], dict[str, Tensor]]:
    """The step that descends on the mean cross-entropy of a labeled batch (paper Eq. 4)."""

    def step(labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        assert labeled is not None and labeled.tag_ids_BT is not None, "a supervised step needs labeled sentences"
        loss = cross_entropy(learner.logits(labeled, key, "supervised"), labeled.tag_ids_BT, smoothing=label_smoothing).mean
        learner.descend(loss)
        return {"supervised": loss.detach()}

    return step


def supervised_stage(name: str, learner: Learner, label_smoothing: float, **more: Any) -> Stage:
    """A learner's training on the labeled sentences of all languages at once, which every method begins with.

    Args:
        name: of the stage.
        learner: who learns, and is scored.
        label_smoothing: of the gold tags.
        more: fields of `Stage` that are otherwise here.
    """
    usual = {"begin": learner.restart, "draws": "labeled", "mixed": True, "effort": "supervised"}
    return Stage(name, supervised_step(learner, label_smoothing), learner, **{**usual, **more})


class Supervised(Method):
    """One tagger, one stage."""

    def __init__(self, config: SupervisedConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.student = Learner("student", make_tagger("student"), learner)
        self.config = config

    def stages(self) -> list[Stage]:
        return [supervised_stage("supervised", self.student, self.config.label_smoothing)]

    def learners(self) -> dict[str, Learner]:
        return {"student": self.student}

    @property
    def delivered(self) -> Learner:
        return self.student
