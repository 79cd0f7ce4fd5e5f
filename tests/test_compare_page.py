"""The page of a comparison: its numbers and dots worked by hand, hostile text stays text, whatever is missing, and what a browser shows."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fewtag.experiments import render
from fewtag.experiments.compare_page import compare_page
from fewtag.experiments.comparison import write
from fewtag.experiments.comparison_plots import Dots, Mark, cost_chart, difference_map, dot_chart
from fewtag.experiments.results import Group, Results
from fewtag.experiments.summary import MULTI
from fewtag.experiments.svg import COLORS
from fewtag.experiments.tables import all_tables
from grids import WORDS, corpus_folder, start
from pages import CHROMIUM, EVIL, Reader, measured, printed, screenshot
from test_tables import GROUP, SCORES, results_of, run_of, with_claims

SVG = "{http://www.w3.org/2000/svg}"
TEXTS = {"title": "T", "description": "D"}
COSTS = {"supervised-single": 300, "supervised-multi": 600, "metats": 2400, "supervised-full": 600}
FAILED = {"corpus": GROUP.corpus, "labeled": "1%", "encoder": "compact", "method": "vat", "seed": "2", "cell": "c", "reason": "it was lost"}
TABLE = [  # worked by hand from SCORES, as in tests/test_tables.py
    ["supervised-single", "35.33", "40.00", "37.67 ± 3.06", "+15.33", "0.004", "", "-47%", "3", "300", "4"],
    ["supervised-multi", "42.00", "52.00", "47.00 ± 1.73", "+6.00", "0.009", "", "", "3", "600", "4"],
    ["metats", "48.67", "57.33", "53.00 ± 2.00", "", "", "", "30%", "3", "2,400", "4"],
    ["supervised-full", "64.00", "70.00", "67.00 ± 2.00", "", "", "", "", "3", "600", "4"],
]


def results() -> Results:
    """One group of four methods and three seeds, each method at its own cost."""
    found = with_claims(results_of(SCORES, versions={"python": "3.11.7", "torch": "2.13"}, command="fewtag compare shop --labeled 1%"))
    runs = [replace(run, passes=COSTS[run.method], machine={"device": "cpu", "threads": 1}) for run in found.runs]
    return replace(found, runs=runs)


def curve(fractions: tuple[str, ...] = ("1%", "5%"), methods: dict[str, float] | None = None, seeds: int = 2) -> Results:
    """Several fractions: a method has its own score plus 10 for each further fraction, minus 1 and plus 1 by seed."""
    methods = methods or {"supervised-multi": 40.0, "metats": 50.0, "supervised-full": 90.0}
    runs = [
        run_of(method, seed, {"en": score + 10 * place + (2 * seed - 3) * (seeds > 1)}, Group("a", labeled, "compact"))
        for place, labeled in enumerate(fractions)
        for method, score in methods.items()
        for seed in range(1, seeds + 1)
    ]
    return Results("metats", runs)


def charts(page: str) -> dict[str, ElementTree.Element]:
    """Every chart of a page by its title."""
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    named = {str(svg.findtext(f"{SVG}title")): svg for svg in found}
    assert len(named) == len(found)
    return named


def chart(page: str, title: str) -> ElementTree.Element:
    """The one chart whose title begins so."""
    (found,) = (svg for name, svg in charts(page).items() if name.startswith(title))
    return found


def texts(svg: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """Where each text of a chart is."""
    return {"".join(each.itertext()): (float(each.attrib["x"]), float(each.attrib["y"])) for each in svg.iter(f"{SVG}text")}


def x_of(svg: ElementTree.Element, low: str, high: str, value: float) -> float:
    """Where a value is, told by the numbers that stand at two ticks of the x axis."""
    a, b = (texts(svg)[tick][0] for tick in (low, high))
    return a + (value - float(low)) / (float(high) - float(low)) * (b - a)


def y_of(svg: ElementTree.Element, low: str, high: str, value: float) -> float:
    """The same for y; a number's baseline lies 3.5 below its line."""
    a, b = (texts(svg)[tick][1] - 3.5 for tick in (low, high))
    return a + (value - float(low)) / (float(high) - float(low)) * (b - a)


