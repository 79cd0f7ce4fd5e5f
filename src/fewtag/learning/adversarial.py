"""The direction in which a small change of the embeddings changes a prediction most (Miyato et al. 2018, virtual adversarial training)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fewtag.encoders.encoder import Inputs

_TINY = 1e-12  # below this a direction is none: the prediction does not move


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
