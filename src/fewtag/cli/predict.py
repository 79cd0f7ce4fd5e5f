"""``fewtag predict``."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from fewtag.cli.extras import need_training
from fewtag.data.files import write_text
from fewtag.errors import ConfigError, unknown
from fewtag.serving import Document, load
from fewtag.serving.readers import BadInput, expand, read_inputs
from fewtag.text.sentence import Sentence

_CHUNK = 2000  # inputs held in memory at a time


def predict(
    model: Annotated[Path, typer.Argument(help="Tagger folder, e.g. runs/first/model.")],
    files: Annotated[list[str] | None, typer.Argument(help="Files or quoted globs; standard input when none.")] = None,
    in_format: Annotated[str, typer.Option("--in-format", help="auto, txt, jsonl, conll.")] = "auto",
    out_format: Annotated[str, typer.Option("--out-format", help="jsonl or conll.")] = "jsonl",
    lang: Annotated[str, typer.Option("--lang", help="Language of inputs that do not say; only copied to the output.")] = "und",
    threshold: Annotated[float, typer.Option("--threshold", min=0.0, max=1.0, help="Drop entities with a lower score.")] = 0.0,
    batch_tokens: Annotated[int, typer.Option("--batch-tokens", min=1, help="Padded tokens per batch.")] = 4096,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; standard output when none.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")] = False,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda:0.")] = "cpu",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No summary on stderr.")] = False,
) -> None:
    """Tag files or standard input; one JSON object per input, in order. A bad line becomes an error record and exit code 3.

    Example: cat mails.txt | fewtag predict runs/first/model > mails.jsonl
    """
    need_training()
    if out_format not in ("jsonl", "conll"):
        raise ConfigError(unknown("output format", out_format, ("jsonl", "conll")))
    if out is not None and out.exists() and not force:
        raise ConfigError(f"{out} exists; use --force to replace it")
    paths = expand(files or [])
    predictor = load(model, device=device, batch_tokens=batch_tokens, threshold=threshold)
    counts = {"inputs": 0, "entities": 0, "windowed": 0, "errors": 0}
    began = shown = time.monotonic()

    def lines() -> Iterator[str]:
        nonlocal shown
        inputs = read_inputs(paths, format=in_format, language=lang)
        while some := list(islice(inputs, _CHUNK)):
            good = iter(predictor.many([each for each in some if isinstance(each, Sentence)], lang=lang))
            for each in some:
                counts["inputs"] += 1
                if isinstance(each, BadInput):
                    counts["errors"] += 1
                    print(f"error: {each.message}", file=sys.stderr)
                    yield _error(each, out_format)
                    continue
                document = next(good)
                counts["entities"] += len(document.entities)
                counts["windowed"] += document.windows > 1
                yield _line(document, out_format)
            if sys.stderr.isatty() and not quiet and time.monotonic() - shown > 1:
                shown = time.monotonic()
                print(f"\r  {counts['inputs']} inputs, {counts['inputs'] / (shown - began):.0f}/s", end="", file=sys.stderr)

    if out is not None:
        write_text(out, lines())
    else:
        with contextlib.suppress(BrokenPipeError):
            for line in lines():
                sys.stdout.write(line)
            sys.stdout.flush()
    seconds = max(time.monotonic() - began, 1e-9)
    if not quiet:
        numbers = ", ".join(f"{value} {name}" for name, value in counts.items())
        print(f"{numbers}, 0 truncated, {counts['inputs'] / seconds:.0f} inputs/s", file=sys.stderr)
    if counts["errors"]:
        raise typer.Exit(3)


def _line(document: Document, format: str) -> str:
    if format == "jsonl":
        return json.dumps(document.to_json(), ensure_ascii=False) + "\n"
    head = f"# id = {document.id}\n"
    return head + "".join(f"{token}\t{tag}\n" for token, tag in zip(document.tokens, document.tags, strict=True)) + "\n"


def _error(bad: BadInput, format: str) -> str:
    return json.dumps(bad.to_json(), ensure_ascii=False) + "\n" if format == "jsonl" else f"# id = {bad.id}\n# error = {bad.message}\n\n"
