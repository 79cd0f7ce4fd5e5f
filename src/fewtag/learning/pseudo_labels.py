"""A teacher's targets for unlabeled tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from fewtag.tagger.batch import IGNORED


def hard(logits_BTC: Tensor, token_mask_BT: Tensor) -> Tensor:
    """Each token's most probable tag (paper Eq. 2), a constant.

    Args:
        logits_BTC: the teacher's logits.
        token_mask_BT: tokens that count.

    Returns:
        tag_ids_BT, ``IGNORED`` where the mask is False.
    """
    return logits_BTC.detach().argmax(-1).where(token_mask_BT, torch.full_like(token_mask_BT, IGNORED, dtype=torch.long))


def confident(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> Tensor:
    """mask_BT of tokens whose highest probability is above epsilon (paper 3.3, the indicator in L_reg; strictly above, so 1 keeps none)."""
    highest_BT = logits_BTC.detach().float().softmax(-1).amax(-1)
    return token_mask_BT & (highest_BT > threshold)


def sharpen(logits_BTC: Tensor, temperature: float) -> Tensor:
    """probs_BTC = softmax(logits / tau), a constant; tau below 1 sharpens (ambiguities A11 and A15)."""
    return (logits_BTC.detach().float() / temperature).softmax(-1)


def scaled(logits_BTC: Tensor, temperature: float) -> Tensor:
    """softmax(logits) / tau, a constant: the letter of L_reg, which only scales the loss (ambiguity A11)."""
    return logits_BTC.detach().float().softmax(-1) / temperature
