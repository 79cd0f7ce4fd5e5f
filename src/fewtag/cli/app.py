"""The application: every verb, and what the outside sees of an error."""

from __future__ import annotations

import logging
import os
import sys
import traceback

import typer

from fewtag import __version__
from fewtag.cli.check import check
from fewtag.cli.compare import compare
from fewtag.cli.convert import convert
from fewtag.cli.corpus import corpus
from fewtag.cli.curve import curve
from fewtag.cli.demo import demo
from fewtag.cli.evaluate import evaluate
from fewtag.cli.info import info
from fewtag.cli.init import init
from fewtag.cli.paper import paper
from fewtag.cli.predict import predict
from fewtag.cli.pretrain import pretrain
from fewtag.cli.pseudo import pseudo
from fewtag.cli.report import report
from fewtag.cli.split import split
from fewtag.cli.train import train
from fewtag.cli.tune import tune
from fewtag.errors import INTERRUPTED, FewtagError

app = typer.Typer(
    name="fewtag",
    help="One tagger for many languages, from a few labeled sentences and much raw text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 unexpected failure, 2 usage or configuration, 3 data errors, 4 something missing on this machine, "
    "5 below --fail-under, 130 interrupted.",
)
for verb in (
    init,
    check,
    convert,
    split,
    pretrain,
    train,
    compare,
    paper,
    evaluate,
    predict,
    report,
    pseudo,
    curve,
    tune,
    corpus,
    demo,
    info,
):
    app.command(verb.__name__)(verb)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(f"fewtag {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; errors the library raises on purpose become one sentence and an exit code."""
    # Threads that wait must sleep: those that spin slow a run twentyfold when anything else wants a core. Torch reads it once.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # each try to reach the hub would print a line; the last error says it all
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        app()
    except FewtagError as error:
        stopped = error.exit_code == INTERRUPTED  # as the user asked for, and nothing is lost
        print(error if stopped else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer makes this of KeyboardInterrupt, and says nothing
            _say_interrupted()
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(4)
    except Exception:
        traceback.print_exc()
        print("error: this is a fault in fewtag, not in your input; please report the lines above", file=sys.stderr)
        sys.exit(1)


def _say_interrupted() -> None:
    print("interrupted: ended at once, nothing more was saved; what had been written is whole", file=sys.stderr)
