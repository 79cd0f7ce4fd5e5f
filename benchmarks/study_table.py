"""The tables of the study: the rows of one arm on one data set, each beside what it is to be judged by."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping
from pathlib import Path

from fewtag.evaluation.significance import holm, paired_t_test
from fewtag.experiments.results import Results
from study import ARMS

HEAD = ("row", "seeds", "F1 on dev", "F1 on test", "sd", "over", "difference, by seed", "mean", "p", "passes")


def study_table(path: Path, arm: str) -> str:
    """Rows with their scores, and their paired difference from the row they are judged by.

    Args:
        path: of what benchmarks/keep_comparison.py kept of the arm.
        arm: a name of ``ARMS``; p-values are of a paired t-test over seeds, Holm-corrected over its rows.
    """
    results = Results.load(path)
    (group,) = results.groups
    by_row = {row: {run.seed: run for run in results.of(group, row)} for row in results.methods}
    test = {row: {seed: run.average for seed, run in runs.items()} for row, runs in by_row.items()}
    others = {row: judge for row in by_row if (judge := ARMS[arm].judge(row)) in by_row}
    gaps = {row: paired(test[row], test[judge]) for row, judge in others.items()}
    p_values = holm({row: paired_t_test([0.0] * len(own), own).p_value for row, own in gaps.items() if len(own) > 1})
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---:|---:|---:|---:|---|---|" + "---:|" * (len(HEAD) - 7)]
    for row, runs in by_row.items():
        scores = list(test[row].values())
        dev = statistics.mean(run.dev_average for run in runs.values())
        spread = f"{statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        cells = [f"`{row}`", f"{len(scores)}", f"{dev:.2f}", f"**{statistics.mean(scores):.2f}**", spread]
        if row in gaps:
            shown = " ".join(f"{gap:+.1f}" for gap in gaps[row])
            cells += [f"`{others[row]}`", shown, f"{statistics.mean(gaps[row]):+.2f}", f"{p_values[row]:.3f}" if row in p_values else ""]
        else:
            cells += [""] * 4
        lines.append("| " + " | ".join([*cells, f"{statistics.median(run.passes for run in runs.values()):,.0f}"]) + " |")
    about = f"{group.words}, {results.runs[0].dev} dev, {results.runs[0].mode} reading of tags: span F1 in percent, mean over languages."
    variants = [f"- `{row}`: {variant}." for row, variant in variants_of(results).items()]
    return "\n".join([about, "", *lines, "", *variants, "", f"`{command(results, arm)}`"])


def paired(scores: Mapping[int, float], others: Mapping[int, float]) -> list[float]:
    """Differences of the seeds that both have."""
    return [score - others[seed] for seed, score in scores.items() if seed in others]


def variants_of(results: Results) -> dict[str, str]:
    """Rows that are no method as it stands, with their method and settings."""
    return {run.method: run.variant for run in results.runs if run.variant}


def command(results: Results, arm: str) -> str:
    """What to type: the arm stands for the rows that `fewtag compare` was given."""
    words = iter(shlex.split(results.command)[2:])
    kept = []
    for word in words:
        if word in ("-m", "--variant", "--ours"):
            next(words)
        elif word != "--shared-start":
            kept.append(word)
    return shlex.join(["python", "benchmarks/study.py", arm, *kept])
