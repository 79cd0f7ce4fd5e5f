"""Tuning: what is searched, on which sentences, and that a study survives whatever happens to its workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna")
pytest.importorskip("torch")

from fewtag.cli.settings import run_config
from fewtag.config import build, read_toml
from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.data.queries import write_corpus
from fewtag.errors import ConfigError, DataError
from fewtag.experiments.study import Study
from fewtag.experiments.tune import _Pruner, _study, tune
from fewtag.experiments.tuning import PAPER, Tuned, TuningConfig, applied, grids_of, hold_out, space
from fewtag.training.fit import Progress
from fewtag.training.guard import Scored
from fewtag.training.run_config import RunConfig

GRID: dict[str, tuple[Any, ...]] = {"train.batch_size": (4, 8), "train.lr": (0.001, 0.003)}
QUICK = {"train.max_steps": 12, "train.evaluate_every": 6, "data.languages": ("en",), "method.name": "supervised-multi"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune") / "data"
    write_corpus(folder, scale=0.001)
    return folder


def _config(data: Path, **more: Any) -> RunConfig:
    return run_config(None, [], {**QUICK, **{key.replace("__", "."): value for key, value in more.items()}}, data)


def test_a_tenth_is_held_out_and_nothing_else_scores(data: Path) -> None:
    whole = LowResource.sample(Corpus.from_dir(data, languages=("en", "ja")), labeled="30%")
    held = hold_out(whole, 0.1, seed=5)
    for language, some in whole.labeled.items():
        kept, out = ({s.id for s in part[language]} for part in (held.labeled, held.dev))
        assert len(out) == round(0.1 * len(some)) and not kept & out and kept | out == {s.id for s in some}
    assert held.test == {} and held.unlabeled == whole.unlabeled
    others = {s.id for part in (whole.dev, whole.test) for some in part.values() for s in some}
    assert not others & {s.id for part in (held.labeled, held.dev) for some in part.values() for s in some}
    assert hold_out(whole, 0.1, seed=5).dev == held.dev != hold_out(whole, 0.1, seed=6).dev


def test_a_language_with_one_label_keeps_it(data: Path) -> None:
    whole = LowResource.sample(Corpus.from_dir(data, languages=("en",)), labeled="1")
    with pytest.raises(DataError, match="no language has two labeled sentences"):
        hold_out(whole, 0.1, seed=5)


def test_the_grids_are_those_of_section_5() -> None:
    config = RunConfig(tagger={"encoder": "bert-base-multilingual-cased"})  # type: ignore[arg-type]
    grids, standing = space(config, "metats", {})
    assert grids == {
        "train.lr": (1e-5, 2e-5, 3e-5, 5e-5, 1e-4),
        "train.batch_size": (8, 16, 32, 64),
        "method.noise_variance": (0.001, 0.01, 0.1, 1.0),
        "method.temperature": (0.5, 0.6, 0.7, 0.8, 0.9),
        "method.threshold": (0.5, 0.6, 0.7, 0.8, 0.9),
    }
    # Table 2, O-NER: what is configured is Table 2 but for the learning rate, BERT's own
    expected = {"train.lr": 5e-5, "train.batch_size": 8, "method.noise_variance": 0.01, "method.temperature": 0.7, "method.threshold": 0.6}
    assert standing == expected


def test_grids_fit_the_method_the_encoder_and_the_user() -> None:
    grids, standing = space(RunConfig(train={"lr": 0.0007}), "supervised-multi", {})  # type: ignore[arg-type]
    assert set(grids) == {"train.lr", "train.batch_size"} and 0.0007 in grids["train.lr"] and standing["train.lr"] == 0.0007
    assert not set(PAPER["train.lr"]) & set(grids["train.lr"])  # nothing learns from nothing at 1e-5
    given = grids_of({"method": {"weight_meta": [0.01]}, "train": {"batch_size": [4]}})
    grids, _ = space(RunConfig(), "metats", given)
    assert grids["method.weight_meta"] == (0.001, 0.01) and grids["train.batch_size"] == (4, 8)
    for wrong, said in (
        ({"method.treshold": [0.5]}, "has no such setting"),
        ({"nothing": [1]}, "has no such setting"),
        ({"method.threshold": [7]}, "method metats: threshold = 7"),
        ({"train.batch_size": [-1]}, "batch_size = -1"),
    ):
        with pytest.raises(ConfigError, match=said):
            space(RunConfig(), "metats", wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="write a list of values"):
        grids_of({"train": {"lr": 0.1}})


def test_a_setting_that_is_none_can_be_searched_and_one_of_parts_cannot() -> None:
    grids, standing = space(RunConfig(), "metats", {"train.unlabeled_batch_size": (16, 8)})
    assert grids["train.unlabeled_batch_size"] == (None, 8, 16) and standing["train.unlabeled_batch_size"] is None
    assert space(RunConfig(), "metats", {"train.max_time": ("2m", "1m")})[0]["train.max_time"] == ("", "1m", "2m")
    with pytest.raises(ConfigError, match=r"--grid train.betas: a grid is of numbers, words or switches"):
        space(RunConfig(), "metats", {"train.betas": (0.9,)})


def test_what_is_written_is_all_that_was_tuned() -> None:
    """The file alone, with the data folder, is the configuration of the best trial."""
    given = {
        "data": {"dir": "/data", "labeled": "1%", "languages": ["de"]},
        "tagger": {"encoder": "bert-base-multilingual-cased"},
        "method": {"name": "auto", "labels": "soft"},
        "train": {"seed": 7, "unlabeled_batch_size": 16},
    }
    config, best = RunConfig.model_validate(given), {"train.lr": 3e-5, "method.temperature": 0.5, "train.unlabeled_batch_size": None}
    found = Tuned("metats", best, 50.0, best, 50.0, {"de": 3}, {"complete": 1}, {})
    values = tomllib.loads(found.to_toml(config))
    assert "dir" not in values["data"]
    again = build(RunConfig, {**values, "data": {**values["data"], "dir": "/data"}}, "best.toml")
    assert again == applied(config, "metats", best)


def test_values_are_applied_where_they_belong() -> None:
    config = applied(RunConfig(train={"seed": 4}), "metats", {"method.threshold": 0.8, "train.batch_size": 16})  # type: ignore[arg-type]
    assert (config.train.seed, config.train.batch_size, config.method) == (4, 16, {"name": "metats", "threshold": 0.8})


def _run_all(study: Study, most: int) -> list[dict[str, Any]]:
    """Try settings until the study has enough; the score grows with both of them."""
    tried = []
    while True:
        with study.claim(most) as trial:
            if trial is None:
                return tried
            tried.append(dict(trial.params))
            study.finish(trial, trial.params["train.lr"] * 1000 + trial.params["train.batch_size"])


def test_every_setting_is_tried_once_and_the_best_is_found(tmp_path: Path) -> None:
    study = Study(tmp_path, GRID, "d")
    study.suggest({"train.batch_size": 8, "train.lr": 0.001})
    tried = _run_all(study, 100)
    assert tried[0] == {"train.batch_size": 8, "train.lr": 0.001}
    assert sorted(json.dumps(t, sort_keys=True) for t in tried) == sorted(
        json.dumps({"train.batch_size": b, "train.lr": r}, sort_keys=True) for b in (4, 8) for r in (0.001, 0.003)
    )
    best = study.best()
    assert best is not None and best.params == {"train.batch_size": 8, "train.lr": 0.003} and best.value == 11
    assert study.counts() == {"complete": 4}
    assert study.score_of({"train.lr": 0.001, "train.batch_size": 4}) == 5


def test_a_study_goes_on_and_refuses_another(tmp_path: Path) -> None:
    assert len(_run_all(Study(tmp_path, GRID, "d"), 2)) == 2
    assert len(_run_all(Study(tmp_path, GRID, "d"), 3)) == 1
    with pytest.raises(ConfigError, match="holds the study of another configuration or data"):
        Study(tmp_path, GRID, "e")


def test_a_damaged_study_is_named(tmp_path: Path) -> None:
    _run_all(Study(tmp_path, GRID, "d"), 1)
    (tmp_path / "study.db").write_bytes(b"no database at all " * 99)
    with pytest.raises(DataError, match=r"study.db: not readable as a study \(file is not a database\); --force begins a new one"):
        Study(tmp_path, GRID, "d")


SLEEPER = """
import sys, time
from pathlib import Path
from fewtag.experiments.study import Study
with Study(Path(sys.argv[1]), {"train.batch_size": (4, 8), "train.lr": (0.001, 0.003)}, "d").claim(9) as trial:
    print(trial.number, flush=True)
    time.sleep(600)
