"""Notes for optuna-dashboard: what became of a trial, and how to read the study, in Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search.budget import format_seconds
from search.report.facts import Facts
from search.report.text import scored
from search.report.trials import STATES, mixture_of, state_of
from search.store import Record, Rung

WIDE = 100
"""Characters of a line of a trial's note: the dashboard makes that page as wide as the longest
attribute, so that longer lines would end out of sight."""
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
"""Signs that Markdown would take for its own."""
BEGINNING = re.compile(r" (?=[-+*#>=_~|:<]|\d{1,9}[.)](?:\s|$))")
"""The space before a word that Markdown would take for the beginning of a list, a heading or the
like, were it the first of a line: also between the backticks of code."""
ABOUT = (
    "**Recipe Search**\n\nEach trial is a fine-tuning recipe, trained and evaluated rung by rung. "
    "The search looks for high accuracy at few hours of the device."
)
READING = """**How to read it**

- Values (accuracy, gpu_hours) appear only for trials that reached the top rung, those with state \
Complete. `gpu_hours` are {unit}.
- What trials reached at lower rungs is in their attributes `early_loss`, `early_accuracy` and \
`tokens`, in their notes, and in two graphs of the study's page: learning curves, and the Pareto \
front over all rungs.
- A trial's note says why it was proposed, promoted and pruned. Infeasible trials, which ran out \
of memory, have the state Pruned and the attribute `infeasible`.
- The report, recipe.json, summary.json and the adapter are artifacts of the study once they are \
written; a large adapter is in RUN_DIR/recipe/adapter only."""


def trial_note(facts: Facts, record: Record, winner: int | None) -> str:
    """A trial's recipe, why it was proposed, its early evaluations and every decision about it.

    Args:
        facts: what was gathered of the run.
        record: one of its trials.
        winner: number of the trial that the final run goes on from, if it is known.

    Returns:
        Markdown without HTML.
    """
    control = ", the control" if record.control else ""
    lines = [
        f"Recipe: {code(record.recipe.short())}",
        f"Mixture: {plain(mixture_of(record))} of the trained tokens",
        f"Why it was proposed: {plain(record.origin)}",
        *course(record),
        *finalist(facts, record, winner),
    ]
    head = f"**Trial {record.number}{control}: {state_of(record)}**"
    return "\n".join([head, "", *_items(map(broken, lines))])


def course(record: Record) -> list[str]:
    """What became of a trial, in order: early evaluations, promotions, its end if it came."""
    lines = []
    why = dict(record.promotions)
    for number, rung in enumerate(record.rungs):
        lines.append(f"Rung {number}: {evaluation(rung, record.rungs[:number])}")
        if number < record.promoted:
            said = plain(after_colon(why[number + 1])) if number + 1 in why else "why was not kept"
            lines.append(f"**Promoted** to rung {number + 1}: {said}")
    if not record.rungs and record.train_s:
        lines.append(f"{format_seconds(record.train_s)} of training, no early evaluation")
    if record.finished:
        end = state_of(record).capitalize()
        lines.append(f"**{end}**: {plain(after_colon(record.reason))}")
    return lines


def evaluation(rung: Rung, before: Sequence[Rung]) -> str:
    """An early evaluation, with the time since the one before."""
    train_s = rung.train_s - (before[-1].train_s if before else 0.0)
    eval_s = rung.eval_s - (before[-1].eval_s if before else 0.0)
    return (
        f"{rung.tokens:,} tokens, loss {rung.loss:.3f}, "
        f"accuracy {rung.accuracy:.3f} ± {rung.stderr:.3f}, "
        f"{format_seconds(train_s)} training + {format_seconds(eval_s)} evaluation"
    )


def finalist(facts: Facts, record: Record, winner: int | None) -> list[str]:
    """What a trial scored on fresh and held-out items; whether the final run goes on from it."""
    lines = []
    for found in facts.summary["finalists"]:
        if found["trial"] != record.number:
            continue
        said = [
            f"{scored(found[items])} on {found[items]['items']} {name} items"
            for items, name in (("fresh", "fresh"), ("heldout", "held-out"))
            if found[items]
        ]
        lines.append(f"Finalist, accuracy: {'; '.join(said) or 'not scored again'}")
    if record.number == winner:
        why = plain(facts.summary["winner_reason"] or "")
        lines.append(f"**The final run goes on from this trial**: {why}")
    return lines


def study_note(facts: Facts, job: Mapping[str, Any], command: str | None) -> str:
    """What the study is, how to read it, and the result once there is one.

    Args:
        facts: what was gathered of the run.
        job: the content of job.json.
        command: what started the job, if that was kept.
    """
    summary = facts.summary
    plan = summary["plan"]
    base = (summary["base_model"] or {}).get("id", summary["model"])
    budget = format_seconds(job["budget_s"])
    lines = [
        f"Study: {code(job['study'])}, seed {job['seed']}, budget {budget}",
        f"Base model: {code(base)} on {plain(summary['device'] or 'a device not yet known')}",
    ]
    if command:
        lines.append(f"Command: {code(command)} (of paths, the last part)")
    if facts.records:
        default = code(facts.records[0].recipe.short())
        lines.append(f"Default recipe (trial 0, the control): {default}")
    if plan:
        lines.append(f"Rungs, in trained tokens: {', '.join(f'{t:,}' for t in plan['rungs'])}")
    if summary["heldout_tasks"]:
        lines.append(f"Held-out tasks: {code(', '.join(summary['heldout_tasks']))}")
    parts = [ABOUT, "\n".join(_items(lines)), READING.format(unit=facts.unit), "**Result**"]
    return "\n\n".join([*parts, *result(facts)])


def result(facts: Facts) -> list[str]:
    """Three lines of a list: final run, what it is beside, cost; or that there is none yet."""
    summary = facts.summary
    final = summary["final"]
    if not final:
        return ["Not yet: it appears here once the final run was scored."]
    others = [
        f"{name} {scored(summary[part])}"
        for part, name in (("base", "base model"), ("default", "default recipe"))
        if summary[part]
    ]
    trials = ", ".join(f"{count} {state}" for state, count in summary["trials"].items())
    spent, budget = format_seconds(facts.spent_s), format_seconds(summary["budget_s"])
    after = f"{final['items']} fresh items after {final['tokens']:,} tokens"
    lines = [
        f"Final run, on from trial {final['trial']}: accuracy {scored(final)} on {after}",
        f"On the same items: {'; '.join(others) or 'nothing else was scored'}",
        f"{spent} of {budget} spent; trials: {trials}",
    ]
    return ["\n".join(_items(lines))]


def after_colon(reason: str) -> str:
    """A decision without the word that it begins with: `pruned: no time left` -> `no time left`."""
    head, colon, rest = reason.partition(": ")
    return rest if colon and head in {*STATES.values(), "promoted"} else reason


def plain(text: str) -> str:
    """A text of the run on one line, with nothing in it that Markdown would act on."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """A text of the run between backticks, as it is but for those in it, which would end it."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def broken(line: str) -> str:
    """A list's line with Markdown's line breaks in it, about every `WIDE` characters.

    None before a word that would begin something else: that stays with the word before it.
    """
    whole = BEGINNING.sub("\N{NO-BREAK SPACE}", line)
    rows = textwrap.wrap(whole, WIDE, break_long_words=False, break_on_hyphens=False)
    return "  \n  ".join(rows).replace("\N{NO-BREAK SPACE}", " ")


def _items(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]
