"""``fewtag train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fewtag.cli.display import Display
from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of, resumed_config, run_config
from fewtag.cli.stopping import StopRequest
from fewtag.errors import ConfigError, FewtagError


def train(
    dir: Annotated[
        Path | None, typer.Argument(help="Data folder: one folder per language with train, dev, test, unlabeled.", metavar="DIR")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder to write.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--method",
            help="By name, as fewtag info lists them; default: where there is raw text pretrained-ensemble, or mixed-ensemble with an "
            "encoder other than compact; else supervised-multi.",
        ),
    ] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="compact (built in), a folder, or a Hugging Face name.")] = None,
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    labeled: Annotated[
        str | None,
        typer.Option("--labeled", help="Keep only so many labels per language: 1%, 200, 5shot, 'en=200 20'. The rest becomes raw text."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the sample, the weights and every draw.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda:0.")] = None,
    max_time: Annotated[str | None, typer.Option("--max-time", help="Train no longer than this: 2h, 30m, 90s.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in -o from its newest checkpoint.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is already in -o.")] = False,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="A fewtag.toml; default: the one in DIR.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration value, e.g. --set method.threshold=0.7.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never look for an encoder on the network.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results only.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Train a tagger, score it, and package it with a report.

    Example: fewtag train data -o runs/first
    """
    need_training()
    if out is None:
        raise ConfigError("say where to write the run: -o runs/first")
    if dir is None and not resume and config is None:
        raise ConfigError("say what to train on: fewtag train DIR -o runs/first")
    if offline:
        import os

        os.environ["HF_HUB_OFFLINE"] = "1"
    from fewtag.experiments.run_report import write_report
    from fewtag.tagger.allocator import keep_pages
    from fewtag.training.run import run

    keep_pages()
    flags: dict[str, Any] = {
        "method.name": method,
        "tagger.encoder": encoder,
        "data.languages": languages_of(languages),
        "data.labeled": labeled,
        "train.seed": seed,
        "train.device": device,
        "train.max_time": max_time,
    }
    settings = resumed_config(out, dir, config, set_ or [], flags) if resume else run_config(config, set_ or [], flags, dir)
    with StopRequest() as stop, Display(quiet or json_) as display:
        result = run(settings, out, resume=resume, force=force, listener=display, interrupted=stop)
        try:
            for sentence in write_report(out):
                display(sentence)
        except FewtagError as error:  # the run is whole without its page
            display(f"report.html was not written: {error}")
    _show(result, out, json_)


def _show(result: Any, out: Path, as_json: bool) -> None:
    import json

    from fewtag.evaluation.tables import report_text

    report = result.test or result.dev
    if as_json:
        shown = {"folder": str(out), "method": result.method, "seconds": result.seconds, "dev": result.dev.to_json()}
        print(json.dumps({**shown, "test": result.test.to_json() if result.test else None}, ensure_ascii=False))
        return
    print(f"{result.method}: {'test' if result.test else 'dev'} scores after {result.steps} steps, {result.seconds:.0f} s")
    print(report_text(report))
    model = result.model if result.model.exists() else f"{result.folder / 'languages'}/<language>/model"
    print(f"model   {model}")
    page = result.folder / "report.html"
    print(f"report  {page}, and as text {result.folder / 'report.md'}" if page.exists() else f"report  {result.folder / 'report.md'}")
    print(f"next    fewtag predict {model} FILE")