def dots(svg: ElementTree.Element) -> list[tuple[float, float]]:
    """Centers of the circles, in order."""
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in svg.iter(f"{SVG}circle")]


def near(value: Any) -> Any:
    """As near as coordinates with two digits and scales made of two of them can be."""
    return pytest.approx(value, abs=0.06)


def sound(page: str) -> Reader:
    """The page as read, when it is well-formed, whole, and asks nothing of a network."""
    read = Reader(page)
    assert read.wrong == [] and read.open == []
    ids = [attributes["id"] for _, attributes in read.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = [str(attributes["href"]) for tag, attributes in read.tags if tag == "a"]
    assert all(link.startswith("#") and link[1:] in ids for link in links) and len(links) == len(set(links))
    assert not [tag for tag, attributes in read.tags if attributes.get("src") or tag in ("script", "iframe", "object", "form")]
    assert {attributes["href"] for tag, attributes in read.tags if tag == "link"} == {"data:,"}
    assert "url(" not in page and "@import" not in page and "default-src 'none'" in page
    assert re.findall(r"https?://[^\s\"<]+", page) == ["http://www.w3.org/2000/svg"] * page.count("<svg")
    for svg in charts(page).values():
        drawn = [value for each in svg.iter() for name, value in each.attrib.items() if name not in ("id", "aria-labelledby")]
        assert not [value for value in drawn if re.search(r"\b(?:nan|inf)\b", value)]
    return read


def test_every_part_is_there() -> None:
    page = compare_page(replace(results(), failed=[FAILED], statistics={"shop": {"en": {"train": 1234, "coverage": 12.25}}}))
    read = sound(page)
    assert re.findall(r"<h2[^>]*>([^<]*)", page) == ["What was run", GROUP.words, "Corpora"]
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page))
    assert facts == {
        "Corpora": "shop_50%", "Labels kept": "1%", "Encoders": "compact", "Seeds": "1, 2, 3", "Ours": "metats", "Scored on": "test",
        "Tag reading": "lenient", "Dev policy": "full", "Runs end by": "steps and patience", "Runs": "12 finished; 1 failed",
        "Methods": "supervised-single, supervised-multi, metats, supervised-full, vat", "Machine": "device: cpu, threads: 1",
        "Versions": "python 3.11.7, torch 2.13",
    }  # fmt: skip
    assert "fewtag compare shop --labeled 1%" in read.text
    (warning,) = re.findall(r'<p class="warning" role="note">([^<]*)', page)
    assert warning == "Failed, 1 of 13 runs: it was lost (shop_50% 1% compact vat seed 2)"
    assert ["en", "1,234", "", "", "", "", "12.25", ""] in read.rows
    (summary,) = re.findall(r'<p class="summary">([^<]*)', page.replace("\N{NO-BREAK SPACE}", " "))
    assert summary.startswith("shop_50% 1% compact: metats 53.00 ± 2.00, best of the others supervised-multi 47.00 ± 1.73. Test span F1")


def test_the_table_is_that_of_the_terminal() -> None:
    """By hand, and cell by cell what the terminal prints; the best that had the same labels is bold."""
    read = sound(page := compare_page(results()))
    header = ["method", "de", "en", "avg", "Δ", "p t", "p boot", "gap closed", "n", "passes", "seconds"]
    parts = ["Labels alone (1%)", "Labels (1%) and raw text", "Upper bound (100% of the labels)"]
    assert [row for row in read.rows if len(row) == len(header)] == [header, *TABLE]
    assert re.findall(r'<th scope="rowgroup" colspan="11"><span>([^<]*)', page) == parts
    assert re.findall(r'<td class="best">([^<]*)', page) == ["48.67", "57.33", "53.00 ± 2.00"]
    terminal = "\n".join(render.text(table) for table in all_tables(results()))
    for row in TABLE:
        assert re.search(r"\s+".join(re.escape(cell) for cell in row if cell), terminal)
    for note in ("Δ: metats minus the method.", "Gap closed: (method - supervised-multi)", "Passes: of the encoder in training"):
        assert note in read.text


