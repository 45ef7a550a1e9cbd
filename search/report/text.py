"""The last words of a run: what the recipe is worth, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.budget import format_seconds


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
    trials = summary["trials"]
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
        f"watch:  optuna-dashboard sqlite:///{folder / 'study.db'}",
    ]
    return lines


def scored(part: Mapping[str, Any]) -> str:
    """`0.512 ± 0.031`."""
    return f"{part['accuracy']:.3f} ± {part['stderr']:.3f}"
