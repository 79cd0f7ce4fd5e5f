"""What a run's reports tell of teacher and student: measurements apart from losses, by language, with gold and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewtag.experiments.journal_plots import gradient_figures, is_loss, loss_figures, self_training_figures
from fewtag.experiments.record import Record
from fewtag.experiments.run_report import run_page
from fewtag.methods import METHODS
from fewtag.training.diagnosis import diagnosis_markdown
from fewtag.training.fit import Position
from pages import Reader
from test_contract import build, loop
from test_report import dump, write_run


@pytest.fixture
def a_run(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def _judge(run: Path) -> None:
    """Gold of the pseudo-labels, as training would leave it."""
    by_language, correlation = {"en": 41.25, "no": 60.0}, {"en": 0.125, "no": None}
    course = {"interact": [10.0, 20.5, 35.0]}
    dump(run / "pseudo_labels.json", {"sentences": 9, "f1": course, "f1_by_language": by_language, "feedback_correlation": correlation})


def test_what_steps_report_beside_losses_is_not_drawn_as_a_loss(a_run: Path) -> None:
    events = Record.load(a_run).events
    losses = {name for event in events[""] for name in event.get("losses", {}) if is_loss(name)}
    assert losses == {"supervised", "student", "meta"}
    warm, interact = loss_figures(events)
    assert interact.caption == "Stage interact: losses, mean since the evaluation before."
    assert "<desc" in interact.svg and ">meta ends at 0.01, student ends at 1.5</desc>" in interact.svg
    assert ">supervised ends at 2</desc>" in warm.svg
    drawn = {figure.caption.split(":")[1].strip() for figure in self_training_figures(events)}
    told = {f"{name}{part}" for name in ("lambda", "feedback") for part in ("", " spread", " positive")}
    assert drawn == {"kept", "agreement", *told}


@pytest.mark.parametrize("name", sorted({*METHODS} - {"supervised-single"}))
def test_every_loss_of_every_method_is_one(name: str) -> None:
    """Whoever makes a step report something new says here that it is a loss, or in `journal_plots` what else it is."""
    known = {"student", "supervised", "regularization", "meta", "divergence", "distance", "worst", "masked words"}
    known |= {f"{loss} student-{number}" for loss in ("taught", "supervised") for number in (1, 2)}
    losses = {key for progress in loop(build(name), Position(), 2) for key in progress.losses if is_loss(key)}
    assert "supervised" in {loss.partition(" ")[0] for loss in losses} and losses <= known


def test_feedback_and_agreement_by_language_by_hand(a_run: Path) -> None:
    """English: 3 steps of mean 0 and 1 of mean 0.4, each with a spread of 1; so the mean is 0.1 and the variance 1 + 0.16 / 4 - 0.01."""
    rows = Reader(run_page(Record.load(a_run))[0]).rows
    head = next(place for place, row in enumerate(rows) if row[1:3] == ["steps", "feedback"])
    assert rows[head] == ["language", "steps", "feedback", "its spread", "above 0", "lambda", "its spread", "above 0"]
    spread, change = f"{(1 + 0.16 / 4 - 0.01) ** 0.5:.3g}", f"{(0.0001 + (3e-6 + 9e-6) / 4) ** 0.5:.3g}"
    assert rows[head + 1] == ["en", "4", "+0.1", spread, "75 %", "+0", change, "25 %"]
    assert rows[head + 2][:3] == ["no", "4", "+0.5"] and rows[head + 3][:3] == ["all", "8", "+0.3"]
    head = rows.index(["language", "first", "last", "change"])
    assert rows[head + 1 : head + 4] == [["en", "25.0", "85.0", "+60.0"], ["no", "75.0", "70.0", "-5.0"], ["all", "50.0", "80.0", "+30.0"]]


def test_gold_of_the_raw_text_adds_a_column_and_a_chart(a_run: Path) -> None:
    bare, _ = run_page(Record.load(a_run))
    _judge(a_run)
    page, _ = run_page(Record.load(a_run))
    rows = Reader(page).rows
    assert [row[-1] for row in rows if row[-1:] == ["correlation"] or row[1:2] in (["4"], ["8"])] == ["correlation", "+0.12", "-", "+0.12"]
    assert page.count("<svg") == bare.count("<svg") + 1 and "pseudo-labels against gold" not in bare
    assert "interact: from 10.0 to 35.0. Over the whole run: en 41.2, no 60.0. F1 of a tenth depends" in page


def test_gradients_have_a_chart_of_their_own(a_run: Path) -> None:
    (figure,) = gradient_figures(Record.load(a_run).events)
    assert "L_sup ends at 2, L_reg ends at 0.05, L_meta ends at 0.0004" in figure.caption
    assert all(f">{name}</text>" in figure.svg for name in ("L_sup", "L_reg", "L_meta", "0.0001", "10"))  # powers of ten on the axis


def test_the_report_in_words_has_the_same_tables(a_run: Path) -> None:
    events = Record.load(a_run).events[""]
    assert diagnosis_markdown(events[:2], None) == ""  # of a run without a teacher
    _judge(a_run)
    said = diagnosis_markdown(events, Record.load(a_run).quality)
    assert said.startswith("## Teacher and student\n\nFeedback by language: ")
    assert "\n| en | 4 | +0.1 | 1.01 | 75 % | +0 | 0.0101 | 25 % | +0.12 |\n" in said
    assert "\n| no | 75.0 | 70.0 | -5.0 |\n" in said
    assert "\n| interact 100 | 2 | 0.05 | 0.0004 | 0.0002 |\n" in said
    assert "\n| interact | 10.0 | 20.5 | 35.0 |" in said and "Over the whole run: en 41.2, no 60.0." in said
