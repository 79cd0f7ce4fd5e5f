"""The guard ships the best on dev of what a run has seen, and says so."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from fewtag.data.corpus import Corpus
from fewtag.data.queries import generate
from fewtag.learning.learner_config import LearnerConfig
from fewtag.methods import METHODS, resolve
from fewtag.methods.method import Budget
from fewtag.tagger import Tagger
from fewtag.training.checkpoint import Checkpoints
from fewtag.training.fit import Position, Progress, Scored, fit
from fewtag.training.guard import CLEAR, START, Candidates, Verdict, doubt_of
from fewtag.training.journal import read_events
from fewtag.training.run import train
from fewtag.training.scoring import score_on_dev
from test_contract import build, draw, make_tagger

RIGHT, WRONG = [1, 1, 1], [0, 1, 1]  # of a sentence with one span


def scored(**right: str) -> Scored:
    """Dev of sentences with one span each: ``de="110"`` got the first two right and missed the third."""
    counts = {lang: torch.tensor([RIGHT if mark == "1" else WRONG for mark in marks], dtype=torch.int32) for lang, marks in right.items()}
    by_language = {lang: 100.0 * marks.count("1") / len(marks) for lang, marks in right.items()}
    return Scored(sum(by_language.values()) / len(by_language), by_language, counts)


def run(scores: list[float], guard: bool, name: str = "metats") -> tuple[Any, list[Progress], list[dict[str, Tensor]]]:
    """Train with scripted dev scores, one evaluation of each learner a stage: warm-up, student, teacher, start of fine-tuning, its end."""
    method, position, seen = build(name), Position(), []
    script: Iterator[float] = iter(scores)

    def scripted(tagger: Tagger) -> Scored:
        seen.append({key: value.clone() for key, value in tagger.state_dict().items()})
        value = next(script)
        return Scored(value, {"de": value - 1, "en": value + 1})

    running = fit(method, position, seed=5, draw=draw(method), budget=lambda stage: Budget(2, 2, 9), evaluate=scripted, guard=guard)
    return method, list(running), seen


def build_with(**values: Any) -> Any:
    return METHODS["metats"].method(resolve("metats", values), make_tagger, LearnerConfig(lr=0.01))


def delivered(method: Any) -> dict[str, Tensor]:
    return dict(method.delivered.tagger.state_dict())


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("scores", "kept", "which"),
    [
        ([60.0, 50.0, 40.0, 50.0, 55.0], START, 0),
        ([60.0, 50.0, 70.0, 50.0, 55.0], "teacher", 2),
        ([60.0, 50.0, 40.0, 50.0, 65.0], "student", 4),
        ([60.0, 50.0, 60.0, 50.0, 60.0], "student", 4),  # of equals the final one
    ],
)
def test_the_best_on_dev_is_delivered(scores: list[float], kept: str, which: int) -> None:
    method, events, seen = run(scores, guard=True)
    verdict = events[-1].verdict
    assert verdict is not None and verdict.chosen == kept and same(delivered(method), seen[which])
    expected = {START: scores[0], "teacher": scores[2], "student": max(scores[3:])}
    assert {name: each.value for name, each in verdict.scores.items()} == expected


@pytest.mark.parametrize(("first", "kept", "which"), [(60.0, START, 0), (50.0, "student", 4)])
def test_the_start_of_an_ensemble_is_the_member_its_student_began_with(first: float, kept: str, which: int) -> None:
    """Not the luckiest of all: members two and three are far ahead of everything else."""
    method, events, seen = run([first, 90.0, 80.0, 50.0, 55.0], guard=True, name="ensemble")
    verdict = events[-1].verdict
    assert verdict is not None and verdict.scores[START].value == first
    assert verdict.chosen == kept and same(delivered(method), seen[which])


def test_without_the_guard_the_final_tagger_is_delivered() -> None:
    method, events, seen = run([60.0, 50.0, 50.0, 55.0], guard=False)  # nobody scores the teacher
    assert events[-1].verdict is None and same(delivered(method), seen[3])


def test_supervised_training_has_nothing_to_guard() -> None:
    _, events, _ = run([60.0], guard=True, name="supervised-multi")
    assert events[-1].verdict is not None and events[-1].verdict.sentence == "kept the student: dev F1 60.00"


def test_the_sentence_says_what_was_kept_and_where_raw_text_helped() -> None:
    start, final = Scored(50.0, {"de": 40.0, "en": 60.0, "fr": 50.0}), Scored(51.0, {"de": 44.0, "en": 59.0, "fr": 50.0})
    better = Verdict("student", "student", {"student": final, START: start})
    assert better.sentence == (
        "kept the student: dev F1 51.00 against supervised start 50.00; on dev raw text made it better in de +4.0; worse in en -1.0"
    )
    worse = Verdict(START, "student", {"student": start, "teacher": Scored(50.5, {"de": 41.5, "en": 60.0, "fr": 50.0}), START: final})
    assert worse.sentence == (
        "kept the supervised start: dev F1 51.00 against student 50.00, teacher 50.50; what was learned from raw text did not help on dev: "
        "the student was better in en +1.0; worse in de -4.0"
    )
    same = Verdict("student", "student", {"student": start, START: start})
    assert (
        same.sentence == "kept the student: dev F1 50.00 against supervised start 50.00; on dev raw text made it no better in any language"
    )
    alike = Verdict(START, "student", {"student": Scored(50.0, {"de": 44.0}), START: Scored(51.0, {"de": 44.0})})
    assert alike.sentence.endswith("against student 50.00; what was learned from raw text did not help on dev")


def test_a_run_whose_start_was_kept_says_so_wherever_it_is_read(tmp_path: Path) -> None:
    """A student that starts from nothing and takes four steps cannot win."""
    corpus = {}
    for language in ("de", "en"):
        source = generate(language)
        some = [next(source) for _ in range(90)]
        corpus[language] = {"train": some[:60], "dev": some[60:]}
    short: dict[str, Any] = {"train__max_steps": 60, "train__semi_supervised_steps": 4, "train__evaluate_every": 30}
    poor: dict[str, Any] = {"method__student_init": "encoder", "method__keep_teacher": False, "method__finetune": False}
    done = train(Corpus("made", corpus), tmp_path / "run", method="metats", labeled="20", evaluation__bootstrap=0, **short, **poor)
    (guard,) = [each for each in read_events(tmp_path / "run" / "events.jsonl") if each["event"] == "guard"]
    assert guard["kept"] == START and done.dev.average_f1 == pytest.approx(guard["scores"][START]["dev_f1"])
    student, start = (guard["scores"][name]["by_language"] for name in ("student", START))
    sentence = guard["sentence"]
    assert start.keys() == {"de", "en"} and all(f"{lang} {student[lang] - start[lang]:+.1f}" in sentence for lang in start)
    assert "did not help on dev: the student was" in sentence
    assert sentence in json.loads((tmp_path / "run" / "metrics.json").read_text())["notes"] and sentence in done.notes
    assert f"- {sentence}\n" in (tmp_path / "run" / "report.md").read_text()


def test_candidates_keep_copies_of_the_best() -> None:
    candidates, weights = Candidates(), {"w": torch.ones(2)}
    for value in (1.0, 3.0, 2.0, 3.0):
        candidates.offer("teacher", Scored(value, {}), weights)
        weights["w"] += 1
    assert candidates.kept["teacher"]["score"] == 3.0 and candidates.kept["teacher"]["weights"]["w"].tolist() == [2.0, 2.0]


def test_rows_that_are_measured_are_not_guarded() -> None:
    """A comparison with the paper's rows is of what their training ends with."""
    assert METHODS["metats"].guard
    assert not any(row.guard for name, row in METHODS.items() if name.startswith(("metats-paper", "bond", "mean-teacher", "vat", "noisy")))


