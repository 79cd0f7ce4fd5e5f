"""The paper's tables, held to numbers worked by hand; and the paper's own numbers, held to themselves."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fewtag.errors import ConfigError, DataError
from fewtag.evaluation import paired_bootstrap
from fewtag.experiments import render
from fewtag.experiments.claims import claims
from fewtag.experiments.published import DATASETS, published, published_ablations, published_statistics
from fewtag.experiments.results import Group, Results, Run
from fewtag.experiments.summary import gap_closed, summaries, summarize
from fewtag.experiments.tables import Table, Value, ablation_table, all_tables, curve_tables, main_table, statistics_table
from fewtag.methods import METHODS

GROUP = Group("shop_50%", "1%", "compact")
KINDS = {"supervised-single": "labels", "supervised-multi": "labels", "metats": "raw", "supervised-full": "all"}
SCORES = {  # method -> by seed (en, de)
    "supervised-single": [(40, 30), (36, 38), (44, 38)],
    "supervised-multi": [(50, 40), (52, 44), (54, 42)],
    "metats": [(56, 46), (56, 50), (60, 50)],
    "supervised-full": [(70, 60), (72, 62), (68, 70)],
}


def run_of(method: str, seed: int, f1: dict[str, float], group: Group = GROUP, **more: Any) -> Run:
    given: dict[str, Any] = {
        "split": "test", "mode": "lenient", "dev": "full", "dev_average": 1.0, "passes": 100 * seed, "budget": None, "seconds": 2.0 * seed,
        "steps": 10, "digest": "d", "cell": f"{group.corpus}-{group.labeled}-{method}-{seed}", "machine": {}, **more,
    }  # fmt: skip
    kind = KINDS.get(method, "raw")
    return Run(group.corpus, group.labeled, group.encoder, method, kind, seed, f1=f1, average=statistics.fmean(f1.values()), **given)


def results_of(scores: dict[str, list[tuple[float, float]]], seeds: int = 3, **more: Any) -> Results:
    runs = [run_of(m, seed, {"de": de, "en": en}) for m, some in scores.items() for seed, (en, de) in enumerate(some[:seeds], 1)]
    return Results("metats", runs, **more)


def with_claims(results: Results, counts: dict[str, Any] | None = None) -> Results:
    """With the claims; no counts by sentence unless they are given."""
    found = claims(results, GROUP, counts or {run.cell: None for run in results.runs})
    parts = {name: [vars_of(claim) for claim in some] for name, some in zip(("differences", "daggers"), found, strict=True)}
    return replace(results, tests=[{"corpus": GROUP.corpus, "labeled": GROUP.labeled, "encoder": GROUP.encoder, **parts}])


def vars_of(claim: Any) -> dict[str, Any]:
    return {name: getattr(claim, name) for name in claim.__slots__}


def p_of(t: float) -> float:
    """Student's two-sided tail at 2 degrees of freedom has a closed form: 1 - t / sqrt(t^2 + 2)."""
    return 1 - t / math.sqrt(t * t + 2)


def row(table: Table, method: str) -> dict[str, Any]:
    """Its cells by column; one that readers see as a text of its own (a probability, a count, a share) is that text."""
    (found,) = (r for section in table.sections for r in section.rows if r[0] == method)
    return {name: getattr(cell, "shown", "") or cell for name, cell in zip(table.header, found, strict=True)}


def test_means_and_deviations_by_hand() -> None:
    table = main_table(results_of(SCORES), GROUP)
    multi, metats = row(table, "supervised-multi"), row(table, "metats")
    # averages 45, 48, 48: mean 47, squares 4 + 1 + 1 over 2
    assert multi["avg"] == Value(47.0, pytest.approx(math.sqrt(3)))
    assert multi["en"] == Value(52.0, pytest.approx(2.0)) and multi["de"] == Value(42.0, pytest.approx(2.0))
    assert metats["avg"] == Value(53.0, pytest.approx(2.0), is_best=True)
    assert metats["n"] == "3" and metats["passes"] == "200" and metats["seconds"] == "4"
    assert [section.title for section in table.sections] == [
        "Labels alone (1%)", "Labels (1%) and raw text", "Upper bound (100% of the labels)",
    ]  # fmt: skip
    assert "test span F1 in percent, lenient reading of tags, full dev, mean ± sd of 3 seeds" in table.caption


