"""How time and memory of `fewtag predict`, `check` and `train` grow: 10 thousand to a million made queries, 1 to 12 languages.

    OMP_NUM_THREADS=1 python benchmarks/million_lines.py --model runs/demo/metats/model -o benchmarks/results/million-lines.json

Each measurement is a process of its own; memory is its peak resident set as the kernel counts it. Training takes the same 110 steps
whatever the size, so its time should stay flat but for the reading; it is run twice, the second time with the raw text in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from fewtag.data.formats import conll
from fewtag.data.queries import LANGUAGES, generate, raw_queries

EACH = 20_000  # raw queries of each language, where languages are counted


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
            for verb in ("train", "train, cached"):
                rows.append({"verb": verb, "lines": size, "languages": 1, **trained(folder, size, ["en"])})
                print(rows[-1], file=sys.stderr, flush=True)
            with (folder / "out.jsonl").open(encoding="utf-8") as stream:
                assert sum(1 for _ in stream) == size, "a line was lost"
        for number in (1, 4, 12):
            rows.append({"verb": "train", "lines": number * EACH, "languages": number, **trained(folder, EACH, LANGUAGES[:number])})
            print(rows[-1], file=sys.stderr, flush=True)
    from fewtag.training.folder import versions  # only now: a child's peak begins with its parent's size, and this one imports torch

    threads = os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
    command = f"OMP_NUM_THREADS={threads} python benchmarks/million_lines.py --model runs/demo/metats/model"
    result = {"command": command, "threads": threads, "rows": rows}
    options.out.write_text(json.dumps({**result, "versions": versions()}, indent=1) + "\n", encoding="utf-8")


def trained(folder: Path, raw: int, languages: Sequence[str]) -> dict[str, float]:
    """A short run on a few labeled and ``raw`` unlabeled queries of each language."""
    data = folder / f"train-{raw}-{len(languages)}"
    if not data.exists():
        for language in languages:
            (data / language).mkdir(parents=True)
            conll.write(islice(generate(language), 50), data / language / "train.conll")
            conll.write(islice(generate(language, "dev"), 50), data / language / "dev.conll")
            with (data / language / "unlabeled.txt").open("w", encoding="utf-8") as stream:
                stream.writelines(f"{text}\n" for text in islice(raw_queries(language), raw))
    steps = ["train.max_steps=50", "train.semi_supervised_steps=50", "train.finetune_steps=10", "evaluation.bootstrap=0"]
    words = ["train", str(data), "-o", str(folder / "run"), "--force", "-q", *(part for pair in steps for part in ("--set", pair))]
    return measured([sys.executable, "-m", "fewtag.cli", *words], {"FEWTAG_CACHE": str(folder / "cache")})


def measured(command: list[str], environment: Mapping[str, str] | None = None) -> dict[str, float]:
    """Seconds and peak memory of one process."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
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
