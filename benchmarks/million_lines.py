"""How time and memory of `fewtag predict` and `fewtag check` grow with the input: 10 thousand to a million made queries.

    python benchmarks/million_lines.py --model runs/demo/metats/model -o benchmarks/results/million-lines.json

Each measurement is a process of its own; memory is its peak resident set as the kernel counts it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from fewtag.data.formats import conll
from fewtag.data.queries import generate, raw_queries


def main() -> None:
    """Measure each size and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in map(int, options.sizes.split(",")):
            texts, data = folder / "raw.txt", folder / f"data{size}" / "en"
            with texts.open("w", encoding="utf-8") as stream:
                stream.writelines(f"{text}\n" for text in islice(raw_queries("en"), size))
            data.mkdir(parents=True)
            conll.write(islice(generate("en"), size), data / "train.conll")
            for verb, words in (
                ("predict", [str(options.model), str(texts), "--lang", "en", "-o", str(folder / "out.jsonl"), "--force", "-q"]),
                ("check", [str(data.parent)]),
            ):
                rows.append({"verb": verb, "lines": size, **measured([sys.executable, "-m", "fewtag.cli", verb, *words])})
                print(rows[-1], file=sys.stderr, flush=True)
            with (folder / "out.jsonl").open(encoding="utf-8") as stream:
                assert sum(1 for _ in stream) == size, "a line was lost"
    from fewtag.training.folder import versions  # only now: a child's peak begins with its parent's size, and this one imports torch

    result = {"command": " ".join(["python", *sys.argv]), "threads": os.cpu_count(), "rows": rows}
    options.out.write_text(json.dumps({**result, "versions": versions()}, indent=1) + "\n", encoding="utf-8")


def measured(command: list[str]) -> dict[str, float]:
    """Seconds and peak memory of one process."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
