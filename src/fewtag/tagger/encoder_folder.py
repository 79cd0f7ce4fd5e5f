"""An encoder alone on disk: a folder that transformers opens, and that ``--encoder`` takes."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fewtag.encoders.compact import CompactEncoder
from fewtag.encoders.encoder import Encoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import ConfigError
from fewtag.tagger.folder import in_transformers, replaced

_PARTS = (".json", ".safetensors", ".bin", ".txt", ".model")  # weights, configuration and tokenizer; not the card


def weights_of(encoder: str) -> dict[str, str]:
    """What tells an encoder folder from another of its name: file -> SHA-256; nothing for the built-in one and for names of the hub.

    Args:
        encoder: as a configuration names it.
    """
    folder = Path(encoder)
    if encoder == CompactEncoder.kind or not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.suffix in _PARTS and path.is_file())
    return {path.name: _digest(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files}


@cache
def _digest(path: Path, changed: int, size: int) -> str:
    """Read once for every change of the file: a grid asks for each of its runs."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
