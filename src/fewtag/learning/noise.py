"""Noise on embeddings: virtual data augmentation (paper 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fewtag.encoders.encoder import Inputs
from fewtag.learning.parallel import over_ranks


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Adds G(0, sigma^2) to the embeddings of real positions.

    Args:
        variance: sigma^2 (paper Table 2; a variance as printed, ambiguity A16).
        relative: True measures sigma in units of the embeddings' own root mean square, so that one value means the same for every encoder.
        on: ``"words"`` spares special positions, ``"all"`` does not (ambiguity A18); padding is always spared.
        place: which vectors it is for: ``"embeddings"``, the layers' input, or ``"last"``, their output (ambiguity A17).
    """

    variance: float
    relative: bool = False
    on: Literal["words", "all"] = "words"
    place: Literal["embeddings", "last"] = "embeddings"

    def __call__(self, embeddings_BLD: Tensor, inputs: Inputs) -> Tensor:
        mask_BL1 = (inputs.noise_mask_BL if self.on == "words" else inputs.mask_BL).unsqueeze(-1)
        scale = torch.as_tensor(self.variance**0.5, dtype=embeddings_BLD.dtype, device=embeddings_BLD.device)
        if self.relative:
            squares = over_ranks((embeddings_BLD.detach() ** 2).where(mask_BL1, embeddings_BLD.new_zeros(())).sum())
            scale = scale * (squares / (over_ranks(mask_BL1.sum()) * embeddings_BLD.shape[-1]).clamp(min=1)).sqrt()
        noise_BLD = torch.randn_like(embeddings_BLD) * scale
        return embeddings_BLD + noise_BLD.where(mask_BL1, noise_BLD.new_zeros(()))
