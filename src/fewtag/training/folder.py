"""The run folder: resolved configuration, versions, data hashes, journal, metrics, model. Whatever is written stays whole."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from fewtag.data.files import read_json, write_text
from fewtag.errors import ConfigError
from fewtag.training.run_config import RunConfig


def digest_of(config: RunConfig) -> str:
    """12 hex digits that change with any value of the configuration but not with where the data folder or the run it starts from lie."""
    plain = config.model_dump(mode="json")
    plain["data"]["dir"] = Path(plain["data"]["dir"]).name
    plain["train"]["start"] = Path(plain["train"]["start"]).name
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """What the result depends on besides configuration and data."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("fewtag", "torch", "numpy", "transformers", "tokenizers", "safetensors"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


OWN = (  # what a run writes into its folder, the mark of whose it is last
    *("checkpoints", "model", "encoder", "predictions", "languages"),
    *("metrics.json", "events.jsonl", "pseudo.jsonl", "pseudo_labels.json"),
    *("report.md", "report.html", "config.toml", "data.json", "env.json"),
)


class RunFolder:
    """Paths and files of one run.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model"
        self.events = path / "events.jsonl"
        self.pseudo = path / "pseudo.jsonl"
        self.quality = path / "pseudo_labels.json"
        self.metrics = path / "metrics.json"
        self.checkpoints = path / "checkpoints"
        self.encoder = path / "encoder"  # of `fewtag pretrain`

    def is_finished(self) -> bool:
        """Whether the run has ended and its metrics are written."""
        return self.metrics.exists()

    def is_begun(self) -> bool:
        """Whether a run got so far that it can be resumed."""
        return (self.path / "data.json").exists()  # the last file that `begin` writes

    def counts(self, split: str) -> Path:
        """Where correct, predicted and gold spans stand sentence by sentence."""
        return self.path / "predictions" / f"{split}.counts.json"

    def check(self, may_exist: bool) -> None:
        """Refuse a place that cannot become this run's folder.

        Raises:
            ConfigError: when it is a file, or something is there already and ``may_exist`` is False.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file; name a folder for the run")
        if self.path.exists() and any(self.path.iterdir()) and not may_exist:
            state = "a finished run" if self.is_finished() or self.encoder.exists() else "an unfinished run"
            what = state if (self.path / "config.toml").exists() else "files"
            raise ConfigError(f"{self.path} already holds {what}; use --resume to go on with it, --force to replace it, or another folder")

    def _is_ours(self) -> bool:
        """Whether a run of ours wrote what is there, as far as it got."""
        try:
            return "fewtag" in json.loads((self.path / "env.json").read_text(encoding="utf-8"))["versions"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def begin(self, config: RunConfig, data: dict[str, Any], machine: dict[str, Any], *, force: bool) -> None:
        """Make the folder for a new run.

        Args:
            config: every setting, resolved.
            data: what `data.json` records.
            machine: threads, device and number format of this run.
            force: replace a run that is there.

        Raises:
            ConfigError: when something is there already and ``force`` is False.
        """
        self.check(force)
        self.clear()
        self.path.mkdir(parents=True, exist_ok=True)
        # First, for it says whose folder this is
        self.write_json("env.json", {"versions": versions(), "machine": machine, "command": sys.argv})
        plain = _without_none(config.model_dump(mode="json"))
        write_text(self.path / "config.toml", tomli_w.dumps(plain))
        self.write_json("data.json", data)

    def clear(self) -> None:
        """Remove what a run wrote here; nothing else.

        Raises:
            ConfigError: when something of that name is no run's.
        """
        import shutil

        if not self._is_ours():
            if taken := [name for name in OWN if (self.path / name).exists()]:
                raise ConfigError(f"{self.path} holds {taken[0]}, which no run of fewtag wrote, so it is not replaced; name another folder")
            return
        for name in OWN:
            if (self.path / name).is_dir():
                shutil.rmtree(self.path / name, ignore_errors=True)
            else:
                (self.path / name).unlink(missing_ok=True)

    def check_data(self, data: dict[str, Any]) -> None:
        """Refuse to resume on other data.

        Raises:
            ConfigError: naming the first file that changed.
        """
        if not self.is_begun():
            raise ConfigError(f"{self.path}: the run was stopped before it had begun, and there is nothing to resume; use --force")
        before = read_json(self.path / "data.json")
        weights = differ(before.pop("encoder", None), data.get("encoder"))
        if before == json.loads(json.dumps({key: value for key, value in data.items() if key != "encoder"})) and not weights:
            return
        if before.get("for") != data.get("for"):
            verb = "pretrain" if before.get("for") else "train"
            raise ConfigError(f"{self.path} was begun by fewtag {verb}; go on with: fewtag {verb} --resume -o {self.path}")
        old, new = before.get("files", {}), data.get("files", {})
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        what = changed[0] if changed else "the encoder's folder" if weights else "the sample of labeled sentences"
        raise ConfigError(f"{self.path} cannot be resumed: {what} changed since the run began; start a new run with another -o")

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Write one JSON file of the run, whole or not at all."""
        write_text(self.path / name, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def differ(before: dict[str, str] | None, now: dict[str, str] | None) -> bool:
    """Whether an encoder folder is another than the one recorded; what was not recorded, or is not there, tells nothing."""
    return bool(before and now) and before != now


def _without_none(value: Any) -> Any:
    """TOML has no null: a key without a value is left out and gets its default when read."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return value
