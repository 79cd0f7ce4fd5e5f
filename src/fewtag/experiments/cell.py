"""One cell of a grid, run to its end wherever it is asked for: begun, resumed, or found finished."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtag.data.files import read_json
from fewtag.errors import INTERRUPTED, DataError, FewtagError

if TYPE_CHECKING:
    from fewtag.data.corpus import Corpus

_LOCK_SECONDS = 60.0  # what a process whose parent has died may take to go


@dataclass(frozen=True, slots=True)
class Task:
    """A cell on its way to the process that runs it.

    Args:
        name: of the run folder.
        folder: the run folder.
        config: of the run, as plain values.
    """

    name: str
    folder: str
    config: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a cell.

    Args:
        cell: its name.
        kind: ``"started"``, ``"progress"``, ``"done"``, ``"failed"``, ``"stopped"`` (a checkpoint is written), or ``"lost"`` (its process
            has died; it will be tried again).
        text: where it stands, or the reason.
        details: the whole traceback of a fault.
    """

    cell: str
    kind: str
    text: str = ""
    details: str = ""


Tell = Callable[[Event], None]


class Runner:
    """Runs cells one after another in this process and keeps the corpus of the last one.

    Args:
        corpus: to use instead of the folder a configuration names.
    """

    def __init__(self, corpus: Corpus | None = None) -> None:
        self._given = corpus
        self._loaded: tuple[Any, Corpus] | None = None

    def run(self, task: Task, tell: Tell, interrupted: Callable[[], bool]) -> None:
        """Run a cell; what happens, errors included, is told as events.

        Args:
            task: what to run.
            tell: is given the events.
            interrupted: asked after every step.
        """
        tell(Event(task.name, "started"))
        try:
            with locked(Path(task.folder)):
                self._run(task, tell, interrupted)
        except FewtagError as error:
            tell(Event(task.name, "stopped" if error.exit_code == INTERRUPTED else "failed", str(error)))
        except Exception as error:
            tell(Event(task.name, "failed", f"{type(error).__name__}: {error}", traceback.format_exc()))
        else:
            tell(Event(task.name, "done"))

    def _run(self, task: Task, tell: Tell, interrupted: Callable[[], bool]) -> None:
        from fewtag.config import build
        from fewtag.training.fit import Progress
        from fewtag.training.folder import RunFolder
        from fewtag.training.run import run
        from fewtag.training.run_config import RunConfig

        config = build(RunConfig, task.config, "cell")

        def listen(event: Progress | str) -> None:
            if not isinstance(event, str) and (event.scored is not None or event.stage_done):
                dev = f"  dev F1 {event.best_score:.1f}" if event.best_score is not None else ""
                tell(Event(task.name, "progress", f"{event.stage_index + 1}/{event.num_stages} {event.stage} step {event.step}{dev}"))

        folder = RunFolder(Path(task.folder))
        resume = folder.is_begun()
        run(
            config,
            folder.path,
            corpus=self._corpus(config),
            resume=resume,
            force=not resume,
            listener=listen,
            interrupted=interrupted,
        )

    def _corpus(self, config: Any) -> Corpus:
        from fewtag.data.corpus import Corpus

        if self._given is not None:
            return self._given
        key = (config.data_dir, config.data.languages)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # never two corpora in memory
            self._loaded = key, Corpus.from_dir(config.data_dir, languages=config.data.languages or None, arrays=True)
        return self._loaded[1]


def read_of_cell(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a cell's run folder.

    Args:
        folder: the run folder.
        name: of the file in it.

    Raises:
        DataError: when it is damaged or missing; it says how to have the run made again.
    """
    try:
        return read_json(folder / name)
    except DataError as error:
        raise DataError(f"{error}; remove {folder} to have this run made again") from None


@contextmanager
def locked(folder: Path, patience: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold a folder for this process alone; a process that has just lost its parent may still be on its way out of it.

    Args:
        folder: need not be there yet.
        patience: seconds to wait for another process.

    Raises:
        FewtagError: when another process keeps it.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # no such locks on this system
        yield
        return
    import time

    place = folder.parent / ".locks"
    place.mkdir(parents=True, exist_ok=True)
    with (place / folder.name).open("w") as file:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise FewtagError(f"another process is at work in {folder}; wait for its end, or stop it") from None
                time.sleep(0.1)
        yield
