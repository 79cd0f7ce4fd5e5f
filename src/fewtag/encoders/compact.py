"""The built-in encoder: hashed character n-grams, word and shape per token, then a small convolutional network over tokens.

It needs no download and no vocabulary, starts from nothing, and trains in seconds on a CPU. A token is one position.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from fewtag.encoders.encoder import Encoder, Inputs, Subwords
from fewtag.encoders.layout import Chain, chain
from fewtag.encoders.words import WordTable

HASH_NAME = "crc32-utf8"  # CRC-32 of the UTF-8 bytes of "kind:text", modulo the number of buckets: the same on every platform
_HIDDEN = b"hidden:"  # the one unit of a token that is hidden
_MAX_UNITS = 48  # units of one token; a URL of 300 letters must not outweigh its sentence


class CompactConfig(BaseModel):
    """Shape of the compact encoder; the defaults give about 2.8M weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    buckets: int = 20480
    width: int = 128
    layers: int = 3
    kernel: int = 3
    ngrams: tuple[int, ...] = (2, 3, 4, 5)
    dropout: float = 0.2
    max_positions: int = 256
    hash: str = HASH_NAME


def shape_of(token: str) -> str:
    """The outline of a token: ``"XR-7b"`` -> ``"X-dx"``, runs collapsed; scripts without case give ``"a"``."""
    outline: list[str] = []
    for character in token[:32]:
        if character.isdigit():
            mark = "d"
        elif character.isupper():
            mark = "X"
        elif character.islower():
            mark = "x"
        elif character.isalpha():
            mark = "a"
        else:
            mark = character if character.isascii() else "."
        if not outline or outline[-1] != mark:
            outline.append(mark)
    return "".join(outline)


def units_of(token: str, ngrams: Sequence[int]) -> list[str]:
    """The named units of one token: the word, its unaccented form, its shape, its digits as a pattern, character n-grams."""
    folded = unicodedata.normalize("NFKC", token).casefold()
    plain = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c)) or folded
    units = [f"w:{folded}", f"s:{shape_of(token)}"]
    if plain != folded:
        units.append(f"w:{plain}")
    if any(c.isdigit() for c in plain):
        units.append("d:" + "".join("0" if c.isdigit() else c for c in plain[:32]))
    framed = f"^{plain}$"
    for n in ngrams:
        units += [f"{n}:{framed[i : i + n]}" for i in range(len(framed) - n + 1)]
    return units[:_MAX_UNITS]


