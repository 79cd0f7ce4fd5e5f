"""An encoder alone on disk: a folder that transformers opens, and that ``--encoder`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fewtag.encoders.encoder import Encoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import ConfigError, SetupError
from fewtag.tagger.folder import replaced


def save_encoder(encoder: Encoder, folder: Path, *, card: str) -> None:
    """Write an encoder folder, whole or not at all; one that is there is replaced.

    Args:
        encoder: of Hugging Face.
        folder: the target.
        card: its README.

    Raises:
        ConfigError: for an encoder of another kind.
        SetupError: when transformers has another idea of its weights.
    """
    if not isinstance(encoder, HuggingFaceEncoder):
        raise ConfigError(f"the encoder {encoder.kind} is built in and has no folder of its own")
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(**encoder.config.to_dict())
    config.dtype = torch.float32
    model: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    missing, unexpected = model.load_state_dict(encoder.hugging_face_state(), strict=False)
    strange = [name for name in (*missing, *unexpected) if "pooler" not in name]  # no tagger has a use for that
    if strange:
        raise SetupError(f"{config.model_type} cannot be saved as an encoder: {strange[:3]}")
    with replaced(folder) as writing:
        encoder.save_files(writing)
        model.save_pretrained(writing)
        (writing / "README.md").write_text(card, "utf-8")
