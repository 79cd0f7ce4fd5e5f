"""``fewtag demo``: the main road on the made corpus, offline, in a few minutes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewtag.cli.display import Display
from fewtag.cli.extras import need_training
from fewtag.errors import FewtagError

if TYPE_CHECKING:
    from fewtag.training.result import RunResult

QUERIES = {
    "en": "red nike running shoes women size 8",
    "de": "schwarze lederjacke herren xl",
    "es": "zapatillas adidas blancas niño",
    "fr": "robe rouge en coton pour femme",
    "it": "borsa nera in pelle",
    "ja": "赤いワンピース",
    "zh": "黑色真皮钱包",
    "nl": "houten eettafel 180 cm",
    "pl": "czerwona sukienka damska",
    "tr": "siyah deri ceket erkek",
}


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the corpus and the runs go.")] = Path("runs/demo"),
    scale: Annotated[float, typer.Option("--scale", help="Size of the corpus relative to the paper's.")] = 0.05,
    labeled: Annotated[str, typer.Option("--labeled", help="How many labels each language keeps.")] = "1%",
    seed: Annotated[int, typer.Option("--seed")] = 13,
    quiet: Annotated[bool, typer.Option("-q", "--quiet")] = False,
) -> None:
    """Train on the made corpus of shop queries in twelve languages and show what the raw text was worth."""
    need_training()
    from fewtag.data.corpus import Corpus
    from fewtag.data.queries import write_corpus
    from fewtag.methods import DEFAULT
    from fewtag.serving import load
    from fewtag.tagger.allocator import keep_pages
    from fewtag.training.folder import RunFolder
    from fewtag.training.result import finished_result
    from fewtag.training.run import run
    from fewtag.training.run_config import RunConfig

    keep_pages()
    began = time.monotonic()
    data = out / f"queries-{scale}"

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr)

    if not data.exists():
        say(f"writing the made corpus to {data}")
        part = data.with_name(f"{data.name}.part")  # whole or not at all: the next demo would take what is there
        shutil.rmtree(part, ignore_errors=True)
        write_corpus(part, seed=0, scale=scale)
        part.rename(data)
    say("supervised-full, every label, trains beside the others in a process of its own: the built-in encoder runs on one core")
    corpus = Corpus.from_dir(data)
    results: dict[str, RunResult] = {}
    words = ["train", str(data), "-o", str(out / "supervised-full"), "-m", "supervised-full", "--seed", str(seed), "--force", "-q"]
    with _Beside(words) as full:
        for method in ("supervised-multi", DEFAULT):
            say(f"{method}, {labeled} of the labels")
            start = str(results["supervised-multi"].folder) if results else ""  # it need not be trained a second time
            values = {"data": {"dir": str(data), "labeled": labeled}, "method": {"name": method}, "train": {"seed": seed, "start": start}}
            with Display(quiet) as display:
                results[method] = run(RunConfig.model_validate(values), out / method, corpus=corpus, force=True, listener=display)
        full.wait()
    results["supervised-full"] = finished_result(RunFolder(out / "supervised-full"))
    print(_table(results))
    model = results[DEFAULT].model
    tagger = load(model)
    print(f"\nTagged by the {DEFAULT} tagger:")
    for language, text in QUERIES.items():
        marked = " ".join(f"[{entity.text}]{entity.label}" for entity in tagger(text, lang=language).entities)
        print(f"  {language}  {text}\n      {marked}")
    print(f"\n{time.monotonic() - began:.0f} s.  Model: {model}   Report: {out / DEFAULT / 'report.md'}")
    print(f"Try: echo 'blue cotton shirt men' | fewtag predict {model} --lang en")


class _Beside:
    """A command in a process of its own; it does not outlive the ``with``."""

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fewtag.cli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> _Beside:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.communicate()

    def wait(self) -> None:
        """Wait for its end.

        Raises:
            FewtagError: with what it said when it failed.
        """
        _, errors = self._process.communicate()
        if self._process.returncode:
            raise FewtagError(f"training supervised-full failed: {errors.strip()}")


def _table(results: dict[str, RunResult]) -> str:
    reports = {name: result.test or result.dev for name, result in results.items()}
    multi, raw, full = reports.values()  # as they were run
    languages = list(multi.by_language)
    header = f"{'Test span F1 (' + multi.mode + ')':24}" + "".join(f"{language:>7}" for language in languages) + f"{'avg':>8}"
    lines = [header]
    for name, report in reports.items():
        lines.append(
            f"{name:24}" + "".join(f"{report.by_language[lang].score.f1:7.1f}" for lang in languages) + f"{report.average_f1:8.2f}"
        )
    gains = [raw.by_language[lang].score.f1 - multi.by_language[lang].score.f1 for lang in languages]
    gain, room = raw.average_f1 - multi.average_f1, full.average_f1 - multi.average_f1
    lines.append(f"{'raw text was worth':24}" + "".join(f"{value:+7.1f}" for value in gains) + f"{gain:+8.2f}")
    lines.append(f"\nOf the {room:.1f} F1 that labeling everything would bring, raw text brought {gain:+.1f} (one seed).")
    return "\n".join(lines)
