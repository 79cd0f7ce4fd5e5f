"""From a configuration to its parts: which method, which sentences, which device, which networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from fewtag.data.amounts import parse_amounts
from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.encoders import CompactEncoder, Encoder, build_encoder
from fewtag.errors import ConfigError, SetupError, unknown
from fewtag.learning.learner_config import LearnerConfig
from fewtag.learning.seeding import stable_seed
from fewtag.methods import METHODS, default_for, resolve, row
from fewtag.methods.method import Method, Stage
from fewtag.methods.pretraining import Pretrained
from fewtag.tagger.cores import granted
from fewtag.tagger.encoder_folder import weights_of
from fewtag.tagger.precision import has_bf16, use_bf16
from fewtag.tagger.tagger import Tagger
from fewtag.training.run_config import STEPS, RunConfig

# Of pre-training over the raw text at most, where a method's row asks for it: more of them on little text cost F1; LOG.md 2026-11-27
PASSES = 10


def choose_method(config: RunConfig, data: LowResource) -> tuple[str, list[str]]:
    """The method's name with ``auto`` resolved, and what to tell the user about it.

    Raises:
        ConfigError: for an unknown method, or one that needs raw text where there is none.
    """
    name = str(config.method.get("name", "auto"))
    if config.pretraining.steps and not any(data.unlabeled.values()):
        raise ConfigError("pretraining.steps needs raw text: put unlabeled.txt beside train.conll, or set pretraining.steps to 0")
    usable = [lang for lang, some in data.unlabeled.items() if some and data.labeled.get(lang)]
    notes = []
    if name == "auto":
        name = default_for(config.tagger.encoder) if usable else "supervised-multi"
        why = "there is raw text" if usable else "there is no raw text (unlabeled.txt beside train.conll would be used)"
        notes = [f"method {name}, because {why}"]
    if not row(name).uses_raw_text:
        return name, notes
    if not usable:
        raise ConfigError(
            f"method {name} learns from raw text, and no language has both labeled and raw sentences: put unlabeled.txt beside "
            "train.conll, keep only a part of the labels with --labeled 10%, or use --method supervised-multi"
        )
    unused = [lang for lang, some in data.unlabeled.items() if some and not data.labeled.get(lang)]
    where = "read in pre-training alone" if asked_pretraining(config, name) else "not used"
    notes += [f"the raw text of {lang} is {where}: {lang} has no labeled sentence" for lang in unused]
    bare = [lang for lang, some in data.labeled.items() if some and not data.unlabeled.get(lang)]
    notes += [f"{lang} has no raw text: its labeled sentences, their tags taken off, stand for it" for lang in bare]
    return name, notes


def asked_pretraining(config: RunConfig, name: str) -> int:
    """Steps of pre-training at most: what the configuration says, or a method's row where nobody has set a number."""
    return config.pretraining.steps if "steps" in config.pretraining.model_fields_set else row(name).pretraining


def settled(config: RunConfig, name: str, num_raw: int) -> RunConfig:
    """The configuration with what a method's row asks for besides: its pre-training, where nobody has set a number of steps.

    Args:
        config: as the user wrote it.
        name: of the method.
        num_raw: raw sentences of all languages; the row's steps read each of them `PASSES` times at most.
    """
    asked = asked_pretraining(config, name)
    if asked == config.pretraining.steps:
        return config
    own = config.pretraining
    steps = min(asked, math.ceil(PASSES * num_raw / own.batch_size))
    return config.model_copy(update={"pretraining": own.model_copy(update={"steps": steps})})


def guard_of(config: RunConfig, name: str) -> bool | Literal["clear"]:
    """Whether, and how, a run of this method is guarded."""
    return row(name).guard if config.train.guard == "auto" else config.train.guard


def check_languages(config: RunConfig, corpus: Corpus) -> None:
    """Refuse a language, a weight or an amount of one, that the corpus does not have.

    Raises:
        ConfigError: with the nearest that it has.
    """
    for where, named in (("data.languages", config.data.languages), ("sampling.raw_weights", config.sampling.raw_weights)):
        for language in named:
            if language not in corpus.languages:
                raise ConfigError(f"{where}: {unknown('language', language, corpus.languages)}")
    for amounts in (parse_amounts(config.data.labeled), parse_amounts(config.data.unlabeled, "unlabeled")):
        amounts.check(corpus.languages)


