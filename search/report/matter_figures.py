"""Figures of what mattered: importances, and slices per axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.report.drawing import WIDTH, frame, legend, plain, styled
from search.report.looks import Group, group_of
from search.report.sample import PREFIX
from search.report.style import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from search.report.importance import Importance
    from search.report.sample import Sample

PANELS = 24
"""Axes that are drawn at most."""
MARKED = {Group.DEFAULT: "s", Group.FINAL: "D"}


def axis_name(axis: str) -> str:
    """An axis as the report names it."""
    source = axis.removeprefix(PREFIX)
    return axis.replace("_", " ") if source == axis else f"mixture: {source}"


def importance_figure(found: Sequence[Importance]) -> Figure | None:
    """Shares of the axes' importance with their spread, and what chance gives; None without any."""
    if not found:
        return None
    shown = found[:PANELS]
    figure, axes = frame(0.9 + 0.25 * len(shown))
    rows = range(len(shown))
    strong = [colour("search" if one.stands_out else "search-soft") for one in shown]
    axes.barh(rows, [one.share for one in shown], 0.55, color=strong)
    halves = [one.halves for one in shown if one.halves]
    if halves:
        low, high = zip(*halves, strict=True)
        axes.hlines(rows, low, high, colour("ink"), lw=1.2)
        axes.plot([], [], color=colour("ink"), lw=1.2, label="in halves of the trials")
    axes.plot(
        [one.chance for one in shown],
        rows,
        marker="|",
        ms=11,
        mew=1.8,
        lw=0,
        color=colour("default"),
        label="most that chance gave",
    )
    axes.set_yticks(rows, [plain(axis_name(one.axis)) for one in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, min(1.05, axes.get_xlim()[1]))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("share of the importance of all axes")
    figure.legend(loc="outside upper left", ncols=2, **legend())
    return figure


def slices_figure(sample: Sample, winner: int | None) -> Figure | None:
    """Loss against every axis, one panel each; None if there is no axis or one trial only."""
    axes = sample.axes[:PANELS]
    if not axes or sample.n < 2:
        return None
    lines = math.ceil(len(axes) / 2)
    height = 0.5 + 1.35 * lines
    figure = Figure(figsize=(WIDTH, height))  # laid out by hand: constrained takes a second for it
    figure.subplots_adjust(0.13, 0.3 / height, 0.96, 1 - 0.55 / height, 0.08, 0.55)
    grid = figure.subplots(lines, 2, sharey=True, squeeze=False)
    top = ceiling(sample.losses)
    for place, panel in enumerate(grid.flat):
        if place >= len(axes):
            panel.set_visible(False)
            continue
        styled(panel)
        _slice(panel, sample, axes[place], winner, top)
    least = min(sample.losses)
    grid[0, 0].set_ylim(least - 0.06 * (top - least or 1.0), top + 0.08 * (top - least or 1.0))
    figure.supylabel(f"loss at rung {sample.rung}", x=0.01, size=9, color=colour("ink"))
    figure.legend(handles=entries(sample, winner), loc="upper left", ncols=3, **legend())
    return figure


def ceiling(losses: Sequence[float]) -> float:
    """The highest loss that a frame leaves room for: beyond it are those that went wrong."""
    ordered = sorted(losses)
    low, high = ordered[len(ordered) // 4], ordered[3 * (len(ordered) - 1) // 4]
    return max(min(ordered[-1], high + 3 * (high - low)), high, ordered[0])


def _slice(panel: Axes, sample: Sample, axis: str, winner: int | None, top: float) -> None:
    """Loss against one axis; what lies above the frame is a triangle at its upper edge."""
    values, labels = positions(sample, axis)
    groups = [group_of(record, winner) for record in sample.records]
    kinds = {
        "o": [i for i, loss in enumerate(sample.losses) if loss <= top and groups[i] not in MARKED],
        "^": [i for i, loss in enumerate(sample.losses) if loss > top and groups[i] not in MARKED],
    }
    for marker, places in kinds.items():
        x, y = [values[i] for i in places], [min(top, sample.losses[i]) for i in places]
        panel.scatter(
            x, y, s=14 if marker == "o" else 24, marker=marker, color=colour("search-soft"), lw=0
        )
    for i, group in enumerate(groups):
        if group in MARKED:
            y = [min(top, sample.losses[i])]
            shade = colour(group.value.colour)
            panel.scatter([values[i]], y, s=34, zorder=4, lw=0, color=shade, marker=MARKED[group])
    panel.set_title(plain(axis_name(axis)), size=8.5, color=colour("ink"), pad=3)
    panel.tick_params(labelsize=7.5)
    if labels:
        panel.set_xticks(range(len(labels)), labels)
        panel.set_xlim(-0.6, len(labels) - 0.4)
    elif axis.startswith(PREFIX):
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        _whole_range(panel, sample.distribution(axis))


def _whole_range(panel: Axes, span: BaseDistribution) -> None:
    """Show an axis from end to end of its range, with its ends and its middle told."""
    if not isinstance(span, FloatDistribution | IntDistribution):
        return
    low, high = float(span.low), float(span.high)
    if span.log:
        panel.set_xscale("log")
        ticks, edge = [low, math.sqrt(low * high), high], (high / low) ** 0.06
        panel.set_xlim(low / edge, high * edge)
    else:
        ticks, edge = [low, (low + high) / 2, high], 0.06 * (high - low)
        panel.set_xlim(low - edge, high + edge)
    panel.xaxis.set_major_locator(FixedLocator(ticks))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.2g}"))


def positions(sample: Sample, axis: str) -> tuple[list[float], list[str]]:
    """(where each trial stands on an axis, names of its categories if it has any).

    Trials of a category stand a little apart, by number.
    """
    values = sample.values(axis)
    span = sample.distribution(axis)
    if not isinstance(span, CategoricalDistribution):
        return [float(value) for value in values], []
    apart = [0.5 * ((0.618 * record.number) % 1 - 0.5) for record in sample.records]
    places = [span.choices.index(value) + d for value, d in zip(values, apart, strict=True)]
    return places, [plain(_choice(choice)) for choice in span.choices]


def _choice(choice: object) -> str:
    return ("yes" if choice else "no") if isinstance(choice, bool) else str(choice)


def entries(sample: Sample, winner: int | None) -> list[Line2D]:
    """The legend: trials, and those that are marked."""
    made = [Line2D([], [], color=colour("search-soft"), lw=0, marker="o", ms=4, label="trial")]
    present = {group_of(record, winner) for record in sample.records}
    return made + [
        Line2D([], [], color=colour(g.value.colour), lw=0, marker=sign, ms=6, label=g.value.label)
        for g, sign in MARKED.items()
        if g in present
    ]
