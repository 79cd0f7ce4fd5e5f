"""A run that begins where another has ended: its first, supervised stage is taken from a finished run on the same labeled sentences.

Every method on raw text begins with the same supervised training. Rows of a comparison that share one differ in what they make of raw text
alone, and the supervised training is paid for once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fewtag.data.files import read_json
from fewtag.errors import ConfigError, FewtagError
from fewtag.methods.method import Method
from fewtag.tagger import folder as tagger_folder
from fewtag.training.folder import RunFolder


@dataclass(frozen=True)
class Start:
    """What is taken over.

    Args:
        weights: of its tagger.
        steps, passes, seconds: what they cost; they count among the costs of the new run.
    """

    weights: Mapping[str, Tensor]
    steps: int
    passes: int
    seconds: float


def read_start(path: Path, method: Method, data: Mapping[str, Any]) -> Start:
    """The finished run to begin with, checked.

    Args:
        path: its folder.
        method: that will go on from it.
        data: of the new run, as ``data.json`` describes it.

    Raises:
        ConfigError: when there is no such run, it is not finished, it saw labels that are hidden from the new run, its tagger is of another
            shape, or the method does not begin with supervised training.
    """
    folder, first = RunFolder(path), method.stages()[0]
    if first.effort != "supervised" or first.fold is not None or len(method.stages()) == 1:
        raise ConfigError(
            f"train.start: the method's first stage is {first.name!r}, which no other run can stand in for; leave train.start out"
        )
    if not folder.is_finished():
        raise ConfigError(f"train.start: {path} is no finished run; name the folder of one, as fewtag train -o wrote it")
    before = read_json(path / "data.json")
    _check_labels(path, before, data)
    try:
        tagger = tagger_folder.load(folder.model)
    except FewtagError as error:
        raise ConfigError(f"train.start: {error}") from None
    own = first.scored.tagger
    if list(tagger.tag_set.tags) != list(own.tag_set.tags):
        raise ConfigError(
            f"train.start: {path} knows the labels {', '.join(tagger.tag_set.labels)}, this run {', '.join(own.tag_set.labels)}"
        )
    weights, wanted = tagger.state_dict(), own.state_dict()
    if {name: w.shape for name, w in weights.items()} != {name: w.shape for name, w in wanted.items()}:
        raise ConfigError(f"train.start: {path} has another encoder than this run; give both the same --encoder")
    metrics = read_json(folder.metrics)
    return Start(weights, int(metrics["steps"]), int(metrics["passes"]), float(metrics["seconds"]))


def _check_labels(path: Path, before: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """No gold tag of what is raw text to the new run may reach it by way of its start."""
    same_files = set(before["files"].values()) & set(data["files"].values())
    seen, own = before["labeled_ids"], data["labeled_ids"]
    hidden = sorted({each for language, ids in seen.items() for each in ids} - {each for ids in own.values() for each in ids})
    if same_files and hidden:
        raise ConfigError(
            f"train.start: {path} learned from {len(hidden)} labeled sentences that this run is not to see, {hidden[0]} first: use a run "
            "on labels of the same data.labeled, data.languages and train.seed; supervised-full saw every label"
        )
