"""`fewtag pretrain`: an encoder made familiar with raw text, alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModel

from checkpoints import save_checkpoint
from fewtag.config import build, merge, nest
from fewtag.data.corpus import Corpus
from fewtag.data.queries import write_corpus
from fewtag.encoders import build_encoder
from fewtag.errors import ConfigError, DataError
from fewtag.tagger.encoder_folder import save_encoder
from fewtag.training.adapt import Adapted, adapt, raw_text
from fewtag.training.drive import Interrupted
from fewtag.training.fit import Progress
from fewtag.training.run import run
from fewtag.training.run_config import RunConfig
from test_cli import fewtag


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small made corpus in data/ and a checkpoint in bert/."""
    folder = tmp_path_factory.mktemp("adapt")
    write_corpus(folder / "data", scale=0.001)
    save_checkpoint(folder / "bert", "bert")
    return folder


def config(place: Path, **values: Any) -> RunConfig:
    given = {
        "data.dir": str(place / "data"), "data.languages": ("en", "de"), "tagger.encoder": str(place / "bert"),
        "pretraining.steps": 120, "pretraining.lr": 2e-3, "train.seed": 3, "train.checkpoint_seconds": 0.0, **values,
    }  # fmt: skip
    plain: dict[str, Any] = {}
    for key, value in given.items():
        plain = merge(plain, nest(key, value))
    return build(RunConfig, plain, "test")


@pytest.fixture(scope="module")
def adapted(place: Path) -> Adapted:
    return adapt(config(place), place / "adapted")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(build_encoder(folder).state_dict())


def test_it_learns_and_leaves_an_encoder_that_transformers_opens(place: Path, adapted: Adapted) -> None:
    assert adapted.steps == 120 and adapted.last < 0.95 * adapted.first
    encoder = build_encoder(adapted.encoder).eval()
    inputs = encoder.pack(encoder.tokenize([["red", "shoes"], ["schwarze", "lederjacke", "xyz"]]))
    with torch.no_grad():
        ours = encoder.encode(encoder.embed(inputs), inputs)
        model: Any = AutoModel.from_pretrained(adapted.encoder).eval()
        theirs = model(input_ids=inputs.ids, attention_mask=inputs.mask_BL.long()).last_hidden_state
    torch.testing.assert_close(ours[inputs.mask_BL], theirs[inputs.mask_BL], atol=1e-5, rtol=1e-5)
    before, after = weights(place / "bert"), weights(adapted.encoder)
    assert before.keys() == after.keys() and not any(torch.equal(before[name], after[name]) for name in before if "weight" in name)
    with safe_open(adapted.encoder / "model.safetensors", "pt") as saved:
        assert not [name for name in saved.keys() if "pooler" in name]  # noqa: SIM118
    assert "120 steps" in (adapted.encoder / "README.md").read_text()