def test_daggers_stand_on_the_page() -> None:
    clear = with_claims(results_of({**SCORES, "metats": [(60, 45.0), (62.1, 39), (64, 47)]}))
    assert ["metats", "43.67", "62.03†"] in [row[:3] for row in Reader(compare_page(clear)).rows]


def test_dots_are_where_their_values_are() -> None:
    rows = [Dots("a", [2.0, None, -1.0], strong=True), Dots("b", [1.0, 3.0, 2.0])]
    svg = ElementTree.fromstring(dot_chart(rows, ["seed 1", "seed 2", "seed 3"], x_label="X", **TEXTS))
    found, lines = dots(svg), texts(svg)
    assert [x for x, _ in found] == near([x_of(svg, "0", "2", v) for v in (2.0, -1.0, 1.0, 3.0, 2.0)])
    middle = {name: lines[name][1] - 3.5 for name in ("a", "b")}
    assert [y for _, y in found] == near([middle["a"] - 5, middle["a"] + 5, middle["b"] - 5, middle["b"], middle["b"] + 5])
    means = [each for each in svg.iter(f"{SVG}line") if each.attrib.get("stroke-width") == "2.4"]
    for end in ("x1", "x2"):
        assert [float(each.attrib[end]) for each in means] == near([x_of(svg, "0", "2", 0.5), x_of(svg, "0", "2", 2.0)])
    assert {"+0.50", "+2.00"} <= set(lines)
    assert [each.attrib["fill"] for each in svg.iter(f"{SVG}circle")] == [COLORS[k] for k in (0, 1, 0, 0, 0)]
    assert "a, seed 3: -1.00" in [each.text for each in svg.iter(f"{SVG}title")]


def test_differences_are_of_the_same_seed() -> None:
    """Averages of multi 45, 48, 48; of metats 51, 53, 55; of single 35, 37, 41. The upper bound would hide all of them."""
    svg = chart(compare_page(results()), "Differences from supervised-multi by seed")
    assert [x for x, _ in dots(svg)] == near([x_of(svg, "-10", "5", v) for v in (-10, -11, -7, 6, 5, 7)])
    assert "supervised-full" not in texts(svg) and {"-9.33", "+6.00"} <= set(texts(svg))
    fewer = replace(results(), runs=[run for run in results().runs if (run.method, run.seed) != ("supervised-multi", 2)])
    svg = chart(compare_page(fewer), "Differences from supervised-multi by seed")
    assert [x for x, _ in dots(svg)] == near([x_of(svg, "-10", "5", v) for v in (-10, -7, 6, 7)])


def test_the_map_shows_each_language() -> None:
    """Metats minus multi, de 6, 6, 8 and en 6, 4, 6; single minus multi, de -10, -6, -4 and en -10, -16, -10."""
    svg = chart(compare_page(results()), "Differences from supervised-multi by language")
    shown = ["".join(each.itertext()) for each in svg.iter(f"{SVG}text")]
    assert [text for text in shown if re.fullmatch(r"[+-]\d+\.\d", text)] == ["-6.7", "-12.0", "-9.3", "+6.7", "+5.3", "+6.0"]
    filled = [each.attrib for each in svg.iter(f"{SVG}rect") if "fill-opacity" in each.attrib]
    assert [each["fill"] for each in filled] == [COLORS[1]] * 3 + [COLORS[0]] * 3
    depths = [float(each["fill-opacity"]) for each in filled]
    assert depths == near([0.7 * v / 12 for v in (20 / 3, 12, 28 / 3, 20 / 3, 16 / 3, 6)])


