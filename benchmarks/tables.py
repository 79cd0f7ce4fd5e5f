"""Put the tables of docs/results.md together again from the JSON in benchmarks/results.

    python benchmarks/tables.py          # writes
    python benchmarks/tables.py --check  # exits 1 where a table differs from its JSON

In the document each table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; NAME is a file in benchmarks/results.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "results.md"
_BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def methods_table(found: dict[str, Any]) -> str:
    """Methods by language, mean over seeds; the average with its spread, the paired difference, the share of the gap, the cost."""
    runs = found["runs"]
    languages = list(runs[0]["by_language"])
    summary = found["summary"]
    multi = summary["supervised-multi"]["mean"]
    gap = summary["supervised-full"]["mean"] - multi if "supervised-full" in summary else None
    head = ["method", *languages, "average", "sd", "difference from multi, by seed", "gap closed", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for method, each in summary.items():
        own = [run for run in runs if run["method"] == method]
        scores = [f"{statistics.mean(run['by_language'][language] for run in own):.1f}" for language in languages]
        spread = f"{each['sd']:.2f}" if each["sd"] is not None else ""
        differences = "" if method == "supervised-multi" else " ".join(f"{value:+.1f}" for value in each["difference_from_multi"])
        closed = f"{100 * (each['mean'] - multi) / gap:.0f} %" if gap and method not in ("supervised-multi", "supervised-full") else ""
        seconds = f"{statistics.median(run['seconds'] for run in own):.0f}"
        lines.append("| " + " | ".join([method, *scores, f"**{each['mean']:.2f}**", spread, differences, closed, seconds]) + " |")
    count = summary["supervised-multi"]["n"]
    about = f"Test span F1, {found['mode']}, mean of {count} seeds; labels kept: {found['labeled']}; encoder {found['encoder']}."
    return "\n".join([about, "", *lines, "", f"`{found['command']}`"])


def growth_table(found: dict[str, Any]) -> str:
    """Time and memory by number of lines."""
    lines = ["| command | lines | seconds | CPU seconds | peak MB |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {r['verb']} | {r['lines']:,} | {r['seconds']} | {r['cpu_seconds']} | {r['peak_mb']} |" for r in found["rows"]]
    return "\n".join([*lines, "", f"`{found['command']}`"])


def table(name: str) -> str:
    """The table of one result file."""
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return methods_table(found) if "summary" in found else growth_table(found)


def renewed(text: str) -> str:
    """The document with every table made anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{table(match[2])}\n{match[3]}", text)


def main() -> None:
    """Write the document, or say whether it is as it should be."""
    before = DOCUMENT.read_text(encoding="utf-8")
    after = renewed(before)
    if "--check" in sys.argv:
        raise SystemExit(0 if before == after else "docs/results.md differs from benchmarks/results; run python benchmarks/tables.py")
    DOCUMENT.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
