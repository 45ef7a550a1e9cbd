"""What the user sees while a job runs: a live view in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from search.budget import Kind, format_seconds

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from search.state import Job, View
    from search.store import Record

COLOURS = {
    Kind.SETUP: "grey62",
    Kind.LOAD: "grey42",
    Kind.SEARCH_TRAIN: "dodger_blue2",
    Kind.SEARCH_EVAL: "deep_sky_blue1",
    Kind.FINAL_TRAIN: "green3",
    Kind.FINAL_EVAL: "dark_olive_green3",
    Kind.EXPORT: "gold3",
    Kind.IDLE: "grey30",
}
SEARCHING = ("search", "finalists")
"""Phases before the reserve is used."""
BLOCKS = " ▁▂▃▄▅▆▇█"
STATE_COLOURS = {"COMPLETE": "green", "PRUNED": "grey50", "FAIL": "red", "RUNNING": "yellow"}


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
    """Lines with the time spent, for logs and pipes; a sign of life every `EVERY_S` seconds."""

    EVERY_S = 30.0

    def __init__(self) -> None:
        self._job: Job | None = None
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        """Print it at once."""
        spent = format_seconds(self._job.ledger.now()) if self._job else "0s"
        print(f"[{spent:>6}] {text}", flush=True)
        self._last = time.monotonic()

    def busy(self, doing: str, done: float | None) -> None:
        """Print it now and then."""
        if time.monotonic() - self._last >= self.EVERY_S:
            self.line(doing if done is None else f"{doing} ({done:.0%})")

    def refresh(self, job: Job) -> None:
        """Print where the job is, now and then."""
        self._job = job
        if time.monotonic() - self._last >= self.EVERY_S:
            self.line(f"{status(job)}; {format_seconds(job.left())} left")

    def close(self) -> None:
        """Nothing to close."""


class LiveView:
    """Budget bar, trials, the current curve and the best so far, redrawn in place."""

    EVERY_S = 0.25

    def __init__(self, console: Console) -> None:
        from rich.live import Live  # noqa: PLC0415  # --help must not pay for it

        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()
        self._last = 0.0

    def line(self, text: str) -> None:
        """Print above the live part."""
        self._console.print(text, style="grey62", markup=False, highlight=False)

    def busy(self, doing: str, done: float | None) -> None:
        """A bar, full to the share done; it pulses where that is not known."""
        from rich.console import Group  # noqa: PLC0415  # --help must not pay for it
        from rich.progress_bar import ProgressBar  # noqa: PLC0415  # likewise

        bar = ProgressBar(total=1.0, completed=done or 0.0, width=40, pulse=done is None)
        self._live.update(Group(f"preparing data: {doing}", bar), refresh=True)

    def refresh(self, job: Job) -> None:
        """Redraw, at most four times a second."""
        if time.monotonic() - self._last < self.EVERY_S:
            return
        self._last = time.monotonic()
        self._live.update(picture(job, self._console.width), refresh=True)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._live.stop()


def choose_view(*, quiet: bool) -> View:
    """The view for this process's stdout."""
    if quiet:
        return NoView()
    if not sys.stdout.isatty():
        return PlainView()
    from rich.console import Console  # noqa: PLC0415  # --help must not pay for it

    return LiveView(Console())


