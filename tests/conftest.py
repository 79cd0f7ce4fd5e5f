"""What holds for every test: offline, one thread, the same examples each time, nothing taken from the user's environment."""

from __future__ import annotations

import os

# Before anything imports torch or a Hugging Face package: both read these once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["NO_COLOR"] = "1"
for _name in [name for name in os.environ if name.startswith("FEWTAG_") or name in ("FORCE_COLOR", "GITHUB_ACTIONS")]:
    del os.environ[_name]

import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fewtag",
    derandomize=True,  # a failure today is a failure tomorrow
    deadline=None,  # the machines differ
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fewtag")

if find_spec("torch"):
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}; tests run offline")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


_TRAIN = {
    "en": "red B-color\nshoes B-thing\n\nbig O\nblue B-color\nrain B-thing\ncoat I-thing\n",
    "no": "rød B-color\njakke B-thing\n\nen O\nblå B-color\nbukse B-thing\n",
    "zh": "红 B-color\n鞋 B-thing\n\n蓝 B-color\n雨 B-thing\n衣 I-thing\n",
}


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """A data folder of three languages (one is Norwegian, whose code YAML reads as False), two sentences a split, and raw text."""
    folder = tmp_path / "data"
    for language, text in _TRAIN.items():
        (folder / language).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (folder / language / f"{split}.conll").write_text(text, encoding="utf-8")
        raw = "".join(line.split()[0] + " " if line else "\n" for line in text.splitlines())
        (folder / language / "unlabeled.txt").write_text(raw.strip() + "\n", encoding="utf-8")
    return folder