def test_the_blend_of_teacher_and_student_by_hand() -> None:
    """Every weight of the blend is the mean of the two networks'; looking at it changes neither of them."""
    method = build_with(blend=True)
    interact = method.stages()[1]
    assert [each.name for each in interact.rivals] == ["teacher", "blend"]
    for value, each in ((1.0, method.teacher), (4.0, method.student)):
        for weight in each.tagger.parameters():
            weight.data.fill_(value)
    with interact.rivals[1].settled() as tagger:
        assert all(bool((weight == 2.5).all()) for weight in tagger.parameters())
    assert all(bool((weight == 1.0).all()) for weight in method.teacher.tagger.parameters())
    assert "blend" not in method.learners()


def test_the_blend_can_be_delivered() -> None:
    """Dev scores: warm-up, student, teacher, blend, start and end of fine-tuning."""
    method, position, script = build_with(blend=True), Position(), iter([60.0, 50.0, 40.0, 70.0, 50.0, 55.0])
    kept: list[dict[str, Tensor]] = []

    def scripted(tagger: Tagger) -> Scored:
        kept.append({key: value.clone() for key, value in tagger.state_dict().items()})
        return Scored(next(script), {"de": 1.0})

    events = list(fit(method, position, seed=5, draw=draw(method), budget=lambda stage: Budget(2, 2, 9), evaluate=scripted, guard=True))
    verdict = events[-1].verdict
    assert verdict is not None and verdict.chosen == "blend" and same(delivered(method), kept[3])


