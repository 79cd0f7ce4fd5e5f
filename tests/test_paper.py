"""The paper's experiments, dry: every preset end to end on a tiny checkpoint of mBERT's architecture, with explicit reductions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checkpoints import save_checkpoint
from fewtag.errors import ConfigError, SetupError
from fewtag.experiments.paper import CURVE_METHODS, PRESETS, options_of, preset
from fewtag.experiments.plan import plan
from fewtag.experiments.published import DATASETS, published, published_ablations
from fewtag.experiments.results import Results
from fewtag.methods import METHODS
from grids import corpus_folder

SHORT = {
    "train.max_steps": 3, "train.semi_supervised_steps": 2, "train.finetune_steps": 2, "train.evaluate_every": 2, "train.batch_size": 4,
    "evaluation.bootstrap": 0, "data.languages": "pt,tr",
}  # fmt: skip
REDUCTIONS = [word for key, value in SHORT.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("bert") / "tiny-bert", "bert")


def fewtag(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fewtag.cli", *map(str, words)],
        cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=600, check=False, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip


def test_the_presets_are_table_2() -> None:
    assert tuple(PRESETS) == DATASETS
    table_2 = {"o-ner": (8, 1e-5, 0.01), "e2e-absa": (8, 1e-5, 0.001), "e-ner": (64, 5e-5, 0.01)}
    for name, (batch_size, lr, variance) in table_2.items():
        found = preset(name).settings
        assert (found["train"]["batch_size"], found["train"]["lr"], found["method"]["noise_variance"]) == (batch_size, lr, variance)
        assert (found["method"]["temperature"], found["method"]["threshold"], found["method"]["label_smoothing"]) == (0.7, 0.6, 0.15)
        assert found["tagger"]["max_length"] == 128
    assert [preset(name).labeled for name in DATASETS] == ["1%", "10%", "1%"]  # section 4.2
    with pytest.raises(ConfigError, match="Did you mean 'e2e-absa'"):
        preset("absa")


@pytest.mark.parametrize("name", DATASETS)
def test_a_preset_runs_every_row_of_the_papers_tables(name: str, tmp_path: Path) -> None:
    found = preset(name)
    methods = found.methods()
    assert {row.method for row in published(name).rows} | set(published_ablations()) | {"metats"} == set(methods) <= set(METHODS)
    assert len(methods) == len(set(methods))
    cells = plan([tmp_path], methods, labeled=[found.labeled], seeds=[1], encoders=["compact"], settings=found.settings)
    lrs = {cell.config.train.lr for cell in cells}
    assert lrs == {found.lr} and {cell.config.tagger.decoding for cell in cells} == {"greedy"}
    assert {c.method for c in cells if c.config.method.get("threshold") == 0.6} >= {"metats", *published_ablations()}


def test_o_ner_end_to_end_on_a_tiny_bert(shop: Path, bert: Path, tmp_path: Path) -> None:
    methods = "supervised-multi,metats-paper,metats-paper-no-meta"
    words = ["paper", "o-ner", "--data", shop, "--encoder", bert, "--seeds", 1, "-m", methods, "--labeled", "30%", *REDUCTIONS]
    done = fewtag(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for note in (
        "the run is without en, es, de, nl and with pt, tr",
        "the encoder is",
        "not every method",
        "settings other than the paper's",
    ):
        assert note in done.stderr
    assert "paper: MetaTS" in done.stdout and "Ablations" in done.stdout and "Table 4, multilingual open-domain NER" in done.stdout
    results = Results.load(tmp_path / "runs" / "paper-o-ner" / "compare.json")
    assert results.ours == "metats-paper" and [run.method for run in results.runs] == methods.split(",")
    model = tmp_path / "runs" / "paper-o-ner" / "cells" / results.runs[1].cell / "model"
    assert json.loads((model / "config.json").read_text())["model_type"] == "bert"


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_every_preset_with_all_its_methods(name: str, shop: Path, bert: Path, tmp_path: Path) -> None:
    words = ["paper", name, "--data", shop, "--encoder", bert, "--seeds", 2, "--labeled", "30%", "-j", 2, *REDUCTIONS]
    done = fewtag(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = Results.load(tmp_path / "runs" / f"paper-{name}" / "compare.json")
    assert len(results.runs) == 2 * len(preset(name).methods()) and not results.failed


def test_figure_2_has_its_methods_and_fractions(shop: Path, bert: Path) -> None:
    options, _ = options_of("e2e-absa", shop, encoder=str(bert), curve=True)
    assert options["labeled"] == ["10%", "20%", "30%", "40%", "50%"] and tuple(options["methods"]) == CURVE_METHODS
    with pytest.raises(ConfigError, match="Figure 2 of the paper is on e2e-absa alone"):
        options_of("o-ner", shop, encoder=str(bert), curve=True)


def test_a_preset_sets_nothing_that_no_chosen_method_has(shop: Path, bert: Path) -> None:
    options, _ = options_of("o-ner", shop, encoder=str(bert), methods=["supervised-multi", "supervised-full"])
    assert options["settings"]["method"] == {"label_smoothing": 0.15}
    options, _ = options_of("o-ner", shop, encoder=str(bert), methods=["noisy-student"], settings={"method": {"treshold": 1}})
    assert options["settings"]["method"] == {"label_smoothing": 0.15, "noise_variance": 0.01, "treshold": 1}  # which is refused later


def test_what_differs_from_the_paper_is_said(shop: Path, bert: Path) -> None:
    notes: list[str]
    options: dict[str, Any]
    options, notes = options_of("e-ner", shop, encoder=str(bert))
    assert notes == [f"the encoder is {bert}, not bert-base-multilingual-cased"]  # its twelve languages are the made corpus's
    assert options["ours"] == "metats-paper" and options["published_as"] == "e-ner"
    _, notes = options_of("e-ner", shop, encoder=str(bert), labeled=["5%"], settings={"data": {"languages": "de,fr"}})
    assert notes[2:] == ["labels kept: 5%, not 1%", "settings other than the paper's were given"]
    assert notes[0].startswith("the run is without ") and "averages cannot stand beside" in notes[0] and "de" not in notes[0].split(":")[0]


def test_without_weights_one_sentence(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    done = fewtag("paper", "o-ner", "--data", shop, "-o", "out", "--offline", folder=tmp_path)
    assert done.returncode == 4
    errors = [line for line in done.stderr.splitlines() if not line.startswith("  note: ")]
    assert len(errors) == 1 and "encoder 'bert-base-multilingual-cased' is not in the local cache" in errors[0]
    assert not (tmp_path / "out").exists()
    with pytest.raises(SetupError):
        options_of("o-ner", shop, encoder="./nowhere")
