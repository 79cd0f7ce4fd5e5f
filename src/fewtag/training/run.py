"""One run: a configuration and a corpus in; a run folder with a tagger and its scores out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fewtag.config import build, read_toml
from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.encoders import build_encoder
from fewtag.errors import ConfigError, FewtagError, SetupError
from fewtag.evaluation import Report
from fewtag.learning.seeding import stable_seed
from fewtag.methods import METHODS, resolve, row
from fewtag.methods.method import Method, Stage
from fewtag.tagger.tagger import Tagger
from fewtag.training.checkpoint import Checkpoints
from fewtag.training.deliver import deliver
from fewtag.training.draws import Draws
from fewtag.training.fit import DivergedError, Position, Progress, fit
from fewtag.training.folder import RunFolder, digest_of
from fewtag.training.journal import Journal
from fewtag.training.run_config import RunConfig
from fewtag.training.scoring import score_on_dev

Listener = Callable[[Progress | str], None]


class Interrupted(FewtagError):
    """The user stopped the run; a checkpoint is on disk."""

    exit_code = 130


@dataclass(frozen=True)
class RunResult:
    """What a finished run gives.

    Args:
        folder: the run folder.
        method: its row's name.
        dev, test: scores; ``test`` is None when the corpus has no test split.
        seconds: of training, all interruptions left out.
        steps: gradient steps of all stages.
        digest: of the configuration.
        notes: what was decided for the user, said aloud.
    """

    folder: Path
    method: str
    dev: Report
    test: Report | None
    seconds: float
    steps: int
    digest: str
    notes: tuple[str, ...] = field(default=())

    @property
    def model(self) -> Path:
        """The tagger folder."""
        return self.folder / "model"


def choose_method(config: RunConfig, data: LowResource) -> tuple[str, list[str]]:
    """The method's name with ``auto`` resolved, and what to tell the user about it.

    Raises:
        ConfigError: for an unknown method, or one that needs raw text where there is none.
    """
    name = str(config.method.get("name", "auto"))
    usable = [lang for lang, some in data.unlabeled.items() if some and data.labeled.get(lang)]
    if name == "auto":
        name = "metats" if usable else "supervised-multi"
        why = "there is raw text" if usable else "there is no raw text (unlabeled.txt beside train.conll would be used)"
        return name, [f"method {name}, because {why}"]
    if row(name).uses_raw_text and not usable:
        raise ConfigError(
            f"method {name} learns from raw text, and no language has both labeled and raw sentences: put unlabeled.txt beside "
            "train.conll, keep only a part of the labels with --labeled 10%, or use --method supervised-multi"
        )
    unused = [lang for lang, some in data.unlabeled.items() if some and not data.labeled.get(lang)]
    notes = [f"the raw text of {lang} is not used: {lang} has no labeled sentence" for lang in unused]
    return name, notes if row(name).uses_raw_text else []


def sample(config: RunConfig, corpus: Corpus) -> LowResource:
    """The labeled and raw sentences a run may see."""
    labeled = config.data.labeled
    name = str(config.method.get("name", "auto"))
    if name in METHODS and METHODS[name].data == "all":
        labeled = "100%"
    seed = config.train.seed if config.data.seed is None else config.data.seed
    languages = config.data.languages or None
    return LowResource.sample(corpus, labeled=labeled, seed=seed, languages=languages, dev_size=config.data.dev)


def pick_device(name: str) -> torch.device:
    """The device to train on; ``auto`` takes a GPU when there is one.

    Raises:
        SetupError: when the named device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SetupError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from None
    return device


def parse_time(text: str) -> float:
    """Seconds of ``"2h"``, ``"30m"``, ``"90s"`` or ``"90"``; infinite when empty.

    Raises:
        ConfigError: for anything else.
    """
    if not text:
        return float("inf")
    unit = {"h": 3600.0, "m": 60.0, "s": 1.0}.get(text[-1])
    number = text[:-1] if unit else text
    try:
        seconds = float(number) * (unit or 1.0)
    except ValueError:
        raise ConfigError(f"max_time {text!r} is not a time; write 2h, 30m or 90s") from None
    if seconds <= 0:
        raise ConfigError(f"max_time {text!r} must be more than nothing")
    return seconds


