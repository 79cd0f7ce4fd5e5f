"""Losses, pseudo-labels and noise, held to closed forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fewtag.encoders.encoder import Inputs
from fewtag.learning.feedback import Told
from fewtag.learning.losses import Term, cross_entropy, divergence, soft_cross_entropy, squared_distance
from fewtag.learning.noise import GaussianNoise
from fewtag.learning.pseudo_labels import PseudoLabels, confident, hard, label, scaled, sharpen
from fewtag.tagger.batch import IGNORED


def test_label_smoothing_closed_form() -> None:
    logits_BTC = torch.randn(2, 3, 4)
    tags_BT = torch.tensor([[0, 3, IGNORED], [2, IGNORED, IGNORED]])
    log_p = logits_BTC.log_softmax(-1)
    for s in (0.0, 0.15):
        expected = sum(float((1 - s) * -log_p[b, t, tags_BT[b, t]] + s * -log_p[b, t].mean()) for b, t in ((0, 0), (0, 1), (1, 0)))
        term = cross_entropy(logits_BTC, tags_BT, smoothing=s)
        assert float(term.total) == pytest.approx(expected, rel=1e-5)
        assert int(term.count) == 3


def test_nothing_to_count_is_zero_not_nan() -> None:
    logits_BTC = torch.randn(1, 2, 3, requires_grad=True)
    term = cross_entropy(logits_BTC, torch.full((1, 2), IGNORED))
    assert float(term.mean.detach()) == 0.0
    soft = soft_cross_entropy(logits_BTC, torch.rand(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(soft.mean, logits_BTC)
    assert float(soft.mean.detach()) == 0.0 and not gradient.any() and not gradient.isnan().any()


def _tags(target_BTC: Tensor, mask_BT: Tensor) -> Tensor:
    return target_BTC.argmax(-1).where(mask_BT, torch.tensor(IGNORED))


def _taught(kind: str) -> Callable[..., Term]:
    """The loss of a teacher's pseudo-labels, whose own logits have padding too."""
    return lambda logits, target, mask, weights: label(kind, target.log(), mask, 0.4).against(logits, smoothing=0.1)


def _told(factor: Tensor, mask: Tensor, weights: Tensor | None) -> Callable[[Tensor], Term]:
    """L_meta of feedback per tag, as a term."""
    told, pseudo = Told(factor.sum(), factor), PseudoLabels(mask, weights_BT=weights)
    return lambda logits: Term(told.meta(logits, pseudo) * mask.sum(), mask.sum())


