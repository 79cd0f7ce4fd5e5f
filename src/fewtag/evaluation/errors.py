"""What kind of error: every gold and every predicted span falls into exactly one class.

A predicted span that agrees with a gold span in start, end and label is right, and both are done with. The others are paired where they
overlap, the pair with the most common tokens first, each span used once; between equal overlaps the pair of one label goes first, then the
one that stands earlier. Of a pair
    ``type``      has the same range and another label,
    ``boundary``  another range and the same label,
    ``both``      another range and another label.
What is left without a partner is ``missed`` (gold) or ``spurious`` (predicted). Hence
gold = correct + boundary + type + both + missed, and predicted = correct + boundary + type + both + spurious.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fewtag.errors import ConfigError, unknown
from fewtag.evaluation.span_f1 import Tags, check_lengths, check_mode
from fewtag.text.sentence import Span
from fewtag.text.tags import spans_of

KINDS = ("boundary", "type", "both", "missed", "spurious")


@dataclass(frozen=True, slots=True)
class SpanError:
    """One error.

    Args:
        kind: one of ``KINDS``.
        gold: the gold span; None when spurious.
        predicted: the predicted span; None when missed.
    """

    kind: str
    gold: Span | None
    predicted: Span | None

    @property
    def start(self) -> int:
        """The first token concerned."""
        return min(span.start for span in (self.gold, self.predicted) if span is not None)


@dataclass(frozen=True, slots=True)
class Case:
    """An error in its sentence.

    Args:
        sentence: number of the sentence, counted from 0.
        tokens: of the sentence.
        error: what went wrong.
    """

    sentence: int
    tokens: tuple[str, ...]
    error: SpanError

    def surface(self, span: Span | None) -> str:
        """The tokens of a span with its label, ``"New York [LOC]"``; empty for None."""
        return f"{' '.join(self.tokens[span.start : span.end])} [{span.label}]" if span is not None else ""


def span_errors(gold: Tags, predicted: Tags, *, mode: str = "lenient") -> list[SpanError]:
    """The errors of one sentence, in the order of the text."""
    strict = check_mode(mode) == "strict"
    wanted, found = spans_of(gold, strict=strict), spans_of(predicted, strict=strict)
    right = set(wanted) & set(found)
    free_gold = {span: None for span in wanted if span not in right}  # dicts as ordered sets
    free_found = {span: None for span in found if span not in right}
    pairs = [(p, g) for p in free_found for g in free_gold if p.start < g.end and g.start < p.end]
    pairs.sort(key=lambda pair: (-_overlap(*pair), pair[0].label != pair[1].label, pair[0].start, pair[1].start))
    errors = []
    for p, g in pairs:
        if g in free_gold and p in free_found:
            del free_gold[g], free_found[p]
            kind = "type" if (p.start, p.end) == (g.start, g.end) else "boundary" if p.label == g.label else "both"
            errors.append(SpanError(kind, g, p))
    errors += [SpanError("missed", g, None) for g in free_gold]
    errors += [SpanError("spurious", None, p) for p in free_found]
    return sorted(errors, key=lambda error: error.start)


def _overlap(a: Span, b: Span) -> int:
    return min(a.end, b.end) - max(a.start, b.start)


def count_errors(gold: Sequence[Tags], predicted: Sequence[Tags], *, mode: str = "lenient") -> dict[str, int]:
    """How many errors of each kind.

    Raises:
        ConfigError: for an unknown mode.
        DataError: when sentences or tags are missing.
    """
    check_mode(mode)
    check_lengths(gold, predicted)
    counts = dict.fromkeys(KINDS, 0)
    for g, p in zip(gold, predicted, strict=True):
        for error in span_errors(g, p, mode=mode) if any(tag != "O" for tag in (*g, *p)) else ():
            counts[error.kind] += 1
    return counts


def cases(
    tokens: Sequence[Sequence[str]],
    gold: Sequence[Tags],
    predicted: Sequence[Tags],
    *,
    kind: str | None = None,
    label: str | None = None,
    mode: str = "lenient",
) -> Iterator[Case]:
    """Errors in their sentences, in order; take as many as you want to see.

    Args:
        tokens: of each sentence.
        gold, predicted: tags of each sentence.
        kind: only this kind, one of ``KINDS``.
        label: only errors whose gold or predicted span has this label.
        mode: ``"lenient"`` or ``"strict"``.

    Raises:
        ConfigError: for an unknown kind or mode.
        DataError: when sentences, tokens or tags are missing.
    """
    check_mode(mode)
    if kind is not None and kind not in KINDS:
        raise ConfigError(unknown("kind of error", kind, KINDS))
    check_lengths(tokens, gold)
    check_lengths(gold, predicted)
    return _cases(tokens, gold, predicted, kind, label, mode)


def _cases(
    tokens: Sequence[Sequence[str]], gold: Sequence[Tags], predicted: Sequence[Tags], kind: str | None, label: str | None, mode: str
) -> Iterator[Case]:
    for index, (some, g, p) in enumerate(zip(tokens, gold, predicted, strict=True)):
        for error in span_errors(g, p, mode=mode):
            labels = {span.label for span in (error.gold, error.predicted) if span is not None}
            if kind in (None, error.kind) and (label is None or label in labels):
                yield Case(index, tuple(some), error)
