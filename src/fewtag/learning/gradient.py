"""A gradient, or any other direction in the space of a tagger's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Gradient:
    """One tensor for each weight, and the rows of the vocabulary table that have any.

    Args:
        body: of every weight but a table that is kept by rows.
        rows: (R,) distinct rows of that table, ascending; None where there is no such table.
        values_RD: theirs.
    """

    body: Sequence[Tensor]
    rows: Tensor | None = None
    values_RD: Tensor | None = None

    @property
    def parts(self) -> list[Tensor]:
        """Every tensor."""
        return [*self.body, *([] if self.values_RD is None else [self.values_RD])]

    def dot(self, other: Gradient) -> Tensor:
        """() the scalar product; a row that only one of the two has counts nothing."""
        total = torch.stack([(a * b).sum() for a, b in zip(self.body, other.body, strict=True)]).sum()
        if self.rows is None or other.rows is None or self.values_RD is None or other.values_RD is None:
            return total
        own, its = self._shared(other.rows), other._shared(self.rows)
        return total + (self.values_RD[own] * other.values_RD[its]).sum()

    def norm(self) -> Tensor:
        """() Euclidean length."""
        return torch.nn.utils.get_total_norm(self.parts)

    def reading(self, ids: Tensor) -> Gradient:
        """The same without rows of the table that a batch does not read: nothing it computes depends on them.

        Args:
            ids: of the batch, any shape.
        """
        if self.rows is None or self.values_RD is None:
            return self
        kept = self._shared(ids)
        return Gradient(self.body, self.rows[kept], self.values_RD[kept])

    def _shared(self, rows: Tensor) -> Tensor:
        """(R,) which of this one's rows are among others."""
        assert self.rows is not None
        return torch.isin(self.rows, rows)
