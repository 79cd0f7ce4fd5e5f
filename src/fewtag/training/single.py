"""``supervised-single``: one run per language, merged into one report (paper 5.1, "Single")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fewtag.data.corpus import Corpus
from fewtag.data.low_resource import LowResource
from fewtag.errors import ConfigError, DataError
from fewtag.evaluation import Report
from fewtag.training.deliver import finish
from fewtag.training.drive import Listener
from fewtag.training.folder import RunFolder, digest_of
from fewtag.training.prepare import parse_time
from fewtag.training.result import RunResult
from fewtag.training.run_config import RunConfig


def check_alone(data: LowResource, config: RunConfig) -> None:
    """Refuse, before any is trained, a language whose tagger could not know when to stop, or could not be pre-trained as it is to be.

    Raises:
        ConfigError, DataError: naming it.
    """
    blind = [language for language, some in sorted(data.labeled.items()) if some and not data.dev.get(language)]
    if blind:
        raise DataError(
            f"{blind[0]} has labeled sentences and no dev set, which a tagger of its own needs to know when to stop: "
            f"give it a dev file, leave {blind[0]} out with --langs, or use --method supervised-multi"
        )
    weights = config.sampling.raw_weights
    mute = [each for each, some in sorted(data.labeled.items()) if some and not (data.unlabeled.get(each) and weights.get(each, 1))]
    if config.pretraining.steps and mute:
        raise ConfigError(
            f"pretraining.steps={config.pretraining.steps}: {mute[0]} has no raw text to pre-train a tagger of its own on: give it some, "
            f"leave {mute[0]} out with --langs, or use --method supervised-multi"
        )


# Steps no supervised tagger takes: that they change nothing is said of the whole run, not of each language again
_SAID_ABOVE = {"semi_supervised_steps": "auto", "finetune_steps": "auto"}


def run_single(
    run: Callable[..., RunResult],
    config: RunConfig,
    folder: RunFolder,
    corpus: Corpus,
    data: LowResource,
    resume: bool,
    listener: Listener,
    interrupted: Callable[[], bool],
    notes: list[str],
) -> RunResult:
    """Train a tagger for each language alone with ``run``; each has a run folder of its own in ``languages/``.

    Finished languages are taken as they are when the run resumes.
    """
    results: dict[str, RunResult] = {}
    languages = [language for language in sorted(data.labeled) if data.labeled[language]]
    spent = config.train.max_time and f"{parse_time(config.train.max_time) / len(languages):g}s"
    share = None if config.train.passes is None else max(1, config.train.passes // len(languages))
    for language in languages:
        alone = replace(
            data,
            labeled={language: data.labeled[language]},
            unlabeled={language: data.unlabeled.get(language, [])},
            dev={language: data.dev[language]},
            test={language: data.test[language]} if data.test.get(language) else {},
            notes=[],
        )
        part = config.model_copy(
            update={
                "method": {**config.method, "name": "supervised-multi"},
                "data": config.data.model_copy(update={"languages": (language,)}),
                "train": config.train.model_copy(update={"passes": share, "max_time": spent, **_SAID_ABOVE}),
            }
        )
        place = folder.path / "languages" / language
        listener(f"language {language}")
        begun = resume and RunFolder(place).is_begun()
        results[language] = run(
            part, place, corpus=corpus, data=alone, resume=begun, force=resume, listener=listener, interrupted=interrupted
        )
    reports = {"dev": Report.merge([result.dev for result in results.values()])}
    tests = [result.test for result in results.values() if result.test is not None]
    if tests:
        reports["test"] = Report.merge(tests)
    seconds, steps, passes = (sum(getattr(r, cost) for r in results.values()) for cost in ("seconds", "steps", "passes"))
    finish(reports, None, data, config, folder, "supervised-single", seconds, steps, passes, notes)
    return RunResult(
        folder.path, "supervised-single", reports["dev"], reports.get("test"), seconds, steps, passes, digest_of(config), tuple(notes)
    )
