"""All figures of a report by their file's name; each is drawn once, for the page and as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.report.drawing import Picture, render
from search.report.importance import Importance, importances
from search.report.matter_figures import importance_figure, slices_figure
from search.report.mixture_figure import mixture_figure
from search.report.plots import budget_figure, learning_figure, pareto_figure
from search.report.sample import Sample, choose
from search.report.worth_figure import worth_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from search.report.facts import Facts

NAMES = ("worth", "pareto", "curves", "budget", "importance", "slices", "mixture")
"""Of the files, without `.svg` and `.png`, in the order of the page."""


@dataclass(frozen=True, slots=True)
class Matter:
    """What is told of what mattered."""

    sample: Sample | None
    """None if nothing was evaluated."""
    found: tuple[Importance, ...]
    """Empty if the sample is too small."""


def examine(facts: Facts) -> Matter:
    """Choose the rung and compute the importances."""
    sample = choose(facts.records)
    return Matter(sample, importances(sample) if sample else ())


def draw(facts: Facts, matter: Matter) -> dict[str, Picture]:
    """Every figure that there are data for, by name; `pareto` always."""
    sample, winner = matter.sample, facts.final_trial
    figures: dict[str, Figure | None] = {
        "worth": worth_figure(facts),
        "pareto": pareto_figure(facts),
        "curves": learning_figure(facts),
        "budget": budget_figure(facts),
        "importance": importance_figure(matter.found),
        "slices": slices_figure(sample, winner) if sample else None,
        "mixture": mixture_figure(sample, winner) if sample else None,
    }
    return {name: render(figure, name) for name, figure in figures.items() if figure}
