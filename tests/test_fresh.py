"""Feedback from labels nobody has learned: folds, their rounds, and the students of all rounds made one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.data.queries import generate
from fewtag.errors import ConfigError
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.pseudo_labels import PseudoLabels
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.distill import DistillConfig, distill_step, mean_of
from fewtag.methods.method import Fold
from fewtag.methods.supervised import supervised_step
from fewtag.tagger import Batch, Tagger
from fewtag.text import Sentence
from fewtag.training.checkpoint import same
from fewtag.training.draws import Draws, split
from fewtag.training.run import train
from test_contract import DEV, LABELED, RAW, TAG_SET, draw, make_tagger

KEY = Key(0, "interact-1", 0)


def test_folds_are_a_seeded_partition() -> None:
    some = [Sentence((f"w{number}",), ("O",), "en", str(number)) for number in range(11)]
    parts = [split(some, "en", 3, Fold(k, 4)) for k in range(4)]
    assert sorted(s.id for _, judge in parts for s in judge) == sorted(s.id for s in some)  # every sentence judges once
    for rest, judge in parts:
        assert not set(rest) & set(judge) and len(rest) + len(judge) == 11 and len(judge) in (2, 3)
    assert split(some, "en", 3, Fold(0, 4)) == parts[0] and split(some, "en", 4, Fold(0, 4)) != parts[0]
    with pytest.raises(ConfigError, match="12 folds need at least 12 labeled sentences in every language, and en has 11"):
        split(some, "en", 3, Fold(0, 12))


def sources(batch: Batch | None, batcher: Any, pool: list[Sentence]) -> set[str]:
    """The ids of the sentences a batch was made of, by their windows' sub-words."""
    assert batch is not None
    return {s.id for s in pool if _inside(batch, batcher.batch([s], labeled=True))}


def _inside(batch: Batch, alone: Batch) -> bool:
    rows = alone.inputs.ids.flatten().tolist()
    text = batch.inputs.ids.flatten().tolist()
    return any(text[i : i + len(rows)] == rows for i in range(len(text) - len(rows) + 1))


def test_no_network_learns_the_fold_that_judges_it() -> None:
    tags = ("B-color", "B-thing")
    labeled = {lang: [Sentence((f"{lang}{n}a", f"{lang}{n}b"), tags, lang, f"{lang}-{n}") for n in range(7)] for lang in ("de", "en")}
    method: Any = METHODS["metats"].method(resolve("metats", {"folds": 3}), make_tagger, LearnerConfig())
    batcher = method.delivered.tagger.batcher
    data = LowResource(labeled=labeled, unlabeled=RAW, dev={"en": DEV}, test={}, tag_set=TAG_SET, spec="100%", seed=1, hidden={})
    draws = Draws(data, batcher, seed=5, batch_size=3, unlabeled_batch_size=4, exponent=0.5, device=torch.device("cpu"))
    pool = [s for some in labeled.values() for s in some]
    judged: set[str] = set()
    for stage in method.stages():
        if stage.fold is None:
            continue
        kept = {s.id for lang, some in labeled.items() for s in split(some, lang, 5, stage.fold)[1]}
        learned: set[str] = set()
        for step in range(25):
            batch, _, *heard = draws(stage, step)
            learned |= sources(batch, batcher, pool)
            assert len(heard) == (stage.draws == "both")
            for each in heard:
                assert batch is not None and each is not None and each.language == batch.language
                judges = sources(each, batcher, pool)
                assert judges and judges <= kept
                judged |= judges
        assert learned == {s.id for s in pool} - kept
    assert judged == {s.id for s in pool}  # every fold is used


def test_each_round_starts_afresh_and_its_student_is_kept() -> None:
    config = resolve("metats", {"folds": 3, "confidence": {"kind": "free"}})
    method: Any = METHODS["metats"].method(config, make_tagger, LearnerConfig(lr=0.01))
    stages, unheard, unseen = method.stages(), method.feedback.state(), method.confidence.state()
    rounds = [f"{name}-{k}" for k in (1, 2, 3) for name in ("warm-up", "interact")]
    assert [s.name for s in stages] == [*rounds, "distill", "finetune"]
    assert [round(3 * s.share) for s in stages] == [3, 1, 3, 1, 3, 1, 3, 3]
    fresh = {name: value.clone() for name, value in method.teacher.tagger.state_dict().items()}
    students = []
    for stage in stages[:7]:
        stage.begin()
        if stage.name.startswith("warm-up"):
            assert same(method.feedback.state(), unheard) and same(method.confidence.state(), unseen)
            assert all(torch.equal(value, fresh[name]) for name, value in method.teacher.tagger.state_dict().items())
        for step in range(2):
            labeled, raw, *judge = draw(method)(stage, step)
            stage.step(labeled, raw, Key(0, stage.name, step), *judge)
        if stage.name.startswith("interact"):
            assert not same(method.feedback.state(), unheard) and not same(method.confidence.state(), unseen)
            students.append({name: value.clone() for name, value in method.student.state()["weights"].items()})
    for member, student in zip(method.members, students, strict=True):
        assert torch.equal(member.tagger.head.weight, student["head.weight"])


