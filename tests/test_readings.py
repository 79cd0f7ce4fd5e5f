"""Other readings of the paper's open points, each by worked numbers: reduction, threshold, noise, who judges, whose labels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fewtag.data.low_resource import LowResource
from fewtag.data.stream import Stream
from fewtag.encoders.compact import CompactEncoder
from fewtag.encoders.encoder import Inputs
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import ConfigError
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy, per_sentence
from fewtag.learning.noise import GaussianNoise
from fewtag.learning.pseudo_labels import PseudoLabels, confident
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.tagger import Batch
from fewtag.training.draws import Draws
from fewtag.training.prepare import build_method
from fewtag.training.run_config import RunConfig
from test_contract import LABELED, RAW, TAG_SET, make_tagger

KEY = Key(0, "interact", 0)


def metats(**values: Any) -> Any:
    return METHODS["metats"].method(resolve("metats", values), make_tagger, LearnerConfig(lr=0.01))


def test_a_mean_over_sentences_by_hand() -> None:
    """Rows of 2 and 4 tokens with losses 1, 3 and 2, 2, 2, 6: row means 2 and 3, so 2.5; over tokens 16 / 6. An empty row has no part."""
    mask_BT = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    losses_BT = torch.tensor([[1.0, 3.0, 9.0, 9.0], [2.0, 2.0, 2.0, 6.0], [9.0] * 4])
    weights_BT = per_sentence(mask_BT)
    assert weights_BT[:2, 0].tolist() == [1.5, 0.75]
    assert float((losses_BT * weights_BT)[mask_BT].mean()) == pytest.approx(2.5)


def test_the_reduction_reaches_every_loss_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights that are 0, nothing is left of what goes through the reduction, and without it nothing changes."""
    method = metats(reduction="sentence", weight_reg=0.0)
    batcher = method.teacher.tagger.batcher
    batches = batcher.batch(LABELED["en"][:3], labeled=True), batcher.batch(RAW["en"][:3], labeled=False)
    method.stages()[1].begin()
    monkeypatch.setattr("fewtag.methods.metats.per_sentence", lambda mask_BT: torch.zeros_like(mask_BT, dtype=torch.float32))
    told = method.step(*batches, KEY)
    assert float(told["supervised"]) == float(told["student"]) == 0.0
    other = metats(weight_reg=0.0)
    other.stages()[1].begin()
    assert float(other.step(*batches, KEY)["supervised"]) > 0


def test_a_mean_over_sentences_is_of_the_tokens_that_are_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taught are one token of the first row, all of the second and none of the third: the mean of two rows' means."""
    values = {"reduction": "sentence", "labels": "soft-high", "label_smoothing": 0.0, "weight_reg": 0.0, "weight_meta": 0.0}
    method, twin = metats(**values), metats(**values)
    batcher = method.teacher.tagger.batcher
    batch = batcher.batch(RAW["en"][:3], labeled=False)
    taught_BT = batch.token_mask_BT.clone()
    taught_BT[0, 1:] = taught_BT[2] = False
    target_BTC = torch.full((*taught_BT.shape, len(TAG_SET)), 1 / len(TAG_SET))
    monkeypatch.setattr("fewtag.methods.metats.label", lambda *arguments: PseudoLabels(taught_BT, probs_BTC=target_BTC))
    for each in (method, twin):
        each.stages()[1].begin()
    told = method.step(batcher.batch(LABELED["en"][:3], labeled=True), batch, KEY)
    loss_BT = -(target_BTC * twin.student.logits(batch, KEY, "pseudo").detach().log_softmax(-1)).sum(-1)
    expected = (loss_BT[0, 0] + loss_BT[1][taught_BT[1]].mean()) / 2
    assert float(told["student"]) == pytest.approx(float(expected), rel=1e-5)


def test_the_threshold_before_and_after_the_temperature() -> None:
    """Logits 2 and 0: probability 0.881 as it is, 0.982 at a temperature of 0.5."""
    logits_BTC, mask_BT = torch.tensor([[[2.0, 0.0]]]), torch.ones(1, 1, dtype=torch.bool)
    assert not confident(logits_BTC, mask_BT, 0.9).item() and confident(logits_BTC, mask_BT, 0.9, 0.5).item()
    assert not confident(logits_BTC, mask_BT, 0.99, 0.5).item()
    method = metats(threshold=0.9, threshold_on="tempered", temperature=1e-3)
    batcher = method.teacher.tagger.batcher
    batches = batcher.batch(LABELED["en"][:3], labeled=True), batcher.batch(RAW["en"][:3], labeled=False)
    method.stages()[1].begin()
    assert float(method.step(*batches, KEY)["kept"]) == 1.0


