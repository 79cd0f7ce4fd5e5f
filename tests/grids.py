"""Grids of runs that last a blink: a made corpus on disk, settings that end early, and what must be equal between two ways to run one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fewtag.data.queries import write_corpus

QUICK = {
    "train": {"max_steps": 12, "semi_supervised_steps": 12, "finetune_steps": 6, "evaluate_every": 6, "checkpoint_seconds": 0.3},
    "evaluation": {"bootstrap": 0},
    "data": {"languages": "pt,tr"},
}
WORDS = [word for part, values in QUICK.items() for key, value in values.items() for word in ("--set", f"{part}.{key}={value}")]


def corpus_folder(folder: Path) -> Path:
    """A data folder of twelve languages; the two that `QUICK` takes have some tens of sentences."""
    write_corpus(folder / "shop", scale=0.001)
    return folder / "shop"


def start(*words: object, folder: Path) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "fewtag.cli", *map(str, words)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip


def metrics(out: Path) -> dict[str, dict[str, Any]]:
    """What every finished cell says of itself, times left out: two runs of one cell take different ones."""
    found = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("cells/*/metrics.json"))}
    return {name: {key: value for key, value in each.items() if key != "seconds"} for name, each in found.items()}


def finished(out: Path) -> dict[str, int]:
    """Finished cell -> when its last file was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("cells/*/metrics.json")}


def workers(parent: int) -> list[int]:
    """Processes that a grid's process has started."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    """Until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def killed_and_finished(words: list[object], out: Path, *, kill_worker_at: int, kill_parent_at: int) -> str:
    """Run a grid through the death of a worker, then of the parent, then to its end; what the last call told.

    Args:
        words: of the command line.
        out: its folder.
        kill_worker_at, kill_parent_at: when so many cells are finished.
    """
    first = start(*words, folder=out.parent)
    try:
        wait_for(lambda: len(finished(out)) >= kill_worker_at or first.poll() is not None)
        os.kill(workers(first.pid)[0], signal.SIGKILL)
        wait_for(lambda: len(finished(out)) >= kill_parent_at or first.poll() is not None)
        orphans, before = workers(first.pid), finished(out)
        assert orphans and first.poll() is None, "the grid ended before it could be killed; give it more cells"
    finally:
        first.kill()
        _, said = first.communicate()
    assert "lost, tried again: its process was killed by SIGKILL" in said
    wait_for(lambda: not any(map(is_alive, orphans)), 20)
    done = start(*words, folder=out.parent)
    printed, said = done.communicate(timeout=600)
    assert done.returncode == 0, said
    after = finished(out)
    assert before.items() <= after.items()  # what was finished was not touched again
    assert f"{len(before)} of them finished already" in said or len(finished(out)) > len(before)
    return said + printed
