"""Killed while a checkpoint is being written, at every call to the system that writing makes: the one before is the latest, whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fewtag.training.checkpoint import Checkpoints

# Each child writes one checkpoint, and a second that it does not survive: the n-th call of that kind is its last.
_WRITER = """
import os, signal, sys
from pathlib import Path
import torch
from fewtag.tagger import folder as folders
from fewtag.training import checkpoint

root = Path(sys.argv[1])

def killed_at(module, name, count):
    real, left = getattr(module, name), [count]
    def once_more(*given, **named):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    setattr(module, name, once_more)

def state(step):
    return {"step": step, "weights": {"w": torch.full((100,), float(step))}}

PLACES = {
    "mkdir-1": (Path, "mkdir", 2),
    "tensors-1": (checkpoint, "save_file", 1),
    "words-1": (Path, "write_text", 1),
    **{f"sync-{n}": (os, "fsync", n) for n in (1, 2, 3, 4)},
    "rename-1": (os, "rename", 1),
}
for name, place in PLACES.items():
    child = os.fork()
    if not child:
        checkpoints = checkpoint.Checkpoints(root / name)
        checkpoints.save(1, state(1))
        killed_at(*place)
        checkpoints.save(2, state(2))
        os._exit(0)
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_the_checkpoint_before_is_whole_wherever_writing_was_killed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _WRITER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended = dict(line.split() for line in done.stdout.splitlines())
    assert len(ended) == 8 and set(ended.values()) == {"-9"}, ended
    for name in ended:
        checkpoints = Checkpoints(tmp_path / name)
        found = checkpoints.latest()
        assert found is not None
        # Only the last call, on the folder that holds it, comes after the new one has its name.
        wanted = 2 if name == "sync-4" else 1
        assert found["step"] == wanted and bool((found["weights"]["w"] == wanted).all()), name
        checkpoints.save(3, found)
        assert [path.name for path in (tmp_path / name).iterdir() if path.name.startswith(".")] == []


def test_nothing_has_its_name_before_it_is_on_disk(tmp_path: Path) -> None:
    """The order of the calls: both files and their folder are synced, then renamed, then the folder above is synced."""
    order = """
import os, sys
from pathlib import Path
import torch
from fewtag.training.checkpoint import Checkpoints

calls, names = [], {}
real_open, real_sync, real_rename = os.open, os.fsync, os.rename
def opened(path, *rest, **more):
    number = real_open(path, *rest, **more)
    names[number] = Path(path).name
    return number
def sync(number):
    calls.append("sync " + names[number])
    real_sync(number)
def rename(a, b):
    calls.append("rename")
    real_rename(a, b)
os.open, os.fsync, os.rename = opened, sync, rename
Checkpoints(Path(sys.argv[1]) / "c").save(1, {"w": torch.ones(3), "n": 1})
print(*calls, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", order, str(tmp_path)], capture_output=True, text=True, check=True)
    calls = done.stdout.splitlines()
    assert sorted(calls[:2]) == ["sync state.json", "sync state.safetensors"]
    assert calls[2].startswith("sync .step-000000001.") and calls[3:] == ["rename", "sync c"]
