"""Tagging with a trained tagger. Imports nothing of training."""

from __future__ import annotations

from pathlib import Path

from fewtag.serving.documents import Document, Entity
from fewtag.serving.predictor import Predictor

__all__ = ["Document", "Entity", "Predictor", "load"]


def load(folder: Path | str, *, device: str = "cpu", batch_tokens: int = 4096, threshold: float = 0.0) -> Predictor:
    """Load a tagger folder for tagging.

    Args:
        folder: what ``train`` wrote as ``model``.
        device: where to run.
        batch_tokens: padded tokens per batch.
        threshold: entities with a lower score are dropped.

    Raises:
        SetupError: when the folder holds no tagger, or what it needs is not installed.
    """
    from fewtag.errors import missing_extra

    try:
        from fewtag.tagger.folder import load as load_tagger
    except ModuleNotFoundError as error:
        raise missing_extra(str(error.name), "train") from None
    return Predictor(load_tagger(Path(folder), device=device), batch_tokens=batch_tokens, threshold=threshold)
