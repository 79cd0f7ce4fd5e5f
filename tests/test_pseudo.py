"""How pseudo-labels are followed, the alarm that must neither cry for nothing nor sleep, and two taggers held against each other."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fewtag.cli.app import app
from fewtag.data.queries import write_corpus
from fewtag.errors import ConfigError, DataError
from fewtag.evaluation import KINDS
from fewtag.experiments.drift import Drift, Fall, Shift, distance, drift, permutation_p
from fewtag.experiments.pseudo import Course, Row, course_of
from fewtag.experiments.pseudo_cases import flips, worst_of
from fewtag.experiments.pseudo_page import pseudo_page
from fewtag.experiments.pseudo_text import bracketed, course_text, readings_text
from fewtag.experiments.record import Record
from fewtag.experiments.two_readings import Both, compared, raw_sentences, two_readings
from fewtag.text import Sentence
from fewtag.training.run import train
from test_report import Reader

EVIL = "<script>alert(1)</script>"


def event(
    step: int, tags: dict[str, str], *, language: str = "de", stage: str = "interact", feedback: float | None = None
) -> dict[str, Any]:
    """One line of pseudo.jsonl: id -> tags with spaces between."""
    said = [each.split() for each in tags.values()]
    return {"stage": stage, "step": step, "language": language, "feedback": feedback, "ids": list(tags), "tags": said}


# Flips


def test_flips_by_hand() -> None:
    events = [
        event(10, {"a": "B-x O", "b": "O"}),
        event(20, {"a": "B-x B-y", "c": "O O O"}),  # a came again: one of its two tokens changed
        event(30, {"b": "O", "a": "O B-y"}),  # both came again, 3 tokens; the first of a changed, held against step 20
        event(40, {"d": "B-x"}),
    ]
    assert flips(events) == [(0, 0, 0), (1, 2, 1), (2, 3, 1), (0, 0, 0)]


def test_a_sentence_twice_in_one_step_has_not_come_again() -> None:
    twice = {"stage": "interact", "step": 10, "language": "de", "feedback": None, "ids": ["a", "a"], "tags": [["O"], ["B-x"]]}
    assert flips([twice]) == [(0, 0, 0)]


# The alarm


def test_distance_by_hand() -> None:
    """x .25, y 0, none .75 against x .5, y .25, none .25: half of .25 + .25 + .5."""
    assert distance([["B-x", "O"], ["O", "O"]], [["B-x", "I-x", "B-y", "O"]]) == pytest.approx(0.5)
    assert distance([["B-x", "O"]], [["B-x", "O"], ["I-x", "O"]]) == 0  # shares of tokens, not numbers; B or I does not matter
    assert distance([["O"]], [["B-x"]]) == 1


def test_permutations_agree_with_all_of_them() -> None:
    """Seven sentences, three of them in the first group: 35 ways to choose these."""
    counts = np.array([[3, 0], [2, 1], [4, 1], [1, 3], [0, 2], [1, 2], [2, 2]], dtype=float)

    def apart(first: tuple[int, ...]) -> float:
        a, b = counts[list(first)].sum(axis=0), counts[[i for i in range(7) if i not in first]].sum(axis=0)
        return float(abs(a / a.sum() - b / b.sum()).sum() / 2)

    exact = np.mean([apart(chosen) >= apart((0, 1, 2)) - 1e-9 for chosen in combinations(range(7), 3)])
    found = permutation_p(
        counts,
        [3, 4],
        lambda s: np.abs(s[:, 0] / s[:, 0].sum(1, keepdims=True) - s[:, 1] / s[:, 1].sum(1, keepdims=True)).sum(1) / 2,
        20000,
        [1],
    )
    assert found == pytest.approx(float(exact), abs=0.01)


def labeled(chooser: random.Random, brand: float) -> str:
    """A sentence of three to six tokens that has a liking for one label of its own, as real ones have."""
    own = chooser.choice("pqr")
    return " ".join(
        chooser.choices(["B-brand", "O", f"B-{own}", "B-s"], [brand, 0.3, 0.4 - brand / 2, 0.3 - brand / 2])[0]
        for _ in range(chooser.randint(3, 6))
    )


def planted(seed: int, brand: Callable[[float], float], languages: tuple[str, ...] = ("de",)) -> list[dict[str, Any]]:
    """24 recorded steps of 16 sentences; brand: its share of the tokens, by the share of the steps done."""
    chooser = random.Random(seed)
    steps = [(step, languages[step % len(languages)]) for step in range(24)]
    return [
        event(10 * step + 10, {f"{step}/{k}": labeled(chooser, brand(step / 24)) for k in range(16)}, language=language)
        for step, language in steps
    ]


def test_without_drift_hardly_ever_an_alarm() -> None:
    found = [drift(planted(seed, lambda done: 0.12), {}, "lenient") for seed in range(200)]
    shifts = [each.shifts[0] for each in found]
    assert sum(shift.distance > 0.05 for shift in shifts) > 50  # the distance alone would alarm
    assert sum(bool(each.alarms) for each in found) <= 5  # 1 % of 200 is 2, and 2 is 5 or less 98 times of 100
    for level, low, high in ((0.1, 10, 31), (0.5, 82, 118)):  # where 99 % of counts of honest p-values lie
        assert low <= sum(shift.p_value < level for shift in shifts) <= high


def test_planted_drift_is_always_noticed() -> None:
    for seed in range(20):
        found = drift(planted(seed, lambda done: 0.12 if done < 0.5 else 0.42), {}, "lenient")
        assert len(found.alarms) == 1 and found.sentences[0].startswith("de: B/I of 'brand' went from ")
        assert found.sentences[0].endswith("; the teacher drifts")


def test_the_alarm_in_words() -> None:
    shift = Shift("de", "interact", (128, 128), 0.1, 0.0005, "brand", 0.118, 0.212, (0.3, 0.25))
    assert shift.sentence == (
        "de: B/I of 'brand' went from 12 % of the tokens to 21 % in stage interact (distance 0.10, p <0.001); the teacher drifts"
    )
    silent = Shift("de", "interact", (128, 128), 0.04, 0.0005, "brand", 0.12, 0.15, (0.3, 0.1))
    assert not silent.alarms and "tokens without a label from 30 % to 10 %" in silent.moved
    assert Drift((silent,), ()).sentences == ["no sign of drift"]
    fall = Fall("de", "interact", 70.0, 60.0, 0.002)
    assert Drift((silent,), (fall,), (("fr", "interact"),)).sentences == [
        "de: F1 of the pseudo-labels fell from 70.0 in the best fifth of stage interact to 60.0 in the last (p 0.002); "
        "the teacher unlearns",
        "fr: too few recorded steps in stage interact to tell",
    ]
    assert "too few recorded steps" in drift([event(10, {"a": "O"})], {}, "lenient").sentences[0]


def test_many_tests_can_still_alarm() -> None:
    """Thirty languages: with 2000 permutations Holm's correction would leave no p below 30 / 2001."""
    events: list[dict[str, Any]] = []
    for number in range(30):
        brand = (lambda done: 0.02 if done < 0.5 else 0.6) if number == 7 else (lambda done: 0.12)
        events += planted(number, brand, (f"x{number}",))
    found = drift(events, {}, "lenient")
    assert len(found.alarms) == 1 and found.alarms[0].startswith("x7: ") and found.permutations == 6000


