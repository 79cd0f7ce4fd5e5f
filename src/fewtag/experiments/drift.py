"""The drift alarm: whether what a teacher says moved within a stage, more than chance explains.

A teacher that is taught by its own pseudo-labels may confirm its own mistakes. Without gold that shows as a shift of the labels it gives;
with gold as pseudo-labels that were better before. Both are tested by permutation: were the sentences of early and late steps exchanged at
random, how often would the shift, or the fall, be as large? A shift alone is no mistake yet: a teacher that gets better shifts too.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from fewtag.evaluation import holm
from fewtag.evaluation.bootstrap import Floats, as_array
from fewtag.evaluation.span_f1 import count_by_sentence
from fewtag.text.tags import split_tag

Event = Mapping[str, Any]
Cell = tuple[str, str]  # language, stage
Thirds = tuple[list[str], Floats, list[int]]
Fifths = tuple[Floats, list[int]]
LEVEL = 0.01  # of the corrected p-values
LEAST_SHIFT = 0.05  # of the distance: less is no harm, however sure
LEAST_FALL = 2.0  # F1 points
PERMUTATIONS = 2000
_PER_TEST = 200  # at least so many for each test: after Holm's correction of m tests p cannot be below m / (permutations + 1)
_FIFTHS = 5
_BLOCK = 1 << 22  # random numbers held at once
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the distribution over labels moved from the first third of a stage's recorded steps to the last.

    Args:
        language, stage: whose.
        sentences: in the first and in the last third.
        distance: total variation, 0 to 1: the share of tokens that would have to be labeled otherwise.
        p_value: corrected over all languages and stages.
        label: the one that moved most; empty where no span was ever labeled.
        before, after: its share of the tokens in both thirds.
        outside: share of the tokens without a label, in both thirds.
    """

    language: str
    stage: str
    sentences: tuple[int, int]
    distance: float
    p_value: float
    label: str
    before: float
    after: float
    outside: tuple[float, float]

    @property
    def alarms(self) -> bool:
        """Whether it is large and beyond chance."""
        return self.p_value < LEVEL and self.distance > LEAST_SHIFT

    @property
    def moved(self) -> str:
        """What moved most, in words."""
        bare = f"tokens without a label from {100 * self.outside[0]:.0f} % to {100 * self.outside[1]:.0f} %"
        if not self.label:
            return bare
        own = f"B/I of {self.label!r} went from {100 * self.before:.0f} % of the tokens to {100 * self.after:.0f} %"
        return f"{own}, {bare}" if abs(self.outside[1] - self.outside[0]) > abs(self.after - self.before) else own

    @property
    def sentence(self) -> str:
        """For people."""
        sure = f"distance {self.distance:.2f}, p {shown(self.p_value)}"
        return f"{self.language}: {self.moved} in stage {self.stage} ({sure}); the teacher drifts"


@dataclass(frozen=True, slots=True)
class Fall:
    """How far the pseudo-labels of a stage's last fifth are below those of its best one.

    Args:
        language, stage: whose.
        best: span F1, percent, of the best of the first four fifths of the recorded steps.
        last: of the last fifth.
        p_value: of the difference, that the best was chosen counted in; corrected over all languages and stages.
    """

    language: str
    stage: str
    best: float
    last: float
    p_value: float

    @property
    def alarms(self) -> bool:
        """Whether it is large and beyond chance."""
        return self.p_value < LEVEL and self.best - self.last > LEAST_FALL

    @property
    def sentence(self) -> str:
        """For people."""
        course = f"F1 of the pseudo-labels fell from {self.best:.1f} in the best fifth of stage {self.stage} to {self.last:.1f} in the last"
        return f"{self.language}: {course} (p {shown(self.p_value)}); the teacher unlearns"


