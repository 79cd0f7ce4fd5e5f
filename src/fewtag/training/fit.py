"""The training loop: a generator of Progress that knows nothing of saving, printing, data or metrics.

At every yield the pair (method, position) is a complete state: a new generator started from a copy of it goes on to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from fewtag.errors import FewtagError
from fewtag.learning.seeding import Key
from fewtag.methods.method import Budget, Method, Stage
from fewtag.tagger.batch import Batch
from fewtag.tagger.tagger import Tagger
from fewtag.training.guard import START, Candidates, Scored, Verdict

__all__ = ["DivergedError", "Position", "Progress", "Scored", "fit"]


class DivergedError(FewtagError):
    """A loss stopped being a finite number."""


@dataclass
class Position:
    """Where a run stands, apart from the method's own state.

    Args:
        stage: index of the current stage.
        step: steps done in it.
        begun: whether its ``begin`` has run.
        best_score: best dev score in this stage, None before the first.
        best_step: when it was reached.
        stale: evaluations since then.
        looked_at: step of the last evaluation.
        best_by_language: the same score per language.
        best_counts: its correct, predicted and gold spans, by language and sentence, as in `Scored`.
        best_weights: the scored tagger's weights at that moment.
        sums: sums of the named losses since the last evaluation, with how many times each was seen.
        total_steps: steps done in all stages.
        candidates: what else could be shipped at the end.
        given: whether the current stage's learner came trained from elsewhere, so that the stage takes no step.
        passes: encoder passes of these steps, see `fewtag.methods.method.Method.num_passes`; those of evaluations are not among them.
    """

    stage: int = 0
    step: int = 0
    begun: bool = False
    best_score: float | None = None
    best_step: int = 0
    best_by_language: dict[str, float] = field(default_factory=dict)
    best_counts: dict[str, Tensor] = field(default_factory=dict)
    stale: int = 0
    looked_at: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    sums: dict[str, list[float]] = field(default_factory=dict)
    total_steps: int = 0
    candidates: Candidates = field(default_factory=Candidates)
    given: bool = False
    passes: int = 0

    def next_stage(self) -> None:
        """Stand before the first step of the next stage; only what is counted over all stages goes on."""
        vars(self).update(vars(Position(self.stage + 1, total_steps=self.total_steps, candidates=self.candidates, passes=self.passes)))

    def state(self) -> dict[str, Any]:
        """As a nested dict of tensors and plain values."""
        return {**vars(self), "candidates": self.candidates.kept}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Position:
        """From a saved `state`."""
        filled = {name: dict(state.get(name, {})) for name in ("best_weights", "best_by_language", "best_counts", "sums")}
        return cls(**{**state, **filled, "candidates": Candidates(dict(state.get("candidates", {})))})


@dataclass(frozen=True, slots=True)
class Progress:
    """One yield of the loop.

    Args:
        stage: name of the stage.
        stage_index, num_stages: which of how many.
        step: steps done in it.
        max_steps: steps it may take.
        language: of the last draw.
        losses: mean of the named losses since the last evaluation; empty between evaluations.
        scored: result of the evaluation made now, or None.
        is_best: whether it is the stage's best so far.
        best_score, best_step: the stage's best so far.
        stage_done: True when the stage has ended and its best weights are back in place.
        rivals: dev scores of the stage's other learners, where they were evaluated now.
        verdict: what the guard decided, at the very end.
    """

    stage: str
    stage_index: int
    num_stages: int
    step: int
    max_steps: int
    language: str
    losses: dict[str, float]
    scored: Scored | None
    is_best: bool
    best_score: float | None
    best_step: int
    stage_done: bool
    rivals: dict[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None


Draw = Callable[[Stage, int], tuple[Batch | None, ...]]


def fit(
    method: Method,
    position: Position,
    *,
    seed: int,
    draw: Draw,
    budget: Callable[[Stage], Budget],
    evaluate: Callable[[Tagger], Scored],
    out_of_time: Callable[[Stage], bool] = lambda stage: False,
    guard: bool | Literal["clear"] = False,
) -> Iterator[Progress]:
    """Train a method from where ``position`` stands to its end.

    Args:
        method: what to train; changed in place.
        position: where to start; changed in place.
        seed: of every random number in the steps.
        draw: the labeled and the unlabeled batch of a stage's step, and a batch of its fold where it has one.
        budget: of a stage.
        evaluate: scores a tagger on dev; must not use torch's generators for anything that matters.
        out_of_time: ends a stage early when true.
        guard: whether the best of the final tagger, the supervised start and the stages' rivals is delivered, rather than the final one;
            ``"clear"``: only where its lead on dev is (`fewtag.training.guard.Candidates.verdict`).

    Yields:
        Progress after every step, and at the end of every stage.

    Raises:
        DivergedError: when a loss is not finite.
    """
    stages = method.stages()
    while position.stage < len(stages):
        stage = stages[position.stage]
        limits = budget(stage)
        language = ""

        def progress(
            scored: Scored | None = None,
            is_best: bool = False,
            losses: dict[str, float] | None = None,
            done: bool = False,
            rivals: dict[str, float] | None = None,
            verdict: Verdict | None = None,
        ) -> Progress:
            return Progress(
                stage.name, position.stage, len(stages), position.step, limits.max_steps, language,  # noqa: B023
                losses or {}, scored, is_best, position.best_score, position.best_step, done, rivals or {}, verdict,
            )  # fmt: skip

        def look() -> Progress:
            means, position.sums = means_of(position.sums), {}
            if not stage.evaluated:  # noqa: B023
                return progress(losses=means)
            scored, is_best = _evaluate(position, stage, evaluate)  # noqa: B023
            rivals = _score_rivals(position, stage, evaluate) if guard and position.step else {}  # noqa: B023
            return progress(scored, is_best, means, rivals=rivals)

        if not position.begun:
            stage.begin()
            position.begun = True
            if stage.score_start:
                yield look()
        while not position.given and position.step < limits.max_steps and position.stale < limits.patience and not out_of_time(stage):
            labeled, unlabeled, *judge = draw(stage, position.step)
            language = next((b.language for b in (unlabeled, labeled) if b is not None), "")  # labels may be of all languages
            before = method.num_passes
            losses = stage.step(labeled, unlabeled, Key(seed, stage.name, position.step), *judge)
            position.passes += method.num_passes - before
            position.step += 1
            position.total_steps += 1
            _add(position, losses, stage, language)
            if position.step % limits.evaluate_every == 0 or position.step == limits.max_steps:
                yield look()
            else:
                yield progress()
        if stage.evaluated and (position.best_score is None or position.step > position.looked_at):  # ended between two evaluations
            yield look()
        if stage.evaluated:
            stage.scored.take_over(position.best_weights)
            stage.ended(position.best_by_language)
        language = ""  # the end of a stage belongs to no draw
        best = Scored(position.best_score or 0.0, position.best_by_language, position.best_counts)
        if guard and stage.effort == "supervised" and stage.offered and position.stage < len(stages) - 1:
            position.candidates.offer(START, best, position.best_weights)
        verdict = None
        if guard and position.stage == len(stages) - 1:
            verdict = position.candidates.verdict(method.delivered.name, best, guard)
            if verdict.chosen != verdict.final:
                method.delivered.take_over(position.candidates.kept[verdict.chosen]["weights"])
            position.candidates = Candidates()
        final = progress(done=True, verdict=verdict)
        position.next_stage()
        yield final


def _evaluate(position: Position, stage: Stage, evaluate: Callable[[Tagger], Scored]) -> tuple[Scored, bool]:
    """Score the stage's tagger and keep its weights when it is the stage's best so far. A tie keeps the earlier weights."""
    position.looked_at = position.step
    with stage.scored.settled() as tagger:
        scored = evaluate(tagger)
        if position.best_score is not None and scored.value <= position.best_score:
            position.stale += 1
            return scored, False
        position.best_score, position.best_step, position.stale = scored.value, position.step, 0
        position.best_by_language, position.best_counts = scored.by_language, scored.counts_by_language
        position.best_weights = {name: weight.detach().cpu().clone() for name, weight in tagger.state_dict().items()}
    return scored, True


def _score_rivals(position: Position, stage: Stage, evaluate: Callable[[Tagger], Scored]) -> dict[str, float]:
    """Score the stage's other learners and keep each one's best weights."""
    result = {}
    for rival in stage.rivals:
        with rival.settled() as tagger:
            scored = evaluate(tagger)
            position.candidates.offer(rival.name, scored, tagger.state_dict())
        result[rival.name] = scored.value
    return result


def _add(position: Position, losses: dict[str, Tensor], stage: Stage, language: str) -> None:
    values = dict(zip(losses, torch.stack([loss.detach().float() for loss in losses.values()]).tolist(), strict=True))
    for name, value in values.items():
        if value != value or value in (float("inf"), float("-inf")):
            raise DivergedError(
                f"the loss {name!r} became {value} in stage {stage.name!r} at step {position.step}, language {language!r}; "
                "a smaller train.lr usually helps"
            )
        own = {name: value}
        if name in ("lambda", "feedback"):  # enough to know its spread, and how often it praises
            own |= {f"{name} squared": value * value, f"{name} positive": float(value > 0)}
        for each, amount in own.items():
            for key in (each, f"{each}/{language}") if name in ("lambda", "feedback", "kept", "selected", "agreement") else (each,):
                total, count = position.sums.get(key, [0.0, 0])
                position.sums[key] = [total + amount, count + 1]


def means_of(sums: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Means by name; of what was summed with its square, the spread in place of that; of feedback, how many ``steps`` it is of."""
    means = {name: total / count for name, (total, count) in sorted(sums.items())}
    for name in [name for name in means if " squared" in name]:
        square, mean = means.pop(name), means[name.replace(" squared", "")]
        means[name.replace(" squared", " spread")] = max(0.0, square - mean * mean) ** 0.5
    steps = {name.replace("feedback", "steps"): float(count) for name, (_, count) in sums.items() if name.partition("/")[0] == "feedback"}
    return dict(sorted({**means, **steps}.items()))