def enumerated(ahead: Mapping[str, str], other: Mapping[str, str]) -> float:
    """The exact share of resamples in which the other is no worse: every way to draw as many sentences as each language has."""
    ways = [list(itertools.product(range(len(marks)), repeat=len(marks))) for marks in ahead.values()]

    def mean(marks: Mapping[str, str], way: tuple[tuple[int, ...], ...]) -> float:
        return sum(sum(each[i] == "1" for i in drawn) / len(drawn) for each, drawn in zip(marks.values(), way, strict=True))

    draws = list(itertools.product(*ways))
    return sum(mean(other, way) >= mean(ahead, way) - 1e-9 for way in draws) / len(draws)


@pytest.mark.parametrize(
    ("ahead", "other"),
    [
        ({"de": "110"}, {"de": "001"}),
        ({"de": "1110"}, {"de": "0001"}),
        ({"de": "11"}, {"de": "00"}),
        ({"de": "1101", "en": "10"}, {"de": "0110", "en": "01"}),  # four sentences weigh no more than two
        ({"de": "10", "en": "11"}, {"de": "11", "en": "00"}),
    ],
)
def test_doubt_is_what_enumeration_says(ahead: dict[str, str], other: dict[str, str]) -> None:
    assert doubt_of(scored(**ahead), scored(**other)) == pytest.approx(enumerated(ahead, other), abs=0.05)


def test_a_language_without_dev_sentences_takes_no_part_in_doubt() -> None:
    empty = torch.zeros(0, 3, dtype=torch.int32)
    with_empty = [Scored(s.value, s.by_language, {**s.counts_by_language, "en": empty}) for s in (scored(de="110"), scored(de="001"))]
    assert doubt_of(*with_empty) == doubt_of(scored(de="110"), scored(de="001"))


def test_doubt_needs_counts_of_the_same_sentences() -> None:
    assert doubt_of(Scored(2.0, {"de": 2.0}), Scored(1.0, {"de": 1.0})) is None
    assert doubt_of(scored(de="11"), Scored(1.0, {"de": 1.0})) is None


