"""Problems found in files, each with its place, collected so that a user sees all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fewtag.errors import DataError

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong or strange in a file.

    Args:
        path: the file.
        line: counted from 1; 0 when it concerns the whole file.
        kind: short stable name, e.g. ``"missing-column"``.
        message: what was found and what would be right.
        is_error: False for what is only worth knowing.
    """

    path: str
    line: int
    kind: str
    message: str
    is_error: bool

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.message}"


class Problems:
    """A collection of problems."""

    def __init__(self) -> None:
        self._items: list[Problem] = []

    def error(self, path: Path | str, line: int, kind: str, message: str) -> None:
        """Add an error: a sentence or an entity could not be taken as it stands."""
        self._items.append(Problem(str(path), line, kind, message, True))

    def warn(self, path: Path | str, line: int, kind: str, message: str) -> None:
        """Add a warning: read, but worth a look."""
        self._items.append(Problem(str(path), line, kind, message, False))

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def errors(self) -> list[Problem]:
        """The errors, in order."""
        return [item for item in self._items if item.is_error]

    @property
    def warnings(self) -> list[Problem]:
        """The warnings, in order."""
        return [item for item in self._items if not item.is_error]

    def raise_for_errors(self) -> None:
        """Raise when there is an error.

        Raises:
            DataError: listing the first errors and how many more there are.
        """
        errors = self.errors
        if errors:
            more = f"\n  and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
            count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
            raise DataError(f"{count} in the data:\n  " + "\n  ".join(map(str, errors[:_SHOWN])) + more)