def idle_steps(config: RunConfig, name: str, stages: Sequence[Stage]) -> list[str]:
    """What to tell the user of numbers of steps that no stage takes.

    Args:
        config: as the user wrote it.
        name: of the method.
        stages: its stages.
    """
    taken = {stage.effort for stage in stages}
    idle = [key for effort, key in STEPS.items() if effort not in taken and getattr(config.train, key) != "auto"]
    return [f"train.{key}={getattr(config.train, key)} changes nothing: {name} has no stage that takes it" for key in idle]


def sample(config: RunConfig, corpus: Corpus) -> LowResource:
    """The labeled and raw sentences a run may see."""
    labeled = config.data.labeled
    name = str(config.method.get("name", "auto"))
    if name in METHODS and METHODS[name].data == "all":
        labeled = "100%"
    seed = config.train.seed if config.data.seed is None else config.data.seed
    languages = config.data.languages or None
    return LowResource.sample(
        corpus,
        labeled=labeled,
        seed=seed,
        languages=languages,
        dev_size=config.data.dev,
        dev_like=config.data.labeled,
        unlabeled=config.data.unlabeled,
    )


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
    if not seconds > 0:  # nan is not
        raise ConfigError(f"max_time {text!r} must be more than nothing")
    return seconds


def tagger_maker(name: str, config: RunConfig, data: LowResource) -> tuple[Callable[[str], Tagger], LearnerConfig]:
    """What makes fresh taggers for a method's roles, and their optimizer's settings.

    Both networks of a pair get the same head (ambiguity A21), members of an ensemble each their own; a role that begins with
    ``compact-`` gets the built-in encoder whatever the run has.
    """
    found, device = row(name), pick_device(config.train.device)
    decoding = found.decoding if config.tagger.decoding == "auto" else config.tagger.decoding
    learner = config.train.learner()
    # "auto" leaves the choice to the row; a configuration that was read back from a run folder sets every key.
    free = {key for key, value in learner if key not in config.train.model_fields_set or value == "auto"}
    learner = learner.model_copy(update={key: value for key, value in found.learner.items() if key in free})

    def make_tagger(role: str) -> Tagger:
        apart = role.startswith(("member-", "compact-"))
        torch.manual_seed(stable_seed(config.train.seed, "weights", *([role] if apart else [])))
        wanted = CompactEncoder.kind if role.startswith("compact-") else config.tagger.encoder
        encoder = build_encoder(wanted, max_length=config.tagger.max_length)
        languages = sorted(data.labeled)
        tagger = Tagger(encoder, data.tag_set, languages=languages, decoding=decoding, dropout=config.tagger.dropout)
        encoder.bf16 = use_bf16(config.tagger.precision, device, encoder)
        return tagger.to(device)

    return make_tagger, learner


def build_method(name: str, config: RunConfig, data: LowResource) -> Method:
    """A method with fresh taggers, and with pre-training in front where the configuration asks for it.

    Raises:
        ConfigError: for a method that is to hear a tagger from before a pre-training where there is none.
    """
    make_tagger, learner = tagger_maker(name, config, data)
    settings = resolve(name, {key: value for key, value in config.method.items() if key != "name"})
    method = row(name).method(settings, make_tagger, learner)
    if not config.pretraining.steps:
        if method.hears_bare:
            raise ConfigError("method.hears_bare is about the tagger from before a pre-training, and there is none; set pretraining.steps")
        return method
    return Pretrained(method, config.pretraining, make_tagger, learner, guarded=bool(guard_of(config, name)))


def machine(config: RunConfig) -> dict[str, Any]:
    """What ``env.json`` records of the machine: a score in the last digits, and every time, depends on it.

    Raises:
        SetupError: when the configured device is not there.
    """
    device = pick_device(config.train.device)
    kind = CompactEncoder if config.tagger.encoder == CompactEncoder.kind else Encoder
    most = granted() if kind.gains_from_threads else 1
    threads = min(torch.get_num_threads(), most) if config.train.threads == "auto" else config.train.threads
    fast = has_bf16(device)
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {"device": str(device), **gpu, "threads": threads, "fast_bf16": fast, "precision": config.tagger.precision}


def describe(data: LowResource, corpus: Corpus, encoder: str) -> dict[str, Any]:
    """What ``data.json`` records: hashes, of an encoder folder, too, counts, and the ids of the labeled sentences."""
    weights = weights_of(encoder)
    return {
        "files": {str(path): digest for path, digest in sorted(corpus.files.items())},
        **({"encoder": weights} if weights else {}),
        "labels": list(data.tag_set.labels),
        **({"own_dev": list(data.own_dev)} if data.own_dev else {}),
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
