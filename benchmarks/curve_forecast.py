"""How far label curves are off: hide the largest sizes, look ahead from the others, compare with what those sizes really brought.

    python benchmarks/curve_forecast.py DATA --labeled 640 --points 7 --seeds 3 -o benchmarks/results/curve-NAME.json

Each forecast stands beside two that need no curve: nothing changes any more, and each doubling brings what the last one seen brought.
Runs are kept in --runs and reused. Scores are those of dev; test is not looked at.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

from fewtag.cli.settings import run_config
from fewtag.experiments.curve import CurveConfig, Measurement, measure
from fewtag.experiments.forecast import forecast
from fewtag.experiments.saturation import fit, middle
from fewtag.tagger.allocator import keep_pages
from fewtag.training.folder import versions


def main() -> None:
    """Measure the curve and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--labeled", default="100%", help="the largest size")
    parser.add_argument("--points", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hide", default="1,2", help="how many of the largest sizes to hide")
    parser.add_argument("--method", default="supervised-multi")
    parser.add_argument("--set", action="append", default=[], dest="pairs", help="configuration of every run, key=value")
    parser.add_argument("--runs", type=Path, default=Path("runs/curve_forecast"))
    parser.add_argument("-o", "--out", type=Path, help="default: runs/curve_forecast/DATA.json")
    options = parser.parse_args()
    keep_pages()
    flags = {"data.labeled": options.labeled, "method.name": options.method, "train.seed": 1}
    config = run_config(None, ["data.dev=matched", *options.pairs], flags, options.data)
    plan = CurveConfig(points=options.points, seeds=options.seeds)
    outlook = measure(config, plan, options.runs / options.data.name, listener=lambda said: print(said, file=sys.stderr, flush=True))
    cases = [
        case(language, outlook.measurements, plan, int(hidden)) for hidden in options.hide.split(",") for language in outlook.forecasts
    ]
    pairs = "".join(f" --set {pair}" for pair in options.pairs)
    found = {
        "command": f"python benchmarks/curve_forecast.py {options.data.name} --labeled {options.labeled} --points {options.points} "
        f"--seeds {options.seeds}{pairs}",
        "data": options.data.name,
        "method": outlook.method,
        "encoder": outlook.encoder,
        "mode": outlook.mode,
        "on": outlook.on,
        "summary": {hidden: summary([c for c in cases if c["hidden"] == int(hidden)]) for hidden in options.hide.split(",")},
        "cases": cases,
        "measurements": [vars(each) for each in outlook.measurements],
        "versions": versions(),
    }
    out = options.out or options.runs / f"{options.data.name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(found["summary"], indent=1))


def case(language: str, measurements: list[Measurement], plan: CurveConfig, hidden: int) -> dict[str, object]:
    """One language, its ``hidden`` largest sizes hidden: what was foretold of the largest, and what came."""
    seen = [each for each in measurements if each.share <= plan.shares[-1 - hidden]]
    most, mean = max(each.labeled[language] for each in measurements), {}
    for share in plan.shares:
        mean[share] = statistics.mean(each.f1[language] for each in measurements if each.share == share)
    fact, last, before = mean[plan.shares[-1]], mean[plan.shares[-1 - hidden]], mean[plan.shares[-2 - hidden]]
    sizes, scores = [each.labeled[language] for each in seen], [each.f1[language] for each in seen]
    curve = fit(sizes, scores)
    assert curve is not None, "a plan has at least three sizes after hiding; give more --points"
    low, median, high = middle(curve.at(most))
    told, _ = forecast(language, sizes, scores, fact)
    least, labels, upmost = middle(curve.size_for(fact))
    return {
        "language": language,
        "hidden": hidden,
        "seen_labels": max(sizes),
        "labels": most,
        "fact": fact,
        "foretold": [low, median, high],
        "error": median - fact,
        "inside": low <= fact <= high,
        "error_if_nothing_changes": last - fact,
        "error_if_doublings_repeat": last + hidden * (last - before) - fact,
        # The other way round: how many labels to reach what was reached.
        "verdict": told.kind,
        "sentence": told.sentence,
        "labels_foretold": [None if math.isinf(value) else value for value in (least, labels, upmost)],
        "labels_inside": least <= most <= upmost,
    }


def summary(cases: list[dict[str, object]]) -> dict[str, object]:
    """How far off, over languages."""

    def mean_error(key: str) -> float:
        return statistics.mean(abs(float(str(each[key]))) for each in cases)

    kinds = [str(each["verdict"]) for each in cases]
    return {
        "cases": len(cases),
        "mean_absolute_error": mean_error("error"),
        "mean_error": statistics.mean(float(str(each["error"])) for each in cases),
        "mean_absolute_error_if_nothing_changes": mean_error("error_if_nothing_changes"),
        "mean_absolute_error_if_doublings_repeat": mean_error("error_if_doublings_repeat"),
        "inside_95": sum(bool(each["inside"]) for each in cases),
        "labels_inside_95": sum(bool(each["labels_inside"]) for each in cases),
        "verdicts": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


if __name__ == "__main__":
    main()
