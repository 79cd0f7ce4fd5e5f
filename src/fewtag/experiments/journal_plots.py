"""How a run learned, from its journal: dev F1 by stage, losses, and what the teacher and the student said to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fewtag.experiments.page import Figure
from fewtag.experiments.plots import Line, line_chart
from fewtag.training.diagnosis import COURSE, GRADIENTS, LENGTHS, Quality, f1_by_language

Events = Mapping[str, Sequence[Mapping[str, Any]]]
_MEASURED = {  # what a step reports besides losses (fewtag.training.fit): name -> (axis, factor, what it is)
    "kept": ("% of tokens", 100.0, "tokens of raw text whose pseudo-label was confident enough to count"),
    "selected": ("% of tokens", 100.0, "tokens of raw text whose pseudo-label the student is taught (method.labels=soft-high)"),
    "agreement": ("% of tokens", 100.0, "tokens of raw text that teacher and student (of co-teaching: both averages) tag alike"),
    "lambda": ("lambda", 1.0, "how the student's labeled loss changed in one step on pseudo-labels (lambda of the paper's section 3.3)"),
    "lambda spread": ("lambda", 1.0, "how far the steps since the evaluation before are apart in lambda (standard deviation)"),
    "lambda positive": ("% of steps", 100.0, "steps that raised the student's labeled loss"),
    "feedback": ("feedback", 1.0, "what the teacher is told of that change after sign, baseline and scale; above 0: say this more"),
    "feedback spread": ("feedback", 1.0, "how far the steps since the evaluation before are apart in feedback (standard deviation)"),
    "feedback positive": ("% of steps", 100.0, "steps after which the teacher was told to say its pseudo-labels more"),
    "weight": ("weight", 1.0, "of the agreement with the moving average, beside the loss on labels"),
}


def is_loss(name: str) -> bool:
    """Whether an entry of the journal's ``losses`` is a loss, and not a measurement of steps beside them."""
    own = name.partition("/")[0]
    return own not in _MEASURED and own != "steps" and not own.startswith("gradient ")


def stages_of(events: Events, kind: str = "") -> list[str]:
    """The stages of a run in their order: all, or those with events of one kind."""
    kinds = (kind,) if kind else ("evaluation", "losses")
    return list(dict.fromkeys(event["stage"] for some in events.values() for event in some if event["event"] in kinds))


def score_figures(events: Events, mode: str) -> list[Figure]:
    """One chart a stage: F1 on dev at each evaluation, by language, and their average.

    Args:
        events: language -> journal; under ``""`` that of a run on all languages together.
        mode: how tags were read.
    """
    figures = []
    for stage in stages_of(events, "evaluation"):
        lines = list(_score_lines(events, stage))
        ends = [e for some in events.values() for e in some if e["event"] == "stage_done" and e["stage"] == stage]
        best = "; ".join(
            (f"{lang}: " if lang else "") + f"best {e['best_dev_f1']:.2f} at step {e['best_step']}, ended at step {e['step']}"
            for lang, some in events.items()
            for e in some
            if e in ends and e["best_dev_f1"] is not None
        )
        title = f"Stage {stage}: F1 on dev"
        chart = line_chart(lines, title=title, description=best or title, x_label="step", y_label=f"dev F1 ({mode})")
        figures.append(Figure(chart, f"{title}, {mode}. {best[:1].upper()}{best[1:]}{'.' if best else ''}"))
    return figures


def _score_lines(events: Events, stage: str) -> Iterator[Line]:
    for language, some in events.items():
        found = [event for event in some if event["event"] == "evaluation" and event["stage"] == stage]
        if not found:
            continue
        if language:
            yield Line(language, [(e["step"], e["dev_f1"]) for e in found])
            continue
        if len(found[0]["dev_f1_by_language"]) > 1:
            yield Line("average", [(e["step"], e["dev_f1"]) for e in found], strong=True)
        for each in sorted(found[0]["dev_f1_by_language"]):
            yield Line(each, [(e["step"], e["dev_f1_by_language"][each]) for e in found])
        for rival in sorted({name for event in found for name in event.get("rivals", {})}):
            yield Line(f"{rival}, average", [(e["step"], e["rivals"][rival]) for e in found if rival in e.get("rivals", {})])


