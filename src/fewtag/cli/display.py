"""What a user sees of a run: a live table on a terminal, plain lines elsewhere. Everything goes to stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from fewtag.training.fit import Progress


class Display:
    """Listens to a run.

    Args:
        quiet: print nothing.
        console: where to print; stderr when None.
    """

    def __init__(self, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self._live: Live | None = None
        self._stage_began = time.monotonic()
        self._stage = ""
        self._first_step = 0
        self._drawn = 0.0
        self._last: dict[str, float] = {}
        self._losses: dict[str, float] = {}

    def __enter__(self) -> Display:
        if self.console.is_terminal and not self.quiet:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)
            self._live = None

    def __call__(self, event: Progress | str) -> None:
        """Show one event."""
        if self.quiet:
            return
        if isinstance(event, str):
            self.console.print(f"  {event}", markup=False)
            return
        if event.stage != self._stage or event.step < self._first_step:
            self._stage, self._stage_began, self._first_step = event.stage, time.monotonic(), max(0, event.step - 1)
            self._last, self._losses = {}, {}
        if event.scored is not None:
            self._last, self._losses = event.scored.by_language, event.losses
            self.console.print(self._line(event), markup=False)
        elif event.losses:  # a stage whose network is no tagger yet
            told = "  ".join(f"{name} {value:.3f}" for name, value in event.losses.items())
            self.console.print(
                f"  {self._head(event)}  step {event.step}/{event.max_steps}  loss: {told}  at most {self._eta(event)} left in stage",
                markup=False,
            )
        if event.stage_done:
            best = "" if event.best_score is None else f"; best dev F1 {event.best_score:.2f} at step {event.best_step}"
            self.console.print(f"  {self._head(event)}  ended at step {event.step}{best}", markup=False)
        if self._live and time.monotonic() - self._drawn > 0.25:
            self._live.update(self._table(event))
            self._drawn = time.monotonic()

    def _head(self, event: Progress) -> str:
        return f"stage {event.stage_index + 1}/{event.num_stages} {event.stage}"

    def _eta(self, event: Progress) -> str:
        done = event.step - self._first_step
        if done <= 0:
            return "--:--"
        seconds = (time.monotonic() - self._stage_began) / done * (event.max_steps - event.step)
        return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"

    def _line(self, event: Progress) -> str:
        assert event.scored is not None
        parts = [
            f"  {self._head(event)}  step {event.step}/{event.max_steps}",
            f"dev F1 {event.scored.value:.2f}{'*' if event.is_best else ' '}",
        ]
        parts.append(" ".join(f"{language} {value:.1f}" for language, value in event.scored.by_language.items()))
        for name, label in (("lambda", "lambda"), ("feedback", "feedback"), ("kept", "kept")):
            if name in event.losses:
                parts.append(f"{label} {event.losses[name]:+.4f}" if name != "kept" else f"kept {100 * event.losses[name]:.0f}%")
        parts.append(f"at most {self._eta(event)} left in stage")
        return "  ".join(parts)

    def _table(self, event: Progress) -> Table:
        table = Table.grid(padding=(0, 2))
        share = int(20 * event.step / max(1, event.max_steps))
        table.add_row(
            self._head(event), "█" * share + "·" * (20 - share), f"step {event.step}/{event.max_steps}", f"eta {self._eta(event)}"
        )
        if self._last:
            table.add_row("dev F1", " ".join(f"{language} {value:.1f}" for language, value in self._last.items()))
        if "kept" in self._losses:
            feedback = " ".join(
                f"{name.partition('/')[2]} {value:+.2f}" for name, value in self._losses.items() if name.startswith("feedback/")
            )
            table.add_row("feedback", feedback, f"kept {100 * self._losses['kept']:.0f}%")
        return table
