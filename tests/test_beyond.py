"""What goes beyond the paper, held to worked numbers: weights by confidence, co-teaching, pre-training, a head that learns first."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from checkpoints import save_checkpoint
from fewtag.data.stream import Stream
from fewtag.encoders import Encoder, build_encoder
from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.errors import ConfigError
from fewtag.learning.confidence import Confidence, ConfidenceConfig
from fewtag.learning.feedback import Told
from fewtag.learning.learner import Learner, LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.pseudo_labels import PseudoLabels
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.pretraining import Pretrained, PretrainingConfig, choose
from fewtag.tagger import Batch, Tagger
from fewtag.tagger.batch import Batcher
from fewtag.text import Sentence, TagSet
from test_contract import LABELED, RAW, TAG_SET, build, make_tagger

KEY = Key(0, "interact", 0)


# ---- weights by confidence


def spoken(*rows: tuple[float, ...]) -> torch.Tensor:
    """logits_BTC of one sentence whose distributions are given."""
    return torch.tensor([rows]).log()


def test_all_tokens_count_alike_unless_asked() -> None:
    assert Confidence(ConfidenceConfig(), 3).weights(spoken((0.8, 0.1, 0.1)), torch.ones(1, 1, dtype=torch.bool)) is None


def test_free_thresholds_by_hand() -> None:
    """Decay 0: the statistics are this batch's. O: 0.9 and 0.7, mean 0.8. Labels: 0.8, 0.6 and 0.4, mean 0.6, tag 2 half as frequent."""
    logits_BTC = spoken((0.9, 0.05, 0.05), (0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.2, 0.6, 0.2), (0.35, 0.25, 0.4), (0.1, 0.1, 0.8))
    mask_BT = torch.tensor([[True] * 5 + [False]])  # the last is padding
    often = [(0.05 + 0.2 + 0.8 + 0.6 + 0.25) / 5, (0.05 + 0.1 + 0.1 + 0.2 + 0.4) / 5]
    threshold_2 = 0.6 * often[1] / often[0]
    found = Confidence(ConfidenceConfig(kind="free", decay=0.0), 3).weights(logits_BTC, mask_BT)
    assert found is not None and threshold_2 < 0.4
    assert found.tolist() == [[1.0, 0.0, 1.0, float(0.6 > 0.6 + 1e-7), 1.0, 0.0]]  # 0.4 of the rarer tag counts


def test_soft_weights_by_hand() -> None:
    """Decay 0: O, tag 1 and tag 2 have a mean of 0.8, 0.7 and 0.6 and a spread of 0.1, 0.1 and 0.2 of their own; tag 3 was never said."""
    rows = [(0.9, 0.05, 0.05, 0.0), (0.7, 0.2, 0.1, 0.0), (0.1, 0.8, 0.1, 0.0), (0.2, 0.6, 0.2, 0.0)]
    rows += [(0.1, 0.1, 0.8, 0.0), (0.3, 0.3, 0.4, 0.0)]
    mask_BT = torch.tensor([[True] * 6 + [False]])
    found = Confidence(ConfidenceConfig(kind="soft", decay=0.0, spreads=2.0), 4).weights(spoken(*rows, (0.0, 0.0, 0.0, 1.0)), mask_BT)
    low = math.exp(-(0.1**2) * 4 / (2 * 0.01))  # one spread below its tag's mean: exp(-2)
    assert found is not None and found[0].tolist() == pytest.approx([1.0, low, 1.0, low, 1.0, low, 0.0], rel=1e-4)


def test_begin_and_inside_of_a_label_are_judged_apart() -> None:
    """B- of 0.9 and 0.7, I- of 0.5 and 0.5: together their mean would be 0.65, and both I- would be below it."""
    logits_BTC = spoken((0.05, 0.9, 0.05), (0.2, 0.7, 0.1), (0.3, 0.2, 0.5), (0.2, 0.3, 0.5))
    found = Confidence(ConfidenceConfig(kind="soft", decay=0.0), 3).weights(logits_BTC, torch.ones(1, 4, dtype=torch.bool))
    assert found is not None and found[0].tolist() == pytest.approx([1.0, math.exp(-2), 1.0, 1.0], rel=1e-3)


