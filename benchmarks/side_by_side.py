"""Tables over all data sets: what stands side by side, what raw text brings each method, and what the default adds."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path

from fewtag.evaluation.significance import paired_t_test
from fewtag.experiments.claims import AVERAGE
from fewtag.experiments.results import Results
from fewtag.experiments.summary import paired_differences
from fewtag.methods import METHODS, default_for

RESULTS = Path(__file__).parent / "results"
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


def closed(means: dict[str, float], method: str) -> str:
    """What a method brought of what labels would have: (method - multi) / (full - multi), in percent."""
    multi, full = means["supervised-multi"], means["supervised-full"]
    return f"{100 * (means[method] - multi) / (full - multi):.0f} %"


def path_of(data: str, encoder: str, kind: str = "", end: str = "") -> Path:
    """Where the comparison of a data set is kept; see `scores_of`."""
    return RESULTS / f"compare-{kind}{data.split('_')[0].replace('massive', 'slots')}-{encoder}{end}.json"


def scores_of(data: str, encoder: str, kind: str = "", end: str = "") -> tuple[str, dict[str, list[float]]]:
    """Labels kept, and F1 by method and seed, of the comparison of a data set; nothing where there is none.

    Args:
        data: name of the set.
        encoder: that the runs had.
        kind: ``"default-"`` for the comparison of the default alone, which not every set has.
        end: ``"-five"`` for the rows that decide with five seeds, where all rows have three.
    """
    path = path_of(data, encoder, kind, end)
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
        labeled, scores = scores_of(data, encoder, end="-five")
        others = scores
        if not scores:
            labeled, scores = with_default(data, encoder)
            others = scores_of(data, encoder)[1]
        if ours not in scores:
            continue
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


def default_table() -> str:
    """The built-in encoder's default beside the same without pre-training, set by set."""
    ours, before = default_for("compact"), "smooth-ensemble"
    head = [
        "data",
        "labels",
        "seeds",
        "dev, before",
        "dev",
        "test, before",
        "test",
        "difference, by seed",
        "mean",
        "p",
        "gap closed, before",
        "gap closed",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for data in SETS | UNSEEN:
        paths = [path_of(data, "compact", kind) for kind in ("", "default-")]
        found = [results for path in paths if path.exists() and ours in (results := Results.load(path)).methods]
        if not found:
            continue
        results = found[0]
        (group,) = results.groups
        runs = {method: results.of(group, method) for method in (before, ours)}
        dev = [f"{statistics.fmean(run.dev_average for run in runs[method]):.1f}" for method in (before, ours)]
        means = {method: statistics.fmean(run.average for run in results.of(group, method)) for method in results.methods}
        gaps = [gap[AVERAGE] for gap in paired_differences(results, group, ours, before).values()]
        p = f"{max(paired_t_test([0.0] * len(gaps), gaps).p_value, 0.0001):.4f}" if len(gaps) > 1 else ""
        row = [(SETS | UNSEEN)[data], results.runs[0].labeled, f"{len(gaps)}", *dev, f"{means[before]:.1f}", f"{means[ours]:.1f}"]
        row += [" ".join(f"{gap:+.1f}" for gap in gaps), f"{statistics.fmean(gaps):+.2f}", p, closed(means, before), closed(means, ours)]
        lines.append("| " + " | ".join(row) + " |")
    about = f"Before: `{before}`, now: `{ours}`; span F1 in percent, mean over languages and seeds."
    return "\n".join([*lines, "", f"{about} p: paired t-test of this pair, 0.0001 at least."])
