"""The journal of a run: one JSON object a line in ``events.jsonl``, cut back to the checkpoint when a run resumes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from fewtag.errors import DataError


class Journal:
    """Appends events to a file.

    Args:
        path: ``events.jsonl`` of the run.
        size: bytes to keep of what is there already; later events belong to steps that will be done again.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._file.truncate(min(size, path.stat().st_size))
        self._file.seek(0, os.SEEK_END)

    def write(self, event: str, **values: Any) -> None:
        """Append one event with the time of day (seconds since 1970)."""
        line = json.dumps({"event": event, **values, "time": round(time.time(), 3)}, ensure_ascii=False)
        self._file.write(line.encode("utf-8") + b"\n")
        self._file.flush()

    @property
    def size(self) -> int:
        """Bytes written so far, all of them on disk after this call."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the file, all of it on disk."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
        self._file.close()


def read_events(path: Path) -> list[dict[str, Any]]:
    """Every event of a journal, or every object of any file that has one a line.

    Raises:
        DataError: naming the first line that is damaged.
    """
    events = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):  # a text within may hold other line separators
        try:
            events += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise DataError(f"{path}:{number}: not readable as a JSON object ({error})") from None
    return events
