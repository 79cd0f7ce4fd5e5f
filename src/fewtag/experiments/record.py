"""A finished run as it lies on disk: settings, data, versions, journal, scores, predictions beside their gold. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewtag.config import read_toml
from fewtag.data.corpus import Corpus
from fewtag.data.files import read_json
from fewtag.errors import ConfigError, DataError
from fewtag.evaluation import Report, evaluate
from fewtag.text.sentence import Sentence, Span
from fewtag.text.tags import tags_of
from fewtag.training.journal import read_events

Tags = tuple[str, ...]


@dataclass(frozen=True)
class Tagged:
    """One sentence with both readings.

    Args:
        sentence: with gold tags.
        predicted: the tagger's tags.
        confidences: of the predicted spans, in the order of the text; empty where the file does not say.
    """

    sentence: Sentence
    predicted: Tags
    confidences: tuple[float, ...]

    @property
    def gold(self) -> Tags:
        """The annotator's tags."""
        return self.sentence.tags or ()


@dataclass(frozen=True)
class Record:
    """What a finished run left.

    Args:
        folder: the run folder.
        metrics: ``metrics.json``.
        settings: ``config.toml``.
        data: ``data.json``.
        environment: ``env.json``.
        events: language -> the journal; under ``""`` that of a run which trained all languages together.
    """

    folder: Path
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    events: Mapping[str, Sequence[Mapping[str, Any]]] = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> Record:
        """Read a run folder.

        Raises:
            ConfigError: when it holds no finished run.
            DataError: when one of its files is damaged.
        """
        if not (folder / "metrics.json").is_file():
            what = "it is no run folder"
            if (folder / "data.json").is_file():
                what = f"the run in it has not ended; go on with: fewtag train --resume -o {folder}"
                if "for" in read_json(folder / "data.json"):
                    what = f"fewtag pretrain made it, an encoder and no tagger; train one with --encoder {folder / 'encoder'}"
            raise ConfigError(f"{folder}: no metrics.json: {what}" if folder.is_dir() else f"{folder}: there is no such folder")
        alone = {place.name: place / "events.jsonl" for place in sorted((folder / "languages").glob("*"))}
        journals = alone or {"": folder / "events.jsonl"}
        return cls(
            folder,
            read_json(folder / "metrics.json"),
            read_toml(folder / "config.toml"),
            read_json(folder / "data.json"),
            read_json(folder / "env.json"),
            {language: _events(path) for language, path in journals.items()},
        )

    @property
    def mode(self) -> str:
        """How tags were read."""
        return str(self.report(self.splits[-1]).mode)

    @property
    def splits(self) -> tuple[str, ...]:
        """Which splits were scored: dev, and test where there is one."""
        return tuple(split for split in ("dev", "test") if split in self.metrics)

    def report(self, split: str) -> Report:
        """The scores of a split, as the run wrote them."""
        try:
            return Report.from_json(self.metrics[split])
        except (KeyError, TypeError) as error:
            raise DataError(f"{self.folder / 'metrics.json'}: the scores of {split} cannot be read ({error})") from None

    def tagged(self, split: str, data_dir: Path | None = None) -> dict[str, list[Tagged]]:
        """The run's predictions beside the gold of the data folder, by language.

        Args:
            split: one of `splits`.
            data_dir: where the data lie now; None: where the run found them.

        Raises:
            DataError: when the data are gone or changed, or do not give the scores that the run wrote.
        """
        places = (f"predictions/{split}.*.jsonl", f"languages/*/predictions/{split}.*.jsonl")
        files = [path for place in places for path in sorted(self.folder.glob(place))]
        records = {path.name.split(".", 1)[1].removesuffix(".jsonl"): read_events(path) for path in files}
        if set(records) != set(self.report(split).by_language):
            raise DataError(f"{self.folder}: the predictions of {split} are not complete; run fewtag evaluate to score the tagger anew")
        root = data_dir or Path(str(self.settings["data"]["dir"]))
        splits = ("dev", "train") if split == "dev" else (split,)  # without a dev split a run keeps a part of train aside
        corpus = self.corpus(root, splits, list(records))
        gold = {sentence.id: sentence for each in splits for some in corpus.split(each).values() for sentence in some}
        found = {language: [_beside(record, gold, root) for record in some] for language, some in records.items()}
        self._check(split, found, root)
        return found

    def corpus(
        self, root: Path, splits: Sequence[str], languages: Sequence[str] | None, *, use: str = "scored on", arrays: bool = False
    ) -> Corpus:
        """Some of the data folder, as the run found it.

        Args:
            root: where the data lie now.
            splits, languages: which; None: all languages.
            use: what the run did with them, for the error.
            arrays: see `fewtag.data.corpus.Corpus.from_dir`.

        Raises:
            DataError: when the data are gone, or a file is another one than the run read.
        """
        corpus = Corpus.from_dir(root, languages=languages, splits=splits, arrays=arrays)
        changed = sorted(name for name, digest in corpus.files.items() if self.data["files"].get(name) not in (None, digest))
        if changed:
            raise DataError(f"{root / changed[0]} is not the file that this run was {use}; give the old data with --data")
        return corpus

    def pseudo_labels(self) -> list[dict[str, Any]]:
        """What the run recorded of its pseudo-labels, in the order of training; empty where it recorded none.

        Raises:
            DataError: when the file is damaged.
        """
        return _events(self.folder / "pseudo.jsonl")

    @property
    def quality(self) -> Mapping[str, Any] | None:
        """What gold says of the pseudo-labels (``pseudo_labels.json``); None where none was judged.

        Raises:
            DataError: when the file is damaged.
        """
        path = self.folder / "pseudo_labels.json"
        return read_json(path) if path.exists() else None

    def _check(self, split: str, found: Mapping[str, Sequence[Tagged]], root: Path) -> None:
        """Hold the predictions to the scores of the run: a report must not show cases of other numbers than its own."""
        said = self.report(split)
        gold = {language: [each.gold for each in some] for language, some in found.items()}
        predicted = {language: [each.predicted for each in some] for language, some in found.items()}
        again = evaluate(gold, predicted, mode=said.mode)
        differ = [lang for lang, part in said.by_language.items() if again.by_language[lang].score != part.score]
        if differ:
            raise DataError(f"{self.folder}: for {differ[0]} the predictions and {root} give other {split} scores than metrics.json has")


