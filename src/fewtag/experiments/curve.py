"""The label curve: the same training at several numbers of labels, to see what more of them would bring.

Within a seed the samples are nested: every sentence of a smaller one is in the larger ones. Dev stays the same, so do the steps' settings.
Languages grow together: a point has the same share of each language's labeled sentences.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from fewtag.config import Config
from fewtag.data.arrays import Joined, without_tags
from fewtag.data.corpus import Corpus
from fewtag.data.files import read_json, write_text
from fewtag.data.low_resource import LowResource
from fewtag.errors import ConfigError
from fewtag.experiments.forecast import Forecast, forecast
from fewtag.experiments.saturation import Curve
from fewtag.text.sentence import Sentence
from fewtag.training.folder import RunFolder, digest_of
from fewtag.training.prepare import choose_method, sample
from fewtag.training.result import RunResult
from fewtag.training.run import run
from fewtag.training.run_config import RunConfig


class CurveConfig(Config):
    """What to measure. The paper has no such curve; its Figure 2 varies the share of labels from 0.1 to 0.5."""

    points: int = Field(default=5, ge=3)  # sizes, each half of the next; three is the least a curve of three values needs
    seeds: int = Field(default=3, ge=1)  # as many runs at each size, each with other sentences
    target: float = Field(default=80.0, gt=0, le=100)  # F1 in percent to forecast the labels for
    on: str = "dev"  # the split that scores: test is left to the end

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the labeled sentences, smallest first."""
        return tuple(0.5**k for k in reversed(range(self.points)))


@dataclass(frozen=True)
class Measurement:
    """One run of a curve.

    Args:
        share: of the labeled sentences.
        seed: of the sample and the run.
        labeled: sentences by language.
        f1: by language, in percent.
        seconds: of training.
    """

    share: float
    seed: int
    labeled: dict[str, int]
    f1: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Outlook:
    """A measured curve with its forecasts.

    Args:
        method, encoder, mode, on: what was trained and how it was scored.
        measurements: every run.
        forecasts: by language.
        curves: by language, where one could be fitted; not part of the JSON.
    """

    method: str
    encoder: str
    mode: str
    on: str
    measurements: list[Measurement]
    forecasts: dict[str, Forecast]
    curves: dict[str, Curve]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "method": self.method,
            "encoder": self.encoder,
            "mode": self.mode,
            "on": self.on,
            "forecasts": {language: each.to_json() for language, each in self.forecasts.items()},
            "measurements": [vars(each) for each in self.measurements],
        }


def shrunk(data: LowResource, share: float, seed: int) -> LowResource:
    """The same data with fewer labels; the sentences that lose them become raw text. Smaller shares are nested in larger ones.

    Args:
        data: with all the labels that there are.
        share: of each language's labeled sentences that keep their tags, at least one.
        seed: of the choice, by language independent of the others.
    """
    labeled: dict[str, Sequence[Sentence]] = {}
    unlabeled = dict(data.unlabeled)
    for language, some in data.labeled.items():
        order = list(range(len(some)))
        random.Random(f"{seed}/{language}/curve").shuffle(order)
        count = _kept(share, len(some))
        labeled[language] = [some[place] for place in sorted(order[:count])]
        rest = without_tags([some[place] for place in sorted(order[count:])])
        parts = [part for part in (rest, unlabeled.get(language, [])) if len(part)]
        if parts:
            unlabeled[language] = parts[0] if len(parts) == 1 else Joined(tuple(parts))
    note = f"{100 * share:g} % of the labels, as a point of a label curve"
    return replace(data, labeled=labeled, unlabeled=unlabeled, notes=[*data.notes, note] if share < 1 else data.notes)


def distinct(shares: Sequence[float], data: LowResource) -> list[float]:
    """Shares that keep different sentences, the largest of those that keep the same: of five labels a fifth and a tenth are both one."""
    by_counts = {tuple(_kept(share, len(some)) for some in data.labeled.values()): share for share in sorted(shares)}
    return sorted(by_counts.values())


def _kept(share: float, labeled: int) -> int:
    """How many of a language's labeled sentences keep their tags."""
    return max(1, round(share * labeled))


