"""How many processor cores this process may use: what the system allows it, and what its container was granted."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

_ROOT = Path("/sys/fs/cgroup")


def granted(root: Path = _ROOT) -> int:
    """Cores to compute on, at least 1.

    More threads than cores do not share them, they wait for each other: a small product can take twenty times as long.

    Args:
        root: where the control groups are mounted.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """Cores of the container's CPU quota; None where there is none."""
    try:
        if (root / "cpu.max").exists():  # version 2: "200000 100000", or "max 100000"
            limit, period = (root / "cpu.max").read_text(encoding="ascii").split()
            return None if limit == "max" else int(limit) / int(period)
        limit = (root / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (root / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def use_granted(encoder_gains: bool = True) -> int:
    """Lower torch's threads to the cores that were granted; fewer, as the user may have set them, stay.

    Args:
        encoder_gains: whether more than one thread pays for the encoder in use.

    Returns:
        Threads from now on.
    """
    number = min(torch.get_num_threads(), granted() if encoder_gains else 1)
    if number != torch.get_num_threads():
        torch.set_num_threads(number)
    return number
