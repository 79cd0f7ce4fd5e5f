"""What a grid gave, as plain values: ``compare.json``, from which every table, plot and report is made. No table touches a run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fewtag.data.corpus import Corpus
from fewtag.data.files import write_text
from fewtag.data.statistics import statistics
from fewtag.errors import DataError
from fewtag.evaluation.report import Report
from fewtag.experiments.cell import read_of_cell
from fewtag.experiments.plan import Cell, kind_of, short_name
from fewtag.training.folder import RunFolder

OWN_DEV = "each seed's own"  # the dev sentences of a run whose data have no dev split in some language: a part of train
FORMAT = 1  # of compare.json; docs/compare.md describes it


@dataclass(frozen=True, slots=True)
class Group:
    """What one table is about: runs that differ in method and seed only.

    Args:
        corpus: name.
        labeled: fraction.
        encoder: its short name.
    """

    corpus: str
    labeled: str
    encoder: str

    @property
    def words(self) -> str:
        """For captions."""
        return f"{self.corpus}, labels kept: {self.labeled}, encoder {self.encoder}"


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run.

    Args:
        corpus, labeled, encoder: its group.
        method: the row: a name of ``METHODS``, or of a variant.
        kind: what the method learns from: ``"labels"``, ``"raw"`` (labels and raw text), ``"all"`` (every label).
        seed: of sample, weights and draws.
        split: ``"test"``; ``"dev"`` where the corpus has no test split.
        mode: how spans were read, ``"lenient"`` or ``"strict"``.
        dev: ``"full"`` as in the paper, ``"matched"``: no larger than the labeled set, or `OWN_DEV`.
        f1: span micro-F1 by language, in percent.
        average: their mean.
        dev_average: the same on dev, by which stages stopped.
        passes: encoder passes of training.
        budget: the passes it was given; None: steps and patience decided.
        seconds, steps: of training.
        digest: of the configuration.
        cell: its folder in ``cells``.
        machine: what it ran on, as far as scores and times depend on it.
        start: the run whose tagger took the place of its first stage; its costs are counted here too. Empty: none.
        variant: what the row is, where it is not the method as it stands: the method and its settings.
    """

    corpus: str
    labeled: str
    encoder: str
    method: str
    kind: str
    seed: int
    split: str
    mode: str
    dev: str
    f1: dict[str, float]
    average: float
    dev_average: float
    passes: int
    budget: int | None
    seconds: float
    steps: int
    digest: str
    cell: str
    machine: dict[str, Any]
    start: str = ""
    variant: str = ""

    @property
    def group(self) -> Group:
        """Which table it stands in."""
        return Group(self.corpus, self.labeled, self.encoder)


