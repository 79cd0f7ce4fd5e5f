"""The entity ledger: every entity counted from file to sentence to window. Whatever is lost is named with its file and line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from fewtag.data.corpus import Corpus
from fewtag.data.files import read_lines
from fewtag.data.formats import format_of
from fewtag.data.formats.conll import is_hash_token
from fewtag.data.formats.scheme import place_of
from fewtag.data.problems import Problems
from fewtag.text.sentence import Sentence
from fewtag.text.tags import spans_of

_RARE = 0.05  # of the count of a label of nearly the same spelling: rare enough to be a slip
_SHORT = 4  # letters: shorter labels lie close together anyway

Windows = Callable[[Sequence[Sentence]], Sequence[Sequence[tuple[int, int]]]]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of one language.

    Args:
        in_files: entities as annotated, counted on the bytes by code that shares nothing with the readers; None where a file cannot be
            counted that way (XML).
        in_sentences: entities of the sentences that were read.
        in_windows: entities that lie whole in the own or context part of some window; equal to ``in_sentences`` without an encoder.
        windows: windows more than sentences.
    """

    in_files: int | None
    in_sentences: int
    in_windows: int
    windows: int


def count_in_file(path: Path) -> int | None:
    """Entities annotated in a file, counted line by line: ``B``, ``S`` and ``U`` tags, orphan ``I`` tags, or JSON spans."""
    kind = format_of(path).name
    count, before = 0, "O"
    quiet = Problems()
    if kind == "conll":
        inside = False  # a sentence: before its first token lines of "#" and more than a tag are comments
        width = 2  # of the last token line: a "#" line as wide is a token
        for _, line in read_lines(path, quiet):
            columns = line.split("\t") if "\t" in line else line.split()
            if not inside and line.startswith("# ") and not is_hash_token(line, width):
                continue
            inside = bool(line.strip()) and columns[0] != "-DOCSTART-"
            width = (-len(columns) if "\t" in line else len(columns)) if inside else width
            tag = _as_tag(columns[-1].strip() if len(columns) > 1 else "O")
            count, before = count + _begins(tag, before), tag
        return count
    if kind == "jsonl":
        for _, line in read_lines(path, quiet):
            try:
                record = json.loads(line)
                given = [record[k] for k in ("entities", "spans", "label", "labels") if record.get(k) is not None]
                tags = record.get("tags") or record.get("ner_tags")
            except (ValueError, AttributeError, TypeError, RecursionError):
                continue
            if isinstance(tags, list) and record.get("tokens"):
                before = "O"
                for tag in map(_as_tag, map(str, tags)):
                    count, before = count + _begins(tag, before), tag
            elif given:
                some = next((each for each in given if isinstance(each, list) and each), given[0])
                if not isinstance(some, list):  # a lone object is a span, but a word beside tokens is not
                    some = [] if record.get("tokens") else [some]
                keys = ("start", "end", "label", "entity_group", "type")
                count += len({json.dumps([s.get(k) for k in keys] if isinstance(s, dict) else s) for s in some})
        return count
    return 0 if kind == "plain" else None


def _as_tag(text: str) -> str:
    return text if text == "O" or text[1:2] == "-" else "O"


def _begins(tag: str, before: str) -> bool:
    """Whether an entity begins with a tag, in any scheme."""
    return tag[0] in "BSU" or (tag[0] in "IEL" and (before[0] in "OESLU" or before[2:] != tag[2:]))


def ledger(corpus: Corpus, windows: Windows | None = None) -> dict[str, Ledger]:
    """Count every entity of train, dev and test, and add an error to the corpus' problems for each that is lost.

    Args:
        corpus: as read.
        windows: gives each sentence's windows as token ranges; None where no encoder is known.
    """
    result = {}
    for language in corpus.languages:
        paths = corpus.paths.get(language, {})
        counted = [(split, count_in_file(path)) for split, path in paths.items() if split != "unlabeled"]
        sentences = {split: some for split, some in corpus.sentences[language].items() if split != "unlabeled"}
        for split, number in counted:
            read = sum(len(spans_of(s.tags or ())) for s in sentences.get(split, []))
            if number is not None and number != read:
                corpus.problems.error(paths[split], 0, "lost", f"entities annotated in the file: {number}; of these read: {read}")
        tagged = [s for some in sentences.values() for s in some if s.tags]
        ranges = windows(tagged) if windows else [[(0, len(s))] for s in tagged]
        whole = 0
        for sentence, places in zip(tagged, ranges, strict=True):
            for span in spans_of(sentence.tags or ()):
                if any(a <= span.start and span.end <= b for a, b in places):
                    whole += 1
                else:
                    path, line = place_of(sentence, span.start)
                    corpus.problems.error(path, line, "split", f"a {span.label} of {span.end - span.start} tokens fits into no window")
        numbers = [number for _, number in counted]
        result[language] = Ledger(
            in_files=None if None in numbers else sum(n for n in numbers if n is not None),
            in_sentences=sum(len(spans_of(s.tags or ())) for s in tagged),
            in_windows=whole,
            windows=sum(len(places) for places in ranges) - len(tagged),
        )
    return result


