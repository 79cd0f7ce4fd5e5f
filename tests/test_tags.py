"""Tags, schemes and spans, held to hand-worked examples and round trips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewtag.errors import ConfigError
from fewtag.text import Sentence, Span, TagSet, convert, recognize, repair, spans_of, tags_of
from fewtag.text.tags import SCHEMES, _remembered

WORKED = {  # two touching PER spans, a gap, a LOC of three tokens, a single ORG at the end
    "BIO": "B-PER B-PER I-PER O B-LOC I-LOC I-LOC B-ORG",
    "IOB1": "I-PER B-PER I-PER O I-LOC I-LOC I-LOC I-ORG",
    "BIOES": "S-PER B-PER E-PER O B-LOC I-LOC E-LOC S-ORG",
    "BILOU": "U-PER B-PER L-PER O B-LOC I-LOC L-LOC U-ORG",
}
SPANS = (Span(0, 1, "PER"), Span(1, 3, "PER"), Span(4, 7, "LOC"), Span(7, 8, "ORG"))


@pytest.mark.parametrize("scheme", WORKED)
def test_worked_example(scheme: str) -> None:
    tags = tuple(WORKED[scheme].split())
    assert tags_of(SPANS, 8, scheme) == tags
    assert spans_of(convert(tags, scheme)) == SPANS
    assert recognize([tags]) == scheme


def test_io_merges_touching_spans_of_one_label() -> None:
    tags = ("I-PER", "I-PER", "O", "I-LOC", "I-ORG")
    assert recognize([tags]) == "IO"
    assert spans_of(convert(tags, "IO")) == (Span(0, 2, "PER"), Span(3, 4, "LOC"), Span(4, 5, "ORG"))


@pytest.mark.parametrize(
    ("tags", "lenient", "strict"),
    [
        ("O I-PER I-PER", [Span(1, 3, "PER")], []),
        ("B-LOC I-PER", [Span(0, 1, "LOC"), Span(1, 2, "PER")], [Span(0, 1, "LOC")]),
        ("B-PER O I-PER", [Span(0, 1, "PER"), Span(2, 3, "PER")], [Span(0, 1, "PER")]),
    ],
)
def test_illegal_tags(tags: str, lenient: list[Span], strict: list[Span]) -> None:
    assert list(spans_of(tags.split())) == lenient
    assert list(spans_of(tags.split(), strict=True)) == strict
    fixed, places = repair(tags.split())
    assert list(spans_of(fixed, strict=True)) == lenient
    assert len(places) == 1 and fixed[places[0]].startswith("B-")


@st.composite
def spans_and_length(draw: st.DrawFn) -> tuple[tuple[Span, ...], int]:
    pieces = draw(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["", "PER", "LOC", "B-x"])), max_size=8))
    spans, at = [], 0
    for length, label in pieces:
        if label:
            spans.append(Span(at, at + length, label))
        at += length
    return tuple(spans), at


@given(spans_and_length(), st.sampled_from([s for s in SCHEMES if s != "IO"]))
def test_round_trip(example: tuple[tuple[Span, ...], int], scheme: str) -> None:
    spans, length = example
    tags = tags_of(spans, length, scheme)
    assert spans_of(convert(tags, scheme)) == spans


def test_overlap_and_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="overlaps"):
        tags_of([Span(0, 2, "A"), Span(1, 3, "B")], 3)
    with pytest.raises(ValueError, match="outside"):
        tags_of([Span(1, 4, "A")], 3)
    with pytest.raises(ConfigError, match="Did you mean 'BIOES'"):
        tags_of([], 3, "BIEOS")


def test_tag_set_knows_what_may_follow_what() -> None:
    tag_set = TagSet.from_sentences([Sentence(("a", "b"), ("B-y", "B-x"))])
    assert tag_set.tags == ("O", "B-x", "I-x", "B-y", "I-y")
    assert tag_set.legal_start_C.tolist() == [True, True, False, True, False]
    follows_ix = {tag_set.tags[i] for i in range(5) if tag_set.legal_CC[i, tag_set.id_of["I-x"]]}
    assert follows_ix == {"B-x", "I-x"}


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 tokens but 1 tags"):
        Sentence(("a", "b"), ("O",), source="f.conll:3")


def test_spans_of_long_texts_are_not_remembered() -> None:
    """A stream of predictions has no end."""
    before = _remembered.cache_info().currsize
    for length in range(33, 60):
        assert spans_of(("B-x",) * length) == tuple(Span(i, i + 1, "x") for i in range(length))
    assert _remembered.cache_info().currsize == before
