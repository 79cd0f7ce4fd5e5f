"""Checkpoints: a nested dict of tensors and plain values in a folder, written so that a kill at any moment leaves a whole one behind.

A checkpoint is two files, ``state.safetensors`` and ``state.json``, in a folder that gets its name only after both are on disk.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fewtag.errors import DataError
from fewtag.tagger.folder import replaced

logger = logging.getLogger("fewtag")
_SEPARATOR = "\x1f"  # occurs in no name
_PREFIX = "step-"


def flatten(state: dict[str, Any], path: tuple[str, ...] = ()) -> tuple[dict[str, Tensor], Any]:
    """Split a nested dict into its tensors by path and the same nesting with the tensors left out."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            tensors[_SEPARATOR.join((*path, name))] = value.detach().cpu().contiguous().clone()
        elif isinstance(value, dict):
            inner, plain[name] = flatten(value, (*path, name))
            tensors.update(inner)
        else:
            plain[name] = value
    return tensors, plain


def unflatten(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    state: dict[str, Any] = json.loads(json.dumps(plain))
    for path, tensor in tensors.items():
        *parents, name = path.split(_SEPARATOR)
        place = state
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = tensor
    return state


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie.
        keep: how many of the newest to keep.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint and drop the oldest beyond ``keep``.

        Args:
            step: names the folder; a greater step is newer.
            state: nested dict with string keys; leaves are tensors or JSON values.
        """
        for leftover in self.folder.glob(f".{_PREFIX}*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        target = self.folder / f"{_PREFIX}{step:09d}"
        tensors, plain = flatten(state)
        with replaced(target) as writing:
            save_file(tensors, writing / "state.safetensors")
            (writing / "state.json").write_text(json.dumps(plain), encoding="utf-8")
        for old in self.paths()[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def paths(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(self.folder.glob(f"{_PREFIX}*"))

    def latest(self) -> dict[str, Any] | None:
        """The newest checkpoint's state, or None when there is none.

        Raises:
            DataError: when checkpoints exist but the newest is damaged; names it, so that the user may delete it and use the one before.
        """
        paths = self.paths()
        if not paths:
            return None
        path = paths[-1]
        try:
            plain = json.loads((path / "state.json").read_text(encoding="utf-8"))
            return unflatten(load_file(path / "state.safetensors"), plain)
        except Exception as error:
            before = f" Delete that folder to resume from {paths[-2].name}." if len(paths) > 1 else ""
            raise DataError(f"{path}: the checkpoint cannot be read ({type(error).__name__}: {error}).{before}") from error

    def clear(self) -> None:
        """Remove every checkpoint of a finished run."""
        shutil.rmtree(self.folder, ignore_errors=True)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether two states are equal to the bit."""
    (a, plain_a), (b, plain_b) = flatten(left), flatten(right)
    return json.dumps(plain_a) == json.dumps(plain_b) and a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
