"""MetaTS: isolation of the two networks, stages, presets, and other readings of the printed text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fewtag.encoders.compact import CompactConfig, CompactEncoder
from fewtag.learning.adversarial import worst_divergence
from fewtag.learning.feedback import Feedback, FeedbackConfig
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy
from fewtag.learning.pseudo_labels import label, reweighted
from fewtag.learning.seeding import Key
from fewtag.methods import METHODS, resolve
from fewtag.methods.metats import MetaTS
from fewtag.tagger import Batch, Tagger
from fewtag.tagger.batch import IGNORED
from fewtag.text import Sentence, TagSet
from fewtag.training.fit import Position, _add, means_of

TAG_SET = TagSet(("x",))
LABELED = [Sentence(("red", "shoe", "now"), ("B-x", "I-x", "O"), "en"), Sentence(("blue", "hat"), ("B-x", "I-x"), "en")]
RAW = [Sentence(("green", "shoe"), None, "en"), Sentence(("old", "blue", "box", "here"), None, "en")]


def make_tagger(role: str) -> Tagger:
    torch.manual_seed(7)
    return Tagger(CompactEncoder(CompactConfig(buckets=200, width=8, layers=1)), TAG_SET)


# Every row moves at every step, so that it does not matter to the last bit when a row was read.
DENSE = LearnerConfig(lr=0.01, embeddings="dense")


def build(name: str = "metats", head: float = 0.0, learner: LearnerConfig = LearnerConfig(lr=0.01), **values: Any) -> MetaTS:  # noqa: B008
    method = METHODS[name].method(resolve(name, values), make_tagger, learner)
    assert isinstance(method, MetaTS)
    if head:
        for learner in method.learners().values():
            torch.manual_seed(3)
            torch.nn.init.normal_(learner.tagger.head.weight, std=head)
    return method


def batches(method: MetaTS) -> tuple[Batch, Batch]:
    batcher = method.teacher.tagger.batcher
    return batcher.batch(LABELED, labeled=True), batcher.batch(RAW, labeled=False)


def weights(learner: Learner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.tagger.state_dict().items()}


def changed(before: dict[str, Tensor], learner: Learner) -> bool:
    return any(not torch.equal(value, before[name]) for name, value in learner.tagger.state_dict().items())


# Isolation: who learns from what.


def test_no_meta_means_the_teacher_does_not_hear_the_student() -> None:
    trained = []
    for disturb in (False, True):
        method = build(weight_meta=0.0, head=1.0)
        if disturb:
            torch.nn.init.normal_(method.student.tagger.head.weight)
        for step in range(3):
            method.step(*batches(method), Key(0, "interact", step))
        trained.append(weights(method.teacher))
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_feedback_reaches_the_teacher() -> None:
    trained = []
    for weight in (0.0, 5.0):
        method = build("metats-paper", weight_meta=weight, head=1.0)
        method.step(*batches(method), Key(0, "interact", 0))
        trained.append(weights(method.teacher))
    assert any(not torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_no_feedback_and_no_consistency_is_supervised_training_to_the_bit() -> None:
    method = build(weight_reg=0.0, feedback={"kind": "none"}, head=1.0, learner=DENSE)
    alone = Learner("teacher", make_tagger("teacher"), DENSE)
    alone.tagger.load_state_dict(method.teacher.tagger.state_dict())
    for step in range(20):
        labeled, raw = batches(method)
        key = Key(0, "interact", step)
        method.step(labeled, raw, key)
        assert labeled.tag_ids_BT is not None
        alone.descend(cross_entropy(alone.logits(labeled, key, "supervised"), labeled.tag_ids_BT, smoothing=0.15).mean)
    assert all(torch.equal(value, weights(alone)[name]) for name, value in weights(method.teacher).items())


def test_each_descent_changes_one_network_only(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(head=1.0)
    labeled, raw = batches(method)
    log: list[tuple[str, bool, bool]] = []
    descend = Learner.descend

    def watched(self: Learner, loss: Tensor) -> None:
        teacher, student = weights(method.teacher), weights(method.student)
        descend(self, loss)
        log.append((self.name, changed(teacher, method.teacher), changed(student, method.student)))
        assert all(p.grad is None for learner in method.learners().values() for p in learner.tagger.parameters())

    monkeypatch.setattr(Learner, "descend", watched)
    method.step(labeled, raw, Key(0, "interact", 0))
    assert log == [("student", False, True), ("teacher", True, False)]  # 3.4: the student first, then the teacher


def test_the_student_never_sees_a_label() -> None:
    trained = []
    for flip in (False, True):
        method = build(head=1.0)
        labeled, raw = batches(method)
        if flip:
            assert labeled.tag_ids_BT is not None
            labeled.tag_ids_BT.copy_(torch.where(labeled.tag_ids_BT >= 0, (labeled.tag_ids_BT + 1) % 3, labeled.tag_ids_BT))
        method.step(labeled, raw, Key(0, "interact", 0))
        trained.append(weights(method.student))
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_threshold_one_switches_consistency_off_without_nan() -> None:
    losses = {t: build(threshold=t, head=1.0) for t in (0.0, 1.0)}
    shown = {t: m.step(*batches(m), Key(0, "interact", 0)) for t, m in losses.items()}
    assert float(shown[1.0]["regularization"]) == 0.0 and float(shown[1.0]["kept"]) == 0.0
    assert float(shown[0.0]["kept"]) == 1.0 and float(shown[0.0]["regularization"]) > 0
    without = build(weight_reg=0.0, head=1.0)
    without.step(*batches(without), Key(0, "interact", 0))
    assert all(torch.equal(v, weights(without.teacher)[n]) for n, v in weights(losses[1.0].teacher).items())


def test_the_share_that_the_student_is_taught_stands_beside_the_one_that_is_kept() -> None:
    """Of a token's re-weighted probabilities some are above 0 and none above 1; the median of the highest parts the tokens in halves."""
    fresh = build(head=1.0)
    labeled, raw = batches(fresh)
    (logits_BTC,) = fresh.teacher.passes(Key(0, "interact", 0), "pseudo", Pass(raw, dropout=False, graph=False))
    highest = reweighted(logits_BTC, raw.token_mask_BT).amax(-1)[raw.token_mask_BT]
    for threshold, expected in ((0.0, 1.0), (float(highest.median()), float((highest > highest.median()).float().mean())), (1.0, 0.0)):
        method = build(labels="soft-high", label_threshold=threshold, threshold=0.0, head=1.0)
        told = method.step(*batches(method), Key(0, "interact", 0))
        assert float(told["selected"]) == pytest.approx(expected) and float(told["kept"]) == 1.0
    assert "selected" not in fresh.step(labeled, raw, Key(0, "interact", 0))  # all of them


