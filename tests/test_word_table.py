"""Words looked up once and gathered, held to the tokenizer asked for whole sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import FAMILIES, save_checkpoint
from fewtag.encoders import build_encoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder, words_stand_apart
from fewtag.encoders.words import WordTable


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HuggingFaceEncoder]:
    found = {family: build_encoder(str(save_checkpoint(tmp_path_factory.mktemp(family), family))) for family in FAMILIES}
    assert all(isinstance(each, HuggingFaceEncoder) and each._words_apart for each in found.values())
    return found  # type: ignore[return-value]


WORDS = st.one_of(
    st.sampled_from(["paris", "unbelievable", "北京大学", "the", "8", ",", "##a", "▁a", "Ġa", "\u200b", "👍🏽"]),
    st.text(min_size=1, max_size=8),
)


@pytest.mark.parametrize("family", FAMILIES)
@given(sentences=st.lists(st.lists(WORDS, max_size=6), max_size=4))
def test_gathered_pieces_are_those_of_whole_sentences(
    encoders: dict[str, HuggingFaceEncoder], family: str, sentences: list[list[str]]
) -> None:
    encoder = encoders[family]
    gathered = encoder.tokenize(sentences)
    encoder._words_apart = False
    try:
        whole = encoder.tokenize(sentences)
    finally:
        encoder._words_apart = True
    for ours, theirs in zip(gathered, whole, strict=True):
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert ours.starts.tolist() == theirs.starts.tolist() == ours.positions.tolist()


def test_a_tokenizer_that_looks_at_neighbors_is_noticed(encoders: dict[str, HuggingFaceEncoder]) -> None:
    inner = encoders["bert"].tokenizer

    def neighborly(sentences: list[list[str]], **options: Any) -> Any:
        """A word after another gets one piece more."""
        encoded = inner(sentences, **options)
        ids = [some[:1] + [piece for piece in some[1:] for _ in range(2)] for some in encoded["input_ids"]]
        words = [w[:1] + [word for word in w[1:] for _ in range(2)] for w in map(encoded.word_ids, range(len(ids)))]
        return type("Encoded", (dict,), {"word_ids": lambda self, i: words[i]})(input_ids=ids)

    assert words_stand_apart(inner)
    assert not words_stand_apart(neighborly)


def test_a_table_forgets_when_it_is_full_and_is_right_all_the_same() -> None:
    asked: list[str] = []

    def units_of(words: Any) -> list[list[int]]:
        asked.extend(words)
        return [[ord(c) for c in word] for word in words]

    table = WordTable(units_of, spread=False, most=3)
    for sentences in ([["ab", "c"]], [["c", "ab", "ab"], []], [["d", "e"]], [["ab"]], [["f", "g", "h", "i", "ab"]]):
        for sentence, found in zip(sentences, table.gather(sentences), strict=True):
            assert found.ids.tolist() == [ord(c) for word in sentence for c in word]
            assert found.starts.tolist() == np.cumsum([0, *map(len, sentence)]).tolist()
            assert found.positions.tolist() == list(range(len(sentence) + 1))
    assert asked == ["ab", "c", "d", "e", "ab", "f", "g", "h", "i", "ab"]


def test_nothing_to_gather() -> None:
    table = WordTable(lambda words: [[1] for _ in words], spread=True)
    assert table.gather([]) == [] and [len(s) for s in table.gather([[], []])] == [0, 0]


def test_padding_and_specials_stand_where_the_tokenizer_puts_them(encoders: dict[str, HuggingFaceEncoder]) -> None:
    """`pack` against the tokenizer's own padding."""
    sentences = [["angela", "visited", "unbelievable", "paris"], ["北京大学", "の"], ["red"]]
    for encoder in encoders.values():
        inputs = encoder.pack(encoder.tokenize(sentences))
        theirs = encoder.tokenizer(sentences, is_split_into_words=True, padding=True, return_tensors="pt")
        assert inputs.ids.tolist() == theirs["input_ids"].tolist()
        assert inputs.mask_BL.long().tolist() == theirs["attention_mask"].tolist()
        firsts = [[row.index(word) for word in range(len(s))] for s, row in zip(sentences, map(theirs.word_ids, range(3)), strict=True)]
        assert [row[: len(s)] for s, row in zip(sentences, inputs.first_BT.tolist(), strict=True)] == firsts
        inner = [[word is not None for word in theirs.word_ids(i)] for i in range(3)]
        assert inputs.noise_mask_BL.tolist() == inner
