"""One call from data folders to tables: plan the grid, run it, test the differences, write every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewtag.config import merge, nest, words_of
from fewtag.data.corpus import Corpus
from fewtag.data.files import write_text
from fewtag.errors import ConfigError
from fewtag.evaluation.bootstrap import check_resamples
from fewtag.experiments import render
from fewtag.experiments.claims import RESAMPLES, compare_groups
from fewtag.experiments.compare_page import compare_page
from fewtag.experiments.engines import Engine, Here, engine_of
from fewtag.experiments.grid import Watch, discard, run_grid
from fewtag.experiments.plan import Cell, check_encoder, kind_of, plan, short_name
from fewtag.experiments.published import published
from fewtag.experiments.results import Results, collect, statistics_of, versions_of
from fewtag.experiments.summary import summaries
from fewtag.experiments.tables import Table, all_tables
from fewtag.experiments.variants import Variant, rows, variant
from fewtag.methods import DEFAULT, METHODS, default_for, row
from fewtag.training.folder import RunFolder
from fewtag.training.prepare import asked_pretraining, check_languages, guard_of
from fewtag.training.run_config import RunConfig

_OURS = (DEFAULT, "metats", "smooth-metats", "metats-paper")  # after the default of the encoders
_START = "supervised-multi"
_TABLES = ("main-", "curve-", "ablations.", "statistics.")  # how the names of our tables begin


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Args:
        out: its folder.
        results: what ``compare.json`` holds.
    """

    out: Path
    results: Results

    @property
    def tables(self) -> list[Table]:
        """Every table."""
        return all_tables(self.results)

    def __str__(self) -> str:
        return "\n".join(render.text(table) for table in self.tables)