@pytest.mark.parametrize(("most", "spelled"), [(9.94, "9.9"), (99.44, "99")])
def test_a_map_of_many_columns_stays_inside_its_cells(most: float, spelled: str) -> None:
    names = [f"l{k}" for k in range(13)]
    svg = ElementTree.fromstring(difference_map(["m"], names, [[most, *[-most] * 12]], row_label="r", column_label="c", **TEXTS))
    shown = [each for each in svg.iter(f"{SVG}text") if each.attrib["text-anchor"] == "middle"]
    (cell,) = {float(each.attrib["width"]) for each in svg.iter(f"{SVG}rect")}
    assert [each.text for each in shown if each.text != "r"] == [spelled, *[f"-{spelled}"] * 12]
    assert all(len(str(each.text)) * 0.58 * float(each.attrib["font-size"]) <= cell + 1 for each in shown)


def test_bars_end_at_means_and_whiskers_at_one_deviation() -> None:
    svg = chart(compare_page(results()), "Average F1 by method")
    bars = [each.attrib for each in svg.iter(f"{SVG}rect")]
    ends = [float(each["x"]) + float(each["width"]) for each in bars]
    assert ends == near([x_of(svg, "0", "60", mean) for mean in (113 / 3, 47, 53, 67)])
    whiskers = [re.match(r"M([\d.]+) [\d.]+H([\d.]+)", each.attrib["d"]) for each in svg.iter(f"{SVG}path")]
    low, high = (float(whiskers[1][k]) for k in (1, 2))  # type: ignore[index]
    assert (low, high) == near((x_of(svg, "0", "60", 47 - math.sqrt(3)), x_of(svg, "0", "60", 47 + math.sqrt(3))))
    assert "Whiskers: one standard deviation over seeds" in compare_page(results())


def test_cost_is_drawn_where_it_differs() -> None:
    page = compare_page(results())
    svg = chart(page, "F1 against cost")
    means = (113 / 3, 47, 53)
    logs = [math.log10(passes) for passes in (300, 600, 2400)]  # a factor of eight: logarithmic
    a, b = (texts(svg)[tick][0] for tick in ("500", "2k"))
    expected = [a + (log - math.log10(500)) / (math.log10(2000) - math.log10(500)) * (b - a) for log in logs]
    assert [x for x, _ in dots(svg)] == near(expected)
    assert [y for _, y in dots(svg)] == near([y_of(svg, "40", "50", mean) for mean in means])
    assert {"supervised-single", "supervised-multi", "metats", "encoder passes of training, logarithmic"} <= set(texts(svg))
    alike = replace(results(), runs=[replace(run, passes=1000 + run.seed) for run in results().runs])
    two = replace(results(), runs=[run for run in results().runs if run.method in ("supervised-multi", "metats")])
    for none in (alike, two):
        assert not [title for title in charts(compare_page(none)) if title.startswith("F1 against cost")]


def test_names_in_the_cost_chart_do_not_hide_each_other() -> None:
    marks = [Mark(f"method-number-{k}", 2000 + 30 * (k * 5 % 12), 50 + 0.2 * k, 0.5) for k in range(12)]
    marks += [Mark("far", 300, 40.0), Mark("a-name-that-is-far-too-long-to-stand-beside-its-point", 9000, 50.0)]
    svg = ElementTree.fromstring(cost_chart(marks, x_label="x", y_label="y", **TEXTS))
    boxes = []
    for each in svg.iter(f"{SVG}text"):
        if each.attrib["font-size"] == "9":
            x, y, wide = float(each.attrib["x"]), float(each.attrib["y"]), 0.58 * 9 * len("".join(each.itertext()))
            boxes.append((x - wide * (each.attrib["text-anchor"] == "end"), y - 7, x + wide * (each.attrib["text-anchor"] == "start"), y))
    assert len(boxes) == len(marks)
    over = [(a, b) for k, a in enumerate(boxes) for b in boxes[:k] if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]]
    assert over == [] and min(box[0] for box in boxes) >= 0 and max(box[2] for box in boxes) <= 380


