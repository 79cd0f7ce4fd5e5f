"""Put the tables of README.md and docs/{results,study,performance}.md together again from the JSON in benchmarks/results.

    python benchmarks/tables.py          # writes
    python benchmarks/tables.py --check  # exits 1 where a table differs from its JSON

In a document each table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; NAME is a file in benchmarks/results, or one
of ``summary``, ``embeddings`` and ``gains-ENCODER`` (``gains-ENCODER-unseen``), which are made of several, or ``study-ARM-DATA``.
"""

from __future__ import annotations

import itertools
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from fewtag.experiments.render import as_markdown
from fewtag.experiments.results import Results
from fewtag.experiments.tables import ablation_table, main_table
from fewtag.methods import METHODS, default_for
from guard_table import guard_table
from study_table import study_table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("results", "study", "performance")))
SETS = {
    "queries": "made shop queries, 12 languages",
    "massive_slots": "assistant requests (MASSIVE), 5 languages",
    "absa_rest16": "restaurant reviews (SemEval ABSA), 6 languages",
    "wikineural_ner": "names in Wikipedia (WikiNEuRal), 4 languages",
}
UNSEEN = {  # while methods were made; they confirm or not
    "xsid_slots": "requests (xSID), 12 languages",
    "multiconer22_ner": "names in short texts (MultiCoNER), 6 languages",
    "ha_commands": "commands (Home Assistant), 11 languages",
}
PAPER = ("mean-teacher-mse", "mean-teacher-kl", "vat", "noisy-student", "bond-hard", "bond-soft", "bond-soft-high", "metats-paper")
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


def closed(means: dict[str, float], method: str) -> str:
    """What a method brought of what labels would have: (method - multi) / (full - multi), in percent."""
    multi, full = means["supervised-multi"], means["supervised-full"]
    return f"{100 * (means[method] - multi) / (full - multi):.0f} %"


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


def scores_of(data: str, encoder: str, kind: str = "") -> tuple[str, dict[str, list[float]]]:
    """Labels kept, and F1 by method and seed, of the comparison of a data set; nothing where there is none.

    Args:
        data: name of the set.
        encoder: that the runs had.
        kind: ``"default-"`` for the comparison of the default alone, which not every set has.
    """
    path = RESULTS / f"compare-{kind}{data.split('_')[0].replace('massive', 'slots')}-{encoder}.json"
    found = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
    scores: dict[str, list[float]] = {}
    for run in sorted(found, key=lambda run: int(run["seed"])):
        scores.setdefault(run["method"], []).append(run["average"])
    return found[0]["labeled"] if found else "", scores


def with_default(data: str, encoder: str) -> tuple[str, dict[str, list[float]]]:
    """As `scores_of`, of the comparison that has the default; where it is not that of all methods, its own labels alone and upper bound."""
    labeled, scores = scores_of(data, encoder)
    return (labeled, scores) if default_for(encoder) in scores else scores_of(data, encoder, "default-")


def summary_table() -> str:
    """One row a data set and encoder: what stands side by side in every method's table."""
    head = ["data", "labels", "encoder", "supervised-multi", "best method of the paper", "metats", "our default", "supervised-full"]
    head += ["gap closed", "seeds"]
    lines = ["| " + " | ".join(head) + " |", "|---|---:|---|---:|---|" + "---:|" * (len(head) - 5)]
    for (data, words), encoder in itertools.product((SETS | UNSEEN).items(), ("compact", "minilm")):
        ours = default_for(encoder)
        labeled, scores = with_default(data, encoder)
        if ours not in scores:
            continue
        others = scores_of(data, encoder)[1]
        paper = {method: statistics.mean(others[method]) for method in (*PAPER, "metats") if len(others.get(method, ())) == most(others)}
        means = {**paper, **{method: statistics.mean(some) for method, some in scores.items()}}
        best = max((method for method in PAPER if method in means), key=lambda method: means[method])
        wanted = ("supervised-multi", "metats", ours, "supervised-full")
        multi, metats, own, full = (f"{means[method]:.1f}" if method in means else "" for method in wanted)
        row = [words, labeled, encoder, multi, f"{means[best]:.1f} ({best})", metats, f"{own} ({ours})", full]
        row += [closed(means, ours), str(len(scores[ours]))]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def most(scores: dict[str, list[float]]) -> int:
    """Seeds of the method that has most."""
    return max(map(len, scores.values()), default=0)


def _add_gains(gains: dict[str, dict[str, float]], data: str, scores: dict[str, list[float]]) -> None:
    start = scores.get("supervised-multi", [])
    for method, row in METHODS.items():
        if row.uses_raw_text and start and len(scores.get(method, ())) == len(start):
            gains.setdefault(method, {})[data] = statistics.mean(scores[method]) - statistics.mean(start)


def gains_table(encoder: str, among: dict[str, str]) -> str:
    """What raw text brings each method over labels alone, data set by data set: F1 of its seeds less those of ``supervised-multi``."""
    ours = default_for(encoder)
    sets = {data: scores for data in among if (scores := scores_of(data, encoder)[1])}
    gains: dict[str, dict[str, float]] = {}
    for data, scores in sets.items():
        _add_gains(gains, data, scores)
        apart = with_default(data, encoder)[1]
        _add_gains(gains, data, {method: some for method, some in apart.items() if method in ("supervised-multi", ours)})
    everywhere = {method: own for method, own in gains.items() if len(own) == len(sets)}
    means = {method: statistics.mean(own.values()) for method, own in everywhere.items()}
    best = {data: max(own.get(data, 0.0) for own in gains.values()) for data in sets}
    lines = ["| method | " + " | ".join(sets) + " | mean | least |", "|---|" + "---:|" * (len(sets) + 2)]
    for method in sorted(gains, key=lambda name: -means.get(name, float("-inf"))):
        own = [gains[method].get(data) for data in sets]
        cells = [
            "" if gain is None else f"**{gain:+.1f}**" if gain == best[data] else f"{gain:+.1f}"
            for data, gain in zip(sets, own, strict=True)
        ]
        whole = [f"{means[method]:+.1f}", f"{min(gains[method].values()):+.1f}"] if method in means else ["", ""]
        lines.append("| " + " | ".join([f"`{method}`", *cells, *whole]) + " |")
    seeds = ", ".join(f"{most(scores)}" for scores in sets.values())
    said = f"Seeds, in the order of the columns: {seeds}"
    apart = [
        f"{len(found[ours])} on {data}" for data in sets if ours not in sets[data] and ours in (found := with_default(data, encoder)[1])
    ]
    return "\n".join([*lines, "", said + (f"; of `{ours}`, compared apart: {', '.join(apart)}." if apart else ".")])


def table(name: str) -> str:
    """The table of one result file, or the summary of all."""
    if name == "summary":
        return summary_table()
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