def test_feedback_passes_use_no_dropout_and_leave_no_trace() -> None:
    method = build(head=1.0)
    labeled, _ = batches(method)
    method.student.tagger.train()
    before = weights(method.student)
    values = {float(method.student.labeled_loss(labeled)) for _ in range(5)}
    assert len(values) == 1 and not changed(before, method.student)
    assert not method.student.labeled_loss(labeled).requires_grad


def test_stages_follow_the_paper() -> None:
    method = build()
    stages = method.stages()
    assert [s.name for s in stages] == ["warm-up", "interact", "finetune"]
    assert [s.scored.name for s in stages] == ["teacher", "student", "student"]
    assert method.delivered is method.student  # 3.4: the student is the final model
    assert [s.draws for s in stages] == ["labeled", "both", "labeled"]
    method.teacher.tagger.head.bias.data.fill_(1.0)
    stages[1].begin()
    assert torch.equal(method.student.tagger.head.bias, method.teacher.tagger.head.bias)


def test_the_printed_preset_is_the_printed_text() -> None:
    config = resolve("metats-paper", {}).model_dump()
    assert config["feedback"]["sign"] == "printed" and config["feedback"]["baseline"] == "none"
    assert (config["noise_variance"], config["temperature"], config["threshold"], config["label_smoothing"]) == (0.01, 0.7, 0.6, 0.15)
    assert config["weight_reg"] == config["weight_meta"] == 1.0 and config["noise_relative"] is False