def test_statistics_move_by_their_decay_and_only_for_what_was_seen() -> None:
    confidence = Confidence(ConfidenceConfig(kind="soft", decay=0.9), 4)
    mask_BT = torch.ones(1, 1, dtype=torch.bool)
    confidence.weights(spoken((0.7, 0.1, 0.1, 0.1)), mask_BT)
    confidence.weights(spoken((0.1, 0.1, 0.6, 0.2)), mask_BT)
    state = confidence.state()
    assert state["mean"].tolist() == pytest.approx([0.9 * 0.25 + 0.1 * 0.7, 0.25, 0.9 * 0.25 + 0.1 * 0.6, 0.25])  # unseen: the start stays
    assert state["square"].tolist() == pytest.approx([0.9 * 1.0625 + 0.049, 1.0625, 0.9 * 1.0625 + 0.036, 1.0625])
    seen = [(0.7, 0.1), (0.1, 0.1), (0.1, 0.6), (0.1, 0.2)]
    assert state["often"].tolist() == pytest.approx([0.81 * 0.25 + 0.09 * first + 0.1 * second for first, second in seen])
    again = Confidence(ConfidenceConfig(kind="soft", decay=0.9), 4)
    again.restore(state)
    said = spoken((0.1, 0.1, 0.5, 0.3))
    first, second = confidence.weights(said, mask_BT), again.weights(said, mask_BT)
    assert first is not None and second is not None and torch.equal(first, second)


def test_a_spread_below_rounding_puts_no_token_aside() -> None:
    """All as sure as each other but for the last digits, which is no reason to count less."""
    for sure in torch.linspace(2.0, 9.0, 50).tolist():
        logits_BTC = torch.tensor([[[sure + more, 0.0, 0.0] for more in (0.0, 1e-6, -1e-6)]])
        found = Confidence(ConfidenceConfig(kind="soft", decay=0.0), 3).weights(logits_BTC, torch.ones(1, 3, dtype=torch.bool))
        assert found is not None and float(found.min()) > 0.99


def test_free_has_one_mean_for_all_labels_and_soft_one_for_each_tag() -> None:
    shapes = {kind: Confidence(ConfidenceConfig(kind=kind), 5).state()["mean"].shape for kind in ("free", "soft")}  # type: ignore[arg-type]
    assert shapes == {"free": (2,), "soft": (5,)}


@pytest.mark.parametrize("kind", ["free", "soft"])
def test_a_teacher_that_gets_surer_raises_the_bar(kind: str) -> None:
    confidence = Confidence(ConfidenceConfig(kind=kind, decay=0.5), 3)  # type: ignore[arg-type]
    mask_BT, same = torch.ones(1, 1, dtype=torch.bool), spoken((0.2, 0.6, 0.2))
    first = confidence.weights(same, mask_BT)
    for _ in range(20):
        confidence.weights(spoken((0.02, 0.96, 0.02)), mask_BT)
    last = confidence.weights(same, mask_BT)
    assert first is not None and last is not None and float(first) == 1.0 and float(last) < 0.2


def test_weights_scale_each_tokens_part_of_every_pseudo_loss() -> None:
    logits_BTC, mask_BT = torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    weights_BT, tags_BT = torch.tensor([[1.0, 0.0, 0.25]]), torch.tensor([[0, 1, 2]])
    alone = [float(cross_entropy(logits_BTC[:, t : t + 1], tags_BT[:, t : t + 1], smoothing=0.1).total) for t in range(3)]
    hard = PseudoLabels(mask_BT, tag_ids_BT=tags_BT, weights_BT=weights_BT)
    assert float(hard.against(logits_BTC, smoothing=0.1).mean) == pytest.approx((alone[0] + 0.25 * alone[2]) / 3, rel=1e-5)
    probs_BTC = torch.randn(1, 3, 4).softmax(-1)
    each = -(probs_BTC * logits_BTC.log_softmax(-1)).sum(-1)[0]
    soft = PseudoLabels(mask_BT, probs_BTC=probs_BTC, weights_BT=weights_BT)
    assert float(soft.against(logits_BTC).mean) == pytest.approx(float(each[0] + 0.25 * each[2]) / 3, rel=1e-5)
    factor_BTC = torch.randn(1, 3, 4)
    said = (logits_BTC.softmax(-1) * factor_BTC).sum(-1)[0]
    told = Told(torch.zeros(()), factor_BTC).meta(logits_BTC, hard)
    assert float(told) == pytest.approx(-float(said[0] + 0.25 * said[2]) / 3, rel=1e-5)


# ---- co-teaching


