"""What a grid consists of: methods x corpora x labeled fractions x encoders x seeds, each a whole run configuration."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fewtag.config import build, merge, words_of
from fewtag.data.amounts import parse_amounts
from fewtag.errors import ConfigError
from fewtag.experiments.variants import Variant, rows
from fewtag.methods import METHODS, Row, resolve, row
from fewtag.training.folder import digest_of
from fewtag.training.run_config import RunConfig

# What a grid varies: one of these among the settings of every run would be overruled in silence.
_VARIED = {
    "data.dir": "data folders",
    "data.labeled": "labeled fractions",
    "method.name": "methods",
    "tagger.encoder": "encoders",
    "train.seed": "seeds",
}
_MOST_SEEDS = 1000  # more is a slip of the keyboard
_PLAIN = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Args:
        corpus: name of the data folder.
        labeled: the labeled fraction of the table it stands in.
        encoder: as the configuration names it.
        method: the row's name: of ``METHODS``, or of a variant.
        seed: of the labeled sample, the weights and every draw.
        config: of the run.
        variant: what the row is, where it is not the method as it stands.
    """

    corpus: str
    labeled: str
    encoder: str
    method: str
    seed: int
    config: RunConfig
    variant: str = ""

    @property
    def digest(self) -> str:
        """What the run folder is found again by."""
        return digest_of(self.config)

    @property
    def name(self) -> str:
        """Of the run folder: two cells of one name are one run."""
        return f"{plain_name(self.corpus)}-{self.config.method['name']}-{self.seed}-{self.digest}"

    @property
    def words(self) -> str:
        """For people: what tells it from the other cells."""
        return f"{self.corpus} {self.labeled} {short_name(self.encoder)} {self.method} seed {self.seed}"


def plain_name(text: str) -> str:
    """Text fit for the name of a file and for a label of LaTeX."""
    return _PLAIN.sub("_", text)


def short_name(encoder: str) -> str:
    """An encoder without the path to it; one of `fewtag pretrain` by the folder it was written to."""
    path = Path(encoder)
    return path.parent.name if path.name == "encoder" and path.parent.name else path.name


def plan(
    corpora: Sequence[Path],
    methods: Sequence[str],
    *,
    labeled: Sequence[str],
    seeds: Sequence[int],
    encoders: Sequence[str],
    settings: Mapping[str, Any] | None = None,
    variants: Sequence[Variant] = (),
    own_dev: Collection[str] = (),
) -> list[Cell]:
    """Every cell of a grid, seed by seed, so that the first seed of everything is there early.

    The rows of one seed share their labeled sentences, since a sample follows from (seed, language) alone. Methods that learn from every
    label do not depend on the fraction, so the fractions share one run of them, unless the size of dev follows the fraction too.

    Args:
        corpora: data folders.
        methods: names of ``METHODS``.
        labeled: ``"1%"``, ``"200"``, ``"5shot"``.
        seeds: any whole numbers.
        encoders: ``compact``, folders, names.
        settings: nested configuration values of every run; keys of ``method`` go to the methods that have them.
        variants: further rows, or methods under settings of their own.
        own_dev: corpora without a dev split in some language: the part of train that takes its place follows the fraction.

    Raises:
        ConfigError: for what no run could be made of: an unknown method or key, a value twice, two corpora or encoders of one name, a
            setting that the grid varies.
    """
    settings = settings or {}
    for own_settings in (settings, *(each.settings for each in variants)):
        _refuse_varied(own_settings)
    table = rows(methods, variants)
    names = [folder.resolve().name for folder in corpora]
    short = list(map(short_name, dict.fromkeys(encoders)))
    for what, some in (
        ("method", methods), ("labeled fraction", labeled), ("seed", seeds), ("encoder", encoders), ("corpus name", names),
        ("encoder name", short),
    ):  # fmt: skip
        twice = sorted(str(each) for each, times in Counter(some).items() if times > 1)
        if twice or not (some or (variants and what == "method")):
            raise ConfigError(f"{what} {twice[0]} is given twice; once is enough" if twice else f"a comparison needs at least one {what}")
    alike = [spec for spec, times in Counter(map(parse_amounts, labeled)).items() if times > 1]
    if alike:
        same = " and ".join(spec for spec in labeled if parse_amounts(spec) == alike[0])
        raise ConfigError(f"labeled fractions {same} are the same; once is enough")
    own = {each.name: _method_settings(each, settings) for each in table}
    unknown = sorted(set(_given(settings)) - {key for each in own.values() for key in each})
    if unknown:
        raise ConfigError(f"none of the methods {', '.join(own)} has the key method.{unknown[0]}; docs/methods.md lists the keys")
    cells = []
    for seed in seeds:
        for folder, corpus in zip(corpora, names, strict=True):
            for encoder in encoders:
                for spec in labeled:
                    for each in table:
                        config = _config(folder, spec, encoder, each, seed, settings, own[each.name], corpus in own_dev)
                        cells.append(Cell(corpus, spec, encoder, each.name, seed, config, each.words))
    return cells