def judged(seed: int, right: Callable[[float], float]) -> Drift:
    """25 recorded steps of 12 sentences with gold; right: the share of tokens tagged as gold."""
    chooser, gold, events = random.Random(seed), {}, []
    for step in range(25):
        some = {}
        for k in range(12):
            name = f"{step}/{k}"
            gold[name] = [f"B-{chooser.choice('pqr')}" for _ in range(chooser.randint(2, 5))]
            some[name] = " ".join(tag if chooser.random() < right(step / 25) else "O" for tag in gold[name])
        events.append(event(10 * step + 10, some))
    return drift(events, gold, "lenient")


def test_f1_that_falls_alarms_and_f1_that_wavers_does_not() -> None:
    steady = [judged(seed, lambda done: 0.7).falls[0] for seed in range(60)]
    assert sum(fall.best - fall.last > 2 for fall in steady) > 20  # two points alone are nothing
    assert sum(fall.alarms for fall in steady) <= 2
    falling = [judged(seed, lambda done: 0.8 if done < 0.8 else 0.4).falls[0] for seed in range(10)]
    assert all(fall.alarms for fall in falling)
    rising = [judged(seed, lambda done: 0.4 + 0.5 * done).falls[0] for seed in range(10)]
    assert not any(fall.alarms for fall in rising)


