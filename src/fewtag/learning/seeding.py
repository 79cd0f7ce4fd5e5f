"""All randomness is a function of (seed, stage, step, role, purpose): nothing depends on how often a generator was used before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


def stable_seed(*parts: object) -> int:
    """A 63-bit number from any printable parts, the same in every process and on every platform."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, slots=True)
class Key:
    """Names one step of one stage of one run; gives each pass in it its own random numbers."""

    seed: int
    stage: str
    step: int

    def apply(self, role: str, purpose: str) -> None:
        """Set torch's generators for the pass that ``role`` now makes for ``purpose``."""
        seed = stable_seed(self.seed, self.stage, self.step, role, purpose)
        # torch.manual_seed would note, for devices not in use, where it was called from: milliseconds a step.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(seed)
        elif torch.backends.mps.is_available():
            torch.mps.manual_seed(seed)
