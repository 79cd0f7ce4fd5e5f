"""Errors a stranger can act on: what went wrong, where, which value, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

INTERRUPTED = 130  # exit code of what the user stopped: 128 and the signal, as shells have it


class FewtagError(Exception):
    """Base of every error the library raises on purpose; ``exit_code`` is what the CLI leaves with."""

    exit_code = 1


class ConfigError(FewtagError):
    """Bad usage or configuration."""

    exit_code = 2


class DataError(FewtagError):
    """A file or a sentence that cannot be read as it stands; says ``file:line``."""

    exit_code = 3


class SetupError(FewtagError):
    """The environment lacks something: an extra, an encoder on disk, a device."""

    exit_code = 4


class BelowThresholdError(FewtagError):
    """A score or parity check fell below what the user demanded."""

    exit_code = 5


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice nearest to ``name`` in spelling, or None when nothing is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """One sentence for a name that is not in a table: the name, the nearest match and all choices.

    Args:
        kind: what the name stands for, e.g. ``"method"``.
        name: the value the user gave.
        choices: every valid name.
    """
    choices = sorted(choices)
    near = nearest(name, choices)
    hint = f" Did you mean {near!r}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} Choose one of: {', '.join(choices)}."


def missing_extra(package: str, extra: str) -> SetupError:
    """The error for a feature whose optional packages are not installed."""
    return SetupError(f'{package} is not installed. This needs: pip install "fewtag[{extra}]"')