def test_the_name_of_a_table_can_be_a_label_of_latex() -> None:
    runs = [replace(run, corpus="x_y %&<#") for run in results_of(SCORES).runs]
    table = main_table(replace(results_of(SCORES), runs=runs), replace(GROUP, corpus="x_y %&<#"))
    (label,) = re.findall(r"\\label\{.*", render.latex(table))
    assert re.fullmatch(r"\\label\{tab:main-[\w.+-]+\}", label)


def test_the_upper_bound_is_nobodys_rival() -> None:
    full = row(main_table(with_claims(results_of(SCORES)), GROUP), "supervised-full")
    assert full["avg"].mean == 67.0 and not full["avg"].is_best
    assert full["Δ"] == full["p t"] == full["gap closed"] == ""


def test_the_gap_closed_by_hand() -> None:
    results = results_of(SCORES)
    assert gap_closed(results, GROUP, "metats") == pytest.approx((53 - 47) / (67 - 47))
    assert gap_closed(results, GROUP, "supervised-single") == pytest.approx((113 / 3 - 47) / 20)  # less than multi: negative
    assert gap_closed(results, GROUP, "supervised-multi") is None and gap_closed(results, GROUP, "supervised-full") is None
    assert row(main_table(results, GROUP), "metats")["gap closed"] == "30%"
    # seeds that all three have: without seed 3 of full, (52 - 46.5) / (66 - 46.5)
    fewer = replace(results, runs=[r for r in results.runs if (r.method, r.seed) != ("supervised-full", 3)])
    assert gap_closed(fewer, GROUP, "metats") == pytest.approx((52 - 46.5) / (66 - 46.5))
    flat = results_of({**SCORES, "supervised-full": SCORES["supervised-multi"]})
    assert gap_closed(flat, GROUP, "metats") is None  # more labels brought nothing: no share of nothing


def test_t_tests_and_holm_by_hand() -> None:
    differences, daggers = claims(results_of(SCORES), GROUP, {})
    # against single 16, 16, 14: mean 46/3, sd 2/sqrt(3), t = 23; against multi 6, 5, 7: mean 6, sd 1, t = 6 sqrt(3)
    single, multi = differences
    assert (single.method, multi.method) == ("supervised-single", "supervised-multi")
    assert single.delta == pytest.approx(46 / 3) and multi.delta == pytest.approx(6)
    assert single.t_p == pytest.approx(p_of(23)) and multi.t_p == pytest.approx(p_of(6 * math.sqrt(3)))
    assert single.t_p_holm == pytest.approx(2 * p_of(23)) and multi.t_p_holm == pytest.approx(p_of(6 * math.sqrt(3)))
    # multi is the best other in every column: en 6, 4, 6 -> t = 8; de 6, 6, 8 -> t = 10; Holm over three columns
    assert [(claim.column, claim.method) for claim in daggers] == [(c, "supervised-multi") for c in ("de", "en", "average")]
    p = {"en": p_of(8), "de": p_of(10), "average": p_of(6 * math.sqrt(3))}
    assert [claim.t_p for claim in daggers] == pytest.approx([p["de"], p["en"], p["average"]])
    smallest = 3 * p["average"]
    middle = max(smallest, 2 * p["de"])
    assert [claim.t_p_holm for claim in daggers] == pytest.approx([middle, max(middle, p["en"]), smallest])
    assert p["average"] < 0.01 < smallest  # the paper's reading would print a dagger; corrected there is none
    assert all(claim.marks == "" for claim in daggers)


