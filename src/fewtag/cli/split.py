"""``fewtag split``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtag.cli.settings import languages_of
from fewtag.data.corpus import Corpus, data_files
from fewtag.data.formats import FORMATS
from fewtag.data.low_resource import LowResource
from fewtag.errors import ConfigError
from fewtag.evaluation.tables import aligned


def split(
    dir: Annotated[Path, typer.Argument(help="Data folder with a labeled train split.", metavar="DIR")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    labeled: Annotated[str, typer.Option("--labeled", help="Per language: 1%, 200 (sentences), 5shot (spans of each label), 'en=200 20'.")],
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice.")] = 13,
    force: Annotated[bool, typer.Option("--force", help="Replace the data files of a folder that is not empty.")] = False,
) -> None:
    """Keep a few labels per language and strip the rest: a low-resource data folder.

    Example: fewtag split data -o data-1pct --labeled 1%
    """
    if out.resolve() == dir.resolve():
        raise ConfigError(f"{out} is the data folder itself, and its labels would be lost; choose another -o")
    if out.exists() and any(out.iterdir()) and not force:
        raise ConfigError(f"{out} is not empty; use --force to replace the data files in it")
    chosen = languages_of(languages)
    corpus = Corpus.from_dir(dir, languages=chosen)
    corpus.problems.raise_for_errors()
    data = LowResource.sample(corpus, labeled=labeled, seed=seed)
    for old in data_files(out):  # a file of another format would stand beside the new one
        old.unlink()
    rows = []
    for language in corpus.languages:
        parts = {"train": data.labeled, "dev": data.dev, "test": data.test, "unlabeled": data.unlabeled}
        for name, part in parts.items():
            sentences = part.get(language, [])
            if not sentences:
                continue
            kind = "jsonl" if name == "unlabeled" or any(s.text is not None for s in sentences) else "conll"
            write = FORMATS[kind].write
            assert write is not None, "both formats can be written"
            write(sentences, out / language / f"{name}{FORMATS[kind].suffixes[0]}")
        rows.append([language, *(str(len(part.get(language, []))) for part in parts.values())])
    data.save_ids(out / "split.json")
    for note in data.notes:
        print(f"note: {note}", file=sys.stderr)
    print(aligned(["", "labeled", "dev", "test", "unlabeled"], rows))
