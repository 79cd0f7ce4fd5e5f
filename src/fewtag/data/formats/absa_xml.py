"""SemEval ABSA XML: aspect terms (2014) and opinion targets (2016) with polarity, as one unified tag scheme.

A target becomes a span labeled POS, NEG, NEU or CONFLICT. ``NULL`` targets have no words and are counted, not tagged. A target named
twice with one polarity is one span; with several, the polarity most often given wins, CONFLICT where two tie.
"""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ElementTree
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from fewtag.data.formats.offsets import CharacterSpan, labeled_sentence
from fewtag.data.problems import Problems
from fewtag.errors import DataError
from fewtag.text.sentence import Sentence

POLARITIES = {"positive": "POS", "negative": "NEG", "neutral": "NEU", "conflict": "CONFLICT"}


def read(path: Path, *, language: str, problems: Problems) -> Iterator[Sentence]:
    """Sentences as they come.

    Raises:
        DataError: when the file is missing or not XML, with the line.
    """
    for line, element in _sentences(path):
        text = element.findtext("text") or ""
        source, id = f"{path}:{line}", element.get("id", "")
        if not text.strip():
            problems.warn(path, line, "empty-sentence", f"sentence {id!r} has no text and is left out")
            continue
        votes: dict[tuple[int, int], Counter[str]] = {}
        nowhere = 0
        for target in (*element.iter("aspectTerm"), *element.iter("Opinion")):
            words = target.get("target", target.get("term"))
            if words is None or words == "NULL":
                nowhere += 1
                continue
            try:
                place, polarity = (int(target.get("from", "")), int(target.get("to", ""))), POLARITIES[target.get("polarity", "")]
            except (ValueError, KeyError):
                problems.error(path, line, "bad-target", f"target {words!r}: from, to or polarity is wrong: {dict(target.attrib)}")
                break
            if text[place[0] : place[1]] != words:
                problems.warn(path, line, "target-text", f"target {words!r} is not what stands at {place[0]}..{place[1]} of the text")
            votes.setdefault(place, Counter())[polarity] += 1
        else:
            if nowhere:
                problems.warn(path, line, "null-target", f"{nowhere} opinion without words (NULL target) is not tagged")
            spans = [CharacterSpan(*place, _winner(count)) for place, count in votes.items()]
            for place, count in votes.items():
                if len(count) > 1:
                    problems.warn(path, line, "polarity", f"target {place[0]}..{place[1]} has {dict(count)}; taken as {_winner(count)}")
            sentence = labeled_sentence(text, spans, language, id, source, problems)
            if sentence is not None:
                yield sentence


def _winner(votes: Counter[str]) -> str:
    (first, most), *rest = votes.most_common()
    return "CONFLICT" if rest and rest[0][1] == most else first


def _sentences(path: Path) -> Iterator[tuple[int, ElementTree.Element]]:
    """Each ``sentence`` element with the line it begins on; entities of a document type are refused, as they can grow without bound."""
    parser = expat.ParserCreate()
    builder: ElementTree.TreeBuilder | None = None
    line, done = 0, []

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal builder, line
        if name == "sentence" and builder is None:
            builder, line = ElementTree.TreeBuilder(), parser.CurrentLineNumber
        if builder is not None:
            builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal builder
        if builder is not None:
            builder.end(name)
            if name == "sentence":
                done.append((line, builder.close()))
                builder = None

    def data(text: str) -> None:
        if builder is not None:
            builder.data(text)

    def entity(*_: object) -> None:
        raise DataError(f"{path}:{parser.CurrentLineNumber}: entity declarations are not accepted")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    parser.EntityDeclHandler = entity
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            while chunk := stream.read(1 << 16):
                parser.Parse(chunk)
                yield from done
                done.clear()
            parser.Parse(b"", True)
            yield from done
    except expat.ExpatError as error:
        raise DataError(f"{path}:{error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:
        raise DataError(f"{path}: its encoding cannot be read ({error}); save it as UTF-8") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or not gzip ({error})") from None
