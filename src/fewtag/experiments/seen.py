"""What a finished run had labels of and what it had as raw text: its sample, drawn again from the data folder and held to its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fewtag.config import build
from fewtag.data.corpus import SPLITS
from fewtag.errors import DataError

if TYPE_CHECKING:
    from fewtag.data.low_resource import LowResource
    from fewtag.experiments.record import Record


def data_folder(record: Record, data_dir: Path | None = None) -> Path:
    """Where a run's data lie: ``data_dir``, or where the run found them."""
    return data_dir or Path(str(record.settings["data"]["dir"]))


def sample_again(record: Record, data_dir: Path | None = None) -> LowResource:
    """The sentences a run saw, with the gold that was hidden from it.

    Args:
        record: of the run.
        data_dir: where the data lie now; None: where the run found them.

    Raises:
        DataError: when the data are gone or changed, or give another sample than the run's.
    """
    from fewtag.training.prepare import sample
    from fewtag.training.run_config import RunConfig

    root = data_folder(record, data_dir)
    config = build(RunConfig, dict(record.settings), str(record.folder / "config.toml"))
    corpus = record.corpus(root, SPLITS, config.data.languages or None, use="trained on", arrays=True)
    corpus.problems.raise_for_errors()
    data = sample(config, corpus)
    # Hashes cannot tell when the run was given its sentences from memory, or when a file was added; the sample can.
    if {language: [s.id for s in some] for language, some in sorted(data.labeled.items())} != record.data["labeled_ids"]:
        raise DataError(f"{root} gives other labeled sentences than {record.folder} was trained on; give the old data with --data")
    return data
