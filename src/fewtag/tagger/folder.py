"""A tagger on disk: safetensors and JSON, no pickle. With a Hugging Face encoder the folder is also one for plain transformers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import ConfigError, SetupError
from fewtag.tagger.precision import Precision, use_bf16
from fewtag.tagger.tagger import Tagger
from fewtag.text.tags import TagSet

FORMAT_VERSION = 1
_ABOUT = "fewtag.json"


def save(tagger: Tagger, folder: Path, *, card: str, extra: dict[str, Any] | None = None, force: bool = False) -> None:
    """Write a tagger folder, whole or not at all.

    Args:
        tagger: what to save.
        folder: the target.
        card: its README.
        extra: more values for ``fewtag.json``.
        force: replace a folder that is there.

    Raises:
        ConfigError: when something is there and ``force`` is False.
    """
    if folder.exists() and not force:
        raise ConfigError(f"{folder} exists; choose another folder or replace it with --force")
    with replaced(folder) as writing:
        _write(tagger, writing, card, extra)


def sync(path: Path) -> None:
    """Force a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``folder``, whole, at the end; after an error all is as it was."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    writing = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir()
    try:
        yield writing
    except SafetensorError as error:  # so its writer puts a full disk
        shutil.rmtree(writing, ignore_errors=True)
        raise OSError(f"{folder}: {error}") from None
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    readable = writing.stat().st_mode & 0o666  # safetensors writes for the owner alone; whoever may read the rest may read the weights
    for path in filter(Path.is_file, writing.iterdir()):
        path.chmod(readable)
    for path in (*writing.iterdir(), writing):
        sync(path)
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        os.rename(folder, old)
        os.rename(writing, folder)
        shutil.rmtree(old)
    else:
        os.rename(writing, folder)
    sync(folder.parent)


