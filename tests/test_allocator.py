"""The allocator's settings hold in a process of their own, and can be refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_GROW = """
import sys
from fewtag.tagger import allocator
done = getattr(allocator, sys.argv[1])() if sys.argv[1] != "nothing" else None
import numpy as np
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
start, kept = resident(), []
for size in range(300):
    block = np.ones(250_000 + 5_000 * size)  # 2 MB and growing: each is a little too large for the hole before it
    kept.append(np.ones(300))  # small things that stay
    del block
print(done, (resident() - start) // 1_000_000)
print(allocator.give_back(), (resident() - start) // 1_000_000)
"""


def grown(setting: str, **environment: str) -> tuple[str, int, str, int]:
    done = subprocess.run(
        [sys.executable, "-c", _GROW, setting], capture_output=True, text=True, check=True, env={**os.environ, **environment}, timeout=60
    )
    answer, megabytes, given, left = done.stdout.split()
    return answer, int(megabytes), given, int(left)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_returned_pages_keep_memory_flat() -> None:
    answer, megabytes, *given = grown("return_pages")
    if answer == "False":
        pytest.skip("another C library than glibc")
    assert megabytes < 8
    assert given == ["False", megabytes], "nothing was kept"
    _, kept, gave, left = grown("keep_pages")
    assert kept > 10  # what training trades memory for
    assert gave == "True" and left < 0.5 * kept  # until it gives back what nothing lies on


def test_the_user_may_refuse() -> None:
    answer, _, gave, _ = grown("keep_pages", FEWTAG_ALLOCATOR="off")
    assert answer == gave == "False"
