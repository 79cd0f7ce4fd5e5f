"""A run that begins with another's tagger: the same as having trained it itself, its costs counted, nothing hidden let through."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from checkpoints import save_checkpoint
from fewtag.data.corpus import Corpus
from fewtag.errors import ConfigError
from fewtag.experiments.comparison import _from_shared_start, compare
from fewtag.experiments.plan import plan
from fewtag.experiments.variants import variant
from fewtag.tagger import folder as tagger_folder
from fewtag.training.run import resume_config, run, train
from grids import QUICK, corpus_folder

FLAT = {f"{part}__{key}": value for part, values in QUICK.items() for key, value in values.items()}
LESS: dict[str, Any] = {"labeled": "30%", "seed": 4, **FLAT}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def multi(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(shop, tmp_path_factory.mktemp("multi") / "run", method="supervised-multi", **LESS).folder


def same_weights(one: Path, other: Path) -> bool:
    a, b = (tagger_folder.load(each / "model").state_dict() for each in (one, other))
    return all(torch.equal(a[name], b[name]) for name in a)


def test_it_is_what_the_method_would_have_trained(shop: Path, multi: Path, tmp_path: Path) -> None:
    """BOND's first stage is supervised-multi to the bit, so with supervised-multi as its start it must end where it ends alone."""
    alone = train(shop, tmp_path / "alone", method="bond-hard", **LESS)
    after = train(shop, tmp_path / "after", method="bond-hard", train__start=str(multi), **LESS)
    assert same_weights(alone.folder, after.folder)
    assert (alone.steps, alone.passes) == (after.steps, after.passes)
    assert alone.digest != after.digest


def test_its_weights_are_taken_and_its_costs_counted(shop: Path, multi: Path, tmp_path: Path) -> None:
    result = train(shop, tmp_path / "run", method="metats", train__start=str(multi), **{**LESS, "train__max_steps": 999})
    before = json.loads((multi / "metrics.json").read_text())
    assert result.passes == before["passes"] + 12 * 14 + 3 * 6
    assert result.steps == before["steps"] + 12 + 6
    assert result.seconds > before["seconds"]
    # With rates so small that nothing moves, the start comes out again.
    still = train(shop, tmp_path / "still", method="metats", train__start=str(multi), train__lr=1e-30, train__head_lr=1e-30, **LESS)
    a, b = (tagger_folder.load(each / "model").state_dict() for each in (multi, still.folder))
    assert all(torch.allclose(a[name], b[name], atol=1e-12) for name in a)


