"""The average of a learner's weights: worked by hand, the same for rows that wait, seen from outside alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fewtag.learning.trail import EVERY, Trail
from test_adam import SENTENCES, learner, train


def weights(tagger: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in tagger.state_dict().items()}


def test_snapshots_average_plainly_and_then_geometrically() -> None:
    """At 1, 2, 3, ... with a decay of 3/4 a snapshot: 1, 3/2, 2, 5/2, and from then on 3/4 of what was and a quarter of what is."""
    network = torch.nn.Linear(1, 1, bias=False)
    trail, seen = Trail(network, 0.75 ** (1 / EVERY)), []
    for value in range(1, 8):
        torch.nn.init.constant_(network.weight, value)
        trail.take()
        with trail.shown():
            seen.append(float(network.weight.detach()))
        assert float(network.weight.detach()) == value
    # 3/4 * 5/2 + 5/4 = 25/8; 3/4 * 25/8 + 6/4 = 123/32; 3/4 * 123/32 + 7/4 = 593/128
    assert seen == pytest.approx([1, 3 / 2, 2, 5 / 2, 25 / 8, 123 / 32, 593 / 128])


def test_counters_are_taken_as_they_are() -> None:
    network = torch.nn.BatchNorm1d(2)
    trail = Trail(network, 0.9)
    for count in (3, 9):
        assert network.num_batches_tracked is not None
        network.num_batches_tracked.fill_(count)
        trail.take()
    network.num_batches_tracked.fill_(11)
    with trail.shown():
        assert int(network.num_batches_tracked) == 9
    assert int(network.num_batches_tracked) == 11


@pytest.mark.parametrize("mode", ["dense", "lazy"])
def test_a_learner_is_looked_at_through_the_average_of_every_fifth_step(mode: str) -> None:
    """Of a twin without an average, weights after steps 5, 10 and 15; of all rows, those that wait included."""
    own, twin = learner(embeddings=mode, average=0.99), learner(embeddings="dense", average=0.0)
    seen: list[dict[str, torch.Tensor]] = []
    for step in range(17):
        train(own, 1, start=step)
        train(twin, 1, start=step)
        if (step + 1) % EVERY == 0:
            seen.append(weights(twin.tagger))
    assert len(seen) == 3
    with own.settled() as tagger:
        for name, value in tagger.state_dict().items():
            torch.testing.assert_close(value, sum(each[name] for each in seen) / 3, rtol=0, atol=2e-6)


def test_what_learns_does_not_see_the_average() -> None:
    own, twin = learner(average=0.9), learner(average=0.0)
    for step in range(4):
        train(own, 6, start=6 * step)
        train(twin, 6, start=6 * step)
        with own.settled() as tagger:
            assert not torch.equal(tagger.head.weight, twin.tagger.head.weight)
    assert all(torch.equal(a, b) for a, b in zip(weights(own.tagger).values(), weights(twin.tagger).values(), strict=True))


def test_predictions_are_those_of_the_average_and_then_of_the_weights_again() -> None:
    """Copies of weights in another format, where an encoder makes any, must follow both ways."""
    own = learner(average=0.9, lr=0.05)
    own.tagger.encoder.bf16 = True
    train(own, 20)
    before = own.tagger.logits(SENTENCES)
    with own.settled() as tagger:
        shown, mean = tagger.logits(SENTENCES), weights(tagger)
    assert all(np.array_equal(a, b) for a, b in zip(own.tagger.logits(SENTENCES), before, strict=True))
    own.take_over(mean)
    assert all(np.array_equal(a, b) for a, b in zip(own.tagger.logits(SENTENCES), shown, strict=True))
    assert not np.array_equal(shown[0], before[0])


def test_a_copy_is_of_the_average_and_a_new_stage_forgets_it() -> None:
    own, other = learner(average=0.9), learner()
    train(own, 10)
    with own.settled() as tagger:
        mean = weights(tagger)
    other.copy_from(own)
    assert all(torch.equal(value, mean[name]) for name, value in other.tagger.state_dict().items())
    now = weights(own.tagger)
    own.restart()
    with own.settled() as tagger:
        assert all(torch.equal(value, now[name]) for name, value in tagger.state_dict().items())


def test_it_goes_on_to_the_bit_from_what_was_saved() -> None:
    own, other = learner(average=0.9), learner(average=0.9)
    train(own, 12)
    other.restore(_through_a_file(own.state()))
    for each in (own, other):
        train(each, 9, start=12)
    with own.settled() as a, other.settled() as b:
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.clone() if isinstance(value, torch.Tensor) else _through_a_file(value) if isinstance(value, dict) else value
        for key, value in state.items()
    }
