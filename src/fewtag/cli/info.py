"""``fewtag info``."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Annotated, Any

import typer

from fewtag import __version__
from fewtag.data import cache
from fewtag.data.formats import FORMATS

_PACKAGES = ("numpy", "pydantic", "typer", "rich", "torch", "safetensors", "transformers", "tokenizers")


def info(json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False) -> None:
    """Versions, devices, methods, encoders and formats."""
    found: dict[str, Any] = {"fewtag": __version__, "python": platform.python_version(), "packages": {}}
    for package in _PACKAGES:
        try:
            found["packages"][package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found["packages"][package] = None
    found["formats"] = {name: each.description for name, each in FORMATS.items()}
    if found["packages"]["torch"]:
        import torch

        from fewtag.encoders import ENCODERS
        from fewtag.methods import METHODS

        found["threads"] = torch.get_num_threads()
        found["devices"] = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
        found["methods"] = {name: row.about for name, row in METHODS.items()}
        found["encoders"] = sorted(ENCODERS)
    place = cache.folder()
    found["cache"] = f"{place}, {cache.size() / 2**20:.0f} MB" if place else "off"
    if json_:
        print(json.dumps(found))
        return
    print(f"fewtag {found['fewtag']}, Python {found['python']}")
    for package, version in found["packages"].items():
        print(f"  {package:14}{version or 'not installed' + (' (pip install fewtag[train])' if package in _PACKAGES[4:] else '')}")
    for kind in ("formats", "methods"):
        print(kind if kind in found else f"{kind}: known with fewtag[train]")
        width = max(map(len, found.get(kind, ())), default=0) + 2
        for name, about in found.get(kind, {}).items():
            print(f"  {name:{width}}{about}")
    print(f"cache: {found['cache']}")
    for kind in ("encoders", "devices"):
        print(f"{kind}: {', '.join(found.get(kind, ['none without fewtag[train]']))}")