def test_no_tag_and_no_word_of_dev_or_test_is_read(place: Path, adapted: Adapted, tmp_path: Path) -> None:
    """The same bits where every tag of train is another, and dev and test are other text."""
    shutil.copytree(place / "data", tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.conll"):
        lines = path.read_text(encoding="utf-8").splitlines()
        if path.stem == "train":
            lines = [f"{line.split()[0]}\tO" if line.strip() and not line.startswith("#") else line for line in lines]
        else:
            lines = ["other\tO", ""] * 5
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    again = adapt(config(place, **{"data.dir": str(tmp_path / "data")}), tmp_path / "out")
    one, other = weights(adapted.encoder), weights(again.encoder)
    assert all(torch.equal(one[name], other[name]) for name in one)
    corpus = Corpus.from_dir(place / "data", languages=["en"])
    raw = raw_text(corpus)["en"]
    splits = corpus.sentences["en"]
    assert [s.tokens for s in raw] == [s.tokens for split in ("train", "unlabeled") for s in splits.get(split, [])]
    assert all(s.tags is None for s in raw)


def test_it_goes_on_to_the_bit(place: Path, adapted: Adapted, tmp_path: Path) -> None:
    seen: list[int] = []

    def count(event: Progress | str) -> None:
        if isinstance(event, Progress):
            seen.append(event.step)

    with pytest.raises(Interrupted, match="Go on with: fewtag pretrain --resume -o"):
        adapt(config(place), tmp_path / "out", listener=count, interrupted=lambda: len(seen) >= 47)
    assert not (tmp_path / "out" / "encoder").exists()
    with pytest.raises(ConfigError, match="was begun by fewtag pretrain; go on with: fewtag pretrain --resume"):
        run(config(place), tmp_path / "out", resume=True)
    again = adapt(config(place), tmp_path / "out", resume=True)
    one, other = weights(adapted.encoder), weights(again.encoder)
    assert all(torch.equal(one[name], other[name]) for name in one) and again.steps == 120
    said: list[Any] = []
    assert adapt(config(place), tmp_path / "out", resume=True, listener=said.append) == again
    assert "is finished already" in said[0]


@pytest.mark.parametrize("written", [False, True])
def test_an_end_beside_the_writing_of_the_encoder_loses_nothing(
    written: bool, place: Path, adapted: Adapted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just before the encoder is written, or just after."""

    def killed(*arguments: Any, **values: Any) -> None:
        if written:
            save_encoder(*arguments, **values)
        raise KeyboardInterrupt

    monkeypatch.setattr("fewtag.training.adapt.save_encoder", killed)
    with pytest.raises(KeyboardInterrupt):
        adapt(config(place), tmp_path / "out")
    monkeypatch.undo()
    again = adapt(config(place), tmp_path / "out", resume=True)
    one, other = weights(adapted.encoder), weights(again.encoder)
    assert all(torch.equal(one[name], other[name]) for name in one) and (again.steps, again.last) == (120, adapted.last)
    assert adapt(config(place), tmp_path / "out", resume=True) == again


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tagger.encoder": "compact"}, "compact is built in and learns from nothing each time"),
        ({"pretraining.steps": 0}, "pretraining.steps is 0, so there is nothing to do"),
    ],
)
def test_what_makes_no_sense_is_refused(place: Path, tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adapt(config(place, **values), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_there_must_be(place: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "en").mkdir(parents=True)
    shutil.copy(next((place / "data" / "en").glob("dev.*")), tmp_path / "data" / "en")
    with pytest.raises(DataError, match=r"no text to learn from; put train\.conll or unlabeled\.txt"):
        adapt(config(place, **{"data.dir": str(tmp_path / "data"), "data.languages": ("en",)}), tmp_path / "out")


def test_as_typed(place: Path, tmp_path: Path) -> None:
    """Raw text alone is enough; what is written trains a tagger; the folder says what it is."""
    (tmp_path / "raw" / "en").mkdir(parents=True)
    texts = [" ".join(s.tokens) for s in Corpus.from_dir(place / "data", languages=["en"]).sentences["en"]["train"]]
    (tmp_path / "raw" / "en" / "unlabeled.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    words = ("pretrain", "raw", "--encoder", place / "bert", "--offline")
    done = fewtag(*words, "--steps", 5, "-o", "out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stage 1/1 pretrain  ended at step 5\n" in done.stderr and "loss: masked words" in done.stderr
    assert "5 steps" in done.stdout and f"next    fewtag train raw --encoder {Path('out') / 'encoder'}" in done.stdout
    assert "already holds a finished run" in fewtag(*words, "-o", "out", folder=tmp_path).stderr
    refused = fewtag("pretrain", place / "data", "--resume", "-o", "out", folder=tmp_path)
    assert refused.returncode == 2 and "was begun on" in refused.stderr
    assert "pretraining.steps is 0" in fewtag(*words, "--set", "pretraining.steps=0", "-o", "zero", folder=tmp_path).stderr
    told = fewtag("report", "out", folder=tmp_path)
    assert told.returncode == 2 and "fewtag pretrain made it, an encoder and no tagger" in told.stderr
    quick = ("--set", "train.max_steps=4", "--labeled", "10", "--langs", "en", "--offline", "-m", "supervised-multi")
    trained = fewtag("train", place / "data", "--encoder", "out/encoder", "-o", "run", *quick, folder=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["encoder"] == "out/encoder"
