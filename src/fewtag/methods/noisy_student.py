"""Noisy Student (Xie et al., CVPR 2020): generations of students, each taught by the last one and trained under noise.

The first teacher learns from the labeled sentences. A student starts afresh, learns from labels and from the teacher's distributions on raw
text with dropout and noise on its embeddings, and becomes the teacher of the next. The teacher itself is never noised and never moves.
The MetaTS paper gives no detail of its adaptation to text; this one is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy, precise
from fewtag.learning.noise import GaussianNoise
from fewtag.learning.parallel import share
from fewtag.learning.pseudo_labels import PseudoLabels, label
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Said, Stage
from fewtag.methods.supervised import supervised_stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class NoisyStudentConfig(Config):
    """How many generations, what they are told, and under which noise they listen."""

    generations: PositiveInt = 3  # Xie et al. iterate three times
    labels: Literal["soft", "hard"] = "soft"  # Xie et al.: soft labels, temperature 1
    keep_above: Share = 0.3  # a row (window) is left out when its least confident token is not above this; Noisy Student's filter
    noise_variance: NonNegativeFloat = 0.01  # on the embeddings, in their own mean square; MetaTS Table 2
    weight_raw: NonNegativeFloat = 1.0  # of the raw text beside the labels
    label_smoothing: Share = 0.15  # paper section 5, for parity with the other rows; not of soft labels


class NoisyStudent(Method):
    """Teacher and student of one architecture.

    Args:
        config: hyper-parameters.
        make_tagger: builds a fresh tagger for a role.
        learner: optimizer of the student; the teacher never descends.
    """

    def __init__(self, config: NoisyStudentConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        self.teacher = Learner("teacher", make_tagger("teacher"), learner)
        self.student = Learner("student", make_tagger("student"), learner)
        self.noise = GaussianNoise(config.noise_variance, relative=True)
        self._remember()

    def _remember(self) -> None:
        """What each generation starts from; the same for every run of a seed, so it is no part of the state."""
        self._fresh = {name: value.detach().clone() for name, value in self.student.tagger.state_dict().items()}

    def start_from(self, encoder: Mapping[str, Tensor]) -> None:
        super().start_from(encoder)
        self._remember()

    def step(self, labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        """The noised student takes one step on labels and on what the teacher says of raw text.

        Args:
            labeled: with gold tags.
            unlabeled: raw sentences of the same language.
            key: of this step.
        """
        assert labeled is not None and labeled.tag_ids_BT is not None and unlabeled is not None, "Noisy Student needs both kinds of text"
        c = self.config
        (teacher_BTC,) = self.teacher.passes(key, "pseudo", Pass(unlabeled, dropout=False, graph=False))
        pseudo = self._filtered(teacher_BTC, unlabeled.token_mask_BT)
        self.said = Said.of(unlabeled, pseudo, teacher_BTC)
        parts = Pass(labeled, noise=self.noise), Pass(unlabeled, noise=self.noise)
        labeled_BTC, raw_BTC = self.student.passes(key, "supervised", *parts)
        sup = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=c.label_smoothing).mean
        taught = pseudo.against(raw_BTC, smoothing=c.label_smoothing).mean
        self.student.descend(sup + c.weight_raw * taught)
        return {"student": taught.detach(), "supervised": sup.detach(), "kept": share(pseudo.mask_BT, unlabeled.token_mask_BT)}

    def _filtered(self, logits_BTC: Tensor, mask_BT: Tensor) -> PseudoLabels:
        """Pseudo-labels of the sentences whose every token the teacher is sure enough of."""
        highest_BT = precise(logits_BTC).softmax(-1).amax(-1)
        least_B = torch.where(mask_BT, highest_BT, torch.ones_like(highest_BT)).amin(-1)
        return label(self.config.labels, logits_BTC, mask_BT & (least_B > self.config.keep_above).unsqueeze(-1), 0.0)

    def stages(self) -> list[Stage]:
        generations = range(1, self.config.generations + 1)
        return [
            supervised_stage("supervised", self.student, self.config.label_smoothing),
            *(Stage(f"generation-{number}", self.step, self.student, begin=self._next_generation) for number in generations),
        ]

    def _next_generation(self) -> None:
        self.teacher.copy_from(self.student)
        self.student.take_over(self._fresh)

    def learners(self) -> dict[str, Learner]:
        return {"teacher": self.teacher, "student": self.student}

    @property
    def delivered(self) -> Learner:
        return self.student
