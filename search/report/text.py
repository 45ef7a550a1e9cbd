"""The last words of a run: what the recipe is worth, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.budget import format_seconds


def closing_lines(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """Result, comparison, cost and where things lie."""
    final, default, base = summary["final"], summary["default"], summary["base"]
    spent = sum(summary["spent_s"].values())
    lines = [
        f"accuracy on {final['items']} fresh items: {scored(final)} after {final['tokens']:,} tokens",
        f"base model: {scored(base)}",
    ]
    if default:
        lines.append(
            f"default recipe: {scored(default)} after {default['tokens']:,} tokens "
            "(a trial's length, not the final run's)"
        )
    for task, value in final["heldout"].items():
        lines.append(f"held out, {task}: {value:.3f} (base {base['heldout'].get(task, 0.0):.3f})")
    trials = summary["trials"]
    lines += [
        f"{trials['complete']} trials complete, {trials['pruned']} pruned, "
        f"{trials['infeasible']} infeasible, {trials['failed']} failed",
        f"{format_seconds(spent)} of {format_seconds(summary['budget_s'])} spent, "
        f"overshoot {summary['overshoot_s']:.0f} s",
        f"recipe: {folder / 'recipe'}",
        f"report: {folder / 'report' / 'index.html'}",
        f"watch:  optuna-dashboard sqlite:///{folder / 'study.db'}",
    ]
    return lines


def scored(part: Mapping[str, Any]) -> str:
    """`0.512 ± 0.031`."""
    return f"{part['accuracy']:.3f} ± {part['stderr']:.3f}"
