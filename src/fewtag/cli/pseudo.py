"""``fewtag pseudo``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of
from fewtag.errors import ConfigError


def pseudo(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, e.g. runs/first.", metavar="RUN")],
    languages: Annotated[str | None, typer.Option("--lang", "--langs", help="Only these languages, e.g. de,fr.")] = None,
    worst: Annotated[int, typer.Option("--worst", min=0, help="Show the N sentences whose pseudo-labels are worst.", metavar="N")] = 0,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Another finished run: both taggers read the same raw sentences.", metavar="OTHER_RUN"),
    ] = None,
    sentences: Annotated[int, typer.Option("--sentences", min=1, help="Raw sentences of each language for --against.")] = 500,
    html: Annotated[Path | None, typer.Option("--html", help="Write it all as one HTML file, with charts.", metavar="FILE")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Where the data folder lies now, if it has moved since the run.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is at --html.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show how a run's pseudo-labels went, raise the drift alarm, and hold its tagger against another run's.

    Flips: tokens with another tag than when the same sentence was last recorded. Gold, where the data folder has it, is compared with after
    training only.

    The drift alarm tests, by language and stage, whether the labels the teacher gives moved from the first third of the recorded steps
    to the last (more than 5 % of the tokens, p < 0.01 after Holm's correction), and, where there is gold, whether F1 ended over 2 points
    under its best fifth (likewise). An alarm says that the shift is no accident of the sentences drawn, not that it is wrong: a
    teacher that gets better shifts too. Without gold, read the sentences of --worst before you believe it. Silence proves little where few
    sentences were recorded.

    Example: fewtag pseudo runs/first --worst 5 --against runs/bond --html pseudo.html
    """
    need_training()
    if html is not None and html.exists() and not force:
        raise ConfigError(f"{html} is there already; use --force to replace it")
    from fewtag.experiments.pseudo import course_of
    from fewtag.experiments.pseudo_text import course_text, readings_text
    from fewtag.experiments.record import Record
    from fewtag.experiments.two_readings import two_readings

    record = Record.load(run)
    wanted = languages_of(languages) or ()
    course = found = None
    try:
        course = course_of(record, languages=wanted, worst=worst, data_dir=data)
    except ConfigError as error:
        if against is None or record.pseudo_labels():
            raise
        print(f"note: {str(error).partition('; ')[0]}", file=sys.stderr)  # what follows advises what is being done
    if against is not None:
        found = two_readings(record, Record.load(against), languages=wanted, sentences=sentences, data_dir=data)
    for note in (*(course.notes if course else ()), *(found.notes if found else ())):
        print(f"note: {note}", file=sys.stderr)
    if html is not None:
        from fewtag.data.files import write_text
        from fewtag.experiments.pseudo_page import pseudo_page

        write_text(html, pseudo_page(course, found))
    if json_:
        values: dict[str, Any] = course.to_json() if course else {}
        print(json.dumps({**values, "against": found.to_json() if found else None}, ensure_ascii=False))
        return
    print("\n\n".join([*([course_text(course)] if course else []), *([readings_text(found)] if found else [])]))
    if html is not None:
        print(f"\npage  {html}")
