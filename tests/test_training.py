"""A whole run on a small made corpus: folder, journal, exact resuming after SIGKILL, refusal to overwrite."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from fewtag.data.corpus import Corpus
from fewtag.data.formats import FORMATS
from fewtag.errors import ConfigError, DataError
from fewtag.methods import METHODS
from fewtag.methods.pretraining import PretrainingConfig
from fewtag.text import Sentence
from fewtag.training.checkpoint import same
from fewtag.training.drive import Interrupted
from fewtag.training.fit import Progress
from fewtag.training.folder import RunFolder
from fewtag.training.journal import Journal, read_events
from fewtag.training.prepare import parse_time, settled
from fewtag.training.run import resume_config, run
from fewtag.training.run_config import RunConfig, SamplingConfig

WORDS = {
    "en": (["red", "blue", "green", "black", "white"], ["shoe", "hat", "bag", "coat"], "for"),
    "no": (["rød", "blå", "grønn", "sort"], ["sko", "hatt", "veske", "kåpe"], "til"),
}
QUICK = [
    "train.max_steps=30",
    "train.semi_supervised_steps=40",
    "train.finetune_steps=20",
    "train.evaluate_every=10",
    "evaluation.bootstrap=20",
]


def sentences(language: str, count: int, seed: str) -> list[Sentence]:
    chooser = random.Random(seed + language)
    colors, things, word = WORDS[language]
    result = []
    for _ in range(count):
        tokens, tags = [chooser.choice(colors), chooser.choice(things)], ["B-color", "B-thing"]
        if chooser.random() < 0.5:
            tokens, tags = [*tokens, word, chooser.choice(things)], [*tags, "O", "B-thing"]
        result.append(Sentence(tuple(tokens), tuple(tags), language))
    return result


def write_data(root: Path) -> Path:
    """A data folder of two languages with raw text."""
    write_conll, write_plain = FORMATS["conll"].write, FORMATS["plain"].write
    assert write_conll and write_plain
    for language in WORDS:
        write_conll(sentences(language, 12, "train"), root / language / "train.conll")
        write_conll(sentences(language, 10, "dev"), root / language / "dev.conll")
        write_conll(sentences(language, 10, "test"), root / language / "test.conll")
        write_plain([s.without_tags() for s in sentences(language, 40, "raw")], root / language / "unlabeled.txt")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def config(data: Path, method: str = "metats", **changes: object) -> RunConfig:
    values = {
        "data": {"dir": str(data)},
        "method": {"name": method},
        "train": {
            "max_steps": 30,
            "semi_supervised_steps": 40,
            "finetune_steps": 20,
            "evaluate_every": 10,
            "checkpoint_seconds": 0.0,
            "seed": 3,
            **changes,
        },
        "evaluation": {"bootstrap": 20},
    }
    return RunConfig.model_validate(values)


def weights_of(folder: Path) -> dict[str, object]:
    return dict(load_file(folder / "model" / "model.safetensors"))


def events_of(folder: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in e.items() if k not in ("time", "seconds")} for e in read_events(folder / "events.jsonl")]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(config(data), folder)
    return folder


def test_a_run_folder_holds_what_it_promises(whole: Path) -> None:
    names = {p.relative_to(whole).as_posix() for p in whole.rglob("*") if p.is_file()}
    assert {"config.toml", "env.json", "data.json", "events.jsonl", "metrics.json", "report.md"} <= names
    assert {"model/model.safetensors", "model/config.json", "model/fewtag.json", "model/README.md"} <= names
    assert {f"predictions/{split}.{language}.jsonl" for split in ("dev", "test") for language in WORDS} <= names
    assert not [n for n in names if n.startswith("checkpoints/") or ".tmp" in n]
    metrics = json.loads((whole / "metrics.json").read_text())
    assert metrics["test"]["by_language"].keys() == WORDS.keys() and metrics["test"]["average_f1"] > 60
    stages = [e["stage"] for e in events_of(whole) if e["event"] == "stage_done"]
    assert stages == ["warm-up", "interact", "finetune"]


def test_events_tell_of_the_feedback_per_language(whole: Path) -> None:
    losses = [e["losses"] for e in events_of(whole) if e["event"] == "evaluation" and e["stage"] == "interact"]
    assert losses and all({"lambda", "feedback", "kept", "student", "supervised"} <= set(each) for each in losses)  # type: ignore[arg-type]
    assert {f"feedback/{language}" for language in WORDS} <= {name for each in losses for name in each}  # type: ignore[attr-defined]


def test_one_seed_gives_the_same_bits(data: Path, whole: Path, tmp_path: Path) -> None:
    run(config(data), tmp_path / "again")
    assert same(weights_of(whole), weights_of(tmp_path / "again"))
    assert events_of(whole) == events_of(tmp_path / "again")


def test_keeping_pseudo_labels_changes_no_bit(data: Path, whole: Path, tmp_path: Path) -> None:
    run(config(data, trace_every=0), tmp_path / "untraced")
    assert (whole / "pseudo.jsonl").exists() and not (tmp_path / "untraced" / "pseudo.jsonl").exists()
    assert same(weights_of(tmp_path / "untraced"), weights_of(whole))
    told = [[each for each in events_of(folder) if each["event"] == "evaluation"] for folder in (whole, tmp_path / "untraced")]
    assert told[0] == told[1]  # losses and scores on the way: what is delivered may be the start


@pytest.mark.parametrize(("given", "wanted"), [({}, 4), ({"hidden": 0.8}, 4), ({"steps": 2}, 2), ({"steps": 0}, 0)])
def test_a_row_begins_with_pre_training_of_its_own_length_unless_it_is_given(
    given: dict[str, float], wanted: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pretrained-ensemble"
    assert METHODS[name].pretraining > 0 and not METHODS["smooth-ensemble"].pretraining
    monkeypatch.setitem(METHODS, name, replace(METHODS[name], pretraining=4))
    short = config(data, name, max_steps=5, semi_supervised_steps=5, evaluate_every=5)
    short = short.model_copy(update={"pretraining": PretrainingConfig.model_validate(given)})
    run(short, tmp_path / "run")
    counts = json.loads((tmp_path / "run" / "data.json").read_text())["counts"]
    assert sum(each["unlabeled"] for each in counts.values()) == 80  # enough text for all of these
    taken = {each["stage"]: each["step"] for each in events_of(tmp_path / "run") if each["event"] == "stage_done"}
    assert taken.pop("pretrain", 0) == wanted == resume_config(tmp_path / "run").pretraining.steps
    assert list(taken) == [*(["bare"] if wanted else []), "member-1", "member-2", "member-3", "distill"]


@pytest.mark.parametrize(("given", "wanted"), [({}, 25), ({"batch_size": 7}, 115), ({"batch_size": 1}, 600), ({"steps": 3000}, 3000)])
def test_what_a_row_asks_for_reads_little_text_ten_times_at_most(given: dict[str, int], wanted: int, data: Path) -> None:
    """Of 80 raw sentences: 800 are 25 batches of 32, 115 of 7 with the last not full; a number that is given is not touched."""
    asked = replace(METHODS["pretrained-ensemble"], pretraining=600)
    own = config(data, "pretrained-ensemble").model_copy(update={"pretraining": PretrainingConfig.model_validate(given)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "pretrained-ensemble", asked)
        assert settled(own, "pretrained-ensemble", 80).pretraining.steps == wanted
    assert settled(own, "smooth-ensemble", 80) is own


def test_a_tagger_from_before_a_pre_training_cannot_be_heard_where_there_is_none(data: Path, tmp_path: Path) -> None:
    own = config(data).model_copy(update={"method": {"name": "smooth-ensemble", "hears_bare": True}})
    with pytest.raises(ConfigError, match=r"method.hears_bare .* set pretraining.steps"):
        run(own, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_gives_memory_back_at_every_look(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pre-training of 250 steps is looked at after 100, 200 and at its end, the labels' 20 steps after 10 and 20."""
    given: list[bool] = []
    monkeypatch.setattr("fewtag.training.drive.give_back", lambda: given.append(True))
    short = config(data, "supervised-multi", max_steps=20, evaluate_every=10)
    run(short.model_copy(update={"pretraining": PretrainingConfig(steps=250, batch_size=2)}), tmp_path / "run")
    assert len(given) == 5


