"""The search: trials one after the other, in one process or several that share a study."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import queue
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtag.data.corpus import Corpus
from fewtag.data.files import write_text
from fewtag.data.low_resource import LowResource
from fewtag.errors import ConfigError, FewtagError
from fewtag.experiments.study import Study, need_optuna
from fewtag.experiments.tuning import Grids, Tuned, TuningConfig, applied, hold_out, space
from fewtag.methods import row
from fewtag.training.drive import Interrupted
from fewtag.training.fit import DivergedError, Progress
from fewtag.training.folder import digest_of
from fewtag.training.prepare import choose_method, sample
from fewtag.training.run import run
from fewtag.training.run_config import RunConfig

if TYPE_CHECKING:
    from optuna.trial import Trial

Say = Callable[[str], None]
_CRASHES = 3  # of worker processes, until no new one is started


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know; made of plain values, so that another process can be told."""

    config: RunConfig
    plan: TuningConfig
    out: Path
    method: str
    grids: Grids
    digest: str
    deadline: float  # time.time()
    parent: int = field(default_factory=os.getpid)


def tune(
    config: RunConfig,
    plan: TuningConfig,
    out: Path,
    *,
    jobs: int = 1,
    max_seconds: float = float("inf"),
    force: bool = False,
    listener: Say = lambda sentence: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Tuned:
    """Search for the best settings on labeled sentences held out; the same call goes on with a study that is there.

    Args:
        config: of every run; what is searched stands in the plan.
        plan: what to search and how long.
        out: folder of the study; ``best.toml`` and ``tuned.json`` are written here.
        jobs: processes at once.
        max_seconds: start nothing after this, and stop what runs.
        force: replace the study of something else.
        listener: is told of every trial.
        interrupted: asked after every step; True stops.

    Raises:
        SetupError: without Optuna.
        ConfigError, DataError: for what the user can mend.
        Interrupted: after ``interrupted`` said so; finished trials are kept.
    """
    need_optuna()
    corpus, held = _load(config, plan)
    method, notes = choose_method(config, held)
    if row(method).data == "single":
        raise ConfigError(f"{method} is a run per language; tune one language at a time: --langs de --method supervised-multi")
    grids, standing = space(config, method, plan.grids)
    if force and (out / "study.db").exists():
        for name in ("study.db", "study.lock", "best.toml", "tuned.json"):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "trials", ignore_errors=True)
    elif out.exists() and any(out.iterdir()) and not (out / "study.db").exists():
        raise ConfigError(f"{out} holds other files; give another -o")
    job = _Job(config, plan, out, method, grids, _digest(config, plan, method, corpus, grids), time.time() + max_seconds)
    study = _study(job)
    for note in [*held.notes, *notes]:
        listener(note)
    if not study.trials():
        study.suggest(standing)  # first: what is to be beaten
    if jobs == 1:
        _work(job, corpus, held, listener, interrupted)
    else:
        _work_together(job, jobs, listener, interrupted)
    same = "the same command without --force" if force else "the same command"
    best = study.best()
    if best is None:
        ended = study.trials("complete", "pruned")
        if len(ended) >= plan.trials and not interrupted():
            why = sorted({str(trial.user_attrs.get("why", "pruned")) for trial in ended})
            raise ConfigError(f"all {len(ended)} trials ended without a score ({'; '.join(why)}); give more --trials, or --force")
        stopped = "stopped" if interrupted() else f"ended ({study.counts() or 'no trial began'})"
        raise Interrupted(f"{stopped} before a trial was finished; {same} goes on")
    found = Tuned(
        method,
        dict(best.params),
        float(best.value or 0.0),
        standing,
        study.score_of(standing),
        {language: len(some) for language, some in held.dev.items()},
        study.counts(),
        grids,
    )
    write_text(out / "best.toml", found.to_toml(config))
    write_text(out / "tuned.json", json.dumps(found.to_json(), indent=1) + "\n")
    if interrupted():
        raise Interrupted(f"stopped; the best so far is in {out / 'best.toml'}, and {same} goes on")
    return found


def _load(config: RunConfig, plan: TuningConfig) -> tuple[Corpus, LowResource]:
    corpus = Corpus.from_dir(config.data_dir, languages=config.data.languages or None, arrays=True)
    corpus.problems.raise_for_errors()
    return corpus, hold_out(sample(config, corpus), plan.held_out, plan.seed)


def _study(job: _Job) -> Study:
    return Study(job.out, job.grids, job.digest, seed=job.plan.seed, retries=job.plan.retries)


