"""The contract of an encoder: tokens -> sub-words -> embeddings -> vectors. Noise may enter between `embed` and `encode`.

Letters: B rows, L positions, T tokens, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fewtag.encoders.layout import Chain, Layout

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Subwords:
    """One sentence in an encoder's own units.

    Args:
        ids: (n,) units of all tokens in order.
        starts: (T + 1,) units of token t are ``ids[starts[t]:starts[t + 1]]``.
        positions: (T + 1,) token t occupies positions ``positions[t]`` to ``positions[t + 1]`` of the encoder's input, specials not
            counted. Equal to ``starts`` where each unit has a position of its own.
    """

    ids: Ints
    starts: Ints
    positions: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def slice(self, start: int, end: int) -> Subwords:
        """The sub-words of tokens ``[start, end)``."""
        ids = self.ids[self.starts[start] : self.starts[end]]
        return Subwords(
            ids,
            self.starts[start : end + 1] - self.starts[start],
            self.positions[start : end + 1] - self.positions[start],
        )


@dataclass(frozen=True, slots=True)
class Inputs:
    """The tensors of one batch that an encoder reads.

    Args:
        ids: units; (B, L), or (n,) for an encoder that sums several units into one position.
        bag_starts: None, or (B * L,) where the units of each position begin in a flat ``ids``.
        mask_BL: which positions are real.
        noise_mask_BL: which positions noise may touch: real and not special (ambiguity A18).
        first_BT: position of each token's first unit; 0 where the token is padding.
        layout: how the batch lies without padding, for encoders that run so.
    """

    ids: Tensor
    bag_starts: Tensor | None
    mask_BL: Tensor
    noise_mask_BL: Tensor
    first_BT: Tensor
    layout: Layout | Chain | None = None

    def to(self, device: torch.device) -> Inputs:
        """The same tensors on another device."""
        return Inputs(
            self.ids.to(device),
            None if self.bag_starts is None else self.bag_starts.to(device),
            self.mask_BL.to(device),
            self.noise_mask_BL.to(device),
            self.first_BT.to(device),
            None if self.layout is None else self.layout.to(device),
        )


class Encoder(nn.Module, ABC):
    """Sub-words in, one vector per position out.

    Attributes:
        kind: its name in ``ENCODERS``.
        width: D.
        max_positions: how many positions (specials not counted) one row may hold; longer text goes through windows.
        learning_rate: what it is usually trained with; used where the user gives none.
        head_learning_rate: the same for the head on top of it.
        gains_from_bf16: whether its matrix products are large enough for bfloat16 to pay.
        bf16: whether its matrix products run in bfloat16 now; weights, embeddings and what it returns stay float32.
        gains_from_threads: whether its operations are large enough for several threads to pay on a CPU.
    """

    kind: ClassVar[str]
    width: int
    max_positions: int
    learning_rate: float
    head_learning_rate: float
    gains_from_bf16: ClassVar[bool] = False
    bf16: bool = False
    gains_from_threads: ClassVar[bool] = True

    @property
    def vocabulary(self) -> nn.Parameter | None:
        """The vocabulary table: weights of which a batch reads the rows ``Inputs.ids`` and no others; None when there is none."""
        return None

    def sparse_vocabulary(self, wanted: bool) -> None:  # nothing to do where there is no table
        """Whether the table's gradient comes as a sparse tensor of the rows that were read."""

    @abstractmethod
    def identities(self, inputs: Inputs) -> Tensor:
        """(B, L): the row of `vocabulary` that names what stands at each position; any row where nothing does."""

    @abstractmethod
    def hide(self, inputs: Inputs, hidden_BL: Tensor) -> Inputs:
        """The same sentences with some positions hidden: they show only that something stands there.

        Args:
            inputs: as `pack` made them.
            hidden_BL: which positions.

        Raises:
            SetupError: when the encoder has no way to hide a word.
        """

    @abstractmethod
    def tokenize(self, sentences: Sequence[Sequence[str]]) -> list[Subwords]:
        """Sub-words of each sentence's tokens; every token has at least one position."""

    @abstractmethod
    def pack(self, rows: Sequence[Subwords]) -> Inputs:
        """Pad rows to the longest of them, specials added, as CPU tensors."""

    @abstractmethod
    def embed(self, inputs: Inputs) -> Tensor:
        """embeddings_BLD: what enters the first layer, normalized, before dropout (ambiguity A17)."""

    @abstractmethod
    def encode(self, embeddings_BLD: Tensor, inputs: Inputs) -> Tensor:
        """vectors_BLD: the last layer's output."""

    def encode_many(self, embeddings: Sequence[Tensor], inputs: Sequence[Inputs], dropout: Sequence[bool]) -> list[Tensor]:
        """vectors_BLD of several batches, each with or without dropout; an encoder that can makes it one pass.

        Args:
            embeddings: embeddings_BLD of each.
            inputs: of each.
            dropout: of each; the module's mode is changed.
        """
        result = []
        for embeddings_BLD, own, wanted in zip(embeddings, inputs, dropout, strict=True):
            self.train(wanted)
            result.append(self.encode(embeddings_BLD, own))
        return result

    @abstractmethod
    def save_files(self, folder: Path) -> dict[str, Any]:
        """Write what besides weights is needed to rebuild it (tokenizer, config) and return its description for JSON."""
