"""A teacher's targets for unlabeled tokens: hard, soft, or soft and re-weighted as BOND does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fewtag.learning.losses import Term, cross_entropy, precise, soft_cross_entropy
from fewtag.learning.parallel import over_ranks
from fewtag.tagger.batch import IGNORED


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Targets, constants, and which tokens count; either tags or distributions.

    Args:
        mask_BT: tokens that count.
        tag_ids_BT: hard targets, ``IGNORED`` where the mask is False.
        probs_BTC: soft targets.
        weights_BT: how much each token counts; None: all alike.
    """

    mask_BT: Tensor
    tag_ids_BT: Tensor | None = None
    probs_BTC: Tensor | None = None
    weights_BT: Tensor | None = None

    def against(self, logits_BTC: Tensor, *, smoothing: float = 0.0) -> Term:
        """Cross-entropy of logits with these targets.

        Args:
            logits_BTC: of whoever learns from them.
            smoothing: of hard targets; soft ones are smooth already.
        """
        if self.tag_ids_BT is not None:
            return cross_entropy(logits_BTC, self.tag_ids_BT, smoothing=smoothing, weights_BT=self.weights_BT)
        assert self.probs_BTC is not None, "pseudo-labels are tags or distributions"
        return soft_cross_entropy(logits_BTC, self.probs_BTC, self.mask_BT, weights_BT=self.weights_BT)

    def mean_of(self, values_BTC: Tensor) -> Tensor:
        """(B, T): of a value per tag, the one of the label, or its mean under the distribution; only tokens of the mask mean anything."""
        if self.tag_ids_BT is not None:
            return values_BTC.gather(-1, self.tag_ids_BT.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        assert self.probs_BTC is not None, "pseudo-labels are tags or distributions"
        return (values_BTC * self.probs_BTC).sum(-1)


def label(kind: str, logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> PseudoLabels:
    """What a teacher's logits say.

    Args:
        kind: a key of `KINDS`.
        logits_BTC: the teacher's.
        token_mask_BT: tokens of the batch.
        threshold: of ``soft-high``: a token counts when its highest re-weighted probability is above this.
    """
    return KINDS[kind](logits_BTC, token_mask_BT, threshold)


def _hard(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> PseudoLabels:
    return PseudoLabels(token_mask_BT, tag_ids_BT=hard(logits_BTC, token_mask_BT))


def _sampled(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> PseudoLabels:
    probs_NC = sharpen(logits_BTC, 1.0).flatten(0, 1)
    drawn_BT = torch.multinomial(probs_NC.cpu(), 1).to(probs_NC.device).view_as(token_mask_BT)  # the same numbers on every device
    return PseudoLabels(token_mask_BT, tag_ids_BT=drawn_BT.where(token_mask_BT, torch.full_like(drawn_BT, IGNORED)))


def _soft(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> PseudoLabels:
    return PseudoLabels(token_mask_BT, probs_BTC=sharpen(logits_BTC, 1.0))


def _reweighted(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> PseudoLabels:
    return PseudoLabels(token_mask_BT, probs_BTC=reweighted(logits_BTC, token_mask_BT))


def _soft_high(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> PseudoLabels:
    probs_BTC = reweighted(logits_BTC, token_mask_BT)
    return PseudoLabels(token_mask_BT & (probs_BTC.amax(-1) > threshold), probs_BTC=probs_BTC)


def _sharpened(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float) -> PseudoLabels:
    return PseudoLabels(token_mask_BT, probs_BTC=sharpen(logits_BTC, 0.5))


KINDS: dict[str, Callable[[Tensor, Tensor, float], PseudoLabels]] = {
    "hard": _hard,  # paper Eq. 2
    "sample": _sampled,  # what the identity behind the feedback is about (A2); torch's generator says which
    "soft": _soft,  # the teacher's own distribution
    "sharpened": _sharpened,  # p_c^2 / sum of the same over c: MixMatch's temperature of a half (Berthelot et al. 2019)
    "reweighted": _reweighted,  # BOND's soft labels
    "soft-high": _soft_high,  # the same, confident tokens only
}


def reweighted(logits_BTC: Tensor, token_mask_BT: Tensor) -> Tensor:
    """BOND's re-weighted distribution (Liang et al. 2020, Eq. 7): ``q_c = (p_c^2 / f_c) / sum of the same over c``, a constant.

    ``f_c`` is how often the batch's tokens are c, summed probabilities: a tag that is everywhere counts less.

    Args:
        logits_BTC: the labeling network's.
        token_mask_BT: tokens that take part in ``f``.
    """
    probs_BTC = precise(logits_BTC.detach()).softmax(-1)
    frequency_C = over_ranks(probs_BTC.where(token_mask_BT.unsqueeze(-1), probs_BTC.new_zeros(())).sum((0, 1)))
    weights_BTC = probs_BTC**2 / frequency_C.clamp(min=torch.finfo(probs_BTC.dtype).tiny)
    return weights_BTC / weights_BTC.sum(-1, keepdim=True)


def hard(logits_BTC: Tensor, token_mask_BT: Tensor) -> Tensor:
    """Each token's most probable tag (paper Eq. 2), a constant.

    Args:
        logits_BTC: the teacher's logits.
        token_mask_BT: tokens that count.

    Returns:
        tag_ids_BT, ``IGNORED`` where the mask is False.
    """
    return logits_BTC.detach().argmax(-1).where(token_mask_BT, torch.full_like(token_mask_BT, IGNORED, dtype=torch.long))


def confident(logits_BTC: Tensor, token_mask_BT: Tensor, threshold: float, temperature: float = 1.0) -> Tensor:
    """mask_BT of tokens whose highest probability is above epsilon (paper 3.3, the indicator in L_reg; strictly above, so 1 keeps none).

    Args:
        logits_BTC: the teacher's.
        token_mask_BT: tokens that count.
        threshold: epsilon.
        temperature: of the probability that is compared (ambiguity A12).
    """
    highest_BT = sharpen(logits_BTC, temperature).amax(-1)
    return token_mask_BT & (highest_BT > threshold)


def sharpen(logits_BTC: Tensor, temperature: float, *, constant: bool = True) -> Tensor:
    """probs_BTC = softmax(logits / tau), a constant unless asked otherwise; tau below 1 sharpens (ambiguities A11 and A15)."""
    return (precise(logits_BTC.detach() if constant else logits_BTC) / temperature).softmax(-1)


def scaled(logits_BTC: Tensor, temperature: float, *, constant: bool = True) -> Tensor:
    """softmax(logits) / tau, a constant unless asked otherwise: the letter of L_reg, which only scales the loss (ambiguity A11)."""
    return precise(logits_BTC.detach() if constant else logits_BTC).softmax(-1) / temperature
