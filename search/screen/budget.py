"""The budget on the screen: time left, what comes until the deadline, and what it was spent on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from search.budget import Kind, format_seconds
from search.screen.lines import WIDE, line_of

if TYPE_CHECKING:
    from rich.text import Text

    from search.state import Job

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


def budget_bar(job: Job, width: int) -> list[Text]:
    """Time left and what comes; the budget as one bar by ledger kind, the reserve marked."""
    from rich.text import Text  # noqa: PLC0415  # --help must not pay for it

    head = Text(f"{format_seconds(job.left())} left", style="bold", no_wrap=True)
    head.append(f" of {format_seconds(job.budget_s)}", style="not bold")
    if job.phase != "done":
        head.append(f", {deadline(job.left())}", style="not bold")
    heads = [head]
    if head.cell_len + len(ahead(job)) + 3 <= width:
        head.append(f" · {ahead(job)}", style="not bold")
    else:
        heads.append(line_of(ahead(job), width))
    head.truncate(width, overflow="ellipsis")
    cells = max(1, width)
    bar = Text(no_wrap=True)
    used = 0
    done = 0.0
    for kind, seconds in job.ledger.spent().items():
        done += seconds
        upto = min(cells, round(cells * done / job.budget_s))
        bar.append("█" * (upto - used), style=COLOURS[Kind(kind)])
        used = max(used, upto)
    kept = min(cells - used, round(cells * reserved(job) / job.budget_s))
    bar.append("░" * (cells - used - kept), style="grey42")
    bar.append("▒" * kept, style=COLOURS[Kind.FINAL_TRAIN])
    return [*heads, bar]


def ahead(job: Job) -> str:
    """What comes until the deadline."""
    if job.phase == "done":
        return "recipe exported"
    if job.phase == "export":
        return "then done"
    if job.phase == "final":
        return "final run, then recipe and report"
    if job.plan is None:
        return "then search and final run"
    if job.phase == "search":
        search = job.left() - job.plan.least_reserve_s
        return f"search: at most {format_seconds(search)}, then final run"
    return "then final run"


def deadline(left_s: float) -> str:
    """When that is, by the clock on the wall."""
    end = datetime.now().astimezone() + timedelta(seconds=left_s)
    return f"ends {end:%H:%M}" if left_s < 20 * 3600 else f"ends {end:%a %H:%M}"


def reserved(job: Job) -> float:
    """Seconds that the search must leave."""
    return job.plan.least_reserve_s if job.plan and job.phase in SEARCHING else 0.0


def legend(job: Job, width: int) -> list[Text]:
    """What the bar's colours mean: as many kinds, by their time, as fit on one line, or two."""
    from rich.text import Text  # noqa: PLC0415  # --help must not pay for it

    items = [
        ("■", COLOURS[Kind(kind)], f"{kind} {format_seconds(seconds)}", seconds)
        for kind, seconds in job.ledger.spent().items()
        if seconds >= 1
    ]
    if kept := reserved(job):
        told = f"reserved for the final run {format_seconds(kept)}"
        items.append(("▒", COLOURS[Kind.FINAL_TRAIN], told, job.budget_s))
    while items:
        lines = [Text(no_wrap=True)]
        for mark, style, words, _ in items:
            if lines[-1].cell_len + len(words) + 2 > width and lines[-1].plain:
                lines.append(Text(no_wrap=True))
            lines[-1].append(f"{mark} ", style=style).append(f"{words}  ")
        for line in lines:
            line.rstrip()
            line.truncate(width, overflow="ellipsis")
        if len(lines) <= (2 if width < WIDE else 1):
            return lines
        items.remove(min(items, key=lambda item: item[3]))
    return []
