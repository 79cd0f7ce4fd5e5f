"""What a reader must know to read a table of a comparison: the notes under it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from fewtag.experiments.claims import LEVEL, Claim, is_ablation
from fewtag.experiments.published import PublishedTable
from fewtag.experiments.results import OWN_DEV, Group, Results, Run
from fewtag.experiments.summary import MULTI, gap_closed, gap_size

_SMALL = 2.0  # F1: a share of less than two runs of one method may differ by tells little


def main_notes(results: Results, group: Group, daggers: Mapping[str, Claim], paper: PublishedTable | None) -> list[str]:
    """The notes of a main table, in the order of what they explain.

    Args:
        results: of the comparison.
        group: of the table.
        daggers: ours against the best other method, by column.
        paper: whose numbers stand beside ours; None for nobody's.
    """
    own = [run for run in results.runs if run.group == group]
    notes = []
    if daggers:
        notes.append(
            f"Δ: {results.ours} minus the method. p: paired, against {results.ours}, on the average, Holm-corrected over the methods; "
            f"t over seeds, {_bootstrap(daggers)}."
        )
        shown = dict.fromkeys(run.method for run in own if run.method != results.ours and not is_ablation(run.method, results.ours))
        if paper and (strange := [method for method in shown if not paper.row(method)]):
            notes.append(f"Not compared with {results.ours}, being no rows of the paper: {', '.join(strange)}.")
    counts = Counter(run.method for run in own if not is_ablation(run.method, results.ours))
    if len(set(counts.values())) > 1:
        notes.append(f"n differs: Δ and p are of the seeds that a method shares with {results.ours}, averages of all that it has.")
    if all(run.method != results.ours for run in own):
        notes.append(f"No Δ and no p: {results.ours}, with which the methods are compared, has no finished run here; --ours names another.")
    if any(claim.seeds > 1 for claim in daggers.values()):
        notes.append(
            f"† better than the best other method of the column, paired t-test over seeds, ‡ paired bootstrap over sentences "
            f"(both p < {LEVEL}, Holm-corrected over the columns); bold: the best of the column, the upper bound apart."
        )
    elif daggers:
        notes.append("One seed: no mark of significance is given.")
    notes += _of_the_gap(results, group)
    notes.append("Passes: of the encoder in training; for each batch a way there counts 1, a way back 2.")
    if any(run.budget for run in own):
        notes.append("The passes end a run: train.max_steps and train.patience have no say.")
    notes += _variants(own)
    if any(run.start and run.budget for run in own):
        notes.append(
            "Methods on raw text go on from a supervised-multi of their seed that steps and patience ended; its passes and seconds are "
            "counted in theirs. The row of it here is another, given as many passes as they."
        )
    elif any(run.start for run in own):
        apart = dict.fromkeys(run.method for run in own if run.kind == "raw" and not run.start)
        but = f", but for {', '.join(apart)}," if apart else ""
        notes.append(
            f"Methods on raw text{but} go on from the supervised-multi of their seed; its passes and seconds are counted in theirs."
            + " What a variant sets holds from there on." * any(run.start and run.variant for run in own)
        )
    if kept := _as_they_began(results, group):
        notes.append(f"Ended with the tagger of their supervised start, no later one being better on dev: {', '.join(kept)}.")
    scored = {lang for run in own for lang in run.f1}
    left_out = sorted(scored - set(results.languages(group)))
    if left_out:
        notes.append(f"Left out, since not every run was scored on them: {', '.join(left_out)}.")
    notes += _missing_splits(results.statistics.get(group.corpus, {}), own, scored)
    if paper:
        notes.append(f"paper: Table {paper.number}, {paper.title}, mBERT, {paper.labeled} of the labels, its own data and samples.")
    failed = [each for each in results.failed if Group(each["corpus"], each["labeled"], each["encoder"]) == group]
    notes += [f"Failed: {each['method']} seed {each['seed']}: {each['reason']}" for each in failed]
    return notes


def curve_notes(runs: Sequence[Run]) -> list[str]:
    """The notes of a table by labeled fraction: whose runs saw more than its columns say, and what the variants are.

    Args:
        runs: of the table.
    """
    bounds = dict.fromkeys(run.method for run in runs if run.kind == "all")
    return [*(f"{name}: every label, in each column." for name in bounds), *_variants(runs)]


def _variants(runs: Sequence[Run]) -> list[str]:
    return [f"{name}: {words}." for name, words in {run.method: run.variant for run in runs if run.variant}.items()]


def _missing_splits(sentences: Mapping[str, Mapping[str, float]], runs: Sequence[Run], scored: Collection[str]) -> list[str]:
    """What a reader must know where a language lacks test or dev."""
    trained = {language: sizes for language, sizes in sentences.items() if sizes.get("train")}
    notes = []
    if unscored := [language for language in trained if language not in scored]:
        notes.append(f"Trained on but not scored, having no sentences to score: {', '.join(unscored)}.")
    if any(run.split == "dev" and run.dev != OWN_DEV for run in runs):
        notes.append("No test split: scored are the dev sentences by which each stage chose its weights, which flatters every row.")
    if any(run.dev == OWN_DEV for run in runs):
        without = [language for language, sizes in trained.items() if not sizes.get("dev")]
        scored_there = "" if any(run.split == "test" for run in runs) else ", and is scored on them"
        notes.append(
            f"No dev split: {', '.join(without)}. A run stops by a fifth of what was to be labeled, kept from training{scored_there}: "
            "the same for all methods of a seed, others for each seed."
        )
    return notes


def _bootstrap(daggers: Mapping[str, Claim]) -> str:
    """How the bootstrap was made, or why there is none."""
    counts = sorted({claim.resamples for claim in daggers.values() if claim.bootstrap_p is not None})
    if counts:
        return f"bootstrap over sentences ({' or '.join(f'{each:,}' for each in counts)} resamples)"
    return "no bootstrap over sentences, none being asked for or the seeds scored on different ones"


def _of_the_gap(results: Results, group: Group) -> list[str]:
    """What the share of the gap is of, and where it says little."""
    size = gap_size(results, group)
    if size is None:
        return []
    if size <= 0:
        return ["Gap closed: left out, since all labels brought nothing here (supervised-full - supervised-multi)."]
    if all(gap_closed(results, group, method) is None for method in results.methods):
        return []
    words = "Gap closed: (method - supervised-multi) / (supervised-full - supervised-multi)"
    return [f"{words}, a share of {size:.1f} F1 here, which is too little to say much." if size < _SMALL else f"{words}."]


def _as_they_began(results: Results, group: Group) -> list[str]:
    """Methods on raw text whose runs have, in some seeds, the very scores of the supervised training they begin with."""
    began = {run.seed: run for run in results.of(group, MULTI)}
    found = []
    for method in results.methods:
        runs = [run for run in results.of(group, method) if run.kind == "raw" and run.seed in began]
        same = [run for run in runs if _same_scores(run, began[run.seed])]
        if same:
            found.append(method if len(same) == len(runs) else f"{method} ({len(same)} of {len(runs)} seeds)")
    return found


def _same_scores(run: Run, other: Run) -> bool:
    return any(run.f1.values()) and run.f1 == other.f1 and run.dev_average == other.dev_average
