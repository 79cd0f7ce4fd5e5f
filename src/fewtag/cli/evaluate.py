"""``fewtag evaluate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtag.cli.extras import need_training
from fewtag.cli.settings import languages_of, precision_of
from fewtag.errors import BelowThresholdError, ConfigError, DataError, unknown


def evaluate(
    model: Annotated[Path, typer.Argument(help="Tagger folder, e.g. runs/first/model.")],
    dir: Annotated[Path, typer.Argument(help="Data folder with gold tags.", metavar="DIR")],
    split: Annotated[str, typer.Option("--split", help="Which split: test, dev or train.")] = "test",
    mode: Annotated[str, typer.Option("--mode", help="lenient (conlleval's reading) or strict.")] = "lenient",
    languages: Annotated[str | None, typer.Option("--langs", help="Only these languages, e.g. en,de.")] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Resamples for the intervals; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of the resamples.")] = 13,
    fail_under: Annotated[
        float | None, typer.Option("--fail-under", min=0, max=100, help="Exit 5 when the average F1 is below this: 0.80 or 80.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda:0.")] = "auto",
    precision: Annotated[str | None, typer.Option("--precision", help="auto, bf16, fp32; not given: as the run had it.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Score a tagger: languages by labels, kinds of errors, intervals.

    Example: fewtag evaluate runs/first/model data --fail-under 0.80
    """
    need_training()
    if split not in ("train", "dev", "test"):
        raise ConfigError(unknown("split", split, ("train", "dev", "test")))
    if mode not in ("lenient", "strict"):
        raise ConfigError(unknown("mode", mode, ("lenient", "strict")))
    from fewtag.data.corpus import Corpus
    from fewtag.evaluation.tables import report_text
    from fewtag.tagger.cores import use_granted
    from fewtag.tagger.folder import load
    from fewtag.training.prepare import pick_device
    from fewtag.training.scoring import predict_all, report_on

    tagger = load(model, device=str(pick_device(device)), precision=precision_of(precision))
    use_granted(tagger.encoder.gains_from_threads)
    corpus = Corpus.from_dir(dir, languages=languages_of(languages))
    corpus.problems.raise_for_errors()
    tagged = {language: [s for s in some if s.tags is not None] for language, some in corpus.split(split).items()}
    bare = sum(map(len, corpus.split(split).values())) - sum(map(len, tagged.values()))
    if bare:
        print(f"note: {bare} {split} sentences have no tags and are not scored", file=sys.stderr)
    sentences = {language: some for language, some in tagged.items() if some}
    without = [language for language in corpus.languages if language not in sentences]
    if sentences and without:
        print(f"note: no {split} sentences in {', '.join(without)}; the average is over the other languages", file=sys.stderr)
    if not sentences:
        some = f" in {', '.join(corpus.languages)}" if languages else ""
        raise DataError(f"{dir} has no {split} split{some}; choose another with --split{' or --langs' if some else ''}")
    strange = sorted(set(corpus.tag_set.labels) - set(tagger.tag_set.labels))
    if strange:
        print(f"note: the tagger does not know the labels {', '.join(strange)}; their spans count as missed", file=sys.stderr)
    report = report_on(predict_all(tagger, sentences), mode=mode, bootstrap=bootstrap, seed=seed)
    print(json.dumps(report.to_json(), ensure_ascii=False) if json_ else report_text(report))
    if fail_under is not None:
        wanted = fail_under * 100 if fail_under <= 1 else fail_under
        if report.average_f1 < wanted:
            raise BelowThresholdError(f"average F1 {report.average_f1:.2f} ({mode}) is below {wanted:.2f}")
