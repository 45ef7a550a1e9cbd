"""The figure of the mixtures that were tried, by how well they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from search.report.drawing import frame, legend, plain
from search.report.looks import group_of
from search.report.matter_figures import MARKED, entries
from search.report.style import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from search.report.sample import Sample
    from search.store import Record

CLASSES = (
    ("last quarter by loss", "faint", 0.8),
    ("middle half", "search-soft", 1.0),
    ("best quarter by loss", "search", 1.6),
)
"""Trials by their loss: name, colour and width, what is drawn first first."""


def mixture_figure(sample: Sample, winner: int | None) -> Figure | None:
    """Every trial's mixture by its loss: a triangle for three sources, else parallel axes.

    None if there is one source, or one trial only.
    """
    if len(sample.sources) < 2 or sample.n < 2:
        return None
    three = len(sample.sources) == 3
    figure, axes = frame(3.4 if three else 3.1)
    if three:
        _ternary(axes, sample, winner)
    else:
        _parallel(axes, sample, winner)
    handles = [
        Line2D([], [], color=colour(shade), lw=0 if three else width, marker="o", ms=4, label=name)
        for name, shade, width in reversed(CLASSES)
    ]
    handles += entries(sample, winner)[1:]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, **legend())
    return figure


def classes(losses: Sequence[float]) -> list[int]:
    """Index into `CLASSES` by trial: its quarter of the order by loss."""
    order = sorted(range(len(losses)), key=lambda i: (losses[i], i))
    quarter = math.ceil(len(losses) / 4)
    found = [1] * len(losses)
    for i in order[len(losses) - quarter :]:
        found[i] = 0
    for i in order[:quarter]:
        found[i] = 2
    return found


def _parallel(axes: Axes, sample: Sample, winner: int | None) -> None:
    """A line per trial over the sources, at the height of their shares."""
    names = sample.sources
    lines = [
        [(x, record.recipe.mixture.get(name, 0.0)) for x, name in enumerate(names)]
        for record in sample.records
    ]
    kinds = classes(sample.losses)
    for kind, (_, shade, width) in enumerate(CLASSES):
        chosen = [line for line, own in zip(lines, kinds, strict=True) if own == kind]
        axes.add_collection(LineCollection(chosen, colors=colour(shade), linewidths=width))
    for record, line in zip(sample.records, lines, strict=True):
        if look := _mark(record, winner):
            axes.plot(*zip(*line, strict=True), lw=2, ms=6, **look)
    top = max(y for line in lines for _, y in line)
    axes.set_xlim(-0.3, len(names) - 0.7)
    axes.set_ylim(0, min(1.02, 1.08 * top))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    tilt: dict[str, Any] = {} if _short(names) else {"rotation": 30, "ha": "right"}
    axes.set_xticks(range(len(names)), [plain(name) for name in names], **tilt)
    axes.set_ylabel("share of trained tokens")


def _short(names: Sequence[str]) -> bool:
    """Whether names fit side by side below the axis."""
    return sum(len(name) + 2 for name in names) <= 60


def _ternary(axes: Axes, sample: Sample, winner: int | None) -> None:
    """A triangle with a source at each corner; a trial lies nearer to what it has more of."""
    names = sample.sources
    height = math.sqrt(3) / 2
    axes.plot([0, 1, 0.5, 0], [0, 0, height, 0], color=colour("faint"), lw=1)
    for part in (0.25, 0.5, 0.75):
        rest = 1 - part
        for ends in (
            ((part, 0), (part, rest)),
            ((0, part), (rest, part)),
            ((part, 0), (0, part)),
        ):
            x, y = zip(*(corner(*end) for end in ends), strict=True)
            axes.plot(x, y, color=colour("line"), lw=0.8)
    kinds = classes(sample.losses)
    for record, kind in sorted(zip(sample.records, kinds, strict=True), key=lambda pair: pair[1]):
        shares = [record.recipe.mixture.get(name, 0.0) for name in names]
        look = _mark(record, winner) or {"marker": "o", "color": colour(CLASSES[kind][1])}
        size = 7 if _mark(record, winner) else 4.5
        axes.plot(*([v] for v in corner(shares[1], shares[2])), lw=0, ms=size, **look)
    corners = ((0.0, -0.03, "top"), (1.0, -0.03, "top"), (0.5, height + 0.03, "bottom"))
    for (left, up, place), name in zip(corners, names, strict=True):
        style: dict[str, Any] = {"size": 8.5, "color": colour("ink"), "ha": "center", "va": place}
        axes.text(left, up, f"all {plain(name)}", **style)
    axes.set_aspect("equal")
    axes.set_axis_off()


def corner(second: float, third: float) -> tuple[float, float]:
    """Where shares of the second and third source lie in the triangle."""
    return second + third / 2, third * math.sqrt(3) / 2


def _mark(record: Record, winner: int | None) -> dict[str, Any] | None:
    """How the default and the final run's trial are marked."""
    group = group_of(record, winner)
    if group not in MARKED:
        return None
    return {"marker": MARKED[group], "color": colour(group.value.colour), "zorder": 4}
