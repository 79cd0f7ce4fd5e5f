"""Every method by name. A variant is a row of this table, never a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fewtag.config import Config, build, merge
from fewtag.encoders import CompactEncoder
from fewtag.errors import ConfigError, unknown
from fewtag.learning.learner_config import LearnerConfig
from fewtag.methods.bond import Bond, BondConfig
from fewtag.methods.co_teaching import CoTeaching, CoTeachingConfig
from fewtag.methods.ensemble import Ensemble, EnsembleConfig
from fewtag.methods.mean_teacher import MeanTeacher, MeanTeacherConfig
from fewtag.methods.metats import MetaTS, MetaTSConfig
from fewtag.methods.method import Method
from fewtag.methods.noisy_student import NoisyStudent, NoisyStudentConfig
from fewtag.methods.supervised import Supervised, SupervisedConfig
from fewtag.methods.vat import Vat, VatConfig
from fewtag.tagger.tagger import Tagger


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `METHODS`.

    Args:
        method: builds it from (config, make_tagger, learner config).
        config: its configuration model.
        data: ``"sampled"`` labels of all languages, ``"single"`` one language at a time, ``"all"`` every label there is.
        uses_raw_text: whether it needs unlabeled sentences.
        about: one line for people.
        overrides: configuration values that make the variant.
        learner: optimizer values that make the variant.
        decoding: ``"viterbi"`` or the paper's ``"greedy"``.
        raw_per_labeled: raw sentences a step for each labeled one (A27).
        pretraining: steps of guessing hidden words first (`fewtag.methods.pretraining`), where the configuration sets no number; fewer on
            little raw text (`fewtag.training.prepare.settled`).
        guard: whether a run delivers the best on dev of the final tagger, its supervised start and its teacher; the paper's rows do not.
    """

    method: Callable[[Any, Callable[[str], Tagger], LearnerConfig], Method]
    config: type[Config]
    data: str
    uses_raw_text: bool
    about: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    learner: Mapping[str, Any] = field(default_factory=dict)
    decoding: str = "viterbi"
    raw_per_labeled: int = 1
    pretraining: int = 0
    guard: bool = False


_PRINTED: dict[str, Any] = {
    "noise_relative": False,
    "weight_reg": 1.0,
    "weight_meta": 1.0,
    "student_init": "encoder",
    "feedback": {"sign": "printed", "baseline": "none", "standardize": False},
}


# LOG.md 2026-11-25: smooth where text is short, re-weighted where most of it is O
_SMOOTH: dict[str, Any] = {"labels": "soft-high", "weight_adversary": 1.0}


def _bond(labels: str, about: str) -> Row:
    return Row(Bond, BondConfig, "sampled", True, f"BOND's self-training on {about}", overrides={"labels": labels})


def _paper(about: str, **overrides: Any) -> Row:
    values = {**_PRINTED, **overrides}
    return Row(MetaTS, MetaTSConfig, "sampled", True, about, overrides=values, learner={"head_lr": "same"}, decoding="greedy")


# Where there is raw text and nobody says how to learn from it (docs/results.md). With the built-in encoder: it gained on all seven sets.
DEFAULT = "pretrained-ensemble"
# With any other: of four sets it was the best on each, and closed 32 % of the gap in the mean.
DEFAULT_PRETRAINED = "mixed-ensemble"

METHODS: dict[str, Row] = {
    "supervised-single": Row(Supervised, SupervisedConfig, "single", False, "one tagger per language, on its sampled labels"),
    "supervised-multi": Row(Supervised, SupervisedConfig, "sampled", False, "one tagger for all languages, on the sampled labels"),
    "supervised-full": Row(Supervised, SupervisedConfig, "all", False, "one tagger, every label of train: the upper bound"),
    "metats": Row(
        MetaTS, MetaTSConfig, "sampled", True, "MetaTS with the corrected sign and a baseline per language", raw_per_labeled=2, guard=True
    ),
    "metats-paper": _paper("MetaTS as printed"),
    # Table 7
    "metats-paper-no-reg": _paper("MetaTS as printed, without L_reg", weight_reg=0.0),
    "metats-paper-no-meta": _paper("MetaTS as printed, without L_meta", weight_meta=0.0),
    "metats-paper-soft": _paper("MetaTS as printed, with soft labels", labels="soft"),
    "metats-paper-soft-high": _paper("MetaTS as printed, with BOND's soft labels of high confidence", labels="soft-high"),
    # what the paper compares with
    "mean-teacher-mse": Row(MeanTeacher, MeanTeacherConfig, "sampled", True, "Mean Teacher, squared distance of probabilities"),
    "mean-teacher-kl": Row(
        MeanTeacher, MeanTeacherConfig, "sampled", True, "Mean Teacher, KL divergence", overrides={"distance": "kl", "weight": 10.0}
    ),
    "vat": Row(Vat, VatConfig, "sampled", True, "virtual adversarial training on the embeddings"),
    "noisy-student": Row(NoisyStudent, NoisyStudentConfig, "sampled", True, "Noisy Student: generations of noised students"),
    "bond-hard": _bond("hard", "hard labels"),
    "bond-soft": _bond("reweighted", "re-weighted soft labels"),
    "bond-soft-high": _bond("soft-high", "re-weighted soft labels of high confidence"),
    # beyond the paper
    "smooth-metats": Row(
        MetaTS,
        MetaTSConfig,
        "sampled",
        True,
        "metats with confident soft labels and wide noise in L_reg",
        {"labels": "soft-high", "noise_variance": 3.0, "weight_reg": 0.3},  # docs/study.md, "The recipe that came of it"
        raw_per_labeled=2,
        guard=True,
    ),
    "smooth-bond": Row(Bond, BondConfig, "sampled", True, "BOND's confident soft labels beside VAT", _SMOOTH, guard=True),
    "co-teaching": Row(CoTeaching, CoTeachingConfig, "sampled", True, "two networks that teach each other", guard=True),
    "ensemble": Row(Ensemble, EnsembleConfig, "sampled", True, "several supervised taggers distilled into one", guard=True),
    "smooth-ensemble": Row(
        Ensemble, EnsembleConfig, "sampled", True, "the ensemble's confident soft labels beside VAT", _SMOOTH, guard=True
    ),
    "pretrained-ensemble": Row(
        Ensemble,
        EnsembleConfig,
        "sampled",
        True,
        "smooth-ensemble, whose taggers have guessed hidden words of the raw text first",
        _SMOOTH,
        pretraining=3000,  # docs/study.md
        guard=True,
    ),
    "mixed-ensemble": Row(
        Ensemble,
        EnsembleConfig,
        "sampled",
        True,
        "members of two encoders, the run's and the built-in one, distilled into one tagger",
        {"members": 2, "compact_members": 2, "compact_student": True, "labels": "sharpened", "average": 0.98, "say": "by-dev"},
        raw_per_labeled=4,
        guard=True,
    ),
}


def default_for(encoder: str) -> str:
    """The method that learns from raw text where none is named.

    Args:
        encoder: as the configuration names it.
    """
    return DEFAULT if encoder == CompactEncoder.kind else DEFAULT_PRETRAINED


def row(name: str) -> Row:
    """The row of a method.

    Raises:
        ConfigError: for an unknown name, with the nearest.
    """
    if name not in METHODS:
        raise ConfigError(unknown("method", name, METHODS))
    return METHODS[name]


def resolve(name: str, values: Mapping[str, Any]) -> Config:
    """A method's configuration: its defaults, the row's overrides, then the user's values."""
    found = row(name)
    return build(found.config, merge(found.overrides, values), f"method {name}")