"""


def _kill_one(folder: Path) -> int:
    """A process claims a trial and is killed in the middle of it; returns the trial's number."""
    with subprocess.Popen([sys.executable, "-c", SLEEPER, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        live = Study(folder, GRID, "d")
        with live.claim(1) as trial:  # one is running, so there is nothing to claim, and the living one is left alone
            assert trial is None
        assert live.counts().get("running") == 1
        process.send_signal(signal.SIGKILL)
    return number


def test_a_killed_trial_is_failed_and_tried_once_more(tmp_path: Path) -> None:
    first = _kill_one(tmp_path)
    second = _kill_one(tmp_path)  # claims the retry
    study = Study(tmp_path, GRID, "d")
    trials = {trial.number: trial for trial in study.trials()}
    assert trials[first].state.name == "FAIL" and trials[first].user_attrs["why"] == "killed"
    assert trials[second].params == trials[first].params and trials[second].user_attrs["retry_of"] == first
    tried = _run_all(study, 3)
    assert len(tried) == 3  # what was killed did not count
    assert {t.state.name for t in study.trials() if t.params == trials[first].params} >= {"FAIL"}
    waiting = [t for t in study.trials() if t.user_attrs.get("retry", 0) > 1]
    assert waiting == []  # killed twice: not queued again


def test_what_is_interrupted_comes_back_and_does_not_count(tmp_path: Path) -> None:
    study = Study(tmp_path, GRID, "d")
    with study.claim(1) as trial:
        assert trial is not None
        study.give_back(trial, "interrupted")
        first = dict(trial.params)
    with study.claim(1) as trial:
        assert trial is not None and dict(trial.params) == first
        study.prune(trial, "worse")
    with study.claim(1) as trial:
        assert trial is None  # a pruned trial is finished
    with pytest.raises(RuntimeError), study.claim(2) as trial:
        raise RuntimeError("bug")
    assert study.counts() == {"fail": 2, "pruned": 1}


def test_scores_are_reported_at_steps_that_can_be_compared() -> None:
    reported: list[tuple[float, int]] = []
    fake = SimpleNamespace(report=lambda value, step: reported.append((value, step)), should_prune=lambda: False)
    pruner = _Pruner(fake)  # type: ignore[arg-type]

    def event(stage: int, step: int, score: float | None) -> Progress:
        scored = None if score is None else Scored(score, {})
        return Progress(f"s{stage}", stage, 2, step, (600, 300)[stage], "", {}, scored, False, None, 0, False, {}, None)

    for each in (event(0, 100, 50.0), event(0, 101, None), event(0, 200, 51.0), event(1, 0, 51.0), event(1, 100, 52.0)):
        pruner(each)
    assert reported == [(50.0, 100), (51.0, 200), (51.0, 601), (52.0, 701)]  # though the first stage ended at 200
    fake.should_prune = lambda: True
    import optuna

    with pytest.raises(optuna.TrialPruned, match=r"at 40\.00 in stage s1, step 200"):
        pruner(event(1, 200, 40.0))


def test_a_study_without_a_score_says_why(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that all ended early are finished: the same command would find nothing to go on with."""

    def all_end_early(job: Any, *rest: Any) -> None:
        study = _study(job)
        for _ in range(job.plan.trials):
            with study.claim(job.plan.trials) as trial:
                assert trial is not None
                study.prune(trial, "the loss became nan")

    monkeypatch.setattr("fewtag.experiments.tune._work", all_end_early)
    plan = TuningConfig(trials=2, grids={"train.lr": (0.003, 0.001), "train.batch_size": (8,)})
    with pytest.raises(ConfigError, match=r"all 2 trials ended without a score \(the loss became nan\); give more --trials"):
        tune(_config(data), plan, tmp_path / "out")


def test_dev_and_test_take_no_part(data: Path, tmp_path: Path) -> None:
    """The same search on the same train, with a dev and a test that say nothing, ends with the same scores."""
    poor = tmp_path / "poor" / "en"
    poor.mkdir(parents=True)
    (poor / "train.conll").write_bytes((data / "en" / "train.conll").read_bytes())
    for split in ("dev", "test"):
        (poor / f"{split}.conll").write_text("nothing\tO\n")
    plan = TuningConfig(trials=2, grids={"train.lr": (0.003, 0.001), "train.batch_size": (8,)})
    said: list[str] = []
    found = [tune(_config(folder), plan, tmp_path / f"out{k}", listener=said.append) for k, folder in enumerate((data, tmp_path / "poor"))]
    assert found[0].to_json() == found[1].to_json() and found[0].score > 0
    assert found[0].standing_score is not None and found[0].score >= found[0].standing_score
    assert len([sentence for sentence in said if sentence.startswith("trial ")]) == 4
    metrics = json.loads((tmp_path / "out0" / "trials" / "0000" / "metrics.json").read_text())
    assert "test" not in metrics and metrics["dev"]["by_language"]["en"]["sentences"] == found[0].held_out["en"]
    assert not (tmp_path / "out0" / "trials" / "0000" / "model").exists()
    written = read_toml(tmp_path / "out0" / "best.toml")
    assert build(RunConfig, written).train.lr == found[0].best["train.lr"]
    assert tomllib.loads((tmp_path / "out0" / "best.toml").read_text())["method"]["name"] == "supervised-multi"
    again = tune(_config(data), plan, tmp_path / "out0", listener=said.append)
    assert again == found[0]
    with pytest.raises(ConfigError, match="another configuration or data"):
        tune(_config(data, train__seed=99), plan, tmp_path / "out0")
    assert tune(_config(data, train__seed=99), plan, tmp_path / "out0", force=True).counts == {"complete": 2}


def test_without_optuna_one_line_says_what_to_install(data: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['optuna'] = None; sys.argv[0] = 'fewtag'\nfrom fewtag.cli import main\nmain()"
    command = [sys.executable, "-c", code, "tune", str(data), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4
    assert done.stderr.strip().splitlines() == ['error: optuna is not installed. This needs: pip install "fewtag[hpo]"']
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_workers_share_a_study_and_one_of_them_may_be_killed(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = ["--set", "train.max_steps=400", "--set", "train.evaluate_every=50", "-m", "supervised-multi", "--langs", "en"]
    command = [sys.executable, "-m", "fewtag.cli", "tune", str(data), "-o", str(out), "--trials", "5", "--jobs", "2", *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while len(list(out.glob("trials/*/events.jsonl"))) < 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        workers = [pid for pid in _children(process.pid) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        printed, talk = process.communicate(timeout=300)
    assert process.returncode == 0, talk
    assert "a worker ended unexpectedly (exit code -9)" in talk
    counts = json.loads((out / "tuned.json").read_text())["counts"]
    assert counts["complete"] + counts.get("pruned", 0) == 5 and counts["fail"] == 1
    assert "--set train.lr=" in printed


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
