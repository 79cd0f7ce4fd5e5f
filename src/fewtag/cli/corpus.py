"""``fewtag corpus``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtag.data.queries import write_corpus
from fewtag.errors import ConfigError


def corpus(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    scale: Annotated[float, typer.Option("--scale", help="Size relative to the paper's private set of 678,000 queries.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another corpus.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Write the made corpus: labeled shop queries in twelve languages, 13 labels, for trying things out and for benchmarks."""
    if out.exists() and any(out.iterdir()) and not force:
        raise ConfigError(f"{out} is not empty; use --force to write into it")
    write_corpus(out, seed=seed, scale=scale)
    print(out)
    print(f"next: fewtag train {out} --labeled 1% -o runs/queries", file=sys.stderr)
