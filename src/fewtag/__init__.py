"""fewtag: one tagger for many languages, trained from a few labeled sentences and much raw text."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "Corpus": "fewtag.data.corpus",
    "Sentence": "fewtag.text.sentence",
    "Span": "fewtag.text.sentence",
    "load": "fewtag.serving",
    "train": "fewtag.training.train",
}
__all__ = ["Corpus", "Sentence", "Span", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import fewtag`` needs no torch."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'fewtag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
