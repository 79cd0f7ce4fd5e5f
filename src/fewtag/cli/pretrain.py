"""``fewtag pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fewtag.cli.display import Display
from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of, resumed_config, run_config
from fewtag.cli.stopping import StopRequest
from fewtag.errors import ConfigError


def pretrain(
    dir: Annotated[
        Path | None, typer.Argument(help="Data folder; the text of train and unlabeled is read, no tag is.", metavar="DIR")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder to write; the encoder goes to its encoder/.")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="A folder, or a Hugging Face name.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps of 32 sentences; default 2000.")] = None,
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of every draw.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda:0.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in -o from its newest checkpoint.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is already in -o.")] = False,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="A fewtag.toml; default: the one in DIR.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration value, e.g. --set pretraining.lr=1e-4.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never look for an encoder on the network.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results only.")] = False,
) -> None:
    """Make an encoder familiar with raw text: it learns to guess hidden words. Then give it to train, compare or tune.

    Example: fewtag pretrain data --encoder bert-base-multilingual-cased -o runs/adapted
    """
    need_training()
    if out is None:
        raise ConfigError("say where to write the encoder: -o runs/adapted")
    if dir is None and not resume and config is None:
        raise ConfigError("say whose text to read: fewtag pretrain DIR --encoder NAME -o runs/adapted")
    if offline:
        import os

        os.environ["HF_HUB_OFFLINE"] = "1"
    from fewtag.tagger.allocator import keep_pages
    from fewtag.training.adapt import STEPS, adapt

    keep_pages()
    flags: dict[str, Any] = {
        "tagger.encoder": encoder,
        "pretraining.steps": steps,
        "data.languages": languages_of(languages),
        "train.seed": seed,
        "train.device": device,
    }
    if resume:
        settings = resumed_config(out, dir, config, set_ or [], flags)
    else:
        settings = run_config(config, set_ or [], flags, dir)
        if "steps" not in settings.pretraining.model_fields_set:
            settings = settings.model_copy(update={"pretraining": settings.pretraining.model_copy(update={"steps": STEPS})})
    with StopRequest() as stop, Display(quiet) as display:
        found = adapt(settings, out, resume=resume, force=force, listener=display, interrupted=stop)
    print(f"{found.steps} steps, {found.seconds:.0f} s; loss {found.first:.2f} at first, {found.last:.2f} at last")
    print(f"encoder {found.encoder}")
    print(f"next    fewtag train {dir or settings.data_dir} --encoder {found.encoder} -o runs/first")
