"""Configuration: small frozen models beside the code they configure, read from TOML, changed by dotted overrides.

Precedence, weakest first: defaults, file, environment (``FEWTAG_TRAIN__SEED=3``), ``--set train.seed=3``, flags.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fewtag.errors import ConfigError, nearest

ENVIRONMENT_PREFIX = "FEWTAG_"


class Config(BaseModel):
    """Base of every configuration model: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def words_of(text: str) -> list[str]:
    """The words of ``"de, no"``."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _as_words(value: Any) -> Any:
    return words_of(value) if isinstance(value, str) else value


Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, BeforeValidator(_as_text)]  # "200" may be written 200
Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]  # ["de", "no"] may be written "de,no"

C = TypeVar("C", bound=Config)


def build(model: type[C], values: Mapping[str, Any], where: str = "configuration") -> C:
    """Validate ``values`` as ``model``; every mistake becomes one readable line.

    Args:
        model: the configuration model.
        values: nested plain values.
        where: what to call the source in messages, e.g. the file's path.

    Raises:
        ConfigError: naming each bad key, its value and what would be right.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines: dict[str, list[Any]] = {}
        for item in error.errors():
            lines.setdefault(".".join(map(str, _path_in(model, item))), []).append(item)
        raise ConfigError(f"{where}: " + "; ".join(_sentence(model, path, items) for path, items in lines.items())) from None


def _path_in(model: type[BaseModel], item: Any) -> tuple[Any, ...]:
    """Where a mistake is, without the names of the kinds of values that were tried there."""
    location = item["loc"]
    if item["type"] == "extra_forbidden":
        return tuple(location)
    for depth in range(len(location)):
        if str(location[depth]) not in _keys_at(model, location[:depth]):
            return tuple(location[:depth])
    return tuple(location)


def _sentence(model: type[BaseModel], path: str, items: list[Any]) -> str:
    item = items[0]
    if item["type"] == "extra_forbidden":
        valid = _keys_at(model, item["loc"][:-1])
        near = nearest(str(item["loc"][-1]), valid)
        hint = f", did you mean {near!r}?" if near else f" (valid keys: {', '.join(sorted(valid))})"
        return f"unknown key {path!r}{hint}"
    reasons = dict.fromkeys(f"{each['msg'][0].lower()}{each['msg'][1:]}" for each in items)
    return f"{path} = {item['input']!r}: {', or '.join(reasons)}"


def _keys_at(model: type[BaseModel], path: Iterable[Any]) -> set[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return set(model.model_fields)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: when it is missing or not TOML, with the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def parse_value(text: str) -> Any:
    """Read one override value as TOML; what is not TOML is a plain string, so ``no`` stays a word and ``1e-5`` is a number."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over`` on top, tables merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def nest(dotted: str, value: Any) -> dict[str, Any]:
    """``nest("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    result: Any = value
    for part in reversed(dotted.split(".")):
        result = {part: result}
    return dict(result)


def overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Nested values of ``key=value`` strings.

    Raises:
        ConfigError: for a string without ``=``.
    """
    merged: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {pair!r}: write key=value, for example --set train.seed=3")
        merged = merge(merged, nest(key.strip(), parse_value(text.strip())))
    return merged


def from_environment(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Nested values of ``FEWTAG_SECTION__KEY`` variables; names without ``__`` are not configuration."""
    merged: dict[str, Any] = {}
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            dotted = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            merged = merge(merged, nest(dotted, parse_value(text)))
    return merged