# The worst


def test_worst_by_errors_and_by_flips() -> None:
    texts = {name: Sentence(("big", "red", "shoe"), None, "de", name) for name in "abc"}
    events = [
        event(10, {"a": "B-x O O", "b": "O O O"}),
        event(20, {"a": "O O O", "b": "B-x B-x B-x", "c": "O O B-y"}),
        event(30, {"a": "B-x B-y O", "b": "B-x B-x B-x"}),
    ]
    gold = {"a": ("B-x", "O", "O"), "b": ("O", "O", "O"), "c": ("O", "O", "B-y")}
    first, second = worst_of(events, gold, texts, "lenient", 9)  # c has no error
    assert (first.sentence.id, first.count, first.step) == ("b", 3, 30)  # of two equal labelings the later
    assert (second.sentence.id, second.count, second.sentence.tags) == ("a", 1, gold["a"])
    first, second = worst_of(events, {}, texts, "lenient", 9)
    assert (first.sentence.id, first.count, first.before, first.tags) == ("a", 3, ("O", "O", "O"), ("B-x", "B-y", "O"))  # 1, then 2 tokens
    assert (second.sentence.id, second.count) == ("b", 3)
    assert worst_of(events, {}, texts, "lenient", 1) == [first]


def test_spans_in_brackets() -> None:
    assert bracketed(["new", "york", "is", "big"], ["B-LOC", "I-LOC", "O", "B-x"], "lenient") == "[new york LOC] is [big x]"
    assert bracketed(["a", "b"], ["O", "I-x"], "strict") == "a b"


# Two readings


def both(name: str, gold: str | None, first: str, second: str, language: str = "en") -> Both:
    tags = tuple(gold.split()) if gold is not None else None
    said = tuple(first.split()), tuple(second.split())
    return Both(Sentence(tuple(f"w{k}" for k in range(len(said[0]))), tags, language, name), *said)


PAIRS = [
    both("1", "B-a O", "B-a O", "O O"),  # the second misses it
    both("2", "B-a I-a O", "B-a O O", "B-a I-a O"),  # the first cuts it short; two of three tokens in spans
    both("3", "B-a B-b", "B-b B-b", "B-b B-b"),  # both take one for another label
    both("4", "O O O", "O O O", "B-b O O"),  # the second sees what is not there
    both("5", None, "B-a", "O"),  # nobody knows
]


@pytest.fixture
def records(tmp_path: Path) -> tuple[Record, Record]:
    one = Record(tmp_path / "one", {"method": "metats"}, {"data": {"dir": "none"}}, {}, {}, {})
    return one, Record(tmp_path / EVIL, {"method": EVIL}, {}, {}, {}, {})


def test_counts_of_table_8_by_hand(records: tuple[Record, Record]) -> None:
    found = compared(*records, {"en": PAIRS}, "lenient", 3)
    total = found.languages["en"]
    assert (total.sentences, total.differ, total.judged) == (5, 4, 4)
    assert (total.only_first, total.only_second, total.both, total.neither) == (2, 1, 0, 1)
    assert total.errors == (
        {"boundary": 1, "type": 1, "both": 0, "missed": 0, "spurious": 0},
        {"boundary": 0, "type": 1, "both": 0, "missed": 1, "spurious": 1},
    )
    assert (total.dense, total.dense_wrong) == (2, (2, 1))  # 2 and 3; half of the tokens is not more than half
    assert total.f1 == (pytest.approx(50.0), pytest.approx(50.0))  # two of four gold spans, four said
    assert total.gain is not None and total.gain.delta == pytest.approx(0)
    assert [(case.kind, case.both.sentence.id, case.spans) for case in found.cases] == [
        ("boundary", "2", 2), ("missed", "1", 1), ("spurious", "4", 1),
    ]  # fmt: skip
    text = readings_text(found)
    assert "  gold    [w0 a] w1\n  first   [w0 a] w1\n  second  w0 w1" in text
    assert "1 / 0" in text and "Transition contexts" in text


def test_without_gold_only_differences(records: tuple[Record, Record]) -> None:
    blind = [Both(each.sentence.without_tags(), each.first, each.second) for each in PAIRS]
    found = compared(*records, {"en": blind}, "lenient", 1)
    assert found.total.f1 is None and found.total.gain is None and (found.total.differ, found.total.judged) == (4, 0)
    assert [case.kind for case in found.cases] == ["boundary", "missed", "spurious"]
    text = readings_text(found)
    assert "only differences are shown" in text and "F1 first" not in text and "only the second has a span there" in text


