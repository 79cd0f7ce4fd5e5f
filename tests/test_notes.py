"""The notes under a comparison's table: what a reader would otherwise be misled by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fewtag.experiments.claims import claims
from fewtag.experiments.notes import main_notes
from fewtag.experiments.results import OWN_DEV, Results
from fewtag.experiments.tables import curve_tables, main_table
from test_tables import GROUP, SCORES, results_of, with_claims


def notes(results: Results) -> str:
    return "\n".join(main_table(results, GROUP).notes)


def changed(results: Results, **values: Any) -> Results:
    return replace(results, runs=[replace(run, **values) for run in results.runs])


def test_scores_of_the_dev_that_chose_are_said_to_be_that() -> None:
    flattered = "No test split: scored are the dev sentences by which each stage chose its weights"
    assert flattered in notes(changed(results_of(SCORES), split="dev"))
    assert flattered not in notes(results_of(SCORES))
    assert flattered not in notes(changed(results_of(SCORES), split="dev", dev=OWN_DEV))  # which has a note of its own


def test_rows_that_ended_as_they_began_are_named() -> None:
    multi = SCORES["supervised-multi"]
    found = results_of({**SCORES, "vat": [multi[0], (55, 45), multi[2]], "bond-soft": multi})
    assert "Ended with the tagger of their supervised start, no later one being better on dev: vat (2 of 3 seeds), bond-soft." in notes(
        found
    )
    assert "Ended with" not in notes(results_of(SCORES))
    other_dev = replace(found, runs=[replace(run, dev_average=2.0) if run.method == "vat" else run for run in found.runs])
    assert "on dev: bond-soft." in notes(other_dev)  # the same test scores by chance
    alike = results_of({**SCORES, "supervised-single": multi, "supervised-full": multi})
    assert "Ended with" not in notes(alike)  # they go on from nothing
    assert "Ended with" not in notes(results_of({name: [(0, 0)] * 3 for name in SCORES}))  # nobody has learned anything


@pytest.mark.parametrize(
    ("full", "expected"),
    [
        ([(70, 60), (72, 62), (68, 70)], "/ (supervised-full - supervised-multi)."),
        ([(51, 41), (53, 45), (55, 43)], "(supervised-full - supervised-multi), a share of 1.0 F1 here, which is too little to say much."),
        ([(49, 40), (52, 44), (54, 42)], "Gap closed: left out, since all labels brought nothing here"),
    ],
)
def test_what_the_gap_is_a_share_of(full: list[tuple[float, float]], expected: str) -> None:
    said = notes(results_of({**SCORES, "supervised-full": full}))
    assert expected in said and said.count("Gap closed") == 1


def test_a_curve_says_whose_labels_its_columns_are_not() -> None:
    runs = [replace(run, labeled=part) for part in ("5%", "20%") for run in results_of(SCORES).runs]
    long = [replace(run, method="long", variant="metats with train.max_steps=9") for run in runs if run.method == "metats"]
    (table,) = curve_tables(replace(results_of(SCORES), runs=[*runs, *long]))
    assert table.notes == ["supervised-full: every label, in each column.", "long: metats with train.max_steps=9."]
    names = [row[0] for row in table.sections[0].rows]
    assert names == ["supervised-single", "supervised-multi", "metats", "long", "supervised-full"]


def test_without_a_gap_nothing_is_said_of_it() -> None:
    assert "Gap closed" not in notes(results_of({name: SCORES[name] for name in ("supervised-multi", "metats")}))
    assert "Gap closed" not in notes(results_of({name: SCORES[name] for name in ("supervised-multi", "supervised-full")}))


def test_a_shared_start_beside_a_row_of_equal_budget() -> None:
    results = changed(results_of(SCORES), start="there")
    assert "go on from the supervised-multi of their seed; its" in notes(results) and "is another" not in notes(results)
    longer = notes(changed(results, budget=900))
    assert "The row of it here is another, given as many passes as they." in longer and "go on from the supervised-multi" not in longer


def test_seeds_that_a_row_lacks_are_told() -> None:
    said = "n differs: Δ and p are of the seeds that a method shares with metats, averages of all that it has."
    assert said in notes(results_of({**SCORES, "vat": [(60, 50)]})) and said not in notes(results_of(SCORES))


def test_settings_of_a_variant_with_a_shared_start_hold_after_it() -> None:
    said = "its passes and seconds are counted in theirs. What a variant sets holds from there on."
    results = changed(results_of(SCORES), start="there")
    assert said not in notes(results) and said in notes(changed(results, variant="metats with train.lr=1e-4"))


def test_the_bootstrap_says_its_resamples_or_that_there_was_none() -> None:
    assert "t over seeds, no bootstrap over sentences, none being asked for" in notes(with_claims(results_of(SCORES)))
    results = results_of(SCORES)
    counts: Any = {run.cell: {lang: [[int(run.f1[lang]), 100, 100]] * 3 for lang in run.f1} for run in results.runs}
    found = {claim.column: claim for claim in claims(results, GROUP, counts)[1]}
    assert "t over seeds, bootstrap over sentences (5,000 resamples)." in main_notes(results, GROUP, found, None)[0]
