"""Windows, padding, decoding: held to enumeration and to running each sentence alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fewtag.encoders.compact import CompactConfig, CompactEncoder, shape_of, units_of
from fewtag.errors import ConfigError
from fewtag.tagger import Tagger
from fewtag.tagger.batch import IGNORED, plan_windows
from fewtag.tagger.decode import decode, viterbi
from fewtag.text import Sentence, TagSet, spans_of

TAG_SET = TagSet(("x", "y"))


def small_tagger(**changes: object) -> Tagger:
    torch.manual_seed(0)
    config = CompactConfig(buckets=500, width=16, layers=2, **changes)  # type: ignore[arg-type]
    tagger = Tagger(CompactEncoder(config), TAG_SET)
    torch.nn.init.normal_(tagger.head.weight)
    return tagger


@given(st.lists(st.integers(1, 7), max_size=60), st.integers(4, 20))
def test_windows_keep_every_token_once(sizes: list[int], limit: int) -> None:
    positions = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    windows = plan_windows(positions, limit)
    kept = [t for w in windows for t in range(w.keep_start, w.keep_end)]
    assert kept == list(range(len(sizes)))
    for w in windows:
        assert w.start <= w.keep_start < w.keep_end <= w.end
        assert positions[w.end] - positions[w.start] <= limit or w.end - w.start == 1


def test_each_token_is_read_where_it_is_farthest_from_an_edge() -> None:
    windows = plan_windows(np.arange(41), 16)
    for w in windows:
        for t in range(w.keep_start, w.keep_end):
            own = min(t - w.start, w.end - 1 - t)
            for other in windows:
                if other.start <= t < other.end and other.start > 0 and other.end < 40 and w.start > 0 and w.end < 40:
                    assert own >= min(t - other.start, other.end - 1 - t) - 1


def test_padding_changes_nothing() -> None:
    tagger = small_tagger()
    sentences = [Sentence(tuple(f"w{i}" for i in range(n))) for n in (1, 9, 3, 30, 2)]
    together = tagger.logits(sentences, batch_tokens=10_000)
    for sentence, logits_TC in zip(sentences, together, strict=True):
        np.testing.assert_allclose(tagger.logits([sentence])[0], logits_TC, atol=1e-5)


def test_embeddings_of_padding_may_hold_anything() -> None:
    tagger = small_tagger().eval()
    inputs = tagger.batcher.batch([Sentence(tuple(f"w{i}" for i in range(n))) for n in (1, 9, 3)], labeled=False).inputs
    vectors, gradients = [], []
    for filler in (None, float("nan"), float("inf")):
        embeddings_BLD = tagger.encoder.embed(inputs)
        if filler is not None:
            embeddings_BLD = embeddings_BLD.where(inputs.mask_BL.unsqueeze(-1), filler)
        vectors.append(tagger.encoder.encode(embeddings_BLD, inputs)[inputs.mask_BL])
        weights = [weight for weight in tagger.encoder.parameters() if weight.requires_grad]
        gradients.append(torch.autograd.grad(vectors[-1].square().sum(), weights))
    assert not inputs.mask_BL.all() and all(torch.equal(vectors[0], each) for each in vectors[1:])
    assert all(torch.equal(a, b) for other in gradients[1:] for a, b in zip(gradients[0], other, strict=True))


def test_long_text_goes_through_windows_and_loses_no_token() -> None:
    tagger = small_tagger(max_positions=8)
    sentence = Sentence(tuple(f"w{i}" for i in range(50)), tuple("B-x" if i % 9 == 0 else "O" for i in range(50)))
    [prediction] = tagger.predict([sentence])
    assert len(prediction.tags) == 50 and prediction.windows > 6
    batch = tagger.batcher.batch([sentence], labeled=True)
    assert batch.tag_ids_BT is not None
    counted = batch.tag_ids_BT[batch.tag_ids_BT != IGNORED]
    assert len(counted) == 50 and int((counted == TAG_SET.id_of["B-x"]).sum()) == 6
    assert int(batch.token_mask_BT.sum()) == 50


def test_order_is_kept_and_empty_sentences_stay() -> None:
    tagger = small_tagger()
    sentences = [Sentence(tuple("abcdefgh"[:n]), id=str(n)) for n in (3, 0, 8, 1)]
    assert [p.sentence.id for p in tagger.predict(sentences, batch_tokens=4)] == ["3", "0", "8", "1"]
    assert tagger.predict([sentences[1]])[0].tags == ()


def test_unlabeled_batches_hold_no_gold_tags() -> None:
    tagger = small_tagger()
    batch = tagger.batcher.batch([Sentence(("a",), ("B-x",))], labeled=False)
    assert batch.tag_ids_BT is None
    with pytest.raises(ValueError, match="no tags"):
        tagger.batcher.batch([Sentence(("a",))], labeled=True)


def test_viterbi_equals_enumeration() -> None:
    generator = np.random.default_rng(3)
    log_probs_RTC = np.log(generator.dirichlet(np.ones(5) * 0.5, size=(20, 4)))
    for log_probs_TC, found in zip(log_probs_RTC, viterbi(log_probs_RTC), strict=True):
        legal = [
            path
            for path in itertools.product(range(5), repeat=4)
            if TAG_SET.legal_start_C[path[0]] and all(TAG_SET.legal_CC[a, b] for a, b in itertools.pairwise(path))
        ]
        best = max(legal, key=lambda path: sum(log_probs_TC[t, c] for t, c in enumerate(path)))
        assert tuple(found) == best


@given(st.lists(st.lists(st.integers(-5, 5), min_size=5, max_size=5), min_size=1, max_size=6))
def test_decoded_tags_are_legal_and_confidences_are_probabilities(rows: list[list[int]]) -> None:
    logits_TC = np.array(rows, dtype=np.float32)
    sentence = Sentence(tuple("t" * len(rows)))
    (prediction,) = decode([sentence], [logits_TC], TAG_SET)
    assert spans_of(prediction.tags) == spans_of(prediction.tags, strict=True) == prediction.spans
    assert all(0 <= c <= 1 + 1e-9 for c in (*prediction.tag_confidences, *prediction.span_confidences))
    (greedy,) = decode([sentence], [logits_TC], TAG_SET, "greedy")
    assert greedy.tags == tuple(TAG_SET.tags[i] for i in logits_TC.astype(np.float64).argmax(-1))


def test_span_confidence_by_hand() -> None:
    probs = np.array([[0.1, 0.8, 0.1, 0, 0], [0.2, 0.1, 0.2, 0.1, 0.4], [0.9, 0.05, 0.05, 0, 0]]) + 1e-9
    (prediction,) = decode([Sentence(("a", "b", "c"))], [np.log(probs).astype(np.float32)], TAG_SET)
    # greedy B-x I-y O is illegal; of the legal paths B-x I-x O has 0.8 * 0.2 * 0.9, B-x O O the same 0.2: the lower id wins
    assert prediction.tags == ("B-x", "O", "O")
    assert prediction.span_confidences[0] == pytest.approx(0.8, abs=1e-4)


def test_unknown_decoding() -> None:
    with pytest.raises(ConfigError, match="viterbi"):
        decode([Sentence(("a",))], [np.zeros((1, 5), dtype=np.float32)], TAG_SET, "viterbbi")


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 2**32 - 1))
def test_sentences_decoded_together_are_decoded_as_alone(lengths: list[int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    sentences = [Sentence(("t",) * length) for length in lengths]
    logits = [generator.normal(size=(length, 5)).astype(np.float32) for length in lengths]
    together = decode(sentences, logits, TAG_SET)
    assert together == [decode([s], [x], TAG_SET)[0] for s, x in zip(sentences, logits, strict=True)]
    assert [p.windows for p in together] == [min(1, length) for length in lengths]


def test_compact_units_are_frozen() -> None:
    assert shape_of("XR-7b") == "X-dx" and shape_of("赤い") == "a"
    assert units_of("Ab", (3,)) == ["w:ab", "s:Xx", "3:^ab", "3:ab$"]
    ids = CompactEncoder(CompactConfig(ngrams=(3,))).tokenize([["Ab"]])[0].ids
    assert ids.tolist() == [_crc32(unit.encode()) % 20480 for unit in ("w:ab", "s:Xx", "3:^ab", "3:ab$")] == [3565, 20090, 1190, 365]


def _crc32(data: bytes) -> int:
    """CRC-32 bit by bit (reflected polynomial 0xEDB88320), as a second opinion."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_compact_default_has_about_three_million_weights() -> None:
    assert 2.5e6 < sum(p.numel() for p in CompactEncoder().parameters()) < 3.5e6


def test_compact_layers_are_the_convolutions_they_stand_for() -> None:
    encoder = CompactEncoder(CompactConfig(buckets=300, width=16, layers=2)).eval()
    inputs = encoder.pack(encoder.tokenize([("red", "shoe"), ("a", "very", "old", "blue", "box"), ("hat",)]))
    with torch.no_grad():
        embeddings_BLD = encoder.embed(inputs)
        ours_BLD = encoder.encode(embeddings_BLD, inputs)
        mask_BL1 = inputs.mask_BL.unsqueeze(-1)
        hidden_BLD = embeddings_BLD
        for norm, convolution in zip(encoder.norms, encoder.convolutions, strict=True):
            inner_BLD = norm(hidden_BLD) * mask_BL1
            hidden_BLD = hidden_BLD + torch.nn.functional.gelu(convolution(inner_BLD.transpose(1, 2)).transpose(1, 2))
        theirs_BLD = encoder.final_norm(hidden_BLD)
    torch.testing.assert_close(ours_BLD[inputs.mask_BL], theirs_BLD[inputs.mask_BL], rtol=1e-5, atol=1e-5)
