"""The table of ``benchmarks/guard.py``: what each rule of the guard was worth on small dev sets, mean over the data sets."""

from __future__ import annotations

import statistics
from typing import Any


def guard_table(found: dict[str, Any]) -> str:
    """F1 over the supervised start in sentences that decided nothing, and in how many of a hundred draws the start was kept."""
    rules = list(found["rows"][0]["rules"])
    head = ["runs of rows", "pairs", "dev sentences a language", *(f"{rule} (start kept)" for rule in rules)]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for guarded, words in ((True, "that have the guard"), (False, "of the paper, that have none")):
        for size in sorted({row["size"] for row in found["rows"]}):
            rows = [row for row in found["rows"] if row["guarded"] == guarded and row["size"] == size and row["pairs"]]
            cells = []
            for rule in rules:
                gain, kept = (statistics.mean(row["rules"][rule][what] for row in rows) for what in ("gain", "start_kept"))
                cells.append(f"{gain:+.2f} ({100 * kept:.0f} %)")
            lines.append("| " + " | ".join([words, str(sum(row["pairs"] for row in rows)), str(size), *cells]) + " |")
    sets = list(dict.fromkeys(row["data"] for row in found["rows"]))
    return "\n".join(
        [*lines, "", f"Mean over {', '.join(sets)}; a pair is a run and the start it went on from.", "", f"`{found['command']}`"]
    )
