"""Several runs in one figure: accuracy on their common items against what they cost."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib

from search.report.drawing import frame, legend, log_axis, plain, to_png
from search.report.facts import without_paths
from search.report.style import colour
from search.side_by_side import SIGN, Standing, names_of, part_figures, unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from search.finished import FinishedRun

LOOKS = (
    ("final", "D"),
    ("default", "s"),
    ("search", "o"),
    ("muted", "^"),
    ("final-soft", "v"),
    ("search-soft", "P"),
)
"""Colours and markers of runs, over and over."""
WIDE = 2.5
"""Hours are on a log scale where the costliest run took more than this many times the cheapest."""


def figure_of(runs: Sequence[FinishedRun], standing: Standing) -> Figure:
    """Accuracy on the common items against device-hours: a point per run, base models dashed."""
    entries = len(runs) + len({run.model for run in runs})
    figure, axes = frame(3.0 + 0.2 * entries)
    hours = [run.hours for run in runs]
    top = 0.05
    bases: dict[tuple[str, float], None] = {}
    for k, (run, name) in enumerate(zip(runs, names_of(runs), strict=True)):
        parts = {part: part_figures(scores) for part, scores in standing.scores[k].items()}
        final = parts["final"]
        look, marker = LOOKS[k % len(LOOKS)]
        axes.errorbar(
            [run.hours],
            [final["accuracy"]],
            yerr=[final["stderr"]],
            color=colour(look),
            marker=marker,
            ms=6.5,
            lw=0,
            elinewidth=1.4,
            capsize=3,
            zorder=4,
            label=plain(f"{SIGN[k]}  {name}"),
        )
        top = max(top, final["accuracy"] + final["stderr"])
        if "base" in parts:
            bases[without_paths(run.model), parts["base"]["accuracy"]] = None
    for model, accuracy in bases:
        axes.axhline(accuracy, color=colour("faint"), lw=1.2, ls="--", label=plain(f"base {model}"))
        top = max(top, accuracy)
    wide = min(hours) > 0 and max(hours) > WIDE * min(hours)
    if wide:
        log_axis(axes, hours)
        axes.margins(x=0.15)
    else:
        axes.set_xlim(0, 1.15 * max(hours) or 1.0)
    axes.set_ylim(-0.03 * top, min(1.03, 1.1 * top))
    items = "final" if standing.group == "final" else "held-out"
    axes.set_xlabel(f"{unit(runs)} of search and final run{' (log scale)' if wide else ''}")
    axes.set_ylabel(f"accuracy on {standing.items} common {items} items")
    figure.legend(loc="outside upper left", ncols=1, **legend())
    return figure


def image(figure: Figure, suffix: str) -> bytes:
    """A figure as the content of a .png or .svg file; the same figure gives the same bytes."""
    file = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "compare"}):
        warnings.filterwarnings("ignore", message="Glyph")  # a sign of a name that no font has
        if suffix == ".png":
            return to_png(figure)
        figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None})
    return file.getvalue()
