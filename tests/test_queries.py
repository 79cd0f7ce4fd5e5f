"""The made corpus: what the paper's Table 3 says of the private set, and that the same seed is the same corpus everywhere."""

from __future__ import annotations

import hashlib
from itertools import islice, pairwise
from pathlib import Path

import pytest

from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.data.queries import LABELS, LANGUAGES, SIZES, generate, raw_queries, sizes_at, write_corpus
from fewtag.errors import ConfigError
from fewtag.text.tags import spans_of
from fewtag.text.words import tokenize

# Of the first 300 training queries, written once: another machine or Python must make the same.
FROZEN = {"en": "6b7073efbe2f1fe6", "ja": "4c6a13887f6db262"}


@pytest.mark.parametrize("language", sorted(FROZEN))
def test_the_same_seed_is_the_same_corpus_everywhere(language: str) -> None:
    text = "\n".join(f"{s.id}\t{s.text}\t{' '.join(s.tags or ())}" for s in islice(generate(language), 300))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == FROZEN[language]


def test_another_seed_is_another_corpus() -> None:
    assert list(islice(raw_queries("en", 0), 50)) != list(islice(raw_queries("en", 1), 50))


@pytest.mark.parametrize("language", LANGUAGES)
def test_queries_look_like_the_private_set(language: str) -> None:
    some = list(islice(generate(language), 2000))
    tags = [tag for s in some for tag in s.tags or ()]
    assert {tag[2:] for tag in tags if tag != "O"} == set(LABELS)
    assert len(LABELS) == 13
    assert 0.9 < sum(tag != "O" for tag in tags) / len(tags) < 0.999
    assert 2 <= len(tags) / len(some) <= (10 if language in ("ja", "zh") else 5)  # characters, not words, there
    assert len({s.text for s in some}) > 1500


@pytest.mark.parametrize("language", LANGUAGES)
def test_tags_are_legal_and_offsets_index_the_text(language: str) -> None:
    for sentence in islice(generate(language, "test"), 1000):
        assert sentence.text is not None
        assert sentence.tags is not None
        assert sentence.offsets == tuple(tokenize(sentence.text))
        assert sentence.tokens == tuple(sentence.text[a:b] for a, b in sentence.offsets)
        for before, tag in pairwise(("O", *sentence.tags)):
            assert not tag.startswith("I-") or before[2:] == tag[2:]


def test_splits_share_no_text() -> None:
    seen = [{s.text for s in islice(generate("pl", split), 3000)} for split in ("train", "dev", "test")]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_sizes_are_skewed_as_in_table_3() -> None:
    assert max(SIZES.values()) // min(SIZES.values()) == 57
    assert sum(SIZES.values()) == 677672
    small = sizes_at(0.01)
    assert small["en"] == {"train": 2566, "dev": 141, "test": 141}
    assert small["cs"] == {"train": 44, "dev": 100, "test": 100}


def test_the_folder_reads_back_without_a_word(tmp_path: Path) -> None:
    write_corpus(tmp_path / "queries", scale=0.002)
    corpus = Corpus.from_dir(tmp_path / "queries")
    assert corpus.languages == tuple(sorted(LANGUAGES))
    assert not corpus.problems.errors
    assert len(corpus.sentences["en"]["train"]) == 513
    first = next(generate("en"))
    assert corpus.sentences["en"]["train"][0].tokens == first.tokens
    assert corpus.sentences["en"]["train"][0].tags == first.tags


def test_raw_text_has_words_that_no_label_shows(tmp_path: Path) -> None:
    write_corpus(tmp_path / "queries", scale=0.02)
    chosen = LowResource.sample(Corpus.from_dir(tmp_path / "queries"), "1%", seed=13)

    def phrases(split: dict) -> set[tuple[str, ...]]:
        return {s.tokens[a.start : a.end] for s in split["en"] for a in spans_of(s.tags)}

    labeled, asked = phrases(chosen.labeled), phrases(chosen.test)
    raw = {token for s in chosen.unlabeled["en"] for token in s.tokens}
    new = {phrase for phrase in asked if phrase not in labeled}
    assert len(new) > len(asked) / 2
    assert sum(set(phrase) <= raw for phrase in new) > len(new) / 2


@pytest.mark.parametrize(("language", "split"), [("xx", "train"), ("en", "unlabeled")])
def test_a_language_or_split_that_cannot_be_made_is_said(language: str, split: str) -> None:
    with pytest.raises(ConfigError, match="the made corpus has no"):
        next(generate(language, split))


def test_a_corpus_of_no_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scale 0 must be above 0"):
        write_corpus(tmp_path, scale=0)
