"""A disk that takes no more: said as the system says it, and what was there before stays."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fewtag.tagger.folder import load, save
from fewtag.training.checkpoint import Checkpoints
from test_contract import make_tagger


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """The system refuses to let any file grow further, which the writer of tensors meets as it would a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_tagger_that_does_not_fit_is_an_error_of_the_system_and_leaves_the_old_one(tmp_path: Path) -> None:
    save(make_tagger("old"), tmp_path / "model", card="")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with no_file_above(2000), pytest.raises(OSError, match=r"model: .*os error"):
        save(make_tagger("new"), tmp_path / "model", card="", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    load(tmp_path / "model")


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    small, large = {"step": 1, "weights": {"w": torch.ones(10)}}, {"step": 2, "weights": {"w": torch.ones(10_000)}}
    first = checkpoints.save(1, small)
    with no_file_above(2000), pytest.raises(OSError, match=r"000000002: .*os error"):
        checkpoints.save(2, large)
    assert list(tmp_path.iterdir()) == checkpoints.paths() == [first]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_whoever_may_read_a_tagger_may_read_its_weights(umask: int, mode: int, tmp_path: Path) -> None:
    """The writer of tensors makes files for their owner alone."""
    before = os.umask(umask)
    try:
        save(make_tagger("student"), tmp_path / "model", card="")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == dict.fromkeys(
        ["README.md", "config.json", "fewtag.json", "model.safetensors"], mode
    )
