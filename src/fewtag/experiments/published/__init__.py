"""The numbers the paper prints, as data: Tables 3 to 7 of Li et al., EMNLP 2021."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fewtag.errors import ConfigError, unknown


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One line of Tables 4 to 6.

    Args:
        name: as printed.
        method: the row of ``METHODS`` that does the same.
        f1: by language, in percent.
        average: as printed.
        daggers: the columns printed with a dagger.
    """

    name: str
    method: str
    f1: dict[str, float]
    average: float
    daggers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """Table 4, 5 or 6.

    Args:
        number: of the table.
        title: what it is on.
        labeled: fraction of its rows but the upper bound.
        rows: in the order of the paper.
    """

    number: int
    title: str
    labeled: str
    rows: tuple[PublishedRow, ...]

    def row(self, method: str) -> PublishedRow | None:
        """The line of a method; None where the paper has none."""
        return next((row for row in self.rows if row.method == method), None)


DATASETS = ("o-ner", "e2e-absa", "e-ner")


@cache
def _all() -> dict[str, Any]:
    return tomllib.loads((files("fewtag.experiments.published") / "tables.toml").read_text(encoding="utf-8"))


def published(dataset: str) -> PublishedTable:
    """Tables 4 to 6.

    Args:
        dataset: ``o-ner``, ``e2e-absa`` or ``e-ner``.

    Raises:
        ConfigError: for another.
    """
    if dataset not in DATASETS:
        raise ConfigError(unknown("data set of the paper", dataset, DATASETS))
    found = _all()[dataset]
    rows = tuple(
        PublishedRow(
            row["name"],
            row["method"],
            dict(zip(found["languages"], row["f1"], strict=True)),
            row["average"],
            tuple(row.get("daggers", ())),
        )
        for row in found["rows"]
    )
    return PublishedTable(found["table"], found["title"], found["labeled"], rows)


def published_ablations() -> dict[str, dict[str, float]]:
    """Table 7: method -> data set -> average F1, in the order of the paper."""
    found = _all()["ablations"]
    return {row["method"]: dict(zip(found["columns"], row["average"], strict=True)) for row in found["rows"]}


def published_statistics(dataset: str) -> dict[str, dict[str, float]]:
    """Table 3: language -> column -> value, the columns named as in `fewtag.data.statistics.Statistics`."""
    found = _all()["statistics"]
    return {language: dict(zip(found["columns"], values, strict=True)) for language, values in found[dataset].items()}
