"""What a finished run gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fewtag.data.files import read_json
from fewtag.errors import DataError
from fewtag.evaluation import Report
from fewtag.training.folder import RunFolder


@dataclass(frozen=True)
class RunResult:
    """What a finished run gives.

    Args:
        folder: the run folder.
        method: its row's name.
        dev, test: scores; ``test`` is None when the corpus has no test split.
        seconds: of training, all interruptions left out.
        steps: gradient steps of all stages.
        passes: encoder passes of these steps; a forward counts 1, a backward 2, for each batch of sentences.
        digest: of the configuration.
        notes: what was decided for the user, said aloud.
    """

    folder: Path
    method: str
    dev: Report
    test: Report | None
    seconds: float
    steps: int
    passes: int
    digest: str
    notes: tuple[str, ...] = field(default=())

    @property
    def model(self) -> Path:
        """The tagger folder."""
        return self.folder / "model"


def finished_result(folder: RunFolder) -> RunResult:
    """What a finished run left.

    Raises:
        DataError: when an earlier version wrote it, without what a result now holds.
    """
    found = read_json(folder.metrics)
    if "passes" not in found:
        raise DataError(f"{folder.metrics} was written by an earlier fewtag, which counted no encoder passes; run it again with --force")
    test = Report.from_json(found["test"]) if "test" in found else None
    return RunResult(
        folder.path,
        found["method"],
        Report.from_json(found["dev"]),
        test,
        found["seconds"],
        found["steps"],
        found["passes"],
        found["digest"],
        tuple(found["notes"]),
    )