def measure(
    config: RunConfig,
    plan: CurveConfig,
    out: Path,
    *,
    corpus: Corpus | None = None,
    force: bool = False,
    listener: Callable[[str], None] = lambda sentence: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Outlook:
    """Train at every size and look ahead. Finished runs found in ``out`` are taken as they are, broken ones are resumed.

    Args:
        config: of every run; its seed is the first.
        plan: what to measure.
        out: folder for the runs (``runs/``).
        corpus: already loaded; None loads the configured folder.
        force: replace the curve of another configuration; its runs stay.
        listener: is told what is done.
        interrupted: asked after every step; True stops, and the same call goes on later.

    Raises:
        ConfigError: when the split to score on is not there, when ``out`` holds something else, or as `fewtag.training.run.run`.
    """
    if plan.on not in ("dev", "test"):
        raise ConfigError(f"a curve is scored on dev or test, not on {plan.on!r}")
    corpus = corpus or Corpus.from_dir(config.data_dir, languages=config.data.languages or None, arrays=True)
    corpus.problems.raise_for_errors()
    found: list[Measurement] = []
    whole = sample(config, corpus)
    # Decided once, where there is least raw text: a curve must not change its method between two points, nor find out at its last that
    # there is nothing to learn from.
    method, told = choose_method(config, whole)
    if plan.on == "test" and not any(whole.test.values()):
        raise ConfigError(f"{corpus.name} has no test split to score on; leave --on out")
    _take(config, plan, out, force=force)
    shares = distinct(plan.shares, whole)
    same = "of the labels are the same sentences as a larger share: not trained"
    for note in (*whole.notes, *told, *(f"{100 * share:g} % {same}" for share in plan.shares if share not in shares)):
        listener(note)
    for seed in range(config.train.seed, config.train.seed + plan.seeds):
        # No intervals: they say how sure one run's score is, and a curve asks how scores of several runs differ.
        train, scoring = config.train.model_copy(update={"seed": seed}), config.evaluation.model_copy(update={"bootstrap": 0})
        own = config.model_copy(update={"train": train, "evaluation": scoring, "method": {**config.method, "name": method}})
        whole = sample(own, corpus)
        for share in shares:
            result = _one(own, shrunk(whole, share, seed), corpus, out, share, interrupted)
            report = result.dev if plan.on == "dev" else result.test
            assert report is not None, "the corpus has a test split, so the run has test scores"
            labeled = {language: len(some) for language, some in _labeled(result).items()}
            f1 = {language: part.score.f1 for language, part in report.by_language.items()}
            found.append(Measurement(share, seed, labeled, f1, result.seconds))
            place = f"{len(found)}/{plan.seeds * len(shares)}"
            listener(f"{place}  seed {seed}  {sum(labeled.values())} labeled sentences  {plan.on} F1 {report.average_f1:.2f}")
    return look_ahead(found, plan, method, config)


def _take(config: RunConfig, plan: CurveConfig, out: Path, *, force: bool) -> None:
    """Refuse a folder that holds another curve; note there which curve it holds."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder for the curve")
    mark, own = out / "plan.json", {"digest": digest_of(config), **plan.model_dump()}
    held = read_json(mark) if mark.exists() else None
    # More points, more seeds or another target go on with the same runs.
    other = held is not None and (held["digest"], held["on"]) != (own["digest"], own["on"])
    if not force and (other or (held is None and out.exists() and any(out.iterdir()))):
        what = "the curve of another configuration" if other else "other files"
        raise ConfigError(f"{out} holds {what}; give another -o, or --force to replace its curve (finished runs stay)")
    write_text(mark, json.dumps(own, indent=1) + "\n")


def look_ahead(found: Sequence[Measurement], plan: CurveConfig, method: str, config: RunConfig) -> Outlook:
    """Forecasts from measurements, for every language that has labels and was scored."""
    forecasts, curves = {}, {}
    for language in sorted({language for each in found for language in each.labeled if language in each.f1}):
        own = [each for each in found if language in each.labeled and language in each.f1]
        forecasts[language], curve = forecast(
            language, [each.labeled[language] for each in own], [each.f1[language] for each in own], plan.target, seed=config.train.seed
        )
        if curve is not None:
            curves[language] = curve
    return Outlook(method, config.tagger.encoder, config.evaluation.mode, plan.on, list(found), forecasts, curves)


def _one(config: RunConfig, data: LowResource, corpus: Corpus, out: Path, share: float, interrupted: Callable[[], bool]) -> RunResult:
    folder = out / "runs" / f"{digest_of(config)}-{100 * share:g}"
    begun = RunFolder(folder).is_begun()
    return run(config, folder, corpus=corpus, data=data, resume=begun, force=not begun, interrupted=interrupted)


def _labeled(result: RunResult) -> dict[str, list[str]]:
    return dict(read_json(result.folder / "data.json")["labeled_ids"])