def test_gradients_of_the_terms_are_measured_now_and_then_and_change_nothing() -> None:
    trained, told, passes = [], {}, []
    for every in (0, 3):
        method = build("metats-paper", diagnose_every=every, head=1.0, learner=DENSE)
        for step in range(3):
            told = method.step(*batches(method), Key(0, "interact", step))
            assert ("gradient meta" in told) == (every == 3 and step == 2)
        trained.append(weights(method.teacher))
        passes.append(method.num_passes)
    assert passes[0] == passes[1] > 0  # a budget of passes buys as many steps
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
    method = build("metats-paper", diagnose_every=1, weight_reg=0.0, weight_meta=0.0, head=1.0)
    sizes = method.step(*batches(method), Key(0, "interact", 0))
    assert float(sizes["gradient regularization"]) == float(sizes["gradient meta"]) == 0.0 < float(sizes["gradient supervised"])
    whole = build("metats-paper", diagnose_every=1, weight_reg=2.0, head=1.0).step(*batches(method), Key(0, "interact", 0))
    half = build("metats-paper", diagnose_every=1, weight_reg=1.0, head=1.0).step(*batches(method), Key(0, "interact", 0))
    assert float(whole["gradient regularization"]) == pytest.approx(2 * float(half["gradient regularization"]), rel=1e-4)


def test_spread_and_sign_of_what_was_heard() -> None:
    position, method = Position(), build()
    for value, language in ((1.0, "en"), (-3.0, "en"), (5.0, "de")):
        _add(position, {"feedback": torch.tensor(value)}, method.stages()[1], language)
    found = means_of(position.sums)
    assert found["feedback/en"] == -1.0 and found["feedback spread/en"] == 2.0 and found["feedback positive/en"] == 0.5
    assert found["feedback"] == 1.0 and found["feedback spread/de"] == 0.0 and not any("squared" in name for name in found)


# Other readings of the printed text


def test_sampled_labels_follow_the_teachers_distribution() -> None:
    probs = torch.tensor([0.7, 0.2, 0.1])
    logits_BTC = probs.log().expand(1, 4000, 3)
    mask_BT = torch.ones(1, 4000, dtype=torch.bool)
    mask_BT[0, -10:] = False
    Key(0, "interact", 0).apply("teacher", "labels")
    pseudo = label("sample", logits_BTC, mask_BT, 0.0)
    assert pseudo.tag_ids_BT is not None and (pseudo.tag_ids_BT[0, -10:] == IGNORED).all()
    shares = [float((pseudo.tag_ids_BT == tag).sum()) / 3990 for tag in range(3)]
    assert shares == pytest.approx(probs.tolist(), abs=0.03)


def test_with_a_gradient_through_the_clean_side_agreement_becomes_certainty() -> None:
    """A15: without noise or dropout L_reg is the teacher's entropy; as a constant target it has no gradient there, else it sharpens."""
    lengths = {}
    for constant in (True, False):
        method = build(stop_gradient=constant, noise_variance=0.0, temperature=1.0, threshold=0.0, weight_meta=0.0, head=1.0)
        _, raw = batches(method)
        clean_BTC, noised_BTC = method.teacher.passes(Key(0, "i", 0), "s", Pass(raw, dropout=False), Pass(raw, dropout=False))
        reg = method._regularization(clean_BTC, [noised_BTC], raw.token_mask_BT, raw.token_mask_BT)
        entropy = -(clean_BTC.softmax(-1) * clean_BTC.log_softmax(-1)).sum(-1)[raw.token_mask_BT].mean()
        assert float(reg.detach()) == pytest.approx(float(entropy.detach()), rel=1e-5)
        lengths[constant] = float(method.teacher.gradient(reg).norm())
    assert lengths[True] < 1e-5 < 1e-2 < lengths[False]


