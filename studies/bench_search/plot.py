"""The comparison as one picture: a panel per budget, methods from best to worst."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def figure(summary: Mapping[str, Any], method: str, suite: str, unit: str) -> Figure:
    """Mean scores with standard errors over problems (over seeds, if there is one problem)."""
    rows = max(len(facts["methods"]) for facts in summary.values())
    fig = Figure(figsize=(3.6 * len(summary) + 1.2, 0.28 * rows + 1.4), layout="constrained")
    for axes, (budget, facts) in zip(
        fig.subplots(1, len(summary), squeeze=False)[0], summary.items(), strict=True
    ):
        ranked = sorted(facts["methods"].items(), key=lambda kv: kv[1]["mean"])
        for place, (name, m) in enumerate(ranked):
            over = "error_over_problems" if m["problems"] > 1 else "error_over_seeds"
            colour = "#b5482a" if name == method else "#4a6a8a"
            axes.errorbar(m["mean"], place, xerr=m[over], fmt="o", color=colour, capsize=2, ms=4)
        most = max(m["problems"] for _, m in ranked)
        names = [
            name if m["problems"] == most else f"{name} ({m['problems']} of {most} sets)"
            for name, m in ranked
        ]
        axes.set_yticks(range(len(ranked)), names, fontsize=8)
        axes.set_title(f"{suite}, {budget} {unit}", fontsize=9)
        axes.set_xlabel("mean score (1 = best known)", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    return fig


def write(fig: Figure, path: Path) -> None:
    """Write a PNG that depends on nothing but the figures."""
    fig.savefig(path, dpi=130, metadata={"Software": None})
