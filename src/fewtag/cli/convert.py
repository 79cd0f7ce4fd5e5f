"""``fewtag convert``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtag.data.formats import format_of, read_file
from fewtag.data.problems import Problems
from fewtag.errors import ConfigError, DataError, unknown
from fewtag.text.sentence import Sentence
from fewtag.text.tags import SCHEMES, spans_of
from fewtag.text.tags import convert as convert_tags


def convert(
    source: Annotated[Path, typer.Argument(help="File to read.", metavar="IN")],
    target: Annotated[Path, typer.Argument(help="File to write; its suffix says the format.", metavar="OUT")],
    from_: Annotated[str | None, typer.Option("--from", help="conll, jsonl, plain, absa_xml; default: by suffix.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="conll, jsonl or plain; default: by suffix.")] = None,
    scheme: Annotated[str, typer.Option("--scheme", help="Tags to write: BIO, IOB1, BIOES, BILOU, IO.")] = "BIO",
    language: Annotated[str, typer.Option("--lang", help="Language of the sentences, where they do not say.")] = "und",
    offsets: Annotated[str, typer.Option("--offsets", help="How JSONL spans count: auto, codepoint, utf16.")] = "auto",
    token_column: Annotated[int, typer.Option("--token-column", help="CoNLL column of the token, from 0.")] = 0,
    tag_column: Annotated[int, typer.Option("--tag-column", help="CoNLL column of the tag, from 0 or negative from the end.")] = -1,
    separator: Annotated[str | None, typer.Option("--separator", help="Between CoNLL columns; default: tab or spaces.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it exists.")] = False,
) -> None:
    """Convert a file from any format to any other; every entity is counted on both sides."""
    if scheme not in SCHEMES:
        raise ConfigError(unknown("tag scheme", scheme, SCHEMES))
    if target.exists() and not force:
        raise ConfigError(f"{target} exists; use --force to replace it")
    write = format_of(target, to).write
    if write is None:
        raise ConfigError(f"the format {format_of(target, to).name} can be read but not written; choose conll, jsonl or plain")
    kind = format_of(source, from_).name
    options: dict[str, object] = {}
    if kind == "conll":
        options = {"token_column": token_column, "tag_column": tag_column, "separator": separator}
    elif kind == "jsonl":
        options = {"offsets": offsets}
    problems = Problems()
    sentences = read_file(source, language=language, problems=problems, format=from_, **options)
    for problem in problems.warnings:
        print(f"warning: {problem}", file=sys.stderr)
    problems.raise_for_errors()
    tags_lost = format_of(target, to).name == "plain" and any(s.tags for s in sentences)
    spans = format_of(target, to).name == "jsonl" and scheme != "BIO"  # a record of text has character spans, which know no scheme
    apart = [spans and s.text is not None and s.offsets is not None for s in sentences]
    write(
        (s.with_tags(convert_tags(s.tags, "BIO", scheme)) if s.tags and not own else s for s, own in zip(sentences, apart, strict=True)),
        target,
    )
    if any(apart):
        print(f"note: of text, and so with spans, which know no tag scheme: {sum(apart)} of {len(sentences)}", file=sys.stderr)
    before = _entities(sentences)
    again = read_file(target, language=language, problems=Problems(), format=to)
    after = _entities(again)
    print(f"{len(sentences)} sentences, {before} entities read; {len(again)} sentences, {after} entities written", file=sys.stderr)
    if tags_lost:
        print("note: plain text holds no tags", file=sys.stderr)
    elif after != before and scheme != "IO":
        raise DataError(f"{target}: {before} entities went in but {after} came out")


def _entities(sentences: list[Sentence]) -> int:
    return sum(len(spans_of(s.tags or ())) for s in sentences)
