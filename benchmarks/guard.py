"""What a guard that asks for a clear lead would have done on small dev sets, from the per-sentence counts that comparisons left behind.

    fewtag compare DATA -m all --shared-start -o FOLDER ...
    python benchmarks/guard.py FOLDER [FOLDER ...]

Nothing is trained. Each run of a comparison and the supervised start it went on from were scored on the whole of dev. Some
sentences of each language are drawn as the only dev set there is; the guard decides by them, and the other sentences of dev say what its
choice was worth. Runs that ended with their start's own tags have nothing to decide and are left out. Test takes no part.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewtag.evaluation.bootstrap import f1_of
from fewtag.methods import METHODS
from fewtag.training.fit import Scored
from fewtag.training.guard import doubt_of

SIZES = (10, 30, 70, 200)  # dev sentences of each language
LEVELS = (0.3, 0.2, 0.1, 0.05)
DRAWS = 10  # of a dev set, for each pair and size
Counts = dict[str, np.ndarray[Any, Any]]  # language -> (N, 3)


def pairs(folder: Path) -> tuple[str, list[tuple[str, Counts, Counts]]]:
    """The data's name, and of every run that went on from another's tagger its method, the counts of its start and its own."""
    data, found = "", []
    for config in sorted(folder.glob("cells/*/config.toml")):
        said = tomllib.loads(config.read_text(encoding="utf-8"))
        start, own = (Path(place) / "predictions" / "dev.counts.json" for place in (said["train"]["start"], config.parent))
        if not said["train"]["start"] or not start.exists() or not own.exists():
            continue
        data = Path(said["data"]["dir"]).name
        before, after = (_counts(each) for each in (start, own))
        if any((before[language] != after[language]).any() for language in before):
            found.append((said["method"]["name"], before, after))
    return data, found


def _counts(path: Path) -> Counts:
    found = json.loads(path.read_text(encoding="utf-8"))["counts"]
    return {language: np.array(some, dtype=np.float64).reshape(-1, 3) for language, some in found.items()}


def split(before: Counts, after: Counts, size: int, generator: np.random.Generator) -> tuple[float, float, float]:
    """One draw of a small dev set: the start's lead there, the doubt about it, and what the run is ahead by in the rest of dev."""
    small: list[Counts] = [{}, {}]
    gains = []
    for language in before:
        order = generator.permutation(len(before[language]))
        few, rest = np.split(order, [min(size, len(order) // 2)])
        for own, each in zip(small, (before, after), strict=True):
            own[language] = each[language][few]
        gains.append(float(f1_of(after[language][rest].sum(0)) - f1_of(before[language][rest].sum(0))))
    start, final = (_scored(each) for each in small)
    lead = start.value - final.value
    return lead, (doubt_of(start, final) or 0.0) if lead > 0 else 1.0, statistics.mean(gains)


def _scored(counts: Counts) -> Scored:
    scores = {language: float(f1_of(some.sum(0))) for language, some in counts.items()}
    return Scored(statistics.mean(scores.values()), scores, {language: torch.from_numpy(some) for language, some in counts.items()})


def judged(draws: list[tuple[float, float, float]]) -> dict[str, Any]:
    """Mean F1 over the start in the rest of dev, and how often the start was kept, by the rule of the guard."""
    rules = {"any lead": [lead > 0 for lead, _, _ in draws]}
    rules |= {f"doubt under {level}": [doubt < level for _, doubt, _ in draws] for level in LEVELS}
    rules |= {"never the start": [False] * len(draws), "the better one": [gain < 0 for _, _, gain in draws]}
    return {
        rule: {
            "gain": round(statistics.mean(0.0 if start else gain for start, (_, _, gain) in zip(kept, draws, strict=True)), 3),
            "start_kept": round(statistics.mean(kept), 3),
        }
        for rule, kept in rules.items()
    }


def main() -> None:
    """Write ``benchmarks/results/guard.json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="results of fewtag compare --shared-start with the whole of dev")
    folders = parser.parse_args().folders
    rows = []
    for folder in folders:
        data, everything = pairs(folder)
        for guarded in (True, False):
            own = [(before, after) for method, before, after in everything if METHODS[method].guard == guarded]
            for size in SIZES:
                generator = np.random.default_rng([size, guarded])
                draws = [split(before, after, size, generator) for before, after in own for _ in range(DRAWS)]
                rows.append({"data": data, "guarded": guarded, "size": size, "pairs": len(own), "rules": judged(draws)})
    names = " ".join(folder.name for folder in folders)
    out = Path(__file__).parent / "results" / "guard.json"
    out.write_text(json.dumps({"command": f"python benchmarks/guard.py {names}", "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
