"""The parts of the page that list what was tried, and on which data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import TrialState

from search.report.facts import Facts
from search.report.markup import Html, element, join, paragraph, section, table
from search.store import Record, Rung

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "not finished",
    TrialState.WAITING: "not started",
}


def trials(facts: Facts) -> Html:
    """Every trial: recipe, origin, rungs, and the latest decision."""
    title = "Every trial"
    if not facts.records:
        return section("trials", title, paragraph("No trial was proposed yet."))
    counts = facts.summary["trials"]
    resting = len(facts.records) - sum(counts.values())
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    if resting:
        said += f", {resting} not finished"
    rows = [_row(record, final=record.number == facts.final_trial) for record in facts.records]
    return section(
        "trials",
        title,
        paragraph(f"Trials: {len(facts.records)} in all, {said}."),
        element(
            "div",
            table(
                f"All trials by number; cost in {facts.unit}, accuracy ± standard error on the "
                "search items",
                ("trial", "latest decision", "recipe, mixture and origin", "rungs", facts.unit),
                rows,
                words=(1, 2, 3),
                marked=[r.number for r in facts.records if r.number == facts.final_trial],
            ),
            class_="trials",
        ),
        wide=True,
    )


def _row(record: Record, *, final: bool) -> tuple[object, ...]:
    state = "infeasible" if record.infeasible else STATES[record.state]
    return (
        join(record.number, element("span", "final run" if final else state, class_="small")),
        element("div", record.reason or "none yet", class_="why"),
        _recipe(record),
        element("ul", *(element("li", _rung(rung)) for rung in record.rungs))
        if record.rungs
        else "no early evaluation",
        f"{record.rungs[-1].gpu_hours:.4f}" if record.rungs else "–",
    )


def _recipe(record: Record) -> Html:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in record.recipe.mixture.items())
    short = element("span", record.recipe.short(), class_="recipe")
    origin = f"origin: {record.origin or 'not kept'}"
    return join(
        short, *(element("span", text, class_="small") for text in (f"mixture: {shares}", origin))
    )


def _rung(rung: Rung) -> str:
    return (
        f"{rung.rung}: {rung.tokens:,} tokens, loss {rung.loss:.3f}, "
        f"{rung.accuracy:.3f} ± {rung.stderr:.3f}"
    )


def data(facts: Facts) -> Html:
    """Where the rows came from, and the hashes of what was used."""
    hashes: Mapping[str, Any] = facts.summary["data"]
    if not facts.data_lines and not hashes:
        return section("data", "Data", paragraph("The data were not prepared yet."))
    listed = element("ul", *(element("li", line) for line in facts.data_lines))
    rows = [(name, element("code", digest)) for name, digest in hashes.items()]
    files = table("Files in data/ of the run folder", ("file", "sha256"), rows, words=(1,))
    return section("data", "Data", listed, files)
