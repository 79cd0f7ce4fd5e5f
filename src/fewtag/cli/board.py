"""What a user sees of a grid: a live board on a terminal, plain lines elsewhere. Everything goes to stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from fewtag.experiments.grid import Board

_SHOWN = {"done": "done", "failed": "failed", "lost": "lost, tried again", "stopped": "stopped"}
_SILENCE = 60.0  # seconds after which a plain log is told where a run stands


class BoardDisplay:
    """Watches a grid.

    Args:
        quiet: print nothing.
        console: where to print; stderr when None.
    """

    def __init__(self, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self._live: Live | None = None
        self._began = time.monotonic()
        self._board: Board | None = None
        self._said = self._began

    def __enter__(self) -> BoardDisplay:
        if self.console.is_terminal and not self.quiet:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)
            self._live = None

    def __call__(self, board: Board) -> None:
        """Show how the grid stands."""
        if self.quiet:
            return
        if board is not self._board:  # a grid begins
            self._board, self._began = board, time.monotonic()
            reused = f", {board.reused} of them finished already" if board.reused else ""
            self.console.print(f"  {board.total} run{'' if board.total == 1 else 's'}{reused}", markup=False)
        event = board.last
        if event is not None and event.kind in _SHOWN:
            reason = f": {event.text}" if event.text and event.kind != "stopped" else ""
            self._say(board, f"{board.words[event.cell]}  {_SHOWN[event.kind]}{reason}{self._eta(board)}")
        elif event is not None and event.text and not self._live and time.monotonic() - self._said >= _SILENCE:
            self._say(board, f"{board.words[event.cell]}  {event.text}{self._eta(board)}")
        if self._live:
            self._live.update(self._table(board))

    def _say(self, board: Board, words: str) -> None:
        self._said = time.monotonic()
        self.console.print(f"  {board.finished}/{board.total}  {words}", markup=False)

    def _eta(self, board: Board) -> str:
        left = board.total - board.finished - len(board.failed)
        if not board.done or not left:
            return ""
        minutes = (time.monotonic() - self._began) / board.done * left / 60
        return f"  about {minutes:.0f} min left" if minutes >= 1 else ""

    def _table(self, board: Board) -> Table:
        table = Table.grid(padding=(0, 2))
        share = int(20 * board.finished / max(1, board.total))
        failed = f", {len(board.failed)} failed" if board.failed else ""
        table.add_row("█" * share + "·" * (20 - share), f"{board.finished} of {board.total} runs{failed}")
        for cell, text in board.running.items():
            table.add_row(board.words[cell], text or "begins")
        return table
