"""``fewtag check``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of
from fewtag.data.corpus import Corpus
from fewtag.data.formats import FORMATS
from fewtag.data.formats.scheme import place_of
from fewtag.data.ledger import Ledger, Windows, find_oddities, ledger
from fewtag.data.statistics import Statistics, statistics
from fewtag.errors import ConfigError
from fewtag.evaluation.tables import aligned

if TYPE_CHECKING:
    from fewtag.data.problems import Problem

_SHOWN = 30


def check(
    dir: Annotated[Path, typer.Argument(help="Data folder.", metavar="DIR")],
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Also follow every entity into this encoder's windows.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    fix: Annotated[Path | None, typer.Option("--fix", help="Write repaired copies (BIO, legal tags, UTF-8) into this folder.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Show every problem, not the first 30 of each kind of severity.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Check a data folder: counts, problems with file and line, and whether any entity gets lost. Exits 3 on errors."""
    corpus = Corpus.from_dir(dir, languages=languages_of(languages), arrays=not fix)
    find_oddities(corpus)
    counts = ledger(corpus, _windows(encoder) if encoder else None)
    table = statistics(corpus)
    problems = corpus.problems
    lost = [p for p in problems.errors if p.kind in ("lost", "split")]
    if json_:
        shown = {
            "languages": {lang: {**asdict(table[lang]), "ledger": asdict(counts[lang])} for lang in corpus.languages},
            "problems": [{**asdict(problem)} for problem in problems],
            "ok": not (problems.errors or (strict and problems.warnings)),
        }
        print(json.dumps(shown, ensure_ascii=False))
    else:
        _print(corpus, table, counts, all_)
        through = f"file, tokens and windows of {encoder}" if encoder else "file and tokens"
        if lost:
            print("Entities were lost, see above.")
        elif problems.errors:
            print(f"No entity of what could be read was lost between {through}; for the rest see the errors.")
        else:
            print(f"0 entities lost between {through}.")
    if fix is not None:
        _write_repaired(corpus, fix)
    if problems.errors or (strict and len(problems)):
        raise typer.Exit(3)


def _print(corpus: Corpus, table: dict[str, Statistics], counts: dict[str, Ledger], show_all: bool) -> None:
    header = ["", "train", "dev", "test", "raw", "types", "coverage", "avg len", "longest", "entities", "windows+", "errors", "warnings"]
    rows = []
    for language in corpus.languages:
        row, own = table[language], {str(path) for path in corpus.paths.get(language, {}).values()}
        mine = [p for p in corpus.problems if p.path in own]
        cells = [row.train, row.dev, row.test, row.unlabeled, row.types, f"{row.coverage:.2f}%", f"{row.average_length:.2f}", row.longest]
        cells += [counts[language].in_sentences, counts[language].windows, sum(p.is_error for p in mine), sum(not p.is_error for p in mine)]
        rows.append([language, *map(str, cells)])
    print(aligned(header, rows))
    for title, some in (("errors", corpus.problems.errors), ("warnings", corpus.problems.warnings)):
        if some:
            print(f"\n{len(some)} {title if len(some) > 1 else title[:-1]}:")
            _list(some if show_all else some[:_SHOWN])
            if len(some) > _SHOWN and not show_all:
                print(f"  and {len(some) - _SHOWN} more; --all shows them")
    print()


def _list(problems: list[Problem]) -> None:
    for problem in problems:
        print(f"  {problem}")


def _windows(name: str) -> Windows:
    need_training()
    from fewtag.encoders import build_encoder
    from fewtag.tagger.batch import plan_windows

    encoder = build_encoder(name)

    def ranges(sentences: object) -> list[list[tuple[int, int]]]:
        subwords = encoder.tokenize([s.tokens for s in sentences])  # type: ignore[attr-defined]
        return [[(w.start, w.end) for w in plan_windows(units.positions, encoder.max_positions)] for units in subwords]

    return ranges


def _write_repaired(corpus: Corpus, out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; give --fix a new folder")
    written = left = 0
    # Every other error keeps its sentence from being read at all; a line in another encoding is read with replacement characters.
    wrong = {(problem.path, problem.line) for problem in corpus.problems.errors if problem.kind == "encoding"}
    for language, splits in corpus.sentences.items():
        for split, some in splits.items():
            sentences = [s for s in some if not any(place_of(s, token) in wrong for token in range(max(1, len(s))))]
            left += len(some) - len(sentences)
            name = "jsonl" if split == "unlabeled" or any(s.text is not None or s.tags is None for s in sentences) else "conll"
            write = FORMATS[name].write
            assert write is not None, "both formats can be written"
            write(sentences, out / language / f"{split}{FORMATS[name].suffixes[0]}")
            written += len(sentences)
    unread = len([p for p in corpus.problems.errors if p.line])
    said = f"; {left} that were read with errors are left out" if left else ""
    noun = "sentence" if written == 1 else "sentences"
    print(f"{written} {noun} written to {out}{said}" + (f"; {unread} errors are listed above" if unread else ""), file=sys.stderr)