def test_the_judge_is_heard_and_never_learned() -> None:
    """Other tags on the judge's sentences change the teacher through the feedback, not the student, and nothing without L_meta."""
    results: dict[tuple[bool, bool], Any] = {}
    for meta in (True, False):
        for flip in (False, True):
            plain = {"kind": "product", "standardize": False, "baseline": "none"}
            config = resolve("metats", {"folds": 2, "weight_meta": 5.0 if meta else 0.0, "feedback": plain})
            method: Any = METHODS["metats"].method(config, make_tagger, LearnerConfig(lr=0.01))
            torch.manual_seed(1)
            torch.nn.init.normal_(method.teacher.tagger.head.weight)
            batcher = method.teacher.tagger.batcher
            judge = batcher.batch(LABELED["en"][3:], labeled=True)
            if flip:
                judge.tag_ids_BT.copy_(torch.where(judge.tag_ids_BT >= 0, (judge.tag_ids_BT + 1) % len(TAG_SET), judge.tag_ids_BT))
            method.step(batcher.batch(LABELED["en"][:3], labeled=True), batcher.batch(RAW["en"][:4], labeled=False), KEY, judge)
            results[meta, flip] = {name: each.tagger.head.weight.detach().clone() for name, each in method.learners().items()}
    assert torch.equal(results[True, False]["student"], results[True, True]["student"])
    assert not torch.equal(results[True, False]["teacher"], results[True, True]["teacher"])
    assert torch.equal(results[False, False]["teacher"], results[False, True]["teacher"])


def test_members_speak_as_the_mean_of_their_distributions() -> None:
    members = [Learner(name, make_tagger(name), LearnerConfig()) for name in ("a", "b")]
    for member, bias in zip(members, ([5.0, 0.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0, 0.0]), strict=True):
        member.tagger.head.weight.data.zero_()
        member.tagger.head.bias.data.copy_(torch.tensor(bias))
    raw = members[0].tagger.batcher.batch(RAW["en"][:2], labeled=False)
    expected = (torch.tensor([5.0, 0, 0, 0, 0]).softmax(-1) + torch.tensor([0, 3.0, 0, 0, 0]).softmax(-1)) / 2
    torch.testing.assert_close(mean_of(members, raw, KEY)[0, 0], expected)


def test_distillation_moves_the_student_only() -> None:
    members = [Learner(name, make_tagger(name), LearnerConfig()) for name in ("a", "b")]
    student = Learner("student", make_tagger("student"), LearnerConfig(lr=0.01))
    torch.nn.init.normal_(members[0].tagger.head.weight)
    kept = [each.tagger.head.weight.detach().clone() for each in members]
    batcher, start = student.tagger.batcher, student.tagger.head.weight.detach().clone()
    labeled, raw = batcher.batch(LABELED["en"], labeled=True), batcher.batch(RAW["en"], labeled=False)
    target = PseudoLabels(raw.token_mask_BT, probs_BTC=mean_of(members, raw, KEY))
    away = [float(target.against(student.logits(raw, KEY, "look")).mean.detach())]
    for step in range(40):
        distill_step(student, partial(mean_of, members), DistillConfig(label_smoothing=0.0))(labeled, raw, Key(0, "distill", step))
    away.append(float(target.against(student.logits(raw, KEY, "look")).mean.detach()))
    assert all(torch.equal(each.tagger.head.weight, before) for each, before in zip(members, kept, strict=True))
    alone = Learner("student", make_tagger("student"), LearnerConfig(lr=0.01))
    for step in range(40):
        supervised_step(alone, 0.0)(labeled, None, Key(0, "distill", step))
    away.append(float(target.against(alone.logits(raw, KEY, "look")).mean.detach()))
    assert away[1] < away[2] and not torch.equal(student.tagger.head.weight, start)  # labels alone lead elsewhere


def test_members_of_an_ensemble_start_apart() -> None:
    def seeded(role: str) -> Tagger:
        torch.manual_seed(len(role) + ord(role[-1]))
        return make_tagger(role) if role == "student" else _other(role)

    def _other(role: str) -> Tagger:
        tagger = make_tagger(role)
        torch.manual_seed(ord(role[-1]))
        torch.nn.init.normal_(tagger.head.weight)
        return tagger

    method: Any = METHODS["ensemble"].method(resolve("ensemble", {"members": 2}), seeded, LearnerConfig())
    assert [stage.name for stage in method.stages()] == ["member-1", "member-2", "distill"]
    tuned: Any = METHODS["ensemble"].method(resolve("ensemble", {"members": 2, "finetune": True}), seeded, LearnerConfig())
    last = tuned.stages()[-1]
    assert (last.name, last.scored.name, last.draws) == ("finetune", "student", "labeled")
    assert not torch.equal(method.members[0].tagger.head.weight, method.members[1].tagger.head.weight)


@pytest.mark.parametrize("settings", [{"method__heard": 40}, {"method__folds": 30}])
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(settings: dict[str, int], tmp_path: Path) -> None:
    source = generate("en")
    sentences = [next(source) for _ in range(60)]
    corpus = Corpus("made", {"en": {"train": sentences[:50], "dev": sentences[50:]}})
    with pytest.raises(ConfigError, match=r"en has \d+"):
        train(corpus, tmp_path / "run", method="metats", labeled="20", **settings)
    assert not (tmp_path / "run").exists()
