"""Several runs side by side, for a terminal: tables, and sentences that say no more than these."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from search.budget import format_seconds
from search.report.facts import without_paths
from search.report.text import scored
from search.reproduce import Z95
from search.side_by_side import LEVEL, SIGN, Pair, Standing, names_of, part_figures, unit
from search.signs import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from search.finished import FinishedRun

GROUPS = {
    "final": "Final items, which no decision of any run saw",
    "heldout": "Held-out items, of tasks that were not searched",
}
PARTS = {
    "final": "final recipe",
    "default": "default recipe (a trial)",
    "base": "base model",
}
FEW = 30
"""Items below which a standard error is itself a rough guess."""
MARGIN, CELL = 34, 15
"""Columns of a table's first two cells, and of each run's."""


def show(console: Console, runs: Sequence[FinishedRun], standings: Sequence[Standing]) -> None:
    """Print everything."""
    console.print(runs_table(runs))
    beside = max(1, (console.width - MARGIN) // CELL)
    for standing in standings:
        console.print(f"\n{GROUPS[standing.group]}", style="bold", markup=False, highlight=False)
        for line in items_lines(standing):
            _say(console, line)
        for first in range(0, len(runs) if standing.items else 0, beside):
            console.print()
            console.print(scores_table(standing, range(first, min(first + beside, len(runs)))))
        if standing.pairs:
            console.print()
        for pair in standing.pairs:
            _say(console, verdict(pair, len(standing.pairs)))
    console.print()
    shown = any("default" in parts for standing in standings for parts in standing.scores)
    _say(console, how(max(len(standing.pairs) for standing in standings), default=shown))


def _say(console: Console, text: str) -> None:
    """Print a paragraph; a p and its value stay on one line."""
    whole = printable(text).replace("p = ", "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    whole = whole.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
    for line in textwrap.wrap(whole, console.width, break_on_hyphens=False):
        told = line.replace("\N{NO-BREAK SPACE}", " ")
        console.print(told, markup=False, highlight=False)


def runs_table(runs: Sequence[FinishedRun]) -> Table:
    """What each run is and what it cost."""
    from rich.table import Table  # noqa: PLC0415  # the command's bad input answers without it
    from rich.text import Text  # noqa: PLC0415  # likewise

    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for sign, run, name in zip(SIGN, runs, names_of(runs), strict=False):
        device = f", on {run.device}" if run.device else ""
        rows = {
            "run": name,
            "model": without_paths(run.model),
            "budget": f"{format_seconds(run.budget_s)}, seed {run.seed}{device}",
            "spent": f"{run.hours:.4f} {unit([run])}: search {run.search_hours:.4f}, "
            f"final run {run.final_hours:.4f}",
            "recipe": run.recipe.short(),
        }
        for key, value in rows.items():
            first = key == "run"
            table.add_row(
                Text(sign if first else "", style="bold"),
                Text(key),
                Text(printable(value), style="bold" if first else ""),
            )
    return table


def items_lines(standing: Standing) -> Iterator[str]:
    """How many items are common, and what is left out and why."""
    told = ", ".join(
        f"{sign} on {count}" for sign, count in zip(SIGN, standing.scored, strict=False)
    )
    if not any(standing.scored):
        yield "no run was scored on any"
        return
    count = len(standing.tasks)
    tasks = "1 task" if count == 1 else f"{count} tasks"
    common = f"{standing.items} in common, of {tasks}" if count else "none in common"
    yield f"{common} (scored: {told})"
    if standing.left_out:
        why = "; ".join(f"{task}: {reason}" for task, reason in standing.left_out.items())
        yield f"left out: {why}"
    if 0 < 2 * standing.items < min(standing.scored):
        yield (
            "warning: less than half of the items are common, so they may not be typical of their "
            "tasks; runs of the same study and --seed have the same items"
        )


def scores_table(standing: Standing, members: Sequence[int]) -> Table:
    """Accuracies of some runs: over tasks with the standard error, then by task."""
    from rich.table import Table  # noqa: PLC0415  # the command's bad input answers without it
    from rich.text import Text  # noqa: PLC0415  # likewise

    known = [
        {part: part_figures(scores) for part, scores in standing.scores[k].items()} for k in members
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("accuracy", overflow="fold", max_width=25)
    table.add_column("items", justify="right", no_wrap=True)
    for k in members:
        table.add_column(SIGN[k], justify="left", no_wrap=True, min_width=13)
    for part, words in PARTS.items():
        if any(part in figures for figures in known):
            cells = [scored(figures[part]) if part in figures else "–" for figures in known]
            style = "bold" if part == "final" else ""
            table.add_row(Text(words), str(standing.items), *cells, style=style)
    for task, items in standing.tasks.items():
        cells = [f"{figures['final']['per_task'][task]:.3f}" for figures in known]
        table.add_row(Text(printable(f"  {task}")), str(len(items)), *cells)
    return table


def verdict(pair: Pair, pairs: int) -> str:
    """What the items say of two runs, and no more than that.

    Args:
        pair: the two.
        pairs: how many pairs were tested together.
    """
    one, other = SIGN[pair.a], SIGN[pair.b]
    if pair.difference < 0:
        one, other = other, one
    gap = abs(pair.difference)
    error = f" ± {pair.stderr:.3f}" if pair.stderr else ", with no spread within a task to tell by"
    said = p_words(pair.p_holm)
    if pair.p_holm < LEVEL:
        few = f", on {pair.items} items only: how much is uncertain" if pair.items < FEW else ""
        return f"{one} is better than {other} by {gap:.3f}{error} ({said}){few}."
    both = f"{SIGN[pair.a]} and {SIGN[pair.b]}"
    if not pair.differing:
        return (
            f"{both}: the same outcome on each of the {pair.items} items, which does not show "
            "that they are equally good."
        )
    ahead = f"{one} ahead by {gap:.3f}" if gap else "equal on the mean, 0.000"
    if pairs * 2.0 ** (1 - pair.items) >= LEVEL:
        return (
            f"{both}: {pair.items} items are too few to show any difference "
            f"({ahead}{error}, {said})."
        )
    possible = ""
    if pair.stderr:
        low, high = gap - Z95 * pair.stderr, gap + Z95 * pair.stderr
        possible = f"; from {max(-1.0, low):+.3f} to {min(1.0, high):+.3f} remains possible"
    return (
        f"{both}: no difference that {pair.items} items could show: {ahead}{error} ({said}; "
        f"{pair.differing} of the items came out differently){possible}."
    )


def p_words(p: float) -> str:
    """`p = 0.012`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def how(pairs: int, *, default: bool) -> str:
    """How the figures are meant; `default`: whether default recipes are among them."""
    short = " A default recipe was trained as long as a trial, no longer." if default else ""
    corrected = f", corrected by Holm for {pairs} pairs" if pairs > 1 else ""
    return (
        "Tasks count the same; ± is one standard error over items; p is of a two-sided sign-flip "
        f"test on the same items{corrected}. That is about these very recipes: it does not say "
        f"how another seed of the same search would do.{short}"
    )
