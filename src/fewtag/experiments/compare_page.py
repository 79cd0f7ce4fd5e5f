"""A comparison as a page: what was run, each group's table and charts, Figure 2, ablations, statistics. Made from `Results` alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from fewtag.data.amounts import parse_amounts
from fewtag.experiments import page, tables
from fewtag.experiments.claims import AVERAGE, is_ablation, is_rival
from fewtag.experiments.comparison_plots import Dots, Mark, cost_chart, difference_map, dot_chart
from fewtag.experiments.page import Block, Code, Facts, Figure, Figures, Section, Text
from fewtag.experiments.plots import Bar, Line, aired, bar_chart, line_chart
from fewtag.experiments.render import number, plain_rows
from fewtag.experiments.results import Group, Results
from fewtag.experiments.summary import MULTI, Summary, paired_differences, summarize

_TOLD = 3  # groups in the summary
_MOST_LINES = 5  # with bands in one chart: more hide each other
_LOG_FROM = 8  # the largest labeled fraction over the smallest
_SAME_COST = 1.05  # the most over the least passes: within this nothing is seen of cost


def compare_page(results: Results) -> str:
    """The page of a comparison as HTML.

    Args:
        results: of it, whole or with failed runs; also as read from ``compare.json``.
    """
    ablations = tables.ablation_table(results)
    sections = [
        Section("What was run", _what(results)),
        *(Section(group.words, _group(results, group)) for group in results.groups),
        Section("F1 by labels kept", _curves(results)),
        Section("Ablations", [page_table(ablations)] if ablations else []),
        Section("Corpora", [page_table(tables.statistics_table(results))] if results.statistics else []),
    ]
    corpora = _names(run.corpus for run in results.runs) or _names(each["corpus"] for each in results.failed)
    return page.render(f"Methods compared on {corpora}" if corpora else "Methods compared", _summary(results), sections)


def page_table(table: tables.Table) -> page.Table:
    """A table of the paper as one of a page: the same cells as in a terminal, the best of each column in bold."""
    rows, titles, best = list[list[str]](), dict[int, str](), set[tuple[int, int]]()
    for section, (title, shown) in zip(table.sections, plain_rows(table), strict=True):
        if title:
            titles[len(rows)] = title
        for cells, texts in zip(section.rows, shown, strict=True):
            best |= {(len(rows), column) for column, cell in enumerate(cells) if isinstance(cell, tables.Value) and cell.is_best}
            rows.append(texts)
    return page.Table(table.caption, table.header, rows, titles=titles, best=best, notes=table.notes)


def _summary(results: Results) -> str:
    """What a reader in a hurry should know: ours and the best of the others, of the first groups."""
    told = []
    for group in results.groups[:_TOLD]:
        names = dict.fromkeys(run.method for run in results.runs if run.group == group and is_rival(run, results))
        ours, rivals = summarize(results, group, results.ours), [summarize(results, group, name) for name in names]
        best = max((each for each in rivals if each), key=lambda each: each.mean, default=None)
        parts = [f"{each.method} {_score(each)}" for each in (ours, best) if each]
        told.append(f"{group.corpus} {group.labeled} {group.encoder}: {', best of the others '.join(parts)}." if parts else "")
    over = len(results.groups) - _TOLD
    more = f"{over} more group{'s' if over > 1 else ''} below." if over > 0 else ""
    how = f"{_capital(tables.conditions(results.runs))}." if results.runs else "No run has finished."
    return " ".join(part for part in (*told, more, how) if part)


def _what(results: Results) -> list[Block]:
    runs, failed = results.runs, results.failed
    places = [(run.corpus, run.labeled, run.encoder, run.method, str(run.seed)) for run in runs]
    places += [(each["corpus"], each["labeled"], each["encoder"], each["method"], each["seed"]) for each in failed]
    corpora, labeled, encoders, methods, seeds = (_names(column) for column in zip(*places, strict=True)) if places else [""] * 5
    different = len({run.cell for run in runs})
    shared = f", {different} of them different: one may stand in several groups" if different < len(runs) else ""
    budgets = _names("steps and patience" if run.budget is None else f"{run.budget:,} encoder passes" for run in runs)
    machines = _names(", ".join(f"{name}: {value}" for name, value in run.machine.items()) for run in runs)
    facts = [
        ("Corpora", corpora),
        ("Labels kept", labeled),
        ("Encoders", encoders),
        ("Seeds", seeds),
        ("Ours", results.ours),
        ("Scored on", _names(run.split for run in runs)),
        ("Tag reading", _names(run.mode for run in runs)),
        ("Dev policy", _names(run.dev for run in runs)),
        ("Runs end by", budgets),
        ("Runs", f"{len(runs)} finished{shared}; {len(failed)} failed"),
        ("Methods", methods),
        ("Machine", machines),
        ("Versions", ", ".join(f"{name} {version}" for name, version in results.versions.items())),
        ("Beside ours", f"the paper's numbers for {results.published}" if results.published else ""),
    ]
    blocks: list[Block] = [Facts([(name, value) for name, value in facts if value])]
    for reason in dict.fromkeys(each["reason"] for each in failed):
        alike = [each for each in failed if each["reason"] == reason]
        which = "; ".join("{corpus} {labeled} {encoder} {method} seed {seed}".format(**each) for each in alike)
        blocks.append(Text(f"Failed, {len(alike)} of {len(runs) + len(failed)} runs: {reason} ({which})", warning=True))
    return [*blocks, Code("Command", results.command)] if results.command else blocks


def _group(results: Results, group: Group) -> list[Block]:
    """The main table and its charts."""
    own = [found for name in results.methods if not is_ablation(name, results.ours) and (found := summarize(results, group, name))]
    axis = f"average F1 ({_names(run.mode for run in results.runs if run.group == group)})"
    figures = [_bars(results, group, own, axis)]
    others = [
        each.method for each in own if each.kind != "all" and each.method != MULTI and paired_differences(results, group, each.method)
    ]
    if others:
        figures.append(_by_seed(results, group, others))
        figures += [_by_language(results, group, others)] if len(results.languages(group)) > 1 else []
    figures += _costs(results, group, own, axis) if len(own) > 2 else []
    return [page_table(tables.main_table(results, group)), Figures(figures)]


def _bars(results: Results, group: Group, own: Sequence[Summary], axis: str) -> Figure:
    bars = [
        Bar(each.method, each.mean, None if each.sd is None else (each.mean - each.sd, each.mean + each.sd), each.method == results.ours)
        for each in own
    ]
    said = ", ".join(f"{each.method} {_score(each)}" for each in own)
    title = f"Average F1 by method, {group.words}"
    spread = ". Whiskers: one standard deviation over seeds to either side" if any(each.sd is not None for each in own) else ", one seed"
    return Figure(bar_chart(bars, title=title, description=said, x_label=axis, digits=2), f"Average F1 over languages by method{spread}.")


def _by_seed(results: Results, group: Group, methods: Sequence[str]) -> Figure:
    differences = {name: paired_differences(results, group, name) for name in methods}
    seeds = sorted({seed for own in differences.values() for seed in own})
    rows = [
        Dots(name, [own[seed][AVERAGE] if seed in own else None for seed in seeds], name == results.ours)
        for name, own in differences.items()
    ]
    said = ", ".join(f"{name} {fmean(each[AVERAGE] for each in own.values()):+.2f}" for name, own in differences.items())
    title = f"Differences from {MULTI} by seed, {group.words}"
    names = [f"seed {seed}" for seed in seeds]
    chart = dot_chart(rows, names, title=title, description=said, x_label=f"average F1 minus that of {MULTI}")
    order = f"dots: seeds {_names(seeds)} from top to bottom in each row; bar and number: their mean" if len(seeds) > 1 else names[0]
    return Figure(chart, f"Difference from {MULTI} with the same seed; {order}.{_left_out(results, group)}")


def _by_language(results: Results, group: Group, methods: Sequence[str]) -> Figure:
    columns = [*results.languages(group), AVERAGE]
    values = []
    for name in methods:
        own = paired_differences(results, group, name).values()
        values.append([fmean(each[column] for each in own) for column in columns])
    best, name, column = max(
        (v, name, column) for name, row in zip(methods, values, strict=True) for column, v in zip(columns, row, strict=True)
    )
    title, said = f"Differences from {MULTI} by language, {group.words}", f"Greatest: {name} in {column}, {best:+.2f}."
    chart = difference_map(methods, columns, values, title=title, description=said, row_label="method", column_label="language")
    caption = f"Difference from {MULTI} by language in F1 points, mean over the seeds that both have; blue: better, orange: worse."
    return Figure(chart, caption + _left_out(results, group))


def _costs(results: Results, group: Group, own: Sequence[Summary], axis: str) -> list[Figure]:
    """F1 against encoder passes; none where every method took as many."""
    able = [each for each in own if each.kind != "all"]
    if not able or max(each.passes for each in able) <= _SAME_COST * min(each.passes for each in able):
        return []
    marks = [Mark(each.method, each.passes, each.mean, each.sd, each.method == results.ours) for each in able]
    said = ", ".join(f"{each.method} {each.mean:.2f} for {each.passes:,.0f} passes" for each in able)
    chart = cost_chart(marks, title=f"F1 against cost, {group.words}", description=said, x_label="encoder passes of training", y_label=axis)
    spread = " Whiskers: one standard deviation over seeds to either side." if any(each.sd is not None for each in able) else ""
    return [Figure(chart, f"Average F1 against encoder passes of training, means over seeds.{spread}{_left_out(results, group)}")]


def _left_out(results: Results, *groups: Group) -> str:
    """Said of charts without the upper bound, beside which all others would look alike."""
    bounds = _names(run.method for run in results.runs if run.group in groups and run.kind == "all")
    return f" Not shown, as the upper bound: {bounds}." if bounds else ""


def _curves(results: Results) -> list[Block]:
    """Figure 2 and its numbers, for each corpus and encoder with several labeled fractions."""
    blocks: list[Block] = []
    for groups, table in zip(results.curves, tables.curve_tables(results), strict=True):
        blocks += [*_curve(results, groups), page_table(table)]
    return blocks


def _curve(results: Results, groups: Sequence[Group]) -> list[Block]:
    """Figure 2; in several charts with one scale where there are many methods, ours in each."""
    alike = {group: parse_amounts(group.labeled).alike for group in groups}
    sizes = {group: amount for group, amount in alike.items() if amount is not None}
    if len(sizes) < len(alike):
        return [Text("There is no chart: amounts that differ from language to language have no axis.")]
    if len({unit for _, unit in sizes.values()}) > 1:
        return [Text("There is no chart: percent, numbers of sentences and shots have no axis in common.")]
    unit = {"%": "percent of the labels kept", "": "labeled sentences per language", "shot": "shots per label"}[sizes[groups[0]][1]]
    amounts = {group: amount for group, (amount, _) in sizes.items()}
    log = max(amounts.values()) >= _LOG_FROM * min(amounts.values())
    lines = _lines(results, amounts)
    ours, others = [line for line in lines if line.strong], [line for line in lines if not line.strong]
    most = _MOST_LINES - len(ours)
    parts = [[*ours, *others[k : k + most]] for k in range(0, len(others), most)] or ([ours] if ours else [])
    figures = []
    for part in parts:
        said = "; ".join(f"{line.name}: " + ", ".join(f"{y:.2f} at {x:g}" for x, y in line.points) for line in part)
        chart = line_chart(
            part,
            title=f"F1 by labels kept, {groups[0].corpus}, encoder {groups[0].encoder}: {_names(line.name for line in part)}",
            description=said,
            x_label=f"{unit}, logarithmic" if log else unit,
            y_label=f"average F1 ({_names(run.mode for run in results.runs if run.group in groups)})",
            y_range=aired([y for line in lines for _, *ys in (*line.points, *line.band) for y in ys]),
            log_x=log,
        )
        spread = ". Bands: one standard deviation over seeds to either side" if any(line.band for line in part) else ""
        figures.append(Figure(chart, f"Average F1 over languages by labels kept{spread}.{_left_out(results, *groups)}"))
    return [Figures(figures)] if figures else []


def _lines(results: Results, amounts: Mapping[Group, float]) -> list[Line]:
    """Means by amount of labels, the upper bound left out; a band where every mean has a deviation."""
    lines = []
    for name in results.methods:
        found = [(amount, each) for group, amount in amounts.items() if (each := summarize(results, group, name)) and each.kind != "all"]
        if found:
            found.sort(key=lambda pair: pair[0])
            points = [(amount, each.mean) for amount, each in found]
            band = [(amount, each.mean - each.sd, each.mean + each.sd) for amount, each in found if each.sd is not None]
            whole = len(band) == len(found) > 1
            lines.append(Line(name, points, band=band if whole else (), dots=points, strong=name == results.ours))
    return lines


def _score(summary: Summary) -> str:
    return number(tables.Value(summary.mean, summary.sd)).replace(" ", "\N{NO-BREAK SPACE}")


def _names(values: Iterable[object]) -> str:
    """Each once, in their order."""
    return ", ".join(dict.fromkeys(map(str, values)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
