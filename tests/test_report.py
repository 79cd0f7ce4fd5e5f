"""The report of a run: its numbers are the run's, hostile text stays text, and a browser shows it whole without a network."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from fewtag.errors import ConfigError, DataError
from fewtag.evaluation import count_errors, evaluate
from fewtag.evaluation.confusion import NONE, confusion
from fewtag.experiments.error_views import best_cases, worst_cases
from fewtag.experiments.page import Code, Facts, Figures, Marked, Piece, Reading, Section, Table, Text, render
from fewtag.experiments.record import Record
from fewtag.experiments.run_report import run_page, write_report
from fewtag.training.journal import Journal, read_events
from pages import CHROMIUM, EVIL, Reader, measured
from test_floors import WITHOUT_TORCH

# Five sentences: right, another label, another range, nothing found where there is something, something found where there is nothing.
GOLD = {
    "en": [
        ("red", "B-color"),
        ("big red", "O B-color"),
        ("new york city", "B-place I-place I-place"),
        ("blue", "B-color"),
        ("so what", "O O"),
    ],
    "no": [(f"{EVIL} & co", f"B-<b>{EVIL} O O")],
}
PREDICTED = {
    "en": ["B-color", "O B-place", "B-place I-place O", "O", "O B-color"],
    "no": [f"O B-<b>{EVIL} O"],
}


def write_run(folder: Path, *, by_language: bool = False) -> Path:
    """A data folder and a run on it, as `fewtag train` would leave them, made by hand."""
    gold = {lang: [tuple(tags.split(" ")) for _, tags in some] for lang, some in GOLD.items()}
    predicted = {lang: [tuple(tags.split(" ")) for tags in some] for lang, some in PREDICTED.items()}
    run = folder / "run"
    for lang, some in GOLD.items():
        for split in ("dev", "test"):
            path = folder / "data" / lang / f"{split}.conll"
            path.parent.mkdir(parents=True, exist_ok=True)
            pairs = [zip(text.split(" "), tags.split(" "), strict=True) for text, tags in some]
            blocks = ["".join(f"{token}\t{tag}\n" for token, tag in each) for each in pairs]
            path.write_text("\n".join(f"# id = {lang}-{split}-{k}\n{block}" for k, block in enumerate(blocks)), encoding="utf-8")
            place = run / "languages" / lang if by_language else run
            (place / "predictions").mkdir(parents=True, exist_ok=True)
            lines = [
                {"id": f"{lang}-{split}-{k}", "lang": lang, "text": text, "entities": [], "tokens": text.split(" "), "tags": list(tags)}
                for k, ((text, _), tags) in enumerate(zip(some, predicted[lang], strict=True))
            ]
            (place / "predictions" / f"{split}.{lang}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = evaluate(gold, predicted, bootstrap=50).to_json()
    counts = {lang: {"labeled": 3, "unlabeled": 1234, "dev": len(some), "test": len(some)} for lang, some in GOLD.items()}
    metrics = {"method": "metats", "encoder": "compact", "seed": 13, "digest": "0123456789ab", "seconds": 1.5, "steps": 20, "notes": [EVIL]}
    config = {"data": {"dir": str(folder / "data"), "labeled": "10%"}, "method": {"name": "metats", "note": EVIL}}
    (run / "config.toml").write_text(tomli_w.dumps(config))
    dump(run / "metrics.json", {**metrics, "dev": report, "test": report})
    dump(run / "data.json", {"files": {}, "labels": ["color", "place"], "counts": counts, "labeled_ids": {}})
    dump(run / "env.json", {"versions": {"python": "3.11"}, "machine": {"device": "cpu", "threads": 1}, "command": ["fewtag", EVIL]})
    scores = {"en": 51.5, "no": 20.25}
    evaluation = {"event": "evaluation", "dev_f1": 35.875, "dev_f1_by_language": scores, "is_best": True}
    rest = {"student": 1.5, "meta": 0.01, "kept": 0.75, "kept/en": 0.8, "kept/no": 0.7}
    rest |= {"gradient supervised": 2.0, "gradient regularization": 0.05, "gradient meta": 0.0}
    first = {**rest, **_told("", 4, -0.001, 0.2), **_told("/en", 3, -0.001, 0.0), **_told("/no", 1, -0.001, 0.8)}
    second = {**rest, **_told("", 4, 0.003, 0.4), **_told("/en", 1, 0.003, 0.4), **_told("/no", 3, 0.003, 0.4), "gradient meta": 0.0004}
    events: list[dict[str, Any]] = [
        {**evaluation, "stage": "warm-up", "step": 50, "losses": {"supervised": 2.0}},
        {"event": "stage_done", "stage": "warm-up", "step": 100, "best_dev_f1": 35.875, "best_step": 50},
        {**evaluation, "stage": "interact", "step": 50, "losses": {**first, "agreement": 0.5, "agreement/en": 0.25, "agreement/no": 0.75}},
        {**evaluation, "stage": "interact", "step": 100, "losses": {**second, "agreement": 0.8, "agreement/en": 0.85, "agreement/no": 0.7}},
    ]
    for place in [run / "languages" / lang for lang in GOLD] if by_language else [run]:
        (place / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


def _told(whose: str, steps: int, change: float, feedback: float) -> dict[str, float]:
    """What the journal holds of a mean of ``steps`` steps: a spread of 0.01 and 1, a quarter and three quarters of them above 0."""
    means = {f"lambda{whose}": change, f"lambda spread{whose}": 0.01, f"lambda positive{whose}": 0.25, f"steps{whose}": float(steps)}
    return {**means, f"feedback{whose}": feedback, f"feedback spread{whose}": 1.0, f"feedback positive{whose}": 0.75}


def dump(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values))


@pytest.fixture
def a_run(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def test_confusion_by_hand() -> None:
    gold = [tuple(tags.split()) for _, tags in GOLD["en"]]
    found = confusion(gold, [tuple(tags.split()) for tags in PREDICTED["en"]])
    expected = {("color", "color"): 1, ("color", "place"): 1, ("place", "place"): 1, ("color", NONE): 1, (NONE, "color"): 1}
    assert found == expected


def test_rows_of_the_confusion_are_gold_and_columns_predicted() -> None:
    gold, predicted = [tuple(tags.split()) for _, tags in GOLD["en"]], [tuple(tags.split()) for tags in PREDICTED["en"]]
    found, report = confusion(gold, predicted), evaluate({"en": gold}, {"en": predicted})
    for label, score in report.by_label.items():
        assert sum(count for (g, _), count in found.items() if g == label) == score.gold
        assert sum(count for (_, p), count in found.items() if p == label) == score.predicted
    errors = count_errors(gold, predicted)
    assert sum(count for (g, p), count in found.items() if g != p) == sum(errors.values()) - errors["boundary"]


def test_the_page_is_well_formed_and_has_every_part(a_run: Path) -> None:
    assert write_report(a_run) == []
    page = (a_run / "report.html").read_text(encoding="utf-8")
    read = Reader(page)
    assert read.wrong == [] and read.open == []
    ids = [attributes["id"] for _, attributes in read.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in read.tags if tag == "a"]
    assert links and {str(link).removeprefix("#") for link in links} <= set(ids)
    for part in ("What was run", "Scores on test", "Scores on dev", "Errors on test", "Learning curves", "Teacher and student"):
        assert f">{part}</h2>" in page
    for part in ("Worst cases", "Best cases", "Configuration, versions, hashes"):
        assert f">{part}</h2>" in page
    assert all(attributes.get("role") == "img" for tag, attributes in read.tags if tag == "svg")
    assert "lenient" in read.text and "0123456789ab" in read.text and "Best 35.88 at step 50" in read.text


def test_the_numbers_are_those_of_the_run(a_run: Path) -> None:
    page, _ = run_page(Record.load(a_run))
    metrics = json.loads((a_run / "metrics.json").read_text())["test"]
    rows = {row[0]: row for row in Reader(page).rows}
    shown = [row[:2] for row in Reader(page).rows]
    assert all([language, f"{part['f1']:.2f}"] in shown for language, part in metrics["by_language"].items())
    assert rows["average"][1] == f"{metrics['average_f1']:.2f}"
    assert rows["average"][2] == "{:.1f}..{:.1f}".format(*metrics["average_interval"])
    for kind, count in metrics["errors"].items():
        assert rows[kind][3] == str(count)
    assert ["all", "6", "2,468"] in [row[:3] for row in Reader(page).rows]


def test_hostile_text_stays_text(a_run: Path) -> None:
    page, _ = run_page(Record.load(a_run))
    read = Reader(page)
    assert "script" not in {tag for tag, _ in read.tags} and "b" not in {tag for tag, _ in read.tags}
    assert EVIL in read.text  # shown, not run
    assert html.escape(EVIL, quote=False) in page or html.escape(EVIL) in page


def test_a_text_may_hold_any_separator_of_lines(tmp_path: Path) -> None:
    """Python takes U+2028 and its kin for ends of lines, JSON does not."""
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    journal.write("note", text="a\u2028b\u0085c")
    journal.close()
    assert [event["text"] for event in read_events(path)] == ["a\u2028b\u0085c"]


def test_nothing_is_asked_of_a_network(a_run: Path) -> None:
    page, _ = run_page(Record.load(a_run))
    read = Reader(page)
    assert not [attributes for tag, attributes in read.tags if attributes.get("src") or tag in ("script", "iframe", "object")]
    assert {attributes["href"] for tag, attributes in read.tags if tag == "link"} == {"data:,"}
    assert "url(" not in page and "@import" not in page
    assert re.findall(r"https?://[^\s\"<]+", page) == ["http://www.w3.org/2000/svg"] * page.count("<svg")


def test_a_run_by_language_is_gathered(tmp_path: Path) -> None:
    page, left_out = run_page(Record.load(write_run(tmp_path, by_language=True)))
    assert left_out == [] and "en: best 35.88 at step 50" in page.lower()


def test_cases_are_ranked_and_marked(a_run: Path) -> None:
    tagged = Record.load(a_run).tagged("test")
    worst = worst_cases(tagged, "lenient", per_language=9)
    assert worst[0].about == "no · no-test-0 · 2 errors: 1 missed, 1 spurious"
    assert "en · en-test-1 · 1 error: 1 type" in [each.about for each in worst]
    (right,) = best_cases(tagged, "lenient")
    assert right == Marked("en", "en · en-test-0 · 1 span, all right", [Reading("both", [Piece("red", "color", True)])])


def test_data_that_moved_or_changed_are_noticed(a_run: Path, tmp_path: Path) -> None:
    moved = (tmp_path / "data").rename(tmp_path / "elsewhere")
    _, left_out = run_page(Record.load(a_run))
    assert len(left_out) == 1 and "no such folder" in left_out[0]
    assert write_report(a_run, data_dir=moved) == []
    path = moved / "en" / "test.conll"
    path.write_text(path.read_text().replace("big\tO", "big\tB-color"))
    with pytest.raises(DataError, match="give other test scores"):
        Record.load(a_run).tagged("test", moved)
    data = json.loads((a_run / "data.json").read_text())
    dump(a_run / "data.json", {**data, "files": {"en/test.conll": "0" * 64}})
    with pytest.raises(DataError, match=r"test\.conll is not the file that this run was scored on"):
        Record.load(a_run).tagged("test", moved)
    page, left_out = run_page(Record.load(a_run), data_dir=moved)
    assert 'class="warning"' in page and left_out[0].startswith("Confusions and cases are left out")


def test_entities_of_running_text_are_read_by_their_offsets(a_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "data" / "en"
    for split in ("dev", "test"):
        (data / f"{split}.conll").unlink()
        records, answers = [], []
        for k, ((text, tags), said) in enumerate(zip(GOLD["en"], PREDICTED["en"], strict=True)):
            records.append({"id": f"en-{split}-{k}", "text": text, "entities": _entities(text, tags.split())})
            answers.append({"id": f"en-{split}-{k}", "lang": "en", "text": text, "entities": _entities(text, said.split())})
        (data / f"{split}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
        (a_run / "predictions" / f"{split}.en.jsonl").write_text("".join(json.dumps(each) + "\n" for each in answers))
    tagged = Record.load(a_run).tagged("test")
    assert [each.predicted for each in tagged["en"]] == [tuple(said.split()) for said in PREDICTED["en"]]


def _entities(text: str, tags: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for match, tag in zip(re.finditer(r"\S+", text), tags, strict=True):
        if tag.startswith("B-"):
            found.append({"start": match.start(), "end": match.end(), "label": tag[2:]})
        elif tag.startswith("I-"):
            found[-1]["end"] = match.end()
    return found


def test_what_is_no_finished_run_is_said(tmp_path: Path, a_run: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        Record.load(tmp_path / "nothing")
    (a_run / "metrics.json").rename(a_run / "old.json")
    with pytest.raises(ConfigError, match=r"has not ended; go on with: fewtag train --resume -o"):
        Record.load(a_run)
    (a_run / "metrics.json").write_text("{")
    with pytest.raises(DataError, match="not readable as a JSON object"):
        Record.load(a_run)


def test_a_file_is_not_replaced_unasked(a_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="use --force"):
        write_report(a_run, out)
    assert out.read_text() == "mine"
    write_report(a_run, out, force=True)
    assert out.read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(ConfigError, match="unknown split 'tset'"):
        write_report(a_run, split="tset")


def test_a_run_is_shown_without_torch(a_run: Path) -> None:
    code = WITHOUT_TORCH + "sys.argv[0] = 'fewtag'\nfrom fewtag.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "report", str(a_run)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(a_run / "report.html")


def test_a_page_of_any_blocks() -> None:
    """What other reports build on: blocks in, escaped text out, in order; empty sections are left out."""
    table = Table("numbers", ["a", "b"], [["x", "1"], ["sum", "2"]], strong=1)
    blocks = [Text("paragraph"), Facts([("fact", "value")]), table, Figures([])]
    page = render("Title", "Summary", [Section("Numbers", [*blocks, Code("file", "a < b")]), Section("Empty", [])])
    read = Reader(page)
    assert read.wrong == [] and ["x", "1"] in read.rows and "a < b" in read.text and "Empty" not in page
    assert page.index(">paragraph<") < page.index(">fact<") < page.index(">numbers<") < page.index("a &lt; b")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_browser_shows_it_on_a_phone_without_a_network(a_run: Path, tmp_path: Path) -> None:
    page, _ = run_page(Record.load(a_run))
    found = measured(page, tmp_path)
    assert (found.width, found.asked) == (390, 0)
    assert found.charts == page.count("<svg") >= 8
    wide = "<!DOCTYPE html><body><div style='width:600px'>x</div><img src='http://127.0.0.1:9/x.png'>"
    found = measured(wide, tmp_path)
    assert found.width >= 600 and found.asked == 1  # the measure would notice
