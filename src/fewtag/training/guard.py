"""The guard: a run on raw text never ships a tagger that is worse on dev than one it had on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

START = "supervised start"


@dataclass(frozen=True, slots=True)
class Scored:
    """What an evaluation on dev says.

    Args:
        value: the number early stopping looks at; higher is better.
        by_language: the same per language, for people.
    """

    value: float
    by_language: dict[str, float]


@dataclass
class Candidates:
    """The best weights of each kind a run has seen.

    Args:
        kept: by name: ``score``, ``by_language`` and ``weights`` (on the CPU).
    """

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)

    def offer(self, name: str, scored: Scored, weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of these weights when they are the best of their kind; a tie keeps the earlier."""
        if name not in self.kept or scored.value > self.kept[name]["score"]:
            copies = {key: weight.detach().cpu().clone() for key, weight in weights.items()}
            self.kept[name] = {"score": scored.value, "by_language": dict(scored.by_language), "weights": copies}

    def verdict(self, name: str, final: Scored) -> Verdict:
        """Which to ship: the final one unless another has a better dev score.

        Args:
            name: of the final tagger.
            final: its score.
        """
        scores = {name: final, **{other: Scored(each["score"], each["by_language"]) for other, each in self.kept.items()}}
        chosen = max(scores, key=lambda other: scores[other].value)  # the first of equals, so the final one
        return Verdict(chosen, name, scores)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard decided.

    Args:
        chosen: name of what is shipped.
        final: name of what training ended with.
        scores: dev scores by name.
    """

    chosen: str
    final: str
    scores: dict[str, Scored]

    @property
    def sentence(self) -> str:
        """For people: what was kept, why, and where raw text helped and hurt; where the start was kept, by the final tagger's scores."""
        chosen, start = self.scores[self.chosen], self.scores.get(START)
        others = ", ".join(f"{name} {each.value:.2f}" for name, each in self.scores.items() if name != self.chosen)
        text = f"kept the {self.chosen}: dev F1 {chosen.value:.2f}" + (f" against {others}" if others else "")
        if start is None:
            return text
        if self.chosen == START:
            told = _gains(start, self.scores[self.final])
            text = f"{text}; what was learned from raw text did not help on dev"
            return f"{text}: the {self.final} was {told}" if told else text
        told = _gains(start, chosen)
        return f"{text}; on dev raw text made it {told}" if told else text


def _gains(start: Scored, other: Scored) -> str:
    """Where the other is better and where worse than the start, in words; empty where nowhere."""
    gains = {language: other.by_language[language] - value for language, value in sorted(start.by_language.items())}
    up = [f"{language} {gain:+.1f}" for language, gain in gains.items() if gain > 0]
    down = [f"{language} {gain:+.1f}" for language, gain in gains.items() if gain < 0]
    return "; ".join([*([f"better in {', '.join(up)}"] if up else []), *([f"worse in {', '.join(down)}"] if down else [])])