LOSSES: dict[str, Callable[..., Term]] = {  # of logits_BTC, target_BTC, mask_BT, weights_BT
    "cross-entropy": lambda logits, target, mask, weights: cross_entropy(logits, _tags(target, mask), smoothing=0.15),
    "with weights": lambda logits, target, mask, weights: cross_entropy(logits, _tags(target, mask), weights_BT=weights),
    "divergence": lambda logits, target, mask, weights: divergence(logits, target, mask),
    "squared distance": lambda logits, target, mask, weights: squared_distance(logits, target, mask),
    "soft": lambda logits, target, mask, weights: soft_cross_entropy(logits, target, mask),
    "soft, with weights": lambda logits, target, mask, weights: soft_cross_entropy(logits, target, mask, weights_BT=weights),
    "feedback": lambda logits, target, mask, weights: _told(target, mask, None)(logits),
    "feedback, with weights": lambda logits, target, mask, weights: _told(target, mask, weights)(logits),
    **{f"pseudo-labels, {kind}": _taught(kind) for kind in ("hard", "soft", "sharpened", "reweighted", "soft-high")},
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("filler", [float("nan"), float("inf"), 1e30])
def test_padding_may_hold_anything(name: str, filler: float) -> None:
    """Rows of 3 and 5 tokens and one of none, and what stands behind them in logits and targets changes neither value nor gradient.

    The truth is the same loss of the eight tokens as one row, where there is nothing to mask.
    """
    generator = torch.Generator().manual_seed(4)
    mask_BT = torch.arange(6) < torch.tensor([[3], [5], [0]])
    logits_BTC, target_BTC = (torch.randn(3, 6, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    target_BTC, weights_BT = (2 * target_BTC).softmax(-1), torch.rand(3, 6, generator=generator, dtype=torch.float64)
    bare = logits_BTC[mask_BT].unsqueeze(0).requires_grad_()
    rest = (each[mask_BT].unsqueeze(0) for each in (target_BTC, mask_BT, weights_BT))
    expected = LOSSES[name](bare, *rest)
    (slope,) = torch.autograd.grad(expected.mean, bare)
    padded, wanted = (each.where(mask_BT.unsqueeze(-1), filler) for each in (logits_BTC, target_BTC))
    found = LOSSES[name](padded.requires_grad_(), wanted, mask_BT, weights_BT)
    (gradient,) = torch.autograd.grad(found.mean, padded)
    assert 4 <= int(found.count) == int(expected.count) and slope.any()
    assert float(found.mean.detach()) == pytest.approx(float(expected.mean.detach()), rel=1e-12)
    torch.testing.assert_close(gradient[mask_BT], slope[0], rtol=1e-12, atol=1e-12)
    assert not gradient[~mask_BT].any()  # 0 exactly; a NaN would count as something


def test_terms_of_halves_add_up_to_the_whole() -> None:
    logits_BTC, tags_BT = torch.randn(4, 5, 3, dtype=torch.float64), torch.randint(0, 3, (4, 5))
    tags_BT[0, 2:] = IGNORED
    whole = cross_entropy(logits_BTC, tags_BT)
    a, b = cross_entropy(logits_BTC[:1], tags_BT[:1]), cross_entropy(logits_BTC[1:], tags_BT[1:])
    assert float(Term(a.total + b.total, a.count + b.count).mean) == pytest.approx(float(whole.mean), rel=1e-6)


def test_soft_cross_entropy_at_the_own_distribution_is_the_entropy_and_has_no_gradient() -> None:
    logits_BTC = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    mask_BT = torch.tensor([[True, True, False]])
    term = soft_cross_entropy(logits_BTC, sharpen(logits_BTC, 1.0), mask_BT)
    p = logits_BTC.detach()[0, :2].softmax(-1)
    assert float(term.total.detach()) == pytest.approx(float(-(p * p.log()).sum()), rel=1e-12)
    (gradient,) = torch.autograd.grad(term.total, logits_BTC)
    assert float(gradient.abs().max()) < 1e-12  # p - p; the meta term of soft labels vanishes for the same reason


def test_literal_temperature_only_scales() -> None:
    logits_BTC = torch.randn(1, 2, 3)
    torch.testing.assert_close(scaled(logits_BTC, 0.7), logits_BTC.softmax(-1) / 0.7)
    assert float(sharpen(logits_BTC, 0.1).max()) > float(logits_BTC.softmax(-1).max())


def test_confidence_mask_is_strict_and_falls_with_the_threshold() -> None:
    logits_BTC = torch.randn(3, 7, 4)
    mask_BT = torch.ones(3, 7, dtype=torch.bool)
    kept = [int(confident(logits_BTC, mask_BT, e).sum()) for e in (0.0, 0.3, 0.6, 0.9, 1.0)]
    assert kept[0] == 21 and kept[-1] == 0 and kept == sorted(kept, reverse=True)
    quarter_BTC = torch.zeros(1, 1, 4)  # a probability of exactly a quarter is not above a quarter
    one_BT = torch.ones(1, 1, dtype=torch.bool)
    assert not confident(quarter_BTC, one_BT, 0.25).any() and confident(quarter_BTC, one_BT, 0.2499).all()
    assert not label("soft-high", quarter_BTC, one_BT, 0.25).mask_BT.any() and label("soft-high", quarter_BTC, one_BT, 0.2499).mask_BT.all()
    assert (hard(logits_BTC, mask_BT) == logits_BTC.argmax(-1)).all()
    assert (hard(logits_BTC, ~mask_BT) == IGNORED).all()


def _inputs(mask_BL: torch.Tensor) -> Inputs:
    return Inputs(torch.zeros(1), None, torch.ones_like(mask_BL), mask_BL, torch.zeros(mask_BL.shape))


def test_noise_has_its_variance_and_spares_pads_and_specials() -> None:
    mask_BL = torch.ones(50, 40, dtype=torch.bool)
    mask_BL[:, 0] = False
    embeddings_BLD = torch.full((50, 40, 32), 2.0)
    torch.manual_seed(1)
    absolute = GaussianNoise(0.01)(embeddings_BLD, _inputs(mask_BL)) - embeddings_BLD
    assert not absolute[:, 0].any()
    assert float(absolute[:, 1:].var()) == pytest.approx(0.01, rel=0.03)
    relative = GaussianNoise(0.01, relative=True)(embeddings_BLD, _inputs(mask_BL)) - embeddings_BLD
    assert float(relative[:, 1:].var()) == pytest.approx(0.01 * 4, rel=0.03)  # rms of the embeddings is 2
