"""Every row of METHODS under one contract: it learns, is deterministic, resumes to the bit from any moment, and delivers a whole folder."""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.learning.learner_config import LearnerConfig
from fewtag.methods import METHODS, resolve
from fewtag.methods.method import Budget, Method, Stage
from fewtag.methods.pretraining import Pretrained, PretrainingConfig
from fewtag.tagger import Batch, Tagger
from fewtag.tagger.folder import save
from fewtag.text import Sentence, TagSet, spans_of
from fewtag.training.checkpoint import Checkpoints, flatten, same, unflatten
from fewtag.training.draws import split
from fewtag.training.fit import DivergedError, Position, Progress, Scored, fit

TAG_SET = TagSet(("color", "thing"))
COLORS = {"en": ["red", "blue", "green", "black"], "de": ["rot", "blau", "gelb", "grau"]}
THINGS = {"en": ["shoe", "hat", "bag", "coat"], "de": ["schuh", "hut", "tasche", "mantel"]}


def sentences(language: str, count: int, seed: int) -> list[Sentence]:
    chooser = random.Random(f"{language}{seed}")
    result = []
    for number in range(count):
        tokens = [chooser.choice(COLORS[language]), chooser.choice(THINGS[language]), "now"][: chooser.choice([2, 3])]
        tags = ["B-color", "B-thing", "O"][: len(tokens)]
        result.append(Sentence(tuple(tokens), tuple(tags), language, f"{language}-{seed}-{number}"))
    return result


LABELED = {language: sentences(language, 6, 1) for language in COLORS}
RAW = {language: [s.without_tags() for s in sentences(language, 20, 2)] for language in COLORS}
DEV = [s for language in COLORS for s in sentences(language, 8, 3)]


def make_tagger(role: str, decoding: str = "viterbi") -> Tagger:
    torch.manual_seed(11)
    buckets, width = (200, 8) if role.startswith("compact-") else (300, 12)  # another encoder, whose units and weights fit no other
    return Tagger(CompactEncoder(CompactConfig(buckets=buckets, width=width, layers=1)), TAG_SET, languages=["de", "en"], decoding=decoding)


PRETRAINED = "metats, pre-trained"
# Switches that change what a method does are held to the contract as rows are.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "metats, product": ("metats", {"feedback": {"kind": "product"}}),
    "metats, cosine, permuted": ("metats", {"feedback": {"kind": "cosine", "permuted": True}}),
    "metats, per token": ("metats", {"feedback": {"kind": "token"}, "weight_meta": 0.1}),
    "metats, fresh": ("metats", {"folds": 2}),
    "metats, fresh and averaged": ("metats", {"folds": 3, "student_init": "encoder"}),
    "metats, free": ("metats", {"confidence": {"kind": "free"}}),
    "metats, soft": ("metats", {"confidence": {"kind": "soft"}, "feedback": {"kind": "token"}}),
    "metats, other readings": (
        "metats",
        {"labels": "sample", "stop_gradient": False, "student_steps": 2, "feedback": {"look": "train"}, "clean_pass": "train"},
    ),
    "metats, read differently again": (
        "metats",
        {
            **{"heard": 6, "supervised": "mixed", "reduction": "sentence", "threshold_on": "tempered"},
            **{"noise_on": "all", "noise_place": "last", "weight_reg": 0.5, "denominator": "kept"},
        },
    ),
    "metats, pushed": ("metats", {"weight_student_adversary": 0.5, "weight_teacher_adversary": 0.5}),
    "metats, averaged": ("metats", {"blend": True}),
    "co-teaching, averaged": ("co-teaching", {}),
    PRETRAINED: ("metats", {}),  # a stage in front of all the others
}
NAMES = sorted({*METHODS, *VARIANTS})


def row_of(name: str) -> tuple[str, dict[str, Any]]:
    return VARIANTS.get(name, (name, {}))


def build(name: str) -> Method:
    (found, values), row = row_of(name), METHODS[row_of(name)[0]]
    averages = {"average": 0.9} if "averaged" in name else {}
    learner = LearnerConfig(lr=0.01, **averages).model_copy(update=dict(row.learner))
    make = functools.partial(make_tagger, decoding=row.decoding)
    method = row.method(resolve(found, values), make, learner)
    first = name == PRETRAINED or row.pretraining
    return Pretrained(method, PretrainingConfig(steps=9), make, learner, row.guard) if first else method