def test_beside_the_paper_its_own_methods_are_the_rivals() -> None:
    """metats is no method of the paper: it is compared with, but metats-paper need not beat it for a dagger."""
    scores = {"supervised-multi": SCORES["supervised-multi"], "metats-paper": SCORES["metats"], "metats": [(90, 90.0), (91, 91), (92, 92)]}
    runs = results_of(scores).runs
    for beside, expected in (("o-ner", ["supervised-multi"]), ("", ["supervised-multi", "metats"])):
        found = Results("metats-paper", runs, published=beside)
        assert [claim.method for claim in claims(found, GROUP, {})[0]] == expected


def test_daggers_stand_where_both_claims_hold() -> None:
    clear = results_of({**SCORES, "metats": [(60, 45.0), (62.1, 39), (64, 47)]})
    table = main_table(with_claims(clear), GROUP)
    metats = row(table, "metats")
    # en: 10, 10.1, 10: t = 10.033 / (0.0577 / sqrt(3)) = 301, p = 1.1e-5; de: 5, -5, 5: nothing
    assert metats["en"].marks == "†" and metats["de"].marks == ""
    assert row(table, "supervised-multi")["en"].marks == ""
    assert not any(note.startswith("No Δ") for note in table.notes)
    assert any(note.startswith("† better than the best other method") for note in table.notes)


def test_one_seed_shows_nothing() -> None:
    sentences = 40
    right, wrong = [[1, 1, 1]] * sentences, [[0, 1, 1]] * sentences
    results = results_of({"supervised-multi": [(0, 0)], "metats": [(100, 100)]}, seeds=1)
    counts = {run.cell: dict.fromkeys(("de", "en"), right if run.method == "metats" else wrong) for run in results.runs}
    found = with_claims(results, counts)
    (claim,) = claims(results, GROUP, counts, resamples=400)[0]
    # every resample has the whole difference, so none but the observed is as extreme around it
    assert (claim.delta, claim.low, claim.high, claim.bootstrap_p) == (100, 100, 100, 1 / 401)
    assert claim.t_p is None and claim.marks == ""
    table = main_table(found, GROUP)
    assert "†" not in render.as_csv(table) and "‡" not in render.as_csv(table)
    assert "One seed: no mark of significance is given." in table.notes and "1 seed" in table.caption
    two = results_of({"supervised-multi": [(0, 0), (0, 0)], "metats": [(100, 100), (100, 100)]})
    both = {run.cell: dict.fromkeys(("de", "en"), right if run.method == "metats" else wrong) for run in two.runs}
    assert row(main_table(with_claims(two, both), GROUP), "metats")["avg"].marks == "†‡"


def test_the_bootstrap_over_runs_is_that_of_the_tags() -> None:
    """With one seed it must be what `fewtag.evaluation.paired_bootstrap` says of the tags themselves."""
    gold = {"de": [["B-x", "O"], ["B-y"], ["O", "B-x"]] * 9, "en": [["B-x"], ["B-y", "I-y"]] * 11}
    first = {"de": [["B-x", "O"], ["B-x"], ["O", "O"]] * 9, "en": [["B-x"], ["B-y", "O"]] * 11}
    second = {"de": [["B-x", "O"], ["B-y"], ["B-x", "O"]] * 9, "en": [["O"], ["B-y", "I-y"]] * 11}
    from fewtag.evaluation.span_f1 import count_by_sentence

    def counted(tags: Any) -> dict[str, Any]:
        return {x: [[sum(c[i] for c in s.values()) for i in range(3)] for s in count_by_sentence(gold[x], tags[x])] for x in gold}

    truth = paired_bootstrap(gold, first, second, resamples=300, seed=0)
    f1 = {m: {x: 200 * sum(s[0] for s in c[x]) / sum(s[1] + s[2] for s in c[x]) for x in gold} for m, c in
          (("supervised-multi", counted(first)), ("metats", counted(second)))}  # fmt: skip
    results = Results("metats", [run_of(method, 1, scores) for method, scores in f1.items()])
    counts = {run.cell: counted(second if run.method == "metats" else first) for run in results.runs}
    differences, daggers = claims(results, GROUP, counts, resamples=300, seed=0)
    average = differences[0]
    assert (average.delta, average.low, average.high) == pytest.approx((truth.average.delta, *truth.average.interval))
    assert average.bootstrap_p == truth.average.p_value
    assert {c.column: c.bootstrap_p for c in daggers if c.column != "average"} == {k: v.p_value for k, v in truth.by_language.items()}