def _events(path: Path) -> list[dict[str, Any]]:
    return read_events(path) if path.exists() else []


def _beside(record: Mapping[str, Any], gold: Mapping[str, Sentence], root: Path) -> Tagged:
    sentence = gold.get(record["id"])
    if sentence is None or sentence.tags is None:
        raise DataError(f"{root}: sentence {record['id']!r}, which this run was scored on, is not there; give the old data with --data")
    confidences = tuple(float(entity["score"]) for entity in record["entities"] if "score" in entity)
    if "tags" in record:
        predicted = tuple(record["tags"])
    else:
        predicted = tags_of([_span(entity, sentence) for entity in record["entities"]], len(sentence))
    if len(predicted) != len(sentence):
        raise DataError(f"{root}: sentence {record['id']!r} has {len(sentence)} tokens here, and had {len(predicted)} in the run")
    return Tagged(sentence, predicted, confidences)


def _span(entity: Mapping[str, Any], sentence: Sentence) -> Span:
    """The tokens an entity's range of code points covers."""
    ends = sentence.offsets or ()
    covered = [place for place, (start, end) in enumerate(ends) if start < entity["end"] and end > entity["start"]]
    if not covered:
        raise DataError(f"sentence {sentence.id!r}: no token lies at {entity['start']}..{entity['end']}, where the run saw an entity")
    return Span(covered[0], covered[-1] + 1, str(entity["label"]))