def test_what_agreement_is_divided_by() -> None:
    """A13: of four tokens two are kept, and the noised side of each is even between two tags: 2 log 2 over four tokens, or over two."""
    clean_BTC = torch.tensor([[[0.9, 0.1]] * 5]).log()
    mask_BT, keep_BT = torch.tensor([[True] * 4 + [False]]), torch.tensor([[True, False, True, False, False]])
    for denominator, expected in (("all", math.log(2) / 2), ("kept", math.log(2))):
        found = metats(denominator=denominator)._regularization(clean_BTC, [torch.zeros(1, 5, 2)], keep_BT, mask_BT)
        assert float(found) == pytest.approx(expected)


def inputs(mask: list[int], noise_mask: list[int]) -> Inputs:
    one = torch.zeros(1, 1, dtype=torch.long)
    return Inputs(one, None, torch.tensor([mask], dtype=torch.bool), torch.tensor([noise_mask], dtype=torch.bool), one)


def test_noise_on_special_positions() -> None:
    """Four positions: special, word, special, padding."""
    vectors_BLD, where = torch.zeros(1, 4, 8), inputs([1, 1, 1, 0], [0, 1, 0, 0])
    torch.manual_seed(0)
    touched = {on: (GaussianNoise(1.0, on=on)(vectors_BLD, where) != 0).any(-1)[0].tolist() for on in ("words", "all")}  # type: ignore[arg-type]
    assert touched == {"words": [False, True, False, False], "all": [True, True, True, False]}


class Ones:
    """Adds 1 everywhere, at one place."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __call__(self, vectors_BLD: Tensor, inputs: Inputs) -> Tensor:
        return vectors_BLD + 1.0


def test_noise_on_the_last_vectors_goes_past_the_layers() -> None:
    """1 on the vectors adds each tag's sum of the head's weights to its logit; 1 on the embeddings does not."""
    learner = Learner("teacher", make_tagger("teacher"), LearnerConfig())
    batch = learner.tagger.batcher.batch(LABELED["en"][:2], labeled=True)
    plain, last, first = (
        learner.passes(KEY, "look", Pass(batch, dropout=False, noise=noise))[0] for noise in (None, Ones("last"), Ones("embeddings"))
    )
    expected = learner.tagger.head.weight.sum(-1)
    mask_BT = batch.token_mask_BT
    assert torch.allclose((last - plain)[mask_BT], expected.expand_as(plain[mask_BT]), atol=1e-5)
    assert not torch.allclose((first - plain)[mask_BT], expected.expand_as(plain[mask_BT]), atol=1e-2)


@pytest.fixture
def drawn() -> Any:
    data = LowResource(LABELED, RAW, {}, {}, {}, TAG_SET, "", 0)

    def draws(**values: Any) -> tuple[Any, list[tuple[Batch | None, ...]]]:
        method = metats(**values)
        stage = method.stages()[1]
        draw = Draws(
            data, method.teacher.tagger.batcher, seed=3, batch_size=4, unlabeled_batch_size=4, exponent=0.5, device=torch.device("cpu")
        )
        return stage, [draw(stage, step) for step in range(12)]

    return draws


def test_who_judges(drawn: Any) -> None:
    """A judge of its own is of the step's language and as large as asked; L_sup's batch and the raw one stay as they were."""
    _, plain = drawn()
    assert all(len(batches) == 2 for batches in plain)
    _, judged = drawn(heard=6)
    for (labeled, raw), (same, same_raw, judge) in zip(plain, judged, strict=True):
        assert torch.equal(labeled.tag_ids_BT, same.tag_ids_BT) and torch.equal(raw.inputs.ids, same_raw.inputs.ids)
        assert judge.language == raw.language and judge.tag_ids_BT is not None and len(judge.tag_ids_BT) == 6
    assert {raw.language for _, raw in plain} == {"de", "en"}
    # As many as L_sup learns from are others all the same.
    pairs = [(labeled.inputs.ids.tolist(), judge.inputs.ids.tolist()) for labeled, _, judge in drawn(heard=4)[1]]
    assert sum(learned == judging for learned, judging in pairs) < 3


def test_a_judge_larger_than_the_labels_is_refused(drawn: Any) -> None:
    most = min(len(some) for some in LABELED.values())
    drawn(heard=most)
    with pytest.raises(ConfigError, match=rf"method.heard = {most + 1}, and \w+ has {most} labeled sentences to judge by"):
        drawn(heard=most + 1)


def test_labels_of_all_languages_beside_raw_text_of_one(drawn: Any) -> None:
    _, plain = drawn()
    _, mixed = drawn(supervised="mixed")
    of_one = {lang: {s.tokens for s in some} for lang, some in LABELED.items()}
    assert not of_one["de"] & of_one["en"]
    for (_, raw), (labeled, same_raw, judge) in zip(plain, mixed, strict=True):
        assert torch.equal(raw.inputs.ids, same_raw.inputs.ids) and raw.language == same_raw.language == judge.language
        assert len(judge.tag_ids_BT) == 4 == len(labeled.tag_ids_BT)
    stream = Stream(LABELED, RAW, seed=3, batch_size=4, unlabeled_batch_size=4, mixed=True)
    for draw in map(stream.draw, range(6)):
        assert {s.language for s in draw.unlabeled} == {draw.language} and not any(s.tags for s in draw.unlabeled)
    assert {len({s.language for s in stream.draw(step).labeled}) for step in range(6)} == {2}


def test_the_judge_is_who_is_heard() -> None:
    """The student's loss before and after is that on the judge alone."""
    method = metats(heard=2)
    batcher = method.teacher.tagger.batcher
    labeled, judge = (batcher.batch(LABELED["en"][a : a + 2], labeled=True) for a in (0, 2))
    raw = batcher.batch(RAW["en"][:3], labeled=False)
    method.stages()[1].begin()
    before = float(method.student.labeled_loss(judge))
    told = method.step(labeled, raw, KEY, judge)
    assert judge.tag_ids_BT is not None
    method.student.tagger.eval()
    after = float(cross_entropy(method.student.tagger(judge), judge.tag_ids_BT).mean.detach())
    assert float(told["lambda"]) == pytest.approx(after - before, abs=1e-6)


