"""A corpus: sentences by language and split, from a data folder."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from fewtag.data.arrays import SentenceArrays
from fewtag.data.cache import cached
from fewtag.data.fast_conll import read_plain_conll
from fewtag.data.formats import SUFFIXES, format_of, read_file, stem_of, stream_file
from fewtag.data.formats.scheme import place_of
from fewtag.data.problems import Problems
from fewtag.errors import DataError
from fewtag.text.sentence import Sentence
from fewtag.text.tags import TagSet

SPLITS = ("train", "dev", "test", "unlabeled")
_ALIASES = {"valid": "dev", "validation": "dev", "val": "dev", "testa": "dev", "raw": "unlabeled", "testb": "test"}
_QUIET = {"fewtag.toml", "split.json", "license", "licence", "readme", "readme.md", "readme.txt", "license.txt", "license.md"}


@dataclass
class Corpus:
    """All languages of a data set.

    Args:
        name: for people; the folder's name.
        sentences: language -> split -> sentences.
        problems: found while reading.
        paths: language -> split -> the file it came from.
    """

    name: str
    sentences: dict[str, dict[str, Sequence[Sentence]]]
    problems: Problems = field(default_factory=Problems)
    paths: dict[str, dict[str, Path]] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages in alphabetical order."""
        return tuple(sorted(self.sentences))

    @cached_property
    def tag_set(self) -> TagSet:
        """The tag set of every labeled sentence in train, dev and test."""
        splits = [some for parts in self.sentences.values() for name, some in parts.items() if name != "unlabeled"]
        labels = {label for some in splits if isinstance(some, SentenceArrays) for label in some.labels}
        rest = TagSet.from_sentences(s for some in splits if not isinstance(some, SentenceArrays) for s in some)
        return TagSet((*labels, *rest.labels))

    @cached_property
    def files(self) -> dict[str, str]:
        """File name (language/name) -> SHA-256 of its bytes; of sentences from no file language/split -> that of their tokens and tags."""
        result = {}
        for language, splits in sorted(self.sentences.items()):
            for split, some in splits.items():
                path = self.paths.get(language, {}).get(split)
                result[f"{language}/{path.name if path else split}"] = _digest(path) if path else _digest_of(some)
        return result

    def split(self, name: str) -> dict[str, Sequence[Sentence]]:
        """Language -> sentences of one split, for the languages that have it."""
        return {language: parts[name] for language, parts in sorted(self.sentences.items()) if name in parts}

    @classmethod
    def from_dir(
        cls, path: Path | str, languages: Sequence[str] | None = None, *, arrays: bool = False, splits: Sequence[str] = SPLITS
    ) -> Corpus:
        """Read a data folder: ``data/en/train.conll`` or ``data/train.en.conll``, for train, dev, test and unlabeled.

        Args:
            path: the folder.
            languages: read only these; None for all.
            arrays: hold CoNLL files and raw text as `fewtag.data.arrays.SentenceArrays`, for training and checking: far less memory,
                and large files come from a cache the second time. The texts of raw sentences are not kept, only their tokens.
            splits: read only these.

        Raises:
            DataError: when there is no folder, no file of a known name, or a language that was asked for is missing.
        """
        root = Path(path)
        if not root.is_dir():
            raise DataError(f"{root}: is a file; give the data folder it lies in" if root.exists() else f"{root}: no such folder")
        problems = Problems()
        found: dict[str, dict[str, Path]] = {}
        there: set[str] = set()
        for file in _files(root):
            place = _place_of(file, root)
            if place is None:
                if file.name.lower() not in _QUIET and not file.name.startswith("."):
                    problems.warn(file, 0, "ignored", "ignored: not named after a split (train, dev, test, unlabeled) with a known suffix")
                continue
            language, split = place
            there.add(language)
            if split not in splits or (languages is not None and language not in languages):
                continue
            if split in found.get(language, {}):
                problems.error(file, 0, "twice", f"{language} {split} is also in {found[language][split].name}; keep one of them")
                continue
            found.setdefault(language, {})[split] = file
        spelled: dict[str, str] = {}
        for language, named in sorted(found.items()):
            usual = spelled.setdefault(language.lower(), language)
            if usual != language:
                said = f"language {language!r} is {usual!r} in {next(iter(found[usual].values()))}; give it one name"
                problems.error(next(iter(named.values())), 0, "case", said)
        missing = sorted(set(languages or ()) - set(found))
        if missing:
            raise DataError(f"{root}: no files for {', '.join(missing)}; found the languages {', '.join(sorted(there)) or 'none'}")
        if not found:
            other = next((f"; found {each.path}" for each in problems), "")  # the files that were ignored
            expected = f"expected {root}/en/train.conll or {root}/train.en.conll and the like, in one of {', '.join(SUFFIXES)}"
            raise DataError(f"{root}: no data; {expected}{other}")
        return cls._read(root.resolve().name, found, problems, arrays)

    @classmethod
    def from_files(cls, files: Mapping[str, Mapping[str, Path | str]], name: str = "corpus") -> Corpus:
        """Read files named one by one: language -> split -> path."""
        found = {language: {split: Path(path) for split, path in splits.items()} for language, splits in files.items()}
        return cls._read(name, found, Problems())

    @classmethod
    def from_conll(cls, files: Mapping[str, Path | str], name: str = "corpus") -> Corpus:
        """Read one CoNLL file of labeled sentences per language, as train."""
        return cls.from_files({language: {"train": path} for language, path in files.items()}, name)

    @classmethod
    def _read(cls, name: str, found: dict[str, dict[str, Path]], problems: Problems, arrays: bool = False) -> Corpus:
        corpus = cls(name, {}, problems, found)
        seen: dict[str, str] = {}
        for language, splits in sorted(found.items()):
            parts = corpus.sentences.setdefault(language, {})
            for split in (s for s in SPLITS if s in splits):
                path = splits[split]
                some = (_as_arrays(path, language, split) if arrays else None) or _read_split(path, language, split, problems)
                if not some:
                    problems.warn(path, 0, "empty-file", "the file holds no sentence")
                parts[split] = some
                if split != "unlabeled" and format_of(path).name == "conll" and _counts_up(some):
                    said = f"its tokens are 1, 2, 3 ...: an index. Take the words instead: fewtag convert {path} OUT.conll --token-column 1"
                    problems.error(path, 0, "index-column", said)
                if isinstance(some, SentenceArrays):
                    continue
                if split != "unlabeled" and some and all(s.tags is None for s in some):
                    problems.error(path, 0, "no-tags", f"no sentence of {split} has tags; raw text belongs into unlabeled.txt")
                elif split in ("dev", "test"):
                    for sentence in (s for s in some if s.tags is None and len(s)):
                        said = f'a sentence of {split} without tags cannot be scored; where nothing is to be marked, write "entities": []'
                        problems.warn(*place_of(sentence), "no-tags", said)  # who scores it refuses it; others need not
                for sentence in some:
                    if sentence.id in seen:
                        before = seen[sentence.id]
                        problems.error(path, 0, "same-id", f"id {sentence.id!r} at {sentence.source} is also at {before}; ids must differ")
                    seen[sentence.id] = sentence.source
        return corpus


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _counts_up(some: Sequence[Sentence]) -> bool:
    """Whether the first sentences' tokens count their places, from 0 or 1."""
    first = [some[place].tokens for place in range(min(len(some), 20))]
    return sum(map(len, first)) > 5 and all(
        any(tokens == tuple(map(str, range(start, start + len(tokens)))) for start in (0, 1)) for tokens in first
    )