def without_varied(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings without those that a grid varies, and the names of these: a file is written for one run, too.

    Args:
        settings: nested, as a file has them.
    """
    left = {room: dict(keys) if isinstance(keys, Mapping) else keys for room, keys in settings.items()}
    gone = [key for key in _VARIED if key.split(".")[1] in dict(left.get(key.split(".")[0]) or {})]
    for room, name in (key.split(".") for key in gone):
        del left[room][name]
    return left, gone


def _refuse_varied(settings: Mapping[str, Any]) -> None:
    set_too = [key for key in _VARIED if key.split(".")[1] in dict(settings.get(key.split(".")[0], {}))]
    if set_too:
        instead = ", ".join(_VARIED[key] for key in set_too)
        raise ConfigError(f"a comparison varies {', '.join(set_too)}; leave them out of the settings and give {instead} instead")


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dict(settings.get("method", {})).items() if key != "name"}


def _method_settings(each: Variant, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of the settings under ``method`` those this row's configuration has, and all of the row's own."""
    found = {key: value for key, value in _given(settings).items() if key in row(each.method).config.model_fields}
    found = merge(found, _given(each.settings))
    resolve(each.method, found)
    return found


def _config(
    folder: Path, labeled: str, encoder: str, each: Variant, seed: int, settings: Mapping[str, Any], own: Mapping[str, Any], own_dev: bool
) -> RunConfig:
    values = {key: value for key, value in merge(settings, each.settings).items() if key != "method"}
    dev = dict(values.get("data", {})).get("dev", "full")
    kept = "100%" if row(each.method).data == "all" and dev == "full" and not own_dev else labeled
    cell = {
        "data": {"dir": str(folder.resolve()), "labeled": kept},
        "method": {"name": each.method, **own},
        "tagger": {"encoder": encoder},
        "train": {"seed": seed},
    }
    return build(RunConfig, merge(values, cell), "compare")


@cache
def check_encoder(encoder: str) -> None:
    """Refuse before the first run what no run could load; loaded once a process.

    Raises:
        SetupError: in one sentence.
    """
    from fewtag.encoders import build_encoder

    build_encoder(encoder)


def kind_of(method: str) -> str:
    """What a method learns from: ``"labels"`` that were sampled, ``"raw"`` text beside them, or ``"all"`` labels."""
    found: Row = row(method)
    return "all" if found.data == "all" else "raw" if found.uses_raw_text else "labels"


def chosen_methods(text: str) -> list[str]:
    """Method names of ``"a,b"``; ``all`` stands for the whole table.

    Raises:
        ConfigError: for an unknown name, with the nearest.
    """
    names = words_of(text)
    names = list(METHODS) if names == ["all"] else names
    for name in names:
        row(name)
    return names


def chosen_seeds(text: str) -> list[int]:
    """``"5"`` stands for seeds 1 to 5; ``"3,7,11"`` for themselves.

    Raises:
        ConfigError: for anything else.
    """
    try:
        numbers = [int(part) for part in words_of(text)]
    except ValueError:
        numbers = []
    if len(numbers) > _MOST_SEEDS or ("," not in text and max(numbers, default=0) > _MOST_SEEDS):
        raise ConfigError(f"seeds: more than {_MOST_SEEDS}; five are usual")
    if not numbers or any(number < 0 for number in numbers) or ("," not in text and numbers[0] < 1):
        raise ConfigError(f"seeds {text!r} cannot be read; write how many (5), or which (3,7,11)")
    return numbers if "," in text else list(range(1, numbers[0] + 1))
