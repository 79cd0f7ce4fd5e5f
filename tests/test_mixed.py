"""Members of two encoders: both read one batch, each has the say its dev score gives it, and what is delivered is of the run's encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import fewtag
from checkpoints import save_checkpoint
from fewtag.data.low_resource import LowResource
from fewtag.encoders import CompactEncoder, build_encoder
from fewtag.learning.learner import Learner
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, default_for, resolve
from fewtag.methods.distill import mean_of
from fewtag.tagger.batch import Batcher
from fewtag.tagger.tagger import Tagger
from fewtag.text.sentence import Sentence
from fewtag.training.journal import read_events
from fewtag.training.prepare import choose_method
from fewtag.training.run_config import RunConfig
from grids import corpus_folder
from test_contract import LABELED, RAW, TAG_SET, make_tagger

KEY = Key(0, "distill", 0)
LONG = Sentence(tuple(f"wort{number}" for number in range(120)), None, "de", "long")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("bert"), "bert")


def built(checkpoint: Path, method: dict[str, Any] | None = None, **learner: Any) -> Any:
    def make(role: str) -> Tagger:
        encoder = make_tagger(role).encoder if role.startswith("compact-") else build_encoder(str(checkpoint))
        return Tagger(encoder, TAG_SET)

    return METHODS["mixed-ensemble"].method(resolve("mixed-ensemble", method or {}), make, LearnerConfig(**learner))


def test_both_encoders_read_the_same_rows(checkpoint: Path) -> None:
    """What the second says of a batch is what it says of the same windows packed for it alone; windows are cut for the first."""
    first, second = Tagger(build_encoder(str(checkpoint)), TAG_SET), make_tagger("compact-1")
    sentences = [*RAW["en"][:3], LONG, *RAW["de"][:2]]
    batch = Batcher(first.encoder, TAG_SET, second=second.encoder).batch(sentences, labeled=False)
    assert len(batch.windows) > len(sentences), "the long sentence needs several windows of the first encoder"
    second.eval()
    with torch.no_grad():
        logits_BTC = second(batch.for_second())
    assert logits_BTC.shape[:2] == batch.token_mask_BT.shape
    for row, window in enumerate(batch.windows):
        tokens = sentences[window.sentence].tokens[window.start : window.end]
        with torch.no_grad():
            alone_TC = second(second.batcher.batch([Sentence(tokens, None, "de", "x")], labeled=False))[0]
        torch.testing.assert_close(logits_BTC[row, : len(tokens)], alone_TC, rtol=1e-5, atol=1e-6)


def test_a_batch_for_one_encoder_has_nothing_for_a_second() -> None:
    with pytest.raises(AssertionError, match="one encoder"):
        make_tagger("any").batcher.batch(RAW["en"][:2], labeled=False).for_second()


def test_the_say_of_a_member_is_the_square_of_its_score(checkpoint: Path) -> None:
    """60, 60, 30 and 30 on dev: 3600 + 3600 + 900 + 900 = 9000, so 0.4, 0.4, 0.1 and 0.1 of the word."""
    method = built(checkpoint)
    assert method.weights("en") is None, "nobody has a score yet"
    for stage, score in zip(method.stages(), (60.0, 60.0, 30.0, 30.0), strict=False):
        stage.ended({"en": score + 5, "de": score - 5})
    assert method.weights("en") == pytest.approx([0.4, 0.4, 0.1, 0.1])
    raw = method.batcher.batch(RAW["en"][:3], labeled=False)
    for seed, learner in enumerate((*method.members, *method.compact)):
        torch.manual_seed(seed)
        torch.nn.init.normal_(learner.tagger.head.weight, std=2.0)
    each = [mean_of([member], raw, KEY) for member in method.members] + [mean_of([], raw, KEY, [other]) for other in method.compact]
    expected = 0.4 * each[0] + 0.4 * each[1] + 0.1 * each[2] + 0.1 * each[3]
    torch.testing.assert_close(mean_of(method.members, raw, KEY, method.compact, method.weights("en")), expected)
    torch.testing.assert_close(mean_of(method.members, raw, KEY, method.compact), sum(each) / 4)
    assert not torch.allclose(expected, sum(each) / 4, atol=1e-2)


def test_a_word_can_count_by_the_language_it_is_about(checkpoint: Path) -> None:
    """To the third power, in English 2, 2, 1, 1: kinds of 8 and 1, so 4/9 and 1/18 each; in German, where the second kind is better,
    1, 1, 2, 2; of a language that dev lacks, the mean of both."""
    method = built(checkpoint, method={"say": "by-language", "say_power": 3.0})
    for stage, (english, german) in zip(method.stages(), ((2.0, 1.0), (2.0, 1.0), (1.0, 2.0), (1.0, 2.0)), strict=False):
        stage.ended({"en": english, "de": german})
    assert method.weights("en") == pytest.approx([4 / 9, 4 / 9, 1 / 18, 1 / 18])
    assert method.weights("de") == pytest.approx([1 / 18, 1 / 18, 4 / 9, 4 / 9])
    assert method.weights("fr") == pytest.approx([0.25] * 4)


def test_the_student_of_the_built_in_encoder_speaks_for_its_members(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """60, 60, 30 and 30 until it has heard all; then its own 80 beside their 60: 6400 + 3600 = 10000, so 0.18, 0.18 and 0.64."""
    method = built(checkpoint)
    *alone, relay, distill = method.stages()
    assert [stage.name for stage in alone] == ["member-1", "member-2", "compact-1", "compact-2"]
    assert (relay.name, distill.name) == ("compact-student", "distill")
    asked: list[list[str]] = []
    costs: list[int] = []
    passes = Learner.passes

    def watched(self: Learner, key: Key, purpose: str, *parts: Any) -> Any:
        if purpose == "pseudo":
            asked[-1].append(self.name)
        return passes(self, key, purpose, *parts)

    monkeypatch.setattr(Learner, "passes", watched)
    labeled, raw = (method.batcher.batch(some["en"][:3], labeled=some is LABELED) for some in (LABELED, RAW))
    for stage, score in zip(alone, (60.0, 60.0, 30.0, 30.0), strict=True):
        stage.ended({"en": score + 5, "de": score - 5})
    for stage, weights in ((relay, [0.4, 0.4, 0.1, 0.1]), (distill, [0.18, 0.18, 0.64])):
        assert method.weights("en") == pytest.approx(weights)
        stage.begin()
        before = {name: value.clone() for name, value in stage.scored.tagger.state_dict().items()}
        asked.append([])
        passes_before = method.num_passes
        stage.step(labeled, raw, KEY)
        costs.append(method.num_passes - passes_before)
        assert any(not torch.equal(value, before[name]) for name, value in stage.scored.tagger.state_dict().items())
        stage.ended({"en": 80.0})
    assert asked == [["member-1", "member-2", "compact-1", "compact-2"], ["member-1", "member-2", "compact-student"]]
    assert costs == [10, 9]  # a pass of each speaker, and two batches there and back, 3 each


def test_only_students_are_averaged(checkpoint: Path) -> None:
    """And by as much as the run says where the method says nothing."""
    method = built(checkpoint, average=0.5)
    assert {each.name for each in method.learners().values() if each.config.average == 0.98} == {"student", "compact-student"}
    assert {each.config.average for each in (*method.members, *method.compact)} == {0.5}
    silent = METHODS["ensemble"].method(resolve("ensemble", {}), make_tagger, LearnerConfig(average=0.5))
    assert {each.config.average for each in silent.learners().values()} == {0.5}


def test_scores_survive_a_checkpoint(checkpoint: Path) -> None:
    method, other = built(checkpoint), built(checkpoint)
    for stage, score in zip(method.stages(), (60.0, 50.0, 30.0, 20.0), strict=False):
        stage.ended({"en": score + 5, "de": score - 5})
    stages = other.stages()
    other.restore(method.state())
    assert other.weights("en") == method.weights("en")
    stages[4].ended({"en": 80.0})
    assert other.scores == {**method.scores, "compact-student": {"en": 80.0}}, (
        "stages from before the checkpoint was read tell the same method"
    )


def test_a_learning_rate_for_the_encoder_is_not_taken_by_the_other_one(checkpoint: Path) -> None:
    method = built(checkpoint, lr=1e-30, head_lr=1e-30)
    batch = method.batcher.batch(LABELED["en"][:4], labeled=True)
    moved = {}
    for stage in method.stages()[:4]:
        before = stage.scored.tagger.head.weight.detach().clone()
        stage.begin()
        stage.step(batch, None, KEY)
        moved[stage.name] = float((stage.scored.tagger.head.weight.detach() - before).abs().max())
    assert max(moved["member-1"], moved["member-2"]) < 1e-9
    assert min(moved["compact-1"], moved["compact-2"]) > 1e-4


def test_a_table_is_frozen_where_it_has_learned_something(checkpoint: Path) -> None:
    method = built(checkpoint, embeddings="frozen")
    assert {each.config.embeddings for each in (*method.members, method.student)} == {"frozen"}
    assert {each.config.embeddings for each in method.others} == {"auto"}
    assert {each.config.embeddings for each in built(checkpoint, embeddings="dense").others} == {"dense"}


def test_where_the_runs_encoder_is_the_built_in_one_its_rate_is_everybodys() -> None:
    method = METHODS["mixed-ensemble"].method(resolve("mixed-ensemble", {}), make_tagger, LearnerConfig(lr=0.5, head_lr=0.25))
    assert {(each.config.lr, each.config.head_lr) for each in (*method.members, *method.others, method.student)} == {(0.5, 0.25)}


@pytest.mark.parametrize("pretraining", [0, 2])
def test_what_is_delivered_has_the_encoder_of_the_run(checkpoint: Path, tmp_path: Path, pretraining: int) -> None:
    """Here the built-in encoder's members are far better on dev, and still none of them is what the guard may keep."""
    settings: dict[str, Any] = {
        **{"train__max_steps": 150, "train__evaluate_every": 50, "train__semi_supervised_steps": 4},
        **{"data__languages": ("de", "en"), "train__lr": 1e-6, "pretraining__steps": pretraining},
    }
    result = fewtag.train(
        corpus_folder(tmp_path), tmp_path / "run", method="mixed-ensemble", encoder=str(checkpoint), labeled="60%", seed=1, **settings
    )
    events = read_events(result.folder / "events.jsonl")
    stages = [event["stage"] for event in events if event["event"] == "stage_done"]
    assert stages == [
        *(("bare", "pretrain") if pretraining else ()),
        *("member-1", "member-2", "compact-1", "compact-2", "compact-student", "distill"),
    ]
    scores = {event["stage"]: event["best_dev_f1"] for event in events if event["event"] == "stage_done"}
    assert scores["compact-1"] > scores["member-1"] + 30
    (guard,) = [event for event in events if event["event"] == "guard"]
    assert max(each["dev_f1"] for each in guard["scores"].values()) < scores["compact-1"]
    assert not isinstance(fewtag.load(result.model).tagger.encoder, CompactEncoder)


