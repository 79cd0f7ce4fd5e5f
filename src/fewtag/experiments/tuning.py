"""What tuning searches, on which sentences it scores, and what it found.

The paper tunes by hand on a tenth of the labeled sentences of all languages, held out at random (section 5). So does this, by a machine.
Dev and test take no part: whoever reports scores on them has not looked at them before.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tomli_w
from pydantic import Field, PositiveInt

from fewtag.config import Config, build, merge, nest
from fewtag.data.low_resource import LowResource
from fewtag.encoders.compact import CompactEncoder
from fewtag.encoders.hugging_face import HuggingFaceEncoder
from fewtag.errors import ConfigError, DataError
from fewtag.methods import resolve, row
from fewtag.text.sentence import Sentence
from fewtag.training.run_config import RunConfig

Value = float | int | str | bool
Grids = dict[str, tuple[Value, ...]]

# Paper, section 5 ("tuned amongst"); what its Table 2 settles on is among them.
PAPER: Grids = {
    "train.lr": (1e-5, 2e-5, 3e-5, 5e-5, 1e-4),
    "train.batch_size": (8, 16, 32, 64),
    "method.noise_variance": (0.001, 0.01, 0.1, 1.0),  # the paper saw collapse above 0.01
    "method.temperature": (0.5, 0.6, 0.7, 0.8, 0.9),  # tau
    "method.threshold": (0.5, 0.6, 0.7, 0.8, 0.9),  # epsilon
}
# The paper has no encoder that learns from nothing and so no grid for it; ours goes to both sides of the default.
FROM_NOTHING: tuple[Value, ...] = (5e-4, 1e-3, 2e-3, 3e-3, 5e-3)


class TuningConfig(Config):
    """How to search."""

    trials: PositiveInt = 30  # ours; the paper does not say how many settings were tried
    held_out: float = Field(default=0.1, gt=0, lt=1)  # of the labeled sentences of each language (section 5)
    seed: int = 13  # of what is held out, and of the search
    grids: dict[str, tuple[Value, ...]] = Field(default_factory=dict)  # instead of the paper's, or beside them
    retries: int = 1  # of a trial that was killed


def grids_of(values: Mapping[str, Any]) -> dict[str, list[Value]]:
    """Grids by dotted key, of nested values such as ``{"method": {"threshold": [0.6, 0.7]}}``.

    Raises:
        ConfigError: when there is no list of plain values.
    """
    found: dict[str, list[Value]] = {}
    for section, settings in values.items():
        for name, grid in settings.items() if isinstance(settings, Mapping) else [("", settings)]:
            key = f"{section}.{name}".rstrip(".")
            if not isinstance(grid, list) or not grid or not all(isinstance(value, (int, float, str, bool)) for value in grid):
                raise ConfigError(f"--grid {key}={grid!r}: write a list of values, for example --grid method.threshold=[0.5,0.6,0.7]")
            found[key] = grid
    return found


def hold_out(data: LowResource, share: float, seed: int) -> LowResource:
    """Labeled sentences only: most to learn from, the others in the place of dev; no dev, no test.

    Args:
        data: what a run would see; its dev and test are dropped.
        share: of each language's labeled sentences to hold out, at least one; a language with a single one keeps it to learn from.
        seed: of the choice, by language independent of the others.

    Raises:
        DataError: when no language has two labeled sentences.
    """
    kept: dict[str, Sequence[Sentence]] = {}
    held: dict[str, Sequence[Sentence]] = {}
    for language, some in data.labeled.items():
        order = list(range(len(some)))
        random.Random(f"{seed}/{language}/held out").shuffle(order)
        count = max(1, round(share * len(some))) if len(some) > 1 else 0
        kept[language] = [some[place] for place in sorted(order[count:])]
        if count:
            held[language] = [some[place] for place in sorted(order[:count])]
    if not held:
        raise DataError("no language has two labeled sentences, so none can be held out to tune on")
    total = sum(map(len, held.values()))
    note = f"tuned on {total} labeled sentences held out ({100 * share:g} % of each language); dev and test take no part"
    return replace(data, labeled=kept, dev=held, test={}, notes=[note])


def space(config: RunConfig, method: str, given: Mapping[str, Sequence[Value]]) -> tuple[Grids, dict[str, Value]]:
    """What to search, and where the configuration stands in it.

    Args:
        config: of the runs.
        method: its row's name; numbers it does not have are left out.
        given: grids of the user, by dotted key.

    Returns:
        The values to try of each setting (the configured one is always among them), and the configured values.

    Raises:
        ConfigError: when a grid is for a setting that does not exist or has a value it cannot take.
    """
    settings = resolve(method, {key: value for key, value in config.method.items() if key != "name"})
    grids: Grids = {key: values for key, values in PAPER.items() if key.startswith("train.") or hasattr(settings, key.partition(".")[2])}
    encoder = CompactEncoder if config.tagger.encoder == CompactEncoder.kind else HuggingFaceEncoder
    if encoder is CompactEncoder:
        grids["train.lr"] = FROM_NOTHING
    grids |= {key: tuple(values) for key, values in given.items()}
    standing: dict[str, Value] = {}
    for key, values in grids.items():
        section, _, name = key.partition(".")
        holder = {"train": config.train, "method": settings, "tagger": config.tagger, "sampling": config.sampling}.get(section)
        if holder is None or name not in type(holder).model_fields:
            raise ConfigError(f"--grid {key}: {method} has no such setting; write train.NAME, method.NAME, tagger.NAME or sampling.NAME")
        found = getattr(holder, name)
        standing[key] = encoder.learning_rate if key == "train.lr" and found == "auto" else found
        if not isinstance(standing[key], str | int | float | None):
            raise ConfigError(f"--grid {key}: a grid is of numbers, words or switches, and this setting is {standing[key]!r}")
        grids[key] = tuple(
            sorted({*values, standing[key]}, key=lambda value: (value is not None, isinstance(value, str), 0 if value is None else value))
        )
        for value in grids[key]:
            applied(config, method, {key: value})
    return grids, standing


def applied(config: RunConfig, method: str, values: Mapping[str, Value]) -> RunConfig:
    """The configuration with these values.

    Raises:
        ConfigError: for a value that a setting cannot take.
    """
    plain = {**config.model_dump(exclude_unset=True), "method": {**config.method, "name": method}}
    for key, value in values.items():
        plain = merge(plain, nest(key, value))
    built = build(RunConfig, plain, "fewtag tune")
    resolve(method, {key: value for key, value in built.method.items() if key != "name"})
    row(method)
    return built


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Args:
        method: of the runs.
        best: the best settings.
        score: their F1 on the held-out sentences, in percent; too good by its having been chosen.
        standing: the configured settings.
        standing_score: F1 of these on the same sentences; None where that trial did not end.
        held_out: sentences by language.
        counts: trials by how they ended.
        grids: what was searched.
    """

    method: str
    best: dict[str, Value]
    score: float
    standing: dict[str, Value]
    standing_score: float | None
    held_out: dict[str, int]
    counts: dict[str, int]
    grids: Grids

    @property
    def text(self) -> str:
        """What was found, for a terminal."""
        total, ended = sum(self.held_out.values()), ", ".join(f"{count} {state}" for state, count in self.counts.items())
        lines = [f"best F1 {self.score:.2f} on {total} labeled sentences held out of {len(self.held_out)} languages; trials: {ended}"]
        if self.standing_score is None:
            lines.append("what was configured has no score: its trial did not end")
        elif self.standing == self.best:
            lines.append("nothing tried was better than what was configured")
        else:
            lines.append(f"what was configured has {self.standing_score:.2f}; the best is flattered by being the best of many")
        if total < 100:
            lines.append(f"{total} sentences are few: differences of some points may be chance")
        return "\n".join([*lines, "", self.flags])

    @property
    def flags(self) -> str:
        """The best settings as they are typed."""
        return " ".join(f"--set {key}={value}" for key, value in self.best.items())

    def to_toml(self, config: RunConfig) -> str:
        """The best settings as a configuration file, beside all that the trials were given; where the data lie is left to the command.

        Args:
            config: of the runs.
        """
        values = applied(config, self.method, self.best).model_dump(mode="json", exclude_unset=True, exclude_none=True)
        values = {**values, "data": {key: value for key, value in values.get("data", {}).items() if key != "dir"}}
        total = sum(self.held_out.values())
        head = f"# Best of {self.counts.get('complete', 0)} finished trials: F1 {self.score:.2f} on {total} held-out labeled sentences.\n"
        return head + tomli_w.dumps(values)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "grids": {key: list(values) for key, values in self.grids.items()}}
