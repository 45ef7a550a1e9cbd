"""Figures of how the search went: front, learning curves, budget."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from search.budget import Kind
from search.report.drawing import frame, legend, log_axis, short_count
from search.report.facts import Facts
from search.report.looks import (
    ENDED_EARLY,
    Group,
    default_point,
    entry,
    forecast_point,
    group_of,
)
from search.report.style import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


KIND_COLOURS = {
    Kind.SEARCH_TRAIN: "search",
    Kind.SEARCH_EVAL: "search-soft",
    Kind.FINAL_TRAIN: "final",
    Kind.FINAL_EVAL: "final-soft",
}
NAMES = {"default": "default", "final": "final run"}
UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def pareto_figure(facts: Facts) -> Figure:
    """Accuracy versus gpu_hours: all evaluations, the Pareto front, default, final run, forecast.

    Returns:
        A figure even if nothing was evaluated yet; it then says so.
    """
    figure, axes = frame(3.3)
    summary = facts.summary
    final, foreseen, base = summary["final"], forecast_point(facts), summary["base"]
    rungs = [rung for record in facts.records for rung in record.rungs]
    default = default_point(facts)
    hours = [r.gpu_hours for r in rungs] + [p["gpu_hours"] for p in (final, foreseen) if p]
    axes.set_xlabel(f"{facts.unit} spent on the trial{' (log scale)' if any(hours) else ''}")
    axes.set_ylabel("accuracy (mean over tasks)")
    if any(hours):
        log_axis(axes, hours)
    if base:
        axes.axhline(base["accuracy"], color=colour("faint"), lw=1.2, ls=":", label="base model")
    if rungs:
        _evaluations(axes, facts)
    else:
        axes.text(0.5, 0.5, "no trial was evaluated yet", ha="center", transform=axes.transAxes)
    if foreseen:
        at, soft = [foreseen["gpu_hours"]], colour("final-soft")
        bar = axes.vlines(at, foreseen["low"], foreseen["high"], color=soft, lw=5)
        bar.set_label("forecast of the final run")
        axes.plot(at, [foreseen["accuracy"]], color=soft, marker="_", ms=16, mew=2)
    for part, name, marker in ((default, "default", "s"), (final, "final", "D")):
        if part:
            x, y, look = [part["gpu_hours"]], [part["accuracy"]], colour(name)
            error = part["stderr"]
            axes.errorbar(x, y, yerr=error, fmt="none", lw=1.4, capsize=3, color=look, zorder=4)
            axes.plot(x, y, marker=marker, ms=6.5, lw=0, color=look, label=NAMES[name], zorder=4)
    accuracies = [rung.accuracy for rung in rungs]
    accuracies += [part["accuracy"] + part["stderr"] for part in (final, default, base) if part]
    top = max([*accuracies, foreseen["high"] if foreseen else 0.0, 0.05])
    axes.set_ylim(-0.03 * top, min(1.03, 1.1 * top))
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", ncols=3, **legend())
    return figure


def learning_figure(facts: Facts) -> Figure | None:
    """Answer loss at every rung, one line per trial; None if nothing was evaluated yet."""
    trials = [record for record in facts.records if record.rungs]
    if not trials:
        return None
    figure, axes = frame(3.1)
    for group in Group:  # what matters is drawn last
        found = [r for r in trials if group_of(r, facts.final_trial) is group]
        if not found:
            continue
        x: list[float] = []
        y: list[float] = []
        for record in found:  # a gap parts the lines of one artist
            x += [*(rung.tokens for rung in record.rungs), math.nan]
            y += [*(rung.loss for rung in record.rungs), math.nan]
        look = group.value
        axes.plot(
            x,
            y,
            color=colour(look.colour),
            lw=look.width,
            ms=look.size,
            marker="o",
            label=entry(group, found[0]),
        )
    axes.set_xscale("log")
    plan = facts.summary["plan"]
    ticks = plan["rungs"] if plan else sorted({r.tokens for t in trials for r in t.rungs})
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short_count(x)))
    axes.set_xlabel("tokens trained on, at each rung (log scale)")
    axes.set_ylabel("loss (nats per answer token)")
    figure.legend(loc="outside upper left", ncols=4, **legend())
    return figure


def budget_figure(facts: Facts) -> Figure | None:
    """When each kind of the ledger was at work, from start to deadline; None without a ledger."""
    kinds = [kind for kind in Kind if facts.summary["spent_s"].get(kind, 0.0) > 0]
    if not facts.spans or not kinds:
        return None
    budget = facts.summary["budget_s"]
    unit, size = next((name, s) for name, s in UNITS if budget >= 2 * s or s == 1.0)
    figure, axes = frame(0.8 + 0.25 * len(kinds))
    for row, kind in enumerate(kinds):
        axes.broken_barh(
            [(s.start / size, s.seconds / size) for s in facts.spans if s.kind == kind],
            (row - 0.36, 0.72),
            color=colour(KIND_COLOURS.get(kind, "muted")),
            lw=0.6,
        )
    end = max(budget, facts.spans[-1].start + facts.spans[-1].seconds) / size
    axes.axvline(budget / size, color=colour("default"), lw=1.4)
    axes.set_xlim(0, end * 1.01)
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.set_yticks(range(len(kinds)), [str(kind) for kind in kinds])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 5, 6, 10]))
    axes.set_xlabel(f"time alive ({unit}); orange: the deadline")
    axes.grid(visible=False, axis="y")
    return figure


def _evaluations(axes: Axes, facts: Facts) -> None:
    """Every early evaluation, those of pruned trials lighter, and the Pareto front among them."""
    for name, weak, shade in (
        ("of pruned trials", True, "faint"),
        ("dominated", False, "search-soft"),
    ):
        found = [
            rung
            for record in facts.records
            for rung in record.rungs
            if (group_of(record, facts.final_trial) in ENDED_EARLY) == weak
        ]
        if found:
            x, y = [rung.gpu_hours for rung in found], [rung.accuracy for rung in found]
            axes.scatter(x, y, s=16, color=colour(shade), lw=0, label=name)
    front = facts.summary["pareto"]
    axes.step(
        [point["gpu_hours"] for point in front],
        [point["accuracy"] for point in front],
        where="post",
        color=colour("search"),
        marker="o",
        ms=4.5,
        lw=1.6,
        label="Pareto front",
    )
