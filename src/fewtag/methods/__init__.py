"""Every method by name. A variant is a row of this table, never a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fewtag.config import Config, build, merge
from fewtag.errors import ConfigError, unknown
from fewtag.learning.learner import LearnerConfig
from fewtag.methods.metats import MetaTS, MetaTSConfig
from fewtag.methods.method import Method
from fewtag.methods.supervised import Supervised, SupervisedConfig
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


_PRINTED: dict[str, Any] = {
    "noise_relative": False,
    "weight_reg": 1.0,
    "weight_meta": 1.0,
    "student_init": "encoder",
    "feedback": {"sign": "printed", "baseline": "none", "standardize": False},
}

METHODS: dict[str, Row] = {
    "supervised-single": Row(Supervised, SupervisedConfig, "single", False, "one tagger per language, on its sampled labels"),
    "supervised-multi": Row(Supervised, SupervisedConfig, "sampled", False, "one tagger for all languages, on the sampled labels"),
    "supervised-full": Row(Supervised, SupervisedConfig, "all", False, "one tagger, every label of train: the upper bound"),
    "metats": Row(MetaTS, MetaTSConfig, "sampled", True, "MetaTS with the corrected sign and a baseline per language", raw_per_labeled=2),
    "metats-paper": Row(
        MetaTS, MetaTSConfig, "sampled", True, "MetaTS as printed", overrides=_PRINTED, learner={"head_lr": "same"}, decoding="greedy"
    ),
}


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
