"""MetaTS: a teacher pseudo-labels raw text, a student learns from it, and the student's progress teaches the teacher.

Paper sections 3.2 to 3.4. The printed text leaves 38 points open, which ``docs/paper.md`` lists. Thirty-three are settings: fields of
`MetaTSConfig` and of the configs it holds, or of the run's (``data``, ``tagger``, ``train``, ``sampling``). Five have one reading only:
A14, A21, A22, A30 and A35.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator
from torch import Tensor

from fewtag.config import Config, Share
from fewtag.learning.adversarial import AdversaryConfig, mean_worst
from fewtag.learning.average import Blend
from fewtag.learning.confidence import Confidence, ConfidenceConfig
from fewtag.learning.feedback import Feedback, FeedbackConfig
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy, per_sentence, soft_cross_entropy
from fewtag.learning.noise import GaussianNoise
from fewtag.learning.parallel import share
from fewtag.learning.pseudo_labels import confident, label, scaled, sharpen
from fewtag.learning.seeding import Key
from fewtag.methods.distill import DistillConfig, distill_step, mean_of
from fewtag.methods.method import Fold, Method, Said, Stage
from fewtag.methods.supervised import supervised_stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger


class MetaTSConfig(Config):
    """The hyper-parameters of MetaTS; defaults are the corrected reading, ``metats-paper`` overrides them with the printed one."""

    noise_variance: NonNegativeFloat = 0.01  # sigma^2, Table 2 (O-NER)
    noise_relative: bool = True  # sigma in units of the embeddings' rms, so that it means the same for every encoder; printed: absolute
    noise_on: Literal["words", "all"] = "words"  # A18
    noise_place: Literal["embeddings", "last"] = "embeddings"  # A17
    temperature: PositiveFloat = 0.7  # tau, Table 2
    temperature_mode: Literal["sharpen", "literal"] = "sharpen"  # A11
    threshold: Share = 0.6  # epsilon, Table 2
    threshold_on: Literal["raw", "tempered"] = "raw"  # A12: the probability as printed, or after the temperature, as MPL's code has it
    denominator: Literal["all", "kept"] = "all"  # A13: the printed sum divides by every token
    reduction: Literal["token", "sentence"] = "token"  # A9, in Eq. 3, Eq. 4 and L_meta: mean over tokens, or over rows of each one's mean
    labels: Literal["hard", "sample", "soft", "reweighted", "soft-high"] = "hard"  # Eq. 2 (A2); the soft ones are Table 7's (A32, A33)
    label_threshold: Share = 0.9  # of soft-high, as in BOND (A33)
    label_smoothing: Share = 0.15  # section 5; student and teacher targets (A10)
    finetune_smoothing: Share = 0.15  # A26: as in the first stage
    weight_reg: NonNegativeFloat = 0.03  # A8: LOG.md 2026-11-24; more pulls a warmed-up teacher down; printed: 1
    # Beyond the paper: what raw text is pushed by is not chance but the worst (virtual adversarial training), for either network
    weight_teacher_adversary: NonNegativeFloat = 0.0
    weight_student_adversary: NonNegativeFloat = 0.0
    adversary: AdversaryConfig = AdversaryConfig()
    weight_meta: NonNegativeFloat = 0.001  # A8: with standardized feedback, LOG.md 2026-11-24; printed: 1
    stop_gradient: bool = True  # A15: the clean side of L_reg is a constant
    student_steps: PositiveInt = 1  # A3: gradient steps on one batch of pseudo-labels before the student is heard
    clean_pass: Literal["eval", "train"] = "eval"  # A19: mode of the teacher's pseudo-labeling pass
    feedback: FeedbackConfig = FeedbackConfig()
    heard: NonNegativeInt = 0  # A6: labeled sentences of the language that judge, drawn apart; 0: those that L_sup uses
    supervised: Literal["language", "mixed"] = "language"  # A36: L_sup on the language of the step, as printed, or on all of them
    warmup: bool = True  # A24: the teacher first learns from the labeled sentences
    # Times the learning rate, while it listens; 0 is self-training with a fixed teacher. 1: one rate, as section 5 names one.
    teacher_rate: NonNegativeFloat = 1.0
    # A24: from a bare pre-trained encoder it does not get there in a few hundred steps (docs/results.md)
    student_init: Literal["teacher", "encoder"] = "teacher"
    finetune: bool = True  # 3.4
    # Beyond the paper. Feedback from labels that neither network has learned: round k learns without fold k, which judges; the students
    # of all rounds then teach one. 0: the paper's, the labels it learned from judge.
    folds: NonNegativeInt = 0
    confidence: ConfidenceConfig = ConfidenceConfig()  # weights of the pseudo-labels
    diagnose_every: NonNegativeInt = 50  # steps between measurements of the terms' gradients; 0: never
    keep_teacher: bool = True  # score the teacher as well, so that a guarded run can deliver it
    blend: bool = False  # and the mean of both networks' weights

    @field_validator("folds")
    @classmethod
    def _folds_are_parts(cls, value: int) -> int:
        if value == 1:
            raise ValueError("1 fold leaves nothing to learn from; 0 is none, 2 or more are folds")
        return value


class MetaTS(Method):
    """Teacher and student of one architecture, with separate weights and separate optimizers.

    Args:
        config: hyper-parameters and readings.
        make_tagger: builds a fresh tagger for a role; both start with the same head (A21).
        learner: optimizer of both.
    """

    def __init__(self, config: MetaTSConfig, make_tagger: Callable[[str], Tagger], learner: LearnerConfig) -> None:
        self.config = config
        self.teacher = Learner("teacher", make_tagger("teacher"), learner)
        self.student = Learner("student", make_tagger("student"), learner)
        self.members = [Learner(f"member-{k + 1}", make_tagger("student"), learner) for k in range(config.folds)]
        self._listen_anew()
        self.noise = GaussianNoise(config.noise_variance, config.noise_relative, config.noise_on, config.noise_place)
        self.blend = Blend("blend", (self.teacher, self.student), make_tagger("average")) if config.blend else None
        self._remember()

    def _listen_anew(self) -> None:
        """Baselines and moving statistics that have seen nothing yet."""
        c = self.config
        # Nobody asks the student where its answer has no weight.
        self.feedback = Feedback(c.feedback if c.weight_meta else c.feedback.model_copy(update={"kind": "none"}))
        self.confidence = Confidence(c.confidence, len(self.teacher.tagger.tag_set))

    def _remember(self) -> None:
        """What every round starts from; the same for every run of a seed, so it is no part of the state."""
        fresh = self.teacher.tagger.state_dict() if self.config.folds else {}
        self._fresh = {name: value.detach().clone() for name, value in fresh.items()}

    def start_from(self, encoder: Mapping[str, Tensor]) -> None:
        super().start_from(encoder)
        self._remember()

    def step(self, labeled: Batch | None, unlabeled: Batch | None, key: Key, judge: Batch | None = None) -> dict[str, Tensor]:
        """One iteration for one language: the student learns, then the teacher learns from the student's progress.

        Args:
            labeled: X, Y of the language.
            unlabeled: raw sentences of the same language.
            key: of this step.
            judge: other labeled sentences of the language to judge by; None lets X, Y judge (the paper).

        Returns:
            The named losses, the feedback and the shares of tokens: kept by L_reg, selected for the student, agreed upon; without graphs.
        """
        assert labeled is not None and labeled.tag_ids_BT is not None and unlabeled is not None, "MetaTS needs both kinds of text"
        c, teacher, student, mask_BT = self.config, self.teacher, self.student, unlabeled.token_mask_BT
        # One pass of the teacher serves everything it says in this step: labels, pseudo-labels, both sides of L_reg, and L_meta.
        clean = Pass(unlabeled, dropout=c.clean_pass == "train", graph=c.weight_meta > 0 or not c.stop_gradient)
        noised = [Pass(unlabeled, noise=self.noise)] if c.weight_reg else []  # z^G
        labeled_BTC, clean_BTC, *noised_BTC = teacher.passes(key, "supervised", Pass(labeled), clean, *noised)
        # 3.2 the student learns from the teacher's pseudo-labels
        key.apply("teacher", "labels")
        pseudo = label(c.labels, clean_BTC, mask_BT, c.label_threshold)  # Eq. 2
        even_BT, labeled_even_BT = self._reduction(pseudo.mask_BT), self._reduction(labeled.token_mask_BT)
        pseudo = replace(pseudo, weights_BT=_product(self.confidence.weights(clean_BTC, mask_BT), even_BT))
        heard = labeled if judge is None else judge
        before = self.feedback.before(student, heard, key)  # L_S,lab at t
        for again in range(c.student_steps):
            student_BTC = student.logits(unlabeled, key, f"pseudo {again}" if again else "pseudo")
            loss = pseudo.against(student_BTC, smoothing=c.label_smoothing).mean
            purpose = f"worst {again}" if again else "worst"
            pushed = mean_worst(student, unlabeled, key, purpose, c.adversary, c.weight_student_adversary)
            step = student.descend(loss + c.weight_student_adversary * pushed)  # Eq. 3, one step
        told = self.feedback.after(student, heard, before, step, unlabeled, pseudo, key)  # L_S,lab at t + 1; lambda_meta, with its sign
        # 3.3 the teacher learns from labels, from consistency under noise, and from the feedback
        sup = cross_entropy(labeled_BTC, labeled.tag_ids_BT, smoothing=c.label_smoothing, weights_BT=labeled_even_BT).mean  # Eq. 4
        keep_BT = confident(clean_BTC, mask_BT, c.threshold, 1.0 if c.threshold_on == "raw" else c.temperature)  # I(z_max)
        reg = self._regularization(clean_BTC, noised_BTC, keep_BT, mask_BT)  # L_reg
        meta = told.meta(clean_BTC, pseudo)  # L_meta; a scalar has no gradient through soft labels (A32)
        worst = mean_worst(teacher, unlabeled, key, "worst", c.adversary, c.weight_teacher_adversary)
        self.said = Said.of(unlabeled, pseudo, clean_BTC, told.mean(pseudo))
        norms = self._norms(key, supervised=sup, regularization=c.weight_reg * reg, meta=c.weight_meta * meta)
        # L_T = L_sup + L_reg + L_meta
        teacher.descend(sup + c.weight_reg * reg + c.weight_meta * meta + c.weight_teacher_adversary * worst)
        return {
            "student": loss.detach(),
            "supervised": sup.detach(),
            "regularization": reg.detach(),
            **({"student worst": pushed.detach()} if c.weight_student_adversary else {}),
            **({"teacher worst": worst.detach()} if c.weight_teacher_adversary else {}),
            "meta": meta.detach(),
            "lambda": told.change,
            "feedback": told.mean(pseudo),
            "kept": share(keep_BT, mask_BT),
            **({"selected": share(pseudo.mask_BT, mask_BT)} if c.labels == "soft-high" else {}),
            "agreement": share((student_BTC.argmax(-1) == clean_BTC.argmax(-1)) & mask_BT, mask_BT),
            **norms,
        }

    def _norms(self, key: Key, **terms: Tensor) -> dict[str, Tensor]:
        """Now and then the length of each term's gradient in the teacher, with its weight: which of them leads?"""
        every = self.config.diagnose_every
        if not every or key.step % every != every - 1:
            return {}
        spent = self.teacher.num_passes
        norms = {
            f"gradient {name}": self.teacher.gradient(term, keep_graph=True).norm() if term.requires_grad else term.detach().float()
            for name, term in terms.items()
        }
        self.teacher.num_passes = spent  # looking is no training: a budget of passes must buy the same steps with and without it
        return norms

    def _reduction(self, mask_BT: Tensor) -> Tensor | None:
        return per_sentence(mask_BT) if self.config.reduction == "sentence" else None

    def _regularization(self, clean_BTC: Tensor, noised: list[Tensor], keep_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """L_reg: the noised pass agrees with the clean one where that is confident (paper 3.3)."""
        c = self.config
        target_BTC = (sharpen if c.temperature_mode == "sharpen" else scaled)(clean_BTC, c.temperature, constant=c.stop_gradient)
        count = mask_BT.sum() if c.denominator == "all" else keep_BT.sum()
        return sum((soft_cross_entropy(each_BTC, target_BTC, keep_BT, count).mean for each_BTC in noised), clean_BTC.new_zeros(()))

    def stages(self) -> list[Stage]:
        c = self.config
        finetune = supervised_stage("finetune", self.student, c.finetune_smoothing, score_start=True, effort="finetune")
        if not c.folds:
            return [*self._round("", None, 1.0), *([finetune] if c.finetune else [])]
        rounds = [stage for k in range(c.folds) for stage in self._round(f"-{k + 1}", Fold(k, c.folds), 1 / c.folds)]
        together = distill_step(self.student, partial(mean_of, self.members), DistillConfig(label_smoothing=c.label_smoothing))
        distill = Stage("distill", together, self.student, begin=self._begin_distillation, score_start=True)
        return [*rounds, distill, *([finetune] if c.finetune else [])]

    def _round(self, suffix: str, fold: Fold | None, share: float) -> list[Stage]:
        """Warm-up and interaction (paper 3.2 and 3.3); with a fold, without it."""
        c = self.config
        begin = partial(self._begin_round, fold)
        warm = supervised_stage(f"warm-up{suffix}", self.teacher, c.label_smoothing, begin=begin, fold=fold)
        interact = Stage(
            f"interact{suffix}",
            self.step,
            self.student,
            begin=partial(self._begin_interact, fold),
            mixed=c.supervised == "mixed",
            share=share,
            fold=fold,
            heard=c.heard,
            rivals=self._rivals(),
        )
        return [warm, interact] if c.warmup else [interact]

    def _rivals(self) -> tuple[Learner | Blend, ...]:
        return (*((self.teacher,) if self.config.keep_teacher else ()), *((self.blend,) if self.blend else ()))

    def _begin_round(self, fold: Fold | None) -> None:
        """Before a round's first stage: the student of the round before is kept, and nothing else of that round."""
        if fold is not None and fold.number:
            self._collect(fold.number - 1)
            self.teacher.take_over(self._fresh)
            self._listen_anew()
        self.teacher.restart()

    def _begin_interact(self, fold: Fold | None) -> None:
        if not self.config.warmup:
            self._begin_round(fold)
        self.teacher.restart(self.config.teacher_rate)
        if self.config.student_init == "teacher":
            self.student.copy_from(self.teacher)
        elif fold is not None:
            self.student.take_over(self._fresh)

    def _begin_distillation(self) -> None:
        self._collect(self.config.folds - 1)
        self.student.copy_from(self.members[-1])

    def _collect(self, number: int) -> None:
        """Keep the student that a round has ended with."""
        self.members[number].copy_from(self.student)

    def learners(self) -> dict[str, Learner]:
        return {"teacher": self.teacher, "student": self.student, **{each.name: each for each in self.members}}

    @property
    def delivered(self) -> Learner:
        return self.student

    def state(self) -> dict[str, Any]:
        return {**super().state(), "feedback": self.feedback.state(), "confidence": self.confidence.state()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.feedback.restore(state["feedback"])
        self.confidence.restore(state["confidence"])


def _product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Of weights, None being 1."""
    return b if a is None else a if b is None else a * b
