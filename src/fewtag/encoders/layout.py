"""Which sentences share a group: a batch without padding, as one matrix of positions.

Sentences are sorted by length and cut into a few groups of nearly equal length. All groups lie one after the other in one matrix of N
positions, so everything but attention runs once for the whole batch; attention runs per group, on a view. Within a group the shorter
sentences are filled up to the longest, which is all the padding there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

_GROUP_COST = 12  # positions one more group may save before it pays: small matrix products cost more than their numbers


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences next to each other in the matrix.

    Args:
        start: first position of the group.
        rows: how many sentences.
        length: positions of each.
        bias_R11L: 0 at real positions, minus infinity at filled ones; None when nothing was filled.
    """

    start: int
    rows: int
    length: int
    bias_R11L: Tensor | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a (B, L) batch lies in the matrix.

    Args:
        groups: in order.
        source_N: index into the flattened (B, L) of each position; filled positions repeat their sentence's last.
        place_BL: flattened; index into N of each real position, and some position's for padding.
    """

    groups: tuple[Group, ...]
    source_N: Tensor
    place_BL: Tensor

    def to(self, device: torch.device) -> Layout:
        """The same on another device."""
        groups = tuple(g if g.bias_R11L is None else replace(g, bias_R11L=g.bias_R11L.to(device)) for g in self.groups)
        return Layout(groups, self.source_N.to(device), self.place_BL.to(device))


def cut(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut sorted lengths into groups with the least padded positions plus `_GROUP_COST` a group.

    Args:
        lengths: ascending.

    Returns:
        Half-open ranges; equal lengths are never parted.
    """
    ends = [i + 1 for i in range(len(lengths)) if i + 1 == len(lengths) or lengths[i] != lengths[i + 1]]
    best, came = [0], [0]  # by number of runs of equal lengths taken
    starts = [0, *ends]
    for last in range(1, len(ends) + 1):
        length = lengths[starts[last] - 1]
        costs = [best[first] + (starts[last] - starts[first]) * length + _GROUP_COST for first in range(last)]
        came.append(min(range(last), key=costs.__getitem__))
        best.append(costs[came[-1]])
    result, last = [], len(ends)
    while last:
        result.append((starts[came[last]], starts[last]))
        last = came[last]
    return result[::-1]


def plan(lengths: Sequence[int], width: int) -> Layout:
    """The layout of a batch.

    Args:
        lengths: (B,) real positions of each row, at least 1.
        width: L, positions of a padded row.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(sizes, kind="stable")
    in_order = sizes[order]
    groups: list[Group] = []
    sources: list[np.ndarray] = []
    place = np.zeros((len(sizes), width), dtype=np.int64)
    at = 0
    for start, end in cut(in_order.tolist()):
        rows, real = order[start:end], in_order[start:end]
        length = int(real[-1])
        columns = np.arange(length)
        inside = columns[None, :] < real[:, None]
        bias = None
        if not inside.all():
            bias = torch.zeros(len(rows), 1, 1, length).masked_fill_(torch.from_numpy(~inside)[:, None, None, :], float("-inf"))
        sources.append((rows[:, None] * width + np.minimum(columns[None, :], real[:, None] - 1)).ravel())
        place[rows[:, None], columns[None, :]] = at + np.arange(len(rows))[:, None] * length + columns[None, :]
        groups.append(Group(at, len(rows), length, bias))
        at += len(rows) * length
    return Layout(tuple(groups), torch.from_numpy(np.concatenate(sources)), torch.from_numpy(place.ravel()))
