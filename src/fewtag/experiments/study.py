"""A study of trials in a local SQLite file that several processes share, and that survives any of them.

A worker holds a lock on its trial's file as long as it lives. So a trial that is said to run and whose lock is free is dead: it is failed
at once and queued again, as often as asked. It does not count as finished.
"""

from __future__ import annotations

import fcntl
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fewtag.errors import ConfigError, DataError, missing_extra
from fewtag.experiments.tuning import Grids, Value

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

_NAME = "tune"
_OWN = "digest"
_SAME = 10  # suggestions in a row that were tried before, until one that was not is drawn


def need_optuna() -> None:
    """Refuse with one clear line when Optuna is not installed.

    Raises:
        SetupError: naming the extra to install.
    """
    if find_spec("optuna") is None:
        raise missing_extra("optuna", "hpo")


@contextmanager
def _whole(path: Path) -> Iterator[str]:
    """The address of a database; what is wrong with it is said in a sentence."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield f"sqlite:///{path}"
    except DBAPIError as error:
        raise DataError(f"{path}: not readable as a study ({error.orig}); --force begins a new one in its place") from None


class Study:
    """The trials of one search.

    Args:
        folder: where ``study.db`` and the trials' folders are.
        grids: values of each setting.
        digest: of what is searched with what; a study of another digest is refused.
        seed: of the suggestions.
        retries: how often a killed trial is tried again.

    Raises:
        SetupError: without Optuna.
        ConfigError: when the folder holds the study of something else.
        DataError: when its database is damaged.
    """

    def __init__(self, folder: Path, grids: Grids, digest: str, *, seed: int = 13, retries: int = 1) -> None:
        need_optuna()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.grids, self.retries = folder, grids, retries
        folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            # Ten trials at random, then the tree-structured Parzen estimator; a trial ends early when it is worse than half of those before
            # it at the same step (Optuna's defaults, five trials to warm up).
            with _whole(folder / "study.db") as storage:
                self._study: optuna.Study = optuna.create_study(
                    study_name=_NAME,
                    storage=storage,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
                )
            # Every process, and every later call, suggests otherwise: its stream of numbers begins where the study stands.
            self._study.sampler = optuna.samplers.TPESampler(seed=seed * 10_007 + len(self._study.get_trials(deepcopy=False)))
            held = self._study.user_attrs.get(_OWN)
            if held is None:
                self._study.set_user_attr(_OWN, digest)
            elif held != digest:
                raise ConfigError(f"{folder} holds the study of another configuration or data; give another -o, or --force to replace it")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / "study.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def trials(self, *states: str) -> list[FrozenTrial]:
        """The trials in these states (complete, pruned, fail, running, waiting), or all; repetitions of others are left out."""
        found = self._study.get_trials(deepcopy=False)
        return [t for t in found if (not states or t.state.name.lower() in states) and "same_as" not in t.user_attrs]

    def counts(self) -> dict[str, int]:
        """How many trials are in each state."""
        names = [trial.state.name.lower() for trial in self.trials()]
        return {name: names.count(name) for name in sorted(set(names))}

    def suggest(self, values: Mapping[str, Value]) -> None:
        """Queue settings to try next."""
        with self._alone():
            self._study.enqueue_trial(dict(values), skip_if_exists=True)

    def place(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / "trials" / f"{number:04d}"

    @contextmanager
    def claim(self, most: int) -> Iterator[Trial | None]:
        """A trial to run, claimed while the context lasts; None when ``most`` trials are finished or running, or the grids are tried out.

        What the caller does not end with `finish` or `prune` is failed when the context ends.
        """
        lock: IO[str] | None = None
        with self._alone():
            self._bury()
            trial = None if len(self.trials("complete", "pruned", "running")) >= most else self._new()
            if trial is not None:
                path = self.place(trial.number).with_suffix(".lock")
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = path.open("a")
                fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield trial
        except BaseException as error:
            if trial is not None:
                self._fail(trial.number, f"{type(error).__name__}: {error}", again=isinstance(error, KeyboardInterrupt))
            raise
        finally:
            if lock is not None:
                lock.close()

    def _new(self) -> Trial | None:
        tried: dict[str, int] = {_key(t.params): t.number for t in self.trials("complete", "pruned", "running")}
        untried = [values for values in product(*self.grids.values()) if _key(dict(zip(self.grids, values, strict=True))) not in tried]
        if not untried:
            return None
        import optuna

        for attempt in range(_SAME + 1):
            if attempt == _SAME:
                chosen = random.Random(len(tried)).choice(untried)
                self._study.enqueue_trial(dict(zip(self.grids, chosen, strict=True)))
            trial = self._study.ask()
            values = {key: trial.suggest_categorical(key, list(choices)) for key, choices in self.grids.items()}
            if _key(values) not in tried:
                return trial
            # A run is deterministic, so the second would give what the first gave.
            trial.set_user_attr("same_as", tried[_key(values)])
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise AssertionError("what was untried was tried")

    def _bury(self) -> None:
        for trial in self.trials("running"):
            path = self.place(trial.number).with_suffix(".lock")
            try:
                with path.open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its worker lives
            except FileNotFoundError:
                pass  # killed before its first breath
            self._fail(trial.number, "killed", again=trial.user_attrs.get("retry", 0) < self.retries)

    def _fail(self, number: int, why: str, *, again: bool) -> None:
        from optuna.trial import TrialState

        trial = next(each for each in self.trials() if each.number == number)
        if trial.state.is_finished():
            return
        storage = self._study._storage
        storage.set_trial_user_attr(trial._trial_id, "why", why)
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        if again and trial.params:
            retry = trial.user_attrs.get("retry", 0) + (why == "killed")
            self._study.enqueue_trial(dict(trial.params), user_attrs={"retry": retry, "retry_of": number})

    def finish(self, trial: Trial, score: float) -> None:
        """End a trial with its score."""
        self._study.tell(trial, score)

    def prune(self, trial: Trial, why: str) -> None:
        """End a trial early; it counts as finished."""
        from optuna.trial import TrialState

        trial.set_user_attr("why", why)
        self._study.tell(trial, state=TrialState.PRUNED)

    def give_back(self, trial: Trial, why: str) -> None:
        """Fail a trial that was interrupted and queue its settings again."""
        self._fail(trial.number, why, again=True)

    def best(self) -> FrozenTrial | None:
        """The best complete trial; the first of equals."""
        return max(self.trials("complete"), key=lambda trial: (trial.value, -trial.number), default=None)

    def score_of(self, values: Mapping[str, Value]) -> float | None:
        """The score of these settings, where a trial with them is complete."""
        return next((trial.value for trial in self.trials("complete") if _key(trial.params) == _key(values)), None)


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps({key: values[key] for key in sorted(values)})