def test_a_student_learns_from_the_other_ones_average_where_both_agree() -> None:
    """Average 2 says tag 1 everywhere, average 1 says it of some sentences: student 1 learns there and nowhere else, from average 2."""
    method: Any = build("co-teaching")
    for average, bias in zip(method.averages, ([0.0, 0.0, 9.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0, 0.0]), strict=True):
        average.tagger.head.weight.data.zero_()
        average.tagger.head.bias.data.copy_(torch.tensor(bias))
    batcher = method.students[0].tagger.batcher
    labeled, raw = batcher.batch(LABELED["en"], labeled=True), batcher.batch(RAW["en"], labeled=False)
    told = method.step(labeled, raw, KEY)
    assert float(told["agreement"]) == 0.0 == float(told["kept"]) and float(told["taught student-1"]) == 0.0
    method.averages[0].tagger.head.bias.data.copy_(torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0]))
    for average in method.averages:
        average.tagger.head.weight.data.zero_()
    before = [each.tagger.head.weight.detach().clone() for each in method.averages]
    told = method.step(labeled, raw, Key(0, "co-teach", 1))
    assert float(told["agreement"]) == 1.0 and float(told["taught student-1"]) > 0
    assert not any(torch.equal(each.tagger.head.weight, old) for each, old in zip(method.averages, before, strict=True))  # they follow


def test_each_student_hears_the_other_average() -> None:
    taught = []
    for silent in (0, 1):  # an average that is sure of nothing teaches nothing
        method: Any = build("co-teaching")
        for number, average in enumerate(method.averages):
            average.tagger.head.weight.data.zero_()
            average.tagger.head.bias.data.copy_(torch.tensor([0.0, 0.1 if number == silent else 9.0, 0.0, 0.0, 0.0]))
        batcher = method.students[0].tagger.batcher
        told = method.step(batcher.batch(LABELED["en"], labeled=True), batcher.batch(RAW["en"], labeled=False), KEY)
        taught.append([float(told[f"taught student-{n}"]) for n in (1, 2)])
    assert taught[0][0] > 0 == taught[0][1] and taught[1][1] > 0 == taught[1][0]


# ---- pre-training


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("bert"), "bert")


def encoder_of(kind: str, checkpoint: Path) -> Encoder:
    torch.manual_seed(1)
    return CompactEncoder(CompactConfig(buckets=500, width=16, layers=1)) if kind == "compact" else build_encoder(str(checkpoint))


SENTENCES = [Sentence(("green", "shoe"), None, "en"), Sentence(("old", "blue", "box", "here"), None, "en")]


@pytest.mark.parametrize("kind", ["compact", "hugging_face"])
def test_a_hidden_word_leaves_no_trace_and_the_others_stay(kind: str, checkpoint: Path) -> None:
    encoder = encoder_of(kind, checkpoint).eval()
    batcher = Batcher(encoder, TagSet(("x",)))
    inputs = batcher.batch(SENTENCES, labeled=False).inputs
    place = int(inputs.first_BT[1, 1])
    if kind == "compact":
        other = batcher.batch([SENTENCES[0], Sentence(("old", "red", "box", "here"), None, "en")], labeled=False).inputs
    else:  # another word of one piece
        ids = inputs.ids.clone()
        ids[1, place] += 1
        other = replace(inputs, ids=ids)
    hidden_BL = torch.zeros_like(inputs.mask_BL)
    hidden_BL[1, place] = True
    seen, alike = encoder.embed(encoder.hide(inputs, hidden_BL)), encoder.embed(encoder.hide(other, hidden_BL))
    plain = encoder.embed(inputs)
    torch.testing.assert_close(seen, alike)  # whatever word it was
    assert not torch.allclose(seen[1, place], plain[1, place])
    keep = ~hidden_BL & inputs.mask_BL
    torch.testing.assert_close(seen[keep], plain[keep])
    identities = encoder.identities(inputs)
    assert identities.shape == inputs.mask_BL.shape and int(identities[1, place]) != int(encoder.identities(other)[1, place])


def test_an_identity_is_the_words_own_row() -> None:
    encoder = CompactEncoder(CompactConfig(buckets=5000, width=8, layers=1))
    inputs = encoder.pack(encoder.tokenize([["green", "shoe"], ["shoe"]]))
    identities = encoder.identities(inputs)
    assert identities[0, 1] == identities[1, 0] != identities[0, 0]


def test_positions_are_chosen_by_their_share_and_never_none() -> None:
    mask_BL = torch.ones(200, 50, dtype=torch.bool)
    mask_BL[:, 40:] = False
    chosen_BL, hidden_BL = choose(mask_BL, PretrainingConfig(chosen=0.15, hidden=0.9), KEY)
    assert not (chosen_BL & ~mask_BL).any() and not (hidden_BL & ~chosen_BL).any()
    assert float(chosen_BL.sum()) / 8000 == pytest.approx(0.15, abs=0.015)
    assert float(hidden_BL.sum()) / float(chosen_BL.sum()) == pytest.approx(0.9, abs=0.03)
    for step in range(20):
        one, hidden = choose(torch.tensor([[False, True]]), PretrainingConfig(chosen=0.01), Key(0, "p", step))
        assert one.tolist() == [[False, True]] == hidden.tolist()


