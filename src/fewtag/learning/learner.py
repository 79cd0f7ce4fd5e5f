"""Learner: a tagger, its optimizer and its clipping. One verb: descend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fewtag.errors import ConfigError
from fewtag.learning.adam import Adam, Table
from fewtag.learning.gradient import Gradient
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.losses import cross_entropy, precise
from fewtag.learning.parallel import over_ranks, ranks, sum_in_place
from fewtag.learning.seeding import Key
from fewtag.learning.trail import EVERY, Trail
from fewtag.tagger.batch import Batch
from fewtag.tagger.precision import in_float32
from fewtag.tagger.tagger import Noise, Tagger


@dataclass(frozen=True, slots=True)
class Pass:
    """One batch on its way through a network.

    Args:
        batch: what to tag.
        dropout: False goes as in evaluation mode, still with a graph (ambiguity A19).
        noise: changes the embeddings.
        graph: False makes it a constant, which costs no way back.
    """

    batch: Batch
    dropout: bool = True
    noise: Noise | None = None
    graph: bool = True


def _noised(part: Pass, vectors_BLD: Tensor, place: str) -> Tensor:
    """Vectors of one place with the noise that is for it, if any."""
    return part.noise(vectors_BLD, part.batch.inputs) if part.noise and getattr(part.noise, "place", "embeddings") == place else vectors_BLD


class Learner:
    """A tagger with its own optimizer.

    Args:
        name: its role, ``"teacher"`` or ``"student"``; part of the key of its random numbers.
        tagger: what learns.
        config: optimizer and clipping.

    It counts in ``num_passes`` what it takes its encoder through: 1 for each batch, 2 more when a gradient comes back. Of a loss whose ways
    back are shared, each batch counts once.
    """

    def __init__(self, name: str, tagger: Tagger, config: LearnerConfig) -> None:
        self.name = name
        self.tagger = tagger
        self.config = config
        self.num_passes = 0
        self._table_mode = self._choose_table()
        self._trail = Trail(tagger, config.average) if config.average else None
        self.restart()

    def _choose_table(self) -> str:
        table = self.tagger.encoder.vocabulary
        if table is None:
            return "none"
        mode = self.config.embeddings
        rows = table.device.type == "cpu" and ranks() == 1  # ranks read different rows
        mode = ("lazy" if rows else "dense") if mode == "auto" else mode
        if mode == "lazy" and ranks() > 1:
            raise ConfigError("train.embeddings = lazy is for one process: ranks read different rows of the table; use dense or frozen")
        table.requires_grad_(mode != "frozen")
        self.tagger.encoder.sparse_vocabulary(mode == "lazy")
        return mode

    def restart(self, rate: float = 1.0) -> None:
        """A fresh optimizer for a new stage; the weights stay as they are.

        Args:
            rate: times the learning rates of the configuration; 0 keeps every weight where it is.
        """
        c, encoder, head = self.config, self.tagger.encoder, self.tagger.head
        lr = encoder.learning_rate if c.lr == "auto" else c.lr
        ratio = {"auto": encoder.head_learning_rate / encoder.learning_rate, "same": 1.0}
        head_lr = lr * ratio[c.head_lr] if isinstance(c.head_lr, str) else c.head_lr
        lr, head_lr = lr * rate, head_lr * rate
        rows = encoder.vocabulary if self._table_mode == "lazy" else None
        body = [w for w in encoder.parameters() if w.requires_grad and w is not rows]
        groups = [(body, lr), (list(head.parameters()), head_lr)]
        self._steps, self._rate = 0, rate  # since this start
        if self._trail is not None:
            self._trail.clear()
        self._adam = Adam(groups, c.betas, c.epsilon, c.weight_decay)
        self._table = None if rows is None else Table(rows, lr, c.betas, c.epsilon, c.weight_decay)

    def logits(self, batch: Batch, key: Key, purpose: str) -> Tensor:
        """logits_BTC of one batch, with dropout and a graph."""
        return self.passes(key, purpose, Pass(batch))[0]

    def passes(self, key: Key, purpose: str, *parts: Pass) -> list[Tensor]:
        """logits_BTC of several batches, from as few passes through the encoder as it can: one for all that have a graph.

        A batch that takes part twice is looked up in the embedding table once.

        Args:
            key: of this step; with ``purpose`` it fixes dropout and noise.
            purpose: what the passes are for.
            parts: what to tag, and how.
        """
        self._read(*(part.batch for part in parts))
        learning = [part for part in parts if part.graph]
        with torch.no_grad():
            constants = self._run(key, f"{purpose}, constant", [part for part in parts if not part.graph])
        found = {True: iter(self._run(key, purpose, learning)), False: iter(constants)}
        return [next(found[part.graph]) for part in parts]

    def _run(self, key: Key, purpose: str, parts: Sequence[Pass]) -> list[Tensor]:
        if not parts:
            return []
        encoder = self.tagger.encoder
        plain = {name: encoder.embed(inputs) for name, inputs in {id(part.batch): part.batch.inputs for part in parts}.items()}
        key.apply(self.name, f"{purpose}, noise")
        embeddings = [_noised(p, plain[id(p.batch)], "embeddings") for p in parts]
        key.apply(self.name, purpose)
        vectors = encoder.encode_many(embeddings, [part.batch.inputs for part in parts], [part.dropout for part in parts])
        self._count(vectors)
        vectors = [_noised(part, each, "last") for part, each in zip(parts, vectors, strict=True)]
        key.apply(self.name, f"{purpose}, head")  # the first part's random numbers do not depend on how many come after it
        return [self.tagger.tag(each, part.batch, part.dropout) for each, part in zip(vectors, parts, strict=True)]

    def _count(self, vectors: Sequence[Tensor]) -> None:
        self.num_passes += len(vectors)
        for each in vectors:
            if each.requires_grad:
                each.register_hook(self._came_back)  # type: ignore[no-untyped-call]

    def _came_back(self, gradient: Tensor) -> None:
        self.num_passes += 2

    @torch.no_grad()
    def labeled_loss(self, batch: Batch, key: Key | None = None, purpose: str = "") -> Tensor:
        """() mean cross-entropy on labeled sentences without smoothing and without a graph (ambiguities A5 and A10).

        Args:
            batch: with gold tags.
            key: of the step, for a look with dropout; None looks in evaluation mode.
            purpose: with the key it fixes the dropout mask.
        """
        assert batch.tag_ids_BT is not None, "the labeled loss needs gold tags"
        if key is not None:
            (logits_BTC,) = self.passes(key, purpose, Pass(batch, graph=False))
            return over_ranks(cross_entropy(logits_BTC, batch.tag_ids_BT).mean)
        self._read(batch)
        self.tagger.eval()
        self.num_passes += 1
        return over_ranks(cross_entropy(self.tagger(batch), batch.tag_ids_BT).mean)

    def _read(self, *batches: Batch) -> None:
        if self._table is not None:
            self._table.read(torch.cat([batch.inputs.ids.flatten() for batch in batches]))

    def descend(self, loss: Tensor) -> Gradient:
        """One gradient step on this tagger's weights; no other network's gradients are touched.

        Args:
            loss: () with a graph.

        Returns:
            The gradient as it was taken, after clipping: 0 where ``head_first`` lets nothing move.
        """
        found = self.gradient(loss)
        divisor = self._divisor(found.parts)
        alone = self._steps < self.config.head_first
        self._steps += 1
        self._adam.step(found.body, divisor, only_last=alone)  # changes them to what was taken
        rows, values_RD = found.rows, found.values_RD
        if self._table is not None and rows is not None and values_RD is not None:
            taken_RD = torch.zeros_like(values_RD) if alone else values_RD / divisor
            found = Gradient(found.body, rows, taken_RD)
            if not alone:
                self._table.step(rows, taken_RD)
        if self._trail is not None and self._steps % EVERY == 0:
            with self._up_to_date():
                self._trail.take()
        return found

    def gradient(self, loss: Tensor, *, keep_graph: bool = False) -> Gradient:
        """The gradient of a loss in this tagger's weights; nothing is changed.

        Args:
            loss: () with a graph.
            keep_graph: whether the graph will be gone through again.
        """
        weights = self._adam.weights + ([] if self._table is None else [self._table.weight_VD])
        found = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=keep_graph)
        body = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
        sum_in_place(body)
        if self._table is None:
            return Gradient(body)
        whole = body.pop()
        sparse = (whole if whole.is_sparse else whole.to_sparse(1)).coalesce()
        return Gradient(body, sparse.indices()[0], sparse.values())

    def labeled_gradient(self, batch: Batch) -> Gradient:
        """The gradient of `labeled_loss`."""
        assert batch.tag_ids_BT is not None, "the labeled loss needs gold tags"
        self._read(batch)
        self.tagger.eval()
        self.num_passes += 3
        return self.gradient(cross_entropy(self.tagger(batch), batch.tag_ids_BT).mean)

    def preconditioned(self, gradient: Gradient) -> Gradient:
        """How far a step of this learner's optimizer goes along a gradient, its momentum left out.

        Args:
            gradient: of a batch that was read since the last step.
        """
        body = self._adam.preconditioned(gradient.body)
        if self._table is None or gradient.rows is None or gradient.values_RD is None:
            return Gradient(body)
        return Gradient(body, gradient.rows, self._table.preconditioned(gradient.rows, gradient.values_RD))

    @torch.no_grad()
    def sensitivity(self, batch: Batch, direction: Gradient, reach: float) -> Tensor:
        """How the log-probabilities change along a direction in weight space, in evaluation mode and float32, by a central difference.

        Args:
            batch: what to tag.
            direction: in weight space, of any length.
            reach: how far to look to either side (Euclidean).

        Returns:
            (B, T, C) derivative of log p along ``direction``.
        """
        self._read(batch)
        direction = direction.reading(batch.inputs.ids)
        length = direction.norm().clamp(min=torch.finfo(torch.float32).tiny)
        self.tagger.eval()
        either: list[Tensor] = []
        with in_float32(self.tagger.encoder):  # a difference of two numbers that agree in all that bfloat16 holds
            for side in (1.0, -1.0):
                self.num_passes += 1
                with self._moved(direction, side * reach / length):
                    either.append(precise(self.tagger(batch)).log_softmax(-1))
        return (either[0] - either[1]) * (length / (2 * reach))

    @contextmanager
    def _moved(self, direction: Gradient, by: Tensor) -> Iterator[None]:
        """The weights are elsewhere within the ``with``; afterwards they are what they were, to the bit."""
        weights = self._adam.weights
        before = [w.detach().clone() for w in weights]
        table = None if self._table is None else self._table.weight_VD
        rows_RD = None if table is None or direction.rows is None else table[direction.rows]
        for w, d in zip(weights, direction.body, strict=True):
            w.add_(d * by)
        if table is not None and rows_RD is not None and direction.values_RD is not None:
            table[direction.rows] = rows_RD + direction.values_RD * by
        try:
            yield
        finally:
            for w, kept in zip(weights, before, strict=True):
                w.copy_(kept)
            if table is not None and rows_RD is not None:
                table[direction.rows] = rows_RD

    def _divisor(self, gradients: list[Tensor]) -> Tensor:
        """() what clipping divides every gradient by."""
        c = self.config
        norm = precise(torch.nn.utils.get_total_norm(gradients, norm_type=float(c.clip_norm)))
        return torch.where(norm > c.clip_threshold, norm / c.clip_target, torch.ones_like(norm))

    @contextmanager
    def settled(self) -> Iterator[Tagger]:
        """The tagger to be looked at from outside: evaluated, copied, saved. Within the ``with`` rows that wait are up to date, and the
        weights are their average where there is one."""
        with self._up_to_date(), nullcontext() if self._trail is None else self._trail.shown():
            yield self.tagger

    def _up_to_date(self) -> AbstractContextManager[None]:
        return nullcontext() if self._table is None else self._table.settled()

    def take_over(self, weights: Mapping[str, Tensor]) -> None:
        """Put other weights in place; the optimizer starts fresh."""
        self.tagger.load_state_dict(weights)
        self.restart()

    def copy_from(self, other: Learner) -> None:
        """Take over another learner's weights."""
        with other.settled() as tagger:
            self.take_over(tagger.state_dict())

    def state(self) -> dict[str, Any]:
        """Weights, their average and optimizer state, as a nested dict of tensors."""
        table = {} if self._table is None else {"table": self._table.state()}
        trail = {} if self._trail is None else {"trail": self._trail.state()}
        own = {"weights": dict(self.tagger.state_dict()), "adam": self._adam.state(), "steps": self._steps, "rate": self._rate}
        return {**own, **table, **trail}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        self.tagger.load_state_dict(state["weights"])
        self.restart(float(state.get("rate", 1.0)))
        self._adam.restore(state["adam"])
        self._steps = int(state["steps"])
        if self._table is not None:
            self._table.restore(state["table"])
        if self._trail is not None:
            self._trail.restore(state["trail"])
