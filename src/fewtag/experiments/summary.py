"""A method in a group: mean and spread over its seeds, and the share of the gap to full labels that it closes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fewtag.experiments.claims import AVERAGE
from fewtag.experiments.results import Group, Results

MULTI = "supervised-multi"  # what differences and the gap are counted from
_FULL = "supervised-full"


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs of one method that differ in their seeds.

    Args:
        method: its name.
        kind: what it learns from.
        seeds: of the runs.
        f1: language -> (mean, sample standard deviation over seeds); None for the deviation of one seed.
        mean, sd: of the average over languages.
        passes, seconds: means over seeds.
    """

    method: str
    kind: str
    seeds: list[int]
    f1: dict[str, tuple[float, float | None]]
    mean: float
    sd: float | None
    passes: float
    seconds: float

    @property
    def count(self) -> int:
        """The seeds' number, n."""
        return len(self.seeds)

    def value(self, column: str) -> tuple[float, float | None]:
        """Mean and deviation of a language or of the average."""
        return (self.mean, self.sd) if column == AVERAGE else self.f1[column]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; one value has none."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def summarize(results: Results, group: Group, method: str) -> Summary | None:
    """A method in a group; None where it has no run. Averages are over the languages that every run of the group was scored on."""
    runs, languages = results.of(group, method), results.languages(group)
    if not runs:
        return None
    f1 = {language: mean_and_deviation([run.f1[language] for run in runs]) for language in languages}
    mean, sd = mean_and_deviation([statistics.fmean(run.f1[language] for language in languages) for run in runs])
    passes, seconds = (statistics.fmean(getattr(run, cost) for run in runs) for cost in ("passes", "seconds"))
    return Summary(method, runs[0].kind, [run.seed for run in runs], f1, mean, sd, passes, seconds)


def gap_closed(results: Results, group: Group, method: str) -> float | None:
    """(method - multi) / (full - multi), of averages over the seeds that all three have: what raw text brought of what labels would have.

    Returns:
        1 for all of it; None for the two ends themselves, where one of them is missing, or where more labels brought nothing.
    """
    if method in (MULTI, _FULL):
        return None
    languages = results.languages(group)
    scores = {
        name: {run.seed: statistics.fmean(run.f1[language] for language in languages) for run in results.of(group, name)}
        for name in (MULTI, method, _FULL)
    }
    seeds = set.intersection(*(set(each) for each in scores.values()))
    if not seeds:
        return None
    multi, own, full = (statistics.fmean(scores[name][seed] for seed in sorted(seeds)) for name in (MULTI, method, _FULL))
    return (own - multi) / (full - multi) if full > multi else None


def gap_size(results: Results, group: Group) -> float | None:
    """full - multi in F1, of averages over the seeds that both have: what all labels bring; None where one of them is missing."""
    found = paired_differences(results, group, _FULL)
    return statistics.fmean(each[AVERAGE] for each in found.values()) if found else None


def paired_differences(results: Results, group: Group, method: str, other: str = MULTI) -> dict[int, dict[str, float]]:
    """Method minus another, by seed: labels and draws are those of the seed, so the two differ in nothing else.

    Returns:
        Seed -> language, and `AVERAGE` over them -> difference in F1 points, for the seeds that both have.
    """
    languages = results.languages(group)
    theirs, found = {run.seed: run for run in results.of(group, other)}, {}
    for run in results.of(group, method):
        if run.seed in theirs:
            own = {language: run.f1[language] - theirs[run.seed].f1[language] for language in languages}
            found[run.seed] = {**own, AVERAGE: statistics.fmean(own.values())}
    return found


def summaries(results: Results) -> list[dict[str, Any]]:
    """Every group and method as plain values: what ``compare.json`` shows beside the runs, Figure 2's points among them."""
    found = []
    for group in results.groups:
        for method in results.methods:
            each = summarize(results, group, method)
            if each:
                found.append({**asdict(group), **asdict(each), "n": each.count, "gap_closed": gap_closed(results, group, method)})
    return found
