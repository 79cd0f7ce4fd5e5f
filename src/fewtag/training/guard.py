"""The guard: a run on raw text never ships a tagger that is worse on dev than one it had on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from torch import Tensor

from fewtag.evaluation.bootstrap import generator_for, resampled_f1

START = "supervised start"
CLEAR = 0.2  # a lead is clear where fewer resamples of dev than this share contradict it: benchmarks/guard.py, docs/results.md
RESAMPLES = 1000  # as of a run's intervals


@dataclass(frozen=True, slots=True)
class Scored:
    """What an evaluation on dev says.

    Args:
        value: the number early stopping looks at; higher is better.
        by_language: the same per language, for people.
        counts_by_language: (N, 3) correct, predicted and gold spans of each dev sentence; empty where nobody counted.
    """

    value: float
    by_language: dict[str, float]
    counts_by_language: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Candidates:
    """The best weights of each kind a run has seen.

    Args:
        kept: by name: ``score``, ``by_language``, ``counts`` and ``weights`` (on the CPU).
    """

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)

    def offer(self, name: str, scored: Scored, weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of these weights when they are the best of their kind; a tie keeps the earlier."""
        if name not in self.kept or scored.value > self.kept[name]["score"]:
            copies = {key: weight.detach().cpu().clone() for key, weight in weights.items()}
            said = {"score": scored.value, "by_language": dict(scored.by_language), "counts": dict(scored.counts_by_language)}
            self.kept[name] = {**said, "weights": copies}

    def verdict(self, name: str, final: Scored, guard: Literal[True, "clear"] = True) -> Verdict:
        """Which to ship: the final one unless another has a better dev score.

        Args:
            name: of the final tagger.
            final: its score.
            guard: ``True``: any lead on dev counts; ``"clear"``: one that fewer than `CLEAR` of the resamples of dev contradict.
        """
        others = {other: Scored(each["score"], each["by_language"], each.get("counts", {})) for other, each in self.kept.items()}
        scores = {name: final, **others}
        best = _best_of(scores)
        doubt = doubt_of(scores[best], final) if best != name else None
        by_chance = guard == "clear" and doubt is not None and doubt >= CLEAR
        return Verdict(name if by_chance else best, name, scores, doubt)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard decided.

    Args:
        chosen: name of what is shipped.
        final: name of what training ended with.
        scores: dev scores by name, the final one's first.
        doubt: share of the resamples of dev in which the final one is as good as the best, see `doubt_of`; None where it is the best
            itself or nobody counted.
    """

    chosen: str
    final: str
    scores: dict[str, Scored]
    doubt: float | None = None

    @property
    def sentence(self) -> str:
        """For people: what was kept, why, and where raw text helped and hurt; where the start was kept, by the final tagger's scores."""
        chosen, start = self.scores[self.chosen], self.scores.get(START)
        others = ", ".join(f"{name} {each.value:.2f}" for name, each in self.scores.items() if name != self.chosen)
        text = f"kept the {self.chosen}: dev F1 {chosen.value:.2f}" + (f" against {others}" if others else "")
        text += self._doubtful()
        if start is None:
            return text
        if self.chosen == START:
            told = _gains(start, self.scores[self.final])
            text = f"{text}; what was learned from raw text did not help on dev"
            return f"{text}: the {self.final} was {told}" if told else text
        told = _gains(start, chosen) or ("no better in any language" if start.by_language else "")
        return f"{text}; on dev raw text made it {told}" if told else text

    def _doubtful(self) -> str:
        """In words, where the best's lead over the final tagger may be chance and so the choice might have been another."""
        if self.doubt is None or self.doubt < CLEAR:
            return ""
        lead = f"the {self.final} is as good as the {_best_of(self.scores)} in {100 * self.doubt:.0f} % of resamples of dev"
        if self.chosen == self.final:
            return f"; a lead within chance: {lead}"
        return f"; a lead within chance ({lead}: train.guard=clear would keep it)"


def _best_of(scores: Mapping[str, Scored]) -> str:
    """Name of the best, the first of equals: with the final tagger in front a tie is its own."""
    return max(scores, key=lambda name: scores[name].value)


def doubt_of(ahead: Scored, other: Scored) -> float | None:
    """Share of the resamples of dev, drawn by sentence within each language, in which the other's average F1 is no lower.

    Args:
        ahead: the better of the two on dev.
        other: the other, on the same sentences.

    Returns:
        None where the sentences were not counted.
    """
    if not ahead.counts_by_language or ahead.counts_by_language.keys() != other.counts_by_language.keys():
        return None
    means_SR = np.zeros((2, RESAMPLES))
    for language, ahead_N3 in ahead.counts_by_language.items():
        if not len(ahead_N3):  # nothing to draw, and 0 for both
            continue
        counts_SN3 = np.stack([each.numpy().astype(np.float64) for each in (ahead_N3, other.counts_by_language[language])])
        means_SR += resampled_f1(counts_SN3, RESAMPLES, generator_for(0, language))
    return float((means_SR[1] >= means_SR[0]).mean())


def _gains(start: Scored, other: Scored) -> str:
    """Where the other is better and where worse than the start, in words; empty where nowhere."""
    gains = {language: other.by_language[language] - value for language, value in sorted(start.by_language.items())}
    up = [f"{language} {gain:+.1f}" for language, gain in gains.items() if gain > 0]
    down = [f"{language} {gain:+.1f}" for language, gain in gains.items() if gain < 0]
    return "; ".join([*([f"better in {', '.join(up)}"] if up else []), *([f"worse in {', '.join(down)}"] if down else [])])
