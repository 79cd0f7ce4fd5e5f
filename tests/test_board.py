"""What a log without a terminal is told of a grid."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fewtag.cli import board as shown
from fewtag.experiments.cell import Event
from fewtag.experiments.grid import Board


def test_a_long_run_is_heard_of_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(shown.time, "monotonic", lambda: now)
    log, board = io.StringIO(), Board(total=2, words={"a": "shop 1% compact vat seed 1", "b": "the other"})
    display = shown.BoardDisplay(console=Console(file=log, soft_wrap=True))
    display(board)
    for passed, event in [
        (1, Event("a", "started")),
        (30, Event("a", "progress", "1/2 supervised step 100")),  # too soon
        (40, Event("a", "progress", "1/2 supervised step 200  dev F1 41.2")),
        (1, Event("a", "progress", "1/2 supervised step 300")),  # too soon again
        (1, Event("a", "done")),
        (70, Event("b", "progress", "2/2 smooth step 900")),
        (1, Event("b", "failed", "no room")),
    ]:
        now += passed
        board.take(event)
        display(board)
    assert log.getvalue().splitlines() == [
        "  2 runs",
        "  0/2  shop 1% compact vat seed 1  1/2 supervised step 200  dev F1 41.2",
        "  1/2  shop 1% compact vat seed 1  done  about 1 min left",
        "  1/2  the other  2/2 smooth step 900  about 2 min left",
        "  1/2  the other  failed: no room",
    ]


def test_quiet_says_nothing() -> None:
    log = io.StringIO()
    shown.BoardDisplay(quiet=True, console=Console(file=log))(Board(total=2, last=Event("a", "failed", "x")))
    assert log.getvalue() == ""
