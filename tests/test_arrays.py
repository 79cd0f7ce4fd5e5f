"""Sentences as arrays, held to the line-by-line reader: the same sentences, or left to it; and a cache that notices damage."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bad_input import CASES
from fewtag.data import cache
from fewtag.data.arrays import HiddenTags, Joined, SentenceArrays, pick, without_tags
from fewtag.data.corpus import Corpus
from fewtag.data.fast_conll import read_plain_conll
from fewtag.data.formats import read_file
from fewtag.data.low_resource import LowResource
from fewtag.data.problems import Problems
from fewtag.data.stream import Stream
from fewtag.errors import DataError
from fewtag.text import Sentence


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWTAG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def both(path: Path) -> tuple[list[Sentence] | None, list[Sentence], Problems]:
    """A file by arrays, and line by line."""
    problems = Problems()
    fast = read_plain_conll(path, "en", path.name.partition(".")[0])
    return None if fast is None else list(fast), read_file(path, language="en", problems=problems), problems


LINES = st.sampled_from(
    ["red\tB-a", "red\tI-a", "shoe B-b", "x  y I-b", "now\tO", "", " ", "\t", "-DOCSTART- O", "# id = 7", "#\tO", "red", "a\tX"]
)


@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_the_fast_reader_says_what_the_slow_one_says_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, closed: bool
) -> None:
    path = tmp_path_factory.mktemp("conll") / "train.conll"
    path.write_bytes((end.join(lines) + (end if closed else "")).encode())
    fast, slow, problems = both(path)
    if fast is not None:
        assert fast == slow and not len(problems)


def test_plain_files_are_read_fast(tmp_path: Path) -> None:
    text = "-DOCSTART-\tO\n\nred\tB-color\nshoes\tB-thing\n\n\nnow\tO\nrain\tB-thing\ncoat\tI-thing"
    windows = text.replace("\n", "\r\n").encode()
    for name, content in (("a.conll", text.encode()), ("b.conll", windows), ("c.conll.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(content)
        fast, slow, _ = both(tmp_path / name)
        assert fast is not None and fast == slow and [s.source.rpartition(":")[2] for s in fast] == ["3", "7"]


def test_blocks_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.conll"
    path.write_text("".join(f"tøken{i % 7}\tB-a\n" + "\n" * (i % 3) for i in range(60)))
    whole = read_plain_conll(path, "en", "train")
    for size in (1, 5, 17):
        monkeypatch.setattr("fewtag.data.fast_conll._BLOCK", size)
        again = read_plain_conll(path, "en", "train")
        assert whole is not None and again is not None and list(again) == list(whole)


@pytest.mark.parametrize("case", [c for c in CASES if c.command == "check data"], ids=lambda case: case.name)
def test_a_corpus_of_arrays_has_the_same_sentences_and_problems(case: object, data_folder: Path) -> None:
    for name, content in case.files.items():  # type: ignore[attr-defined]
        path = data_folder.parent / name
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    plain, packed = (_corpus(data_folder, arrays) for arrays in (False, True))
    assert packed == plain


def _corpus(folder: Path, arrays: bool) -> tuple[object, list[str]]:
    """All sentences and what was found wrong."""
    try:
        corpus = Corpus.from_dir(folder, arrays=arrays)
    except DataError as error:
        return None, [str(error)]
    shown = {
        language: {split: [(s.tokens, s.tags, s.language, s.id, s.source) for s in some] for split, some in parts.items()}
        for language, parts in corpus.sentences.items()
    }
    return shown, [str(problem) for problem in corpus.problems]


def test_a_sample_of_arrays_is_the_sample_of_lists(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "en"
    folder.mkdir(parents=True)
    for split, count in (("train", 40), ("dev", 20), ("test", 5)):
        (folder / f"{split}.conll").write_text("".join(f"w{i}\tB-a\nz\tO\n\n" for i in range(count)))
    (folder / "unlabeled.txt").write_text("".join(f"raw text {i}\n" for i in range(30)))
    plain, packed = (LowResource.sample(Corpus.from_dir(folder.parent, arrays=a), "10%", seed=3, dev_size="matched") for a in (False, True))
    assert all(isinstance(part, SentenceArrays) for part in packed.unlabeled["en"].parts)  # type: ignore[attr-defined]
    for part in ("labeled", "dev", "test"):
        assert list(getattr(plain, part)["en"]) == list(getattr(packed, part)["en"])
    assert [s.tokens for s in plain.unlabeled["en"]] == [s.tokens for s in packed.unlabeled["en"]]
    few = [LowResource.sample(Corpus.from_dir(folder.parent, arrays=a), "10%", seed=3, unlabeled="11") for a in (False, True)]
    assert [s.tokens for s in few[0].unlabeled["en"]] == [s.tokens for s in few[1].unlabeled["en"]] and len(few[1].unlabeled["en"]) == 11
    assert all(s.tags is None for s in packed.unlabeled["en"]) and dict(plain.hidden) == dict(packed.hidden) and len(packed.hidden) == 36
    draws = [Stream(d.labeled, d.unlabeled, seed=1).draw(7) for d in (plain, packed)]
    assert draws[0].labeled == draws[1].labeled
    assert [s.tokens for s in draws[0].unlabeled] == [s.tokens for s in draws[1].unlabeled]


def arrays(count: int = 5) -> SentenceArrays:
    sentences = [Sentence((f"a{i}", "b"), None, "en", source=f"raw.txt:{i + 1}") for i in range(count)]
    return SentenceArrays.of(sentences, "en", "raw.txt", "raw")


def test_arrays_are_a_sequence() -> None:
    some = arrays()
    assert len(some) == 5 and some[-1] == some[4] and [s.id for s in some[1:4:2]] == ["en/raw:2", "en/raw:4"]
    assert [s.tokens[0] for s in pick(pick(some, [4, 2, 0]), [2, 0])] == ["a0", "a4"]
    with pytest.raises(IndexError):
        some[5]
    joined = Joined((some, [], list(some)[:2]))
    assert len(joined) == 7 and list(joined) == [*some, some[0], some[1]] and joined[5] == some[0] and joined[-1] == some[1]
    assert joined[4:6] == [some[4], some[0]]
    with pytest.raises(IndexError):
        joined[7]
    assert without_tags(some)[0].tags is None
    assert len(HiddenTags()) == 0


# ---- cache


def big(folder: Path) -> Path:
    """A file worth an entry."""
    path = folder / "train.conll"
    path.write_text("".join(f"word{i % 1000}\tB-a\nnow\tO\n\n" for i in range(cache.SMALLEST // 16)))
    return path


def read(path: Path) -> SentenceArrays:
    found = cache.cached(path, "digest", "en", "train", lambda: read_plain_conll(path, "en", "train"))
    assert found is not None
    return found


def test_an_entry_serves_instead_of_the_file(tmp_path: Path, own_cache: Path) -> None:
    first = read(big(tmp_path))
    assert cache.size() > 0
    again = cache.cached(tmp_path / "train.conll", "digest", "de", "other", lambda: pytest.fail("read again"))
    assert again is not None and isinstance(again.word_ids, np.memmap)
    assert (again[7].tokens, again[7].tags, again[7].id) == (first[7].tokens, first[7].tags, "de/other:8")
    assert len(again) == len(first) and np.array_equal(again.starts, first.starts)


@pytest.mark.parametrize("name", ["word_ids.npy", "starts.npy", "words.json", "about.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_entry_is_noticed_and_made_anew(
    tmp_path: Path, own_cache: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = read(big(tmp_path))
    (part,) = own_cache.rglob(name)
    content = bytearray(part.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        content = content[: len(content) // 2]
    part.write_bytes(content)
    if damage == "remove":
        part.unlink()
    with caplog.at_level(logging.WARNING, "fewtag"):
        again = read(tmp_path / "train.conll")
    assert "damaged" in caplog.text
    assert list(again[:50]) == list(first[:50]) and np.array_equal(again.word_ids, first.word_ids)
    caplog.clear()
    read(tmp_path / "train.conll")
    assert not caplog.text  # whole again


def test_no_cache_when_switched_off_or_not_worth_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "train.conll"
    small.write_text("red\tB-a\n")
    read(small)
    assert cache.size() == 0
    monkeypatch.setenv("FEWTAG_CACHE", "off")
    read(big(tmp_path))
    assert cache.folder() is None and cache.size() == 0


def test_line_ends_of_an_old_mac_are_no_one_long_line(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "train.conll").write_bytes(b"a\tB-x\rb\tO\r")
    (error,) = Corpus.from_dir(tmp_path, arrays=True).problems.errors
    assert "carriage returns alone" in error.message
