"""The direction in which a small change of the embeddings changes a prediction most (Miyato et al. 2018, virtual adversarial training)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from fewtag.config import Config
from fewtag.encoders.encoder import Inputs
from fewtag.learning.learner import Learner, Pass
from fewtag.learning.losses import Term, divergence
from fewtag.learning.parallel import over_ranks
from fewtag.learning.pseudo_labels import sharpen
from fewtag.learning.seeding import Key
from fewtag.tagger.batch import Batch
from fewtag.tagger.precision import in_float32

_TINY = 1e-12  # below this a direction is none: the prediction does not move
_SEEN_IN_FLOAT32, _SEEN_IN_BF16 = 0.01, 0.3  # a change smaller than this is lost in a prediction's last digits


class AdversaryConfig(Config):
    """How far the embeddings are pushed, and how the direction is found."""

    radius: PositiveFloat = 1.0  # of r per sentence, in root-mean-square lengths of an embedding, so that it means the same everywhere
    # xi, in the same measure: near enough to be second order, and far enough to be seen. None: 0.01 in float32, where the encoder's
    # products run in bfloat16 0.3, whose directions raise the divergence as much (LOG.md)
    small: PositiveFloat | None = None
    rounds: PositiveInt = 1  # of power iteration; Miyato et al. take one


@dataclass(frozen=True, slots=True)
class Shift:
    """Moves the embeddings by a given amount: noise that is no chance.

    Args:
        by_BLD: the amount.
    """

    by_BLD: Tensor

    def __call__(self, embeddings_BLD: Tensor, inputs: Inputs) -> Tensor:
        return embeddings_BLD + self.by_BLD


def unit(direction_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Length 1 per row over the positions of a mask, 0 outside it; a row without a length stays 0."""
    inside_BLD = direction_BLD.where(mask_BL.unsqueeze(-1), direction_BLD.new_zeros(()))
    length_B11 = inside_BLD.flatten(1).norm(dim=1)[:, None, None]
    return torch.where(length_B11 > _TINY, inside_BLD / length_B11.clamp(min=_TINY), torch.zeros_like(inside_BLD))


def adversarial_direction(distance: Callable[[Tensor], Tensor], start_BLD: Tensor, mask_BL: Tensor, small: Tensor, rounds: int) -> Tensor:
    """The unit vector per row that raises a distance most, by power iteration: ``d`` becomes the direction of ``grad distance(small * d)``.

    The distance is 0 with gradient 0 at no change at all, so its second-order part decides, and each round multiplies by its matrix.

    Args:
        distance: () of a change of the embeddings, with a graph to it; must be the same function at every call (one dropout mask).
        start_BLD: any direction, such as Gaussian noise.
        mask_BL: positions that may move.
        small: () or (B, 1, 1) how far to look.
        rounds: of power iteration; one is what virtual adversarial training takes.
    """
    direction_BLD = unit(start_BLD, mask_BL)
    for _ in range(rounds):
        change_BLD = (small * direction_BLD).detach().requires_grad_()
        (gradient_BLD,) = torch.autograd.grad(distance(change_BLD), change_BLD)
        direction_BLD = unit(gradient_BLD, mask_BL)
    return direction_BLD.detach()


def mean_worst(learner: Learner, batch: Batch, key: Key, purpose: str, config: AdversaryConfig, weight: float) -> Tensor:
    """() the mean of `worst_divergence` over the batch's tokens; 0, without a pass, where it has no weight.

    Args:
        learner, batch, key, purpose, config: see there.
        weight: that the caller will give it; it is not applied here.
    """
    if not weight:
        return batch.token_mask_BT.new_zeros((), dtype=torch.float32)
    return worst_divergence(learner, batch, key, purpose, config).mean


def worst_divergence(learner: Learner, batch: Batch, key: Key, purpose: str, config: AdversaryConfig) -> Term:
    """KL(p(e) || p(e + r)) for the ``r`` of a length that raises it most; its first side is a constant.

    Args:
        learner: whose prediction; every pass of one purpose has the same dropout mask.
        batch: of sentences, labeled or not.
        key: of the step.
        purpose: with the key it fixes the mask and where the search for ``r`` starts.
        config: length and search.
    """
    encoder = learner.tagger.encoder
    small = config.small or (_SEEN_IN_BF16 if encoder.bf16 else _SEEN_IN_FLOAT32)
    unseen = encoder.bf16 and small < _SEEN_IN_BF16  # in the encoder's own format: the search takes float32

    def clean() -> Tensor:
        with torch.no_grad():
            return sharpen(learner.passes(key, purpose, Pass(batch))[0], 1.0)

    target_BTC = clean()
    with torch.no_grad():
        embeddings_BLD = encoder.embed(batch.inputs)
    mask_BL = batch.inputs.noise_mask_BL
    squares = embeddings_BLD.pow(2).sum(-1).where(mask_BL, embeddings_BLD.new_zeros(())).sum()
    length = (over_ranks(squares) / over_ranks(mask_BL.sum()).clamp(min=1)).sqrt()
    key.apply(learner.name, f"{purpose}, direction")
    start_BLD = torch.randn_like(embeddings_BLD)
    with in_float32(encoder) if unseen else nullcontext():
        # Both sides in one format: against a prediction in the other, the gradient is of what rounding did, not of the change.
        still_BTC = clean() if unseen else target_BTC

        def distance(change_BLD: Tensor) -> Tensor:
            (moved_BTC,) = learner.passes(key, purpose, Pass(batch, noise=Shift(change_BLD)))
            return divergence(moved_BTC, still_BTC, batch.token_mask_BT).total

        direction_BLD = adversarial_direction(distance, start_BLD, mask_BL, small * length, config.rounds)
    (moved_BTC,) = learner.passes(key, purpose, Pass(batch, noise=Shift(config.radius * length * direction_BLD)))
    return divergence(moved_BTC, target_BTC, batch.token_mask_BT)