def test_runs_on_different_sentences_have_no_bootstrap() -> None:
    results = results_of(SCORES)
    counts = {run.cell: {"de": [[1, 1, 1]] * (5 + run.seed), "en": [[1, 1, 1]] * 5} for run in results.runs}
    assert all(claim.bootstrap_p is None and claim.t_p is not None for claim in claims(results, GROUP, counts)[0])


def test_averages_are_over_what_everybody_was_scored_on() -> None:
    results = results_of(SCORES)
    more = replace(results, runs=[*results.runs[:-1], replace(results.runs[-1], f1={**results.runs[-1].f1, "cs": 99.0}, average=99.0)])
    table = main_table(more, GROUP)
    assert "cs" not in table.header and row(table, "supervised-full")["avg"].mean == 67.0
    assert "Left out, since not every run was scored on them: cs." in table.notes


def test_the_papers_rows_stand_under_ours() -> None:
    languages = ["en", "es", "de", "nl"]
    runs = [run_of(m, 1, dict.fromkeys(languages, f1)) for m, f1 in (("supervised-multi", 50.0), ("metats-paper", 60.0), ("metats", 61.0))]
    table = main_table(Results("metats-paper", runs, published="o-ner"), GROUP)
    assert table.header[1:6] == [*languages, "avg"]  # in the paper's order
    names = [r[0] for section in table.sections for r in section.rows]
    assert names == ["supervised-multi", "  paper: mBERT (Multi)", "metats-paper", "  paper: MetaTS", "metats"]
    printed = row(table, "  paper: mBERT (Multi)")
    assert [printed[x].mean for x in (*languages, "avg")] == [82.54, 79.90, 73.32, 79.78, 78.88]
    assert printed["Δ"].mean == pytest.approx(1.94)  # as the paper prints it
    assert row(table, "  paper: MetaTS")["en"].marks == "†" and row(table, "  paper: MetaTS")["es"].marks == ""
    fewer = main_table(Results("metats-paper", [replace(r, f1={"en": 1.0, "de": 2.0}) for r in runs], published="o-ner"), GROUP)
    assert row(fewer, "  paper: mBERT (Multi)")["avg"] == ""  # another set of languages: no average to stand beside ours


def test_ablations_and_curves() -> None:
    groups = [Group("a", "1%", "compact"), Group("a", "5%", "compact")]
    scores = {"metats-paper": [50.0, 60.0], "metats-paper-no-meta": [48.5, 59.0], "supervised-multi": [40.0, 55.0]}
    runs = [run_of(m, 1, {"en": f1}, group) for m, some in scores.items() for f1, group in zip(some, groups, strict=True)]
    results = Results("metats-paper", runs, published="e-ner")
    table = ablation_table(results)
    assert table is not None and table.header == ["method", "a 1% compact", "Δ", "n", "a 5% compact", "Δ", "n", "paper: e-ner"]
    without_meta = [cell.mean if isinstance(cell, Value) else cell for cell in table.sections[0].rows[1]]
    assert without_meta == ["metats-paper-no-meta", 48.5, 1.5, 1, 59.0, 1.0, 1, 56.23]
    names = [str(r[0]) for section in main_table(results, groups[0]).sections for r in section.rows]
    assert [name for name in names if "paper:" not in name] == ["supervised-multi", "metats-paper"]  # ablations have their own table
    (curve,) = curve_tables(results)
    assert curve.header == ["method", "1%", "5%", "n"]
    assert {r[0]: [c.mean for c in r[1:3]] for r in curve.sections[0].rows} == scores
    points = {(each["method"], each["labeled"]): each["mean"] for each in summaries(results)}
    assert points["supervised-multi", "5%"] == 55.0 and len(points) == 6


