"""``fewtag report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtag.experiments.run_report import write_report


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, e.g. runs/first.", metavar="RUN")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="HTML file to write; default: report.html in RUN, written anew.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Whose errors to show: test (the default, if there is one) or dev.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Where the data folder lies now, if it has moved since the run.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is at -o.")] = False,
) -> None:
    """Show a run as one HTML file: scores, learning curves, confusions, cases, configuration. Opens offline, prints, fits a phone.

    Example: fewtag report runs/first -o first.html
    """
    for sentence in write_report(run, out, split=split, data_dir=data, force=force):
        print(f"note: {sentence}", file=sys.stderr)
    print(out or run / "report.html")
