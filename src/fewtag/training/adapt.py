"""An encoder made familiar with raw text, once for all runs that start from it: ``fewtag pretrain``.

What `fewtag.methods.pretraining` does in front of a method, alone. Where many methods, seeds or labelings start from one encoder, it is
paid for once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fewtag.data.arrays import Joined, without_tags
from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import ByLanguage, LowResource
from fewtag.encoders import CompactEncoder
from fewtag.errors import ConfigError, DataError
from fewtag.methods.pretraining import WordGuessing
from fewtag.tagger.encoder_folder import save_encoder
from fewtag.text.tags import TagSet
from fewtag.training.drive import Drive, Listener
from fewtag.training.folder import RunFolder
from fewtag.training.journal import Journal, read_events
from fewtag.training.prepare import describe, machine, tagger_maker
from fewtag.training.run_config import RunConfig

STEPS = 2000  # of `fewtag pretrain`: as in LOG.md 2026-11-25
_CARD = """# {name}, adapted

The encoder {name} after {steps} steps of guessing hidden words in {sentences} raw sentences of {languages}. Made by `fewtag pretrain`;
`fewtag train --encoder` takes this folder, and transformers opens it.
"""


@dataclass(frozen=True)
class Adapted:
    """What came of it.

    Args:
        folder: of the run.
        encoder: folder to give as ``--encoder``.
        steps: taken.
        seconds: of training.
        first, last: mean loss of the first and the last hundred steps (fewer where fewer were taken), in nats per piece asked for.
    """

    folder: Path
    encoder: Path
    steps: int
    seconds: float
    first: float
    last: float


def adapt(
    config: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    listener: Listener = lambda event: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Adapted:
    """Pre-train an encoder on the text of train and the raw text, tags left out, and write it to ``out/encoder``.

    Args:
        config: ``data``, ``tagger``, ``pretraining``, ``train`` and ``sampling`` count.
        out: the run folder.
        resume: go on from the newest checkpoint in ``out``.
        force: replace a run that is there.
        listener, interrupted: see `fewtag.training.run.run`.

    Raises:
        ConfigError, DataError, SetupError: for what the user can mend.
        Interrupted: after ``interrupted`` said so.
    """
    if config.tagger.encoder == CompactEncoder.kind:
        raise ConfigError(
            "compact is built in and learns from nothing each time: give --encoder, or train with --set pretraining.steps=2000"
        )
    if not config.pretraining.steps:
        raise ConfigError("pretraining.steps is 0, so there is nothing to do; give --steps 2000")
    folder = RunFolder(out)
    corpus = Corpus.from_dir(config.data_dir, languages=config.data.languages or None, arrays=True)
    corpus.problems.raise_for_errors()
    raw = raw_text(corpus)
    data = LowResource({}, raw, {}, {}, {}, TagSet(()), "", config.train.seed)  # not even how many labels there are
    described = {"for": "pretraining", **describe(data, corpus, config.tagger.encoder)}
    folder.check(resume or force)
    if resume:
        folder.check_data(described)
        if folder.encoder.exists():
            listener(f"{out} is finished already; nothing is left to do")
            return _found(folder)
    make_tagger, learner = tagger_maker("supervised-multi", config, data)
    method = WordGuessing(config.pretraining, make_tagger, learner)
    this = Drive(config, folder, data, "supervised-multi", listener, method)
    if not resume:
        folder.begin(config, described, machine(config), force=force)
    journal = Journal(folder.events, this.restore() if resume else 0)
    try:
        if not journal.size:
            journal.write("begin", encoder=config.tagger.encoder, seed=config.train.seed)
        seconds = this.train(journal, interrupted)
        steps = this.position.total_steps
        journal.write("end", steps=steps, seconds=seconds)
    finally:
        journal.close()
    sentences, languages = f"{sum(map(len, raw.values())):,}", ", ".join(sorted(raw))
    with method.learner.settled():  # last of all: its presence says that the run is whole
        card = _CARD.format(name=config.tagger.encoder, steps=steps, sentences=sentences, languages=languages)
        save_encoder(method.guesser.encoder, folder.encoder, card=card)
    this.checkpoints.clear()
    return _found(folder)


def raw_text(corpus: Corpus) -> ByLanguage:
    """Every sentence of train and of the raw text by language, without tags; dev and test stay out.

    Raises:
        DataError: when there is none.
    """
    found: ByLanguage = {}
    for language, splits in corpus.sentences.items():
        parts = tuple(without_tags(splits[split]) for split in ("train", "unlabeled") if splits.get(split))
        if parts:
            found[language] = parts[0] if len(parts) == 1 else Joined(parts)
    if not found:
        raise DataError(f"{corpus.name}: no text to learn from; put train.conll or unlabeled.txt into a language's folder")
    return found


def _found(folder: RunFolder) -> Adapted:
    events = read_events(folder.events)
    losses = [event["losses"]["masked words"] for event in events if event["event"] == "losses"] or [float("nan")]
    end = events[-1]
    return Adapted(folder.path, folder.encoder, int(end["steps"]), float(end["seconds"]), losses[0], losses[-1])
