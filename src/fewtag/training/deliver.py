"""The end of a run: final scores, predictions, the tagger folder and a report in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fewtag.data.files import write_text
from fewtag.data.low_resource import LowResource
from fewtag.evaluation import Report
from fewtag.evaluation.span_f1 import count_by_sentence
from fewtag.evaluation.tables import report_markdown
from fewtag.serving.documents import document_of
from fewtag.tagger.card import card_of
from fewtag.tagger.decode import Prediction
from fewtag.tagger.folder import save
from fewtag.tagger.tagger import Tagger
from fewtag.training.diagnosis import diagnosis_markdown
from fewtag.training.folder import RunFolder, digest_of
from fewtag.training.journal import read_events
from fewtag.training.run_config import RunConfig
from fewtag.training.scoring import predict_all, report_on


def deliver(
    tagger: Tagger,
    data: LowResource,
    config: RunConfig,
    folder: RunFolder,
    method: str,
    seconds: float,
    steps: int,
    passes: int,
    notes: list[str],
) -> tuple[Report, Report | None]:
    """Evaluate the final tagger once on dev and test, and write everything the run folder promises.

    Args:
        tagger: the result of training.
        data: its dev and test splits; test is looked at here for the first time.
        config: of the run.
        folder: where to write.
        method: its row's name.
        seconds, steps, passes: cost of training.
        notes: decisions made for the user.

    Returns:
        The dev and the test report; None without a test split.
    """
    reports: dict[str, Report] = {}
    for split, sentences in (("dev", data.dev), ("test", data.test)):
        if not any(sentences.values()):
            continue
        predictions = predict_all(tagger, sentences)
        settings = config.evaluation
        reports[split] = report_on(predictions, mode=settings.mode, bootstrap=settings.bootstrap, seed=config.train.seed)
        for language, some in predictions.items():
            lines = "".join(json.dumps(document_of(p).to_json(), ensure_ascii=False) + "\n" for p in some)
            (folder.path / "predictions").mkdir(exist_ok=True)
            write_text(folder.path / "predictions" / f"{split}.{language}.jsonl", lines)
        write_counts(folder, split, predictions, settings.mode)
    finish(reports, tagger, data, config, folder, method, seconds, steps, passes, notes)
    return reports["dev"], reports.get("test")


def write_counts(folder: RunFolder, split: str, predictions: Mapping[str, Sequence[Prediction]], mode: str) -> None:
    """Correct, predicted and gold spans sentence by sentence: what a paired test over sentences needs, without the texts."""
    counts = {}
    for language, some in predictions.items():
        found = count_by_sentence([p.sentence.tags or () for p in some], [p.tags for p in some], mode)
        counts[language] = [[sum(each[place] for each in sentence.values()) for place in range(3)] for sentence in found]
    write_text(folder.counts(split), json.dumps({"mode": mode, "counts": counts}) + "\n")


def finish(
    reports: dict[str, Report],
    tagger: Tagger | None,
    data: LowResource,
    config: RunConfig,
    folder: RunFolder,
    method: str,
    seconds: float,
    steps: int,
    passes: int,
    notes: list[str],
) -> None:
    """Write report, tagger folder and, last of all, ``metrics.json``: its presence says that the run is whole."""
    counts = {lang: (len(data.labeled.get(lang, ())), len(data.unlabeled.get(lang, ()))) for lang in sorted(data.labeled)}
    text = report_text(reports, method, config, counts, seconds, steps, passes, notes)
    write_text(folder.path / "report.md", "\n".join([text, *_diagnosis(folder)]))
    if tagger is not None:
        shown = reports.get("test", reports["dev"])
        card = card_of(
            tagger,
            method=method,
            encoder=config.tagger.encoder,
            counts=counts,
            scores=report_markdown(shown),
            split="test" if "test" in reports else "dev",
        )
        save(
            tagger,
            folder.model,
            card=card,
            extra={"run": digest_of(config), "method": method, "precision": config.tagger.precision},
            force=True,
        )
    metrics: dict[str, Any] = {
        "method": method,
        "encoder": config.tagger.encoder,
        "seed": config.train.seed,
        "digest": digest_of(config),
        "seconds": seconds,
        "steps": steps,
        "passes": passes,
        "notes": notes,
        **{split: report.to_json() for split, report in reports.items()},
    }
    folder.write_json("metrics.json", metrics)


def _diagnosis(folder: RunFolder) -> list[str]:
    """What the journal says of teacher and student, and gold of their pseudo-labels; nothing where there is no teacher."""
    events = read_events(folder.events) if folder.events.exists() else []
    quality = json.loads(folder.quality.read_text(encoding="utf-8")) if folder.quality.exists() else None
    said = diagnosis_markdown(events, quality)
    return [said, ""] if said else []


def report_text(
    reports: dict[str, Report],
    method: str,
    config: RunConfig,
    counts: dict[str, tuple[int, int]],
    seconds: float,
    steps: int,
    passes: int,
    notes: list[str],
) -> str:
    """The report of a run as Markdown."""
    lines = [
        f"# Run: {method}, {config.tagger.encoder}, seed {config.train.seed}",
        "",
        f"{sum(n for n, _ in counts.values())} labeled and {sum(n for _, n in counts.values())} raw sentences in {len(counts)} "
        f"languages; {steps} steps, {passes} encoder passes, {seconds:.0f} s of training; configuration {digest_of(config)}.",
        "",
        *(f"- {note}" for note in notes),
        "",
    ]
    for split, report in reports.items():
        chosen = " (chose when to stop)" if split == "dev" else " (chose nothing)"
        lines += [f"## {split}{chosen}", "", report_markdown(report), ""]
    return "\n".join(lines)
