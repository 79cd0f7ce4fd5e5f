"""One run: a configuration and a corpus in; a run folder with a tagger and its scores out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fewtag.config import build, merge, nest, read_toml
from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.errors import ConfigError
from fewtag.methods import row
from fewtag.training.deliver import deliver
from fewtag.training.drive import Drive, Listener
from fewtag.training.folder import RunFolder, digest_of
from fewtag.training.journal import Journal, read_events
from fewtag.training.prepare import check_languages, choose_method, describe, idle_steps, machine, sample, settled
from fewtag.training.pseudo_quality import judge
from fewtag.training.result import RunResult, finished_result
from fewtag.training.run_config import RunConfig
from fewtag.training.single import check_alone, run_single
from fewtag.training.start import read_start


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
    corpus = corpus or Corpus.from_dir(config.data_dir, languages=config.data.languages or None, arrays=True)
    corpus.problems.raise_for_errors()
    check_languages(config, corpus)
    data = data or sample(config, corpus)
    described = describe(data, corpus, config.tagger.encoder)
    folder.check(resume or force)
    if resume:
        folder.check_data(described)
    name, notes = choose_method(config, data)
    config = settled(config, name, sum(map(len, data.unlabeled.values())))
    notes = [*data.notes, *notes]
    for note in notes:
        listener(note)
    if resume and folder.is_finished():
        listener(f"{out} is finished already; nothing is left to do")
        return finished_result(folder)
    single = row(name).data == "single"
    if single:
        check_alone(data, config)
    # Built before anything is written: what cannot be built must not leave a run folder behind.
    this = Drive(config, folder, data, "supervised-multi" if single else name, listener)
    fresh = not (resume and this.checkpoints.paths())
    start = read_start(Path(config.train.start), this.method, described) if config.train.start and fresh else None
    stages = this.method.stages()
    for stage in stages:
        this.draw.check(stage)
    later = idle_steps(config, name, stages)
    if config.train.start:
        later.append(f"begins with the tagger of {config.train.start}; what that one cost is counted in this run's costs")
    for note in later:
        listener(note)
    notes += later
    if not resume:
        folder.begin(config, described, machine(config), force=force)
    if single:
        return run_single(run, config, folder, corpus, data, resume, listener, interrupted, notes)
    kept = this.restore() if resume else 0
    journal = Journal(folder.events, kept)
    try:
        if not kept and start is not None:
            this.begin_with(start)
        if not kept:
            journal.write(
                "begin", method=name, encoder=config.tagger.encoder, seed=config.train.seed, digest=digest_of(config), notes=notes
            )
        seconds = this.train(journal, interrupted)
        if this.cut_short:
            notes.append(f"max_time {config.train.max_time} ended the stages {', '.join(this.cut_short)} early")
        if this.verdict:
            notes.append(this.verdict)
            listener(this.verdict)
        if folder.pseudo.exists():
            quality = judge(read_events(folder.pseudo), data.hidden, config.evaluation.mode)
            if quality is not None:
                folder.write_json(folder.quality.name, quality.to_json())
                notes.append(quality.sentence)
        steps, passes = this.position.total_steps, this.position.passes
        dev, test = deliver(this.method.delivered.tagger, data, config, folder, name, seconds, steps, passes, notes)
        journal.write("end", dev_f1=dev.average_f1, test_f1=test.average_f1 if test else None, seconds=seconds)
    finally:
        journal.close()
    this.checkpoints.clear()
    return RunResult(out, name, dev, test, seconds, steps, passes, digest_of(config), tuple(notes))


def resume_config(out: Path) -> RunConfig:
    """The configuration a run was begun with.

    Raises:
        ConfigError: when ``out`` holds no run.
    """
    path = out / "config.toml"
    if not path.exists():
        raise ConfigError(f"{out} holds no run to resume: {path} is missing")
    return build(RunConfig, read_toml(path), str(path))


def train(
    data: Corpus | Path | str,
    out: Path | str,
    *,
    method: str = "auto",
    encoder: str = "compact",
    labeled: str = "100%",
    seed: int = 13,
    resume: bool = False,
    force: bool = False,
    listener: Listener = lambda event: None,
    **settings: Any,
) -> RunResult:
    """Train, evaluate and package a tagger from Python: what ``fewtag train`` does.

    Args:
        data: a corpus, or a data folder.
        out: the run folder to write.
        method: a name of ``fewtag.methods.METHODS``; ``auto`` takes the default where there is raw text, see `fewtag.methods.default_for`.
        encoder: ``compact``, a folder, or the name of a Hugging Face encoder.
        labeled: what of train keeps its labels: ``"1%"``, ``"200"``, ``"5shot"``.
        seed: of the sample, the weights and every draw.
        resume, force: as for `run`.
        listener: is told of progress.
        settings: any other value, dots as two underscores: ``method__threshold=0.7, train__max_time="30m"``.

    Returns:
        The result; ``fewtag.load(result.model)`` is the tagger.

    Raises:
        ConfigError, DataError, SetupError: for what the user can mend.
    """
    corpus = data if isinstance(data, Corpus) else None  # of a folder `run` reads only the languages that are asked for
    folder = str(data) if corpus is None else corpus.name
    given = {"data.dir": folder, "data.labeled": labeled, "method.name": method, "tagger.encoder": encoder, "train.seed": seed}
    values: dict[str, Any] = {}
    for key, value in {**given, **settings}.items():
        values = merge(values, nest(key.replace("__", "."), value))
    return run(build(RunConfig, values, "train()"), Path(out), corpus=corpus, resume=resume, force=force, listener=listener)
