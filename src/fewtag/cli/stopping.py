"""Ctrl-C as a request: what runs writes a checkpoint first."""

from __future__ import annotations

import shlex
import signal
import sys
from typing import Any


def typed() -> str:
    """The command line of this process, to be typed again."""
    return shlex.join(["fewtag", *sys.argv[1:]])


class StopRequest:
    """True once the user has pressed Ctrl-C or the process was asked to end; a second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
