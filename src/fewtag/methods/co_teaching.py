"""Two networks that teach each other (in the manner of SCDL, Zhang et al., EMNLP 2021): each learns from the other's moving average.

SCDL was made for distant labels; here gold labels of a few sentences stand beside raw text. A raw token counts where both averages say the
same tag and the one that teaches is sure of it, so that an error must be made twice, by networks with different starts, to be learned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.average import follow
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.parallel import share
from fewtag.learning.pseudo_labels import PseudoLabels, confident, hard
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Said, Stage
from fewtag.methods.supervised import supervised_stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class CoTeachingConfig(Config):
    """When a pseudo-label counts, and how far the averages lag."""

    threshold: Share = 0.6  # of the teaching average; paper Table 2. SCDL's 0.9 is above what label smoothing of 0.15 lets a tagger say
    decay: Share = 0.995  # of the averages; SCDL
    weight_raw: NonNegativeFloat = 1.0  # of raw text beside the labels
    label_smoothing: Share = 0.15  # paper section 5, for parity with the other rows


class CoTeaching(Method):
    """Two students and their averages.

    Args:
        config: hyper-parameters.
        make_tagger: builds a fresh tagger for a role; each ``member-...`` has a start of its own.
        learner: optimizer of both students; the averages never descend. Every row of the vocabulary table moves at every step.
    """

    def __init__(self, config: CoTeachingConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        if learner.embeddings in ("auto", "lazy"):
            learner = learner.model_copy(update={"embeddings": "dense"})
        self.students = [Learner(f"student-{n}", make_tagger(f"member-{n}"), learner) for n in (1, 2)]
        self.averages = [Learner(f"average-{n}", make_tagger(f"member-{n}"), learner) for n in (1, 2)]

    def step(self, labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        """Each student takes one step towards the labels and the other's average, each average one towards its student.

        Args:
            labeled: with gold tags.
            unlabeled: raw sentences of the same language.
            key: of this step.
        """
        assert labeled is not None and labeled.tag_ids_BT is not None and unlabeled is not None, "co-teaching needs both kinds of text"
        c, mask_BT = self.config, unlabeled.token_mask_BT
        told: dict[str, Tensor] = {}
        said = [each.passes(key, "pseudo", Pass(unlabeled, dropout=False, graph=False))[0] for each in self.averages]
        agreed_BT = mask_BT & (said[0].argmax(-1) == said[1].argmax(-1))
        targets = [self._sure(other_BTC, agreed_BT) for other_BTC in reversed(said)]
        self.said = Said.of(unlabeled, targets[0], said[1])  # what the first student is taught
        for student, average, pseudo in zip(self.students, self.averages, targets, strict=True):
            labeled_BTC, raw_BTC = student.passes(key, "supervised", Pass(labeled), Pass(unlabeled))
            sup = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=c.label_smoothing).mean
            taught = pseudo.against(raw_BTC, smoothing=c.label_smoothing).mean
            student.descend(sup + c.weight_raw * taught)
            follow(average, student, key.step, c.decay)
            told |= {f"supervised {student.name}": sup.detach(), f"taught {student.name}": taught.detach()}
        return {
            **told,
            "kept": torch.stack([share(pseudo.mask_BT, mask_BT) for pseudo in targets]).mean(),
            "agreement": share(agreed_BT, mask_BT),
        }

    def _sure(self, logits_BTC: Tensor, agreed_BT: Tensor) -> PseudoLabels:
        """The tags of one average, of tokens that it is sure of among those that both tag alike."""
        kept_BT = confident(logits_BTC, agreed_BT, self.config.threshold)
        return PseudoLabels(kept_BT, tag_ids_BT=hard(logits_BTC, kept_BT))

    def stages(self) -> list[Stage]:
        first, second = self.averages
        return [
            *(supervised_stage(f"supervised-{n}", each, self.config.label_smoothing) for n, each in enumerate(self.students, 1)),
            Stage("co-teach", self.step, first, begin=self._begin, score_start=True, rivals=(second,)),
        ]

    def _begin(self) -> None:
        for student, average in zip(self.students, self.averages, strict=True):
            student.restart()
            average.copy_from(student)

    def learners(self) -> dict[str, Learner]:
        every: list[Any] = [*self.students, *self.averages]
        return {each.name: each for each in every}

    @property
    def delivered(self) -> Learner:
        return self.averages[0]
