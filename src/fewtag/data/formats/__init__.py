"""File formats by name. A format is a module with `read` and perhaps `write`; this table is the only list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fewtag.data.formats import absa_xml, conll, jsonl, plain
from fewtag.data.formats.scheme import to_bio
from fewtag.data.problems import Problems
from fewtag.errors import ConfigError, DataError, unknown
from fewtag.text.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Format:
    """A file layout.

    Args:
        name: its key in ``FORMATS``.
        suffixes: file name endings, without ``.gz``.
        read: (path, language, problems, **options) -> sentences; streaming.
        write: (sentences, path), or None.
        description: one line for people.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[..., Iterator[Sentence]]
    write: Callable[[Iterable[Sentence], Path], None] | None
    description: str


FORMATS: dict[str, Format] = {
    "conll": Format("conll", (".conll", ".iob", ".bio", ".tsv", ".conllu"), conll.read, conll.write, "one token a line with its tag"),
    "jsonl": Format("jsonl", (".jsonl", ".ndjson"), jsonl.read, jsonl.write, "one JSON object a line: text + spans, or tokens + tags"),
    "plain": Format("plain", (".txt",), plain.read, plain.write, "one sentence a line, no tags"),
    "absa_xml": Format("absa_xml", (".xml",), absa_xml.read, None, "SemEval ABSA 2014 and 2016: targets with polarity"),
}
SUFFIXES = tuple(suffix for each in FORMATS.values() for suffix in each.suffixes)


def format_of(path: Path, name: str | None = None) -> Format:
    """The format of a file: the one named, or the one its suffix says.

    Raises:
        ConfigError: for an unknown name.
        DataError: for a suffix no format has.
    """
    if name is not None:
        if name not in FORMATS:
            raise ConfigError(unknown("format", name, FORMATS))
        return FORMATS[name]
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    for each in FORMATS.values():
        if suffix in each.suffixes:
            return each
    raise DataError(f"{path}: no format has the suffix {suffix!r} (known: {', '.join(SUFFIXES)}); rename the file or name the format")


def stem_of(path: Path) -> str:
    """A file's name without its suffix: what the ids of its sentences are made of."""
    name = path.name.removesuffix(".gz")
    return name[: -len(Path(name).suffix)] if Path(name).suffix else name


def stream_file(path: Path, *, language: str, problems: Problems, format: str | None = None, **options: object) -> Iterator[Sentence]:
    """Sentences of a file as they come, tags as written; ids given where the file has none."""
    stem = stem_of(path)
    for number, sentence in enumerate(format_of(path, format).read(path, language=language, problems=problems, **options), 1):
        yield sentence if sentence.id else replace(sentence, id=f"{language}/{stem}:{number}")


def read_file(path: Path, *, language: str, problems: Problems, format: str | None = None, **options: object) -> list[Sentence]:
    """All sentences of a file, in BIO.

    Args:
        path: the file, plain or ``.gz``.
        language: of its sentences, where they do not say.
        problems: takes what is wrong, with ``file:line``; a sentence that had to be left out is always an error in it.
        format: a name in ``FORMATS``; None goes by the suffix.
        options: of the format's reader.
    """
    return to_bio(list(stream_file(path, language=language, problems=problems, format=format, **options)), problems)