def draw(method: Method) -> Any:
    batcher = method.batcher

    def drawn(stage: Stage, step: int) -> tuple[Batch | None, ...]:
        chooser = random.Random(f"{stage.name}{step}")
        language = chooser.choice(["en", "de"])
        known, fold = LABELED, []
        if stage.fold is not None:
            parts = {lang: split(some, lang, 5, stage.fold) for lang, some in LABELED.items()}
            known, fold = {lang: part[0] for lang, part in parts.items()}, parts[language][1]
        pool = [s for some in known.values() for s in some] if stage.mixed else known[language]
        labeled = batcher.batch(chooser.sample(pool, min(4, len(pool))), labeled=True) if stage.draws != "raw" else None
        raw = batcher.batch(chooser.sample(RAW[language], 4), labeled=False) if stage.draws != "labeled" else None
        if not stage.has_judge:
            return labeled, raw
        return labeled, raw, batcher.batch(fold or known[language][: stage.heard or 4], labeled=True)

    return drawn


def evaluate(tagger: Tagger) -> Scored:
    found = tagger.predict(DEV)
    right = sum(len(set(p.spans) & set(spans_of(p.sentence.tags or ()))) for p in found)
    total = sum(len(p.spans) + len(spans_of(p.sentence.tags or ())) for p in found)
    return Scored(200 * right / total, {})


def loop(method: Method, position: Position, steps: int = 9, guard: bool = True) -> Any:
    budget = {"supervised": Budget(steps, 3, 5), "semi_supervised": Budget(steps, 4, 5), "finetune": Budget(steps, 2, 5)}
    budget["pretraining"] = Budget(steps, 3, 1)
    return fit(method, position, seed=5, draw=draw(method), budget=lambda stage: budget[stage.effort], evaluate=evaluate, guard=guard)


def outcome(method: Method, position: Position) -> dict[str, Any]:
    return {"method": method.state(), "position": position.state()}


def trained(name: str, steps: int = 9) -> tuple[dict[str, Any], list[Progress]]:
    method, position = build(name), Position()
    events = list(loop(method, position, steps))
    return outcome(method, position), events


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@functools.cache
def learned(name: str) -> Tagger:
    """What 150 steps of every stage deliver."""
    method = build(name)
    for _ in loop(method, Position(), steps=150):
        pass
    return method.delivered.tagger


def test_learns(name: str) -> None:
    assert evaluate(learned(name)).value > max(90.0, evaluate(build(name).delivered.tagger).value)


