"""Which sentences the stages of a run are given: none of dev or test, and raw text by the languages' weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.errors import ConfigError
from fewtag.learning.learner_config import LearnerConfig
from fewtag.methods import METHODS, resolve
from fewtag.methods.method import Stage
from fewtag.tagger.folder import load
from fewtag.text import Sentence
from fewtag.training.draws import Draws, split
from fewtag.training.prepare import choose_method
from fewtag.training.run import train
from fewtag.training.run_config import RunConfig
from test_contract import LABELED, NAMES, PRETRAINED, RAW, TAG_SET, build, make_tagger

STEPS = 60


def part(language: str, split: str, count: int) -> list[Sentence]:
    tags = None if split == "unlabeled" else ("B-color", "B-thing")
    return [Sentence((f"{split}{number}", "x"), tags, language, f"{language}/{split}/{number}") for number in range(count)]


def corpus() -> Corpus:
    """Two languages with every split, and one without dev, which is then cut from train."""
    sizes = {"train": 30, "dev": 8, "test": 8, "unlabeled": 20}
    whole = {language: {split: part(language, split, count) for split, count in sizes.items()} for language in ("de", "en", "fr")}
    del whole["fr"]["dev"]
    return Corpus("made", whole)


class Taken:
    """In place of a batcher: notes the sentences that batches would be made of."""

    def __init__(self) -> None:
        self.labeled: list[Sentence] = []
        self.raw: list[Sentence] = []

    def batch(self, sentences: Sequence[Sentence], *, labeled: bool) -> Taken:
        (self.labeled if labeled else self.raw).extend(sentences)
        return self

    def to(self, device: torch.device) -> Taken:
        return self


def taken(data: LowResource, stages: Sequence[Stage], steps: int = STEPS, **values: Any) -> Taken:
    """All that some stages draw."""
    found: Any = Taken()
    draw = Draws(data, found, seed=3, batch_size=4, unlabeled_batch_size=4, exponent=0.5, device=torch.device("cpu"), **values)
    for stage in stages:
        for step in range(steps):
            draw(stage, step)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_of_dev_or_test_is_ever_drawn(name: str) -> None:
    """Held to the ids as the splits were made. Whatever may be drawn is; with tags, what was left its tags, and without, all the rest."""
    whole, data = corpus(), LowResource.sample(corpus(), "40%")
    ids = {
        split: {s.id for splits in whole.sentences.values() for s in splits.get(split, ())}
        for split in ("train", "unlabeled", "dev", "test")
    }
    aside = {s.id for some in data.dev.values() for s in some} | ids["test"]
    assert aside > ids["dev"] and aside & ids["train"]  # that of the language without dev
    found = taken(data, build(name).stages())
    labeled, raw = ({s.id for s in some} for some in (found.labeled, found.raw))
    assert not (labeled | raw) & aside
    assert labeled < ids["train"] and len(labeled) == 3 * 12 - 2 and all(s.tags for s in found.labeled)
    assert raw in (set(), (ids["train"] | ids["unlabeled"]) - labeled - aside) and not any(s.tags for s in found.raw)
    assert bool(raw) == any(stage.draws != "labeled" for stage in build(name).stages())


@pytest.mark.parametrize("folds", [0, 2])
def test_a_language_without_raw_text_is_drawn_with_its_labeled_sentences_in_place_of_it(folds: int) -> None:
    """Left out of the stages on raw text it would be forgotten there. Of a fold's judges no network sees even the text."""
    data = LowResource.sample(corpus(), "40%")
    data = replace(data, unlabeled={language: some for language, some in data.unlabeled.items() if language != "en"})
    own = {s.id for s in data.labeled["en"]}
    config: Any = METHODS["metats"].method(resolve("metats", {"folds": folds}), make_tagger, LearnerConfig())
    for stage in (each for each in config.stages() if each.draws == "both"):
        judges = {s.id for s in split(data.labeled["en"], "en", 3, stage.fold)[1]} if stage.fold else set()
        found = taken(data, [replace(stage, heard=0)], 200)
        raw = [s for s in found.raw if s.language == "en"]
        assert {s.id for s in raw} == own - judges and not any(s.tags for s in raw)
        assert {s.id for s in found.labeled if s.language == "en"} == own
        assert {s.language for s in found.raw} == {"de", "en", "fr"}


