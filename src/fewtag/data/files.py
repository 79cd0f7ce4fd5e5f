"""Opening and writing files of text: gzip, byte order marks, wrong encodings by line; what is written stays whole."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fewtag.data.problems import Problems
from fewtag.errors import DataError


def read_lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file, plain or ``.gz``, numbered from 1, without line ends.

    A byte order mark is skipped, CRLF is read as LF. A line that is not UTF-8 becomes an error and comes as it could be read, with
    replacement characters, so that its sentence is not lost before it is reported.

    Raises:
        DataError: when the file is missing, a folder, or not gzip although it is named so.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                if number == 1:
                    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                        problems.error(path, 1, "encoding", "the file is UTF-16; save it as UTF-8")
                        return
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                    if not raw.endswith(b"\n") and b"\r" in raw.strip():  # the whole file is one line to us
                        problems.error(path, 1, "line-ends", "lines end in carriage returns alone; save the file with LF or CRLF line ends")
                        return
                try:
                    text = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    problems.error(
                        path,
                        number,
                        "encoding",
                        f"byte 0x{raw[error.start]:02x} at column {error.start + 1} is not UTF-8; save the file as UTF-8",
                    )
                    text = raw.decode("utf-8", errors="replace")
                yield number, text.rstrip("\n").removesuffix("\r")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, not a file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or not gzip ({error})") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that fewtag wrote.

    Raises:
        DataError: when it is missing, or no longer whole.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{path}: missing; the run folder is not whole") from None
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: not readable as a JSON object ({error})") from None


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a UTF-8 file, gzip when it ends in ``.gz``, whole or not at all.

    Args:
        path: the target; its folder is made when missing.
        text: the content, or pieces of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pieces = [text] if isinstance(text, str) else text
    try:
        with temporary.open("wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed:
                    for piece in pieces:
                        packed.write(piece.encode("utf-8"))
            else:
                for piece in pieces:
                    raw.write(piece.encode("utf-8"))
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