@dataclass(frozen=True, slots=True)
class Drift:
    """What the tests found.

    Args:
        shifts: one for each language and stage with enough recorded steps.
        falls: the same where there is gold.
        untested: (language, stage) with too few recorded steps.
        permutations: that each p-value of a shift rests on.
    """

    shifts: tuple[Shift, ...]
    falls: tuple[Fall, ...]
    untested: tuple[tuple[str, str], ...] = field(default=())
    permutations: int = PERMUTATIONS

    @property
    def alarms(self) -> list[str]:
        """What is alarming, as sentences."""
        shifted = [each.sentence for each in self.shifts if each.alarms]
        return shifted + [each.sentence for each in self.falls if each.alarms]

    @property
    def sentences(self) -> list[str]:
        """The verdict for people: the alarms, or that there is none, and what could not be told."""
        if not self.shifts:
            return ["too few recorded steps to tell of drift; set train.trace_every lower or train longer"]
        said = self.alarms or ["no sign of drift"]
        return said + [f"{language}: too few recorded steps in stage {stage} to tell" for language, stage in self.untested]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        shifts = [{**asdict(each), "alarm": each.alarms} for each in self.shifts]
        falls = [{**asdict(each), "alarm": each.alarms} for each in self.falls]
        untested = [{"language": language, "stage": stage} for language, stage in self.untested]
        return {"verdict": self.sentences, "shifts": shifts, "falls": falls, "untested": untested, "permutations": self.permutations}


