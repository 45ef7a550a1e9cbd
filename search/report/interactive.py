"""Figures that answer to a pointer: plotly Figures, pure functions of records and facts.

Their colours can be read on white and on dark paper, since they stand on pages of others too; the
report's page puts its own in their place. Texts of a run are escaped: plotly reads some HTML.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from search.report.looks import (
    ALONE,
    ENDED_EARLY,
    Group,
    default_point,
    entry,
    forecast_point,
    group_of,
)
from search.report.style import either

if TYPE_CHECKING:
    from search.report.facts import Facts
    from search.store import Record, Rung

LINE = 46
"""Characters of a line of a hover text: as many as a phone is wide."""
LONGEST = 600
"""Characters of a text of the run in a hover text."""
HOVER = "%{text}<extra></extra>"
SYMBOLS = {Group.DEFAULT: "square", Group.FINAL: "diamond"}


def learning(records: Sequence[Record], winner: int | None) -> go.Figure | None:
    """Answer loss at every rung versus tokens trained on, one line per trial.

    Args:
        records: all trials.
        winner: number of the trial that the final run goes on from, if it is known.

    Returns:
        A figure with a line for each trial that was evaluated, in one trace per `Group`; None if
        none was. The same records give the same figure.
    """
    trials = [record for record in records if record.rungs]
    if not trials:
        return None
    figure = blank("Learning curves: answer loss at every rung")
    for group in Group:
        found = [record for record in trials if group_of(record, winner) is group]
        if not found:
            continue
        look = group.value
        x: list[float | None] = []
        y: list[float | None] = []
        text: list[str] = []
        for record in found:  # a gap parts the lines of one trace
            x += [*(rung.tokens for rung in record.rungs), None]
            y += [*(_finite(rung.loss) for rung in record.rungs), None]
            text += [*(told(record, rung, winner) for rung in record.rungs), ""]
        figure.add_scatter(
            x=x[:-1],
            y=y[:-1],
            text=text[:-1],
            name=name_of(group, found),
            mode="lines+markers",
            line={"color": either(look.colour), "width": 1.4 * look.width},
            marker={"size": 1.7 * look.size, "symbol": SYMBOLS.get(group, "circle")},
            opacity=look.opacity,
            hovertemplate=HOVER,
        )
    figure.update_xaxes(title_text="tokens trained on (log scale)", tickformat="~s")
    _log_axis(figure, [rung.tokens for record in trials for rung in record.rungs])
    figure.update_yaxes(title_text="loss (nats per answer token)")
    return figure


def pareto(facts: Facts) -> go.Figure | None:
    """Accuracy versus gpu_hours of all early evaluations, the Pareto front, and what came of it.

    Args:
        facts: what was gathered of a run, finished or not.

    Returns:
        A figure with the front, what it dominates, pruned trials, base model, default, and the
        final run beside its forecast; None if no trial was evaluated.
    """
    rungs = [(record, rung) for record in facts.records for rung in record.rungs]
    if not rungs:
        return None
    winner = facts.final_trial
    figure = blank("Pareto front: accuracy versus cost")
    front = {(point["trial"], point["tokens"]) for point in facts.summary["pareto"]}
    beaten = [(t, r) for t, r in rungs if (t.number, r.tokens) not in front]
    for name, weak, colour, opacity in (
        ("of pruned trials", True, "faint", 0.5),
        ("dominated", False, "search-soft", 0.8),
    ):
        if pairs := [(t, r) for t, r in beaten if (group_of(t, winner) in ENDED_EARLY) == weak]:
            _evaluations(figure, pairs, winner, name, {"color": either(colour), "size": 6}, opacity)
    _front(figure, [(t, r) for t, r in rungs if (t.number, r.tokens) in front], winner)
    _outcome(figure, facts)
    hours = [rung.gpu_hours for _, rung in rungs if rung.gpu_hours > 0]
    scale = " (log scale)" if hours else ""
    figure.update_xaxes(title_text=f"{facts.unit} spent on the trial{scale}", tickformat="~g")
    if hours:
        ends = [
            part["gpu_hours"] for part in (facts.summary["final"], forecast_point(facts)) if part
        ]
        _log_axis(figure, [*hours, *ends])
    figure.update_yaxes(title_text="accuracy (mean over tasks)", rangemode="tozero")
    return figure


def _evaluations(
    figure: go.Figure,
    pairs: Sequence[tuple[Record, Rung]],
    winner: int | None,
    name: str,
    marker: Mapping[str, Any],
    opacity: float,
) -> None:
    figure.add_scatter(
        x=[round(rung.gpu_hours, 6) for _, rung in pairs],
        y=[round(rung.accuracy, 5) for _, rung in pairs],
        text=[told(record, rung, winner) for record, rung in pairs],
        name=name,
        mode="markers",
        marker=dict(marker),
        opacity=opacity,
        hovertemplate=HOVER,
    )


def _front(figure: go.Figure, pairs: Sequence[tuple[Record, Rung]], winner: int | None) -> None:
    """The front, cheapest first, with the standard errors of its points."""
    ordered = sorted(pairs, key=lambda pair: (pair[1].gpu_hours, pair[1].accuracy))
    figure.add_scatter(
        x=[round(rung.gpu_hours, 6) for _, rung in ordered],
        y=[round(rung.accuracy, 5) for _, rung in ordered],
        error_y=_bar([round(rung.stderr, 5) for _, rung in ordered], "search-soft", 1),
        text=[told(record, rung, winner) for record, rung in ordered],
        name="Pareto front",
        mode="lines+markers",
        line={"color": either("search"), "width": 2.4, "shape": "hv"},
        marker={"size": 9},
        hovertemplate=HOVER,
    )


def _outcome(figure: go.Figure, facts: Facts) -> None:
    """Base model, default, the final run and its forecast."""
    final, base = facts.summary["final"], facts.summary["base"]
    if base:
        words = f"base {base['accuracy']:.3f} ± {base['stderr']:.3f}"
        figure.add_hline(y=base["accuracy"], line=_line("faint", 1.6, "dot"))
        figure.add_scatter(  # a line across the whole width has no legend and no hover text
            x=[None], y=[None], name=words, mode="lines", line=_line("faint", 1.6, "dot")
        )
    if foreseen := forecast_point(facts):
        middle, low, high = (foreseen[key] for key in ("accuracy", "low", "high"))
        figure.add_scatter(
            x=[foreseen["gpu_hours"]],
            y=[middle],
            error_y=_bar([high - middle], "final-soft", 6, [middle - low]),
            text=[f"forecast of the final run<br>{middle:.3f} ({low:.3f} to {high:.3f})"],
            name="forecast",
            mode="markers",
            marker={"color": either("final-soft"), "symbol": "line-ew-open", "size": 16},
            hovertemplate=HOVER,
        )
    for group, part in ((Group.DEFAULT, default_point(facts)), (Group.FINAL, final)):
        if part:
            said = [
                f"<b>{group.value.label}</b>",
                f"accuracy {part['accuracy']:.3f} ± {part['stderr']:.3f}",
                f"{part['gpu_hours']:.4f} {facts.unit}",
            ]
            figure.add_scatter(
                x=[part["gpu_hours"]],
                y=[part["accuracy"]],
                error_y=_bar([part["stderr"]], group.value.colour, 2),
                text=["<br>".join(said)],
                name=group.value.label,
                mode="markers",
                marker={
                    "color": either(group.value.colour),
                    "symbol": SYMBOLS[group],
                    "size": 12,
                },
                hovertemplate=HOVER,
            )


def told(record: Record, rung: Rung, winner: int | None) -> str:
    """An early evaluation in a few short lines of what plotly reads as HTML."""
    state = group_of(record, winner).value.label
    lines = [
        f"<b>trial {record.number}</b>, {state}, rung {rung.rung}",
        f"{rung.tokens:,} tokens, {rung.gpu_hours:.4f} hours of the device",
        f"loss {rung.loss:.3f}, accuracy {rung.accuracy:.3f} ± {rung.stderr:.3f}",
        *wrapped(record.recipe.short()),
        *wrapped(record.reason),
    ]
    return "<br>".join(lines)


def wrapped(text: str) -> list[str]:
    """A text of a run in lines for a hover text; nothing in it is markup."""
    lines = textwrap.wrap(textwrap.shorten(text, LONGEST, placeholder=" …"), LINE)
    return [escape(line, quote=False) for line in lines]


def name_of(group: Group, found: Sequence[Record]) -> str:
    """The legend's entry for a group of trials."""
    name = entry(group, found[0])
    return name if group in ALONE else f"{name} ({len(found)})"


