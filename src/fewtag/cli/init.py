"""``fewtag init``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fewtag.data.corpus import Corpus
from fewtag.data.files import write_text
from fewtag.errors import ConfigError

_TEMPLATE = """\
# fewtag init wrote this from what it found in the folder. Every key is optional.
version = 1

[data]
languages = [{languages}]   # empty: every folder
labeled = "100%"             # keep only a part of the labels: "1%", "200", "5shot"
unlabeled = "100%"           # keep only a part of the raw text: "10%", "5000"
dev = "full"                 # or "matched": no larger than the labeled sentences

[tagger]
encoder = "{encoder}"          # "compact" is built in; or a folder, or a Hugging Face name
decoding = "auto"            # "viterbi": only legal tag sequences; "greedy": as in the paper

[method]
name = "{method}"

[train]
seed = 13
batch_size = 8
patience = 6                 # evaluations on dev without a better score
max_time = ""                # "30m", "2h"

[sampling]
exponent = 0.5               # languages drawn in proportion to n^exponent

[evaluation]
mode = "lenient"             # conlleval's reading; or "strict"
bootstrap = 1000
"""


def init(
    dir: Annotated[Path, typer.Argument(help="Data folder.", metavar="DIR")],
    encoder: Annotated[str, typer.Option("--encoder", help="compact, a folder, or a Hugging Face name.")] = "compact",
    method: Annotated[str, typer.Option("-m", "--method", help="auto: as fewtag train --help has it.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace a fewtag.toml that is there.")] = False,
) -> None:
    """Look at a data folder and write a commented fewtag.toml into it."""
    if find_spec("torch"):  # without it the names are not known; train will say so
        from fewtag.methods import row

        _ = method == "auto" or row(method)
    if encoder.startswith((".", "/", "~")) and not Path(encoder).is_dir():
        raise ConfigError(f"encoder {encoder!r}: no such folder; give compact, an existing folder, or a name on the Hugging Face hub")
    corpus = Corpus.from_dir(dir)
    path = dir / "fewtag.toml"
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; use --force to replace it")
    languages = ", ".join(f'"{language}"' for language in corpus.languages)
    write_text(path, _TEMPLATE.format(languages=languages, encoder=encoder, method=method))
    print(path)
    many = "s" * (len(corpus.languages) != 1)
    print(f"{len(corpus.languages)} language{many}, {len(corpus.tag_set.labels)} labels; next: fewtag check {dir}", file=sys.stderr)
