"""Pseudo-labels kept step by step, and judged after the run by gold that training never saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fewtag.data.corpus import Corpus
from fewtag.data.queries import generate
from fewtag.methods.method import Said
from fewtag.tagger.batch import Window
from fewtag.text import Sentence, TagSet
from fewtag.training.journal import Journal, read_events
from fewtag.training.pseudo_quality import judge, spearman
from fewtag.training.run import train
from fewtag.training.trace import trace

TAG_SET = TagSet(("x",))  # O, B-x, I-x


def test_windows_are_put_together_again(tmp_path: Path) -> None:
    sentences = [Sentence(("a", "b", "c", "d"), None, "en", "1"), Sentence(("e",), None, "en", "2")]
    windows = [Window(0, 0, 3, 0, 2), Window(1, 0, 1, 0, 1), Window(0, 1, 4, 2, 4)]
    said = Said(windows, torch.tensor([[1, 2, 0], [1, 0, 0], [0, 0, 1]]), torch.tensor(0.5))
    journal = Journal(tmp_path / "pseudo.jsonl")
    trace(journal, "interact", 7, said, sentences, TAG_SET)
    journal.close()
    (event,) = read_events(tmp_path / "pseudo.jsonl")
    assert event["tags"] == [["B-x", "I-x", "O", "B-x"], ["B-x"]] and event["ids"] == ["1", "2"]
    assert (event["stage"], event["step"], event["language"], event["feedback"]) == ("interact", 7, "en", 0.5)


def event(step: int, language: str, tags: list[str], feedback: float | None, name: str = "1") -> dict[str, Any]:
    return {"stage": "interact", "step": step, "language": language, "feedback": feedback, "ids": [name, "unknown"], "tags": [tags, ["O"]]}


def test_quality_by_hand() -> None:
    """Gold has two spans. Early labelings find one of them, late ones both; the feedback says so, but for German."""
    gold = {"1": ("B-x", "O", "B-x"), "2": ("B-x", "I-x", "O")}
    half, whole, wrong = ["B-x", "O", "O"], ["B-x", "O", "B-x"], ["O", "O", "O"]
    events = [event(step, "en", half if step <= 50 else whole, -1.0 if step <= 50 else 1.0) for step in range(10, 101, 10)]
    events += [event(100, "de", wrong, None, "2")]
    found = judge(events, gold, "lenient")
    assert found is not None and found.sentences == 11
    third = 100 * 2 * 1 / (1 + 2)  # one of one right, one of two found
    assert found.f1["interact"][:5] == pytest.approx([third] * 5) and found.f1["interact"][5:9] == pytest.approx([100.0] * 4)
    assert found.f1["interact"][9] == pytest.approx(100 * 2 * 2 / (2 + 3))  # with the German sentence, whose span is missed
    assert found.f1_by_language == {"de": 0.0, "en": pytest.approx(100 * 2 * 15 / (15 + 20))}
    assert found.feedback_correlation == {"en": pytest.approx(1.0)}
    assert "rank correlation with how right they were: +1.00" in found.sentence
    assert judge([event(1, "en", half, None, "nobody")], gold, "lenient") is None


def test_rank_correlation_by_hand() -> None:
    """Ranks 1 2 3.5 3.5 5 6 7 8 against 1 to 8 turned round, and a constant."""
    a = [1.0, 2.0, 3.0, 3.0, 5.0, 6.0, 7.0, 8.0]
    assert spearman(a, [-value for value in a]) == pytest.approx(-1.0)
    b = [1.0, 2.0, 4.0, 3.0, 5.0, 6.0, 7.0, 8.0]
    assert spearman(a, b) == pytest.approx(41.5 / (41.5 * 42) ** 0.5)  # sums of squares of centered ranks: 41.5 with the tie, 42 without
    assert spearman(a, [1.0] * 8) is None and spearman(a[:5], b[:5]) is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    source = generate("en")
    sentences = [next(source) for _ in range(220)]
    corpus = Corpus("made", {"en": {"train": sentences[:180], "dev": sentences[180:]}})
    short = {"train__max_steps": 20, "train__semi_supervised_steps": 40, "train__finetune_steps": 10, "evaluation__bootstrap": 0}
    train(corpus, folder / "run", method="metats", labeled="20", **short)
    return folder / "run"


def test_a_run_keeps_and_judges_its_pseudo_labels(finished: Path) -> None:
    events = read_events(finished / "pseudo.jsonl")
    assert [each["step"] for each in events] == [10, 20, 30, 40] and all(len(each["ids"]) == 16 for each in events)
    assert all(len(tags) > 0 for each in events for tags in each["tags"])
    found = json.loads((finished / "pseudo_labels.json").read_text())
    assert found["sentences"] == 64 and found["f1_by_language"].keys() == {"en"}
    assert "judged sentences: span F1 from" in (finished / "report.md").read_text()


def test_only_raw_sentences_are_kept(finished: Path) -> None:
    labeled = set(json.loads((finished / "data.json").read_text())["labeled_ids"]["en"])
    assert not labeled & {name for each in read_events(finished / "pseudo.jsonl") for name in each["ids"]}


@pytest.mark.parametrize("method", ["metats", "bond-hard", "co-teaching", "noisy-student"])
def test_a_stage_may_end_between_two_kept_steps(method: str, tmp_path: Path) -> None:
    """15 steps, every tenth kept: what the last steps said is nobody's, least of all the fine-tuning's, which draws no raw text."""
    source = generate("en")
    sentences = [next(source) for _ in range(120)]
    corpus = Corpus("made", {"en": {"train": sentences[:100], "dev": sentences[100:]}})
    short = {"train__max_steps": 10, "train__semi_supervised_steps": 15, "train__finetune_steps": 20, "train__evaluate_every": 5}
    train(corpus, tmp_path / "run", method=method, labeled="20", evaluation__bootstrap=0, **short)
    kept = [(each["stage"], each["step"]) for each in read_events(tmp_path / "run" / "pseudo.jsonl")]
    assert kept and {step for _, step in kept} == {10} and "finetune" not in {stage for stage, _ in kept}


def test_a_method_without_pseudo_labels_leaves_no_empty_file(tmp_path: Path) -> None:
    source = generate("en")
    sentences = [next(source) for _ in range(60)]
    corpus = Corpus("made", {"en": {"train": sentences[:50], "dev": sentences[50:]}})
    short = {"train__max_steps": 4, "train__semi_supervised_steps": 4, "evaluation__bootstrap": 0}
    train(corpus, tmp_path / "run", method="vat", labeled="10", **short)
    assert (tmp_path / "run" / "metrics.json").exists() and not (tmp_path / "run" / "pseudo.jsonl").exists()