def test_a_lone_ablation_is_not_lost() -> None:
    scores = {"supervised-multi": [40.0], "metats": [45.0], "metats-paper-no-reg": [43.0]}
    runs = [run_of(m, 1, {"en": f1}) for m, (f1,) in scores.items()]
    tables = all_tables(Results("metats", runs))
    shown = [str(r[0]) for table in tables for section in table.sections for r in section.rows]
    assert sorted(shown) == sorted(scores)
    alone = all_tables(Results("metats", runs[2:]))  # as where every other run has failed
    assert [table.name for table in alone] == ["main-shop_50pc-1pc-compact", "ablations"]


def test_a_lucky_seed_makes_no_best_rival() -> None:
    """vat has one run of three, the best of all; ours is measured by who ran as often as it did."""
    results = results_of({**SCORES, "vat": [(99, 99)]})
    assert {claim.method for claim in claims(results, GROUP, {run.cell: None for run in results.runs})[1]} == {"supervised-multi"}


def test_statistics_are_those_of_table_3() -> None:
    values = {"en": {"train": 14041, "dev": 3250, "test": 3453, "unlabeled": 0, "types": 4, "coverage": 16.72, "average_length": 14.5}}
    table = statistics_table(Results("metats", [], statistics={"conll": values}, published="o-ner"))
    ours, theirs = ([row for _, rows in render.plain_rows(table) for row in rows][i] for i in (0, 1))
    assert ours == ["en", "14,041", "3,250", "3,453", "0", "4", "16.72", "14.50"]
    assert theirs == ["en", "14,041", "3,250", "3,453", "", "4", "16.72", "14.50"]


def everything() -> list[Table]:
    results = with_claims(results_of({**SCORES, "metats-paper": SCORES["metats"], "metats-paper-no-meta": SCORES["metats"]}))
    place = {"corpus": GROUP.corpus, "labeled": "1%", "encoder": "compact", "method": "vat", "seed": "2"}
    failed = [{**place, "reason": r"a_b {50%} & #~^\x <$>"}]
    return all_tables(replace(results, failed=failed, statistics={"shop_50%": {"en": {"train": 1, "coverage": 2.0}}}, published="o-ner"))


@pytest.mark.parametrize("table", everything(), ids=lambda table: table.name)
def test_latex_is_balanced_and_escaped(table: Table) -> None:
    source = render.latex(table)
    bare = re.sub(r"\\[\\{}&%$#_]", "", source)  # what is escaped is no syntax
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    begun, ended = (re.findall(rf"\\{what}\{{(\w+\*?)\}}", source) for what in ("begin", "end"))
    assert begun == ended[::-1] == ["table*", "tabular"]
    body = source.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [re.sub(r"\\[&\\]", lambda m: m[0][1] if m[0] == r"\&" else m[0], line) for line in body.strip().splitlines()]
    cells = [line for line in lines if line.endswith(r"\\") and r"\multicolumn" not in line]
    assert {line.count(" & ") for line in cells} == {len(table.header) - 1}
    (columns,) = re.findall(r"\\begin\{tabular\}\{(l?r*)\}", source)
    assert len(columns) == len(table.header)
    text = re.sub(r"\$[^$]*\$", "", re.sub(r"\\[%&#_{}$]", "", source.split(r"\small")[1].split(r"\label")[0]))
    assert not re.search(r"(?<!\\)[%#_]", text) and not re.search(r"[†‡Δ±<>~^]", text)
    assert source.isascii()


@pytest.mark.parametrize("table", everything(), ids=lambda table: table.name)
def test_markdown_and_csv_are_rectangular(table: Table) -> None:
    lines = [line for line in render.as_markdown(table).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(table.header) + 1}
    rows = list(csv.reader(io.StringIO(render.as_csv(table))))
    assert len({len(line) for line in rows}) == 1
    assert len(rows) == 1 + sum(len(section.rows) for section in table.sections)