def test_figure_2_by_hand() -> None:
    page = compare_page(curve())
    sound(page)
    svg = chart(page, "F1 by labels kept")
    values = [(1, 40.0), (5, 50.0), (1, 50.0), (5, 60.0)]  # multi, then ours, drawn last
    assert dots(svg) == [near((x_of(svg, "1", "5", x), y_of(svg, "40", "60", y))) for x, y in values]
    bands = [each.attrib["d"] for each in svg.iter(f"{SVG}path") if each.attrib.get("fill-opacity") == "0.18"]
    corners = [list(map(float, re.findall(r"[\d.]+", band))) for band in bands]
    sd = math.sqrt(2)  # of 1 below and 1 above the mean
    for band, first in zip(corners, (50, 40), strict=True):  # ours, then multi
        assert band[1::2] == near([y_of(svg, "40", "60", y) for y in (first - sd, first + 10 - sd, first + 10 + sd, first + sd)])
    assert "Bands: one standard deviation over seeds" in page and "Not shown, as the upper bound: supervised-full." in page
    assert ["supervised-multi", "40.00 ± 1.41", "50.00 ± 1.41", "2"] in Reader(page).rows


def test_figure_2_of_many_methods_is_several_charts_with_ours_in_each() -> None:
    methods = {f"m{k}": 40.0 + k for k in range(9)} | {"metats": 55.0}
    named = {title: svg for title, svg in charts(compare_page(curve(methods=methods))).items() if title.startswith("F1 by labels kept")}
    assert len(named) == 3 and all("metats" in title for title in named)
    assert len({str([y for text, y in texts(svg).items() if text.isdigit()]) for svg in named.values()}) == 1  # one scale


@pytest.mark.parametrize(
    ("fractions", "axis"),
    [
        (("10%", "1%", "5%"), "percent of the labels kept, logarithmic"),
        (("10", "20"), "labeled sentences per language"),
        (("1shot", "5shot"), "shots per label"),
    ],
)
def test_figure_2_has_the_axis_of_its_fractions(fractions: tuple[str, ...], axis: str) -> None:
    svg = chart(compare_page(curve(fractions)), "F1 by labels kept")
    assert axis in texts(svg)
    xs = [x for x, _ in dots(svg)][: len(fractions)]
    assert xs == sorted(xs)  # whatever the order they were asked for in


def test_fractions_of_different_units_have_a_table_only() -> None:
    page = compare_page(curve(("1%", "200", "5shot")))
    sound(page)
    assert not [title for title in charts(page) if title.startswith("F1 by labels kept")]
    assert "no axis in common" in page and ["method", "1%", "200", "5shot", "n"] in Reader(page).rows


def test_ablations_have_their_table() -> None:
    methods = {"supervised-multi": 40.0, "metats-paper": 52.0, "metats-paper-no-meta": 48.0}
    page = compare_page(replace(curve(("1%",), methods), ours="metats-paper"))
    sound(page)
    assert ">Ablations</h2>" in page
    assert ["metats-paper-no-meta", "48.00 ± 1.41", "+4.00", "2"] in Reader(page).rows
    assert len(list(chart(page, "Average F1 by method").iter(f"{SVG}rect"))) == 2  # an ablation is no method beside the others


def test_hostile_text_stays_text() -> None:
    names = {"metats": f"m{EVIL}", "supervised-single": '"><b onload="x">&amp;'}
    found = results()
    runs = [replace(run, method=names.get(run.method, run.method), corpus=EVIL, machine={EVIL: EVIL}) for run in found.runs]
    failed = [{**FAILED, "corpus": EVIL, "reason": f"{EVIL} & more", "method": names["metats"]}]
    statistics_of = {EVIL: {EVIL: {"train": 1.0}}}
    evil = Results(names["metats"], runs, failed, statistics_of, command=EVIL, versions={EVIL: EVIL})
    page = compare_page(evil)
    read = sound(page)
    assert not {"script", "b"} & {tag for tag, _ in read.tags} and not [a for _, a in read.tags if "onload" in a]
    assert "<script" not in page
    for said in (names["metats"], names["supervised-single"], f"{EVIL} & more", f"{EVIL}: {EVIL}"):
        assert said in read.text


