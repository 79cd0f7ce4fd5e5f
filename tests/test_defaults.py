"""The defaults that docs/paper.md gives for the paper's open points, each against what a run without settings of its own would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewtag.data.low_resource import LowResource
from fewtag.methods import METHODS, resolve
from fewtag.training.prepare import tagger_maker
from fewtag.training.run_config import RunConfig
from test_contract import LABELED, RAW, TAG_SET

DOCUMENT = Path(__file__).parents[1] / "docs" / "paper.md"

# Open point, setting, its value in `metats` and in `metats-paper`: written down from the document, not from the code.
DEFAULTS: list[tuple[str, str, Any, Any]] = [
    ("A1", "method.feedback.sign", "corrected", "printed"),
    ("A2", "method.labels", "hard", "hard"),
    ("A3", "method.student_steps", 1, 1),
    ("A4", "method.feedback.kind", "difference", "difference"),
    ("A4", "method.feedback.permuted", False, False),
    ("A5", "method.feedback.look", "eval", "eval"),
    ("A6", "method.heard", 0, 0),
    ("A7", "method.feedback.baseline", "per_language", "none"),
    ("A7", "method.feedback.decay", 0.99, 0.99),
    ("A8", "method.weight_reg", 0.03, 1.0),
    ("A8", "method.weight_meta", 0.001, 1.0),
    ("A8", "method.feedback.standardize", True, False),
    ("A8", "method.feedback.clip", 3.0, 3.0),
    ("A9", "method.reduction", "token", "token"),
    ("A10", "method.label_smoothing", 0.15, 0.15),
    ("A11", "method.temperature", 0.7, 0.7),
    ("A11", "method.temperature_mode", "sharpen", "sharpen"),
    ("A12", "method.threshold_on", "raw", "raw"),
    ("A13", "method.denominator", "all", "all"),
    ("A15", "method.stop_gradient", True, True),
    ("A16", "method.noise_variance", 0.01, 0.01),
    ("A16", "method.noise_relative", True, False),
    ("A17", "method.noise_place", "embeddings", "embeddings"),
    ("A18", "method.noise_on", "words", "words"),
    ("A19", "method.clean_pass", "eval", "eval"),
    ("A20", "train.clip_norm", 2, 2),
    ("A20", "train.clip_threshold", 1.0, 1.0),
    ("A20", "train.clip_target", 1.0, 1.0),
    ("A23", "sampling.exponent", 0.5, 0.5),
    ("A24", "method.warmup", True, True),
    ("A24", "method.student_init", "teacher", "encoder"),
    ("A25", "train.patience", 6, 6),
    ("A26", "method.finetune", True, True),
    ("A27", "train.batch_size", 8, 8),
    ("A28", "train.weight_decay", 0.0, 0.0),
    ("A29", "method.teacher_rate", 1.0, 1.0),
    ("A31", "data.dev", "full", "full"),
    ("A33", "method.label_threshold", 0.9, 0.9),
    ("A36", "method.supervised", "language", "language"),
]


def value_of(setting: str, row: str) -> Any:
    room, *path = setting.split(".")
    found: Any = resolve(row, {}) if room == "method" else getattr(RunConfig(), room)
    for name in path:
        found = getattr(found, name)
    return found


@pytest.mark.parametrize(("point", "setting", "ours", "printed"), DEFAULTS, ids=[f"{point} {setting}" for point, setting, *_ in DEFAULTS])
def test_a_default_is_the_documented_one(point: str, setting: str, ours: Any, printed: Any) -> None:
    assert (value_of(setting, "metats"), value_of(setting, "metats-paper")) == (ours, printed)
    (line,) = (each for each in DOCUMENT.read_text(encoding="utf-8").splitlines() if each.startswith(f"| {point} |"))
    assert f"`{setting}`" in line


def test_sentences_a_step() -> None:
    """A27: 8 labeled and 16 raw; as printed 8 and 8."""
    assert {name: METHODS[name].raw_per_labeled for name in ("metats", "metats-paper")} == {"metats": 2, "metats-paper": 1}


@pytest.mark.parametrize("row", ["metats", "metats-paper"])
def test_decoding_and_the_rate_of_the_head(row: str) -> None:
    data = LowResource(LABELED, RAW, {}, {}, {}, TAG_SET, "", 0)
    make, learner = tagger_maker(row, RunConfig(), data)
    assert (make("student").decoding, learner.head_lr) == {"metats": ("viterbi", "auto"), "metats-paper": ("greedy", "same")}[row]