def _write(tagger: Tagger, writing: Path, card: str, extra: dict[str, Any] | None) -> None:
    encoder = tagger.encoder
    description = encoder.save_files(writing)
    if isinstance(encoder, HuggingFaceEncoder):
        _save_hugging_face(tagger, encoder, writing)
    else:
        weights = {name: value.detach().cpu().contiguous() for name, value in tagger.state_dict().items()}
        save_file(weights, writing / "model.safetensors")
        (writing / "config.json").write_text(json.dumps({"model_type": f"fewtag-{encoder.kind}", **description}, indent=2), "utf-8")
    about = {
        "format": FORMAT_VERSION,
        "encoder": {"kind": encoder.kind, **description},
        "tags": list(tagger.tag_set.tags),
        "languages": list(tagger.languages),
        "decoding": tagger.decoding,
        "dropout": tagger.dropout,
        **(extra or {}),
    }
    (writing / _ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (writing / "README.md").write_text(card, "utf-8")


def _save_hugging_face(tagger: Tagger, encoder: HuggingFaceEncoder, folder: Path) -> None:
    from transformers import AutoModelForTokenClassification

    labels = {"id2label": dict(enumerate(tagger.tag_set.tags)), "label2id": dict(tagger.tag_set.id_of), "num_labels": len(tagger.tag_set)}
    model = in_transformers(encoder, AutoModelForTokenClassification, "for token classification", **labels)
    model.classifier.load_state_dict(tagger.head.state_dict())
    kept = {name: value for name, value in model.state_dict().items() if name.startswith((f"{model.base_model_prefix}.", "classifier."))}
    model.save_pretrained(folder, state_dict=kept)  # a layer between the two (ModernBERT) is none of ours: transformers must say it is new


def in_transformers(encoder: HuggingFaceEncoder, kind: Any, purpose: str, **values: Any) -> Any:
    """A model of transformers that holds the encoder's weights, without a pooler.

    Args:
        encoder: whose.
        kind: an auto class.
        purpose: for the error: what it is saved for.
        values: of the model's configuration.

    Raises:
        SetupError: when transformers has another idea of its weights.
    """
    from transformers import AutoConfig

    config = AutoConfig.for_model(**encoder.config.to_dict())
    for name, value in {**values, "dtype": torch.float32}.items():
        setattr(config, name, value)
    model: Any = kind.from_config(config)
    if getattr(model.base_model, "pooler", None) is not None:
        model.base_model.pooler = None  # the encoder has none, and a fresh one would be saved as if it had been trained
    missing, unexpected = model.base_model.load_state_dict(encoder.hugging_face_state(), strict=False)
    if missing or [name for name in unexpected if "pooler" not in name]:
        raise SetupError(f"{config.model_type} cannot be saved {purpose}: {[*missing, *unexpected][:3]}")
    return model


def load(folder: Path | str, *, device: str = "cpu", precision: Precision | None = "fp32") -> Tagger:
    """Read a tagger folder; never asks the network.

    Args:
        folder: what `save` wrote.
        device: where to put the weights.
        precision: of the encoder's matrix products; None: as the run was configured that made it.

    Raises:
        SetupError: when the folder is missing, incomplete, damaged or newer than this version of fewtag.
    """
    folder = Path(folder)
    about = _about(folder)
    tag_set = TagSet.from_tags(about["tags"])
    if list(tag_set.tags) != about["tags"]:
        raise SetupError(f"{folder / _ABOUT}: the tags are not in the order O, B-a, I-a, B-b ...; the folder was changed by hand")
    kind = about["encoder"]["kind"]
    if kind == "compact":
        tagger = _load_compact(folder, about, tag_set)
    elif kind == "hugging_face":
        tagger = _load_hugging_face(folder, about, tag_set)
    else:
        raise SetupError(f"{folder / _ABOUT}: encoder kind {kind!r} is unknown; this folder needs a newer fewtag")
    wanted = precision or about.get("precision", "auto")
    tagger.encoder.bf16 = use_bf16(wanted, torch.device(device), tagger.encoder)
    return tagger.to(device).eval()


def _about(folder: Path) -> dict[str, Any]:
    path = folder / _ABOUT
    if not folder.is_dir():
        raise SetupError(f"{folder}: no such folder")
    if not path.exists():
        inner = [p for p in (folder / "model", *sorted(folder.glob("languages/*/model"))) if (p / _ABOUT).exists()]
        hint = f"; did you mean {inner[0]}?" if inner else ""
        raise SetupError(f"{folder} is not a tagger folder: {_ABOUT} is missing{hint}")
    try:
        about: dict[str, Any] = json.loads(path.read_text("utf-8"))
        version = int(about["format"])
        _ = about["tags"], about["encoder"]["kind"], about["decoding"], about["languages"]
    except (ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{path} is damaged: {type(error).__name__}: {error}") from None
    if version > FORMAT_VERSION:
        raise SetupError(f"{path}: format {version} is newer than this fewtag knows ({FORMAT_VERSION}); upgrade fewtag")
    return about


def _new_tagger(encoder: CompactEncoder | HuggingFaceEncoder, about: dict[str, Any], tag_set: TagSet) -> Tagger:
    return Tagger(encoder, tag_set, languages=about["languages"], decoding=about["decoding"], dropout=about.get("dropout", 0.1))


def _load_compact(folder: Path, about: dict[str, Any], tag_set: TagSet) -> Tagger:
    shape = {name: value for name, value in about["encoder"].items() if name != "kind"}
    try:
        tagger = _new_tagger(CompactEncoder(CompactConfig(**shape)), about, tag_set)
        tagger.load_state_dict(load_file(folder / "model.safetensors"))
    except FileNotFoundError:
        raise SetupError(f"{folder}: model.safetensors is missing") from None
    except (SafetensorError, RuntimeError, ValueError, OSError) as error:
        raise SetupError(f"{folder}: the weights are damaged or do not fit: {str(error).splitlines()[0]}") from None
    return tagger


def _load_hugging_face(folder: Path, about: dict[str, Any], tag_set: TagSet) -> Tagger:
    try:
        encoder = HuggingFaceEncoder.pretrained(str(folder), about["encoder"]["max_length"])
        tagger = _new_tagger(encoder, about, tag_set)
        with safe_open(folder / "model.safetensors", "pt") as file:
            tagger.head.load_state_dict({name: file.get_tensor(f"classifier.{name}") for name in ("weight", "bias")})
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise SetupError(f"{folder}: the encoder cannot be loaded: {str(error).splitlines()[0]}") from None
    return tagger
