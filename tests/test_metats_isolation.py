"""Who is touched by what: one network's weights and Adam while the other learns or is heard, to the bit; order and padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from exact import LABELED, batches, exact
from fewtag.encoders.compact import CompactEncoder
from fewtag.encoders.encoder import Inputs
from fewtag.encoders.layout import chain
from fewtag.learning.learner import Learner
from fewtag.learning.seeding import Key
from fewtag.tagger import Batch, Tagger
from fewtag.tagger.batch import IGNORED
from fewtag.text import Sentence
from fewtag.training.checkpoint import flatten

State = tuple[dict[str, Tensor], dict[str, Any]]


def everything(learner: Learner) -> State:
    """A copy of all a learner keeps: weights, both moments of each, steps, and what the rows of its table wait for."""
    tensors, plain = flatten(learner.state())
    assert any("adam" in name and value.any() for name, value in tensors.items()), "an optimizer without a past shows nothing"
    return {name: value.clone() for name, value in tensors.items()}, plain


def same(left: State, right: State) -> bool:
    (a, plain_a), (b, plain_b) = left, right
    return plain_a == plain_b and a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("embeddings", ["lazy", "dense"])
@pytest.mark.parametrize("kind", ["difference", "product", "token"])
def test_a_descent_leaves_the_other_networks_optimizer_alone(embeddings: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 3 moves the student, section 3.3 the teacher; of the other, whatever a checkpoint would hold is bitwise what it was."""
    method = exact(learner={"embeddings": embeddings}, dropout=0.1, weight_meta=1.0, feedback={"kind": kind})
    for number in range(2):
        method.step(*batches(method), Key(0, "interact", number))
    seen: list[tuple[str, State, State]] = [("start", everything(method.teacher), everything(method.student))]
    descend = Learner.descend

    def watched(self: Learner, loss: Tensor) -> Any:
        seen.append(("to come", everything(method.teacher), everything(method.student)))
        step = descend(self, loss)
        seen.append((self.name, everything(method.teacher), everything(method.student)))
        return step

    monkeypatch.setattr(Learner, "descend", watched)
    method.step(*batches(method), Key(0, "interact", 2))
    seen.append(("end", everything(method.teacher), everything(method.student)))
    assert [name for name, *_ in seen] == ["start", "to come", "student", "to come", "teacher", "end"]
    teachers, students = [teacher for _, teacher, _ in seen], [student for _, _, student in seen]
    assert same(teachers[1], teachers[2]) and not same(teachers[3], teachers[4])
    assert not same(students[1], students[2]) and same(students[3], students[4])
    if embeddings == "dense":  # with rows that wait, reading a batch brings its own up to date
        assert same(teachers[0], teachers[3]) and same(students[0], students[1])
        assert same(students[2], students[5]) and same(teachers[4], teachers[5])


@pytest.mark.parametrize("embeddings", ["lazy", "dense"])
def test_looking_leaves_no_trace(embeddings: str) -> None:
    """L_S,lab is looked at before and after, with and without dropout: the student's weights and moments are bitwise what they were."""
    method = exact(learner={"embeddings": embeddings}, dropout=0.3)
    labeled, _ = batches(method)
    for number in range(3):
        method.step(*batches(method), Key(0, "interact", number))
    student = method.student
    student.labeled_loss(labeled)  # rows that waited are brought up to date once: that is their Adam's, not the look's
    teacher, before = everything(method.teacher), everything(student)
    student.labeled_loss(labeled)
    student.labeled_loss(labeled, Key(0, "interact", 3), "heard")
    student.labeled_gradient(labeled)
    assert same(before, everything(student)) and same(teacher, everything(method.teacher))
    assert all(weight.grad is None for weight in student.tagger.parameters())


def _wider(tagger: Tagger, sentences: list[Sentence], columns: int) -> Batch:
    """A labeled batch of the compact encoder with columns of padding that no sentence needs."""
    batch, encoder = tagger.batcher.batch(sentences, labeled=True), tagger.encoder
    inputs, (rows, width) = batch.inputs, batch.token_mask_BT.shape
    assert isinstance(encoder, CompactEncoder) and batch.tag_ids_BT is not None and inputs.bag_starts is not None

    def padded(values_BT: Tensor, filler: int) -> Tensor:
        return torch.cat([values_BT, torch.full((rows, columns), filler, dtype=values_BT.dtype)], 1)

    starts_BL = inputs.bag_starts.view(rows, width)
    ends_B = torch.cat([starts_BL[1:, 0], torch.tensor([len(inputs.ids)])])  # an empty bag begins where the next row does
    packed = Inputs(
        inputs.ids,
        torch.cat([starts_BL, ends_B.unsqueeze(1).expand(-1, columns)], 1).flatten(),
        padded(inputs.mask_BL, 0),
        padded(inputs.noise_mask_BL, 0),
        padded(inputs.first_BT, 0),
        chain(inputs.mask_BL.sum(-1).tolist(), width + columns, encoder.config.kernel // 2),
    )
    return replace(batch, inputs=packed, token_mask_BT=padded(batch.token_mask_BT, 0), tag_ids_BT=padded(batch.tag_ids_BT, IGNORED))


def test_lambda_knows_neither_order_nor_padding() -> None:
    """The same sentences in another order, and in a batch three columns wider than the longest: the same number but for rounding."""
    lambdas, losses = {}, {}
    for name in ("as it is", "reversed", "wider", "both"):
        method = exact(feedback={"kind": "difference"})
        tagger = method.student.tagger
        sentences = LABELED[::-1] if name in ("reversed", "both") else LABELED
        plain = tagger.batcher.batch(sentences, labeled=True)
        labeled = _wider(tagger, sentences, 3) if name in ("wider", "both") else plain
        assert labeled.token_mask_BT.shape[1] - plain.token_mask_BT.shape[1] == (3 if labeled is not plain else 0)
        losses[name] = float(method.student.labeled_loss(labeled))
        lambdas[name] = float(method.step(labeled, batches(method)[1], Key(0, "interact", 0))["lambda"])
    assert abs(lambdas["as it is"]) > 1e-3
    assert list(losses.values()) == pytest.approx([losses["as it is"]] * 4, rel=0, abs=1e-12)
    assert list(lambdas.values()) == pytest.approx([lambdas["as it is"]] * 4, rel=0, abs=1e-12)
