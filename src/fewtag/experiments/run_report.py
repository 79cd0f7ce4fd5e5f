"""The report of one run as a page: what was run, how well it does, how it learned, where it errs, and all that it depends on."""

from __future__ import annotations

import shlex
from pathlib import Path

from fewtag.data.files import write_text
from fewtag.errors import ConfigError, DataError, unknown
from fewtag.evaluation import Report
from fewtag.evaluation.tables import labels_table, languages_table
from fewtag.experiments.error_views import best_cases, confusion_blocks, kinds_table, worst_cases
from fewtag.experiments.journal_plots import gradient_figures, loss_figures, quality_figures, score_figures, self_training_figures
from fewtag.experiments.page import Block, Code, Facts, Figure, Figures, Section, Table, Text, render
from fewtag.experiments.plots import Bar, bar_chart
from fewtag.experiments.record import Record
from fewtag.training.diagnosis import tables_by_language

_MOST_BARS = 20  # labels in the chart; the table has all
_ROLE = {
    "dev": "Dev chose when to stop, so its scores are a little too good.",
    "test": "Test chose nothing: no setting, and not when to stop.",
}


def write_report(
    run: Path, out: Path | None = None, *, split: str | None = None, data_dir: Path | None = None, force: bool = False
) -> list[str]:
    """Write the page of a finished run.

    Args:
        run: the run folder.
        out: the file to write; None: ``report.html`` in the run folder, which is always written anew.
        split: whose errors to show; None: test where there is one, else dev.
        data_dir: where the data lie now, when they have moved.
        force: replace a file that is at ``out``.

    Returns:
        What the page had to leave out, as sentences.

    Raises:
        ConfigError: when there is no finished run, no such split, or ``out`` exists.
        DataError: when the run's files are damaged.
    """
    if out is not None and out.exists() and not force:
        raise ConfigError(f"{out} is there already; use --force to replace it")
    page, left_out = run_page(Record.load(run), split=split, data_dir=data_dir)
    write_text(out or run / "report.html", page)
    return left_out


def run_page(record: Record, *, split: str | None = None, data_dir: Path | None = None) -> tuple[str, list[str]]:
    """The page of a run, and what it had to leave out; arguments as for `write_report`."""
    split = split or record.splits[-1]
    if split not in record.splits:
        raise ConfigError(f"{record.folder}: {unknown('split', split, record.splits)}")
    report = record.report(split)
    left_out: list[str] = []
    try:
        tagged = record.tagged(split, data_dir)
        mode = report.mode
        confused = [kinds_table(report, split), *confusion_blocks(tagged, mode)]
        key = Text("✓ a span that both readings have, ✗ one that only this reading has.")
        worst: list[Block] = [key, *cases] if (cases := worst_cases(tagged, mode)) else [Text("There is no error.")]
        best: list[Block] = [*best_cases(tagged, mode)] or [Text("No sentence with a span came out without an error.")]
    except DataError as error:
        left_out.append(f"Confusions and cases are left out: {error}")
        confused, worst, best = [kinds_table(report, split), Text(left_out[0], warning=True)], [], []
    sections = [
        Section("What was run", [_what(record), *_counts(record), *(Text(note) for note in record.metrics["notes"])]),
        *(Section(f"Scores on {each}", _scores(record.report(each), each)) for each in reversed(record.splits)),
        Section(f"Errors on {split}", confused),
        Section("Learning curves", _figures(score_figures(record.events, report.mode) + loss_figures(record.events))),
        Section("Teacher and student", _teacher_and_student(record)),
        Section("Worst cases", worst),
        Section("Best cases", best),
        Section("Configuration, versions, hashes", _origins(record)),
    ]
    title = f"{record.metrics['method']} on {Path(str(record.settings['data']['dir'])).name}"
    return render(title, _summary(record), sections), left_out


def _figures(figures: list[Figure]) -> list[Block]:
    return [Figures(figures)] if figures else []


def _teacher_and_student(record: Record) -> list[Block]:
    """What they said to each other, by language and over time, and what gold says of it; nothing for a run without a teacher."""
    events, quality = [event for some in record.events.values() for event in some], record.quality
    tables = tables_by_language(events, quality)
    figures = quality_figures(quality, record.mode) + self_training_figures(record.events) + gradient_figures(record.events)
    blocks: list[Block] = [Table(caption, *table, strong=int(len(table[1]) > 1)) for caption, table in tables.items()]
    return blocks + _figures(figures)


