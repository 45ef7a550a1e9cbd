"""The trials on the screen: the best so far beside the default, and those that matter most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.budget import format_seconds
from search.screen.lines import WIDE, line_of
from search.signs import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from search.state import Job
    from search.store import Record, Rung

STATE_COLOURS = {"complete": "green", "pruned": "grey50", "fail": "red", "running": "yellow"}
SURE = 2.0
"""Standard errors that two accuracies must lie apart; less may be chance."""
COLUMNS = (
    ("trial", 0),
    ("state", 16),
    ("rung", 60),
    ("tokens", 96),
    ("loss", 50),
    ("accuracy", 30),
    ("time", 72),
    ("recipe", 50),
    ("why", WIDE),
)
"""Columns of the table, and from how wide a terminal on they are shown."""


def best_lines(records: Sequence[Record], width: int) -> list[Text]:
    """The most accurate evaluation so far, and the default recipe's beside it."""
    found = best_of(records)
    if found is None:
        return []
    rung, record = found
    lines = [f"best so far: trial {record.number}, {told_of(rung)}"]
    default = records[0]
    if default.control and default.rungs and record is not default:
        there = default.rungs[min(rung.rung, len(default.rungs) - 1)]
        apart = abs(rung.accuracy - there.accuracy)
        error = (rung.stderr**2 + there.stderr**2) ** 0.5
        sure = "" if apart > SURE * error else "; may be chance" if apart else "; no difference"
        lines.append(f"default: {told_of(there)}{sure}")
    elif record is default:
        lines[0] += ", the default recipe"
    if width >= WIDE:
        lines.insert(1, f"its recipe: {record.recipe.short()}")
    return [line_of(line, width, "green" if line.startswith("best") else "") for line in lines]


def best_of(records: Sequence[Record]) -> tuple[Rung, Record] | None:
    """The most accurate evaluation, at whatever rung, and whose it is."""
    evaluated = [(rung, record) for record in records for rung in record.rungs]
    if not evaluated:
        return None
    return max(evaluated, key=lambda pair: (pair[0].accuracy, -pair[0].loss))


def told_of(rung: Rung) -> str:
    """An evaluation, in words."""
    return f"accuracy {rung.accuracy:.3f} ± {rung.stderr:.3f} after {rung.tokens:,} tokens"


def trials_lines(
    job: Job, records: Sequence[Record], width: int, lines: int
) -> list[RenderableType]:
    """A table of those trials that matter most, and how many others there are.

    Args:
        job: tells which trial is under way.
        records: all trials, at least one.
        width: of the terminal, in columns; a narrow table has fewer of its own.
        lines: how many there are, at least two.
    """
    rows = lines - 1
    live = job.live[0] if job.live else ""
    if len(records) <= rows:
        return [trials_table(records, live, best_of(records), width)]
    shown = pick(records, live, rows - 1)
    if not shown:
        return [line_of(tally(records, "all trials"), width, "grey62")]
    numbers = {record.number for record in shown}
    others = [record for record in records if record.number not in numbers]
    table = trials_table(shown, live, best_of(records), width)
    return [table, line_of(tally(others, "not shown"), width, "grey62")]


def pick(records: Sequence[Record], live: str, rows: int) -> list[Record]:
    """At most so many trials: what is under way, the best, the default, then the furthest ones."""
    found = best_of(records)

    def rank(record: Record) -> tuple[bool, bool, bool, bool, int, int]:
        return (
            str(record.number) == live,
            found is not None and record is found[1],
            record.control,
            not record.finished or record.state.name == "COMPLETE",
            len(record.rungs),
            record.number,
        )

    chosen = sorted(records, key=rank, reverse=True)[: max(0, rows)]
    return sorted(chosen, key=lambda record: record.number)


def tally(records: Sequence[Record], what: str) -> str:
    """How many trials there are of each state."""
    counts = Counter(state_of(record, "") for record in records)
    return f"{what}: {', '.join(f'{count} {state}' for state, count in counts.items())}"


def trials_table(
    records: Sequence[Record], live: str, best: tuple[Rung, Record] | None, width: int
) -> Table:
    """A line per trial: recipe, rung, loss, accuracy, cost, and why; the best one is bold."""
    from rich.table import Table  # noqa: PLC0415  # --help must not pay for it
    from rich.text import Text  # noqa: PLC0415  # likewise

    cells = [row_of(record, live) for record in records]
    names = [name for name, least in COLUMNS if width >= least]
    table = Table(box=None, pad_edge=False, expand=True)
    for name in names:
        if name == names[-1]:  # takes what is left, and is cut off
            table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1)
            continue
        widest = max(len(name), *(len(row[name]) for row in cells))
        left = name in {"state", "recipe"}
        table.add_column(name, justify="left" if left else "right", no_wrap=True, min_width=widest)
    for record, row in zip(records, cells, strict=True):
        bold = "bold " if best is not None and record is best[1] else ""
        style = bold + STATE_COLOURS.get(row["state"], "white")
        table.add_row(*(Text(row[name]) for name in names), style=style)
    return table


def row_of(record: Record, live: str) -> dict[str, str]:
    """A trial's cells by column."""
    last = record.rungs[-1] if record.rungs else None
    return {
        "trial": str(record.number),
        "state": state_of(record, live),
        "rung": str(last.rung) if last else "",
        "tokens": f"{last.tokens:,}" if last else "",
        "loss": f"{last.loss:.3f}" if last else "",
        "accuracy": f"{last.accuracy:.3f} ± {last.stderr:.3f}" if last else "",
        "time": format_seconds(last.train_s + last.eval_s) if last else "",
        "recipe": one_line(record.recipe.short()),
        "why": one_line(record.reason),
    }


def state_of(record: Record, live: str) -> str:
    """As Optuna calls it, but that a trial which is not under way waits for its next segment."""
    if record.finished:
        return record.state.name.lower()
    return "running" if str(record.number) == live else "waiting"
