"""``fewtag compare``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewtag.cli.board import BoardDisplay
from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of
from fewtag.cli.stopping import StopRequest, typed
from fewtag.config import from_environment, merge, overrides, read_toml, words_of
from fewtag.errors import ConfigError, FewtagError

if TYPE_CHECKING:
    from fewtag.experiments.comparison import Comparison


def compare(
    dirs: Annotated[list[Path], typer.Argument(help="Data folders; each is a corpus.", metavar="DIR...")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for runs, tables, a page, compare.json; finished runs there are reused.")
    ],
    methods: Annotated[
        str | None,
        typer.Option("-m", "--methods", help="By name, or all; default: those on labels alone, and training's default."),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help='A method under settings of its own, as one more row: "soft=metats: method.labels=soft".'),
    ] = None,
    labeled: Annotated[
        str, typer.Option("--labeled", help="Labels kept: 1%, 200, 5shot, 'en=200 20'; several, 10%,20%, give a curve.")
    ] = "100%",
    seeds: Annotated[str, typer.Option("--seeds", help="How many (5 is 1 to 5), or which (3,7,11).")] = "5",
    encoder: Annotated[str, typer.Option("--encoder", help="compact, a folder, or a Hugging Face name; several with commas.")] = "compact",
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    ours: Annotated[
        str | None, typer.Option("--ours", help="The method the others are compared with; default: training's default, else metats.")
    ] = None,
    published: Annotated[str, typer.Option("--published", help="The paper's numbers beside ours: o-ner, e2e-absa, e-ner.")] = "",
    jobs: Annotated[int, typer.Option("-j", "--jobs", help="Runs at a time.")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="processes (this machine) or ray (a cluster).")] = "processes",
    equal_budget: Annotated[
        bool,
        typer.Option("--equal-budget", help="Then run all again, each with the longest one's encoder passes, and show those runs."),
    ] = False,
    shared_start: Annotated[
        bool, typer.Option("--shared-start", help="Methods on raw text go on from the supervised-multi of their seed.")
    ] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Resamples of the test over sentences; 0: none.")] = 5000,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="A fewtag.toml for every run.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration value of every run, e.g. --set train.lr=1e-4.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run finished runs again.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never look for an encoder on the network.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results only.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Run methods side by side over seeds, and print the paper's tables with significance, gap closed and cost.

    Example: fewtag compare data -m supervised-multi,pretrained-ensemble,supervised-full --labeled 1%,5% --seeds 5 -j 2 -o runs/compare
    """
    need_training()
    from fewtag.experiments.plan import chosen_methods, without_varied

    from_file, unused = without_varied(read_toml(config) if config else {})
    if unused and not quiet:
        print(f"  note: a comparison varies {', '.join(unused)}; what {config} says of them is not used", file=sys.stderr)
    settings = merge(merge(from_file, from_environment()), overrides(set_ or []))
    if languages is not None:
        settings = merge(settings, {"data": {"languages": languages_of(languages)}})
    compared(
        dirs,
        out,
        quiet=quiet,
        json_=json_,
        offline=offline,
        methods=chosen_methods(methods) if methods is not None else None,
        labeled=words_of(labeled),
        seeds=seeds,
        encoders=words_of(encoder),
        ours=ours,
        published_as=published,
        jobs=jobs,
        engine=engine,
        equal_budget=equal_budget,
        shared_start=shared_start,
        bootstrap=bootstrap,
        force=force,
        settings=settings,
        variants=variant or [],
    )


def compared(
    data: list[Path],
    out: Path,
    *,
    methods: list[str] | None,
    seeds: str,
    quiet: bool,
    json_: bool,
    offline: bool,
    settings: dict[str, Any],
    **options: Any,
) -> None:
    """Run a comparison behind a board, and print it.

    Raises:
        FewtagError: at the end, when runs have failed.
    """
    if offline:
        import os

        os.environ["HF_HUB_OFFLINE"] = "1"
    from fewtag.experiments.comparison import compare
    from fewtag.experiments.plan import chosen_seeds
    from fewtag.training.drive import Interrupted

    if "name" in settings.get("method", {}):
        raise ConfigError("the methods of a comparison are given with --methods; leave method.name out of the settings")
    command = typed()
    with StopRequest() as stop, BoardDisplay(quiet or json_) as board:
        try:
            done = compare(
                data,
                methods,
                out=out,
                seeds=chosen_seeds(seeds),
                settings=settings,
                command=command,
                watch=board,
                interrupted=stop,
                **options,
            )
        except Interrupted as error:
            # --force has removed what it was to, and what has run since is to stay; but runs at equal cost go once those costs are known.
            words = command if options.get("equal_budget") else command.replace(" --force", "")
            raise Interrupted(f"{error}. Go on with: {words}") from None
    failed = done.results.failed
    if done.results.runs or not failed:
        _show(done, json_)
    if failed:
        count, reasons = "1 run" if len(failed) == 1 else f"{len(failed)} runs", dict.fromkeys(each["reason"] for each in failed)
        told = [", ".join(each["cell"] for each in failed if each["reason"] == reason) + f": {reason}" for reason in reasons]
        nothing = "" if done.results.runs else ", and none has finished, so no table was made of this command"
        raise FewtagError("\n  ".join([f"{count} failed{nothing}; the same command tries again:", *told]))


def _show(done: Comparison, as_json: bool) -> None:
    if as_json:
        print(json.dumps(json.loads((done.out / "compare.json").read_text(encoding="utf-8")), ensure_ascii=False))
        return
    print(done)
    print(f"results  {done.out / 'compare.json'}")
    print(f"page     {done.out / 'compare.html'}")
    print(f"tables   {done.out / 'compare.md'}, and LaTeX and CSV in {done.out / 'tables'}")
