"""What is under way: in words, as a bar, and its training loss as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.screen.lines import WIDE, line_of
from search.screen.trace import Trace

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

    from search.state import Job

PHASES = {
    "load": "loading the base model",
    "smoke": "asking the base model some items",
    "search": "choosing what to do next",
    "finalists": "scoring the finalists again on fresh items",
    "final": "final run",
    "export": "writing recipe and report",
    "done": "done",
}
"""What is under way in a phase where nothing says it more exactly."""
NAMES = {"base": "base model", "final": "final run"}
"""What is trained and evaluated beside trials."""
HIGH = 16
"""Lines that there must be for a chart beside the figures."""
CHART = (5, 56)
"""Its lines and columns."""
BLOCKS = " ▁▂▃▄▅▆▇█"


def busy_picture(doing: str, done: float | None, width: int) -> Group:
    """Data are being prepared: what, and a bar, which pulses where the share is not known."""
    from rich.console import Group  # noqa: PLC0415  # --help must not pay for it
    from rich.progress_bar import ProgressBar  # noqa: PLC0415  # likewise

    bar = ProgressBar(
        total=1.0, completed=done or 0.0, width=max(1, min(40, width)), pulse=done is None
    )
    share = "" if done is None else f" {done:.0%}"
    return Group(line_of(f"preparing data: {doing}{share}", width, "bold"), bar)


def status(job: Job) -> str:
    """What is under way, in one line."""
    if job.live is None:
        return PHASES.get(job.phase, job.phase)
    name, progress = job.live
    if name == "load":
        doing = PHASES["load"]
    elif job.phase == "smoke":
        doing = PHASES["smoke"]
    else:
        who = f"trial {name}" if name.isdigit() else NAMES.get(name, name)
        doing = f"{who}: {progress.phase}"
    parts = [doing, f"{progress.done:.0%}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.tokens_per_s:
        parts.append(f"{progress.tokens_per_s:,.0f} tokens/s")
    if progress.note:
        parts.append(progress.note)
    return ", ".join(parts)


def note_loss(job: Job) -> None:
    """Add the latest training loss to the curve of what is under way."""
    if job.live is None:
        return
    name, progress = job.live
    if progress.loss is None:
        return
    if job.trace.of != name:
        job.trace = Trace(name)
    job.trace.add(progress.loss)


def now_line(job: Job, width: int) -> Text:
    """What is under way, with a bar where there is room for one."""
    if job.live is None or job.phase in {"export", "done"}:
        return line_of(PHASES.get(job.phase, job.phase), width, "bold")
    text = line_of(status(job), width, "bold")
    room = min(40, width - text.cell_len - 2)
    if room < 8:
        return text
    filled = round(room * min(1.0, max(0.0, job.live[1].done)))
    text.append("  " + "━" * filled, style="green3")
    return text.append("━" * (room - filled), style="grey30")


def curve_lines(job: Job, width: int, lines: int) -> list[Text]:
    """The training loss of what is under way, or was last: a chart where there is room for it."""
    trace, cells = job.trace, job.trace.cells()
    if not cells:
        return []
    who = f"trial {trace.of}" if trace.of.isdigit() else f"the {trace.of} run"
    told = f"training loss of {who}: {trace.first:.3f} to {trace.last:.3f}"
    if width >= WIDE and lines >= HIGH:
        rows = chart(cells, CHART[1], CHART[0] - 1)
        made = [line_of(told, CHART[1], "grey62")]
        return made + [styled(row, "dodger_blue2") for row in rows]
    if width < 60:
        told = "training loss"
    made = [styled(sparkline(cells, max(1, width - len(told) - 1)), "dodger_blue2")]
    made[0].append(f" {told}", style="grey62")
    made[0].truncate(width, overflow="ellipsis")
    return made


def foreseen_lines(job: Job, width: int) -> list[Text]:
    """What the final run is expected to come to, while it is under way."""
    found = job.store.noted("forecast_final") if job.phase == "final" else None
    if not found:
        return []
    told = f"{found['accuracy']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
    return [line_of(f"foreseen of the final run: accuracy {told}", width)]


def styled(row: str, style: str) -> Text:
    """A line as it is."""
    from rich.text import Text  # noqa: PLC0415  # --help must not pay for it

    text = Text(no_wrap=True)
    return text.append(row, style=style)


def chart(values: Sequence[float], width: int, rows: int) -> list[str]:
    """A curve in block characters, `rows` lines high, the highest value at the top.

    Curves of more than `width` values are averaged into so many cells.
    """
    if not values:
        return []
    size = max(1, -(-len(values) // width))
    cells = [values[i : i + size] for i in range(0, len(values), size)]
    means = [sum(cell) / len(cell) for cell in cells]
    low, high = min(means), max(means)
    steps = len(BLOCKS) - 1
    scale = (rows * steps - 1) / (high - low) if high > low else 0.0
    levels = [1 + round((mean - low) * scale) for mean in means]
    return [
        "".join(BLOCKS[min(steps, max(0, level - row * steps))] for level in levels)
        for row in reversed(range(rows))
    ]


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve as one line."""
    return "".join(chart(values, width, 1))
