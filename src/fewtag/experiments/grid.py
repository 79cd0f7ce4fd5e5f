"""Run every cell of a grid once: finished ones are reused, broken ones go on from their checkpoint, failed ones are told at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewtag.data.corpus import Corpus
from fewtag.data.files import write_text
from fewtag.errors import ConfigError
from fewtag.experiments.cell import Event, Task, locked, read_of_cell
from fewtag.experiments.engines import Engine
from fewtag.experiments.plan import Cell
from fewtag.tagger.encoder_folder import weights_of
from fewtag.training.drive import Interrupted
from fewtag.training.folder import RunFolder, differ


@dataclass
class Board:
    """How a grid stands.

    Args:
        total: runs, each counted once however many tables it stands in.
        reused: of these, finished by an earlier call.
        done: finished by this call.
        running: name of the cell -> where it stands.
        failed: name of the cell -> why.
        words: name of the cell -> the cell in words.
        last: what has just happened; None before anything has.
    """

    total: int
    reused: int = 0
    done: int = 0
    running: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    last: Event | None = None

    @property
    def finished(self) -> int:
        """Runs that need nothing more."""
        return self.reused + self.done

    def take(self, event: Event) -> None:
        """Follow an event."""
        self.last = event
        if event.kind in ("started", "progress"):
            self.running[event.cell] = event.text
            return
        self.running.pop(event.cell, None)
        if event.kind == "done":
            self.done += 1
        elif event.kind == "failed":
            self.failed[event.cell] = event.text


Watch = Callable[[Board], None]


def run_grid(
    cells: Sequence[Cell],
    out: Path,
    engine: Engine,
    corpora: Mapping[str, Corpus],
    *,
    watch: Watch = lambda board: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """Bring every cell to its end.

    Args:
        cells: of `fewtag.experiments.plan.plan`.
        out: run folders go to ``out/cells``.
        engine: where they run.
        corpora: by name; a finished cell is reused only when it was run on the same files.
        watch: is shown the board after every event.
        interrupted: asked often; True stops after a checkpoint of what runs.

    Returns:
        Name of each failed cell -> why.

    Raises:
        ConfigError: when ``out`` holds cells of other data, or another grid is at work in it.
        Interrupted: after ``interrupted`` said so; nothing finished is lost.
    """
    runs = {cell.name: cell for cell in cells}
    (out / "cells").mkdir(parents=True, exist_ok=True)
    board = Board(len(runs), words={name: cell.words for name, cell in runs.items()})
    with locked(out / "cells", patience=0):
        todo = []
        for name, cell in runs.items():
            folder = RunFolder(out / "cells" / name)
            if folder.is_begun():
                _check_files(folder, cell, corpora[cell.corpus])
            if folder.is_finished():
                board.reused += 1
            else:
                todo.append(Task(name, str(folder.path.resolve()), _values(cell)))
        watch(board)
        for event in engine.run(todo, interrupted):
            board.take(event)
            _keep_details(out, event)
            watch(board)
    if interrupted() and board.finished + len(board.failed) < board.total:
        raise Interrupted(f"stopped; {board.finished} of {board.total} runs are finished, the others go on from their checkpoints")
    return board.failed


def discard(cells: Sequence[Cell], out: Path) -> None:
    """Remove what earlier calls left of these runs, so that each is begun anew, and gone on with from then.

    Args:
        cells: of the grid.
        out: its folder.

    Raises:
        ConfigError: when another grid is at work in ``out``, or a folder holds what no run of fewtag wrote.
    """
    (out / "cells").mkdir(parents=True, exist_ok=True)
    with locked(out / "cells", patience=0):
        for name in dict.fromkeys(cell.name for cell in cells):
            RunFolder(out / "cells" / name).clear()


def _values(cell: Cell) -> dict[str, Any]:
    """What was set, and no default: a row's own settings hold where the user has set nothing."""
    return cell.config.model_dump(mode="json", exclude_unset=True)


def _check_files(folder: RunFolder, cell: Cell, corpus: Corpus) -> None:
    """Refuse to mix runs on different data, or on other weights of one encoder; where the data folder lies does not matter."""
    before = read_of_cell(folder.path, "data.json")
    own = cell.config.data.languages or corpus.languages
    recorded, now = (
        {name: digest for name, digest in files.items() if name.split("/")[0] in own} for files in (before.get("files", {}), corpus.files)
    )
    if recorded != now:
        what = f"other files than those of {corpus.name}"
    elif differ(before.get("encoder"), weights_of(cell.config.tagger.encoder)):
        what = f"other weights than those of {cell.encoder}"
    else:
        return
    raise ConfigError(f"{folder.path} is a run on {what} now; use another -o, or --force to run everything again")


def _keep_details(out: Path, event: Event) -> None:
    """The traceback of a fault, for whoever is to mend it."""
    path = out / "faults" / f"{event.cell}.txt"
    if event.details:
        write_text(path, event.details)
    elif event.kind == "done":
        path.unlink(missing_ok=True)
