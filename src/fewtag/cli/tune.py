"""``fewtag tune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fewtag.cli.display import Display
from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of, run_config
from fewtag.cli.stopping import StopRequest
from fewtag.config import build, overrides


def tune(
    dir: Annotated[Path, typer.Argument(help="Data folder.", metavar="DIR")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the study, best.toml and tuned.json.")],
    trials: Annotated[int, typer.Option("--trials", min=1, help="Settings to try in all, those of earlier calls included.")] = 30,
    max_time: Annotated[str, typer.Option("--max-time", help="Search no longer than this: 2h, 30m, 90s.")] = "",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes at once.")] = 1,
    grid: Annotated[
        list[str] | None, typer.Option("--grid", help="Values of a setting, e.g. --grid method.weight_meta=[0.001,0.01]; repeatable.")
    ] = None,
    method: Annotated[str | None, typer.Option("-m", "--method", help="By name, as fewtag info lists them.")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="compact (built in), a folder, or a Hugging Face name.")] = None,
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    labeled: Annotated[
        str | None, typer.Option("--labeled", help="Keep only so many labels per language: 1%, 200, 5shot, 'en=200 20'.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the sample, the weights and every draw.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="A fewtag.toml; default: the one in DIR.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration value, e.g. --set train.max_steps=800.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the study of another configuration in -o.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results only.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Search settings on a tenth of the labeled sentences, held out; dev and test take no part. Needs the extra hpo (Optuna).

    By default the grids of the MetaTS paper: learning rate, batch size, noise variance, temperature, threshold. The same command goes on
    with its study, also after Ctrl-C or a crash.

    Example: fewtag tune data -o runs/tune --trials 30 --jobs 2
    """
    need_training()
    from fewtag.experiments.tune import tune as search
    from fewtag.experiments.tuning import TuningConfig, grids_of
    from fewtag.tagger.allocator import keep_pages
    from fewtag.training.prepare import parse_time

    keep_pages()
    flags: dict[str, Any] = {
        "method.name": method,
        "tagger.encoder": encoder,
        "data.languages": languages_of(languages),
        "data.labeled": labeled,
        "train.seed": seed,
    }
    settings = run_config(config, set_ or [], flags, dir)
    plan = build(TuningConfig, {"trials": trials, "grids": grids_of(overrides(grid or []))}, "fewtag tune")
    stop, seconds = StopRequest(), parse_time(max_time)
    with stop, Display(quiet or json_) as display:
        found = search(settings, plan, out, jobs=jobs, max_seconds=seconds, force=force, listener=display, interrupted=stop)
    if json_:
        print(json.dumps(found.to_json(), ensure_ascii=False))
        return
    print(found.text)
    print(f"\nuse it  fewtag train {dir} -o runs/tuned -c {out / 'best.toml'}")
