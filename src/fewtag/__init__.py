"""fewtag: one tagger for many languages, trained from a few labeled sentences and much raw text.

import fewtag

corpus = fewtag.Corpus.from_dir("data")
tagger = fewtag.load("runs/first/model")
for entity in tagger("Angela Merkel besuchte Paris.", lang="de").entities: ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewtag.data.corpus import Corpus
    from fewtag.evaluation import evaluate
    from fewtag.experiments.comparison import compare
    from fewtag.serving import load
    from fewtag.text.sentence import Sentence, Span
    from fewtag.training.run import train

__version__ = "0.1.0"
__all__ = ["Corpus", "Sentence", "Span", "__version__", "compare", "evaluate", "load", "train"]

_PLACES = {
    "Corpus": "fewtag.data.corpus",
    "Sentence": "fewtag.text.sentence",
    "Span": "fewtag.text.sentence",
    "compare": "fewtag.experiments.comparison",
    "evaluate": "fewtag.evaluation",
    "load": "fewtag.serving",
    "train": "fewtag.training.run",
}


def __getattr__(name: str) -> Any:
    """Import on first use: what needs no torch must not ask for it.

    Raises:
        AttributeError: for a name that is not public.
    """
    if name not in _PLACES:
        raise AttributeError(f"module 'fewtag' has no attribute {name!r}")
    try:
        value = getattr(import_module(_PLACES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "safetensors", "transformers"):
            raise
        from fewtag.errors import missing_extra

        raise missing_extra(str(error.name), "train") from None
    globals()[name] = value  # asked once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
