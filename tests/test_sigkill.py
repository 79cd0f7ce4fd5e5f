"""SIGKILL in every stage of every method: what is resumed ends where an undisturbed run ends, to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fewtag.methods import METHODS
from fewtag.training.checkpoint import same
from fewtag.training.journal import read_events
from test_training import events_of, weights_of, write_data

SETTINGS = [
    *("train.max_steps=30", "train.semi_supervised_steps=30", "train.finetune_steps=30", "train.evaluate_every=5", "train.patience=99"),
    *("evaluation.bootstrap=0", "train.checkpoint_seconds=0", "train.seed=3"),
]
CASES = {
    **{name: [f"method.name={name}"] for name in METHODS if name != "supervised-single"},
    "pretrained-ensemble": ["method.name=pretrained-ensemble", "pretraining.steps=20"],
    "metats, fresh and averaged": ["method.name=metats", "method.folds=2", "train.average=0.9", "method.blend=true"],
    "metats, per token": ["method.name=metats", "method.feedback.kind=token", "method.confidence.kind=soft", "method.heard=4"],
    "metats, pre-trained": ["method.name=metats", "pretraining.steps=20", "method.labels=sample", "method.supervised=mixed"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def start(data: Path, folder: Path, settings: list[str]) -> subprocess.Popen[bytes]:
    begun = (folder / "data.json").exists()
    given = [part for pair in (*SETTINGS, *settings) for part in ("--set", pair)]
    words = ["--resume"] if begun else [str(data), *given, "--force"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "fewtag", "train", "-o", str(folder), "-q", *words], env=environment, stderr=subprocess.PIPE
    )


def stages_of(folder: Path) -> list[str]:
    """Of the journal, in order, each once."""
    events = read_events(folder / "events.jsonl") if (folder / "events.jsonl").exists() else []
    return list(dict.fromkeys(each["stage"] for each in events if "stage" in each))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_killed_in_every_stage(name: str, data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = start(data, whole, CASES[name])
    _, errors = undisturbed.communicate()
    assert undisturbed.returncode == 0, errors.decode()
    stages, hit = stages_of(whole), []
    for stage in stages:
        process = start(data, killed, CASES[name])
        while stage not in stages_of(killed) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        hit.append(stages_of(killed)[-1])
    assert hit == stages and not (killed / "metrics.json").exists(), f"killed in {hit}, and the stages are {stages}"
    last = start(data, killed, CASES[name])
    _, errors = last.communicate()
    assert last.returncode == 0, errors.decode()
    assert same(weights_of(whole), weights_of(killed))
    told = ([each for each in events_of(place) if each["event"] != "begin"] for place in (whole, killed))
    first, second = told
    assert first == second


def test_every_method_is_among_them() -> None:
    assert {name.split(",")[0] for name in CASES} == set(METHODS) - {
        "supervised-single"
    }  # that one is a run of supervised-multi a language