def test_members_of_the_built_in_encoder_learn_from_their_own_units(checkpoint: Path) -> None:
    """Their steps see the second inputs: the first encoder's units would be rows of another table."""
    method = built(checkpoint)
    seen: list[Any] = []
    compact: Learner = method.others[0]
    encode = compact.tagger.encoder.embed
    compact.tagger.encoder.embed = lambda inputs: (seen.append(inputs), encode(inputs))[1]  # type: ignore[method-assign]
    batch = method.batcher.batch(LABELED["en"][:4], labeled=True)
    stage = method.stages()[2]
    stage.begin()
    stage.step(batch, None, KEY)
    assert stage.name == "compact-1" and seen and all(each is batch.second for each in seen)


@pytest.mark.parametrize(("encoder", "expected"), [("compact", "pretrained-ensemble"), ("bert-base-multilingual-cased", "mixed-ensemble")])
def test_the_default_goes_by_the_encoder(encoder: str, expected: str) -> None:
    config = RunConfig.model_validate({"tagger": {"encoder": encoder}})
    data = LowResource(LABELED, RAW, {}, {}, {}, TAG_SET, "", 0)
    assert choose_method(config, data)[0] == expected == default_for(encoder)
    assert choose_method(config, replace(data, unlabeled={}))[0] == "supervised-multi"
