"""An encoder alone on disk: a folder that transformers opens, and that ``--encoder`` takes."""

from __future__ import annotations

from pathlib import Path

from fewtag.encoders.encoder import Encoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import ConfigError
from fewtag.tagger.folder import in_transformers, replaced


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
    from transformers import AutoModel

    model = in_transformers(encoder, AutoModel, "as an encoder")
    with replaced(folder) as writing:
        encoder.save_files(writing)
        model.save_pretrained(writing)
        (writing / "README.md").write_text(card, "utf-8")
