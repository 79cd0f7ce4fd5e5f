"""How fast data come in: a CoNLL file to sentences, and sentences to sub-words, beside a line-by-line reader and the datasets.map recipe.

    python benchmarks/speed_data.py --lines 200000 -o benchmarks/results/speed-data.json

Made English queries. Theirs is the usual recipe of token classification: ``datasets.map`` in batches, the tokenizer on word lists, labels
laid along ``word_ids``; reading the file is not counted for it, and it is for ours.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
from transformers import AutoTokenizer

from alternate import alternate
from fewtag.data.cache import cached
from fewtag.data.fast_conll import read_plain_conll
from fewtag.data.formats import conll, read_file
from fewtag.data.problems import Problems
from fewtag.data.queries import generate
from fewtag.encoders import build_encoder
from fewtag.tagger.batch import Batcher
from fewtag.text.tags import TagSet
from material import encoder_folder, machine

CHUNK = 1000


def main() -> None:
    """Measure and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=200_000, help="queries in the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/bench/speed-data.json"))
    options = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "train.conll"
        conll.write((replace(s, id="") for s in islice(generate("en"), options.lines)), path)
        rows = {"reading": reading(path, options.rounds), "tokenizing": tokenizing(path, options.rounds)}
    for title, row in rows.items():
        print(title, {side: round(each["cpu_ratio"]["median"], 2) for side, each in row.items()}, file=sys.stderr)
    command = f"python benchmarks/speed_data.py --lines {options.lines} --rounds {options.rounds}"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"command": command, "lines": options.lines, "rows": rows, "machine": machine()}, indent=1) + "\n", encoding="utf-8"
    )


def reading(path: Path, rounds: int) -> dict[str, Any]:
    """The file to sentences: line by line, by distinct lines, and from the cache."""

    def fast() -> Any:
        found = read_plain_conll(path, "en", "train")
        assert found is not None, "a made file has nothing odd in it"
        return found

    sides = {
        "line by line": lambda: len(read_file(path, language="en", problems=Problems())) and None,
        "distinct lines": lambda: len(fast()) and None,
        "from the cache": lambda: len(cached(path, "bench", "en", "train", fast) or ()) and None,
    }
    return alternate(sides, rounds, "line by line")


def tokenizing(path: Path, rounds: int) -> dict[str, Any]:
    """The file to sub-words and tags."""
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder("minilm"))
    sentences = read_file(path, language="en", problems=Problems())
    tag_set = TagSet.from_sentences(sentences)
    table = datasets.Dataset.from_dict(
        {"tokens": [list(s.tokens) for s in sentences], "tags": [[tag_set.id_of[t] for t in s.tags or ()] for s in sentences]}
    )
    del sentences

    def recipe(batch: dict[str, list[Any]]) -> Any:
        encoded = tokenizer(batch["tokens"], truncation=True, max_length=128, is_split_into_words=True)
        labels = []
        for index, tags in enumerate(batch["tags"]):
            before, own = None, []
            for word in encoded.word_ids(index):
                own.append(-100 if word is None or word == before else tags[word])
                before = word
            labels.append(own)
        encoded["labels"] = labels
        return encoded

    encoder: Any = build_encoder(encoder_folder("minilm"))

    def ours() -> None:
        encoder._words._forget()  # no word is known from the round before
        batcher = Batcher(encoder, tag_set, remember=0)
        found = read_plain_conll(path, "en", "train")
        assert found is not None
        for start in range(0, len(found), CHUNK):
            some = list(found[start : start + CHUNK])
            batcher.subwords(some)
            _ = [[tag_set.id_of[tag] for tag in s.tags or ()] for s in some]

    return alternate(
        {"datasets.map": lambda: len(table.map(recipe, batched=True, load_from_cache_file=False)) and None, "ours": ours},
        rounds,
        "datasets.map",
    )


if __name__ == "__main__":
    main()