@pytest.mark.parametrize(("guard", "final", "kept"), [(True, "0011", START), ("clear", "0011", "student"), ("clear", "0000", START)])
def test_a_lead_within_chance_is_no_reason_where_it_must_be_clear(guard: Literal[True, "clear"], final: str, kept: str) -> None:
    candidates = Candidates()
    candidates.offer(START, scored(de="1110"), {})
    verdict = candidates.verdict("student", scored(de=final), guard)
    assert verdict.chosen == kept and verdict.doubt is not None and (verdict.doubt >= CLEAR) == (final == "0011")


def test_a_clear_guard_keeps_what_is_ahead_and_what_nobody_counted() -> None:
    candidates = Candidates()
    candidates.offer(START, scored(de="1100"), {})
    ahead = candidates.verdict("student", scored(de="1110"), "clear")
    assert (ahead.chosen, ahead.doubt) == ("student", None)
    assert candidates.verdict("student", Scored(1.0, {"de": 1.0}), "clear").chosen == START


def test_the_sentence_says_where_a_lead_may_be_chance() -> None:
    start, final = scored(de="1110"), scored(de="0011")
    candidates = Candidates()
    candidates.offer(START, start, {})
    strict, clear = candidates.verdict("student", final), candidates.verdict("student", final, "clear")
    assert strict.doubt is not None
    share = f"the student is as good as the supervised start in {100 * strict.doubt:.0f} % of resamples of dev"
    assert strict.sentence == (
        f"kept the supervised start: dev F1 75.00 against student 50.00; a lead within chance ({share}: train.guard=clear would keep it); "
        "what was learned from raw text did not help on dev: the student was worse in de -25.0"
    )
    assert clear.sentence == (
        f"kept the student: dev F1 50.00 against supervised start 75.00; a lead within chance: {share}; "
        "on dev raw text made it worse in de -25.0"
    )
    assert "chance" not in candidates.verdict("student", scored(de="0000")).sentence


def test_the_loop_asks_a_clear_guard_for_a_clear_lead() -> None:
    """Warm-up, student, start and end of fine-tuning; the start leads by one sentence of three."""
    method, script = build_with(keep_teacher=False), iter(["110", "000", "001", "100"])

    def scripted(tagger: Tagger) -> Scored:
        return scored(de=next(script))

    budget = Budget(2, 2, 9)
    loop = fit(method, Position(), seed=5, draw=draw(method), budget=lambda stage: budget, evaluate=scripted, guard="clear")
    verdict = list(loop)[-1].verdict
    assert verdict is not None and verdict.chosen == "student" and verdict.doubt == doubt_of(scored(de="110"), scored(de="001"))


def test_counts_outlive_a_checkpoint(tmp_path: Path) -> None:
    position = Position(best_counts=scored(de="01").counts_by_language)
    position.candidates.offer(START, scored(de="110", en="0"), {"w": torch.ones(1)})
    Checkpoints(tmp_path).save(1, {"position": position.state()})
    state = Checkpoints(tmp_path).latest()
    assert state is not None
    back = Position.restored(state["position"])
    assert torch.equal(back.best_counts["de"], position.best_counts["de"])
    final = scored(de="001", en="0")
    verdict = back.candidates.verdict("student", final)
    assert verdict.doubt is not None and verdict.sentence == position.candidates.verdict("student", final).sentence
    del state["position"]["candidates"][START]["counts"], state["position"]["best_counts"]  # of a run begun before there were any
    assert Position.restored(state["position"]).candidates.verdict("student", final).doubt is None


def test_dev_is_counted_by_sentence() -> None:
    source = generate("de")
    some = [next(source) for _ in range(12)]
    found = score_on_dev(make_tagger("student"), {"de": some}, "lenient")
    counts = found.counts_by_language["de"]
    correct, predicted, gold = counts.sum(0).tolist()
    assert counts.shape == (12, 3) and gold == sum(tag.startswith("B-") for s in some for tag in s.tags or ())
    assert found.by_language["de"] == pytest.approx(200 * correct / (predicted + gold))
