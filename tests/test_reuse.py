"""What a comparison takes as it lies there and what it runs anew: never a run on other data or weights, and never one run twice."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

from checkpoints import save_checkpoint
from fewtag.data.corpus import Corpus
from fewtag.data.files import read_json
from fewtag.errors import ConfigError, DataError
from fewtag.experiments.comparison import Comparison, compare
from fewtag.experiments.grid import Board
from fewtag.training import run as training
from fewtag.training.drive import Interrupted
from grids import QUICK, corpus_folder, finished

LANGUAGES = ["pt", "tr"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_folder(tmp_path_factory.mktemp("data"))


def compared(data: Any, out: Path, *methods: str, **more: Any) -> Comparison:
    corpus = Corpus.from_dir(data, languages=LANGUAGES) if isinstance(data, Path) else data
    given: dict[str, Any] = {"labeled": ["30%"], "seeds": 1, "settings": QUICK, "bootstrap": 0, **more}
    return compare(corpus, methods or ("supervised-multi",), out=out, **given)


def test_force_runs_each_run_once_its_start_before_it(shop: Path, tmp_path: Path) -> None:
    rows = ("supervised-multi", "metats", "supervised-full")
    first = compared(shop, tmp_path, *rows, shared_start=True)
    before, started = finished(tmp_path), Counter[str]()

    def watch(board: Board) -> None:
        if board.last is not None and board.last.kind == "started":
            started[board.last.cell] += 1

    again = compared(shop, tmp_path, *rows, shared_start=True, force=True, watch=watch)
    assert set(started) == set(before) and set(started.values()) == {1}
    assert not again.results.failed and all(finished(tmp_path)[name] > when for name, when in before.items())
    assert [run.f1 for run in again.results.runs] == [run.f1 for run in first.results.runs]


def test_what_force_began_is_gone_on_with_and_nothing_old_is_left(shop: Path, tmp_path: Path) -> None:
    rows = ("supervised-multi", "metats", "supervised-full")
    compared(shop, tmp_path, *rows, shared_start=True)
    done: list[int] = []
    with pytest.raises(Interrupted):
        compared(
            shop, tmp_path, *rows, shared_start=True, force=True,
            watch=lambda board: done.append(board.done), interrupted=lambda: any(done),
        )  # fmt: skip
    begun = finished(tmp_path)
    assert len(begun) == 1, "the start, and none of the runs of before"
    compared(shop, tmp_path, *rows, shared_start=True)
    after = finished(tmp_path)
    assert len(after) == 3 and after.items() >= begun.items(), "what has run since stays"


def test_a_run_that_fails_and_then_ends_is_no_failure(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, calls = training.run, list[Path]()

    def once(config: Any, out: Path, **more: Any) -> Any:
        calls.append(out)
        if len(calls) == 1:
            raise DataError("the disk was away")
        return true(config, out, **more)

    monkeypatch.setattr("fewtag.training.run.run", once)
    found = compared(shop, tmp_path, "supervised-multi", "metats", shared_start=True).results
    assert len(calls) == 3 and {run.method for run in found.runs} == {"supervised-multi", "metats"}
    assert found.failed == []


def test_files_that_changed_places_are_other_files(shop: Path, tmp_path: Path) -> None:
    data = tmp_path / "shop"
    shutil.copytree(shop, data)
    compared(data, tmp_path / "out")
    dev, test = data / "tr" / "dev.conll", data / "tr" / "test.conll"
    dev.rename(tmp_path / "aside")
    test.rename(dev)
    (tmp_path / "aside").rename(test)
    with pytest.raises(ConfigError, match="a run on other files than those of shop now"):
        compared(data, tmp_path / "out")


def test_sentences_of_no_file_are_told_apart_too(shop: Path, tmp_path: Path) -> None:
    read = Corpus.from_dir(shop, languages=LANGUAGES)
    held = Corpus("held", {lang: dict(parts) for lang, parts in read.sentences.items()})
    compared(held, tmp_path)
    same = Corpus("held", {lang: dict(parts) for lang, parts in read.sentences.items()})
    assert compared(same, tmp_path).results.runs
    fewer = Corpus("held", {lang: {**parts, "test": list(parts["test"])[1:]} for lang, parts in read.sentences.items()})
    with pytest.raises(ConfigError, match="a run on other files than those of held now"):
        compared(fewer, tmp_path)


def test_a_row_of_its_own_languages_is_found_again(shop: Path, tmp_path: Path) -> None:
    variants = ["tr=supervised-multi: data.languages=tr"]
    given: dict[str, Any] = {"labeled": ["30%"], "seeds": 1, "settings": QUICK, "bootstrap": 0, "variants": variants}
    first = compare(shop, ["supervised-multi"], out=tmp_path, **given)
    before = finished(tmp_path)
    again = compare(shop, ["supervised-multi"], out=tmp_path, **given)
    assert again.results == first.results and finished(tmp_path) == before and len(before) == 2


def test_an_encoder_of_other_weights_is_another(shop: Path, tmp_path: Path) -> None:
    encoder, out = tmp_path / "tiny", tmp_path / "out"
    save_checkpoint(encoder, "bert")
    compared(shop, out, encoders=[str(encoder)])
    (cell,) = (out / "cells").glob("*/data.json")
    assert "model.safetensors" in read_json(cell)["encoder"]
    assert compared(shop, out, encoders=[str(encoder)]).results.runs
    shutil.rmtree(encoder)
    assert compared(shop, out, encoders=[str(encoder)]).results.runs, "tables of finished runs need no encoder"
    save_checkpoint(encoder, "bert")
    changed = AutoModel.from_pretrained(encoder)
    with torch.no_grad():
        changed.embeddings.word_embeddings.weight += 1
    changed.save_pretrained(encoder)
    with pytest.raises(ConfigError, match=r"a run on other weights than those of .*tiny now"):
        compared(shop, out, encoders=[str(encoder)])


def test_sentences_of_no_file_and_a_row_of_its_own_languages(shop: Path, tmp_path: Path) -> None:
    read = Corpus.from_dir(shop, languages=LANGUAGES)
    variants = ["tr=supervised-multi: data.languages=tr"]
    first = compared(read, tmp_path, "supervised-multi", "metats", variants=variants, shared_start=True)
    assert compared(read, tmp_path, "supervised-multi", "metats", variants=variants, shared_start=True).results == first.results


def test_the_built_in_encoder_is_no_folder_of_its_name(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compared(shop, Path("compact"))
    assert "encoder" not in read_json(next(Path("compact").glob("cells/*/data.json")))
