"""Single pseudo-labels: which tokens changed their tag since a sentence was last recorded, and which sentences went worst."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewtag.evaluation import span_errors
from fewtag.text.sentence import Sentence

Event = Mapping[str, Any]
Tags = Sequence[str]


@dataclass(frozen=True, slots=True)
class Worst:
    """A sentence whose pseudo-labels went badly.

    Args:
        sentence: its tokens; its tags are gold, or None where there is none.
        stage, step: when the pseudo-labels were given that are shown.
        count: span errors in them; without gold, how many tokens changed their tag between recorded steps, over the run.
        before: without gold, the pseudo-labels that were recorded before those shown; empty with gold.
        tags: the pseudo-labels.
    """

    sentence: Sentence
    stage: str
    step: int
    count: int
    before: tuple[str, ...]
    tags: tuple[str, ...]


def labelings(events: Iterable[Event]) -> Iterator[tuple[Event, str, Tags]]:
    """Every recorded sentence with its step: (event, id, tags), in the order of training."""
    return ((event, name, tags) for event in events for name, tags in zip(event["ids"], event["tags"], strict=True))


def flips(events: Sequence[Event]) -> list[tuple[int, int, int]]:
    """What changed since the last time the same sentence was recorded.

    Args:
        events: of ``pseudo.jsonl``, in the order of training.

    Returns:
        For each: how many of its sentences an earlier step had too, their tokens, and how many of these have another tag now.
    """
    last: dict[str, Tags] = {}
    found = []
    for event in events:
        pairs = list(zip(event["ids"], event["tags"], strict=True))
        seen = [(last[name], tags) for name, tags in pairs if name in last]
        changed = sum(_changed(old, new) for old, new in seen)
        found.append((len(seen), sum(len(tags) for _, tags in seen), changed))
        last.update(pairs)  # after the step: a sentence that stands in it twice has not come again
    return found


def _changed(old: Tags, new: Tags) -> int:
    return sum(a != b for a, b in zip(old, new, strict=True))


def worst_of(events: Sequence[Event], hidden: Mapping[str, Tags], texts: Mapping[str, Sentence], mode: str, most: int) -> list[Worst]:
    """The sentences with the worst pseudo-labels, each once.

    Args:
        events: of ``pseudo.jsonl``, in the order of training.
        hidden: gold tags by id; where there are none at all, the sentences whose tags changed most often are found.
        texts: the recorded sentences by id.
        mode: how spans are read.
        most: how many.

    Returns:
        The worst first; between equals the one that was labeled later, when the teacher had learned more.
    """
    found: dict[str, tuple[int, int, Worst]] = {}
    last: dict[str, tuple[str, ...]] = {}
    judges = any(name in hidden for name in texts)
    for place, (event, name, tags) in enumerate(labelings(events)):
        if name not in texts:
            continue
        if judges and name in hidden:
            count = len(span_errors(hidden[name], tags, mode=mode))
            sentence = texts[name].with_tags(tuple(hidden[name]))
            entry = count, place, Worst(sentence, event["stage"], event["step"], count, (), tuple(tags))
            found[name] = max(found.get(name, entry), entry, key=lambda each: each[:2])
        elif not judges:
            changed = _changed(last[name], tags) if name in last else 0
            if changed:
                count = changed + (found[name][0] if name in found else 0)
                found[name] = count, place, Worst(texts[name], event["stage"], event["step"], count, last[name], tuple(tags))
            last[name] = tuple(tags)
    ranked = sorted((entry for entry in found.values() if entry[0]), key=lambda each: (-each[0], -each[1]))
    return [entry[2] for entry in ranked[:most]]
