"""Raw text of any script to tokens: worked examples and properties that hold for every string."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewtag.text.words import sentence_from_text, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Angela Merkel besuchte Paris.", ["Angela", "Merkel", "besuchte", "Paris", "."]),
        ("it's a t-shirt, size 3.5!", ["it's", "a", "t-shirt", ",", "size", "3.5", "!"]),
        ("l’amour 1,000 €", ["l’amour", "1,000", "€"]),
        ("xr-500b 4k 2x4", ["xr-500b", "4k", "2x4"]),
        ("赤いワンピース", ["赤", "い", "ワ", "ン", "ピ", "ー", "ス"]),
        ("黑色真皮钱包 iphone14手机壳", [*"黑色真皮钱包", "iphone14", *"手机壳"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("кожаная куртка", ["кожаная", "куртка"]),
        ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
        ("cafe\u0301 ok", ["cafe\u0301", "ok"]),
        ("hi 👩‍👩‍👧 👍🏽!", ["hi", "👩‍👩‍👧", "👍🏽", "!"]),
        ("हिन्दी", ["हिन्दी"]),
        ("  \t ", []),
        ("a\u00a0b\u3000c", ["a", "b", "c"]),
        ("#", ["#"]),
    ],
)
def test_examples(text: str, tokens: list[str]) -> None:
    assert [text[a:b] for a, b in tokenize(text)] == tokens


@given(st.text())
def test_every_character_lies_in_exactly_one_token(text: str) -> None:
    offsets = tokenize(text)
    assert "".join(text[a:b] for a, b in offsets) == "".join(text.split())
    assert all(a < b for a, b in offsets)
    assert all(before[1] <= after[0] for before, after in pairwise(offsets))
    assert not any(c.isspace() for a, b in offsets for c in text[a:b])


@given(st.text())
def test_a_sentence_keeps_its_text(text: str) -> None:
    sentence = sentence_from_text(text, language="de", id="1")
    assert sentence.text == text and sentence.offsets is not None
    assert sentence.tokens == tuple(text[a:b] for a, b in sentence.offsets)
