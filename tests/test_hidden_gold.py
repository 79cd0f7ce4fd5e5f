"""No gold tag of raw text reaches anything that is learned or decided: what a run writes does not depend on it (paper 4.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.data.queries import generate
from fewtag.text import Sentence
from fewtag.training.journal import read_events
from fewtag.training.run import train

LANGUAGES, LABELED, SEED = ("de", "en"), "10", 5
SETTINGS: dict[str, Any] = {
    **{"train__max_steps": 10, "train__semi_supervised_steps": 20, "train__finetune_steps": 5, "train__evaluate_every": 10},
    **{"pretraining__steps": 2, "evaluation__bootstrap": 0},
}
TIMED = {"events.jsonl", "pseudo.jsonl"}  # a line of each has its time
AFTERWARDS = {"pseudo_labels.json", "metrics.json", "report.md"}  # how good the pseudo-labels were, and notes of it


def corpus() -> Corpus:
    splits: dict[str, Any] = {}
    for language in LANGUAGES:
        source = generate(language)
        made = [next(source) for _ in range(90)]
        splits[language] = {"train": made[:60], "dev": made[60:75], "test": made[75:]}
    return Corpus("made", splits)


def scrambled(whole: Corpus) -> Corpus:
    """The same, every tag changed in the sentences whose tags are taken away: label to the next label, O to the first."""
    kept = {s.id for some in LowResource.sample(whole, LABELED, SEED).labeled.values() for s in some}
    labels = whole.tag_set.labels
    following = dict(zip(labels, [*labels[1:], labels[0]], strict=True))

    def other(sentence: Sentence) -> Sentence:
        assert sentence.tags is not None
        tags = tuple(f"B-{labels[0]}" if tag == "O" else f"{tag[:2]}{following[tag[2:]]}" for tag in sentence.tags)
        return sentence if sentence.id in kept else sentence.with_tags(tags)

    return Corpus("made", {lang: {**splits, "train": [other(s) for s in splits["train"]]} for lang, splits in whole.sentences.items()})


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One seed, trained with the gold of its raw text and with other tags in its place."""
    folders = [tmp_path_factory.mktemp(name) / "run" for name in ("gold", "scrambled")]
    for folder, data in zip(folders, (corpus(), scrambled(corpus())), strict=True):
        train(data, folder, method="metats", labeled=LABELED, seed=SEED, **SETTINGS)
    return folders


def test_the_hidden_tags_are_other_ones_and_nothing_else_is() -> None:
    gold, other = (LowResource.sample(data, LABELED, SEED) for data in (corpus(), scrambled(corpus())))
    assert (gold.labeled, gold.dev, gold.test, gold.tag_set) == (other.labeled, other.dev, other.test, other.tag_set)
    assert gold.hidden.keys() == other.hidden.keys() and len(gold.hidden) == 100
    assert all(a != b for name in gold.hidden for a, b in zip(gold.hidden[name], other.hidden[name], strict=True))


def timeless(folder: Path, name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key not in ("time", "seconds")} for event in read_events(folder / name)]


def plain(metrics: bytes) -> dict[str, Any]:
    """Without what the run says of its pseudo-labels, and how long it took."""
    values = json.loads(metrics)
    del values["seconds"]
    return {**values, "notes": [note for note in values["notes"] if not note.startswith("pseudo-labels of")]}


def words(report: str) -> list[str]:
    """A report without what it says of the pseudo-labels' quality, a note and a paragraph with its table, and without its time."""
    blocks = report.split("\n\n")
    judged = [at for at, block in enumerate(blocks) if block.startswith("Span F1 of the pseudo-labels against gold")]
    assert len(judged) == 1
    kept = "\n\n".join(block for at, block in enumerate(blocks) if at not in (judged[0], judged[0] + 1))
    return [line for line in kept.splitlines() if not any(part in line for part in ("pseudo-labels of", "s of training"))]


def test_hidden_gold_changes_no_bit_of_what_is_learned(twins: list[Path]) -> None:
    """Every file is the same, but those written after training to say how good the pseudo-labels were; and of these all but that.

    What was read has a hash in data.json, and is another text.
    """
    gold, other = ({p.relative_to(f).as_posix(): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in twins)
    assert gold.keys() == other.keys() >= {"model/model.safetensors", "data.json", "predictions/test.en.jsonl", *TIMED}
    assert {name for name in gold if gold[name] != other[name]} <= TIMED | AFTERWARDS | {"data.json"}
    read, read_other = (json.loads(files["data.json"]) for files in (gold, other))
    changed = {name for name, digest in read.pop("files").items() if read_other["files"][name] != digest}
    assert read == {key: value for key, value in read_other.items() if key != "files"} and changed == {
        f"{each}/train" for each in LANGUAGES
    }
    for name in TIMED:
        lines = [timeless(folder, name) for folder in twins]
        assert lines[0] == lines[1] and lines[0]
    assert gold["pseudo_labels.json"] != other["pseudo_labels.json"]  # the one place where the hidden tags are looked at
    assert plain(gold["metrics.json"]) == plain(other["metrics.json"])
    texts = [words(files["report.md"].decode()) for files in (gold, other)]
    assert texts[0] == texts[1]


def test_pre_training_in_front_hides_no_pseudo_labels(twins: list[Path]) -> None:
    """Every tenth of the 20 steps on raw text is kept, whatever stage came before."""
    assert [(event["stage"], event["step"]) for event in timeless(twins[0], "pseudo.jsonl")] == [("interact", n) for n in (10, 20)]