# Nothing but the folders and the words: for each folder its decoding, and of each sentence tags and logits.
_ELSEWHERE = """
import json, sys
from pathlib import Path
from fewtag.tagger.folder import load
from fewtag.text import Sentence

folder, sentences = Path(sys.argv[1]), [Sentence(tuple(tokens), None, "en") for tokens in json.load(sys.stdin)]
found = {}
for each in folder.iterdir():
    tagger = load(each)
    found[each.name] = [tagger.decoding, [p.tags for p in tagger.predict(sentences)], [l.tolist() for l in tagger.logits(sentences)]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process that has only the tagger folders says of dev, by row."""
    folder = tmp_path_factory.mktemp("taggers")
    for number, name in enumerate(NAMES):
        save(learned(name), folder / str(number), card="")
    words = json.dumps([s.tokens for s in DEV])
    done = subprocess.run([sys.executable, "-c", _ELSEWHERE, str(folder)], input=words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {NAMES[int(number)]: said for number, said in json.loads(done.stdout).items()}


def test_a_folder_is_the_tagger_in_a_process_of_its_own(name: str, elsewhere: dict[str, Any]) -> None:
    """Held to the tagger in memory: the same tags, every logit to the bit, and the row's way of decoding."""
    tagger = learned(name)
    decoding, tags, logits = elsewhere[name]
    assert decoding == tagger.decoding == METHODS[row_of(name)[0]].decoding
    assert [tuple(each) for each in tags] == [p.tags for p in tagger.predict(DEV)]
    assert logits == [each.tolist() for each in tagger.logits(DEV)]


def test_deterministic(name: str) -> None:
    assert same(trained(name)[0], trained(name)[0])


def test_other_seed_other_weights(name: str) -> None:
    method, position = build(name), Position()
    budget = Budget(9, 3, 5)
    list(fit(method, position, seed=6, draw=draw(method), budget=lambda stage: budget, evaluate=evaluate))
    state = trained(name)[0]["method"]
    assert not same(method.delivered.state(), state.get("inner", state)[method.delivered.name])


def test_resumes_to_the_bit_from_every_moment(name: str, tmp_path: Path) -> None:
    whole, events = trained(name)
    # Every moment of the shortest and of the main method; of the others the ends of their stages and some moments between.
    every = name in ("supervised-multi", "metats")
    for cut in (n for n, event in enumerate(events) if every or event.stage_done or n % 6 == 3):
        method, position = build(name), Position()
        running = loop(method, position)
        for _ in range(cut + 1):
            next(running)
        Checkpoints(tmp_path).save(cut, outcome(method, position))
        state = Checkpoints(tmp_path).latest()
        assert state is not None
        again, place = build(name), Position.restored(state["position"])
        again.restore(state["method"])
        rest = list(loop(again, place))
        assert same(outcome(again, place), whole), f"differs when resumed after event {cut}"
        assert rest == events[cut + 1 :]


def test_evaluation_does_not_change_training(name: str) -> None:
    """Of every stage, rivals looked at too. Scores rise with the steps, so that each stage goes on from its last one either way."""
    results = []
    for every in (2, 5):
        method, position = build(name), Position()

        def rising(tagger: Tagger) -> Scored:
            tagger.predict(DEV)
            return Scored(1.0 + position.total_steps, {})  # noqa: B023

        budget = Budget(10, every, 100)
        draws = draw(method)
        events = list(fit(method, position, seed=5, draw=draws, budget=lambda stage: budget, evaluate=rising, guard=True))  # noqa: B023
        assert {event.best_step for event in events if event.stage_done and event.best_score is not None} == {10}
        results.append(method.state())
    assert same(results[0], results[1])


def test_the_best_weights_are_put_back_and_patience_ends_a_stage() -> None:
    method, position = build("supervised-multi"), Position()
    values = iter([10.0, 30.0, 20.0, 30.0, 5.0])
    kept: list[dict[str, Any]] = []

    def scripted(tagger: Tagger) -> Scored:
        kept.append({"w": tagger.head.weight.detach().clone()})
        return Scored(next(values), {})

    events = list(fit(method, position, seed=5, draw=draw(method), budget=lambda stage: Budget(100, 2, 3), evaluate=scripted))
    assert events[-1].stage_done and (events[-1].step, events[-1].best_step, events[-1].best_score) == (10, 4, 30.0)
    assert torch.equal(method.delivered.tagger.head.weight, kept[1]["w"])  # a tie keeps the earlier weights


def test_a_stage_that_ends_between_two_looks_is_looked_at_where_it_ends() -> None:
    """Time is up after 6 steps, and the last look was at 4; what was learned since competes with the rest, and once."""
    method, position, values = build("supervised-multi"), Position(), iter([10.0, 30.0])
    fitting = fit(
        method, position, seed=5, draw=draw(method), budget=lambda stage: Budget(100, 4, 3),
        evaluate=lambda tagger: Scored(next(values), {}), out_of_time=lambda stage: position.step == 6,
    )  # fmt: skip
    events = list(fitting)
    assert [event.step for event in events if event.scored] == [4, 6] and events[-2].losses
    assert (events[-1].stage_done, events[-1].best_step, events[-1].best_score) == (True, 6, 30.0)


def test_a_step_on_raw_text_is_of_the_language_of_the_raw_text() -> None:
    """Also where its labels are of all languages."""
    events = [each for each in loop(build("metats, read differently again"), Position()) if each.stage == "interact"]
    assert {each.language for each in events if each.step and not each.stage_done} == {"de", "en"}
    assert {name for each in events for name in each.losses if name.startswith("feedback/")} == {"feedback/de", "feedback/en"}


def test_a_loss_that_is_not_finite_stops_with_step_and_language() -> None:
    method = build("supervised-multi")
    method.delivered.tagger.head.bias.data.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"'supervised' became nan in stage 'supervised' at step 1, language"):
        list(loop(method, Position()))


def test_flatten_round_trip() -> None:
    state = {"a": {"b": torch.arange(3), "c": 1.5, "d": {}}, "e": [1, 2], "f": None}
    tensors, plain = flatten(state)
    assert same(unflatten(tensors, plain), state)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save(step, {"x": torch.ones(2)})
    assert [p.name for p in checkpoints.paths()] == ["step-000000002", "step-000000003"]
    (tmp_path / ".step-000000009.1.tmp").mkdir()  # left by a killed process: never taken for a checkpoint
    assert checkpoints.latest() is not None
    (checkpoints.paths()[-1] / "state.safetensors").write_bytes(b"broken")
    with pytest.raises(Exception, match=r"step-000000003: the checkpoint cannot be read.*resume from step-000000002"):
        checkpoints.latest()
    checkpoints.save(4, {"x": torch.ones(2)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000003", "step-000000004"], "what was left is cleared away"
