"""Where cells run: in this process, in processes of this machine, or on a Ray cluster. Each engine turns tasks into events."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from fewtag.errors import ConfigError, unknown
from fewtag.experiments.cell import Event, Runner, Task

if TYPE_CHECKING:
    from fewtag.data.corpus import Corpus

ATTEMPTS = 3  # of a cell whose process dies under it; a cell that kills its process thrice would do so for ever
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Engine(Protocol):
    """Runs tasks."""

    def run(self, tasks: Sequence[Task], interrupted: Callable[[], bool]) -> Iterator[Event]:
        """Events of every task, the last of each being ``"done"``, ``"failed"`` or ``"stopped"``; none of a task that was never begun.

        Args:
            tasks: in the order in which they should begin.
            interrupted: asked often; True stops what runs after a checkpoint, and begins nothing more.
        """
        ...


class Here:
    """One cell after another in this process: for corpora that lie in no folder.

    Args:
        corpus: to use instead of the folders the configurations name.
    """

    def __init__(self, corpus: Corpus | None = None) -> None:
        self._corpus = corpus

    def run(self, tasks: Sequence[Task], interrupted: Callable[[], bool]) -> Iterator[Event]:
        """See `Engine`; the events of a task come when it has ended."""
        runner = Runner(self._corpus)
        for task in tasks:
            if interrupted():
                return
            events: list[Event] = []
            runner.run(task, events.append, interrupted)
            yield from events


class Processes:
    """Fresh interpreters on this machine, one thread each. They die with this process, and a cell whose process dies is tried again.

    Args:
        jobs: how many.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def run(self, tasks: Sequence[Task], interrupted: Callable[[], bool]) -> Iterator[Event]:
        """See `Engine`."""
        waiting, attempts = deque(tasks), dict.fromkeys((task.name for task in tasks), 0)
        events: queue.SimpleQueue[tuple[_Process, Event | None]] = queue.SimpleQueue()
        running: set[_Process] = set()
        stopping = False
        try:
            while len(running) < min(self._jobs, len(waiting)):
                running.add(_Process(events))
            for process in running:
                process.give(waiting.popleft())
            while running:
                if interrupted() and not stopping:
                    stopping = True
                    waiting.clear()
                    for process in running:
                        process.stop()
                try:
                    process, event = events.get(timeout=0.2)
                except queue.Empty:
                    continue
                if event is None:  # it has ended by itself
                    running.discard(process)
                    if process.task is not None:
                        attempts[process.task.name] += 1
                        again = attempts[process.task.name] < ATTEMPTS and not stopping
                        kind = "stopped" if stopping else "lost" if again else "failed"
                        yield Event(process.task.name, kind, f"its process {process.end()}", process.said())
                        if again:
                            waiting.appendleft(process.task)
                    process.close()
                    if waiting:
                        running.add(fresh := _Process(events))
                        fresh.give(waiting.popleft())
                    continue
                if event.kind in ("done", "failed", "stopped"):
                    process.task = None
                    if waiting:
                        process.give(waiting.popleft())
                    else:
                        running.discard(process)
                        process.close()
                yield event
        finally:
            for process in running:
                process.close()


class _Process:
    """A worker and the task it is at."""

    def __init__(self, events: queue.SimpleQueue[tuple[_Process, Event | None]]) -> None:
        self.task: Task | None = None
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fewtag.experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "OMP_WAIT_POLICY": "PASSIVE"},
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    def _listen(self, events: queue.SimpleQueue[tuple[_Process, Event | None]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                event = Event(**json.loads(line))
            except ValueError:  # half a line: it was killed while it wrote
                break
            events.put((self, event))
        events.put((self, None))

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died; the listener says so
            # In ASCII: the process reads its input in the encoding of the locale, whatever that is.
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def give(self, task: Task) -> None:
        """Let it run a task."""
        self.task = task
        self._send(task.to_json())

    def stop(self) -> None:
        """Let it write a checkpoint and stop."""
        self._send({"stop": True})

    def end(self) -> str:
        """In words, how it ended."""
        code = self._process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (" (perhaps the machine ran out of memory)" if name == "SIGKILL" else "")

    def said(self) -> str:
        """The last it printed to standard error."""
        self._errors.seek(0)
        return self._errors.read()[-4000:]

    def close(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # what it never read
                stream.close()
        self._errors.close()


def engine_of(name: str, jobs: int) -> Engine:
    """An engine by name.

    Args:
        name: ``"processes"`` or ``"ray"``.
        jobs: cells at a time; on a cluster, at most.

    Raises:
        ConfigError: for another name, or no jobs.
        SetupError: when Ray is not installed.
    """
    if jobs < 1:
        raise ConfigError(f"jobs must be 1 or more, not {jobs}")
    if name == "processes":
        return Processes(jobs)
    if name == "ray":
        from fewtag.experiments.on_ray import OnRay

        return OnRay(jobs)
    raise ConfigError(unknown("engine", name, ("processes", "ray")))
