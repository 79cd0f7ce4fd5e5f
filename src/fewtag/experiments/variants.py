"""Rows of a comparison that are a method under other settings: ``--variant "long=supervised-multi: train.max_steps=4000"``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fewtag.config import overrides
from fewtag.errors import ConfigError
from fewtag.methods import METHODS, row

_NAME = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class Variant:
    """A row: a method, and settings of its own on top of those of the whole grid.

    Args:
        name: of the row; that of a method takes the method's place.
        method: a name of ``METHODS``.
        settings: nested configuration values.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """For people: the method and what differs from its own settings; empty for a plain method."""
        pairs = [f"{key}={value}" for key, value in _flat(self.settings)]
        if not pairs:
            return "" if self.name == self.method else self.method
        return f"{self.method} with {', '.join(pairs)}"


def _flat(settings: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in settings.items():
        found += _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else [(f"{before}{key}", value)]
    return found


def variant(text: str) -> Variant:
    """Read ``"name=method: key=value key=value"``.

    Raises:
        ConfigError: for anything else, an unknown method, or the name of another method.
    """
    head, _, rest = text.partition(":")
    name, equals, method = (part.strip() for part in head.partition("="))
    if equals and name and not _NAME.fullmatch(name):
        raise ConfigError(f"variant name {name!r} will be part of a folder's name; write it with letters, digits and . _ + - alone")
    if not equals or not name or not method or len(method.split()) > 1:
        raise ConfigError(f'variant {text!r} cannot be read; write "name=method: key=value ...", as in "soft=metats: method.labels=soft"')
    row(method)
    if name in METHODS and name != method:
        raise ConfigError(f"variant {name!r} of {method} has the name of another method; choose one that is no method")
    try:
        return Variant(name, method, overrides(shlex.split(rest)))
    except ValueError as error:
        raise ConfigError(f"variant {name!r}: {rest.strip()!r} cannot be split into key=value: {error}") from None


def rows(methods: Sequence[str], variants: Sequence[Variant]) -> list[Variant]:
    """What a grid compares, in order: the methods, a variant of a method's name in its place, then the other variants.

    Raises:
        ConfigError: for a name given twice.
    """
    names = [each.name for each in variants]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"variant {twice} is given twice; once is enough")
    own = {each.name: each for each in variants}
    return [*(own.pop(name, Variant(name, name)) for name in methods), *own.values()]