def test_cases_take_languages_in_turn(records: tuple[Record, Record]) -> None:
    some = {lang: [both(f"{lang}{k}", "B-a", "B-a", "O", lang) for k in range(5)] for lang in ("de", "fr")}
    assert [case.both.sentence.language for case in compared(*records, some, "lenient", 4).cases] == ["de", "fr", "de", "fr"]


def test_all_is_the_mean_over_languages(records: tuple[Record, Record]) -> None:
    """One of ten spans missed in de, the only one in fr: 100 and 0 are 50, however many sentences each has."""
    some = {"de": [both(f"de{k}", "B-a", "B-a", "B-a", "de") for k in range(10)], "fr": [both("fr", "B-a", "B-a", "O", "fr")]}
    found = compared(*records, some, "lenient", 1)
    assert found.total.f1 == (pytest.approx(100), pytest.approx(50)) and found.total.sentences == 11
    assert found.total.gain is not None and found.total.gain.delta == pytest.approx(-50)


# The page


def test_the_page_holds_hostile_text_as_text_and_asks_no_network(records: tuple[Record, Record]) -> None:
    evil = Sentence((EVIL, "&"), ("B-<b>", "O"), "de", EVIL)
    steps = [event(step, {EVIL: f"B-<i> B-{EVIL}", "b": "O"}, stage=EVIL) for step in range(10, 70, 10)]
    row = Row(EVIL, 10, 20, 2, 4, 4, 50.0, 30, 0.5, 0.9, None, -0.1)
    worst = worst_of(steps, {EVIL: evil.tags or ()}, {EVIL: evil}, "lenient", 3)
    told = drift(steps, {}, "lenient")
    by_language = {EVIL: {"de": [(15.0, 50.0), (25.0, 60.0)], EVIL: [(15.0, 40.0)]}}
    course = Course(records[0], "lenient", {EVIL: [row, row]}, [row, row, row], by_language, told, worst, [EVIL])
    hostile = Both(evil, ("B-<b>", "O"), ("O", f"B-{EVIL}"))
    page = pseudo_page(course, compared(*records, {"de": [hostile]}, "lenient", 3, [EVIL]))
    read = Reader(page)
    assert read.wrong == [] and read.open == []
    assert not {"script", "b", "i", "iframe", "object", "img"} & {tag for tag, _ in read.tags}
    assert EVIL in read.text
    assert {attributes["href"] for tag, attributes in read.tags if tag == "link"} == {"data:,"}
    assert page.count("://") == page.count("http://www.w3.org/2000/svg") == page.count("<svg") == 2
    for part in (
        "Over the steps",
        "By language",
        "Drift",
        "Worst pseudo-labels",
        "Two taggers on the same raw text",
        "Where they differ most",
    ):
        assert f">{part}</h2>" in page
    assert "Two taggers: metats, one" in pseudo_page(None, compared(*records, {"en": PAIRS}, "lenient", 3))


# Real runs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder, a run on raw text, and one on labels alone, other ones."""
    folder = tmp_path_factory.mktemp("pseudo")
    write_corpus(folder / "shop", scale=0.01)
    data = folder / "shop"
    quick = {"train__max_steps": 12, "train__semi_supervised_steps": 120, "train__finetune_steps": 6, "train__evaluate_every": 60}
    settings = {**quick, "evaluation__bootstrap": 0, "data__languages": "pt,tr", "labeled": "30%"}
    train(data, folder / "metats", method="metats", **settings)
    train(data, folder / "multi", method="supervised-multi", seed=5, **settings)
    return folder


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, ["pseudo", *map(str, words)])


def refused(kind: type[Exception], *words: object) -> str:
    done = typed(*words)
    assert isinstance(done.exception, kind), (done.exception, done.output)
    return str(done.exception)


def test_f1_is_what_the_run_said_of_itself(place: Path) -> None:
    course = course_of(Record.load(place / "metats"))
    said = json.loads((place / "metats" / "pseudo_labels.json").read_text())
    assert {stage: [row.f1 for row in rows] for stage, rows in course.stages.items()} == said["f1"]
    assert {row.name: row.f1 for row in course.languages[:-1]} == said["f1_by_language"]
    assert course.languages[-1].judged == said["sentences"] == sum(row.sentences for row in course.stages["interact"])