def test_csv_keeps_what_is_rounded_elsewhere() -> None:
    table = main_table(results_of(SCORES), GROUP)
    found = {line["method"]: line for line in csv.DictReader(io.StringIO(render.as_csv(table)))}
    assert found["supervised-single"]["avg"] == "37.6667" and found["supervised-multi"]["avg sd"] == "1.7321"


def test_every_number_of_a_csv_is_one_to_a_program() -> None:
    results = with_claims(results_of({**SCORES, "vat": SCORES["supervised-multi"]}))
    claims_of = results.tests[0]["differences"]
    claims_of[0] |= {"t_p_holm": 0.00012345}  # what readers see as <0.001
    results = replace(results, runs=[replace(run, passes=12_345_678) for run in results.runs])
    table = main_table(results, GROUP)
    assert "12,345,678" in render.text(table) and "<0.001" in render.text(table) and "30%" in render.text(table)
    found = {line["method"]: line for line in csv.DictReader(io.StringIO(render.as_csv(table)))}
    assert found["metats"]["passes"] == "12345678" and float(found["metats"]["gap closed"]) == pytest.approx(100 * (53 - 47) / (67 - 47))
    assert found[claims_of[0]["method"]]["p t"] == "0.00012345"
    for line in found.values():
        for name, cell in line.items():
            if name not in ("section", "method") and "marks" not in name and cell:
                float(cell)


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    results = with_claims(results_of(SCORES))
    results.save(tmp_path / "compare.json", summaries=summaries(results))
    assert Results.load(tmp_path / "compare.json") == results
    assert summarize(results, GROUP, "vat") is None
    with pytest.raises(DataError, match="no such file; fewtag compare writes it"):
        Results.load(tmp_path / "none.json")
    for text in ("{", "[]", "{}", '{"format": 1, "runs": [{"x": 1}], "ours": "a"}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError, match="not the results of a comparison"):
            Results.load(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="another version"):
        Results.load(tmp_path / "bad.json")


# What the paper prints beyond the mean of its own columns, in points: one slip in Table 4, and all of Table 6 but the upper bound.
MISPRINTS = {
    ("o-ner", "MT (MSE)"): 0.05,
    ("e-ner", "mBERT (Single)"): 0.33, ("e-ner", "mBERT (Multi)"): 0.19, ("e-ner", "MT (KL)"): 0.18, ("e-ner", "MT (MSE)"): 0.14,
    ("e-ner", "VAT"): 0.16, ("e-ner", "NoisyStudent"): 0.18, ("e-ner", "BOND (hard)"): 0.14, ("e-ner", "BOND (soft)"): 0.22,
    ("e-ner", "BOND (soft-high)"): 0.23, ("e-ner", "MetaTS"): 0.15,
}  # fmt: skip


@pytest.mark.parametrize("dataset", DATASETS)
def test_published_averages_are_the_means_of_their_columns(dataset: str) -> None:
    for each in published(dataset).rows:
        off = each.average - statistics.fmean(each.f1.values())
        assert off == pytest.approx(MISPRINTS.get((dataset, each.name), 0.0), abs=0.0101), each.name


@pytest.mark.parametrize("dataset", DATASETS)
def test_published_rows_fit_together(dataset: str) -> None:
    table = published(dataset)
    assert len(table.rows) == 11 and {each.method for each in table.rows} <= set(METHODS)
    ours, full = table.row("metats-paper"), table.row("supervised-full")
    assert ours is not None and full is not None
    assert all(each.average < ours.average < full.average for each in table.rows if each not in (ours, full))
    assert ours.average == published_ablations()["metats-paper"][dataset] and set(published_ablations()) <= set(METHODS)
    for language in ours.f1:  # a dagger is printed exactly where MetaTS is above every other row but the upper bound ...
        best = max(each.f1[language] for each in table.rows if each not in (ours, full))
        assert language not in ours.daggers or ours.f1[language] > best
    assert published_statistics(dataset).keys() == set(ours.f1)


def test_an_unknown_data_set_of_the_paper() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'o-ner'"):
        published("oner")