def _summary(record: Record) -> str:
    parts = []
    for split in reversed(record.splits):
        report = record.report(split)
        scored = [language for language, part in report.by_language.items() if part.num_sentences]
        spread = f" (95 % interval {report.average_interval[0]:.1f} to {report.average_interval[1]:.1f})" if report.average_interval else ""
        many = f", mean of {len(scored)} languages" if len(scored) > 1 else f", {scored[0]}"
        parts.append(f"{split} {report.average_f1:.2f}{spread}{many}")
    return f"Span F1 in percent, exact match, {record.mode} reading of tags: {'; '.join(parts)}. One run, seed {record.metrics['seed']}."


def _kept(record: Record) -> str:
    """The share of labels; the upper bound of an experiment has them all, whatever the runs beside it keep."""
    # By its name: the table of methods needs torch, and a report is shown without.
    return "100%" if record.metrics["method"] == "supervised-full" else str(record.settings["data"]["labeled"])


def _what(record: Record) -> Facts:
    machine = record.environment.get("machine", {})
    counts = record.data["counts"].values()
    return Facts(
        [
            ("Method", record.metrics["method"]),
            ("Encoder", record.metrics["encoder"]),
            ("Data", str(record.settings["data"]["dir"])),
            ("Labels kept", f"{_kept(record)}, {sum(c['labeled'] for c in counts):,} sentences"),
            ("Raw text", f"{sum(c['unlabeled'] for c in counts):,} sentences"),
            ("Seed", str(record.metrics["seed"])),
            ("Training", f"{record.metrics['steps']:,} steps, {record.metrics['seconds']:.0f} s"),
            ("Machine", f"{machine.get('device', 'not recorded')}, threads: {machine.get('threads', 'not recorded')}"),
            ("Configuration", record.metrics["digest"]),
        ]
    )


def _counts(record: Record) -> list[Block]:
    kinds = ("labeled", "unlabeled", "dev", "test")
    rows = [[language, *(f"{own[kind]:,}" for kind in kinds)] for language, own in record.data["counts"].items()]
    sums = [f"{sum(own[kind] for own in record.data['counts'].values()):,}" for kind in kinds]
    return [Table("Sentences by language", ["language", *kinds], [*rows, ["all", *sums]], strong=1)]


def _scores(report: Report, split: str) -> list[Block]:
    bars = [Bar(lang, part.score.f1 if part.num_sentences else None, part.interval) for lang, part in report.by_language.items()]
    bars.append(Bar("average", report.average_f1, report.average_interval, strong=True))
    said = ", ".join(f"{bar.name} {bar.value:.1f}" for bar in bars if bar.value is not None)
    axis, spread = f"F1 ({report.mode})", ". Whiskers: 95 % bootstrap interval over sentences" if report.average_interval else ""
    chart = bar_chart(bars, title=f"F1 by language on {split}", description=said, x_label=axis, top=100)
    figures = [Figure(chart, f"F1 by language on {split}{spread}.")]
    by_label = report.by_label
    if len(by_label) > 1:
        common = sorted(by_label, key=lambda name: (-by_label[name].gold, name))[:_MOST_BARS]
        label_bars = [Bar(f"{name} ({by_label[name].gold})", by_label[name].f1) for name in common]
        said = ", ".join(f"{bar.name} {bar.value:.1f}" for bar in label_bars)
        chart = bar_chart(label_bars, title=f"F1 by label on {split}", description=said, x_label=axis, top=100)
        which = f"the {_MOST_BARS} most frequent of {len(by_label)} labels" if len(by_label) > _MOST_BARS else "all languages together"
        figures.append(Figure(chart, f"F1 by label on {split}, {which}; in brackets the number of gold spans."))
    header, rows = languages_table(report)
    table = Table(f"By language, {split}, {report.mode}", header, rows, strong=2)
    blocks: list[Block] = [Text(_ROLE[split]), Figures(figures), table]
    if len(by_label) > 1:
        blocks.append(Table(f"By label, {split}, {report.mode}, all languages", *labels_table(report)))
    return blocks


def _origins(record: Record) -> list[Block]:
    environment = record.environment
    files = [[name, digest] for name, digest in sorted(record.data["files"].items())]
    blocks: list[Block] = [
        Facts([(name, str(version)) for name, version in environment.get("versions", {}).items()]),
        Code("Command", shlex.join(environment.get("command", []))),
        Code("config.toml, every setting resolved", (record.folder / "config.toml").read_text(encoding="utf-8").strip()),
    ]
    if files:
        blocks.append(Code("SHA-256 of the data files", "\n".join(f"{digest}  {name}" for name, digest in files)))
    return blocks
