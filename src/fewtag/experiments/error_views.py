"""Errors for people: which labels are taken for which, the sentences that went worst and best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from fewtag.evaluation.confusion import NONE, Confusion, confusion
from fewtag.evaluation.errors import KINDS, Case, SpanError, span_errors
from fewtag.evaluation.report import Report
from fewtag.experiments.page import Block, Figure, Marked, Piece, Reading, Table, Text
from fewtag.experiments.plots import heat_map
from fewtag.experiments.record import Tagged
from fewtag.text.sentence import Span
from fewtag.text.tags import spans_of

_MOST_LABELS = 12  # in the heat map: more do not fit a phone
_MOST_PAIRS = 15
_NOTHING = "(nothing)"
_MEANING = {
    "boundary": "the right label on another range of tokens",
    "type": "the right range of tokens, another label",
    "both": "overlaps a gold span, with another range and another label",
    "missed": "a gold span that overlaps no predicted one",
    "spurious": "a predicted span that overlaps no gold one",
}


def kinds_table(report: Report, split: str) -> Table:
    """How many errors of each kind, by language, and what a kind means."""
    languages = list(report.by_language)
    total = sum(report.errors.values())
    rows = [
        [
            kind,
            *(str(report.by_language[language].errors[kind]) for language in languages),
            str(report.errors[kind]),
            f"{100 * report.errors[kind] / total:.0f} %" if total else "-",
            _MEANING[kind],
        ]
        for kind in KINDS
    ]
    header = ["kind", *languages, "all", "share", "meaning"]
    return Table(f"Kinds of errors on {split}, {report.mode}", header, rows, words=[len(header) - 1])


def confusion_blocks(tagged: Mapping[str, Sequence[Tagged]], mode: str) -> list[Block]:
    """The heat map of labels and the most frequent confusions, over all languages.

    Args:
        tagged: sentences with both readings, by language.
        mode: how tags are read.
    """
    some = [each for language in tagged.values() for each in language]
    counts = confusion([each.gold for each in some], [each.predicted for each in some], mode=mode)
    wrong = Counter({pair: count for pair, count in counts.items() if pair[0] != pair[1]})
    if not counts:
        return [Text("There is no gold span and no predicted one, so nothing could be confused.")]
    return [_map(counts, wrong), *([_pairs(counts, wrong, some, mode)] if wrong else [])]


def _map(counts: Confusion, wrong: Confusion) -> Figure:
    labels = sorted({label for pair in counts for label in pair} - {NONE})
    involved: Counter[str] = Counter()
    for (gold, predicted), count in wrong.items():
        involved[gold] += count
        involved[predicted] += count
    kept = sorted(sorted(labels, key=lambda label: -involved[label])[:_MOST_LABELS])
    names = [*kept, NONE]
    gold_sums: Counter[str] = Counter()
    for (gold, _), count in counts.items():
        gold_sums[gold] += count
    values = [[None if g == p == NONE else counts[g, p] / gold_sums[g] if gold_sums[g] else 0.0 for p in names] for g in names]
    shown = [label or _NOTHING for label in names]
    of = f"the {len(kept)} labels with the most errors of {len(labels)}" if len(kept) < len(labels) else "all labels"
    worst = ", ".join(f"{g or _NOTHING} read as {p or _NOTHING} {count} times" for (g, p), count in wrong.most_common(3)) or "no errors"
    title, description = "Confusion between labels", f"Most often: {worst}."
    chart = heat_map(shown, shown, values, title=title, description=description, row_label="gold", column_label="predicted")
    caption = (
        f"Of the gold spans of each label (row), which percentage was read as which label (column); {of}. A right label with a wrong "
        f"boundary stands on the diagonal. Column {_NOTHING}: missed. Row {_NOTHING}: where the spurious spans' labels went."
    )
    return Figure(chart, caption)


def _pairs(counts: Confusion, wrong: Confusion, some: Sequence[Tagged], mode: str) -> Table:
    examples: dict[tuple[str, str], str] = {}
    for each in some:
        for error in span_errors(each.gold, each.predicted, mode=mode):
            pair = (error.gold.label if error.gold else NONE, error.predicted.label if error.predicted else NONE)
            case = Case(0, each.sentence.tokens, error)
            said = " → ".join(text for text in (case.surface(error.gold), case.surface(error.predicted)) if text)
            examples.setdefault(pair, said)
    rows = [
        [g or _NOTHING, p or _NOTHING, str(count), f"{100 * count / sum(wrong.values()):.0f} %", examples[g, p]]
        for (g, p), count in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:_MOST_PAIRS]
    ]
    header = ["gold", "predicted", "times", "of all", "for example"]
    return Table(f"Most frequent confusions, {mode}, with the first case of each", header, rows, words=[1, 4])


def worst_cases(tagged: Mapping[str, Sequence[Tagged]], mode: str, *, per_language: int = 2, most: int = 12) -> list[Marked]:
    """Sentences with the most errors; between equals those the tagger was surest of.

    Args:
        tagged: sentences with both readings, by language.
        mode: how tags are read.
        per_language: at most so many of each language.
        most: at most so many in all.
    """
    chosen: list[tuple[tuple[float, float, str], Tagged, list[SpanError]]] = []
    for some in tagged.values():
        ranked = []
        for each in some:
            errors = span_errors(each.gold, each.predicted, mode=mode)
            if errors:
                sure = sum(each.confidences) / len(each.confidences) if each.confidences else 0.0
                ranked.append(((-len(errors), -sure, each.sentence.id), each, errors))
        chosen += sorted(ranked, key=lambda entry: entry[0])[:per_language]
    return [_case(each, _said(errors), mode) for _, each, errors in sorted(chosen, key=lambda entry: entry[0])[:most]]


def best_cases(tagged: Mapping[str, Sequence[Tagged]], mode: str, *, per_language: int = 1, most: int = 8) -> list[Marked]:
    """Sentences with the most spans and no error; arguments as for `worst_cases`."""
    chosen: list[tuple[tuple[int, str], Tagged]] = []
    strict = mode == "strict"
    for some in tagged.values():
        right = [each for each in some if any(tag != "O" for tag in each.gold) and not span_errors(each.gold, each.predicted, mode=mode)]
        ranked = [((-len(spans_of(each.gold, strict=strict)), each.sentence.id), each) for each in right]
        chosen += sorted(ranked, key=lambda entry: entry[0])[:per_language]
    chosen = sorted(chosen, key=lambda entry: entry[0])[:most]
    return [_case(each, f"{-key[0]} span{'s' if key[0] < -1 else ''}, all right", mode) for key, each in chosen]


def _said(errors: Iterable[SpanError]) -> str:
    kinds = Counter(error.kind for error in errors)
    total = sum(kinds.values())
    return f"{total} error{'s' if total > 1 else ''}: " + ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])


def _case(each: Tagged, about: str, mode: str) -> Marked:
    gold, predicted = (spans_of(tags, strict=mode == "strict") for tags in (each.gold, each.predicted))
    right = set(gold) & set(predicted)
    readings = [Reading("gold", pieces(each.sentence.tokens, gold, right))]
    if set(gold) != set(predicted):
        readings.append(Reading("predicted", pieces(each.sentence.tokens, predicted, right)))
    else:
        readings = [Reading("both", readings[0].pieces)]
    return Marked(each.sentence.language, f"{each.sentence.language} · {each.sentence.id} · {about}", readings)


def pieces(tokens: Sequence[str], spans: Sequence[Span], right: set[Span]) -> list[Piece]:
    """A sentence cut at its spans.

    Args:
        tokens: of the sentence.
        spans: in the order of the text, without overlap.
        right: the spans that both readings have.
    """
    found, at = [], 0
    for span in spans:
        if at < span.start:
            found.append(Piece(" ".join(tokens[at : span.start])))
        found.append(Piece(" ".join(tokens[span.start : span.end]), span.label, span in right))
        at = span.end
    if at < len(tokens):
        found.append(Piece(" ".join(tokens[at:])))
    return found
