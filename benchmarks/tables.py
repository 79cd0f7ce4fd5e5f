"""Put the tables of README.md and docs/{results,study,performance}.md together again from the JSON in benchmarks/results.

    python benchmarks/tables.py          # writes
    python benchmarks/tables.py --check  # exits 1 where a table differs from its JSON

In a document each table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; NAME is a file in benchmarks/results, or one
of ``summary``, ``embeddings``, ``default-compact`` and ``gains-ENCODER`` (``gains-ENCODER-unseen``), which are made of several, or
``study-ARM-DATA``.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from fewtag.experiments.render import as_markdown
from fewtag.experiments.results import Results
from fewtag.experiments.tables import ablation_table, main_table
from guard_table import guard_table
from side_by_side import SETS, UNSEEN, closed, default_table, gains_table, summary_table
from study_table import study_table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("results", "study", "performance")))
_BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def methods_table(found: dict[str, Any]) -> str:
    """Methods by language, mean over seeds; the average with its spread, the paired difference, the share of the gap, the cost."""
    runs = found["runs"]
    languages = list(runs[0]["by_language"])
    summary = found["summary"]
    head = ["method", *languages, "average", "sd", "difference from multi, by seed", "gap closed", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    means = {method: each["mean"] for method, each in summary.items()}
    for method, each in summary.items():
        own = [run for run in runs if run["method"] == method]
        scores = [f"{statistics.mean(run['by_language'][language] for run in own):.1f}" for language in languages]
        spread = f"{each['sd']:.2f}" if each["sd"] is not None else ""
        differences = "" if method == "supervised-multi" else " ".join(f"{value:+.1f}" for value in each["difference_from_multi"])
        gap = closed(means, method) if "supervised-full" in summary and method not in ("supervised-multi", "supervised-full") else ""
        seconds = f"{statistics.median(run['seconds'] for run in own):.0f}"
        lines.append("| " + " | ".join([method, *scores, f"**{each['mean']:.2f}**", spread, differences, gap, seconds]) + " |")
    count = summary["supervised-multi"]["n"]
    about = f"Test span F1, {found['mode']}, mean of {count} seeds; labels kept: {found['labeled']}; encoder {found['encoder']}."
    return "\n".join([about, "", *lines, "", f"`{found['command']}`"])


def growth_table(found: dict[str, Any]) -> str:
    """Time and memory by number of lines."""
    lines = ["| command | lines | languages | seconds | CPU seconds | peak MB |", "|---|---:|---:|---:|---:|---:|"]
    columns = ("verb", "lines", "languages", "seconds", "cpu_seconds", "peak_mb")
    rows = [{"languages": 1, **row, "lines": f"{row['lines']:,}"} for row in found["rows"]]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join([*lines, "", f"`{found['command']}`"])


def training_table(found: dict[str, Any]) -> str:
    """Training beside the Trainer and a plain MetaTS step: median ratio of CPU time with its range, share of the peak, memory."""
    fast = "ours, bf16" in found["rows"][0]
    clock = clock_of(found)
    head = ["what", "tokens a step", "ours fp32 over theirs fp32", "range"]
    head += ["**ours bf16 over theirs fp32**", "range", "ours bf16 over theirs autocast"] if fast else []
    head += ["share of the matmul peak", "peak MB so far"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in found["rows"]:
        part = 100 * row.get("share_of_peak", 0.0)
        share = f"{part:.0f} %" if part >= 1 else f"{part:.2f} %" if part else ""
        cells = [row["name"], f"{row['tokens_a_step']:.0f}", *times_faster(row["ours, fp32"], clock)]
        if fast:
            autocast = row["ours, bf16"][clock]["median"] / row["theirs, bf16"][clock]["median"]
            cells += [*times_faster(row["ours, bf16"], clock), f"{autocast:.2f}"]
        lines.append("| " + " | ".join([*cells, share, f"{row['peak_mb']:,}"]) + " |")
    return "\n".join([*lines, "", measured(found)])


def clock_of(found: dict[str, Any]) -> str:
    """By which clock sides are compared: CPU time, which other work hardly touches; wall time where threads or a GPU are waited for."""
    alone = found.get("threads", 1) == 1 and found.get("device", "cpu") == "cpu"
    return "cpu_ratio" if alone else "wall_ratio"


def times_faster(side: dict[str, Any], clock: str) -> list[str]:
    """A side's median ratio and its range."""
    ratio = side[clock]
    return [f"**{ratio['median']:.2f}**", f"{ratio['min']:.2f} to {ratio['max']:.2f}"]


