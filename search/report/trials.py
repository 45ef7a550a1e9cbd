"""The part of the page that lists what was tried."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import TrialState

from search.budget import Span
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
    again = again_s(facts.spans)
    rows = [
        _row(record, again.get(record.number, 0.0), final=record.number == facts.final_trial)
        for record in facts.records
    ]
    return section(
        "trials",
        title,
        paragraph(
            f"Trials: {len(facts.records)} in all, {said}. A trial's cost in {facts.unit} is its "
            "training and its early evaluation. What scoring it again took, on the finalists', "
            "final and held-out items, stands in a column of its own."
        ),
        element(
            "div",
            table(
                "All trials by number; accuracy ± standard error on the search items, seconds "
                "by what they were spent on",
                (
                    *("trial", "latest decision", "recipe, mixture and origin", "rungs"),
                    *("training s", "early evaluation s", "scored again s", facts.unit),
                ),
                rows,
                words=(1, 2, 3),
                marked=[r.number for r in facts.records if r.number == facts.final_trial],
            ),
            class_="trials",
        ),
        wide=True,
    )


def again_s(spans: Sequence[Span]) -> dict[int, float]:
    """Seconds by trial for scoring it again: on finalists', final and held-out items."""
    found: dict[int, float] = {}
    for span in spans:
        if span.trial is not None and span.note.startswith(f"{span.trial} on "):
            found[span.trial] = found.get(span.trial, 0.0) + span.seconds
    return found


def _row(record: Record, again: float, *, final: bool) -> tuple[object, ...]:
    state = "infeasible" if record.infeasible else STATES[record.state]
    return (
        join(record.number, element("span", "final run" if final else state, class_="small")),
        element("div", record.reason or "none yet", class_="why"),
        _recipe(record),
        element("ul", *(element("li", _rung(rung)) for rung in record.rungs))
        if record.rungs
        else "no early evaluation",
        f"{record.train_s:,.1f}",
        f"{record.rungs[-1].eval_s:,.1f}" if record.rungs else "–",
        f"{again:,.1f}" if again else "–",
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