def test_what_the_journal_measured_stands_at_its_steps(place: Path) -> None:
    course = course_of(Record.load(place / "metats"))
    evaluations = [e for e in Record.load(place / "metats").events[""] if e.get("stage") == "interact" and e.get("losses")]
    assert [e["step"] for e in evaluations] == [60, 120]
    rows = course.stages["interact"]
    kept = {60: evaluations[0]["losses"]["kept"], 120: evaluations[1]["losses"]["kept"]}
    assert len(rows) == 10 and [rows[0].kept, rows[-1].kept] == [kept[60], kept[120]]
    assert rows[0].agreement == evaluations[0]["losses"]["agreement"] and rows[-1].feedback == evaluations[1]["losses"]["feedback"]
    (alone,) = course_of(Record.load(place / "metats"), languages=("tr",)).languages[:-1]
    own = [e["losses"]["kept/tr"] for e in evaluations]
    assert alone.kept == pytest.approx(sum(own) / len(own))


def test_flips_are_given_from_twenty_sentences_on(place: Path) -> None:
    course = course_of(Record.load(place / "metats"))
    for row in course.stages["interact"]:
        assert (row.flips is None) == (row.recurred < 20)
    assert course.languages[-1].flips is not None
    counted = Counter(name for each in Record.load(place / "metats").pseudo_labels() for name in set(each["ids"]))
    assert course.languages[-1].recurred >= sum(count - 1 for count in counted.values())