def prediction_table(found: dict[str, Any]) -> str:
    """Tagging beside the pipeline at each batch size, as times the speed of its batch size 1."""
    sides = [name for name in found["rows"][0] if isinstance(found["rows"][0][name], dict) and "cpu_ratio" in found["rows"][0][name]]
    head = ["text", *sides, "ours over the best pipeline", "share of the matmul peak"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in found["rows"]:
        medians = {side: row[side][clock_of(found)]["median"] for side in sides}
        speeds = [f"{median:.2f}" for median in medians.values()]
        ours = medians.get("ours, bf16", medians["ours, fp32"])
        best = f"**{ours / max(value for side, value in medians.items() if side.startswith('pipeline')):.2f}**"
        lines.append("| " + " | ".join([row["name"], *speeds, best, f"{100 * row['share_of_peak']:.0f} %"]) + " |")
    same = found["bf16_against_fp32"]
    about = (
        f"bfloat16 against float32 of the same tagger, {same['tokens']:,} tokens: {same['same_percent']:.2f} % of tags the same, "
        f"{same['same_where_clear_percent']:.0f} % of the {same['clear_tokens']:,} whose margin is above 0.5."
    )
    return "\n".join([*lines, "", about, "", measured(found)])


def data_table(found: dict[str, Any]) -> str:
    """Reading and tokenizing, as times the speed of the usual way."""
    lines = ["| what | how | times faster (CPU time) | range |", "|---|---|---:|---:|"]
    for title, row in found["rows"].items():
        for side, each in row.items():
            ratio = each["cpu_ratio"]
            lines.append(f"| {title} | {side} | **{ratio['median']:.2f}** | {ratio['min']:.2f} to {ratio['max']:.2f} |")
    return "\n".join([*lines, "", measured(found)])


def measured(found: dict[str, Any]) -> str:
    """The command, and the processor."""
    note = f" {found['note'][0].upper()}{found['note'][1:]}." if found.get("note") else ""
    machine = found["machine"]
    threads = f"`OMP_NUM_THREADS={found['threads']} " if "threads" in found else "`"
    gpu = f"{machine['gpu']} beside an " if "gpu" in machine else ""
    return f"{threads}{found['command']}` on an {gpu}{machine['cpu']} ({machine['capability']}).{note}"


def forecasts_table(found: dict[str, Any]) -> str:
    """What was foretold of the largest size, and what came, by language and number of sizes hidden."""
    head = ["language", "seen up to", "foretold at", "F1 foretold", "95 %", "F1 that came", "off by"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for case in found["cases"]:
        low, median, high = case["foretold"]
        inside = "" if case["inside"] else " (outside)"
        cells = [case["language"], f"{case['seen_labels']:.0f}", f"{case['labels']:.0f}", f"{median:.1f}", f"{low:.1f} to {high:.1f}"]
        lines.append("| " + " | ".join([*cells, f"{case['fact']:.1f}", f"{case['error']:+.1f}{inside}"]) + " |")
    parts = []
    for hidden, each in found["summary"].items():
        ahead = f"{2 ** int(hidden)} times the labels"
        parts.append(
            f"{ahead}: off by {each['mean_absolute_error']:.1f} F1 in the mean ({each['mean_error']:+.1f} with its sign), "
            f"{each['inside_95']} of {each['cases']} inside; off by {each['mean_absolute_error_if_nothing_changes']:.1f} had one said that "
            f"nothing changes any more, by {each['mean_absolute_error_if_doublings_repeat']:.1f} that each doubling brings what the last "
            "one did."
        )
    about = f"{found['on'].capitalize()} span F1, {found['mode']}, {found['method']}, encoder {found['encoder']}."
    return "\n".join([" ".join([about, *(part[0].upper() + part[1:] for part in parts)]), "", *lines, "", f"`{found['command']}`"])


def embeddings_table() -> str:
    """Whether rows of the vocabulary table that wait cost F1: lazy beside dense, seed by seed."""
    head = ["data", "labels", "seeds", "dense", "lazy", "difference, by seed", "mean", "sd"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    commands = []
    for name in ("slots", "absa"):
        both = [json.loads((RESULTS / f"embeddings-{name}-{mode}.json").read_text(encoding="utf-8")) for mode in ("dense", "lazy")]
        dense, lazy = ([run["average_f1"] for run in each["runs"]] for each in both)
        gaps = [b - a for a, b in zip(dense, lazy, strict=True)]
        row = [SETS[both[0]["data"]], both[0]["labeled"], str(len(gaps)), f"{statistics.mean(dense):.2f}", f"{statistics.mean(lazy):.2f}"]
        shown = " ".join(f"{gap:+.1f}" for gap in gaps)
        lines.append("| " + " | ".join([*row, shown, f"{statistics.mean(gaps):+.2f}", f"{statistics.stdev(gaps):.2f}"]) + " |")
        commands += [f"`{each['command']}`" for each in both]
    return "\n".join([*lines, "", ", ".join(commands)])


def comparison_table(name: str) -> str:
    """The tables of a comparison, as ``fewtag compare`` prints them but for the corpus statistics, and what to type."""
    results = Results.load(RESULTS / f"{name}.json")
    found = [main_table(results, group) for group in results.groups]
    ablations = ablation_table(results)
    found += [ablations] if ablations else []
    return "\n\n".join([*(as_markdown(each).strip() for each in found), f"`{results.command}`"])


def table(name: str) -> str:
    """The table of one result file, or the summary of all."""
    if name == "summary":
        return summary_table()
    if name == "default-compact":
        return default_table()
    if name == "embeddings":
        return embeddings_table()
    if name.startswith("gains-"):
        return gains_table(name.split("-")[1], UNSEEN if name.endswith("unseen") else SETS)
    if name.startswith("study-"):
        return study_table(RESULTS / f"compare-{name}.json", name.split("-")[1])
    if name.startswith("compare-"):
        return comparison_table(name)
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    if name == "guard":
        return guard_table(found)
    if "cases" in found:
        return forecasts_table(found)
    if "summary" in found:
        return methods_table(found)
    kinds = {"speed-training": training_table, "speed-prediction": prediction_table, "speed-data": data_table}
    return next((make for kind, make in kinds.items() if name.startswith(kind)), growth_table)(found)


def renewed(text: str) -> str:
    """The document with every table made anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{table(match[2])}\n{match[3]}", text)


def main() -> None:
    """Write the documents, or say whether they are as they should be."""
    for document in DOCUMENTS:
        before = document.read_text(encoding="utf-8")
        after = renewed(before)
        if "--check" not in sys.argv:
            document.write_text(after, encoding="utf-8")
        elif before != after:
            raise SystemExit(f"{document.relative_to(ROOT)} differs from benchmarks/results; run python benchmarks/tables.py")


if __name__ == "__main__":
    main()
