"""Virtual adversarial training (Miyato et al. 2018): the prediction must not move where the embeddings are pushed the worst way.

After supervised training, each step descends on the labels and on the divergence between what the tagger says of a sentence and what it
says of it with its embeddings moved by ``r``: the small step that changes the prediction most, found by one round of power iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.adversarial import Shift, adversarial_direction
from fewtag.learning.learner import Learner, LearnerConfig, Pass
from fewtag.learning.losses import Term, cross_entropy, divergence
from fewtag.learning.parallel import over_ranks
from fewtag.learning.pseudo_labels import sharpen
from fewtag.learning.seeding import Key
from fewtag.methods.method import Method, Stage
from fewtag.methods.supervised import supervised_step
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class VatConfig(Config):
    """How far and how hard the embeddings are pushed."""

    radius: PositiveFloat = 1.0  # of r per sentence, in root-mean-square lengths of an embedding, so that it means the same everywhere
    small: PositiveFloat = 0.01  # xi, in the same measure: far enough for float32 to see, near enough to be second order
    rounds: PositiveInt = 1  # of power iteration; Miyato et al. take one
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
        terms = [self._divergence(batch, key, purpose) for batch, purpose in ((labeled, "worst, labeled"), (unlabeled, "worst, raw"))]
        worst = Term(terms[0].total + terms[1].total, terms[0].count + terms[1].count).mean
        student.descend(sup + c.weight * worst)
        return {"supervised": sup.detach(), "divergence": worst.detach()}

    def _divergence(self, batch: Batch, key: Key, purpose: str) -> Term:
        """KL(p(e) || p(e + r)), e a constant on its first side. One purpose: every pass has the same dropout mask."""
        c, student = self.config, self.student
        with torch.no_grad():
            (clean_BTC,) = student.passes(key, purpose, Pass(batch))
        target_BTC = sharpen(clean_BTC, 1.0)

        def distance(change_BLD: Tensor) -> Tensor:
            (moved_BTC,) = student.passes(key, purpose, Pass(batch, noise=Shift(change_BLD)))
            return divergence(moved_BTC, target_BTC, batch.token_mask_BT).total

        with torch.no_grad():
            embeddings_BLD = student.tagger.encoder.embed(batch.inputs)
        mask_BL = batch.inputs.noise_mask_BL
        squares = embeddings_BLD.pow(2).sum(-1).where(mask_BL, embeddings_BLD.new_zeros(())).sum()
        length = (over_ranks(squares) / over_ranks(mask_BL.sum()).clamp(min=1)).sqrt()
        key.apply(student.name, f"{purpose}, direction")
        start_BLD = torch.randn_like(embeddings_BLD)
        bf16, student.tagger.encoder.bf16 = student.tagger.encoder.bf16, False  # a divergence this small is below bfloat16's last digit
        direction_BLD = adversarial_direction(distance, start_BLD, mask_BL, c.small * length, c.rounds)
        student.tagger.encoder.bf16 = bf16
        (moved_BTC,) = student.passes(key, purpose, Pass(batch, noise=Shift(c.radius * length * direction_BLD)))
        return divergence(moved_BTC, target_BTC, batch.token_mask_BT)

    def stages(self) -> list[Stage]:
        learn = supervised_step(self.student, self.config.label_smoothing)
        return [
            Stage("supervised", learn, self.student, "labeled", True, self.student.restart, False, "supervised"),
            Stage("smooth", self.step, self.student, "both", False, self.student.restart, True, "semi_supervised"),
        ]

    def learners(self) -> dict[str, Learner]:
        return {"student": self.student}

    @property
    def delivered(self) -> Learner:
        return self.student
