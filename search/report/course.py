"""The parts of the page that say how the search went: front, curves, budget, rungs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.budget import Kind, format_seconds
from search.planner import Plan
from search.report import embed, interactive
from search.report.drawing import Picture, figure
from search.report.facts import Facts
from search.report.markup import Html, element, join, paragraph, section, table
from search.report.text import FEW, evaluation_words

if TYPE_CHECKING:
    import plotly.graph_objects as go

MEANING = {
    Kind.SETUP: "reading study and data",
    Kind.LOAD: "starting the training process, loading the base model",
    Kind.SEARCH_TRAIN: "training trials",
    Kind.SEARCH_EVAL: "early evaluation of base and trials, finalists on fresh items",
    Kind.FINAL_TRAIN: "training the final run",
    Kind.FINAL_EVAL: "scoring on fresh and held-out items",
    Kind.EXPORT: "writing recipe and report",
    Kind.IDLE: "anything else",
}


def pareto(facts: Facts, pictures: Mapping[str, Picture]) -> Html:
    """The Pareto front as a figure and as a table."""
    front = facts.summary["pareto"]
    title = "Pareto front"
    if not front:
        return section("pareto", title, paragraph("No trial was evaluated yet: there is no front."))
    label = (
        f"Accuracy versus {facts.unit} of all evaluations; the Pareto front of {len(front)} points "
        f"goes from {front[0]['accuracy']:.3f} to {front[-1]['accuracy']:.3f}"
    )
    rows = [
        (
            f"trial {point['trial']}",
            f"{point['tokens']:,}",
            f"{point['accuracy']:.3f} ± {point['stderr']:.3f}",
            f"{point['gpu_hours']:.4f}",
        )
        for point in front
    ]
    return section(
        "pareto",
        title,
        paragraph(
            "Accuracy versus cost over all rungs of all trials; nothing else is both cheaper and "
            f"as accurate as a point of the front. A trial's cost is its training and evaluation "
            f"in {facts.unit}."
        ),
        figure(
            "pareto",
            pictures["pareto"],
            label,
            "Trials are scored on the search items, default (once it reached the top rung) and "
            "final run on fresh ones; bars are standard errors. "
            + forecast(facts.summary["forecast_final"], facts.summary["final"]),
        ),
        embedded("pareto", interactive.pareto(facts)),
        table(
            "Points of the Pareto front, cheapest first; accuracy ± standard error on search items",
            ("trial", "trained tokens", "accuracy", facts.unit),
            rows,
        ),
    )


def embedded(name: str, figure: go.Figure | None) -> Html:
    """The data of a figure that answers to a pointer."""
    return Html("") if figure is None else embed.data(name, figure)


def forecast(foreseen: Mapping[str, Any] | None, final: Mapping[str, Any] | None) -> str:
    """What was foreseen for the final run, and whether it came true."""
    if not foreseen:
        return "The final run was not forecast yet."
    low, high = foreseen["low"], foreseen["high"]
    said = (
        f"Foreseen for the final run before it began: {foreseen['accuracy']:.3f} "
        f"({low:.3f} to {high:.3f})."
    )
    if not final:
        return said
    where = "inside" if low <= final["accuracy"] <= high else "outside"
    return f"{said} It reached {final['accuracy']:.3f}, {where} that range."


def curves(facts: Facts, pictures: Mapping[str, Picture]) -> Html:
    """Loss at every rung, trial by trial."""
    title = "Learning curves"
    if "curves" not in pictures:
        return section("curves", title, paragraph("No trial was evaluated yet: there is no curve."))
    count = sum(bool(record.rungs) for record in facts.records)
    label = f"Loss at every rung, one line for each of {count} trials"
    return section(
        "curves",
        title,
        figure(
            "curves",
            pictures["curves"],
            label,
            "Loss on the answers to the search items, the same items for every trial: the signal "
            "by which trials are pruned or promoted. Lower is better; pruned trials are lighter.",
        ),
        embedded("curves", interactive.learning(facts.records, facts.final_trial)),
    )


def budget(facts: Facts, pictures: Mapping[str, Picture]) -> Html:
    """Where the time went, by kind of the ledger."""
    title = "Where the budget went"
    whole = facts.summary["budget_s"]
    spent = facts.summary["spent_s"]
    parts: list[Html] = [paragraph(plan(facts))]
    if "budget" not in pictures:
        parts.append(paragraph("The ledger is empty: no time was metered yet."))
        return section("budget", title, *parts)
    label = "Timeline of the job, one row for each kind of the ledger"
    rows: list[tuple[object, ...]] = [
        (
            join(kind, element("span", MEANING[kind], class_="small")),
            f"{spent[kind]:,.1f}",
            format_seconds(spent[kind]),
            f"{spent[kind] / whole:.1%}",
        )
        for kind in Kind
    ]
    left = max(0.0, whole - facts.spent_s)
    rows.append(("not spent", f"{left:,.1f}", format_seconds(left), f"{left / whole:.1%}"))
    over = facts.summary["overshoot_s"]
    parts += [
        figure(
            "budget",
            pictures["budget"],
            label,
            "The ledger over the job's own clock, which counts the time it was alive.",
        ),
        table(
            "Seconds by kind of the ledger, and their share of the budget",
            ("kind", "seconds", "time", "of the budget"),
            rows,
            foot=(
                "spent",
                f"{facts.spent_s:,.1f}",
                format_seconds(facts.spent_s),
                f"{facts.spent_s / whole:.1%}",
            ),
        ),
        *(paragraph(f"{said[0].upper()}{said[1:]}.") for said in [evaluation_words(spent)] if said),
        paragraph(
            f"The job went {over:,.1f} s over its budget."
            if over
            else f"The job {'stayed' if facts.exported else 'is so far'} within its budget."
        ),
    ]
    return section("budget", title, *parts)


def plan(facts: Facts) -> str:
    """How the budget was split, in a sentence or two."""
    whole = format_seconds(facts.summary["budget_s"])
    split = facts.summary["plan"]
    if not split:
        return f"The budget of {whole} was not split yet: the base model was not loaded and timed."
    reserve = Plan.from_dict(split).reserve_s
    tokens = ", ".join(f"{tokens:,}" for tokens in split["rungs"])
    return (
        f"Of the budget of {whole}, a reserve of {format_seconds(reserve)} was kept for scoring "
        "the finalists again, the final run, its evaluation, the export and a margin "
        f"({split['reason']}). Trials start {split['bracket']} at a time; their rungs are at "
        f"{tokens} tokens."
    )


def ranks(facts: Facts) -> Html:
    """How well each rung foretold the order at the top rung."""
    title = "How well early evaluation ranks"
    found = facts.summary["rank_correlation"]
    if not found:
        return section("ranks", title, paragraph("No rungs yet, so there is no order to compare."))
    tokens = (facts.summary["plan"] or {}).get("rungs", [])
    rows = [
        (
            f"rung {rung}",
            f"{tokens[int(rung)]:,}" if int(rung) < len(tokens) else "",
            _rho(entry["spearman"]),
            _rho(entry["accuracy_spearman"]),
            entry["n"],
            element("div", verdict(entry["spearman"], entry["n"]), class_="verdict"),
        )
        for rung, entry in found.items()
    ]
    return section(
        "ranks",
        title,
        paragraph(
            "Spearman's rank correlation of a rung with the top rung, over the trials that reached "
            "the top: by loss, which prunes, and by accuracy. Those pruned earlier cannot be "
            "counted, so it says how well a rung orders the good ones, not how well it finds the "
            "bad ones. It was computed again whenever a trial completed."
        ),
        table(
            "Rank correlation of each rung with the top rung",
            ("rung", "tokens", "by loss", "by accuracy", "n", "by loss, in words"),
            rows,
            words=(5,),
        ),
    )


def _rho(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def verdict(rho: float | None, n: int) -> str:
    """A rank correlation over `n` trials in words."""
    if rho is None and n < 3:
        return f"not known: {n} of at least 3 trials reached the top rung"
    few = f"; with only {n} trials this is uncertain" if n < FEW else ""
    if rho is None:
        return f"not known: all trials had the same loss{few}"
    if rho <= 0:
        return f"this rung did not foretell the order at the top at all{few}"
    if rho < 0.5:
        return f"this rung foretold little of the order at the top{few}"
    return f"this rung foretold {'most' if rho >= 0.8 else 'part'} of the order at the top{few}"
