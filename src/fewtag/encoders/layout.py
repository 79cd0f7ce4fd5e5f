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

# Positions one more group must save before it pays. On a CPU small matrix products cost more than their numbers; elsewhere a group is some
# twenty more operations a layer to launch, each of which takes the host as long as the GPU takes for a hundred positions.
_GROUP_COST = {"cpu": 12}
_LAUNCHED = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences next to each other in the matrix.

    Args:
        start: first position of the group.
        rows: how many sentences.
        length: positions of each.
        bias_R11L: 0 at real positions, minus infinity at filled ones; None when nothing was filled.
        still_R111: rows that never see dropout; None when none is exempt.
    """

    start: int
    rows: int
    length: int
    bias_R11L: Tensor | None
    still_R111: Tensor | None = None

    def to(self, device: torch.device) -> Group:
        """The same on another device."""
        bias, still = (None if each is None else each.to(device) for each in (self.bias_R11L, self.still_R111))
        return replace(self, bias_R11L=bias, still_R111=still)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a (B, L) batch, or several one after the other, lies in the matrix.

    Args:
        groups: in order.
        source_N: index into the flattened (B, L) of each position; filled positions repeat their sentence's last.
        place_BL: flattened; index into N of each real position, and some position's for padding.
        lengths: (B,) real positions of each row.
        width: L, for a single batch.
        group_cost: what it was cut with.
        still_N1: positions that never see dropout; None when none is exempt.
    """

    groups: tuple[Group, ...]
    source_N: Tensor
    place_BL: Tensor
    lengths: tuple[int, ...]
    width: int
    group_cost: int
    still_N1: Tensor | None = None

    def to(self, device: torch.device) -> Layout:
        """The same on another device."""
        groups = tuple(group.to(device) for group in self.groups)
        still = None if self.still_N1 is None else self.still_N1.to(device)
        return replace(self, groups=groups, source_N=self.source_N.to(device), place_BL=self.place_BL.to(device), still_N1=still)


def cut(lengths: Sequence[int], group_cost: int) -> list[tuple[int, int]]:
    """Cut sorted lengths into groups with the least padded positions plus ``group_cost`` a group.

    Args:
        lengths: ascending.
        group_cost: in positions.

    Returns:
        Half-open ranges; equal lengths are never parted.
    """
    ends = [i + 1 for i in range(len(lengths)) if i + 1 == len(lengths) or lengths[i] != lengths[i + 1]]
    best, came = [0], [0]  # by number of runs of equal lengths taken
    starts = [0, *ends]
    for last in range(1, len(ends) + 1):
        length = lengths[starts[last] - 1]
        costs = [best[first] + (starts[last] - starts[first]) * length + group_cost for first in range(last)]
        came.append(min(range(last), key=costs.__getitem__))
        best.append(costs[came[-1]])
    result, last = [], len(ends)
    while last:
        result.append((starts[came[last]], starts[last]))
        last = came[last]
    return result[::-1]


def plan(lengths: Sequence[int], width: int, device: str = "cpu") -> Layout:
    """The layout of a batch.

    Args:
        lengths: (B,) real positions of each row, at least 1.
        width: L, positions of a padded row.
        device: the type of the one it is for; the tensors are on the CPU.
    """
    cost = _GROUP_COST.get(device, _LAUNCHED)
    return _plan(tuple(lengths), [index * width for index in range(len(lengths))], len(lengths) * width, width, cost, None)


def join(layouts: Sequence[Layout], still: Sequence[bool]) -> Layout:
    """The layout of several batches laid one after the other, for one pass over all of them.

    Args:
        layouts: theirs.
        still: for each batch, whether dropout spares it.
    """
    starts, exempt, at = [], [], 0
    for layout, spared in zip(layouts, still, strict=True):
        starts += [at + row * layout.width for row in range(len(layout.lengths))]
        exempt += [spared] * len(layout.lengths)
        at += len(layout.lengths) * layout.width
    lengths = tuple(length for layout in layouts for length in layout.lengths)
    own = exempt if any(exempt) and not all(exempt) else None
    return _plan(lengths, starts, at, 0, layouts[0].group_cost, own).to(layouts[0].source_N.device)


def _plan(
    lengths: tuple[int, ...], row_starts: Sequence[int], total: int, width: int, group_cost: int, exempt: Sequence[bool] | None
) -> Layout:
    sizes, starts = np.asarray(lengths, dtype=np.int64), np.asarray(row_starts, dtype=np.int64)
    spared = np.asarray(exempt, dtype=bool) if exempt is not None else None
    order = np.argsort(sizes, kind="stable")
    in_order = sizes[order]
    groups: list[Group] = []
    sources: list[np.ndarray] = []
    place = np.zeros(total, dtype=np.int64)
    still: list[np.ndarray] = []
    at = 0
    for first, last in cut(in_order.tolist(), group_cost):
        rows, real = order[first:last], in_order[first:last]
        length = int(real[-1])
        columns = np.arange(length)
        inside = columns[None, :] < real[:, None]
        bias = None
        if not inside.all():
            bias = torch.zeros(len(rows), 1, 1, length).masked_fill_(torch.from_numpy(~inside)[:, None, None, :], float("-inf"))
        flat = starts[rows][:, None] + np.minimum(columns[None, :], real[:, None] - 1)
        sources.append(flat.ravel())
        here = at + np.arange(len(rows) * length).reshape(len(rows), length)
        place[flat[inside]] = here[inside]
        own = None
        if spared is not None:
            own = torch.from_numpy(spared[rows])[:, None, None, None]
            still.append(np.repeat(spared[rows], length))
        groups.append(Group(at, len(rows), length, bias, own))
        at += len(rows) * length
    still_N1 = torch.from_numpy(np.concatenate(still)).unsqueeze(1) if still else None
    return Layout(tuple(groups), torch.from_numpy(np.concatenate(sources)), torch.from_numpy(place), lengths, width, group_cost, still_N1)


@dataclass(frozen=True, slots=True)
class Chain:
    """How a (B, L) batch lies in one matrix for a convolution: sentences one after the other, empty rows between them.

    Args:
        source_N: index into the flattened (B, L) of each row; empty rows point anywhere.
        real_N1: 1 for rows that are a position, 0 for empty ones.
        place_BL: flattened; the row of each real position, and some row for padding.
    """

    source_N: Tensor
    real_N1: Tensor
    place_BL: Tensor

    def to(self, device: torch.device) -> Chain:
        """The same on another device."""
        return Chain(self.source_N.to(device), self.real_N1.to(device), self.place_BL.to(device))


def chain(lengths: Sequence[int], width: int, reach: int) -> Chain:
    """The chain of a batch.

    Args:
        lengths: (B,) real positions of each row.
        width: L.
        reach: empty rows before, between and after the sentences: as far as the convolution looks to either side.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    starts = reach + np.concatenate([[0], np.cumsum(sizes + reach)])[:-1]
    total = int(reach + (sizes + reach).sum())
    row_of = np.repeat(np.arange(len(sizes)), sizes)
    column_of = np.arange(len(row_of)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows, flat = starts[row_of] + column_of, row_of * width + column_of
    source, real, place = np.zeros(total, np.int64), np.zeros((total, 1), np.float32), np.zeros(len(sizes) * width, np.int64)
    source[rows], real[rows], place[flat] = flat, 1.0, rows
    return Chain(torch.from_numpy(source), torch.from_numpy(real), torch.from_numpy(place))
