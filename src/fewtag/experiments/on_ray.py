"""Cells on a Ray cluster. Its machines must see the data and the run folders under the same paths."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fewtag.errors import missing_extra
from fewtag.experiments.cell import Event, Runner, Task


class OnRay:
    """Ray tasks of one core each, on the cluster that ``RAY_ADDRESS`` names or, without it, on a local one made for the occasion.

    Args:
        jobs: how many at a time, at most.

    Raises:
        SetupError: when Ray is not installed.
    """

    def __init__(self, jobs: int) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise missing_extra("ray", "ray") from None
        self._ray: Any = ray
        self._jobs = jobs

    def run(self, tasks: Sequence[Task], interrupted: Callable[[], bool]) -> Iterator[Event]:
        """See `fewtag.experiments.engines.Engine`. A stop ends what runs at once; it goes on from its last checkpoint."""
        ray, waiting, running = self._ray, deque(tasks), dict[Any, Task]()
        began = not ray.is_initialized()
        if began:
            where: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": self._jobs}
            ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False, **where)
        # Ray's own retries begin after a machine is lost; the cell then resumes.
        remote = ray.remote(num_cpus=1, max_retries=2)(_run)
        try:
            while waiting or running:
                if interrupted():
                    for task in running.values():
                        yield Event(task.name, "stopped", "stopped; it goes on from its last checkpoint")
                    return
                while waiting and len(running) < self._jobs:
                    task = waiting.popleft()
                    running[remote.remote(task)] = task
                    yield Event(task.name, "started")
                ready, _ = ray.wait(list(running), timeout=0.5)
                for reference in ready:
                    yield self._outcome(reference, running.pop(reference))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if began:
                ray.shutdown()

    def _outcome(self, reference: Any, task: Task) -> Event:
        try:
            return Event(**self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return Event(task.name, "failed", f"Ray: {lines[0]}", str(error))


def _run(task: Task) -> dict[str, str]:
    """Run a cell on a machine of the cluster; its last event as plain values."""
    from dataclasses import asdict

    from fewtag.tagger.allocator import keep_pages

    keep_pages()
    events: list[Event] = []
    Runner().run(task, events.append, lambda: False)
    return asdict(events[-1])