def test_the_command_shows_the_course(place: Path) -> None:
    done = typed(place / "metats", "--worst", 2, "--html", place / "page.html")
    assert done.exit_code == 0, done.exception
    for part in (
        "stage interact",
        "flips %",
        "agreement %",
        "worst pseudo-labels",
        "  gold    ",
        "  pseudo  ",
        f"page  {place / 'page.html'}",
    ):
        assert part in done.stdout
    assert done.stdout.count("span error") == 2
    page = (place / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 3 and Reader(page).wrong == []
    one = typed(place / "metats", "--lang", "tr", "--json")
    values = json.loads(one.stdout)
    assert [row["name"] for row in values["languages"]] == ["tr", "all"] and values["against"] is None
    assert values["drift"]["permutations"] == 2000 and values["method"] == "metats"


def test_neither_run_had_labels_of_what_both_tag(place: Path) -> None:
    first, second = Record.load(place / "metats"), Record.load(place / "multi")
    ours, theirs = ({name for some in each.data["labeled_ids"].values() for name in some} for each in (first, second))
    assert theirs - ours  # other labels, so something must be left out
    drawn, hidden, notes = raw_sentences(first, second, (), 500)
    names = {s.id for some in drawn.values() for s in some}
    assert names and not names & (ours | theirs) and notes == []
    assert names | ours | theirs == {*hidden, *ours} and all(s.tags is None for some in drawn.values() for s in some)
    assert raw_sentences(first, second, ("tr",), 7) == raw_sentences(first, second, ("tr",), 7)
    assert {lang: len(some) for lang, some in raw_sentences(first, second, (), 7)[0].items()} == {"pt": 7, "tr": 7}


def test_two_taggers_at_the_command_line(place: Path) -> None:
    done = typed(place / "multi", "--against", place / "metats", "--sentences", 20, "--json")
    assert done.exit_code == 0, done.exception
    assert "has no pseudo-labels" in done.stderr and "--against" not in done.stderr  # it is being done
    found = json.loads(done.stdout)["against"]
    assert found["all"]["sentences"] == found["all"]["judged"] == 40
    assert sum(found["all"][name] for name in ("only_first", "only_second", "both", "neither")) == 40
    assert {case["kind"] for case in found["cases"]} <= set(KINDS)
    same = two_readings(Record.load(place / "metats"), Record.load(place / "metats"), sentences=10)
    assert same.total.differ == 0 and same.cases == [] and same.total.errors[0] == same.total.errors[1]
    text = typed(place / "metats", "--against", place / "multi", "--sentences", 20, "--html", place / "two.html", "--force").stdout
    assert "stage interact" in text and "groups of Table 8" in text and "only first right" in text
    assert "Where they differ most" in (place / "two.html").read_text(encoding="utf-8")


def test_what_cannot_be_shown_is_said_in_a_sentence(place: Path, tmp_path: Path) -> None:
    run = place / "metats"
    assert "there is no such folder" in refused(ConfigError, place / "nothing")
    assert "it is no run folder" in refused(ConfigError, place / "shop")
    assert refused(ConfigError, place / "multi") == (
        f"{place / 'multi'} has no pseudo-labels: it was trained by supervised-multi, which learns from labels alone; "
        f"fewtag pseudo {place / 'multi'} --against OTHER_RUN still compares the taggers"
    )
    assert "unknown language 'pl'" in refused(ConfigError, run, "--lang", "pt,pl")
    single = Path(shutil.copytree(place / "multi", tmp_path / "single"))
    (single / "model").rename(single / "languages")
    assert "delivers no one tagger" in refused(ConfigError, run, "--against", single)
    (single / "languages").rename(single / "gone")
    assert "its tagger is gone" in refused(ConfigError, single, "--against", run)
    taken = tmp_path / "taken.html"
    taken.write_text("mine")
    assert "use --force to replace it" in refused(ConfigError, run, "--html", taken)
    assert taken.read_text() == "mine"
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (copy / "metrics.json").rename(copy / "old.json")
    assert "has not ended; go on with: fewtag train --resume" in refused(ConfigError, copy)
    (copy / "old.json").rename(copy / "metrics.json")
    described = json.loads((copy / "data.json").read_text())
    (copy / "data.json").write_text(json.dumps({**described, "labels": [*described["labels"][1:], "Zebra"]}))
    said = refused(ConfigError, run, "--against", copy)
    assert "different labels" in said and f"only {copy} knows Zebra" in said and described["labels"][0] in said
    (copy / "data.json").write_text(json.dumps({**described, "labeled_ids": {"pt": [], "tr": []}}))
    assert "gives other labeled sentences" in refused(DataError, copy)
    (copy / "pseudo.jsonl").write_text("{")
    assert "pseudo.jsonl:1: not readable as a JSON object" in refused(DataError, copy)
    (copy / "pseudo.jsonl").write_text("")
    assert "trained by metats, which recorded none" in refused(ConfigError, copy)


def test_no_sentence_left_is_said(place: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(place / "multi", tmp_path / "all"))
    described = json.loads((copy / "data.json").read_text())
    corpus = Record.load(place / "metats").corpus(place / "shop", ("train",), ["pt", "tr"])
    every = {language: [s.id for s in some] for language, some in corpus.split("train").items()}
    (copy / "data.json").write_text(json.dumps({**described, "labeled_ids": every}))
    said = refused(DataError, place / "metats", "--against", copy)
    assert said == f"no raw sentence is left that neither {place / 'metats'} nor {copy} had the labels of"


def test_data_that_moved_changed_or_are_gone(place: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(place / "metats", tmp_path / "run"))
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(str(place / "shop"), str(tmp_path / "gone")))
    blind = typed(run)
    assert blind.exit_code == 0 and "nothing is compared with gold" in blind.stderr and "none has gold" in blind.stdout
    assert "no such folder" in refused(DataError, run, "--worst", 1)  # texts lie there
    assert typed(run, "--data", place / "shop").stdout == typed(place / "metats").stdout.replace(str(place / "metats"), str(run))
    moved = Path(shutil.copytree(place / "shop", tmp_path / "moved"))
    path = moved / "tr" / "train.conll"
    path.write_text(path.read_text() + "\nnew\tO\n")
    assert "train.conll is not the file that this run was trained on" in refused(DataError, run, "--data", moved)


def test_all_stands_beside_several_languages_only(place: Path) -> None:
    record = Record.load(place / "metats")
    both, one = course_of(record), course_of(record, languages=["tr"])
    assert [row.name for row in both.shown_languages] == ["pt", "tr", "all"] and [row.name for row in one.shown_languages] == ["tr"]
    row = '<th scope="row">all</th>'
    assert "\nall " in course_text(both) and row in pseudo_page(both, None)
    assert "\nall " not in course_text(one) and row not in pseudo_page(one, None)


def test_the_course_in_words(place: Path) -> None:
    text = course_text(course_of(Record.load(place / "metats")))
    assert text.startswith(f"{place / 'metats'}: metats; ") and "(span F1 in percent, lenient)" in text
    assert "F1 of a row depends on which languages its steps drew" in text
