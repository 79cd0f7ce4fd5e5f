"""``fewtag paper``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtag.cli.compare import compared
from fewtag.cli.extras import need_training
from fewtag.config import overrides, words_of


def paper(
    name: Annotated[str, typer.Argument(help="o-ner (Table 4), e2e-absa (Table 5), e-ner (Table 6).")],
    data: Annotated[Path, typer.Option("--data", help="Data folder: one folder per language with train, dev, test.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for runs and tables; default: runs/paper-NAME.")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Another than bert-base-multilingual-cased.")] = None,
    methods: Annotated[str | None, typer.Option("-m", "--methods", help="Fewer, or others, than the paper's.")] = None,
    labeled: Annotated[str | None, typer.Option("--labeled", help="Other fractions than the paper's, e.g. 1%,5%.")] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Figure 2 (e2e-absa): its four methods at 10% to 50%.")] = False,
    seeds: Annotated[str, typer.Option("--seeds", help="How many, or which (3,7,11); the paper does not say.")] = "5",
    jobs: Annotated[int, typer.Option("-j", "--jobs", help="Runs at a time.")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="processes (this machine) or ray (a cluster).")] = "processes",
    equal_budget: Annotated[
        bool, typer.Option("--equal-budget", help="Then run all again with as many encoder passes each as the longest took.")
    ] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration value; says that the run is not the paper's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run finished runs again.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never look for the encoder on the network.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results only.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Run an experiment of the paper on your copy of its data: Table 2's settings, every method, the printed numbers beside yours.

    Example: fewtag paper e2e-absa --data absa -o runs/absa
    """
    need_training()
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from fewtag.experiments.paper import ENCODER, options_of
    from fewtag.experiments.plan import chosen_methods

    options, notes = options_of(
        name,
        data,
        encoder=encoder or ENCODER,
        methods=chosen_methods(methods) if methods else (),
        labeled=words_of(labeled or ""),
        curve=curve,
        settings=overrides(set_ or []),
    )
    for note in notes if not quiet else ():
        print(f"  note: {note}", file=sys.stderr)
    compared(
        [data],
        out or Path("runs") / (f"paper-{name}-curve" if curve else f"paper-{name}"),
        seeds=seeds,
        quiet=quiet,
        json_=json_,
        offline=offline,
        jobs=jobs,
        engine=engine,
        equal_budget=equal_budget,
        force=force,
        **options,
    )
