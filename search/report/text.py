"""The last words of a run: what the recipe is worth, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.budget import format_seconds

FEW = 10
"""Below this many trials, a rank correlation says little."""
WEAK = 0.3
"""A rank correlation below this is next to none."""
NO_HELDOUT = (
    "no held-out task: nothing will show what the recipe does on tasks that the search did not see"
)


NO_HELDOUT_SHOWN = (
    "no held-out task: nothing shows what the recipe does on tasks that the search did not see"
)


def rank_words(found: Mapping[str, Mapping[str, Any]]) -> str | None:
    """How well each rung ranks the trials that reached the top, in one line; None below three."""
    known = {rung: entry for rung, entry in found.items() if entry["n"] >= 3}
    if not known:
        return None
    n = next(iter(known.values()))["n"]
    said = [
        f"rung {rung} {rho(entry['spearman'])} by loss and "
        f"{rho(entry['accuracy_spearman'])} by accuracy"
        for rung, entry in known.items()
    ]
    few = " (few trials: weak evidence)" if n < FEW else ""
    return (
        f"rank correlation with the top rung over the {n} trials that reached it{few}: "
        f"{'; '.join(said)}"
    )


def rho(value: float | None) -> str:
    """A rank correlation, or that there is none."""
    return "unknown" if value is None else f"{value:+.2f}"


def heldout_words(found: Mapping[str, Any]) -> str:
    """Whether search scores foretold held-out scores, in a sentence; a warning where they do not.

    Args:
        found: as `search.summary.heldout_correlation` gives it.
    """
    n, value = found["n"], found["spearman"]
    if value is None:
        loss = found["loss_spearman"]
        why = "" if n < 3 else ", which all have the same accuracy on one side"
        why += "" if loss is None else f"; by loss, Spearman is {loss:+.2f}"
        trials = "1 trial" if n == 1 else f"{n} trials"
        return f"whether search scores foretell held-out scores cannot be told from {trials}{why}"
    said = f"Spearman {value:+.2f} by accuracy, {rho(found['loss_spearman'])} by loss"
    few = f"; over {n} trials this is weak evidence either way" if n < FEW else ""
    if value <= 0:
        return (
            "warning: the trials that scored higher on the search tasks did not score higher on "
            f"the held-out tasks ({said}, n = {n}{few}): the choice may not carry over to tasks "
            "that the search did not see"
        )
    if found["loss_spearman"] is not None and found["loss_spearman"] <= 0:
        return (
            f"warning: search and held-out scores of {n} trials agree by accuracy but not by loss "
            f"({said}{few}): do not count on the choice beyond the searched tasks"
        )
    agree = "agree" if value >= WEAK else "hardly agree"
    return f"search scores and held-out scores of {n} trials {agree}: {said}{few}"


def well_formed(seen: Mapping[str, Any]) -> str:
    """What a smoke evaluation of a task found, as `asdict` of a `Smoke` tells it."""
    why = f" (malformed: {seen['why']})" if seen["malformed"] and seen["why"] else ""
    return f"{seen['items'] - seen['malformed']} of {seen['items']} answers well-formed{why}"


def evaluation_words(spent: Mapping[str, float]) -> str | None:
    """What part of the search was evaluation, in a line; None before any search."""
    train, evaluation = spent["search_train"], spent["search_eval"]
    if not train:
        return None
    return (
        f"evaluation took {evaluation / (train + evaluation):.0%} of the search: "
        f"{format_seconds(evaluation)} beside {format_seconds(train)} of training"
    )


def closing_lines(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """Result, comparison, cost and where things lie; what was not scored is left out or said."""
    final, default, base = summary["final"], summary["default"], summary["base"]
    spent = sum(summary["spent_s"].values())
    lines = []
    if final:
        lines.append(
            f"accuracy on {final['items']} fresh items: {scored(final)} "
            f"after {final['tokens']:,} tokens"
        )
    else:
        lines.append("the final run was not scored")
    if base:
        lines.append(f"base model: {scored(base)}")
    if default:
        lines.append(
            f"default recipe: {scored(default)} after {default['tokens']:,} tokens "
            "(a trial's length, not the final run's)"
        )
    known = (base or {}).get("heldout") or {}
    for task, value in ((final or {}).get("heldout") or {}).items():
        beside = f" (base {known[task]:.3f})" if task in known else ""
        lines.append(f"held out, {task}: {value:.3f}{beside}")
    if summary["heldout_tasks"] == []:
        lines.append(NO_HELDOUT_SHOWN)
    elif summary["finalists"]:
        lines.append(heldout_words(summary["heldout_correlation"]))
    trials = summary["trials"]
    told = [rank_words(summary["rank_correlation"]), evaluation_words(summary["spent_s"])]
    lines += [line for line in told if line]
    lines += [
        (
            f"{trials['complete']} trials complete, {trials['pruned']} pruned, "
            f"{trials['infeasible']} infeasible, {trials['failed']} failed"
        ),
        (
            f"{format_seconds(spent)} of {format_seconds(summary['budget_s'])} spent, "
            f"overshoot {summary['overshoot_s']:.0f} s"
        ),
        f"recipe: {folder / 'recipe'}",
        f"report: {folder / 'report' / 'index.html'}",
        (
            f"watch:  optuna-dashboard sqlite:///{folder / 'study.db'} "
            f"--artifact-dir {folder / 'artifacts'}"
        ),
    ]
    return lines


def scored(part: Mapping[str, Any]) -> str:
    """`0.512 ± 0.031`."""
    return f"{part['accuracy']:.3f} ± {part['stderr']:.3f}"
