"""What the user sees while a job runs: a live view in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from search.budget import format_seconds
from search.report.text import PLACES, wrapped
from search.screen.now import busy_picture, status
from search.screen.picture import picture
from search.signs import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from search.state import Job, View

Draw = Callable[[int, int], "RenderableType"]
"""What is shown in a terminal of so many columns and lines."""


class NoView:
    """Shows nothing: `--quiet`, and tests."""

    def line(self, text: str) -> None:
        """Drop it."""

    def busy(self, doing: str, done: float | None) -> None:
        """Nothing to show."""

    def refresh(self, job: Job) -> None:
        """Nothing to redraw."""

    def close(self) -> None:
        """Nothing to close."""


class PlainView:
    """Lines with the time spent, for logs and pipes, and now and then where the job is."""

    EVERY_S = 30.0
    """Seconds from one line that says how much time is left to the next, ..."""
    SHARE = 1 / 300
    """... or so much of the budget, if that is longer: a day's log stays readable."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._told = time.monotonic()

    def line(self, text: str) -> None:
        """Print it at once."""
        spent = format_seconds(self._job.ledger.now()) if self._job else "0s"
        print(f"[{spent:>6}] {printable(text)}", flush=True)

    def busy(self, doing: str, done: float | None) -> None:
        """Print it now and then."""
        if self._due(0.0):
            self.line(doing if done is None else f"{doing} ({done:.0%})")

    def refresh(self, job: Job) -> None:
        """Print where the job is and the time left, now and then, whatever else was printed."""
        self._job = job
        if self._due(job.budget_s):
            self.line(f"{status(job)}; {format_seconds(job.left())} left")

    def close(self) -> None:
        """Nothing to close."""

    def _due(self, budget_s: float) -> bool:
        now = time.monotonic()
        if now - self._told < max(self.EVERY_S, self.SHARE * budget_s):
            return False
        self._told = now
        return True


class LiveView:
    """Budget bar, trials, the current curve and the best so far, redrawn in place.

    A thread redraws it every second, so that the time left goes on while nothing else moves, and a
    terminal that changes its size is drawn anew.
    """

    EVERY_S = 0.25
    """Signs of life within so many seconds are drawn as one."""
    TICK_S = 1.0
    KEPT = 200
    """Lines above the picture that are printed again when the terminal changes its size."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: deque[str] = deque(maxlen=self.KEPT)
        self._draw: Draw | None = None
        self._lock = threading.RLock()
        self._size = console.size
        self._live: Live | None = self._start()
        self._last = 0.0
        self._over = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def line(self, text: str) -> None:
        """Print above the live part; after its end, as the run's last words."""
        with self._lock:
            self._fit()
            self._lines.append(printable(text))
            self._print(self._lines[-1])

    def busy(self, doing: str, done: float | None) -> None:
        """A bar, full to the share done; it pulses where that is not known."""
        self._show(lambda width, _: busy_picture(doing, done, width))

    def refresh(self, job: Job) -> None:
        """Redraw, at most four times a second."""
        self._show(lambda width, height: picture(job, width, height))

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._over.set()
        with self._lock:
            if self._live is None:
                return
            self._redraw()
            self._live.stop()
            self._live = None

    def _start(self) -> Live:
        from rich.live import Live  # noqa: PLC0415  # --help must not pay for it

        live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        live.start()
        return live

    def _show(self, draw: Draw) -> None:
        with self._lock:
            self._draw = draw
            if time.monotonic() - self._last >= self.EVERY_S:
                self._redraw()

    def _tick(self) -> None:
        while not self._over.wait(self.TICK_S):
            with self._lock:
                if time.monotonic() - self._last >= self.TICK_S:
                    self._redraw()

    def _redraw(self) -> None:
        self._fit()
        self._last = time.monotonic()
        if self._live is not None and self._draw is not None:
            self._live.update(self._draw(*self._size), refresh=True)

    def _fit(self) -> None:
        """Begin on an empty screen where the size changed: old lines have other places now."""
        size = self._console.size
        if self._live is None or size == self._size:
            return
        self._size = size
        self._live.stop()
        self._console.clear()
        for text in self._tail(size.height):
            self._print(text)
        self._live = self._start()

    def _tail(self, height: int) -> list[str]:
        """The last lines that fill half of a screen."""
        rows = height // 2
        shown: list[str] = []
        for text in reversed(self._lines):
            rows -= len(wrapped(text, self._size.width))
            if rows < 0:
                break
            shown.insert(0, text)
        return shown

    def _print(self, text: str) -> None:
        style = "grey62" if self._live is not None else None
        whole = text.startswith(PLACES)  # the terminal may wrap it, so that it can be copied
        for row in wrapped(text, self._size.width):
            self._console.print(row, style=style, markup=False, highlight=False, soft_wrap=whole)


def choose_view(*, quiet: bool) -> View:
    """The view for this process's stdout: live where it is a terminal that can show it."""
    if quiet:
        return NoView()
    if not sys.stdout.isatty():
        return PlainView()
    from rich.console import Console  # noqa: PLC0415  # --help must not pay for it

    console = Console()
    if console.is_dumb_terminal or not console.encoding.startswith("utf"):
        return PlainView()
    return LiveView(console)
