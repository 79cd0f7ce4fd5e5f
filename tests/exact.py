"""MetaTS that can be followed to the last digits: float64, Adam over every row, teacher and student apart, no dropout unless asked."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.encoders.encoder import Inputs
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.methods import METHODS, resolve
from fewtag.methods.metats import MetaTS
from fewtag.tagger import Batch, Tagger
from fewtag.text import Sentence, TagSet

TAG_SET = TagSet(("x",))
LABELED = [Sentence(("red", "shoe", "now"), ("B-x", "I-x", "O"), "en"), Sentence(("blue", "hat"), ("B-x", "I-x"), "en")]
RAW = [
    Sentence(("green", "shoe"), None, "en"),
    Sentence(("old", "blue", "box", "here"), None, "en"),
    Sentence(("red", "hat", "now"), None, "en"),
]
PLAIN = {"baseline": "none", "standardize": False}  # feedback as it is measured
SEEDS = {"teacher": 7, "student": 8}


class Ripple:
    """Noise that is the same in every pass, so that a step can be followed through it."""

    place = "embeddings"

    def __call__(self, vectors_BLD: Tensor, inputs: Inputs) -> Tensor:
        wave_D = 0.3 * torch.arange(vectors_BLD.shape[-1], dtype=vectors_BLD.dtype).sin()
        return vectors_BLD + wave_D * inputs.mask_BL.unsqueeze(-1)


def make_tagger(role: str, dropout: float = 0.0) -> Tagger:
    """A tagger of the role's own weights, with a head that has opinions."""
    torch.manual_seed(SEEDS.get(role, 9))
    encoder = CompactEncoder(CompactConfig(buckets=200, width=8, layers=2, dropout=dropout))
    tagger = Tagger(encoder, TAG_SET, dropout=0.0).double()
    torch.nn.init.normal_(tagger.head.weight)
    return tagger


def exact(dropout: float = 0.0, learner: dict[str, Any] | None = None, **values: Any) -> MetaTS:
    """MetaTS in float64 whose noise is `Ripple`.

    Args:
        dropout: of the encoder.
        learner: settings of its optimizer other than a rate of 0.01 and a table that moves in every row at every step.
        values: of its configuration.
    """
    config = LearnerConfig(**{"lr": 0.01, "embeddings": "dense", **(learner or {})})
    method = METHODS["metats"].method(resolve("metats", values), lambda role: make_tagger(role, dropout), config)
    assert isinstance(method, MetaTS)
    method.noise = Ripple()  # type: ignore[assignment]
    return method


def batches(method: MetaTS) -> tuple[Batch, Batch]:
    """Labeled and raw sentences."""
    batcher = method.teacher.tagger.batcher
    return batcher.batch(LABELED, labeled=True), batcher.batch(RAW, labeled=False)


def weights(learner: Learner) -> dict[str, Tensor]:
    """A copy of what it has learned."""
    return {name: value.detach().clone() for name, value in learner.tagger.state_dict().items()}


def farthest(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """The largest difference between two sets of weights."""
    return max(float((value - right[name]).detach().abs().max()) for name, value in left.items())
