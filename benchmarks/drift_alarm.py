"""How often the drift alarm of ``fewtag pseudo`` rings for nothing, and what it hears: planted pseudo-labels, drawn many times.

    python benchmarks/drift_alarm.py

Sentences have three to six tokens and a liking for one label of their own. Nothing is trained; it takes some minutes on one core.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from fewtag.evaluation.tables import markdown
from fewtag.experiments.drift import Drift, drift

STEPS = 24  # recorded, of one language in one stage


def shifting(seed: int, per_step: int, brand: Callable[[float], float]) -> Drift:
    """The alarm on steps without gold.

    Args:
        seed: of the sentences.
        per_step: sentences of each recorded step.
        brand: share of the tokens with one label, by the share of the steps done.
    """
    chooser = random.Random(seed)
    events = []
    for step in range(STEPS):
        share = brand(step / STEPS)
        weights = [share, 0.3, 0.4 - share / 2, 0.3 - share / 2]
        tags = []
        for _ in range(per_step):
            labels = ["B-brand", "O", f"B-{chooser.choice('pqr')}", "B-s"]
            tags.append(chooser.choices(labels, weights, k=chooser.randint(3, 6)))
        events.append(_event(step, tags))
    return drift(events, {}, "lenient")


def falling(seed: int, per_step: int, right: Callable[[float], float]) -> Drift:
    """The alarm on steps with gold; right: the share of tokens tagged as gold, by the share of the steps done."""
    chooser = random.Random(seed)
    events, gold = [], {}
    for step in range(STEPS):
        tags = []
        for place in range(per_step):
            own = [f"B-{chooser.choice('pqr')}" for _ in range(chooser.randint(3, 6))]
            gold[f"{step}/{place}"] = own
            tags.append([tag if chooser.random() < right(step / STEPS) else "B-s" for tag in own])
        events.append(_event(step, tags))
    return drift(events, gold, "lenient")


def _event(step: int, tags: list[list[str]]) -> dict[str, Any]:
    ids = [f"{step}/{place}" for place in range(len(tags))]
    return {"stage": "interact", "step": step + 1, "language": "de", "feedback": None, "ids": ids, "tags": tags}


def main() -> None:
    """Print the tables of docs/pseudo.md."""
    p_values = [shifting(seed, 8, lambda done: 0.15).shifts[0].p_value for seed in range(2000)]
    below = ", ".join(f"{level}: {sum(p < level for p in p_values) / 20:.2f} %" for level in (0.01, 0.05, 0.5))
    print(f"without drift, of 2000 p-values below {below}\n")
    steady = [falling(seed, 8, lambda done: 0.7).falls[0] for seed in range(500)]
    plain, alarms = (sum(values) / 5 for values in ([f.best - f.last > 2 for f in steady], [f.alarms for f in steady]))
    print(f"F1 that does not fall: the last fifth 2 points under the best in {plain:.0f} %, alarms in {alarms:.1f} %\n")
    shifts, falls = [], []
    for per_step in (4, 8, 16, 32):
        heard = [
            sum(bool(shifting(seed, per_step, lambda done, by=by: 0.15 + by * (done >= 0.5)).alarms) for seed in range(100))
            for by in (0.05, 0.1, 0.15, 0.2)
        ]
        shifts.append([str(per_step * STEPS // 3), *map(str, heard)])
        heard = [
            sum(bool(falling(seed, per_step, lambda done, by=by: 0.7 - by * (done >= 0.8)).falls[0].alarms) for seed in range(100))
            for by in (0.05, 0.1, 0.15, 0.2)
        ]
        falls.append([str(per_step * STEPS), *map(str, heard)])
    print(markdown(["sentences in a third", "5 % of the tokens", "10 %", "15 %", "20 %"], shifts), end="\n\n")
    print(markdown(["sentences with gold", "5 points of accuracy", "10", "15", "20"], falls))


if __name__ == "__main__":
    main()
