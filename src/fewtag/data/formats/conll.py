"""CoNLL: one token a line, columns apart by tabs or spaces, an empty line between sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fewtag.data.files import read_lines, write_text
from fewtag.data.problems import Problems
from fewtag.errors import ConfigError
from fewtag.text.sentence import Sentence
from fewtag.text.tags import is_tag


def read(
    path: Path,
    *,
    language: str,
    problems: Problems,
    token_column: int = 0,
    tag_column: int = -1,
    separator: str | None = None,
) -> Iterator[Sentence]:
    """Sentences as they come, tags as written.

    ``-DOCSTART-`` lines are skipped. A line that begins with ``#`` and stands before the first token of a sentence is a comment, unless it
    has as many columns as a token line; ``# id = x`` names the sentence.

    Args:
        path: the file.
        language: of its sentences.
        problems: takes lines without the columns they need; their sentence is left out.
        token_column, tag_column: counted from 0, or from the end when negative.
        separator: between columns; None: a tab where the line has one, else any run of spaces.

    Raises:
        ConfigError: when both columns are the same.
    """
    if token_column == tag_column:
        raise ConfigError(f"token column and tag column are both {token_column}; they must differ")
    needed = max(c + 1 if c >= 0 else -c for c in (token_column, tag_column))
    needed = max(needed, 2)
    wanted = "expected a token and a tag" if needed == 2 else f"but columns {token_column} and {tag_column} were asked for (from 0)"
    tokens: list[str] = []
    tags: list[str] = []
    name, first, broken, width = "", 0, False, 2

    def finished() -> Sentence | None:
        if not tokens or broken:
            return None
        return Sentence(tuple(tokens), tuple(tags), language, name, source=f"{path}:{first}")

    for number, line in read_lines(path, problems):
        if not line or (line.isspace() and "\t" not in line):
            sentence = finished()
            if sentence:
                yield sentence
            tokens, tags, name, broken = [], [], "", False
            continue
        columns = line.split(separator) if separator else line.split("\t") if "\t" in line else line.split(" ")
        if separator is None and "\t" not in line:
            columns = [column for column in columns if column]
        if columns[0] == "-DOCSTART-":
            continue
        if not tokens and line.startswith("#") and (line.startswith("# ") or len(columns) < needed) and not is_hash_token(line, width):
            key, equals, value = line[1:].partition("=")
            if equals and key.strip() in ("id", "sent_id"):
                name = value.strip()
            continue
        if not tokens and not broken:
            first = number
        if "\r" in line:
            problems.error(path, number, "line-ends", f"a carriage return within {line[:60]!r}; save the file with LF or CRLF line ends")
            broken = True
            continue
        if len(columns) < needed:
            problems.error(path, number, "missing-column", f"{len(columns)} column{'s' * (len(columns) > 1)} in {line[:60]!r}, {wanted}")
            broken = True
            continue
        token, tag = columns[token_column], columns[tag_column].strip()
        if not token.strip():
            problems.error(path, number, "empty-token", f"the token before the tag {tag!r} is empty")
            broken = True
            continue
        tokens.append(token)
        tags.append(tag)
        width = -len(columns) if "\t" in line else len(columns)
    sentence = finished()
    if sentence:
        yield sentence


def is_hash_token(line: str, width: int) -> bool:
    """Whether a ``#`` before a sentence is its first token: two columns, or as many as the last token line had, the last of them a tag.

    Args:
        line: as read.
        width: columns of the token line before it, negative where tabs kept them apart; 2 where there is none.
    """
    tabs = "\t" in line
    columns = line.split("\t") if tabs else line.split()
    if columns[:1] != ["#"] or "=" in columns:
        return False
    tag = columns[-1].strip()
    if len(columns) == 2:
        return tag == "O" or tag[1:2] == "-"
    return len(columns) == abs(width) and tabs == (width < 0) and is_tag(tag)


def write(sentences: Iterable[Sentence], path: Path) -> None:
    """Token, tab, tag; a sentence without tags gets ``O`` nowhere and is refused.

    Raises:
        ConfigError: for an unlabeled sentence, since CoNLL cannot say "unknown", and for a token with a tab or a line end.
    """

    def lines() -> Iterator[str]:
        for sentence in sentences:
            if sentence.tags is None:
                raise ConfigError(f"{path}: sentence {sentence.id!r} has no tags; write unlabeled sentences as .jsonl or .txt")
            bad = next((token for token in sentence.tokens if any(each in token for each in "\t\r\n")), None)
            if bad is not None:
                raise ConfigError(f"{path}: token {bad!r} of {sentence.id!r} holds a tab or a line end, which CoNLL cannot; write .jsonl")
            if sentence.id:
                yield f"# id = {sentence.id}\n"
            yield from (f"{token}\t{tag}\n" for token, tag in zip(sentence.tokens, sentence.tags, strict=True))
            yield "\n"

    write_text(path, lines())
