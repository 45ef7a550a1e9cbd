"""The live picture of a job: at most so many columns wide and so many lines high.

What matters most is kept where there is little room: time left, what is under way, the best so far.
A wide terminal also gets why each trial is where it is, and the curve larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.screen.budget import budget_bar, legend
from search.screen.now import CHART, curve_lines, foreseen_lines, note_loss, now_line
from search.screen.trials import best_lines, trials_lines

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from search.state import Job

LOW = 16
"""Terminals of fewer lines show nothing above the picture."""
LEAST_ROWS = 3
"""Trials that are shown before anything else but the budget and what is under way."""


def picture(job: Job, width: int, height: int = 50) -> Group:
    """Everything, for a terminal of `width` columns and `height` lines; a few are left to others.

    Returns:
        Lines that are no longer than `width`, and fewer of them than `height`.
    """
    from rich.console import Group  # noqa: PLC0415  # --help must not pay for it

    records = job.store.records()
    note_loss(job)
    left = max(1, height - 1 if height < LOW else height - 4)
    bar, told, doing = budget_bar(job, width), legend(job, width), [now_line(job, width)]
    curve = curve_lines(job, width, left)
    best = [*best_lines(records, width), *foreseen_lines(job, width)]
    parts: list[RenderableType] = []
    if len(curve) > 1:
        parts += [*bar, *told, side_by_side([*doing, *best], curve)]
        left -= len(bar) + len(told) + max(len(doing) + len(best), len(curve))
    else:
        keep = LEAST_ROWS + 2 if records else 0
        order = ((0, bar, 0), (2, doing, 0), (4, best, keep), (1, told, keep), (3, curve, keep))
        lines = fitting(order, left)
        parts += lines
        left -= len(lines)
    if records and left > 1:
        parts += trials_lines(job, records, width, left)
    return Group(*parts)


def fitting(groups: Sequence[tuple[int, Sequence[Text], int]], left: int) -> list[Text]:
    """The lines of those groups that fit, from top to bottom.

    Args:
        groups: the most important first: its place on the screen, its lines, and how many lines
            must be left below it for others. The first is cut to what fits.
        left: lines that there are.
    """
    kept: list[tuple[int, Sequence[Text]]] = []
    for place, lines, keep in groups:
        if not kept:
            lines = lines[:left]
        if len(lines) <= left - keep:
            kept.append((place, lines))
            left -= len(lines)
    return [line for _, lines in sorted(kept, key=lambda pair: pair[0]) for line in lines]


def side_by_side(left: Sequence[Text], right: Sequence[Text]) -> Table:
    """Two blocks of lines beside each other, the right one as wide as a chart."""
    from rich.console import Group  # noqa: PLC0415  # --help must not pay for it
    from rich.table import Table  # noqa: PLC0415  # likewise

    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(width=CHART[1], no_wrap=True, overflow="crop")
    grid.add_row(Group(*left), Group(*right))
    return grid
