"""BOND's self-training (Liang et al., KDD 2020, section 3): a teacher that is now and then replaced by its student.

The first stage learns from the labeled sentences. In the second the teacher labels raw text, the student learns from those labels and from
the labeled sentences, and every ``period`` steps the teacher becomes a copy of the student. BOND was made for distant labels; here, as in
the paper's comparison, gold labels take their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.adversarial import AdversaryConfig, mean_worst
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.parallel import share
from fewtag.learning.pseudo_labels import label
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Said, Stage
from fewtag.methods.supervised import supervised_stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class BondConfig(Config):
    """What the teacher says, to whom it counts, and how long it stays."""

    labels: Literal["hard", "reweighted", "soft-high"] = "soft-high"  # BOND's best; the rows bond-hard and bond-soft are the others
    label_threshold: Share = 0.9  # BOND's for CoNLL-03; of the re-weighted probability, soft-high only
    period: PositiveInt = 450  # steps a teacher stays; BOND's script for CoNLL-03
    weight_supervised: NonNegativeFloat = 1.0  # of the labeled sentences beside the raw text
    label_smoothing: Share = 0.15  # paper section 5, for parity with the other rows; not of soft labels
    # Beyond BOND: of virtual adversarial training of the student on raw text
    weight_adversary: NonNegativeFloat = 0.0
    adversary: AdversaryConfig = AdversaryConfig()


class Bond(Method):
    """Student and its former self.

    Args:
        config: hyper-parameters.
        make_tagger: builds a fresh tagger for a role.
        learner: optimizer of the student; the teacher never descends.
    """

    def __init__(self, config: BondConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        self.teacher = Learner("teacher", make_tagger("teacher"), learner)
        self.student = Learner("student", make_tagger("student"), learner)

    def step(self, labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        """The student takes one step on pseudo-labels and labels of one language.

        Args:
            labeled: with gold tags.
            unlabeled: raw sentences of the same language.
            key: of this step.
        """
        assert labeled is not None and labeled.tag_ids_BT is not None and unlabeled is not None, "BOND needs both kinds of text"
        c, mask_BT = self.config, unlabeled.token_mask_BT
        if key.step % c.period == 0:
            self.teacher.copy_from(self.student)
        (teacher_BTC,) = self.teacher.passes(key, "pseudo", Pass(unlabeled, dropout=False, graph=False))
        pseudo = label(c.labels, teacher_BTC, mask_BT, c.label_threshold)
        self.said = Said.of(unlabeled, pseudo, teacher_BTC)
        labeled_BTC, raw_BTC = self.student.passes(key, "supervised", Pass(labeled), Pass(unlabeled))
        sup = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=c.label_smoothing).mean
        self_training = pseudo.against(raw_BTC, smoothing=c.label_smoothing).mean
        worst = mean_worst(self.student, unlabeled, key, "worst", c.adversary, c.weight_adversary)
        self.student.descend(self_training + c.weight_supervised * sup + c.weight_adversary * worst)
        told = {"student": self_training.detach(), "supervised": sup.detach(), "kept": share(pseudo.mask_BT, mask_BT)}
        return {**told, "worst": worst.detach()} if c.weight_adversary else told

    def stages(self) -> list[Stage]:
        return [
            supervised_stage("supervised", self.student, self.config.label_smoothing),
            Stage("self-train", self.step, self.student, begin=self.student.restart, score_start=True),
        ]

    def learners(self) -> dict[str, Learner]:
        return {"teacher": self.teacher, "student": self.student}

    @property
    def delivered(self) -> Learner:
        return self.student
