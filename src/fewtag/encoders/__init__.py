"""Encoders by kind. A new one is a file here and a line in this table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.encoders.encoder import Encoder, Inputs, Subwords
from fewtag.encoders.hugging_face import HuggingFaceEncoder

__all__ = ["ENCODERS", "CompactEncoder", "Encoder", "HuggingFaceEncoder", "Inputs", "Subwords", "build_encoder"]


def _compact(name: str, max_length: int | None) -> Encoder:
    return CompactEncoder(CompactConfig(**({} if max_length is None else {"max_positions": max_length})))


ENCODERS: dict[str, Callable[[str, int | None], Encoder]] = {
    "compact": _compact,
    "hugging_face": HuggingFaceEncoder.pretrained,
}


def build_encoder(name: str | Path, *, max_length: int | None = None) -> Encoder:
    """An encoder ready to train.

    Args:
        name: ``"compact"``, a folder with a Hugging Face encoder, or the name of one (from the local cache or the hub).
        max_length: positions a window may hold, specials counted; None: what the encoder takes.

    Raises:
        SetupError: when it cannot be had on this machine.
    """
    kind = "compact" if str(name) == "compact" else "hugging_face"
    return ENCODERS[kind](str(name), max_length)
