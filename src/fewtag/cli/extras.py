"""What a verb needs beyond the base install."""

from __future__ import annotations

from importlib.util import find_spec

from fewtag.errors import missing_extra


def need_training() -> None:
    """Refuse with one clear line when torch and its company are not installed.

    Raises:
        SetupError: naming the extra to install.
    """
    for package in ("torch", "safetensors"):
        if find_spec(package) is None:
            raise missing_extra(package, "train")
