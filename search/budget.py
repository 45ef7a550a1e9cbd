"""The wall-clock budget: its notation, the clock it is read from, and what it was spent on."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from search.errors import BadInput

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
PATTERN = re.compile("".join(rf"(?:([0-9]+(?:\.[0-9]+)?){unit})?" for unit in UNITS))
LONGEST_S = 366 * 86400.0


def parse_budget(text: str) -> float:
    """Seconds of a budget such as `90s`, `20m`, `24h`, `1d` or `1h30m`.

    Raises:
        BadInput: the text is no budget, is not positive, or is longer than a year.
    """
    match = PATTERN.fullmatch(text.strip().lower())
    if not text.strip() or match is None:
        raise BadInput(f"--budget {text!r} is no duration; write 90s, 20m, 24h, 1d or 1h30m")
    seconds = sum(
        float(number) * size
        for number, size in zip(match.groups(), UNITS.values(), strict=True)
        if number is not None
    )
    if not 0 < seconds <= LONGEST_S:
        raise BadInput(f"--budget {text!r} must be longer than 0 s and at most a year")
    return seconds


def format_budget(seconds: float) -> str:
    """A budget in the notation that `parse_budget` reads back as exactly the same."""
    # of a float, repr tells all digits, and Decimal writes them without an exponent
    return f"{Decimal(repr(seconds)):f}s" if seconds % 1 else f"{seconds:.0f}s"


def format_seconds(seconds: float) -> str:
    """`4s`, `3m05s`, `2h07m`, `1d03h`: two units at most, for people."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


class Clock(Protocol):
    """Where the time comes from: the real clock, or a simulated one that an objective advances."""

    def now(self) -> float:
        """Seconds since a fixed point; never goes back."""


class RealClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since the machine's boot."""
        return time.monotonic()


LONGEST_START_S = 20.0
"""Seconds that Python can take to its first line, from a cold disk."""


def process_age_s() -> float:
    """Seconds since this process was started (Linux; elsewhere 0, when it read this line).

    Also 0 where that is longer than Python takes: `bash -c "pip install ... && python ..."` gives
    its own process over to its last command, so that its age is that of the installation, too.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks = int(fields[19])  # field 22: start time after boot, in clock ticks
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0
    return age if 0 < age <= LONGEST_START_S else 0.0


class SimulatedClock:
    """A clock that moves only when told: a day's search runs in milliseconds."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Simulated seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` (at least 0) pass."""
        if seconds < 0:
            raise ValueError(f"time cannot go back: {seconds=}")
        self._now += seconds


class Kind(StrEnum):
    """What a second of the budget was spent on."""

    SETUP = "setup"
    """Reading the study and the data, making items, writing the run folder."""
    LOAD = "load"
    """Starting the training process, resolving and loading the base model."""
    SEARCH_TRAIN = "search_train"
    """Training trials."""
    SEARCH_EVAL = "search_eval"
    """Evaluating the base model and the trials on the search items, the finalists on fresh ones."""
    FINAL_TRAIN = "final_train"
    """Training the final run."""
    FINAL_EVAL = "final_eval"
    """Scoring base, default and final recipe on fresh and held-out items, finalists on held-out."""
    EXPORT = "export"
    """Writing recipe and report."""
    IDLE = "idle"
    """Anything else."""


@dataclass(frozen=True, slots=True)
class Span:
    """One metered stretch of time; `start` and `seconds` are on the job's own clock."""

    start: float
    seconds: float
    kind: str
    trial: int | None
    note: str


class Ledger:
    """Append-only record of what every second of the job was spent on.

    The job's own clock counts the seconds the job was alive: a resumed job goes on where the last
    line ended. Spans follow each other without gap or overlap, so they add up to the time spent;
    what comes before the first span is `setup`, and what no span claims is `idle`. A long span is
    written in pieces of `PIECE_S`, so that a kill loses no more than that.
    """

    PIECE_S = 15.0
    SHORT_S = 0.02
    """An idle stretch below this is counted with the span after it."""

    def __init__(self, path: Path, clock: Clock, *, started: float | None = None) -> None:
        """Open the ledger.

        Args:
            path: the file; created if missing.
            clock: where the time comes from.
            started: the clock's reading when this process began; now, if not given.
        """
        self._path = path
        self._clock = clock
        self.spans = read_ledger(path, repair=True)
        before = self.spans[-1].start + self.spans[-1].seconds if self.spans else 0.0
        began = clock.now() if started is None else started
        self._zero = began - before
        self._mark = before
        self._open: tuple[Kind, int | None, str] = (Kind.SETUP, None, "start")

    def now(self) -> float:
        """Seconds the job has been alive."""
        return self._clock.now() - self._zero

    @contextmanager
    def span(self, kind: Kind, *, trial: int | None = None, note: str = "") -> Iterator[None]:
        """Charge what happens inside to `kind`; spans may nest, the inner one wins."""
        outer = self._open
        self._close()
        if outer[2] == "start":
            outer = (Kind.IDLE, None, "")
        self._open = (kind, trial, note)
        try:
            yield
        finally:
            self._close()
            self._open = outer

    def tick(self) -> None:
        """Called now and then during long work: writes a piece of the open span."""
        if self.now() - self._mark >= self.PIECE_S:
            self._close()

    def close(self) -> None:
        """Write the open span, down to this moment."""
        self._close()

    def spent(self) -> dict[str, float]:
        """Seconds by kind, every kind present, in the order of `Kind`."""
        totals = {str(kind): 0.0 for kind in Kind}
        for span in self.spans:
            totals[span.kind] = totals.get(span.kind, 0.0) + span.seconds
        kind, _, _ = self._open
        totals[kind] += self.now() - self._mark
        return totals

    def _close(self) -> None:
        now = self.now()
        kind, trial, note = self._open
        if now - self._mark < self.SHORT_S and kind == Kind.IDLE:
            return  # the next span begins at the old mark and covers it
        if now <= self._mark:
            return
        span = Span(round(self._mark, 4), round(now - self._mark, 4), str(kind), trial, note)
        append_line(self._path, asdict(span))
        self._mark = span.start + span.seconds
        self.spans.append(span)


def append_line(path: Path, record: dict[str, object]) -> None:
    """Append one JSON line and force it to the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _span(fields: Any) -> Span:
    span = Span(**fields)
    numbers = all(isinstance(value, int | float) for value in (span.start, span.seconds))
    if not numbers or span.kind not in set(Kind):
        raise ValueError("a field is of another kind")
    return span


def read_ledger(path: Path, *, repair: bool = False) -> list[Span]:
    """The spans of a ledger; none if the file is missing.

    A last line torn by a crash is left out; with `repair` it is cut off the file, so that appending
    is safe (only the process that owns the run folder may do that).

    Raises:
        BadInput: a line before the last is broken (file and line number named).
    """
    if not path.exists():
        return []
    spans: list[Span] = []
    raw = path.read_bytes()
    lines = raw.split(b"\n")
    good = 0
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            span = _span(json.loads(line))
            if number == len(lines):
                raise ValueError("torn")  # noqa: TRY301  # no newline after it: never completed
        except (ValueError, TypeError) as error:
            if number < len(lines):
                raise BadInput(f"{path}: line {number} is no ledger line ({error})") from None
            if repair:
                with path.open("r+b") as file:
                    file.truncate(good)
            break
        spans.append(span)
        good += len(line) + 1
    return spans