def find_oddities(corpus: Corpus) -> None:
    """Add what only shows when all files are seen together: labels of one split only or in several spellings, shared sentences."""
    where: dict[str, dict[str, Sentence]] = {}
    labels: dict[str, Counter[str]] = {}
    for language in corpus.languages:
        for split in ("train", "dev", "test"):
            found, sentences = 0, corpus.sentences[language].get(split, [])
            for sentence in sentences:
                where.setdefault(f"{language}\x1f" + "\x1f".join(sentence.tokens), {}).setdefault(split, sentence)
                spans = spans_of(sentence.tags or ())
                found += len(spans)
                for span in spans:
                    labels.setdefault(span.label, Counter())[split] += 1
            if sentences and not found and split != "train":
                path = corpus.paths.get(language, {}).get(split, split)
                said = f"no entity in {split}: the F1 of {language} will be 0 there whatever is tagged, and counts in the average"
                corpus.problems.warn(path, 0, "no-entity", said)
    for place, splits in where.items():
        for split in ("dev", "test"):
            if "train" in splits and split in splits:
                path, line = place_of(splits[split])
                text = " ".join(place.split("\x1f")[1:])[:60]
                corpus.problems.warn(path, line, "leak", f"{text!r} is also in train ({splits['train'].source})")
    _label_oddities(corpus, labels)


def _label_oddities(corpus: Corpus, labels: dict[str, Counter[str]]) -> None:
    by_lower: dict[str, list[str]] = {}
    for label in labels:
        by_lower.setdefault(label.lower(), []).append(label)
    for spellings in by_lower.values():
        usual, *others = sorted(spellings, key=lambda label: -sum(labels[label].values()))
        for label in others:
            path, line = _first(corpus, label)
            times = _times(sum(labels[label].values()))
            corpus.problems.error(path, line, "case", f"label {label!r} is used {times}, did you mean {usual!r}?")
    _misspelled(corpus, {label: sum(splits.values()) for label, splits in labels.items()})
    for label, splits in sorted(labels.items()):
        if "train" not in splits:
            path, line = _first(corpus, label)
            corpus.problems.warn(
                path, line, "label-not-in-train", f"label {label!r} occurs in {', '.join(sorted(splits))} but never in train"
            )


def _misspelled(corpus: Corpus, counts: dict[str, int]) -> None:
    """Warn of labels that are one slip of the hand from a far more frequent one; those that differ in case are errors already."""
    for label, count in sorted(counts.items()):
        near = [each for each in counts if count <= _RARE * counts[each] and _is_slip(label.lower(), each.lower())]
        if near:
            path, line = _first(corpus, label)
            usual = max(near, key=counts.__getitem__)
            said = f"label {label!r} is used {_times(count)} and {usual!r} {_times(counts[usual])}; is it misspelled?"
            corpus.problems.warn(path, line, "near", said)


def _is_slip(one: str, other: str) -> bool:
    """Whether one letter, or two neighbors that changed places, make one label of the other; numbers are told apart on purpose."""
    if one == other or min(len(one), len(other)) < _SHORT:
        return False
    head = _shared(one, other)
    tail = _shared(one[head:][::-1], other[head:][::-1])
    here, there = (text[head : len(text) - tail] for text in (one, other))
    if any(letter.isdigit() for letter in here + there):
        return False
    return max(len(here), len(there)) <= 1 or (len(here) == len(there) == 2 and here == there[::-1])


def _shared(one: str, other: str) -> int:
    """Letters that both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _first(corpus: Corpus, label: str) -> tuple[str, int]:
    for language in corpus.languages:
        for split in ("train", "dev", "test"):
            for sentence in corpus.sentences[language].get(split, []):
                for span in spans_of(sentence.tags or ()):
                    if span.label == label:
                        return place_of(sentence, span.start)
    return "", 0