def blank(title: str) -> go.Figure:
    """A figure without data, in a look that suits white and dark pages."""
    figure = go.Figure(layout={"template": {}})  # plotly's own is 7 kB, and white
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0.01},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": either("ink"), "size": 12},
        hovermode="closest",
        hoverlabel={"align": "left"},
        legend={"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"},
        margin={"l": 56, "r": 12, "t": 48, "b": 48},
        modebar={
            "bgcolor": "rgba(0,0,0,0)",
            "color": either("faint"),
            "activecolor": either("ink"),
        },
    )
    look = {
        "gridcolor": either("line"),
        "linecolor": either("faint"),
        "zeroline": False,
        "automargin": True,
        "title_standoff": 8,
    }
    figure.update_xaxes(showline=True, **look)
    figure.update_yaxes(**look)
    return figure


def _log_axis(figure: go.Figure, values: Sequence[float]) -> None:
    """Let x be on a log scale; over more than a decade or so, only 1, 2 and 5 have room."""
    wide = max(values) >= 8 * min(values)
    figure.update_xaxes(type="log", **({"dtick": "D2"} if wide else {}))


def _finite(value: float) -> float | None:
    """A loss that can be drawn, and that JSON knows."""
    return round(value, 5) if math.isfinite(value) else None


def _line(colour: str, width: float, dash: str) -> dict[str, Any]:
    return {"color": either(colour), "width": width, "dash": dash}


def _bar(
    plus: Sequence[float], colour: str, thick: float, minus: Sequence[float] | None = None
) -> dict[str, Any]:
    """An error bar; the same both ways unless `minus` is given."""
    both = {"symmetric": True} if minus is None else {"symmetric": False, "arrayminus": minus}
    return {
        "type": "data",
        "array": list(plus),
        "color": either(colour),
        "thickness": thick,
        "width": 0 if thick > 2 else 4,
        **both,
    }
