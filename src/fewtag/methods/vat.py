"""Virtual adversarial training (Miyato et al. 2018): the prediction must not move where the embeddings are pushed the worst way.

After supervised training, each step descends on the labels and on the divergence between what the tagger says of a sentence and what it
says of it with its embeddings moved by ``r``: the small step that changes the prediction most, found by one round of power iteration.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import NonNegativeFloat
from torch import Tensor

from fewtag.config import Share
from fewtag.learning.adversarial import AdversaryConfig, worst_divergence
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import Term, cross_entropy
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Stage
from fewtag.methods.supervised import supervised_stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class VatConfig(AdversaryConfig):
    """How far and how hard the embeddings are pushed."""

    weight: NonNegativeFloat = 1.0  # of the divergence; Miyato et al.: 1
    label_smoothing: Share = 0.15  # paper section 5, for parity with the other rows


class Vat(Method):
    """One tagger, its own adversary.

    Args:
        config: hyper-parameters.
        make_tagger: builds a fresh tagger for a role.
        learner: its optimizer.
    """

    def __init__(self, config: VatConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        self.student = Learner("student", make_tagger("student"), learner)

    def step(self, labeled: Batch | None, unlabeled: Batch | None, key: Key) -> dict[str, Tensor]:
        """One step on the labels and on the worst divergence of every sentence.

        Args:
            labeled: with gold tags.
            unlabeled: raw sentences of the same language.
            key: of this step.
        """
        assert labeled is not None and labeled.tag_ids_BT is not None and unlabeled is not None, "VAT needs both kinds of text"
        c, student = self.config, self.student
        (labeled_BTC,) = student.passes(key, "supervised", Pass(labeled))
        sup = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=c.label_smoothing).mean
        of = ((labeled, "worst, labeled"), (unlabeled, "worst, raw"))
        terms = [worst_divergence(student, batch, key, purpose, c) for batch, purpose in of]
        worst = Term(terms[0].total + terms[1].total, terms[0].count + terms[1].count).mean
        student.descend(sup + c.weight * worst)
        return {"supervised": sup.detach(), "divergence": worst.detach()}

    def stages(self) -> list[Stage]:
        return [
            supervised_stage("supervised", self.student, self.config.label_smoothing),
            Stage("smooth", self.step, self.student, begin=self.student.restart, score_start=True),
        ]

    def learners(self) -> dict[str, Learner]:
        return {"student": self.student}

    @property
    def delivered(self) -> Learner:
        return self.student
