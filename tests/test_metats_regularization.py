"""L_reg (paper 3.3) as a step takes it: what a temperature does to it, and what it is divided by (ambiguities A11 and A13)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from exact import Ripple, batches, exact, farthest, weights
from fewtag.learning.pseudo_labels import confident
from fewtag.learning.seeding import Key

KEY = Key(0, "interact", 0)


def regularization(**values: Any) -> float:
    """L_reg of a first step; every call has the same teacher and the same raw sentences."""
    method = exact(weight_meta=0.0, weight_reg=1.0, **{"threshold": 0.8, **values})
    return float(method.step(*batches(method), KEY)["regularization"])


def said() -> tuple[Tensor, Tensor]:
    """(N, C) log-probabilities of that teacher for its raw tokens, clean and noised, asked of the tagger itself."""
    method = exact()
    _, raw = batches(method)
    with torch.no_grad():
        teacher = method.teacher.tagger.eval()
        clean_NC, noised_NC = (teacher(raw, noise)[raw.token_mask_BT].log_softmax(-1) for noise in (None, Ripple()))
    return clean_NC, noised_NC


def test_a_vanishing_temperature_makes_it_the_cross_entropy_of_the_argmax() -> None:
    """By hand: -log of the noised probability of the clean pass's best tag, where that is confident."""
    clean_NC, noised_NC = said()
    kept_N = clean_NC.max(-1).values.exp() > 0.8
    assert 0 < int(kept_N.sum()) < len(kept_N)
    expected = float(-noised_NC.gather(1, clean_NC.argmax(-1, keepdim=True)).squeeze(1)[kept_N].sum() / len(kept_N))
    missing = [abs(regularization(temperature=tau) - expected) for tau in (1.0, 0.5, 0.25, 0.01)]
    assert missing == sorted(missing, reverse=True) and missing[0] > 1e-2 and missing[-1] < 1e-12


@pytest.mark.parametrize("tau", [0.7, 0.1, 2.0])
def test_at_its_word_a_temperature_is_a_factor(tau: float) -> None:
    """z / tau is 1 / tau times the term with z itself, so it sharpens nothing; softmax(logits / tau) is another term."""
    untempered = regularization(temperature=1.0)
    clean_NC, noised_NC = said()
    kept_N = clean_NC.max(-1).values.exp() > 0.8
    assert untempered == pytest.approx(float(-(clean_NC.exp() * noised_NC).sum(-1)[kept_N].sum() / len(kept_N)), rel=1e-12)
    assert regularization(temperature=tau, temperature_mode="literal") == pytest.approx(untempered / tau, rel=1e-12)
    assert regularization(temperature=tau) != pytest.approx(untempered / tau, rel=1e-3)


@pytest.mark.parametrize(("denominator", "tokens"), [("all", 4), ("kept", 1)])
def test_what_it_is_divided_by(denominator: str, tokens: int) -> None:
    """Four tokens and two padded places; one token is above 0.6, with z = (0.9, 0.1) and z^G = (1/2, 1/2): ln 2 over 4, or over 1."""
    method = exact(denominator=denominator, temperature=1.0)
    clean_BTC = torch.tensor([[[0.9, 0.1], [0.5, 0.5], [0.55, 0.45]], [[0.45, 0.55], [0.99, 0.01], [0.0, 0.0]]], dtype=torch.float64).log()
    mask_BT = torch.tensor([[True, True, True], [True, False, False]])
    noised_BTC = torch.tensor([[[0.5, 0.5], [0.3, 0.7], [0.2, 0.8]], [[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]]], dtype=torch.float64).log()
    keep_BT = confident(clean_BTC, mask_BT, 0.6)
    assert keep_BT.tolist() == [[True, False, False], [False, False, False]]
    found = method._regularization(clean_BTC, [noised_BTC], keep_BT, mask_BT)
    assert float(found) == pytest.approx(math.log(2) / tokens, rel=1e-12)


@pytest.mark.parametrize("denominator", ["all", "kept"])
def test_where_no_token_is_kept_it_is_nothing(denominator: str) -> None:
    """0 rather than 0 / 0, and a step without it to the bit."""
    method, without = exact(threshold=1.0, denominator=denominator, weight_reg=1.0), exact(weight_reg=0.0)
    for number in range(2):
        told = method.step(*batches(method), Key(0, "interact", number))
        without.step(*batches(without), Key(0, "interact", number))
        assert float(told["regularization"]) == 0.0 and float(told["kept"]) == 0.0
    assert farthest(weights(method.teacher), weights(without.teacher)) == 0.0