def compare(
    data: Corpus | Path | str | Sequence[Path | str],
    methods: Sequence[str] | None = None,
    *,
    out: Path | str = "runs/compare",
    labeled: Sequence[str] = ("100%",),
    seeds: int | Sequence[int] = 5,
    encoders: Sequence[str] = ("compact",),
    ours: str | None = None,
    jobs: int = 1,
    engine: str = "processes",
    equal_budget: bool = False,
    shared_start: bool = False,
    published_as: str = "",
    bootstrap: int = RESAMPLES,
    force: bool = False,
    settings: Mapping[str, Any] | None = None,
    variants: Sequence[Variant | str] = (),
    command: str = "",
    watch: Watch = lambda board: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Comparison:
    """Run every method on every corpus, fraction, encoder and seed, and write the paper's tables: what ``fewtag compare`` does.

    Args:
        data: a data folder, several, or a corpus; a corpus runs in this process.
        methods: names of ``METHODS``; None: those without raw text, and the default of training.
        out: run folders, tables and ``compare.json`` go there; finished runs found there are reused. Where no run has finished, what an
            earlier call left there stays.
        labeled: ``"1%"``, ``"200"``, ``"5shot"``; several give the data of Figure 2.
        seeds: how many (from 1), or which.
        encoders: ``compact``, folders, names.
        ours: the method the others are compared with; None: the default of training, else metats, smooth-metats or metats-paper, else the
            last that is no upper bound.
        jobs: cells at a time.
        engine: ``"processes"`` or ``"ray"``.
        equal_budget: run everything once more with as many encoder passes for each as the longest run of its group took; the tables are
            then of those runs.
        shared_start: methods on raw text go on from the supervised-multi of their seed instead of repeating its training, so that they
            differ in what they make of raw text alone.
        published_as: ``o-ner``, ``e2e-absa`` or ``e-ner``: the paper's numbers stand beside ours.
        bootstrap: resamples of the test over sentences; 0: none.
        force: run finished cells again.
        settings: configuration of every run, dots or two underscores between the names: ``{"train.lr": 1e-4}``; those of ``method`` go to
            the methods that have them.
        variants: methods under settings of their own, as further rows: ``"soft=metats: method.labels=soft"``; one that has its method's
            name takes its place.
        command: to stand in the results.
        watch: is shown the board after every event.
        interrupted: asked often; True stops after a checkpoint of what runs.

    Raises:
        ConfigError, DataError, SetupError: for what the user can mend.
        Interrupted: after ``interrupted`` said so.
    """
    defaults = list(dict.fromkeys(map(default_for, encoders)))
    methods = [*(name for name, each in METHODS.items() if not each.uses_raw_text), *defaults] if methods is None else methods
    more_rows = [variant(each) if isinstance(each, str) else each for each in variants]
    check_resamples(bootstrap)
    out, values = Path(out), dict[str, Any]()
    for key, value in (settings or {}).items():
        values = merge(values, nest(key.replace("__", "."), value) if not isinstance(value, Mapping) else {key: value})
    if published_as:
        published(published_as)
    chosen = list(range(1, seeds + 1)) if isinstance(seeds, int) else list(seeds)
    folders, corpora, runner = _data(data, values, engine, jobs)

    own_dev = {name for name, corpus in corpora.items() if any(s.get("train") and not s.get("dev") for s in corpus.sentences.values())}

    def planned(**more: Any) -> list[Cell]:
        changed = merge(values, more)
        return plan(
            folders, methods, labeled=labeled, seeds=chosen, encoders=encoders, settings=changed, variants=more_rows, own_dev=own_dev
        )

    def check(cells: Sequence[Cell]) -> None:
        for cell in cells if engine == "processes" else ():  # a cluster's machines may have what this one has not
            if force or not RunFolder(out / "cells" / cell.name).is_finished():  # tables of finished runs need no encoder
                check_encoder(cell.encoder)

    cells = planned()
    for cell in cells:
        check_languages(cell.config, corpora[cell.corpus])
    chief = _ours(ours, rows(methods, more_rows), defaults)
    if not force:
        _check_place(out)
    failed = {}
    firsts = [cell for cell in cells if cell.method == _START] if shared_start else []
    if shared_start:
        if not firsts:
            raise ConfigError(f"a shared start needs {_START} among the methods")
        cells = _from_shared_start(cells, out)
    check(cells)
    if force:
        discard(cells, out)
    if firsts:
        failed = run_grid(firsts, out, runner, corpora, watch=watch, interrupted=interrupted)
    known = {cell.name: cell for cell in cells}
    failed |= run_grid(cells, out, runner, corpora, watch=watch, interrupted=interrupted)
    if equal_budget:
        cells = _at_equal_cost(cells, out)
        if force:
            discard([cell for cell in cells if cell.name not in known], out)
        known |= {cell.name: cell for cell in cells}
        failed |= run_grid(cells, out, runner, corpora, watch=watch, interrupted=interrupted)
    failed = {name: why for name, why in failed.items() if not RunFolder(out / "cells" / name).is_finished()}
    runs = collect(cells, out)
    results = Results(
        chief,
        runs,
        [_failure(known[name], reason) for name, reason in failed.items()],
        statistics_of(corpora),
        command=command,
        versions=versions_of(cells, out),
        published=published_as,
    )
    if runs:
        results = replace(results, tests=compare_groups(results, out, resamples=bootstrap))
    if runs or not (out / "compare.json").exists():
        write(results, out)
    return Comparison(out, results)


def write(results: Results, out: Path) -> list[Path]:
    """``compare.json``, ``compare.md``, the page ``compare.html``, and each table as Markdown, LaTeX and CSV in ``tables``.

    Args:
        results: to write.
        out: the folder.

    Returns:
        What was written.
    """
    tables = all_tables(results)
    results.save(out / "compare.json", summaries=summaries(results))
    write_text(out / "compare.md", render.document(tables))
    write_text(out / "compare.html", compare_page(results))
    written = [out / "compare.json", out / "compare.md", out / "compare.html"]
    for table in tables:
        for suffix, make in (("md", render.as_markdown), ("tex", render.latex), ("csv", render.as_csv)):
            written.append(out / "tables" / f"{table.name}.{suffix}")
            write_text(written[-1], make(table))
    for path in (out / "tables").glob("*"):  # of another command: tables of two must not stand side by side
        if path not in written and path.suffix in (".md", ".tex", ".csv") and path.name.startswith(_TABLES):
            path.unlink()
    return written


def _data(
    data: Corpus | Path | str | Sequence[Path | str], settings: Mapping[str, Any], engine: str, jobs: int
) -> tuple[list[Path], dict[str, Corpus], Engine]:
    """Folders, corpora by name, and where the cells run."""
    if isinstance(data, Corpus):
        if jobs != 1 or engine != "processes":
            raise ConfigError("a corpus held in memory is compared in this process; give a data folder for several jobs or another engine")
        return [Path(data.name)], {Path(data.name).resolve().name: data}, Here(data)
    folders = [Path(data)] if isinstance(data, (str, Path)) else [Path(each) for each in data]
    runner = engine_of(engine, jobs)
    languages = dict(settings.get("data", {})).get("languages") or None
    languages = words_of(languages) if isinstance(languages, str) else languages
    corpora = {folder.resolve().name: Corpus.from_dir(folder, languages=languages, arrays=True) for folder in folders}
    for corpus in corpora.values():
        corpus.problems.raise_for_errors()
    return folders, corpora, runner


def _ours(ours: str | None, table: Sequence[Variant], defaults: Sequence[str]) -> str:
    names = [each.name for each in table]
    if ours is None:
        able = [each.name for each in table if row(each.method).data != "all"]
        return next((name for name in (*defaults, *_OURS) if name in names), able[-1] if able else names[-1])
    if ours not in names:
        raise ConfigError(f"{ours} is to be compared with the others but is not among the methods {', '.join(names)}")
    return ours


def _check_place(out: Path) -> None:
    """Refuse a folder that is something else; our own is gone on with.

    Raises:
        ConfigError: when ``out`` is a file or holds files that no comparison wrote.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder for the comparison")
    if out.exists() and any(out.iterdir()) and not (out / "cells").is_dir():
        raise ConfigError(f"{out} already holds files that are no comparison; use another folder, or --force to write into it")


def _from_shared_start(cells: Sequence[Cell], out: Path) -> list[Cell]:
    """The same cells, those on raw text going on from the supervised run of their seed.

    Not those whose settings name another start, nor those whose supervised tagger is another since pre-training comes first of all or
    labels are dealt out in folds, nor those that are to have none, nor variants that are to train it longer, as another tagger or by other
    sentences. What else a variant sets holds from there on.
    """
    place = {_place(cell): cell for cell in cells if cell.method == _START}
    usual = {_place(cell): cell for cell in [*place.values(), *(each for each in cells if not each.variant)]}
    changed = []
    for cell in cells:
        train, method = cell.config.train, cell.config.method
        name, has_first = method["name"], method.get("warmup", True) and not method.get("folds")
        guarded = guard_of(cell.config, name)  # it trains a bare tagger before it pre-trains one
        pretrained = asked_pretraining(cell.config, name)
        alike = not cell.variant or _trained(cell.config) == _trained(usual[_place(cell)].config)
        if kind_of(name) == "raw" and "start" not in train.model_fields_set and has_first and (guarded or not pretrained) and alike:
            start = out / "cells" / place[_place(cell)].name
            train = train.model_copy(update={"start": str(start.resolve())})
            cell = replace(cell, config=cell.config.model_copy(update={"train": train}))
        changed.append(cell)
    return changed


def _place(cell: Cell) -> tuple[str, str, str, int]:
    return cell.corpus, cell.labeled, cell.encoder, cell.seed


def _trained(config: RunConfig) -> tuple[Any, ...]:
    """What decides which tagger supervised training ends with, as far as no other stage has to do with it."""
    return config.train.max_steps, config.data.dev, config.data.languages, config.tagger


def _at_equal_cost(cells: Sequence[Cell], out: Path) -> list[Cell]:
    """The same cells with as many encoder passes as the longest finished run of their group; not those of a group that has none."""
    longest: dict[Any, int] = {}
    for run in collect(cells, out):
        longest[run.group] = max(run.passes, longest.get(run.group, 0))
    by_group = {(group.corpus, group.labeled, group.encoder): passes for group, passes in longest.items()}
    changed = []
    for cell in cells:
        passes = by_group.get((cell.corpus, cell.labeled, short_name(cell.encoder)))
        if passes is not None:  # where nothing finished, every run of the group has failed, and that is told
            train = cell.config.train.model_copy(update={"passes": passes})
            changed.append(replace(cell, config=cell.config.model_copy(update={"train": train})))
    return changed


def _failure(cell: Cell, reason: str) -> dict[str, str]:
    return {
        "corpus": cell.corpus,
        "labeled": cell.labeled,
        "encoder": short_name(cell.encoder),
        "method": cell.method,
        "seed": str(cell.seed),
        "cell": cell.name,
        "reason": reason,
    }