@dataclass(frozen=True)
class Results:
    """Everything a comparison says.

    Args:
        ours: the method the others are compared with.
        runs: finished ones, in the order of the grid.
        failed: cells that failed: where each belongs, and why.
        statistics: corpus -> language -> the columns of the paper's Table 3.
        tests: what `fewtag.experiments.claims.compare_groups` found, a list a group.
        command: what was typed; empty when called from Python.
        versions: of what the numbers depend on, as the runs recorded them.
        published: the data set of the paper whose numbers stand beside ours; empty for none.
    """

    ours: str
    runs: list[Run]
    failed: list[dict[str, str]] = field(default_factory=list)
    statistics: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    tests: list[dict[str, Any]] = field(default_factory=list)
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    published: str = ""

    @property
    def groups(self) -> list[Group]:
        """In the order of the grid."""
        return list(dict.fromkeys(run.group for run in self.runs))

    @property
    def methods(self) -> list[str]:
        """In the order of the grid."""
        return list(dict.fromkeys(run.method for run in self.runs))

    @property
    def curves(self) -> list[list[Group]]:
        """Groups that differ in nothing but their labeled fraction, where there are several: what Figure 2 is drawn over."""
        found: dict[tuple[str, str], list[Group]] = {}
        for group in self.groups:
            found.setdefault((group.corpus, group.encoder), []).append(group)
        return [groups for groups in found.values() if len(groups) > 1]

    def of(self, group: Group, method: str) -> list[Run]:
        """The runs of a method, by seed."""
        return sorted((run for run in self.runs if run.group == group and run.method == method), key=lambda run: run.seed)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"format": FORMAT, **vars(self), "runs": [asdict(run) for run in self.runs]}

    def languages(self, group: Group) -> list[str]:
        """What every run of a group was scored on, in alphabetical order: averages over other languages could not be compared."""
        scored = [set(run.f1) for run in self.runs if run.group == group]
        return sorted(set.intersection(*scored)) if scored else []

    def save(self, path: Path, **derived: Any) -> None:
        """Write ``compare.json``, whole or not at all; ``derived`` stands in it for other programs and is not read back."""
        write_text(path, json.dumps({**self.to_json(), "derived": derived}, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read ``compare.json``.

        Raises:
            DataError: when it is missing, no JSON, or of another format.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.pop("format") != FORMAT:
                raise DataError(f"{path}: written by another version of fewtag; run fewtag compare again, finished runs are reused")
            found.pop("derived", None)
            return cls(**{**found, "runs": [Run(**each) for each in found["runs"]]})
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; fewtag compare writes it") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not the results of a comparison ({type(error).__name__}: {error})") from None


def collect(cells: Sequence[Cell], out: Path) -> list[Run]:
    """The finished runs of a grid, one for every cell: a run that stands in two tables comes twice.

    Args:
        cells: of the grid.
        out: its folder.

    Raises:
        DataError: when a finished run's files are damaged.
    """
    read: dict[str, dict[str, Any]] = {}
    runs = []
    for cell in cells:
        folder = RunFolder(out / "cells" / cell.name)
        if cell.name not in read:
            if not folder.is_finished():
                continue
            env, data, metrics = (read_of_cell(folder.path, f"{name}.json") for name in ("env", "data", "metrics"))
            read[cell.name] = {**metrics, "machine": env.get("machine", {}), "own_dev": data.get("own_dev")}
        runs.append(_run_of(cell, read[cell.name]))
    return runs


def versions_of(cells: Sequence[Cell], out: Path) -> dict[str, str]:
    """What the runs were made with, which need not be what is installed now: package -> its version, or several with commas.

    Args:
        cells: of the grid.
        out: its folder.
    """
    found: dict[str, dict[str, None]] = {}
    for folder in (RunFolder(out / "cells" / name) for name in dict.fromkeys(cell.name for cell in cells)):
        for package, version in read_of_cell(folder.path, "env.json").get("versions", {}).items() if folder.is_finished() else ():
            found.setdefault(package, {})[version] = None
    return {package: ", ".join(some) for package, some in found.items()}


def _run_of(cell: Cell, found: Mapping[str, Any]) -> Run:
    split = "test" if "test" in found else "dev"
    report, config = Report.from_json(found[split]), cell.config
    return Run(
        corpus=cell.corpus,
        labeled=cell.labeled,
        encoder=short_name(cell.encoder),
        method=cell.method,
        kind=kind_of(cell.config.method["name"]),
        seed=cell.seed,
        split=split,
        mode=report.mode,
        dev=OWN_DEV if found["own_dev"] else config.data.dev,
        f1={language: part.score.f1 for language, part in report.by_language.items() if part.num_sentences},
        average=report.average_f1,
        dev_average=Report.from_json(found["dev"]).average_f1,
        passes=found["passes"],
        budget=config.train.passes,
        seconds=found["seconds"],
        steps=found["steps"],
        digest=found["digest"],
        cell=cell.name,
        machine=found["machine"],
        start=Path(config.train.start).name,
        variant=cell.variant,
    )


def statistics_of(corpora: Mapping[str, Corpus]) -> dict[str, dict[str, dict[str, float]]]:
    """Table 3 of each corpus as plain values."""
    return {name: {language: asdict(each) for language, each in statistics(corpus).items()} for name, corpus in corpora.items()}


def counts_of(folder: RunFolder, split: str) -> dict[str, list[list[int]]] | None:
    """Correct, predicted and gold spans by language and sentence; None where the run did not keep them.

    Args:
        folder: of a finished run; one tagger a language leaves a folder for each.
        split: ``"test"`` or ``"dev"``.

    Raises:
        DataError: when a file is damaged.
    """
    parts = [folder.counts(split)]
    if not parts[0].exists():
        parts = sorted(folder.path.glob(f"languages/*/predictions/{split}.counts.json"))
    counts: dict[str, list[list[int]]] = {}
    for path in parts:
        counts |= read_of_cell(folder.path, str(path.relative_to(folder.path)))["counts"]
    return counts or None