class CompactEncoder(Encoder):
    """Hashed units summed per token, then residual convolutions over tokens.

    Args:
        config: its shape.
    """

    kind: ClassVar[str] = "compact"
    gains_from_threads = False  # a second thread makes a quiet machine 10 to 20 % faster, at twice the CPU time
    learning_rate = 3e-3  # fast, from nothing, with bias-corrected Adam; of first experiments, no table
    head_learning_rate = 3e-3

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config or CompactConfig()
        self.width = self.config.width
        self.max_positions = self.config.max_positions
        self._words = WordTable(self._units, spread=False)
        width = self.config.width
        self.table = nn.Parameter(torch.empty(self.config.buckets, width))
        self._sparse = False
        self.embedding_norm = nn.LayerNorm(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(self.config.layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, self.config.kernel, padding=self.config.kernel // 2) for _ in range(self.config.layers)
        )
        self.final_norm = nn.LayerNorm(width)
        nn.init.normal_(self.table, std=0.1)

    @property
    def vocabulary(self) -> nn.Parameter:
        return self.table

    def sparse_vocabulary(self, wanted: bool) -> None:
        self._sparse = wanted

    def _units(self, tokens: Sequence[str]) -> list[list[int]]:
        """The buckets of each token's units."""
        size, ngrams = self.config.buckets, self.config.ngrams
        return [[zlib.crc32(u.encode("utf-8", "surrogatepass")) % size for u in units_of(token, ngrams)] for token in tokens]

    def tokenize(self, sentences: Sequence[Sequence[str]]) -> list[Subwords]:
        return self._words.gather(sentences)

    def pack(self, rows: Sequence[Subwords]) -> Inputs:
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        longest = max(1, int(lengths.max(initial=1)))
        mask = np.arange(longest)[None, :] < lengths[:, None]
        counts = np.zeros((len(rows), longest), dtype=np.int64)
        for index, row in enumerate(rows):
            counts[index, : len(row)] = np.diff(row.starts)
        starts = np.zeros(counts.size, dtype=np.int64)
        np.cumsum(counts.ravel()[:-1], out=starts[1:])
        ids = np.concatenate([row.ids for row in rows]).astype(np.int64) if rows else np.zeros(0, dtype=np.int64)
        first = np.where(mask, np.arange(longest)[None, :], 0)
        mask_BL = torch.from_numpy(mask)
        layout = chain(lengths.tolist(), longest, self.config.kernel // 2)
        return Inputs(torch.from_numpy(ids), torch.from_numpy(starts), mask_BL, mask_BL, torch.from_numpy(first), layout)

    def embed(self, inputs: Inputs) -> Tensor:
        rows, length = inputs.mask_BL.shape
        summed = F.embedding_bag(inputs.ids, self.table, inputs.bag_starts, mode="sum", sparse=self._sparse)
        embeddings_BLD: Tensor = self.embedding_norm(summed.view(rows, length, self.width))
        return embeddings_BLD * inputs.mask_BL.unsqueeze(-1)

    def identities(self, inputs: Inputs) -> Tensor:
        assert inputs.bag_starts is not None, "compact inputs carry their bags"
        # The first unit of a token is the word itself; padding has no unit, and the clamp keeps its (unused) place inside.
        return inputs.ids[inputs.bag_starts.clamp(max=len(inputs.ids) - 1)].view_as(inputs.mask_BL)

    def hide(self, inputs: Inputs, hidden_BL: Tensor) -> Inputs:
        assert inputs.bag_starts is not None, "compact inputs carry their bags"
        starts, hidden = inputs.bag_starts, hidden_BL.flatten()
        counts = torch.diff(starts, append=starts.new_tensor([len(inputs.ids)]))
        hidden_units = hidden.repeat_interleave(counts)
        firsts = torch.zeros_like(hidden_units)
        firsts[starts[counts > 0]] = True
        ids = inputs.ids.masked_fill(hidden_units, zlib.crc32(_HIDDEN) % self.config.buckets)
        counts = torch.where(hidden & (counts > 0), 1, counts)
        return replace(inputs, ids=ids[firsts | ~hidden_units], bag_starts=counts.cumsum(0) - counts)

    def encode(self, embeddings_BLD: Tensor, inputs: Inputs) -> Tensor:
        # Shifted copies and one product instead of a convolution: no padding, and no compiled kernel kept for every shape of batch.
        chain, reach, width = inputs.layout, self.config.kernel // 2, self.width
        assert isinstance(chain, Chain), "compact inputs carry their chain"
        real_N1 = chain.real_N1.to(embeddings_BLD.dtype)
        hidden_ND = embeddings_BLD.reshape(-1, width).index_select(0, chain.source_N)
        hidden_ND = F.dropout(hidden_ND, self.config.dropout, self.training)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            inner_ND = norm(hidden_ND) * real_N1  # what lies beyond a sentence's ends is zero
            around_ND = F.pad(inner_ND, (0, 0, reach, reach)).unfold(0, self.config.kernel, 1).reshape(len(inner_ND), -1)
            weight, bias = cast(Tensor, convolution.weight), cast(Tensor, convolution.bias)
            with torch.autocast(inner_ND.device.type, torch.bfloat16, enabled=self.bf16):
                change_ND = F.linear(around_ND, weight.flatten(1), bias)
            hidden_ND = hidden_ND + F.dropout(F.gelu(change_ND.float() if self.bf16 else change_ND), self.config.dropout, self.training)
        vectors_ND: Tensor = self.final_norm(hidden_ND)
        return vectors_ND.index_select(0, chain.place_BL).view_as(embeddings_BLD)

    def save_files(self, folder: Path) -> dict[str, Any]:
        return self.config.model_dump(mode="json")
