"""Tagging with a trained tagger. Imports nothing of training, and torch only to load one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from fewtag.errors import missing_extra
from fewtag.serving.documents import Document, Entity
from fewtag.serving.predictor import Predictor

Precision = Literal["auto", "bf16", "fp32"]  # as `fewtag.tagger.precision` has it, which needs torch

__all__ = ["Document", "Entity", "Predictor", "load"]


def load(
    folder: Path | str,
    *,
    device: str = "cpu",
    batch_tokens: int = 4096,
    threshold: float = 0.0,
    precision: Precision | None = None,
) -> Predictor:
    """Load a tagger folder for tagging.

    Args:
        folder: what ``train`` wrote as ``model``.
        device: where to run, ``"cpu"`` or ``"cuda:0"``.
        batch_tokens: padded tokens per batch, at most.
        threshold: entities with a lower score are left out.
        precision: of the encoder's matrix products: ``"auto"`` is bfloat16 where that is faster; None: as the run was configured.

    Raises:
        SetupError: when the folder holds no tagger, or what it needs is not installed.
    """
    try:
        from fewtag.tagger.folder import load as load_tagger
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fewtag"):
            raise
        raise missing_extra(str(error.name), "train") from None
    tagger = load_tagger(Path(folder), device=device, precision=precision)
    tagger.batcher.remember = 0  # a stream has no end; what it holds must not grow with it
    return Predictor(tagger, batch_tokens=batch_tokens, threshold=threshold, name=_name(Path(folder)))


def _name(folder: Path) -> str:
    """``first@3f2c9a`` for ``runs/first/model``: the run's name and the beginning of its configuration's digest, where it is known."""
    whole = folder.resolve()
    run = json.loads((folder / "fewtag.json").read_text("utf-8")).get("run")
    name = whole.parent.name if whole.name == "model" else whole.name
    return f"{name}@{run[:6]}" if isinstance(run, str) else name
