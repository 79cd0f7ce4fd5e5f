"""The run configuration of a command: file, environment, ``--set`` and flags, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from fewtag.config import build, from_environment, merge, nest, overrides, read_toml, words_of
from fewtag.errors import ConfigError, unknown
from fewtag.serving import Precision

if TYPE_CHECKING:
    from fewtag.training.run_config import RunConfig


def resumed_config(out: Path, folder: Path | None, file: Path | None, pairs: Sequence[str], flags: dict[str, Any]) -> RunConfig:
    """The configuration a run was begun with; whatever else is asked for with ``--resume`` is refused.

    Args:
        out: the run folder.
        folder, file, pairs, flags: see `run_config`.

    Raises:
        ConfigError: naming what was given, or when ``out`` holds no run or one on other data.
    """
    from fewtag.training.run import resume_config

    given = sorted(key for key, value in flags.items() if value is not None)
    if given or pairs or file:
        raise ConfigError(f"a resumed run keeps its configuration; leave out {', '.join(given) or '-c and --set'}, or start a new run")
    config = resume_config(out)
    if folder is not None and folder.resolve() != config.data_dir.resolve():
        raise ConfigError(f"{out} was begun on {config.data_dir}, not on {folder}; leave DIR out, or start a new run with another -o")
    return config


def run_config(file: Path | None, pairs: Sequence[str], flags: dict[str, Any], folder: Path | None) -> RunConfig:
    """Build the configuration.

    Args:
        file: the ``-c`` option; None looks for ``fewtag.toml`` in the data folder.
        pairs: the ``--set`` options.
        flags: dotted key -> value of the other options; None values are options not given.
        folder: the data folder given on the command line.

    Raises:
        ConfigError: naming each wrong key or value.
    """
    from fewtag.training.run_config import RunConfig

    if file is None and folder is not None and (folder / "fewtag.toml").exists():
        file = folder / "fewtag.toml"
    values: dict[str, Any] = read_toml(file) if file else {}
    if file:
        build(RunConfig, values, str(file))  # by itself, so that it is blamed for nothing but its own
    values = merge(values, from_environment())
    values = merge(values, overrides(pairs))
    if folder is not None:
        values = merge(values, nest("data.dir", str(folder.resolve())))
    for key, value in flags.items():
        if value is not None:
            values = merge(values, nest(key, value))
    return build(RunConfig, values, "configuration")


def languages_of(text: str | None) -> tuple[str, ...] | None:
    """The languages of ``--langs``; None where it was not given.

    Raises:
        ConfigError: when it names none.
    """
    if text is None:
        return None
    found = tuple(words_of(text))
    if not found:
        raise ConfigError(f"--langs {text!r} names no language; write de,fr")
    return found


def precision_of(text: str | None) -> Precision | None:
    """The number format of ``--precision``; None where it was not given.

    Raises:
        ConfigError: when it is none.
    """
    if text is not None and text not in get_args(Precision):
        raise ConfigError(unknown("precision", text, get_args(Precision)))
    return cast("Precision | None", text)