def test_groups_whose_names_have_no_latin_letters_have_anchors_of_their_own() -> None:
    runs = [replace(run, corpus=corpus) for corpus in ("店", "店2", "舗", "shop 2", "shop-2") for run in results().runs]
    runs += [replace(run, encoder=f"compact {k}") for k in (1, 2) for run in results().runs]  # as an anchor's first and second block
    read = sound(compare_page(Results("metats", [*runs, *results().runs])))
    assert len([tag for tag, _ in read.tags if tag == "a"]) == 9


def without(*dropped: str, seeds: int = 3, languages: tuple[str, ...] = ("de", "en")) -> Results:
    found = results()
    runs = [run for run in found.runs if run.method not in dropped and run.seed <= seeds]
    return replace(found, runs=[replace(run, f1={x: run.f1[x] for x in languages}) for run in runs], tests=[])


HOLES = {
    "nothing": Results("metats", []),
    "nothing but failures": Results("metats", [], [FAILED, {**FAILED, "seed": "3"}, {**FAILED, "seed": "4", "reason": "another"}]),
    "one run": without("supervised-single", "supervised-multi", "supervised-full", seeds=1),
    "one seed": without(seeds=1),
    "one language": without(languages=("de",)),
    "one method": without("supervised-single", "metats", "supervised-full"),
    "only the bound": without("supervised-single", "metats", "supervised-multi"),
    "no reference": without("supervised-multi"),
    "no ours": without("metats"),
    "two upper bounds": replace(without(), runs=[replace(run, kind="all") for run in without().runs]),
    "no seed in common": replace(without(), runs=[replace(run, seed=run.seed + 9 * (run.method != MULTI)) for run in without().runs]),
    "no cost": replace(without(), runs=[replace(run, passes=0) for run in without().runs]),
    "some cost nothing": replace(without(), runs=[replace(run, passes=9 * (run.method == "metats")) for run in without().runs]),
    "all scores zero": replace(without(), runs=[replace(run, f1=dict.fromkeys(run.f1, 0.0)) for run in without().runs]),
    "a method in one group only": replace(curve(), runs=[r for r in curve().runs if (r.method, r.labeled) != ("metats", "5%")]),
    "one seed in one group": replace(curve(), runs=[run for run in curve().runs if (run.labeled, run.seed) != ("5%", 2)]),
    "only the bound by fraction": replace(curve(), runs=[run for run in curve().runs if run.kind == "all"]),
    "by fraction without ours": replace(curve(), runs=[run for run in curve().runs if run.method == "supervised-multi"]),
    "a budget and dev": replace(results(), runs=[replace(run, budget=5000, split="dev", dev="matched") for run in results().runs]),
}


@pytest.mark.parametrize("hole", HOLES)
def test_what_is_missing_is_left_out(hole: str) -> None:
    page = compare_page(HOLES[hole])
    read = sound(page)
    assert ">What was run</h2>" in page
    if hole == "one seed":
        assert "Whiskers" not in page and "Average F1 over languages by method, one seed." in page
        assert ["metats", "46.00", "56.00", "51.00"] in [row[:4] for row in read.rows]
    if hole.startswith("nothing"):
        assert "No run has finished." in read.text and "<svg" not in page
    if hole == "nothing but failures":
        assert "Failed, 2 of 3 runs: it was lost (shop_50% 1% compact vat seed 2; shop_50% 1% compact vat seed 3)" in read.text
        assert "Failed, 1 of 3 runs: another (shop_50% 1% compact vat seed 4)" in read.text
    if hole in ("no reference", "no seed in common", "one method", "one run", "only the bound"):
        assert not [title for title in charts(page) if title.startswith("Differences")]
    if hole == "one language":
        assert not [title for title in charts(page) if "by language" in title]
    if hole == "one seed in one group":
        assert "Bands:" not in page  # no deviation is known there: a band that closes would claim one
    if hole == "a budget and dev":
        assert "5,000 encoder passes" in read.text and "<dd>matched</dd>" in page and "<dd>dev</dd>" in page