def test_what_is_recorded_is_what_was_taught(drawn: Any) -> None:
    """Labels that are drawn are not the most probable ones."""
    method = metats(labels="sample")
    torch.manual_seed(0)
    torch.nn.init.normal_(method.teacher.tagger.head.weight)
    labeled, raw = method.batcher.batch(LABELED["en"][:4], labeled=True), method.batcher.batch(RAW["en"], labeled=False)
    taught: list[Tensor] = []
    against = PseudoLabels.against
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PseudoLabels, "against", lambda self, *a, **k: (taught.append(self.tag_ids_BT), against(self, *a, **k))[1])
        method.step(labeled, raw, Key(0, "interact", 0))
    assert torch.equal(method.said.tag_ids_BT[raw.token_mask_BT], taught[0][raw.token_mask_BT])
    most = method.teacher.passes(Key(0, "x", 0), "x", Pass(raw, dropout=False, graph=False))[0].argmax(-1)
    assert not torch.equal(method.said.tag_ids_BT[raw.token_mask_BT], most[raw.token_mask_BT])


def test_the_labeling_pass_with_and_without_dropout() -> None:
    """Without, the pseudo-labels are the tags of evaluation mode; with, the student is taught something else (dropout is strong here)."""
    taught = {}
    for mode in ("eval", "train"):
        method = metats(clean_pass=mode)
        method.teacher.tagger.dropout = 0.9
        batcher = method.teacher.tagger.batcher
        labeled, raw = batcher.batch(LABELED["en"][:3], labeled=True), batcher.batch(RAW["en"], labeled=False)
        method.stages()[1].begin()
        method.teacher.tagger.eval()
        expected_BT = method.teacher.tagger(raw).argmax(-1)
        method.step(labeled, raw, KEY)
        taught[mode] = torch.equal(method.said.tag_ids_BT[raw.token_mask_BT], expected_BT[raw.token_mask_BT])
    assert taught == {"eval": True, "train": False}


def test_heads_start_small_and_alike() -> None:
    method = metats()
    heads = [each.tagger.head for each in (method.teacher, method.student)]
    assert torch.equal(heads[0].weight, heads[1].weight) and heads[0].weight is not heads[1].weight
    assert 0.008 < float(heads[0].weight.abs().max().detach()) <= 0.01 and not heads[0].bias.any()


@pytest.mark.parametrize("row", ["metats", "metats-paper", "ensemble"])
def test_a_run_gives_a_pair_one_start_and_members_each_their_own(row: str) -> None:
    """As a run builds them, from its seed; not as the tests here do."""
    data = LowResource(LABELED, RAW, {}, {}, {}, TAG_SET, "", 0)
    learners, others = (build_method(row, RunConfig.model_validate({"train": {"seed": seed}}), data).learners() for seed in (3, 4))
    weights = {name: each.tagger.head.weight for name, each in learners.items()}
    alike = {name: torch.equal(weight, weights["student"]) for name, weight in weights.items()}
    assert alike == ({"teacher": True, "student": True} if row != "ensemble" else {**dict.fromkeys(alike, False), "student": True})
    assert len(alike) > 1 and not torch.equal(others["student"].tagger.head.weight, weights["student"])


def test_rates_that_suit_the_encoder() -> None:
    assert (CompactEncoder.learning_rate, HuggingFaceEncoder.learning_rate) == (3e-3, 5e-5)