def shown(p_value: float) -> str:
    """A p-value for people."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def distance(first: Sequence[Sequence[str]], last: Sequence[Sequence[str]]) -> float:
    """Total variation between the distributions over labels (of a tag, or none) of two sets of tag sequences, each with a token."""
    _, counts_SK = _label_counts([*first, *last])
    return float(_variation(_sums(counts_SK, [len(first), len(last)])[None])[0])


def drift(events: Sequence[Event], hidden: Mapping[str, Sequence[str]], mode: str, *, seed: int = 0) -> Drift:
    """Test every language and stage.

    Args:
        events: of ``pseudo.jsonl``, in the order of training.
        hidden: gold tags by id, where there are any.
        mode: how spans are read.
        seed: of the permutations.
    """
    cells: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        cells.setdefault((event["language"], event["stage"]), []).append(event)
    thirds = {cell: own for cell, some in cells.items() if (own := _thirds(some)) is not None}
    fifths = {cell: judged for cell, some in cells.items() if (judged := _fifths(some, hidden, mode)) is not None}
    rounds = max(PERMUTATIONS, _PER_TEST * len(thirds), _PER_TEST * len(fifths))
    untested = tuple(sorted(set(cells) - set(thirds)))
    return Drift(_shifts(thirds, rounds, seed), _falls(fifths, rounds, seed), untested, rounds)


def _shifts(thirds: Mapping[Cell, Thirds], rounds: int, seed: int) -> tuple[Shift, ...]:
    chance = {cell: permutation_p(own[1], own[2], _variation, rounds, (seed, "shift", *cell)) for cell, own in thirds.items()}
    found = []
    for (language, stage), p_value in _corrected(chance).items():
        labels, counts_SK, sizes = thirds[language, stage]
        sums_GK = _sums(counts_SK, sizes)
        before, after = sums_GK / sums_GK.sum(axis=1, keepdims=True)
        most = max(range(len(labels)), key=lambda place: (labels[place] != "", abs(after[place] - before[place])))
        none = labels.index("")
        far, outside = float(_variation(sums_GK[None])[0]), (float(before[none]), float(after[none]))
        moved = labels[most], float(before[most]), float(after[most])
        found.append(Shift(language, stage, (sizes[0], sizes[1]), far, p_value, *moved, outside))
    return tuple(found)


def _falls(fifths: Mapping[Cell, Fifths], rounds: int, seed: int) -> tuple[Fall, ...]:
    chance = {cell: permutation_p(*own, _fall, rounds, (seed, "fall", *cell)) for cell, own in fifths.items()}
    found = []
    for (language, stage), p_value in _corrected(chance).items():
        f1_G = _f1(_sums(*fifths[language, stage]))
        found.append(Fall(language, stage, float(f1_G[:-1].max()), float(f1_G[-1]), p_value))
    return tuple(found)


def permutation_p(
    counts_SK: Floats, sizes: Sequence[int], statistic: Callable[[Floats], Floats], rounds: int, seed: Sequence[object]
) -> float:
    """How often sentences exchanged at random between groups give a statistic at least as large as theirs, the observed one counted in.

    Args:
        counts_SK: what is counted in each of S sentences, group after group.
        sizes: sentences of each of G groups.
        statistic: (R, G, K) sums by group -> (R,) values.
        rounds: permutations.
        seed: of them, any words and numbers.
    """
    generator = np.random.default_rng(zlib.crc32("/".join(map(str, seed)).encode()))
    observed = float(statistic(_sums(counts_SK, sizes)[None])[0])
    block = max(1, _BLOCK // (len(counts_SK) * counts_SK.shape[1]))
    extreme = 0
    for done in range(0, rounds, block):
        order_RS = generator.random((min(block, rounds - done), len(counts_SK))).argsort(axis=1)
        sums_RGK = np.add.reduceat(counts_SK[order_RS], _starts(sizes), axis=1)
        extreme += int((statistic(sums_RGK) >= observed - _ROUNDING).sum())
    return (1 + extreme) / (1 + rounds)


def _corrected(p_values: Mapping[Cell, float]) -> dict[Cell, float]:
    by_number = holm({str(number): p_value for number, p_value in enumerate(p_values.values())})
    return dict(zip(p_values, by_number.values(), strict=True))


def _thirds(events: Sequence[Event]) -> Thirds | None:
    """Labels, their counts by sentence of the first and the last third of the steps, and how many sentences these are."""
    share = len(events) // 3
    first, last = ([tags for event in some for tags in event["tags"] if tags] for some in (events[:share], events[len(events) - share :]))
    if not first or not last:
        return None
    return *_label_counts([*first, *last]), [len(first), len(last)]


def _label_counts(sequences: Sequence[Sequence[str]]) -> tuple[list[str], Floats]:
    labels = sorted({split_tag(tag)[1] for tags in sequences for tag in tags} | {""})
    place = {label: number for number, label in enumerate(labels)}
    counts_SK = np.zeros((len(sequences), len(labels)))
    for row_K, tags in zip(counts_SK, sequences, strict=True):
        for tag in tags:
            row_K[place[split_tag(tag)[1]]] += 1
    return labels, counts_SK


def _fifths(events: Sequence[Event], hidden: Mapping[str, Sequence[str]], mode: str) -> Fifths | None:
    """Correct, predicted and gold spans by sentence, part after part, and how many sentences the parts have; None where one has none."""
    bounds = [len(events) * k // _FIFTHS for k in range(_FIFTHS + 1)]
    parts = []
    for start, end in pairwise(bounds):
        pairs = [
            (hidden[i], tags) for event in events[start:end] for i, tags in zip(event["ids"], event["tags"], strict=True) if i in hidden
        ]
        if not pairs:
            return None
        parts.append(as_array(count_by_sentence([gold for gold, _ in pairs], [tags for _, tags in pairs], mode)))
    return np.concatenate(parts), [len(part) for part in parts]


def _starts(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:group]) for group in range(len(sizes))]


def _sums(counts_SK: Floats, sizes: Sequence[int]) -> Floats:
    sums_GK: Floats = np.add.reduceat(counts_SK, _starts(sizes), axis=0)
    return sums_GK


def _variation(sums_RGK: Floats) -> Floats:
    shares_RGK = sums_RGK / sums_RGK.sum(axis=2, keepdims=True)
    distance_R: Floats = np.abs(shares_RGK[:, 0] - shares_RGK[:, 1]).sum(axis=1) / 2
    return distance_R


def _f1(sums_K: Floats) -> Floats:
    """Of (..., 3) correct, predicted and gold spans, in percent."""
    f1: Floats = 200 * sums_K[..., 0] / np.maximum(sums_K[..., 1] + sums_K[..., 2], 1)
    return f1


def _fall(sums_RGK: Floats) -> Floats:
    f1_RG = _f1(sums_RGK)
    fall_R: Floats = f1_RG[:, :-1].max(axis=1) - f1_RG[:, -1]
    return fall_R
