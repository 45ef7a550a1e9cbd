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
    """Every trial: its recipe, and why it was proposed, promoted, pruned or chosen."""
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
        _row(
            record,
            again.get(record.number, 0.0),
            (facts.summary["winner_reason"] or "") if record.number == facts.final_trial else None,
        )
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
                    *("trial", "recipe and mixture", "what became of it"),
                    *("training s", "early evaluation s", "scored again s", facts.unit),
                ),
                rows,
                words=(1, 2),
                marked=[r.number for r in facts.records if r.number == facts.final_trial],
                stacked=True,
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


def _row(record: Record, again: float, chosen: str | None) -> tuple[object, ...]:
    state = state_of(record) if chosen is None else "final run"
    return (
        join(record.number, element("span", state, class_="small")),
        _recipe(record),
        element("ol", *(element("li", step) for step in story(record, chosen))),
        f"{record.train_s:,.1f}",
        f"{record.rungs[-1].eval_s:,.1f}" if record.rungs else "–",
        f"{again:,.1f}" if again else "–",
        f"{record.rungs[-1].gpu_hours:.4f}" if record.rungs else "–",
    )


def state_of(record: Record) -> str:
    """A trial's state in a word or two."""
    return "infeasible" if record.infeasible else STATES[record.state]


def mixture_of(record: Record) -> str:
    """`chain_sum 46%, aiw 54%`."""
    return ", ".join(f"{name} {share:.0%}" for name, share in record.recipe.mixture.items())


def story(record: Record, chosen: str | None = None) -> list[Html]:
    """What happened to a trial, in order: proposed, evaluated, promoted, ended.

    A promotion whose reason was not kept is told by what followed it.

    Args:
        record: the trial.
        chosen: why it was chosen for the final run, if it was.
    """
    steps = [join(f"proposed: {record.origin or 'reason not kept'}")]
    reasons = dict(record.promotions)
    for rung in record.rungs:
        steps.append(element("span", _rung(rung), class_="rung"))
        above = rung.rung + 1
        if above in reasons:
            why = reasons[above].removeprefix("promoted: ")
            steps.append(join(f"promoted to rung {above}: {why}"))
        elif len(record.rungs) > above:
            steps.append(join(f"promoted to rung {above}"))
    told = record.reason in reasons.values() or record.reason == f"proposed: {record.origin}"
    if not told and record.reason:
        steps.append(element("strong", record.reason))
    if not record.finished:
        steps.append(join("not finished"))
    if chosen is not None:
        steps.append(element("strong", f"chosen for the final run: {chosen or 'reason not kept'}"))
    return steps


def _recipe(record: Record) -> Html:
    short = element("span", record.recipe.short(), class_="recipe")
    return join(short, element("span", f"mixture: {mixture_of(record)}", class_="small"))


def _rung(rung: Rung) -> str:
    return (
        f"rung {rung.rung}: {rung.tokens:,} tokens, loss {rung.loss:.3f}, "
        f"accuracy {rung.accuracy:.3f} ± {rung.stderr:.3f}"
    )
