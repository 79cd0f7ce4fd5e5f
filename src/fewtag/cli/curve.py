"""``fewtag curve``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fewtag.cli.display import Display
from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of, run_config
from fewtag.cli.stopping import StopRequest, typed


def curve(
    dir: Annotated[Path, typer.Argument(help="Data folder: one folder per language with train, and dev or test.", metavar="DIR")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the runs, curve.json, curve.svg and curve.html.")],
    points: Annotated[int, typer.Option("--points", min=3, help="Sizes to train at; each has half the labels of the next.")] = 5,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs at each size, each with other sentences.")] = 3,
    target: Annotated[float, typer.Option("--target", help="F1 to forecast the labels for: 80 or 0.80.")] = 80.0,
    on: Annotated[str, typer.Option("--on", help="Score on dev, or on test if you will decide nothing else by it.")] = "dev",
    method: Annotated[str | None, typer.Option("-m", "--method", help="By name, as fewtag info lists them.")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="compact (built in), a folder, or a Hugging Face name.")] = None,
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    labeled: Annotated[str | None, typer.Option("--labeled", help="The largest size: 10%, 200, 5shot; default: every label.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The first seed.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="A fewtag.toml; default: the one in DIR.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration value, e.g. --set train.max_steps=800.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the curve of another configuration in -o.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results only.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Say how many more labels each language needs: train at several sizes, fit a saturating curve, look ahead with intervals.

    Runs that are finished are reused, so the same command goes on after Ctrl-C.

    Example: fewtag curve data -o runs/curve --target 80
    """
    need_training()
    from fewtag.config import build
    from fewtag.experiments.curve import CurveConfig, measure
    from fewtag.experiments.curve_page import text, write_outlook
    from fewtag.tagger.allocator import keep_pages
    from fewtag.training.drive import Interrupted

    keep_pages()
    flags: dict[str, Any] = {
        "method.name": method,
        "tagger.encoder": encoder,
        "data.languages": languages_of(languages),
        "data.labeled": labeled,
        "train.seed": seed,
    }
    settings = run_config(config, set_ or [], flags, dir)
    wanted = {"points": points, "seeds": seeds, "target": target * 100 if 0 < target <= 1 else target, "on": on}
    plan = build(CurveConfig, wanted, "fewtag curve")
    stop = StopRequest()
    with stop, Display(quiet or json_) as display:
        try:
            outlook = measure(settings, plan, out, force=force, listener=display, interrupted=stop)
        except Interrupted:
            raise Interrupted(f"stopped; what is finished stays, the run that was on has a checkpoint. Go on with: {typed()}") from None
    write_outlook(outlook, out)
    if json_:
        print(json.dumps(outlook.to_json(), ensure_ascii=False))
        return
    print(text(outlook))
    print(f"\nfigure  {out / 'curve.html'}")
