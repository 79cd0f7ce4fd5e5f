"""Is ours better than the others? Paired t-test over seeds, as in the paper, and paired bootstrap over sentences; both Holm-corrected.

Two families of claims are made of each group. ``differences``: ours against every other method on the average over languages, corrected
over the methods. ``daggers``: ours against the best of the others in every column, languages and average, corrected over the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fewtag.evaluation.bootstrap import Floats, generator_for, resampled_f1
from fewtag.evaluation.significance import difference_of, holm, paired_t_test
from fewtag.experiments.published import published, published_ablations
from fewtag.experiments.results import Group, Results, Run, counts_of
from fewtag.training.folder import RunFolder

LEVEL = 0.01  # the paper's, tables 4 to 6
RESAMPLES = 5000  # enough for p below 0.01 after a correction over some 40 claims
AVERAGE = "average"
WHOLE = "metats-paper"  # what the rows of Table 7 leave something out of


@dataclass(frozen=True, slots=True)
class Claim:
    """Ours against another method in one column.

    Args:
        column: a language, or ``"average"``.
        method: the other one.
        delta: ours minus the other, mean over seeds, in F1 points.
        seeds: how many both have.
        t_p, t_p_holm: of the paired t-test over seeds; None with fewer than two seeds.
        low, high: middle 95 % of the difference over resampled sentences; None where a run kept no counts.
        bootstrap_p, bootstrap_p_holm: of the paired bootstrap over sentences, seeds averaged.
        resamples: how many those rest on.
    """

    column: str
    method: str
    delta: float
    seeds: int
    t_p: float | None = None
    t_p_holm: float | None = None
    low: float | None = None
    high: float | None = None
    bootstrap_p: float | None = None
    bootstrap_p_holm: float | None = None
    resamples: int = 0

    @property
    def marks(self) -> str:
        """``†`` better over seeds, ``‡`` better over sentences, at `LEVEL` after correction; of one seed nothing is ever claimed."""
        if self.seeds < 2 or self.delta <= 0:
            return ""
        marks = (("†", self.t_p_holm), ("‡", self.bootstrap_p_holm))
        return "".join(mark for mark, p in marks if p is not None and p < LEVEL)


def is_ablation(method: str, ours: str) -> bool:
    """Whether it stands in Table 7 alone: MetaTS without one of its parts is no baseline."""
    return method in published_ablations() and method not in (WHOLE, ours)


def is_rival(run: Run, results: Results) -> bool:
    """Whether ours is to beat this method: it had the same labels (else it is the upper bound) and stands in the same table.

    Beside the paper's numbers only methods of the paper are rivals, so that its daggers mean what they mean there.
    """
    if results.published and not published(results.published).row(run.method):
        return False
    return run.method != results.ours and run.kind != "all" and not is_ablation(run.method, results.ours)


def compare_groups(results: Results, out: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> list[dict[str, Any]]:
    """The claims about every group, as plain values for `Results.tests`.

    Args:
        results: with the runs.
        out: the grid's folder, whose cells hold the counts by sentence.
        resamples: of the bootstrap.
        seed: of its draws.
    """
    tests = []
    for group in results.groups:
        involved = [run for run in results.runs if run.group == group and (run.kind != "all" or run.method == results.ours)]
        counts = {run.cell: _counts(run, out) for run in involved}
        differences, daggers = claims(results, group, counts, resamples=resamples, seed=seed)
        tests.append({**asdict(group), "differences": [asdict(c) for c in differences], "daggers": [asdict(c) for c in daggers]})
    return tests


def _counts(run: Run, out: Path) -> dict[str, list[list[int]]] | None:
    """None, too, of a dev set that each seed cuts for itself: its sentences are not those of the other seeds."""
    own_sentences = run.split == "dev" and run.dev != "full"
    return None if own_sentences else counts_of(RunFolder(out / "cells" / run.cell), run.split)


def claims(
    results: Results,
    group: Group,
    counts: Mapping[str, dict[str, list[list[int]]] | None],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[list[Claim], list[Claim]]:
    """The differences and the daggers of one group; both empty where ours has no run.

    Args:
        results: with the runs.
        group: which of them.
        counts: cell -> language -> sentence -> correct, predicted, gold; None where a run kept none.
        resamples, seed: of the bootstrap.
    """
    ours = {run.seed: run for run in results.of(group, results.ours)}
    rivals = {}
    for method in results.methods:
        pairs = [(ours[run.seed], run) for run in results.of(group, method) if is_rival(run, results) and run.seed in ours]
        if pairs:
            rivals[method] = pairs
    if not rivals:
        return [], []
    languages = results.languages(group)
    involved = {run.cell: run for pairs in rivals.values() for pair in pairs for run in pair}
    by_run = {cell: _columns(run, languages) for cell, run in involved.items()}
    drawn = _resampled(list(involved), counts, languages, resamples, seed)
    single: dict[tuple[str, str], Claim] = {}
    for method, pairs in rivals.items():
        for column in (*languages, AVERAGE):
            scores = [(by_run[a.cell][column], by_run[b.cell][column]) for a, b in pairs]
            draws = [(drawn[a.cell, column], drawn[b.cell, column]) for a, b in pairs] if drawn else []
            single[method, column] = _claim(column, method, scores, draws)
    differences = _corrected([single[method, AVERAGE] for method in rivals])
    # Means over different seeds cannot be ranked: a lucky one alone would be the best.
    whole = {method: pairs for method, pairs in rivals.items() if len(pairs) == max(map(len, rivals.values()))}
    means = {
        (method, column): np.mean([by_run[run.cell][column] for _, run in pairs])
        for method, pairs in whole.items()
        for column in (*languages, AVERAGE)
    }
    best = {column: max(whole, key=lambda method, column=column: means[method, column]) for column in (*languages, AVERAGE)}  # type: ignore[misc]
    return differences, _corrected([single[method, column] for column, method in best.items()])


def _columns(run: Run, languages: Sequence[str]) -> dict[str, float]:
    own = {language: run.f1[language] for language in languages}
    return {**own, AVERAGE: sum(own.values()) / len(own)}


def _resampled(
    cells: Sequence[str], counts: Mapping[str, dict[str, list[list[int]]] | None], languages: Sequence[str], resamples: int, seed: int
) -> dict[tuple[str, str], Floats]:
    """(cell, column) -> R resampled F1; all cells see the same sentences in each resample.

    Empty where a run kept no counts, or where runs were scored on different sentences: a dev set that each seed cuts for itself.
    """
    sizes = {language: {len((counts.get(cell) or {}).get(language, ())) for cell in cells} for language in languages}
    if not resamples or any(len(some) > 1 or 0 in some for some in sizes.values()):
        return {}
    drawn: dict[tuple[str, str], Floats] = {}
    for language in languages:
        counts_SN3 = np.array([(counts[cell] or {})[language] for cell in cells], dtype=np.float64)
        f1_SR = resampled_f1(counts_SN3, resamples, generator_for(seed, language))
        for cell, f1_R in zip(cells, f1_SR, strict=True):
            drawn[cell, language] = f1_R
    for cell in cells:
        drawn[cell, AVERAGE] = np.mean([drawn[cell, language] for language in languages], axis=0)
    return drawn


def _claim(column: str, method: str, scores: Sequence[tuple[float, float]], draws: Sequence[tuple[Floats, Floats]]) -> Claim:
    """From (ours, theirs) by seed: the scores, and the resampled ones."""
    ours, theirs = zip(*scores, strict=True)
    delta = float(np.mean(ours) - np.mean(theirs))
    claim = Claim(column, method, delta, len(scores), t_p=paired_t_test(theirs, ours).p_value if len(scores) > 1 else None)
    if not draws:
        return claim
    found = difference_of(delta, np.mean([a - b for a, b in draws], axis=0))
    low, high = found.interval
    return replace(claim, low=low, high=high, bootstrap_p=found.p_value, resamples=found.resamples)


def _corrected(family: Sequence[Claim]) -> list[Claim]:
    """Holm's correction of both tests over one family."""
    corrected: dict[str, dict[str, float]] = {}
    for test in ("t_p", "bootstrap_p"):
        p_values = {str(place): getattr(claim, test) for place, claim in enumerate(family) if getattr(claim, test) is not None}
        corrected[test] = holm(p_values)
    return [
        replace(claim, t_p_holm=corrected["t_p"].get(str(place)), bootstrap_p_holm=corrected["bootstrap_p"].get(str(place)))
        for place, claim in enumerate(family)
    ]
