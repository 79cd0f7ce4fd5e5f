"""Pseudo-labels kept step by step, and judged after the run by gold that training never saw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fewtag.data.corpus import Corpus
from fewtag.data.queries import generate
from fewtag.experiments.journal_plots import gradient_figures, loss_figures
from fewtag.experiments.record import Record
from fewtag.methods.method import Said
from fewtag.tagger.batch import Window
from fewtag.text import Sentence, TagSet
from fewtag.training.journal import Journal, read_events
from fewtag.training.pseudo_quality import judge, rank_correlation
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


def pairs(a: Iterable[float], b: Iterable[float]) -> list[tuple[float, float]]:
    return list(zip(a, b, strict=True))


def test_quality_by_hand() -> None:
    """Gold has two spans. Every other labeling finds one of them, the others both; the feedback says so, but for German."""
    gold = {"1": ("B-x", "O", "B-x"), "2": ("B-x", "I-x", "O")}
    half, whole, wrong = ["B-x", "O", "O"], ["B-x", "O", "B-x"], ["O", "O", "O"]
    events = [event(step, "en", whole if step % 20 == 0 else half, 1.0 if step % 20 == 0 else -1.0) for step in range(10, 101, 10)]
    events += [event(100, "de", wrong, None, "2")]
    found = judge(events, gold, "lenient")
    assert found is not None and found.sentences == 11
    third = 100 * 2 * 1 / (1 + 2)  # one of one right, one of two found
    assert found.f1["interact"][:9:2] == pytest.approx([third] * 5) and found.f1["interact"][1:9:2] == pytest.approx([100.0] * 4)
    assert found.f1["interact"][9] == pytest.approx(100 * 2 * 2 / (2 + 3))  # with the German sentence, whose span is missed
    assert found.f1_by_language == {"de": 0.0, "en": pytest.approx(100 * 2 * 15 / (15 + 20))}
    assert found.feedback_correlation == {"en": pytest.approx(1.0)}
    assert "rank correlation with how right they were, trends left out: +1.00" in found.sentence
    assert judge([event(1, "en", half, None, "nobody")], gold, "lenient") is None


def test_rank_correlation_by_hand() -> None:
    """Both series of one part are the same forwards and backwards, so no line fits them: ranks from their mean are what is correlated."""
    a, b = [0, 1, 2, 3, 3, 2, 1, 0], [0, 2, 1, 3, 3, 1, 2, 0]  # ranks from their mean -3 -1 1 3 and -3 1 -1 3, and back
    assert rank_correlation([pairs(a, b)]) == pytest.approx((9 - 1 - 1 + 9) / (9 + 1 + 1 + 9))
    assert rank_correlation([pairs(a, [-value for value in b])]) == pytest.approx(-0.8)
    assert rank_correlation([pairs(a, [1] * 8)]) is None and rank_correlation([pairs(a[:7], b[:7])]) is None
    assert rank_correlation([pairs(range(20), range(20))]) is None  # a trend and nothing beside it


def test_steps_are_ranked_within_their_part_and_stage() -> None:
    """Two parts of five steps, ranks from their mean -1.5 .5 2 .5 -1.5 and .5 -1.5 2 -1.5 .5; the second part is higher in both."""
    a, b = [0, 1, 2, 1, 0], [1, 0, 2, 0, 1]
    higher = pairs([value + 100 for value in a], [value + 100 for value in b])
    ninth = (-0.75 - 0.75 + 4 - 0.75 - 0.75) / (2.25 + 0.25 + 4 + 0.25 + 2.25)
    assert rank_correlation([[*pairs(a, b), *higher]]) == pytest.approx(ninth)
    assert rank_correlation([pairs(a, b), higher]) == pytest.approx(ninth)


@pytest.mark.parametrize("steps", [15, 40, 200])
def test_a_shared_trend_is_no_relation_and_a_relation_is_one_without_a_trend(steps: int) -> None:
    """Planted, 100 times: both rise over a run that is noisy besides; then the noise is shared too, with and without the rise."""
    random, time = np.random.default_rng(0), np.arange(steps) / steps
    only_trend, both, only_relation, pooled = [], [], [], []
    for _ in range(100):
        x, y = random.normal(size=(2, steps)) / 5
        z = 0.8 * x + 0.6 * y  # correlates with x by 0.8
        only_trend.append(rank_correlation([pairs(time + x, time + y)]))
        both.append(rank_correlation([pairs(time + x, time + z)]))
        only_relation.append(rank_correlation([pairs(x, z)]))
        pooled.append(np.corrcoef((time + x).argsort().argsort(), (time + y).argsort().argsort())[0, 1])  # Spearman's over the whole run
    assert np.mean(pooled) > 0.55
    assert abs(np.mean(only_trend)) < 0.1
    assert np.mean(both) > 0.6 and np.mean(only_relation) > 0.6


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    source = generate("en")
    sentences = [next(source) for _ in range(220)]
    corpus = Corpus("made", {"en": {"train": sentences[:180], "dev": sentences[180:]}})
    short = {"train__max_steps": 20, "train__semi_supervised_steps": 90, "train__finetune_steps": 10, "evaluation__bootstrap": 0}
    train(corpus, folder / "run", method="metats", labeled="20", **short)
    return folder / "run"


def test_a_run_keeps_and_judges_its_pseudo_labels(finished: Path) -> None:
    events = read_events(finished / "pseudo.jsonl")
    assert [each["step"] for each in events] == list(range(10, 91, 10)) and all(len(each["ids"]) == 16 for each in events)
    assert all(len(tags) > 0 for each in events for tags in each["tags"])
    found = json.loads((finished / "pseudo_labels.json").read_text())
    assert found["sentences"] == 9 * 16 and found["f1_by_language"].keys() == {"en"}
    assert -1 <= found["feedback_correlation"]["en"] <= 1  # nine steps are enough for a number
    report = (finished / "report.md").read_text()
    assert "judged sentences: span F1 from" in report and "Over the whole run: en " in report
    assert re.search(r"^\| en \| 90 \| .* \| [+-]\d\.\d\d \|$", report, re.MULTILINE)  # feedback by language, with its correlation


def test_a_run_draws_its_measurements_beside_its_losses(finished: Path) -> None:
    events = Record.load(finished).events
    warm_up, interact, tune = loss_figures(events)
    assert set(re.findall(r"(\w+) ends at", interact.svg)) == {"meta", "regularization", "student", "supervised"}
    assert [re.findall(r"(\w+) ends at", figure.svg) for figure in (warm_up, tune)] == [["supervised"], ["supervised"]]
    (gradients,) = gradient_figures(events)
    assert set(re.findall(r"(\w+) ends at", gradients.svg)) == {"L_sup", "L_reg", "L_meta"}


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
