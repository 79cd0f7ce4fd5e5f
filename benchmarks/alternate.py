"""Run several things in turn, A B A B, and compare them round by round: against noise only ratios and medians stand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timed:
    """What a side says of its own time, where not all it did is to be counted.

    Args:
        cpu, wall: seconds.
    """

    cpu: float
    wall: float


def clock() -> Timed:
    """Now, in CPU seconds of this process and its threads, and in seconds."""
    return Timed(time.process_time(), time.perf_counter())


def since(begun: Timed) -> Timed:
    """What has passed since a `clock`."""
    now = clock()
    return Timed(now.cpu - begun.cpu, now.wall - begun.wall)


def alternate(sides: Mapping[str, Callable[[], Timed | None]], rounds: int, base: str) -> dict[str, Any]:
    """Time each side ``rounds`` times, in turn, after one turn that is not counted.

    Args:
        sides: name -> does a fixed amount of work; may return its own time, otherwise the whole call counts.
        rounds: turns counted.
        base: the side that the others are compared with.

    Returns:
        Per side the median seconds, and the median, least and greatest of base / side over the rounds: how many times faster.
    """
    times: dict[str, list[Timed]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, work in sides.items():
            begun = clock()
            own = work() or since(begun)
            if turn:
                times[name].append(own)
    result = {}
    for name, own_times in times.items():
        row: dict[str, Any] = {"rounds": rounds}
        for kind in ("cpu", "wall"):
            values = [getattr(each, kind) for each in own_times]
            ratios = [getattr(b, kind) / v for b, v in zip(times[base], values, strict=True)]
            row[kind] = statistics.median(values)
            row[f"{kind}_ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        result[name] = row
    return result
