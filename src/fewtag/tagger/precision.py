"""Which number format an encoder's matrix products run in: bfloat16 where the machine has it, float32 elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from fewtag.encoders.encoder import Encoder

Precision = Literal["auto", "bf16", "fp32"]
# A GPU's products of a narrow encoder take less time than it takes to launch them, and bfloat16 is more to launch: six layers of 384 take
# a third longer to train in it on an H100 (docs/performance.md). From BERT's width on the products count; that end was not measured.
_GPU_WIDTH = 768


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are fast on a device: AVX-512 BF16 or AMX on a CPU, Ampere or later on a GPU."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not hasattr(torch.cpu, "get_capabilities"):  # older torch asks one by one
        asks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return any(bool(ask()) for ask in asks if ask is not None)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def use_bf16(precision: Precision, device: torch.device, encoder: Encoder) -> bool:
    """Decide for one tagger.

    Args:
        precision: what the user wants; ``"auto"`` takes bfloat16 where it is fast and the encoder gains from it.
        device: where the tagger runs.
        encoder: its encoder.
    """
    if precision == "auto":
        return encoder.gains_from_bf16 and (device.type == "cpu" or encoder.width >= _GPU_WIDTH) and has_bf16(device)
    return precision == "bf16"


@contextmanager
def in_float32(encoder: Encoder) -> Iterator[None]:
    """Within the ``with`` no product of the encoder is taken in bfloat16."""
    before, encoder.bf16 = encoder.bf16, False
    try:
        yield
    finally:
        encoder.bf16 = before