def build_method(name: str, config: RunConfig, data: LowResource, device: torch.device) -> Method:
    """A method with fresh taggers; both networks of a pair get the same head (ambiguity A21)."""
    found = row(name)
    decoding = found.decoding if config.tagger.decoding == "auto" else config.tagger.decoding
    learner = config.train.learner()
    given = config.train.model_fields_set
    learner = learner.model_copy(update={k: v for k, v in found.learner.items() if k not in given})

    def make_tagger(role: str) -> Tagger:
        torch.manual_seed(stable_seed(config.train.seed, "weights"))
        encoder = build_encoder(config.tagger.encoder, max_length=config.tagger.max_length)
        return Tagger(
            encoder, data.tag_set, languages=sorted(data.labeled), decoding=decoding, dropout=config.tagger.dropout
        ).to(device)

    settings = resolve(name, {key: value for key, value in config.method.items() if key != "name"})
    return found.method(settings, make_tagger, learner)


class _Run:
    """The moving parts of one run, tied together."""

    def __init__(self, config: RunConfig, folder: RunFolder, data: LowResource, name: str, listener: Listener) -> None:
        self.config, self.folder, self.data, self.listener = config, folder, data, listener
        self.device = pick_device(config.train.device)
        if config.train.threads != "auto":
            torch.set_num_threads(config.train.threads)
        self.method = build_method(name, config, data, self.device)
        self.position = Position()
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.seconds = 0.0
        self.limit = parse_time(config.train.max_time)
        self.num_labeled = sum(len(some) for some in data.labeled.values())
        efforts = {"supervised": 0.3, "semi_supervised": 0.55, "finetune": 0.15}
        shares = [efforts[stage.effort] for stage in self.method.stages()]
        self.ends = [sum(shares[: i + 1]) / sum(shares) for i in range(len(shares))]

    def restore(self) -> int:
        """Go back to the newest checkpoint; returns how much of the journal it covers."""
        state = self.checkpoints.latest()
        if state is None:
            return 0
        self.method.restore(state["method"])
        self.position = Position.restored(state["position"])
        self.seconds = float(state["seconds"])
        return int(state["journal"])

    def save(self, journal: Journal, seconds: float) -> None:
        """Write a checkpoint of this very moment."""
        state = {
            "method": self.method.state(),
            "position": self.position.state(),
            "seconds": seconds,
            "journal": journal.size,
        }
        self.checkpoints.save(self.position.total_steps * 10 + self.position.stage, state)

    def train(self, journal: Journal, interrupted: Callable[[], bool]) -> float:
        """Run the loop to its end, keeping and telling what happens.

        Returns:
            Seconds of training in all.
        """
        config, started, saved_at = self.config, time.monotonic() - self.seconds, time.monotonic()
        draw = Draws(
            self.data,
            self.method.delivered.tagger.batcher,
            seed=config.train.seed,
            batch_size=config.train.batch_size,
            unlabeled_batch_size=config.train.unlabeled_batch_size or config.train.batch_size,
            exponent=config.sampling.exponent,
            device=self.device,
        )

        def out_of_time(stage: Stage) -> bool:
            return time.monotonic() - started > self.limit * self.ends[self.position.stage]

        loop = fit(
            self.method,
            self.position,
            seed=config.train.seed,
            draw=draw,
            budget=lambda stage: config.train.budget(stage.effort, self.num_labeled),
            evaluate=lambda tagger: score_on_dev(tagger, self.data.dev, config.evaluation.mode),
            out_of_time=out_of_time,
        )
        try:
            for progress in loop:
                tell(journal, progress)
                self.listener(progress)
                now = time.monotonic()
                if progress.stage_done or (progress.scored and now - saved_at >= config.train.checkpoint_seconds):
                    self.save(journal, now - started)
                    saved_at = time.monotonic()
                if interrupted() and self.position.stage < progress.num_stages:
                    self.save(journal, now - started)
                    raise Interrupted(
                        f"stopped in stage {progress.stage} at step {progress.step}; a checkpoint is written. "
                        f"Go on with: fewtag train --resume -o {self.folder.path}"
                    )
        except DivergedError as error:
            journal.write("diverged", message=str(error))
            last = self.checkpoints.paths()
            where = f"; last good checkpoint: {last[-1]}" if last else "; no checkpoint had been written yet"
            raise DivergedError(f"{error}{where}") from None
        return time.monotonic() - started