def _digest_of(some: Sequence[Sentence]) -> str:
    digest = hashlib.sha256()
    for sentence in some:
        digest.update(json.dumps([sentence.tokens, sentence.tags], ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _read_split(path: Path, language: str, split: str, problems: Problems) -> Sequence[Sentence]:
    some = read_file(path, language=language, problems=problems)
    strange = [s for s in some if s.language != language]
    if strange:
        said, place = strange[0].language, place_of(strange[0])
        what = f"{len(strange)} {'record says' if len(strange) == 1 else 'records say'} another language (here {said!r}) than"
        problems.warn(*place, "language", f"{what} the folder, {language!r}; the folder counts")
        some = [replace(s, language=language) for s in some]
    return [s.without_tags() for s in some] if split == "unlabeled" else some


def _as_arrays(path: Path, language: str, split: str) -> SentenceArrays | None:
    """A file as arrays; None where it is not CoNLL or raw text, or has what only the line-by-line reader can handle."""
    name, kind, is_raw = stem_of(path), format_of(path).name, split == "unlabeled"

    def build() -> SentenceArrays | None:
        if kind == "conll":
            found = read_plain_conll(path, language, name)
            return found.without_tags() if found is not None and is_raw else found
        problems = Problems()
        gathered = SentenceArrays.of(stream_file(path, language=language, problems=problems), language, str(path), name)
        return gathered if len(gathered) and not len(problems) else None

    if kind != "conll" and not (kind == "plain" and is_raw):
        return None
    try:
        return cached(path, f"{_digest(path)}-{kind}{'-raw' if is_raw else ''}", language, name, build)
    except (OSError, EOFError, zlib.error, DataError):
        return None  # the line-by-line reader says what is wrong


def _files(root: Path) -> list[Path]:
    return sorted(p for pattern in ("*", "*/*") for p in root.glob(pattern) if p.is_file())


def data_files(root: Path) -> list[Path]:
    """The files of a folder that `Corpus.from_dir` would read."""
    return [file for file in _files(root) if _place_of(file, root) is not None]


def _place_of(file: Path, root: Path) -> tuple[str, str] | None:
    """(language, split) of ``root/en/train.conll``, ``root/train.en.conll`` or ``root/en.train.conll``; None for any other file."""
    name = file.name.removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    if f"{dot}{suffix}".lower() not in SUFFIXES:
        return None
    parts = stem.split(".")
    if file.parent != root:
        split = _ALIASES.get(stem.lower(), stem.lower())
        return (file.parent.name, split) if split in SPLITS else None
    if len(parts) == 2:
        for split, language in (parts, parts[::-1]):
            split = _ALIASES.get(split.lower(), split.lower())
            if split in SPLITS and language:
                return language, split
    return None