def _digest(config: RunConfig, plan: TuningConfig, method: str, corpus: Corpus, grids: Grids) -> str:
    """Of all that the trials of one study must have in common."""
    parts = [digest_of(config), method, corpus.files, plan.held_out, plan.seed, grids]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _work(job: _Job, corpus: Corpus, held: LowResource, say: Say, interrupted: Callable[[], bool]) -> None:
    """Run trials until there are enough of them, the time is up, or someone asks to stop."""
    study = _study(job)

    def over() -> bool:
        return interrupted() or time.time() > job.deadline

    while not over():
        with study.claim(job.plan.trials) as trial:
            if trial is None:
                return
            began = time.monotonic()
            said = _try(job, study, trial, corpus, held, over)
            best = study.best()
            so_far = f"; best so far {best.value:.2f}" if best is not None else ""
            values = "  ".join(f"{key.partition('.')[2]} {value}" for key, value in trial.params.items())
            say(f"trial {trial.number}  {values}  {said}, {time.monotonic() - began:.0f} s{so_far}")


def _try(job: _Job, study: Study, trial: Trial, corpus: Corpus, held: LowResource, over: Callable[[], bool]) -> str:
    """One trial; its run folder keeps everything but the tagger and what it said."""
    from optuna import TrialPruned

    folder = study.place(trial.number)
    try:
        result = run(
            applied(job.config, job.method, trial.params), folder, corpus=corpus, data=held, force=True,
            listener=_Pruner(trial), interrupted=over,
        )  # fmt: skip
        study.finish(trial, result.dev.average_f1)
        return f"held-out F1 {result.dev.average_f1:.2f}"
    except TrialPruned as stopped:
        study.prune(trial, str(stopped))
        return f"pruned {stopped}"
    except DivergedError as error:
        study.prune(trial, str(error))
        return "diverged"
    except Interrupted:
        study.give_back(trial, "interrupted")
        return "interrupted, will be tried again"
    finally:
        for name in ("model", "checkpoints", "predictions"):
            shutil.rmtree(folder / name, ignore_errors=True)


class _Pruner:
    """Listens to a run, reports each score on the held-out sentences, and ends a run that does worse than others did by then."""

    def __init__(self, trial: Trial) -> None:
        self.trial, self.stage, self.before, self.length = trial, 0, 0, 0

    def __call__(self, event: Progress | str) -> None:
        from optuna import TrialPruned

        if isinstance(event, str):
            return
        # Stages end early: a step is counted as if they did not, so that trials can be compared. Step 0 of a stage is a step of its own.
        if event.stage_index != self.stage:
            self.stage, self.before = event.stage_index, self.before + self.length + 1
        self.length = event.max_steps
        if event.scored is None:
            return
        self.trial.report(event.scored.value, self.before + event.step)
        if self.trial.should_prune():
            raise TrialPruned(f"at {event.scored.value:.2f} in stage {event.stage}, step {event.step}")


def _work_together(job: _Job, jobs: int, listener: Say, interrupted: Callable[[], bool]) -> None:
    """Workers in processes of their own; one that is killed is replaced, and its trial tried again."""
    context = multiprocessing.get_context("spawn")  # a fork of a process that has used torch's threads may hang
    said: Any = context.Queue()
    stop = context.Event()

    def start() -> Any:
        process = context.Process(target=_worker, args=(job, said, stop), daemon=True)
        process.start()
        return process

    workers, crashes, error = [start() for _ in range(jobs)], 0, None
    try:
        while any(worker.is_alive() for worker in workers) or not said.empty():
            if interrupted() and not stop.is_set():
                stop.set()
            try:
                message = said.get(timeout=0.2)
            except queue.Empty:
                message = None
            if isinstance(message, FewtagError):
                error = error or message
                stop.set()
            elif message is not None:
                listener(message)
            for place, worker in enumerate(workers):
                if not worker.is_alive() and worker.exitcode not in (0, None) and not stop.is_set() and crashes < _CRASHES:
                    crashes += 1
                    listener(f"a worker ended unexpectedly (exit code {worker.exitcode}); another takes its place")
                    workers[place] = start()
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    if error is not None:
        raise error


def _worker(job: _Job, said: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent says when to stop
    from fewtag.tagger.allocator import keep_pages

    keep_pages()
    try:
        corpus, held = _load(job.config, job.plan)
        _work(job, corpus, held, said.put, lambda: stop.is_set() or os.getppid() != job.parent)
    except FewtagError as error:
        said.put(error)