def tell(journal: Journal, progress: Progress) -> None:
    """Write what an evaluation or the end of a stage showed; plain steps leave no event."""
    if progress.scored is not None:
        journal.write(
            "evaluation",
            stage=progress.stage,
            step=progress.step,
            dev_f1=progress.scored.value,
            dev_f1_by_language=progress.scored.by_language,
            is_best=progress.is_best,
            losses=progress.losses,
        )
    if progress.stage_done:
        journal.write("stage_done", stage=progress.stage, step=progress.step, best_dev_f1=progress.best_score, best_step=progress.best_step)


def describe(data: LowResource, corpus: Corpus) -> dict[str, Any]:
    """What ``data.json`` records: hashes, counts and the ids of the labeled sentences."""
    return {
        "files": {str(path): digest for path, digest in sorted(corpus.files.items())},
        "labels": list(data.tag_set.labels),
        "counts": {
            language: {
                "labeled": len(data.labeled.get(language, ())),
                "unlabeled": len(data.unlabeled.get(language, ())),
                "dev": len(data.dev.get(language, ())),
                "test": len(data.test.get(language, ())),
            }
            for language in sorted({*data.labeled, *data.unlabeled, *data.dev, *data.test})
        },
        "labeled_ids": {language: [s.id for s in some] for language, some in sorted(data.labeled.items())},
    }


def run(
    config: RunConfig,
    out: Path,
    *,
    corpus: Corpus | None = None,
    data: LowResource | None = None,
    resume: bool = False,
    force: bool = False,
    listener: Listener = lambda event: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Train, evaluate and package one tagger (or, for ``supervised-single``, one per language).

    Args:
        config: what to do.
        out: the run folder.
        corpus: already loaded; None loads ``config.data.dir``.
        data: the sample to use; None draws it from the corpus as the configuration says.
        resume: go on from the newest checkpoint in ``out``.
        force: replace a run that is there.
        listener: is told of progress, and of decisions as sentences.
        interrupted: asked after every step; True writes a checkpoint and stops.

    Raises:
        ConfigError, DataError, SetupError: for what the user can mend.
        Interrupted: after ``interrupted`` said so.
        DivergedError: when a loss is not finite.
    """
    folder = RunFolder(out)
    corpus = corpus or Corpus.from_dir(config.data_dir, languages=config.data.languages or None)
    corpus.problems.raise_for_errors()
    data = data or sample(config, corpus)
    name, notes = choose_method(config, data)
    notes = [*data.notes, *notes]
    for note in notes:
        listener(note)
    described = describe(data, corpus)
    if resume:
        folder.check_data(described)
    else:
        folder.begin(config, described, force=force)
    if row(name).data == "single":
        from fewtag.training.single import run_single

        return run_single(config, folder, corpus, data, resume, listener, interrupted, notes)
    this = _Run(config, folder, data, name, listener)
    kept = this.restore() if resume else 0
    journal = Journal(folder.events, kept)
    try:
        if not kept:
            journal.write("begin", method=name, encoder=config.tagger.encoder, seed=config.train.seed, digest=digest_of(config), notes=notes)
        seconds = this.train(journal, interrupted)
        dev, test = deliver(this.method.delivered.tagger, data, config, folder, name, seconds, this.position.total_steps, notes)
        journal.write("end", dev_f1=dev.average_f1, test_f1=test.average_f1 if test else None, seconds=seconds)
    finally:
        journal.close()
    this.checkpoints.clear()
    return RunResult(out, name, dev, test, seconds, this.position.total_steps, digest_of(config), tuple(notes))


def resume_config(out: Path) -> RunConfig:
    """The configuration a run was begun with.

    Raises:
        ConfigError: when ``out`` holds no run.
    """
    path = out / "config.toml"
    if not path.exists():
        raise ConfigError(f"{out} holds no run to resume: {path} is missing")
    return build(RunConfig, read_toml(path), str(path))
