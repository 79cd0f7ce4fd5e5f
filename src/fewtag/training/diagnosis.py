"""What a run's journal says of teacher and student, as tables for its reports. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewtag.evaluation.tables import Table, markdown

Event = Mapping[str, Any]
Quality = Mapping[str, Any]  # pseudo_labels.json, see fewtag.training.pseudo_quality.PseudoQuality
GRADIENTS = {"gradient supervised": "L_sup", "gradient regularization": "L_reg", "gradient meta": "L_meta"}
LENGTHS = "Length of each loss's gradient in the teacher, its weight counted in, mean since the evaluation before"
COURSE = "Span F1 of the pseudo-labels against gold that training never saw, in percent, over the tenths of a stage's steps"
_MOST_ROWS = 10


def tables_by_language(events: Sequence[Event], quality: Quality | None = None) -> dict[str, Table]:
    """What there is to say by language, by caption; empty for a run without a teacher.

    Args:
        events: of ``events.jsonl``.
        quality: of the pseudo-labels, where there is gold.
    """
    told = "what the teacher was told, above 0: say this more; lambda: by how much the student's labeled loss rose (paper 3.3)"
    right = "; correlation: of feedback with the share of pseudo-labels that were right, by ranks, trends left out"
    alike = "% of the tokens that teacher and student (of co-teaching: both averages) tag alike, at the first and the last evaluation"
    feedback, agreement = feedback_table(events, quality), agreement_table(events)
    return {
        **({f"Feedback by language: {told}{right if 'correlation' in feedback[0] else ''}": feedback} if feedback else {}),
        **({f"Agreement by language: {alike}": agreement} if agreement else {}),
    }


def feedback_table(events: Sequence[Event], quality: Quality | None = None) -> Table | None:
    """Over the steps of the whole run mean, spread and share above 0 of feedback and lambda; None where nobody was told anything.

    Args:
        events: of ``events.jsonl``.
        quality: adds the feedback's correlation with how right the pseudo-labels were.
    """
    measured = [losses for event in events if "feedback spread" in (losses := event.get("losses") or {})]
    if not measured:
        return None
    right = (quality or {}).get("feedback_correlation") or {}
    known = [value for value in right.values() if value is not None]
    right = {**right, "": sum(known) / len(known) if known else None}
    header = ["language", "steps", "feedback", "its spread", "above 0", "lambda", "its spread", "above 0"]
    rows = []
    for language in _named(measured, "feedback spread"):
        (steps, *feedback), (_, *change) = (_pooled(measured, name, language) for name in ("feedback", "lambda"))
        told = [*_spread(*feedback), *_spread(*change)]
        correlation = "-" if (value := right.get(language)) is None else f"{value:+.2f}"
        rows.append([language or "all", f"{steps:.0f}", *told, *([correlation] if len(right) > 1 else [])])
    return [*header, *(["correlation"] if len(right) > 1 else [])], rows


def agreement_table(events: Sequence[Event]) -> Table | None:
    """How alike teacher and student tag, by language, at the first and at the last evaluation that saw the language."""
    measured = [losses for event in events if "agreement" in (losses := event.get("losses") or {})]
    rows = []
    for language in _named(measured, "agreement"):
        course = [losses[key] for losses in measured if (key := _key("agreement", language)) in losses]
        rows.append([language or "all", f"{100 * course[0]:.1f}", f"{100 * course[-1]:.1f}", f"{100 * (course[-1] - course[0]):+.1f}"])
    return (["language", "first", "last", "change"], rows) if rows else None


def gradient_table(events: Sequence[Event]) -> Table | None:
    """The lengths of the gradients over time, at no more than ten evaluations; None where they were not measured."""
    found = [event for event in events if any(name in (event.get("losses") or {}) for name in GRADIENTS)]
    if not found:
        return None
    places = sorted({round(k * (len(found) - 1) / (_MOST_ROWS - 1)) for k in range(_MOST_ROWS)})
    rows = []
    for event in (found[place] for place in places):
        lengths = [event["losses"].get(name) for name in GRADIENTS]
        sup, meta = lengths[0], lengths[-1]
        share = f"{meta / sup:.2g}" if sup and meta is not None else "-"
        rows.append([f"{event['stage']} {event['step']}", *("-" if each is None else f"{each:.3g}" for each in lengths), share])
    return ["stage, step", *GRADIENTS.values(), "L_meta / L_sup"], rows


def quality_table(quality: Quality) -> Table:
    """F1 of the pseudo-labels over time, a row for each stage."""
    most = max(len(course) for course in quality["f1"].values())
    rows = [[stage, *(f"{value:.1f}" for value in course), *["-"] * (most - len(course))] for stage, course in quality["f1"].items()]
    return ["stage", *map(str, range(1, most + 1))], rows


def f1_by_language(quality: Quality) -> str:
    """F1 of the pseudo-labels by language, in words."""
    own = quality["f1_by_language"]
    mixed = " F1 of a tenth depends on which languages its steps drew, too." if len(own) > 1 else ""
    return f"Over the whole run: {', '.join(f'{language} {f1:.1f}' for language, f1 in own.items())}.{mixed}"


def diagnosis_markdown(events: Sequence[Event], quality: Quality | None) -> str:
    """The tables as a section in Markdown; empty for a run without a teacher.

    Args:
        events: of ``events.jsonl``.
        quality: of the pseudo-labels, where there is gold.
    """
    lengths = gradient_table(events)
    tables = {
        **tables_by_language(events, quality),
        **({LENGTHS: lengths} if lengths else {}),
        **({f"{COURSE}. {f1_by_language(quality)}": quality_table(quality)} if quality else {}),
    }
    parts = [f"{caption.rstrip('.')}.\n\n{markdown(*table)}" for caption, table in tables.items()]
    return "\n\n".join(["## Teacher and student", *parts]) if parts else ""


def _key(name: str, language: str) -> str:
    return f"{name}/{language}" if language else name


def _named(measured: Sequence[Mapping[str, float]], name: str) -> list[str]:
    """Languages of a name's keys, and the empty one for all of them together where they are several."""
    languages = sorted({key.partition("/")[2] for losses in measured for key in losses if key.startswith(f"{name}/")})
    return languages if len(languages) == 1 else [*languages, ""] if measured else []


def _pooled(measured: Sequence[Mapping[str, float]], name: str, language: str) -> tuple[float, float, float, float]:
    """Steps, and over these mean, spread and share above 0, from those of each evaluation."""
    parts = [
        (losses.get(_key("steps", language), 1.0), *(losses[_key(f"{name}{part}", language)] for part in ("", " spread", " positive")))
        for losses in measured  # an earlier fewtag did not count the steps
        if _key(f"{name} spread", language) in losses
    ]
    steps = sum(count for count, *_ in parts)
    mean = sum(count * own for count, own, *_ in parts) / steps
    square = sum(count * (own**2 + spread**2) for count, own, spread, _ in parts) / steps
    return steps, mean, max(0.0, square - mean**2) ** 0.5, sum(count * above for count, *_, above in parts) / steps


def _spread(mean: float, spread: float, positive: float) -> list[str]:
    return [f"{mean:+.3g}", f"{spread:.3g}", f"{100 * positive:.0f} %"]