def pretrained(name: str, kind: str, checkpoint: Path, **values: Any) -> tuple[Pretrained, Batch]:
    def make(role: str) -> Tagger:
        return Tagger(encoder_of(kind, checkpoint), TAG_SET)

    learner = LearnerConfig(lr=3e-3)
    method = Pretrained(METHODS[name].method(resolve(name, values), make, learner), PretrainingConfig(steps=5), make, learner)
    return method, method.delivered.tagger.batcher.batch(SENTENCES * 4, labeled=False)


@pytest.mark.parametrize("kind", ["compact", "hugging_face"])
def test_pre_training_learns_to_guess_and_hands_over(kind: str, checkpoint: Path) -> None:
    method, raw = pretrained("metats", kind, checkpoint)
    first, second = method.stages()[:2]
    assert first.name == "pretrain" and not first.evaluated and second.name == "warm-up"
    start = {name: value.clone() for name, value in method.delivered.tagger.state_dict().items()}
    losses = [float(first.step(None, raw, Key(0, "pretrain", step))["masked words"]) for step in range(60)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert all(torch.equal(value, start[name]) for name, value in method.delivered.tagger.state_dict().items())  # not yet
    second.begin()
    expected = method.guesser.encoder.state_dict()
    for learner in method.inner.learners().values():
        assert all(torch.equal(value, expected[name]) for name, value in learner.tagger.encoder.state_dict().items())
    assert torch.equal(method.delivered.tagger.head.weight, start["head.weight"])  # the head knows nothing of it


def test_what_is_asked_for_is_not_shown(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method, raw = pretrained("metats", "compact", checkpoint)
    shown: list[torch.Tensor] = []
    passes = method.learner.passes

    def watched(key: Key, purpose: str, *parts: Any) -> Any:
        shown.append(method.guesser.encoder.embed(parts[0].batch.inputs).detach())
        return passes(key, purpose, *parts)

    monkeypatch.setattr(method.learner, "passes", watched)
    plain = method.guesser.encoder.embed(raw.inputs).detach()
    method.step(None, raw, KEY)
    _, hidden_BL = choose(raw.inputs.noise_mask_BL, method.config, KEY)
    assert ((shown[0] != plain).any(-1) == hidden_BL).all() and hidden_BL.any()


@pytest.mark.parametrize(("name", "values"), [("noisy-student", {}), ("metats", {"folds": 2})])
def test_fresh_starts_are_pre_trained_too_also_after_a_restart(name: str, values: dict[str, Any], checkpoint: Path) -> None:
    method, raw = pretrained(name, "compact", checkpoint, **values)
    stages = method.stages()
    stages[0].step(None, raw, Key(0, "pretrain", 0))
    stages[1].begin()
    inner: Any = method.inner
    table = method.guesser.encoder.state_dict()["table"]
    assert torch.equal(inner._fresh["encoder.table"], table)
    again, _ = pretrained(name, "compact", checkpoint, **values)
    again.restore(method.state())
    other: Any = again.inner
    assert torch.equal(other._fresh["encoder.table"], table)


# ---- a head that learns first, languages with weights


def test_the_head_learns_first() -> None:
    learner = Learner("student", make_tagger("student"), LearnerConfig(lr=0.01, head_first=2))
    batch = learner.tagger.batcher.batch(LABELED["en"], labeled=True)
    assert batch.tag_ids_BT is not None
    moved = []
    for step in range(3):
        with learner.settled() as tagger:
            before = {name: value.clone() for name, value in tagger.state_dict().items()}
        learner.descend(cross_entropy(learner.logits(batch, Key(0, "s", step), "x"), batch.tag_ids_BT).mean)
        with learner.settled() as tagger:
            moved.append({name.split(".")[0] for name, value in tagger.state_dict().items() if not torch.equal(value, before[name])})
    assert moved == [{"head"}, {"head"}, {"head", "encoder"}]


def test_languages_are_drawn_by_their_weights() -> None:
    raw = {lang: [Sentence((lang,), None, lang)] * 10 for lang in ("de", "en", "fr")}
    labeled = {lang: [Sentence((lang,), ("O",), lang)] for lang in raw}
    stream = Stream(labeled, raw, seed=1, weights={"de": 3.0, "fr": 0.0})
    drawn = np.array([stream.draw(step).language for step in range(4000)])
    assert stream.languages == ("de", "en") and float((drawn == "de").mean()) == pytest.approx(0.75, abs=0.03)
    with pytest.raises(ConfigError, match="no sentence to draw from"):
        Stream(labeled, raw, seed=1, weights=dict.fromkeys(raw, 0.0))
