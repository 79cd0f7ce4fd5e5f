"""Arrays of large files on disk, by the hash of the file: read once, then mapped into memory; a damaged entry is noticed and made anew.

``FEWTAG_CACHE`` names the folder, or is ``off``. Without it the user's cache folder serves.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewtag.data.arrays import SentenceArrays

logger = logging.getLogger("fewtag")
FORMAT = 1  # a change of what is stored, or of how text is cut into tokens, is another number
SMALLEST = 4 << 20  # bytes of a file worth an entry; smaller ones are read in a blink
_ARRAYS = ("word_ids", "starts", "lines", "tag_ids")


def folder() -> Path | None:
    """Where entries lie; None when switched off."""
    named = os.environ.get("FEWTAG_CACHE", "")
    if named.lower() in ("off", "0", "none"):
        return None
    base = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewtag"
    return base / "arrays"


def cached(path: Path, digest: str, language: str, name: str, build: Callable[[], SentenceArrays | None]) -> SentenceArrays | None:
    """The arrays of a file from its entry, or built and stored.

    Args:
        path: the file.
        digest: of its content, and of whatever else the arrays depend on.
        language, name: of its sentences; not part of the entry.
        build: makes the arrays; None is passed on and not stored.
    """
    root = folder()
    if root is None or path.stat().st_size < SMALLEST:
        return build()
    entry = root / f"{digest}-{FORMAT}"
    if entry.exists():
        try:
            return _load(entry, path, language, name)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("the cache entry %s of %s is damaged (%s); it is made anew", entry, path, error)
            shutil.rmtree(entry, ignore_errors=True)
    built = build()
    if built is not None:
        try:
            _store(built, entry)
        except OSError as error:
            logger.warning("%s cannot be kept in the cache: %s", path, error)
    return built


def _store(arrays: SentenceArrays, entry: Path) -> None:
    writing = entry.with_name(f".{entry.name}.{os.getpid()}.tmp")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    sums: dict[str, int] = {}
    for name in _ARRAYS:
        values = getattr(arrays, name)
        if values is not None:
            values = np.ascontiguousarray(values)
            np.save(writing / f"{name}.npy", values)
            sums[name] = _sum(values)
    words = json.dumps({"words": list(arrays.words), "tags": list(arrays.tags)}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    (writing / "words.json").write_bytes(words)
    (writing / "about.json").write_text(json.dumps({"sums": sums, "words": zlib.crc32(words)}), encoding="utf-8")
    try:
        os.rename(writing, entry)
    except OSError:  # another process was faster
        shutil.rmtree(writing, ignore_errors=True)
        if not entry.exists():
            raise


def _load(entry: Path, path: Path, language: str, name: str) -> SentenceArrays:
    about = json.loads((entry / "about.json").read_text(encoding="utf-8"))
    words = (entry / "words.json").read_bytes()
    if zlib.crc32(words) != about["words"]:
        raise ValueError("words.json does not have its sum")
    columns: dict[str, Any] = dict.fromkeys(_ARRAYS)
    for column, expected in about["sums"].items():
        columns[column] = np.load(entry / f"{column}.npy", mmap_mode="r")
        if _sum(columns[column]) != expected:
            raise ValueError(f"{column}.npy does not have its sum")
    names = json.loads(words.decode("utf-8", "surrogatepass"))
    return SentenceArrays(names["words"], tags=names["tags"], language=language, path=str(path), name=name, **columns)


def _sum(values: npt.NDArray[np.integer]) -> int:
    return zlib.crc32(values.view(np.uint8).data)


def size() -> int:
    """Bytes of all entries."""
    root = folder()
    return sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) if root and root.exists() else 0