# ---- sampling.raw_weights


def languages(data: LowResource, stage: Stage, **values: Any) -> tuple[list[str], list[str]]:
    found = taken(data, [stage], 1000, **values)
    return [s.id for s in found.labeled], [s.language for s in found.raw[::4]]


def test_weights_are_of_the_stages_on_raw_text_and_of_no_other() -> None:
    """As many sentences of each language, weights 3, 1 and 0: three quarters, a quarter, none, within three standard deviations."""
    data, weights = LowResource.sample(corpus(), "40%"), {"de": 3.0, "fr": 0.0}
    data = replace(data, unlabeled={language: some[:18] for language, some in data.unlabeled.items()})
    bare, pretrain, warm_up, interact, finetune = build(PRETRAINED).stages()
    kinds = [each.draws for each in (bare, pretrain, warm_up, interact, finetune)]
    assert kinds == ["labeled", "raw", "labeled", "both", "labeled"]
    for stage in (replace(pretrain, raw_batch=4), interact):
        _, raw = languages(data, stage, weights=weights)
        assert len(raw) == 1000 and set(raw) == {"de", "en"}
        assert abs(np.mean([language == "de" for language in raw]) - 0.75) <= 3 * (0.75 * 0.25 / 1000) ** 0.5
        _, plain = languages(data, stage)
        assert set(plain) == {"de", "en", "fr"}
    for stage in (warm_up, finetune, replace(warm_up, mixed=False)):
        assert languages(data, stage, weights=weights) == languages(data, stage)


def test_a_weight_of_a_language_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sampling.raw_weights: unknown language 'DE'. Did you mean 'de'\? Choose one of: de, en, fr."):
        train(corpus(), tmp_path / "run", method="metats", labeled="40%", sampling__raw_weights={"en": 2.0, "DE": 0.5})
    with pytest.raises(ConfigError, match=r"data.languages: unknown language 'xx'. Choose one of: de, en, fr."):
        train(corpus(), tmp_path / "run", method="metats", labeled="40%", data__languages="xx")
    assert not (tmp_path / "run").exists()


def test_of_a_folder_only_the_languages_asked_for_are_read(tmp_path: Path) -> None:
    """Labels of another language are no part of the head, from Python as on the command line."""
    for language, label in (("de", "A"), ("en", "B")):
        (tmp_path / "data" / language).mkdir(parents=True)
        for name in ("train", "dev"):
            (tmp_path / "data" / language / f"{name}.conll").write_text(
                "".join(f"{name}{language}{k}\tB-{label}\n\n" for k in range(4)), encoding="utf-8"
            )
    given: dict[str, Any] = {"method": "supervised-multi", "train__max_steps": 1, "data__languages": "de"}
    result = train(tmp_path / "data", tmp_path / "run", **given)
    assert load(result.model).tag_set.labels == ("A",)
    with pytest.raises(ConfigError, match=r"every language that has some has a weight of 0"):
        train(tmp_path / "data", tmp_path / "none", method="metats", labeled="50%", sampling__raw_weights={"de": 0.0, "en": 0.0})


@pytest.mark.parametrize(("method", "steps", "where"), [("smooth-ensemble", 0, "not used"), ("metats", 3, "read in pre-training alone")])
def test_what_becomes_of_raw_text_without_labels_is_told(method: str, steps: int, where: str) -> None:
    """And so it is: pre-training draws text of every language, a stage on labels and raw text none of one that has no label."""
    config = RunConfig.model_validate({"method": {"name": method}, "pretraining": {"steps": steps}})
    data = LowResource({"en": LABELED["en"]}, RAW, {}, {}, {}, TAG_SET, "", 0)
    assert choose_method(config, data)[1] == [f"the raw text of de is {where}: de has no labeled sentence"]
    ran = build(PRETRAINED if steps else method)
    sizes, cpu = {"batch_size": 2, "unlabeled_batch_size": 2}, torch.device("cpu")
    draws = Draws(data, ran.batcher, seed=1, exponent=0.5, device=cpu, **sizes)
    for stage in (each for each in ran.stages() if each.draws != "labeled"):
        seen = {s.language for step in range(30) for s in draws.raw(stage, step)}
        assert seen == ({"de", "en"} if stage.name == "pretrain" else {"en"}), stage.name