def test_the_page_is_made_of_compare_json_alone(tmp_path: Path) -> None:
    found = replace(results(), failed=[FAILED])
    assert tmp_path / "first" / "compare.html" in write(found, tmp_path / "first")
    page = (tmp_path / "first" / "compare.html").read_text(encoding="utf-8")
    write(Results.load(tmp_path / "first" / "compare.json"), tmp_path / "again")
    assert page == (tmp_path / "again" / "compare.html").read_text(encoding="utf-8") == compare_page(found)


def test_the_command_line_writes_it_and_says_where(tmp_path: Path) -> None:
    corpus_folder(tmp_path)
    methods, rows = "supervised-multi,supervised-full", ["supervised-multi", "supervised-full", "brief"]
    words = [
        "-m",
        methods,
        "--variant",
        "brief=supervised-multi: train.max_steps=6",
        "--labeled",
        "20%,40%",
        "--seeds",
        2,
        "--bootstrap",
        100,
    ]
    process = start("compare", "shop", "-o", "out", *words, *WORDS, folder=tmp_path)
    told, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert f"\npage     {Path('out') / 'compare.html'}\n" in told
    page, runs = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8"), Results.load(tmp_path / "out" / "compare.json").runs
    read = sound(page)
    shown = [[cell.rstrip("†‡") for cell in row[:4]] for row in read.rows]
    for labeled, method in itertools.product(("20%", "40%"), rows):
        own = [run for run in runs if (run.labeled, run.method) == (labeled, method)]
        averages = [run.average for run in own]
        languages = [f"{statistics.fmean(run.f1[language] for run in own):.2f}" for language in ("pt", "tr")]
        assert [method, *languages, f"{statistics.fmean(averages):.2f} ± {statistics.stdev(averages):.2f}"] in shown
    for kind in ("Average F1 by method", "Differences from supervised-multi by seed", "F1 against cost"):
        assert len([title for title in charts(page) if title.startswith(kind)]) == 2
    assert len([title for title in charts(page) if title.startswith("F1 by labels kept, shop")]) == 1
    assert "12 finished, 10 of them different: one may stand in several groups; 0 failed" in read.text
    assert "fewtag compare shop -o out -m" in read.text


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_browser_shows_it_on_a_phone_and_on_paper(tmp_path: Path) -> None:
    many = replace(results(), runs=[replace(run, f1={f"l{k}": run.average + k for k in range(12)}) for run in results().runs], tests=[])
    for each in (replace(results(), failed=[FAILED]), many, curve()):
        page = compare_page(each)
        found = measured(page, tmp_path)
        assert (found.width, found.asked, found.outside) == (390, 0, 0)
        assert found.charts == page.count("<svg") >= 4
    outside = compare_page(curve()).replace("percent of the labels kept", "percent " * 30)
    assert measured(outside, tmp_path).outside > 0  # the measure would notice
    rows = screenshot(compare_page(replace(results(), command="")), tmp_path, 390, 2400)
    assert len(rows) == 2400 and {len(row) for row in rows} == {390}
    blue = [round(255 - 0.9 * (255 - int(COLORS[0][k : k + 2], 16))) for k in (1, 3, 5)]  # the bar of ours lets a tenth of white through
    bar = [sum(max(abs(a - b) for a, b in zip(pixel, blue, strict=True)) <= 2 for pixel in row[::10]) > 10 for row in rows]
    assert 8 <= sum(bar) <= 16  # 12 units high
    paper = printed(page, tmp_path)
    assert paper.startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 6