def status(job: Job) -> str:
    """What is under way, in one line."""
    if job.live is None:
        return job.phase
    name, progress = job.live
    who = f"trial {name}" if name.isdigit() else name
    parts = [who if who == progress.phase else f"{who}: {progress.phase}", f"{progress.done:.0%}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.tokens_per_s:
        parts.append(f"{progress.tokens_per_s:,.0f} tokens/s")
    if progress.note:
        parts.append(progress.note)
    return ", ".join(parts)


def picture(job: Job, width: int) -> Group:
    """Everything, for a terminal of `width` columns."""
    from rich.console import Group  # noqa: PLC0415  # --help must not pay for it

    records = job.store.records()
    parts: list[RenderableType] = [budget_bar(job, width)]
    if records:
        parts.append(trials_table(records, width))
    parts.append(now_line(job, width))
    best = best_line(records)
    if best:
        parts.append(best)
    return Group(*parts)


def budget_bar(job: Job, width: int) -> Text:
    """The budget as one bar coloured by ledger kind, the reserve marked, and a legend."""
    from rich.text import Text  # noqa: PLC0415  # --help must not pay for it

    cells = max(20, width - 2)
    spent = job.ledger.spent()
    text = Text()
    used = 0
    done = 0.0
    for kind in Kind:
        done += spent[kind]
        upto = min(cells, round(cells * done / job.budget_s))
        text.append("█" * (upto - used), style=COLOURS[kind])
        used = max(used, upto)
    reserve = job.plan.least_reserve_s if job.plan and job.phase in SEARCHING else 0.0
    kept = min(cells - used, round(cells * reserve / job.budget_s))
    text.append("░" * (cells - used - kept), style="grey42")
    text.append("▒" * kept, style=COLOURS[Kind.FINAL_TRAIN])
    text.append(
        f"\n{format_seconds(job.ledger.now())} of {format_seconds(job.budget_s)}, "
        f"{format_seconds(job.left())} left  ",
        style="bold",
    )
    for kind in Kind:
        if spent[kind] >= 1:
            text.append("■ ", style=COLOURS[kind])
            text.append(f"{kind} {format_seconds(spent[kind])}  ")
    if kept:
        text.append("▒ ", style=COLOURS[Kind.FINAL_TRAIN])
        text.append("reserved for the final run")
    return text


def trials_table(records: list[Record], width: int, rows: int = 12) -> Table:
    """The latest trials: recipe, rung, loss, accuracy, cost, and why; fewer columns if narrow."""
    from rich.table import Table  # noqa: PLC0415  # --help must not pay for it

    cells = [row_of(record) for record in records[-rows:]]
    names = list(cells[0])
    if width < 72:
        names = [name for name in names if name not in {"rung", "tokens", "time"}]
    if width <= 120:
        names.remove("why")
    table = Table(box=None, pad_edge=False, expand=True)
    for name in names:
        if name == names[-1]:  # takes what is left, and is cut off
            table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1)
            continue
        widest = max(len(name), *(len(row[name]) for row in cells))
        left = name in {"state", "recipe"}
        table.add_column(name, justify="left" if left else "right", no_wrap=True, min_width=widest)
    for row in cells:
        style = STATE_COLOURS.get(row["state"].upper(), "white")
        table.add_row(*(row[name] for name in names), style=style)
    return table


def row_of(record: Record) -> dict[str, str]:
    """A trial's cells by column."""
    last = record.rungs[-1] if record.rungs else None
    return {
        "trial": str(record.number),
        "state": record.state.name.lower(),
        "rung": str(last.rung) if last else "",
        "tokens": f"{last.tokens:,}" if last else "",
        "loss": f"{last.loss:.3f}" if last else "",
        "accuracy": f"{last.accuracy:.3f}" if last else "",
        "time": format_seconds(last.train_s + last.eval_s) if last else "",
        "recipe": record.recipe.short(),
        "why": record.reason,
    }


def now_line(job: Job, width: int) -> Text:
    """What is under way, with a bar and the training curve so far."""
    from rich.text import Text  # noqa: PLC0415  # --help must not pay for it

    text = Text(status(job), style="bold")
    if job.live is None:
        return text
    name, progress = job.live
    filled = round(20 * min(1.0, progress.done))
    text.append("  " + "━" * filled, style="green3")
    text.append("━" * (20 - filled), style="grey30")
    if progress.loss is not None:
        if job.trace_of != name:
            job.trace_of, job.trace = name, []
        if not job.trace or job.trace[-1] != progress.loss:
            job.trace.append(progress.loss)
        text.append("\n" + sparkline(job.trace, max(10, width - 20)), style="dodger_blue2")
        text.append(" training loss", style="grey62")
    return text


def best_line(records: list[Record]) -> Text | None:
    """The most accurate evaluation so far."""
    from rich.text import Text  # noqa: PLC0415  # --help must not pay for it

    evaluated = [(rung, record) for record in records for rung in record.rungs]
    if not evaluated:
        return None
    rung, record = max(evaluated, key=lambda pair: (pair[0].accuracy, -pair[0].loss))
    recipe = record.recipe.short()
    return Text(
        f"best so far: trial {record.number}, accuracy {rung.accuracy:.3f} ± {rung.stderr:.3f} "
        f"after {rung.tokens:,} tokens: {recipe}",
        style="green",
    )


def sparkline(values: list[float], width: int) -> str:
    """A curve as one line of block characters; longer curves are averaged into `width` cells."""
    if not values:
        return ""
    size = max(1, -(-len(values) // width))
    cells = [values[i : i + size] for i in range(0, len(values), size)]
    means = [sum(cell) / len(cell) for cell in cells]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 2) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[1 + round((mean - low) * scale)] for mean in means)
