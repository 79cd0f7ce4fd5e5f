"""Learner: a tagger, its optimizer and its clipping. One verb: descend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from fewtag.config import Config
from fewtag.learning.losses import cross_entropy
from fewtag.learning.seeding import Key
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Noise, Tagger


class LearnerConfig(Config):
    """Adam and clipping (paper section 5; ambiguities A20 and A28)."""

    lr: float | Literal["auto"] = "auto"  # auto: what the encoder is usually trained with
    head_lr: float | Literal["auto", "same"] = "auto"  # prototype: ten times the encoder's helps a pre-trained one
    betas: tuple[float, float] = (0.9, 0.999)  # Kingma and Ba 2015
    epsilon: float = 1e-8
    weight_decay: float = 0.0  # A28: plain Adam
    clip_norm: Literal[1, 2] = 2  # A20: the printed text clips the 1-norm
    clip_threshold: float = 1.0  # a norm above this ...
    clip_target: float = 1.0  # ... is rescaled to this


@dataclass(frozen=True, slots=True)
class Pass:
    """One batch on its way through a network.

    Args:
        batch: what to tag.
        dropout: False goes as in evaluation mode, still with a graph (ambiguity A19).
        noise: changes the embeddings.
    """

    batch: Batch
    dropout: bool = True
    noise: Noise | None = None


class Learner:
    """A tagger with its own optimizer.

    Args:
        name: its role, ``"teacher"`` or ``"student"``; part of the key of its random numbers.
        tagger: what learns.
        config: optimizer and clipping.
    """

    def __init__(self, name: str, tagger: Tagger, config: LearnerConfig) -> None:
        self.name = name
        self.tagger = tagger
        self.config = config
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Optimizer:
        c, encoder = self.config, self.tagger.encoder
        lr = encoder.learning_rate if c.lr == "auto" else c.lr
        head_lr = {"auto": lr * encoder.head_learning_rate / encoder.learning_rate, "same": lr}.get(str(c.head_lr))
        groups: list[dict[str, Any]] = [
            {"params": list(encoder.parameters()), "lr": lr},
            {"params": list(self.tagger.head.parameters()), "lr": c.head_lr if head_lr is None else head_lr},
        ]
        return torch.optim.AdamW(groups, betas=c.betas, eps=c.epsilon, weight_decay=c.weight_decay, fused=True)

    def logits(self, batch: Batch, key: Key, purpose: str) -> Tensor:
        """logits_BTC of one batch, with dropout and a graph."""
        return self.passes(key, purpose, Pass(batch))[0]

    def passes(self, key: Key, purpose: str, *parts: Pass) -> list[Tensor]:
        """logits_BTC of several batches, each with a graph, from as few passes through the encoder as it can.

        A batch that takes part twice is looked up in the embedding table once.

        Args:
            key: of this step; with ``purpose`` it fixes dropout and noise.
            purpose: what the passes are for.
            parts: what to tag, and how.
        """
        encoder = self.tagger.encoder
        plain = {id(part.batch): encoder.embed(part.batch.inputs) for part in parts}
        key.apply(self.name, f"{purpose}, noise")
        embeddings = [p.noise(plain[id(p.batch)], p.batch.inputs) if p.noise else plain[id(p.batch)] for p in parts]
        key.apply(self.name, purpose)
        vectors = encoder.encode_many(embeddings, [part.batch.inputs for part in parts], [part.dropout for part in parts])
        key.apply(self.name, f"{purpose}, head")  # the first part's random numbers do not depend on how many come after it
        return [self.tagger.tag(each, part.batch, part.dropout) for each, part in zip(vectors, parts, strict=True)]

    @torch.no_grad()
    def labeled_loss(self, batch: Batch) -> Tensor:
        """() mean cross-entropy on labeled sentences in evaluation mode: no dropout, no smoothing, no graph (ambiguities A5 and A10)."""
        assert batch.tag_ids_BT is not None, "the labeled loss needs gold tags"
        self.tagger.eval()
        return cross_entropy(self.tagger(batch), batch.tag_ids_BT).mean

    def descend(self, loss: Tensor) -> None:
        """One gradient step on this tagger's weights; no other network's gradients are touched.

        Args:
            loss: () with a graph.
        """
        weights = [p for p in self.tagger.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = torch.zeros_like(weight) if gradient is None else gradient
        self._clip(weights)
        self.optimizer.step()
        # The fused optimizer changes weights without counting it as a change; copies made of them must notice (`MixedLinear`).
        increment_version(weights)
        self.optimizer.zero_grad(set_to_none=True)

    def _clip(self, weights: list[torch.nn.Parameter]) -> None:
        c = self.config
        norm = torch.nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None], norm_type=float(c.clip_norm))
        factor = torch.where(norm > c.clip_threshold, c.clip_target / norm, torch.ones_like(norm))
        for weight in weights:
            if weight.grad is not None:
                weight.grad.mul_(factor)

    def copy_from(self, other: Learner) -> None:
        """Take over another learner's weights; the optimizer starts fresh."""
        self.tagger.load_state_dict(other.tagger.state_dict())
        self.restart()

    def restart(self) -> None:
        """A fresh optimizer for a new stage."""
        self.optimizer = self._new_optimizer()

    def state(self) -> dict[str, Any]:
        """Weights and optimizer state, as a nested dict of tensors."""
        adam = self.optimizer.state_dict()["state"]
        return {
            "weights": dict(self.tagger.state_dict()),
            "adam": {str(index): dict(values) for index, values in adam.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved `state`."""
        self.tagger.load_state_dict(state["weights"])
        self.optimizer = self._new_optimizer()
        groups = self.optimizer.state_dict()["param_groups"]
        adam = {int(index): values for index, values in state.get("adam", {}).items()}
        self.optimizer.load_state_dict({"state": adam, "param_groups": groups})