def test_the_student_takes_as_many_steps_as_asked_on_the_same_pseudo_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    method, losses = build(student_steps=3, head=1.0), []
    descend = method.student.descend
    monkeypatch.setattr(method.student, "descend", lambda loss: (losses.append(float(loss.detach())), descend(loss))[1])
    method.step(*batches(method), Key(0, "interact", 0))
    assert len(losses) == 3 and losses[2] < losses[0]


def test_a_look_through_two_dropout_masks_hears_the_masks() -> None:
    """A5: of a student that does not move, the loss changes by nothing, but for the noise of two masks."""
    heard = {}
    for look in ("eval", "same-mask", "train"):
        method = build(head=1.0)
        labeled, _ = batches(method)
        feedback = Feedback(FeedbackConfig(look=look))  # type: ignore[arg-type]
        before, after = (feedback._look(method.student, labeled, Key(0, "interact", 0), when) for when in ("before", "after"))
        heard[look] = float(after - before)
    assert heard["eval"] == heard["same-mask"] == 0.0 != heard["train"]


def test_a_teacher_of_rate_0_is_self_training_with_a_fixed_teacher() -> None:
    """Whatever the other settings say, the student takes plain descents on the tags of a teacher that stands still, to the bit."""
    method = build(head=1.0, learner=DENSE, teacher_rate=0.0, weight_meta=1.0, weight_reg=1.0)
    plain = build(head=1.0, learner=DENSE)
    for each in (method, plain):
        each.stages()[1].begin()
    labeled, raw = batches(method)
    fixed = weights(method.teacher)
    method.teacher.tagger.eval()
    tags_BT = method.teacher.tagger(raw).argmax(-1).where(raw.token_mask_BT, torch.tensor(IGNORED))
    for step in range(6):
        key = Key(0, "interact", step)
        if step == 3:  # a resumed run does not forget the rate
            resumed = build(head=1.0, learner=DENSE, teacher_rate=0.0, weight_meta=1.0, weight_reg=1.0)
            resumed.restore(method.state())
            method = resumed
        method.step(labeled, raw, key)
        plain.student.descend(cross_entropy(plain.student.logits(raw, key, "pseudo"), tags_BT, smoothing=0.15).mean)
    assert not changed(fixed, method.teacher)
    assert not changed(weights(plain.student), method.student)
    moving = build(head=1.0, learner=DENSE)
    moving.stages()[1].begin()
    before = weights(moving.teacher)
    moving.step(labeled, raw, Key(0, "interact", 0))
    assert changed(before, moving.teacher)


def test_who_is_pushed_learns_from_it() -> None:
    """Either network takes its descent on its own losses plus its own worst divergence on raw text; the other one's is as it was."""
    key, after = Key(0, "interact", 0), {}
    for name, values in {"neither": {}, "student": {"weight_student_adversary": 0.7}, "teacher": {"weight_teacher_adversary": 0.7}}.items():
        method = build(head=1.0, learner=DENSE, weight_meta=0.0, weight_reg=0.0, **values)
        told = method.step(*batches(method), key)
        assert [n for n in told if n.endswith("worst")] == ([f"{name} worst"] if values else [])
        after[name] = {"student": weights(method.student), "teacher": weights(method.teacher)}
    for one, other in (("student", "teacher"), ("teacher", "student")):
        same = [torch.equal(after["neither"][other][n], w) for n, w in after[one][other].items()]
        assert all(same) and any(not torch.equal(after["neither"][one][n], w) for n, w in after[one][one].items())
    by_hand = build(head=1.0, learner=DENSE)
    _, raw = batches(by_hand)
    by_hand.teacher.tagger.eval()
    tags_BT = by_hand.teacher.tagger(raw).argmax(-1).where(raw.token_mask_BT, torch.tensor(IGNORED))
    loss = cross_entropy(by_hand.student.logits(raw, key, "pseudo"), tags_BT, smoothing=0.15).mean
    worst = worst_divergence(by_hand.student, raw, key, "worst", by_hand.config.adversary).mean
    by_hand.student.descend(loss + 0.7 * worst)
    assert all(torch.equal(w, after["student"]["student"][n]) for n, w in weights(by_hand.student).items())
