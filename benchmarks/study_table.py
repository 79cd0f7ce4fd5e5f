"""The tables of the study: the rows of one arm on one data set, each beside what it is to be judged by."""

from __future__ import annotations

import shlex
import statistics
from pathlib import Path

from fewtag.evaluation.significance import holm, paired_t_test
from fewtag.experiments.claims import AVERAGE
from fewtag.experiments.results import Results
from fewtag.experiments.summary import mean_and_deviation, paired_differences
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
    judges = {row: judge for row in results.methods if (judge := ARMS[arm].judge(row)) in results.methods}
    gaps = {row: [gap[AVERAGE] for gap in paired_differences(results, group, row, judge).values()] for row, judge in judges.items()}
    p_values = holm({row: paired_t_test([0.0] * len(own), own).p_value for row, own in gaps.items() if len(own) > 1})
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---:|---:|---:|---:|---|---|" + "---:|" * (len(HEAD) - 7)]
    for row in results.methods:
        runs = results.of(group, row)
        mean, sd = mean_and_deviation([run.average for run in runs])
        dev = statistics.fmean(run.dev_average for run in runs)
        cells = [f"`{row}`", f"{len(runs)}", f"{dev:.2f}", f"**{mean:.2f}**", "" if sd is None else f"{sd:.2f}"]
        if row in gaps:
            shown = " ".join(f"{gap:+.1f}" for gap in gaps[row])
            cells += [f"`{judges[row]}`", shown, f"{statistics.fmean(gaps[row]):+.2f}", f"{p_values[row]:.3f}" if row in p_values else ""]
        else:
            cells += [""] * 4
        lines.append("| " + " | ".join([*cells, f"{statistics.median(run.passes for run in runs):,.0f}"]) + " |")
    devs = " and ".join(dict.fromkeys(run.dev for run in results.runs))
    about = f"{group.words}, {devs} dev, {results.runs[0].mode} reading of tags: span F1 in percent, mean over languages."
    variants = [f"- `{row}`: {variant}." for row, variant in {run.method: run.variant for run in results.runs if run.variant}.items()]
    return "\n".join([about, "", *lines, "", *variants, *[""] * bool(variants), f"`{command(results, arm)}`"])


def command(results: Results, arm: str) -> str:
    """What to type: the arm stands for the rows that `fewtag compare` was given."""
    words = iter(shlex.split(results.command)[2:])
    kept = []
    for word in words:
        if word in ("-m", "--variant", "--ours"):
            next(words)
        elif word not in ("--shared-start", "--equal-budget"):
            kept.append(word)
    return shlex.join(["python", "benchmarks/study.py", arm, *kept])
