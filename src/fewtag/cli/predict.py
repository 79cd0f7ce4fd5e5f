"""``fewtag predict``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Annotated

import typer

from fewtag.cli.extras import need_training
from fewtag.cli.settings import precision_of
from fewtag.data.files import write_text
from fewtag.errors import ConfigError, unknown
from fewtag.serving import Precision, load
from fewtag.serving.predictor import Predictor
from fewtag.serving.readers import BadInput, Record
from fewtag.serving.sources import read_inputs
from fewtag.serving.writers import WRITERS, writable

_SHOWN = 5  # errors named on stderr; all of them stand in the output


def predict(
    model: Annotated[Path, typer.Argument(help="Tagger folder, e.g. runs/first/model.")],
    files: Annotated[list[str] | None, typer.Argument(help="Files or quoted patterns, .gz too; standard input when none.")] = None,
    in_format: Annotated[str, typer.Option("--in-format", help="txt (a text a line), jsonl, conll; auto: by suffix.")] = "auto",
    out_format: Annotated[str, typer.Option("--out-format", help="jsonl or conll; auto: by the suffix of -o.")] = "auto",
    lang: Annotated[str | None, typer.Option("--lang", help="Language of inputs that do not say theirs, e.g. de.")] = None,
    threshold: Annotated[float, typer.Option("--threshold", min=0.0, max=1.0, help="Leave out entities with a lower score.")] = 0.0,
    batch_tokens: Annotated[int, typer.Option("--batch-tokens", min=1, help="Padded tokens per batch.")] = 4096,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write (.gz: packed); standard output when none.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda:0.")] = "auto",
    precision: Annotated[str | None, typer.Option("--precision", help="auto, bf16, fp32; not given: as the run had it.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Nothing on stderr but errors.")] = False,
) -> None:
    """Tag files or standard input: one record per input, in order. A bad line becomes an error record, and the exit code 3.

    Example: cat mails.txt | fewtag predict runs/first/model > mails.jsonl
    """
    need_training()
    if out_format == "auto":
        out_format = "conll" if out is not None and ".conll" in out.suffixes else "jsonl"
    if out_format not in WRITERS:
        raise ConfigError(unknown("output format", out_format, WRITERS))
    if out is not None and out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file in it, such as {out / 'tagged.jsonl'}")
    if out is not None and out.exists() and not force:
        raise ConfigError(f"{out} exists; use --force to replace it")
    inputs = [path for name in files or [] for path in (name, *glob(name, recursive=True))]
    if out is not None and any(Path(path).resolve() == out.resolve() for path in inputs):
        raise ConfigError(f"{out} is also an input; choose another -o")
    records = read_inputs(files or [], format=in_format, language=lang or "und")
    predictor = _load(model, device, batch_tokens, threshold, precision_of(precision))
    known = getattr(predictor.tagger, "languages", ())
    if lang and known and lang not in known and not quiet:
        print(f"note: the tagger has seen no labels of {lang!r}, only of {', '.join(known)}", file=sys.stderr)
    tally = _Tally(quiet)
    lines = _tagged(predictor, records, out_format, tally)
    if out is not None:
        write_text(out, lines)
    elif not _print(lines):
        raise typer.Exit(0)  # the reader has seen enough: `| head`
    tally.finish()
    if tally.errors:
        raise typer.Exit(3)


def _load(model: Path, device: str, batch_tokens: int, threshold: float, precision: Precision | None) -> Predictor:
    from fewtag.tagger.allocator import return_pages
    from fewtag.tagger.cores import use_granted
    from fewtag.training.prepare import pick_device

    return_pages()
    predictor = load(model, device=str(pick_device(device)), batch_tokens=batch_tokens, threshold=threshold, precision=precision)
    use_granted(predictor.tagger.encoder.gains_from_threads)  # type: ignore[attr-defined]
    return predictor


def _tagged(predictor: Predictor, records: Iterator[Record], format: str, tally: _Tally) -> Iterator[str]:
    for result in predictor.records(records):
        result = writable(result, format)
        if isinstance(result, BadInput):
            tally.bad(result)
        else:
            tally.good(len(result.entities), result.windows > 1, result.truncated)
        yield WRITERS[format](result)


def _print(lines: Iterator[str]) -> bool:
    """Write lines as UTF-8, whatever the terminal's encoding; False when nobody reads them any more."""
    stream = sys.stdout.buffer
    try:
        for line in lines:
            stream.write(line.encode("utf-8"))
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more when it ends
        return False
    return True


@dataclass
class _Tally:
    """Counts what goes by and tells it on stderr."""

    quiet: bool
    inputs: int = 0
    entities: int = 0
    windowed: int = 0
    truncated: int = 0
    errors: int = 0
    began: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)

    def good(self, entities: int, windowed: bool, truncated: bool) -> None:
        self.inputs, self.entities = self.inputs + 1, self.entities + entities
        self.windowed, self.truncated = self.windowed + windowed, self.truncated + truncated
        self._show()

    def bad(self, what: BadInput) -> None:
        self.inputs, self.errors = self.inputs + 1, self.errors + 1
        if self.errors <= _SHOWN:
            print(f"error: {what.source}: {what.message}", file=sys.stderr)
        elif self.errors == _SHOWN + 1:
            print("error: and more, each in its place in the output", file=sys.stderr)
        self._show()

    def _show(self) -> None:
        if not self.quiet and sys.stderr.isatty() and time.monotonic() - self.shown > 1:
            self.shown = time.monotonic()
            print(f"\r\x1b[K  {self}", end="", flush=True, file=sys.stderr)

    def finish(self) -> None:
        if not self.quiet:
            print(f"{chr(13) + chr(27) + '[K' if sys.stderr.isatty() else ''}  {self}", file=sys.stderr)

    def __str__(self) -> str:
        rate = self.inputs / max(time.monotonic() - self.began, 1e-9)
        return (
            f"{self.inputs} inputs · {self.entities} entities · {self.windowed} windowed · {self.truncated} truncated · "
            f"{self.errors} errors · {rate:.0f} inputs/s"
        )
