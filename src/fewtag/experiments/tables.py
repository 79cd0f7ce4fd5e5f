"""The paper's tables of a comparison: Tables 4 to 6 (methods by languages), 7 (ablations), 3 (statistics), and the data of Figure 2.

A table is cells with their numbers unrounded; `fewtag.experiments.render` makes text, Markdown, LaTeX and CSV of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fewtag.experiments.claims import AVERAGE, WHOLE, Claim, is_ablation
from fewtag.experiments.notes import curve_notes, main_notes
from fewtag.experiments.plan import plain_name
from fewtag.experiments.published import PublishedTable, published, published_ablations, published_statistics
from fewtag.experiments.results import Group, Results, Run
from fewtag.experiments.summary import Summary, gap_closed, summarize

_SECTIONS = {  # kind of a method -> the paper's heading
    "labels": "Labels alone ({labeled})",
    "raw": "Labels ({labeled}) and raw text",
    "all": "Upper bound (100% of the labels)",
}


@dataclass(frozen=True, slots=True)
class Value:
    """A number of a table.

    Args:
        mean: over seeds.
        sd: sample standard deviation over seeds; None of one seed.
        marks: ``†`` and ``‡``.
        is_best: of its column, the upper bound left out.
        signed: shows its sign.
        digits: after the point.
        shown: what tables for readers print for ``mean``, where that is not its digits: ``<0.001``, ``17,596``, ``31%``.
    """

    mean: float
    sd: float | None = None
    marks: str = ""
    is_best: bool = False
    signed: bool = False
    digits: int = 2
    shown: str = ""


Cell = Value | str


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one heading.

    Args:
        title: empty for none.
        rows: as long as the table's header.
    """

    title: str
    rows: list[list[Cell]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Args:
        name: for file names and references.
        caption: what it shows, with mode and dev policy.
        header: names of the columns.
        sections: at least one.
        notes: under the table.
    """

    name: str
    caption: str
    header: list[str]
    sections: list[Section]
    notes: list[str] = field(default_factory=list)


def all_tables(results: Results) -> list[Table]:
    """Every table there is something for: main tables, ablations, statistics, curves."""
    found = [main_table(results, group) for group in results.groups]
    found += [table for table in (ablation_table(results), *curve_tables(results)) if table is not None]
    if results.statistics:
        found.append(statistics_table(results))
    return found


def conditions(runs: Sequence[Run]) -> str:
    """How these numbers came about: split, mode, dev policy, seeds, budget. A table mixes no two of them silently."""
    splits, modes, devs = (sorted({getattr(run, name) for run in runs}) for name in ("split", "mode", "dev"))
    counts = sorted({len([r for r in runs if (r.group, r.method) == key]) for key in {(run.group, run.method) for run in runs}})
    span = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    seeds = "1 seed" if counts == [1] else f"mean ± sd of {span} seeds"
    budgets = sorted({run.budget for run in runs if run.budget is not None})
    passes = " or ".join(f"{each:,}" for each in budgets)
    cost = f"; every run ends with the step that makes it {passes} encoder passes" if budgets else ""
    return f"{'/'.join(splits)} span F1 in percent, {'/'.join(modes)} reading of tags, {'/'.join(devs)} dev, {seeds}{cost}"


def main_table(results: Results, group: Group) -> Table:
    """Methods by languages, as Tables 4 to 6: with the difference from ours, both tests, the gap closed and what it cost."""
    paper = published(results.published) if results.published else None
    languages = _ordered(results.languages(group), paper)
    summaries = {method: found for method in results.methods if (found := summarize(results, group, method))}
    tests = next((each for each in results.tests if Group(each["corpus"], each["labeled"], each["encoder"]) == group), {})
    differences = {each["method"]: Claim(**each) for each in tests.get("differences", ())}
    daggers = {each["column"]: Claim(**each) for each in tests.get("daggers", ())}
    methods = [method for method in summaries if not is_ablation(method, results.ours)] or list(summaries)
    header = ["method", *languages, "avg", "Δ", "p t", "p boot", "gap closed", "n", "passes", "seconds"]
    sections = []
    for kind, title in _SECTIONS.items():
        rows: list[list[Cell]] = []
        for method in methods:
            if summaries[method].kind == kind:
                rows.append(_main_row(results, group, summaries, method, languages, differences, daggers, methods))
                if paper and paper.row(method):
                    rows.append(_published_row(paper, method, languages, len(header)))
        if rows:
            sections.append(Section(title.format(labeled=group.labeled), rows))
    caption = f"{group.words}: {conditions([run for run in results.runs if run.group == group and run.method in methods])}"
    name = f"main-{_slug(group.corpus, group.labeled, group.encoder)}"
    return Table(name, caption, header, sections, main_notes(results, group, daggers, paper))


def _main_row(
    results: Results,
    group: Group,
    summaries: dict[str, Summary],
    method: str,
    languages: Sequence[str],
    differences: dict[str, Claim],
    daggers: dict[str, Claim],
    methods: Sequence[str],
) -> list[Cell]:
    own = summaries[method]

    def value(column: str) -> Value:
        mean, sd = own.value(column)
        rivals = [summaries[other].value(column)[0] for other in methods if summaries[other].kind != "all"]
        marks = daggers[column].marks if method == results.ours and column in daggers else ""
        return Value(mean, sd, marks, is_best=own.kind != "all" and mean == max(rivals))

    difference = differences.get(method)
    gap = gap_closed(results, group, method)
    return [
        method,
        *(value(language) for language in languages),
        value(AVERAGE),
        Value(difference.delta, signed=True) if difference else "",
        _p(difference.t_p_holm if difference else None),
        _p(difference.bootstrap_p_holm if difference else None),
        "" if gap is None else Value(100 * gap, shown=f"{round(100 * gap)}%"),
        _count(own.count),
        _count(own.passes),
        _count(own.seconds),
    ]


def _p(value: float | None) -> Cell:
    return "" if value is None else Value(value, shown="<0.001" if value < 0.001 else f"{value:.3f}")


def _count(value: float) -> Value:
    return Value(value, shown=f"{value:,.0f}")


def _published_row(paper: PublishedTable, method: str, languages: Sequence[str], width: int) -> list[Cell]:
    """What the paper prints for the method; its average only beside the same languages."""
    row, ours = paper.row(method), paper.row(WHOLE)
    assert row is not None and ours is not None
    cells: list[Cell] = [f"  paper: {row.name}"]
    cells += [Value(row.f1[lang], marks="†" * (lang in row.daggers)) if lang in row.f1 else "" for lang in languages]
    if set(languages) == set(row.f1):
        cells.append(Value(row.average, marks="†" * (AVERAGE in row.daggers)))
        bound = method in (WHOLE, "supervised-full")
        cells.append("" if bound else Value(ours.average - row.average, signed=True))
    return [*cells, *[""] * (width - len(cells))]


def ablation_table(results: Results) -> Table | None:
    """Table 7: averages of MetaTS as printed and of what is left when a part is taken out; a column for each group."""
    methods = [method for method in results.methods if method in published_ablations()]
    if len(methods) < 2 and not any(is_ablation(method, results.ours) for method in methods):
        return None
    header = ["method"]
    cells: dict[str, list[Cell]] = {method: [method] for method in methods}
    for group in results.groups:
        whole = summarize(results, group, WHOLE)
        header += [f"{group.corpus} {group.labeled} {group.encoder}", "Δ", "n"]
        for method in methods:
            own = summarize(results, group, method)
            cells[method] += [
                Value(own.mean, own.sd) if own else "",
                Value(whole.mean - own.mean, signed=True) if own and whole and method != WHOLE else "",
                _count(own.count) if own else "",
            ]
    if results.published:
        header.append(f"paper: {results.published}")
        for method in methods:
            cells[method].append(Value(published_ablations()[method][results.published]))
    caption = f"Ablations: {conditions([run for run in results.runs if run.method in methods])}, averages over languages"
    return Table("ablations", caption, header, [Section("", list(cells.values()))], [f"Δ: {WHOLE} minus the row."])


def curve_tables(results: Results) -> list[Table]:
    """The data of Figure 2, a table for each corpus and encoder with several labeled fractions: average F1 by method and fraction."""
    tables = []
    for groups in results.curves:
        corpus, encoder = groups[0].corpus, groups[0].encoder
        runs = [run for run in results.runs if (run.corpus, run.encoder) == (corpus, encoder)]
        kinds = {run.method: run.kind for run in runs}
        rows: list[list[Cell]] = []
        for method in sorted(kinds, key=lambda name: kinds[name] == "all"):  # the upper bound last
            found = [summarize(results, group, method) for group in groups]
            counts = "/".join(dict.fromkeys(str(each.count if each else 0) for each in found))
            rows.append([method, *(Value(each.mean, each.sd) if each else "" for each in found), counts])
        caption = f"{corpus}, encoder {encoder}, by labels kept: {conditions(runs)}, averages over languages"
        header = ["method", *(group.labeled for group in groups), "n"]
        tables.append(Table(f"curve-{_slug(corpus, encoder)}", caption, header, [Section("", rows)], curve_notes(runs)))
    return tables


def statistics_table(results: Results) -> Table:
    """Table 3."""
    header = ["corpus", "train", "dev", "test", "unlabeled", "types", "coverage %", "average length"]
    keys = ("train", "dev", "test", "unlabeled", "types", "coverage", "average_length")

    def row(name: str, values: dict[str, float]) -> list[Cell]:
        return [name, *("" if key not in values else Value(values[key]) if key in keys[-2:] else _count(values[key]) for key in keys)]

    sections = [Section(corpus, [row(*each) for each in parts.items()]) for corpus, parts in results.statistics.items()]
    if results.published:
        sections.append(Section(f"paper: {results.published}", [row(*each) for each in published_statistics(results.published).items()]))
    notes = ["Types: labels that occur. Coverage: tokens that are not O, of train, dev and test."]
    return Table("statistics", "Sentences by language and split, before any label was taken away", header, sections, notes)


def _ordered(languages: list[str], paper: PublishedTable | None) -> list[str]:
    """As in the paper where it has them all, else by the alphabet."""
    order = list(paper.rows[0].f1) if paper else []
    return sorted(languages, key=order.index) if set(languages) <= set(order) else languages


def _slug(*parts: str) -> str:
    return plain_name("-".join(part.replace("%", "pc") for part in parts))
