"""The figure of what the recipe is worth: base, default and final run, task by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.report.drawing import frame, legend, plain
from search.report.facts import PARTS, Facts
from search.report.style import colour
from search.store import macro

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {
    "base": ("muted", "o", "base model"),
    "default": ("default", "s", "default"),
    "final": ("final", "D", "final run"),
}
"""Colour, marker and name by part."""
SEARCHED, HELDOUT = "mean of searched tasks", "mean of held-out tasks"
TASKS = 40
"""Tasks of a kind that are drawn at most; the table has them all."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the figure."""

    name: str
    heldout: bool
    values: dict[str, tuple[float, float]]
    """(accuracy, standard error) by part."""


def rows_of(facts: Facts) -> list[Row]:
    """Means and tasks with their scores on fresh items, held-out tasks last."""
    parts = [name for name in PARTS if facts.summary[name]]
    made: list[Row] = []
    for heldout, group, mean in ((False, "per_task", SEARCHED), (True, "heldout", HELDOUT)):
        tasks = list(dict.fromkeys(task for p in parts for task in facts.summary[p][group]))
        rows = [(mean, tasks)] if len(tasks) > 1 else []
        for name, members in [*rows, *((task, [task]) for task in tasks[:TASKS])]:
            values = {part: found for part in parts if (found := _score(facts, part, members))}
            if values:
                made.append(Row(name, heldout, values))
    return made


def worth_figure(facts: Facts) -> Figure | None:
    """Accuracy ± standard error of base, default and final run; None if nothing was scored.

    A row for the mean and each task; held-out tasks are set apart below.
    """
    rows = rows_of(facts)
    if not rows:
        return None
    gap = any(row.heldout for row in rows) and not all(row.heldout for row in rows)
    heights = [i + (0.7 if gap and row.heldout else 0.0) for i, row in enumerate(rows)]
    figure, axes = frame(0.9 + 0.36 * (heights[-1] + 1))
    present = [part for part in PARTS if any(part in row.values for row in rows)]
    for place, part in enumerate(present):
        shade, marker, label = LOOKS[part]
        own = [
            (y, row.values[part])
            for y, row in zip(heights, rows, strict=True)
            if part in row.values
        ]
        axes.errorbar(
            [value for _, (value, _) in own],
            [y + 0.22 * (place - (len(present) - 1) / 2) for y, _ in own],
            xerr=[error for _, (_, error) in own],
            fmt=marker,
            ms=5,
            lw=1.4,
            capsize=2.5,
            color=colour(shade),
            label=label,
        )
    if gap:
        first = next(y for y, row in zip(heights, rows, strict=True) if row.heldout)
        axes.axhline(first - 0.85, color=colour("faint"), lw=1, ls=":")
    axes.set_yticks(heights, [plain(row.name) for row in rows])
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set(weight="bold" if row.name in {SEARCHED, HELDOUT} else "normal")
    axes.set_ylim(heights[-1] + 0.6, -0.6)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy on fresh items ± standard error")
    figure.legend(loc="outside upper left", ncols=3, **legend())
    return figure


def _score(facts: Facts, part: str, tasks: list[str]) -> tuple[float, float] | None:
    """(accuracy, standard error) of a part over tasks; None unless it was scored on all of them."""
    own = facts.scores.get(part, {})
    if not all(task in own for task in tasks):
        return None
    return macro({task: own[task] for task in tasks})