def test_interrupted_and_resumed_is_the_same_to_the_bit(data: Path, whole: Path, tmp_path: Path) -> None:
    folder, calls = tmp_path / "cut", iter([False] * 47 + [True] + [False] * 10_000)
    with pytest.raises(Interrupted, match=r"stage interact at step 1\d.*--resume"):
        run(config(data), folder, interrupted=lambda: next(calls))
    assert not RunFolder(folder).is_finished()
    run(resume_config(folder), folder, resume=True)
    assert same(weights_of(whole), weights_of(folder))
    assert events_of(whole) == events_of(folder)


def test_nothing_is_overwritten_without_force(data: Path, whole: Path) -> None:
    with pytest.raises(ConfigError, match=r"already holds a finished run.*--force"):
        run(config(data), whole)


def test_force_replaces_runs_and_nothing_else(data: Path, tmp_path: Path) -> None:
    """Somebody else's config.toml does not make a folder ours."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("precious")
    (tmp_path / "config.toml").write_text("a = 1")
    with pytest.raises(ConfigError, match="which no run of fewtag wrote"):
        run(config(data, "supervised-multi"), tmp_path, force=True)
    assert (tmp_path / "model" / "mine.txt").read_text() == "precious" and (tmp_path / "config.toml").read_text() == "a = 1"


def test_a_run_stopped_before_it_had_begun_is_told_so(data: Path, tmp_path: Path) -> None:
    whole = config(data, "supervised-multi")
    folder = RunFolder(tmp_path / "run")
    folder.begin(whole, {}, {}, force=False)
    (folder.path / "data.json").unlink()  # the last that it writes
    with pytest.raises(ConfigError, match="there is nothing to resume; use --force"):
        run(whole, folder.path, resume=True)
    assert run(whole, folder.path, force=True).dev.average_f1 >= 0


def test_resuming_a_finished_run_returns_it(data: Path, whole: Path) -> None:
    before = weights_of(whole)
    result = run(resume_config(whole), whole, resume=True)
    assert same(before, weights_of(whole)) and result.test is not None
    assert result.test.average_f1 == json.loads((whole / "metrics.json").read_text())["test"]["average_f1"]


def test_resume_refuses_other_data(data: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    calls = iter([False] * 5 + [True])
    with pytest.raises(Interrupted):
        run(config(copy), tmp_path / "run", interrupted=lambda: next(calls))
    with (copy / "en" / "dev.conll").open("a") as stream:
        stream.write("red\tB-color\n\n")
    with pytest.raises(ConfigError, match=r"en/dev.conll changed since the run began"):
        run(resume_config(tmp_path / "run"), tmp_path / "run", resume=True)


def test_single_is_one_tagger_per_language(data: Path, tmp_path: Path) -> None:
    result = run(config(data, "supervised-single"), tmp_path / "single")
    assert result.test is not None and list(result.test.by_language) == ["en", "no"]
    assert {p.parent.name for p in (tmp_path / "single" / "languages").glob("*/model")} == {"en", "no"}


def test_max_time_ends_a_run_early_and_still_delivers(data: Path, tmp_path: Path) -> None:
    result = run(config(data, max_time="0.001s"), tmp_path / "short")
    assert result.steps < 10 and (tmp_path / "short" / "model" / "model.safetensors").exists()


def test_a_budget_of_passes_is_looked_at_to_its_last_step_and_resumes_to_the_bit(data: Path, tmp_path: Path) -> None:
    """A step on raw text costs more than one on labels, so the stage ends where no look was due. The cut is one step before that."""
    own, last = config(data, "bond-hard", passes=193, patience=99), {"supervised": 0, "self-train": 0}
    run(own, tmp_path / "whole")
    for event in events_of(tmp_path / "whole"):
        if event["event"] == "evaluation":
            last[str(event["stage"])] = int(str(event["step"]))
        elif event["event"] == "stage_done":
            assert event["step"] == last[str(event["stage"])]
    assert last["self-train"] % 10
    seen: list[Progress] = []
    with pytest.raises(Interrupted, match=f"self-train at step {last['self-train'] - 1}; "):
        run(
            own, tmp_path / "cut", listener=lambda said: None if isinstance(said, str) else seen.append(said),
            interrupted=lambda: (seen[-1].stage, seen[-1].step) == ("self-train", last["self-train"] - 1),
        )  # fmt: skip
    run(resume_config(tmp_path / "cut"), tmp_path / "cut", resume=True)
    assert events_of(tmp_path / "cut") == events_of(tmp_path / "whole")
    assert same(weights_of(tmp_path / "cut"), weights_of(tmp_path / "whole"))


def test_the_time_of_a_run_is_shared_by_the_languages(data: Path, tmp_path: Path) -> None:
    result = run(config(data, "supervised-single", max_time="6s"), tmp_path / "shared")
    own = {path.parent.name: path.read_text() for path in (tmp_path / "shared" / "languages").glob("*/config.toml")}
    assert result.steps and len(own) == 2 and all('max_time = "3s"' in text for text in own.values())


def test_a_tagger_of_its_own_needs_a_dev_set_of_its_own(data: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(data)
    del corpus.sentences["no"]["dev"]
    corpus.sentences["no"]["train"] = corpus.sentences["no"]["train"][:1]  # of which no dev set can be cut
    with pytest.raises(DataError, match="no has labeled sentences and no dev set"):
        run(config(data, "supervised-single"), tmp_path / "single", corpus=corpus)
    assert not (tmp_path / "single").exists()


@pytest.mark.parametrize("mute", ["no file", "no weight"])
def test_a_tagger_of_its_own_is_pre_trained_on_text_of_its_own(data: Path, tmp_path: Path, mute: str) -> None:
    corpus, given = Corpus.from_dir(data), config(data, "supervised-single")
    if mute == "no file":
        corpus.sentences["no"].pop("unlabeled")
    else:
        given = given.model_copy(update={"sampling": SamplingConfig(raw_weights={"no": 0.0})})
    given = given.model_copy(update={"pretraining": PretrainingConfig(steps=2)})
    with pytest.raises(ConfigError, match=r"pretraining.steps=2: no has no raw text to pre-train a tagger of its own on"):
        run(given, tmp_path / "single", corpus=corpus)
    assert not (tmp_path / "single").exists()


def test_what_time_cut_short_is_still_told_after_a_resume(data: Path, tmp_path: Path) -> None:
    calls = iter([False, False, True])
    short = config(data, max_time="0.001s")
    with pytest.raises(Interrupted):
        run(short, tmp_path / "cut", interrupted=lambda: next(calls))
    resumed = run(short, tmp_path / "cut", resume=True)
    assert [note for note in resumed.notes if "ended the stages warm-up, interact" in note], resumed.notes


@pytest.mark.parametrize("wrong", [{"betas": (0.9, 2.0)}, {"clip_threshold": 0.0}, {"clip_target": -1.0}])
def test_an_optimizer_that_cannot_be_is_refused(data: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config(data, **wrong)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("supervised-multi", ["train.semi_supervised_steps=40 changes nothing: supervised-multi", "train.finetune_steps=20 changes"]),
        ("supervised-single", ["train.semi_supervised_steps=40 changes nothing: supervised-single", "train.finetune_steps=20 changes"]),
        ("vat", ["train.finetune_steps=20 changes nothing: vat has no stage that takes it"]),
        ("metats", []),
    ],
)
def test_steps_that_no_stage_takes_are_said_once(method: str, said: list[str], data: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    result = run(config(data, method, max_time="0.001s"), tmp_path / "run", listener=lambda each: heard.append(str(each)))
    for some in (heard, result.notes):
        idle = [each for each in some if "changes nothing" in each]
        assert len(idle) == len(said) and all(each.startswith(start) for each, start in zip(idle, said, strict=True)), some


def test_steps_that_nobody_set_are_not_said_to_change_nothing(data: Path, tmp_path: Path) -> None:
    result = run(config(data, "vat", max_time="0.001s", finetune_steps="auto"), tmp_path / "run")
    assert not [each for each in result.notes if "changes nothing" in each]


def test_metats_without_raw_text_is_refused(data: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(data)
    for splits in corpus.sentences.values():
        splits.pop("unlabeled")
    with pytest.raises(ConfigError, match="learns from raw text"):
        run(config(data), tmp_path / "none", corpus=corpus)
    wanted = config(data, "auto").model_copy(update={"pretraining": PretrainingConfig(steps=5)})
    with pytest.raises(ConfigError, match=r"pretraining\.steps needs raw text"):
        run(wanted, tmp_path / "none", corpus=corpus)
    auto = run(config(data, "auto"), tmp_path / "auto", corpus=corpus)
    assert auto.method == "supervised-multi" and any("no raw text" in note for note in auto.notes)


def test_a_language_without_raw_text_is_said_and_takes_part(data: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(data)
    corpus.sentences["no"].pop("unlabeled")
    result = run(config(data, "bond-soft"), tmp_path / "run", corpus=corpus)
    assert "no has no raw text: its labeled sentences, their tags taken off, stand for it" in result.notes
    said = [each for each in read_events(tmp_path / "run" / "pseudo.jsonl") if each["language"] == "no"]
    labeled = json.loads((tmp_path / "run" / "data.json").read_text())["labeled_ids"]["no"]
    assert said and {name for each in said for name in each["ids"]} <= set(labeled)


def test_times() -> None:
    assert [parse_time(t) for t in ("2h", "30m", "90s", "90")] == [7200, 1800, 90, 90]
    with pytest.raises(ConfigError, match="2h, 30m or 90s"):
        parse_time("soon")
    for none in ("0", "-1m", "nan"):
        with pytest.raises(ConfigError, match="more than nothing"):
            parse_time(none)


def test_journal_is_cut_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events.jsonl")
    journal.write("one")
    size = journal.size
    journal.write("two")
    journal.close()
    again = Journal(tmp_path / "events.jsonl", size)
    again.write("three")
    again.close()
    assert [e["event"] for e in read_events(tmp_path / "events.jsonl")] == ["one", "three"]


def _kill_and_resume(data: Path, folder: Path, moments: list[float]) -> None:
    """Start the command line, kill it at each moment, and let the last start go to the end."""
    command = [sys.executable, "-m", "fewtag", "train", "-o", str(folder), "-q"]
    settings = ["--set", "train.checkpoint_seconds=0", "--set", "train.seed=3", "-m", "metats"]
    settings += [part for pair in QUICK for part in ("--set", pair)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for moment in (*moments, None):
        begun = (folder / "config.toml").exists() and (folder / "data.json").exists()
        extra = ["--resume"] if begun else [str(data), *settings, "--force"]
        process = subprocess.Popen([*command, *extra], env=environment, stderr=subprocess.PIPE)
        if moment is not None:
            while not (folder / "events.jsonl").exists() and process.poll() is None:
                time.sleep(0.01)  # the imports take seconds and hold nothing worth killing
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert moment is not None or process.returncode == 0, errors.decode()


def test_sigkill_and_resume(data: Path, whole: Path, tmp_path: Path) -> None:
    _kill_and_resume(data, tmp_path / "killed", [0.3, 0.5])
    assert same(weights_of(whole), weights_of(tmp_path / "killed"))
    assert [e for e in events_of(tmp_path / "killed") if e["event"] != "begin"] == [e for e in events_of(whole) if e["event"] != "begin"]


@pytest.mark.slow
def test_sigkill_at_twenty_random_moments(data: Path, whole: Path, tmp_path: Path) -> None:
    chooser = random.Random(time.time_ns())
    for number in range(20):
        moment = chooser.uniform(0.0, 2.5)
        folder = tmp_path / str(number)
        _kill_and_resume(data, folder, [moment])
        assert same(weights_of(whole), weights_of(folder)), f"differs after a kill at {moment} s"