def test_the_time_that_a_start_took_is_not_the_new_runs(shop: Path, multi: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    shutil.copytree(multi, start)
    metrics = json.loads((start / "metrics.json").read_text())
    (start / "metrics.json").write_text(json.dumps({**metrics, "seconds": 3600.0}))
    result = train(shop, tmp_path / "run", method="metats", train__start=str(start), train__max_time="60s", **LESS)
    assert result.seconds > 3600 and not [note for note in result.notes if "ended the stages" in note]
    assert result.steps == metrics["steps"] + 12 + 6


def test_it_resumes_to_the_bit_without_its_start(shop: Path, multi: Path, tmp_path: Path) -> None:
    settings = {**LESS, "method": "metats", "train__checkpoint_seconds": 0.0}
    start = tmp_path / "start"
    shutil.copytree(multi, start)
    whole = train(shop, tmp_path / "whole", train__start=str(start), **settings)
    config = resume_config(whole.folder)
    calls = iter([False] * 9 + [True] * 99)
    with pytest.raises(Exception, match="stopped in stage"):
        run(config, tmp_path / "cut", interrupted=lambda: next(calls))
    shutil.rmtree(start)  # what was taken over is in the checkpoint
    resumed = run(config, tmp_path / "cut", resume=True)
    assert same_weights(whole.folder, resumed.folder)
    assert (whole.steps, whole.passes) == (resumed.steps, resumed.passes)


def test_no_gold_tag_comes_in_with_a_start(shop: Path, multi: Path, tmp_path: Path) -> None:
    other = {**LESS, "seed": 5}
    with pytest.raises(ConfigError, match=r"learned from \d+ labeled sentences that this run is not to see, .*: use a run on labels"):
        train(shop, tmp_path / "run", method="metats", train__start=str(multi), **other)
    assert not (tmp_path / "run").exists()
    train(shop, tmp_path / "more", method="metats", train__start=str(multi), **{**LESS, "labeled": "60%"})  # a smaller sample of one seed


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        ("supervised-multi", {}, "first stage is 'supervised', which no other run can stand in for"),
        ("metats", {"method__folds": 2}, "first stage is 'warm-up-1'"),
        ("metats", {"method__warmup": False}, "first stage is 'interact'"),
        ("metats", {"train__start": "nowhere"}, "nowhere is no finished run"),
    ],
)
def test_what_cannot_be_a_start_is_refused(
    shop: Path, multi: Path, tmp_path: Path, method: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(shop, tmp_path / "run", method=method, **{"train__start": str(multi), **LESS, **more})


def test_another_tagger_is_refused(shop: Path, multi: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    shutil.copytree(multi, start)
    about = json.loads((start / "model" / "fewtag.json").read_text())
    renamed = {**about, "tags": [*about["tags"][:-2], "B-zebra", "I-zebra"]}
    (start / "model" / "fewtag.json").write_text(json.dumps(renamed))
    with pytest.raises(ConfigError, match=r"train.start: .*start knows the labels .*zebra"):
        train(shop, tmp_path / "run", method="metats", train__start=str(start), **LESS)
    (start / "model" / "fewtag.json").write_text("{")
    with pytest.raises(ConfigError, match=r"train.start: .* is damaged"):
        train(shop, tmp_path / "run", method="metats", train__start=str(start), **LESS)
    with pytest.raises(ConfigError, match="has another encoder than this run"):
        train(
            shop,
            tmp_path / "run",
            method="metats",
            encoder=str(save_checkpoint(tmp_path / "bert", "bert")),
            train__start=str(multi),
            **LESS,
        )


def test_a_comparison_shares_one_start(shop: Path, tmp_path: Path) -> None:
    corpus = Corpus.from_dir(shop, languages=["pt", "tr"])
    methods = ["supervised-multi", "bond-hard", "metats", "supervised-full"]
    more = ["guesser=bond-hard: pretraining.steps=3", "guarded=smooth-bond: pretraining.steps=3"]
    more += ["cold=metats: method.warmup=false"]
    found = compare(corpus, methods, out=tmp_path, labeled=["30%"], seeds=2, settings=QUICK, bootstrap=0, shared_start=True, variants=more)
    runs = {(each.method, each.seed): each for each in found.results.runs}
    for seed in (1, 2):
        start = runs["supervised-multi", seed]
        assert {name: runs[name, seed].start for name in methods} == {
            "supervised-multi": "", "bond-hard": start.cell, "metats": start.cell, "supervised-full": ""
        }  # fmt: skip
        assert runs["metats", seed].passes == start.passes + 12 * 14 + 3 * 6
        assert runs["guesser", seed].start == "", "one that learned to guess words first has another supervised tagger"
        assert runs["cold", seed].start == "", "it begins with no such tagger"
        assert runs["guarded", seed].start == start.cell, "its guard knows one that did not"
    assert "Methods on raw text, but for guesser, cold, go on from the supervised-multi of their seed" in str(found)
    again = compare(corpus, methods, out=tmp_path, labeled=["30%"], seeds=2, settings=QUICK, bootstrap=0, shared_start=True, variants=more)
    assert again.results == found.results
    with pytest.raises(ConfigError, match="a shared start needs supervised-multi"):
        compare(corpus, methods[1:], out=tmp_path, labeled=["30%"], seeds=2, settings=QUICK, bootstrap=0, shared_start=True)


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ("train.max_steps=24", False),
        ("data.dev=matched", False),
        ("data.languages=tr", False),
        ("tagger.dropout=0.3", False),
        ("train.lr=1e-4", True),
        ("train.semi_supervised_steps=9", True),
    ],
)
def test_a_variant_that_trains_its_start_otherwise_trains_it_itself(shop: Path, tmp_path: Path, settings: str, shares: bool) -> None:
    given: dict[str, Any] = {"labeled": ["30%"], "seeds": [1], "encoders": ["compact"], "settings": QUICK}
    longer = variant("supervised-multi=supervised-multi: train.max_steps=18")  # which is the start of all others then
    for more in ([], [longer]):
        cells = plan([shop], ["supervised-multi", "metats"], variants=[*more, variant(f"own=metats: {settings}")], **given)
        started = {cell.method: bool(cell.config.train.start) for cell in _from_shared_start(cells, tmp_path)}
        assert started == {"supervised-multi": False, "metats": True, "own": shares}


def test_a_row_with_its_labels_in_folds_shares_no_start(shop: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"labeled": ["30%"], "seeds": [1], "encoders": ["compact"], "settings": QUICK}
    cells = plan([shop], ["supervised-multi", "metats"], variants=[variant("folded=metats: method.folds=2")], **given)
    started = {cell.method: bool(cell.config.train.start) for cell in _from_shared_start(cells, tmp_path)}
    assert started == {"supervised-multi": False, "metats": True, "folded": False}
