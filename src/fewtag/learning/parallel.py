"""Sums over data-parallel ranks, each of which sees a part of every batch.

Losses keep their sum and their count apart, so two ranks with sentences of any length do exactly what one would do with all of them: counts
are summed before the division, gradients and whatever else is taken over a batch afterwards. Without a process group all of it is nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def ranks() -> int:
    """How many take part."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def over_ranks(value: Tensor) -> Tensor:
    """The sum of everybody's value, a constant; the value itself where there is one rank.

    Args:
        value: of the same shape on every rank.
    """
    if ranks() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def share(part_BT: Tensor, of_BT: Tensor) -> Tensor:
    """() how much of everybody's mask another one holds; 0 where the mask is empty.

    Args:
        part_BT: which of them.
        of_BT: tokens that count.
    """
    return over_ranks(part_BT.sum()) / over_ranks(of_BT.sum()).clamp(min=1)


@torch.no_grad()
def sum_in_place(tensors: Sequence[Tensor]) -> None:
    """Replace every tensor by everybody's sum, in one message.

    Args:
        tensors: of one dtype, the same shapes in the same order on every rank.
    """
    if ranks() == 1:
        return
    flat = torch.cat([each.flatten() for each in tensors])
    dist.all_reduce(flat)
    for each, part in zip(tensors, torch.split(flat, [each.numel() for each in tensors]), strict=True):
        each.copy_(part.view_as(each))