def loss_figures(events: Events) -> list[Figure]:
    """One chart a stage: the mean of each named loss since the evaluation before. A run by language has one line a language."""
    figures = []
    for stage in stages_of(events):
        lines = []
        for language, name in sorted({(lang, name) for lang, event in _measured(events, stage) for name in event["losses"]}):
            if "/" not in name and is_loss(name):
                own = [e for lang, e in _measured(events, stage) if lang == language and name in e["losses"]]
                lines.append(Line(f"{name} {language}".strip(), [(e["step"], e["losses"][name]) for e in own]))
        if lines:
            title = f"Stage {stage}: losses"
            ends = ", ".join(f"{line.name} ends at {line.points[-1][1]:.3g}" for line in lines)
            axis = "loss" if len(lines) > 1 else f"{lines[0].name} loss"
            chart = line_chart(lines, title=title, description=ends, x_label="step", y_label=axis)
            figures.append(Figure(chart, f"{title}, mean since the evaluation before."))
    return figures


def self_training_figures(events: Events) -> list[Figure]:
    """Kept share, agreement and feedback by language, for the stages and methods that have them; empty for the others."""
    figures = []
    for stage in stages_of(events):
        for name, (axis, factor, what) in _MEASURED.items():
            own = [event for _, event in _measured(events, stage) if name in event["losses"]]
            if not own:
                continue
            languages = sorted({key.partition("/")[2] for event in own for key in event["losses"] if key.startswith(f"{name}/")})
            lines = [Line("all", [(e["step"], factor * e["losses"][name]) for e in own], strong=True)]
            for language in languages:
                points = [(e["step"], factor * e["losses"][f"{name}/{language}"]) for e in own if f"{name}/{language}" in e["losses"]]
                lines.append(Line(language, points))
            title = f"Stage {stage}: {name}"
            last = f"{name} is {lines[0].points[-1][1]:.3g} at step {lines[0].points[-1][0]}"
            figures.append(Figure(line_chart(lines, title=title, description=last, x_label="step", y_label=axis), f"{title}: {what}."))
    return figures


def gradient_figures(events: Events) -> list[Figure]:
    """One chart a stage: the lengths of the gradients of the teacher's losses, where they were measured; what is 0 is not drawn."""
    figures = []
    for stage in stages_of(events):
        own = [event for _, event in _measured(events, stage)]
        lines = [
            Line(loss, [(e["step"], e["losses"][name]) for e in own if e["losses"].get(name, 0.0) > 0]) for name, loss in GRADIENTS.items()
        ]
        lines = [line for line in lines if line.points]
        if lines:
            title = f"Stage {stage}: gradients"
            ends = ", ".join(f"{line.name} ends at {line.points[-1][1]:.3g}" for line in lines)
            chart = line_chart(lines, title=title, description=ends, x_label="step", y_label="length", log_y=True)
            figures.append(Figure(chart, f"{title}. {LENGTHS}; {ends}."))
    return figures


def quality_figures(quality: Quality | None, mode: str) -> list[Figure]:
    """F1 of the pseudo-labels over the tenths of each stage; empty where none was judged.

    Args:
        quality: ``pseudo_labels.json``.
        mode: how spans were read.
    """
    if quality is None:
        return []
    lines = [Line(stage, [(k, f1) for k, f1 in enumerate(course, 1)]) for stage, course in quality["f1"].items()]
    ends = "; ".join(f"{line.name}: from {line.points[0][1]:.1f} to {line.points[-1][1]:.1f}" for line in lines)
    title = "F1 of the pseudo-labels"
    chart = line_chart(lines, title=title, description=ends, x_label="tenth of the stage", y_label=f"F1 ({mode})")
    return [Figure(chart, f"{COURSE}. {ends}. {f1_by_language(quality)}")]


def _measured(events: Events, stage: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for language, some in events.items():
        for event in some:
            if event.get("stage") == stage and event.get("losses"):
                yield language, event
