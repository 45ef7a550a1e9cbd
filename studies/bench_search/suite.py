"""A suite of recorded problems, with the budgets at which searches on them are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from studies.recorded import Problem, Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A problem and how searches on it are scored; methods are not shown the scale."""

    problem: Problem
    scale: Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """Recorded problems of one kind."""

    name: str
    sets: tuple[str, ...]
    """Names of the problems."""
    load: Callable[[str], Task]
    budgets: tuple[float, ...]
    """At which searches are compared, unless asked otherwise."""
    unit: str
    """What a budget counts: `full runs` (mean ones) or `GPU-hours`."""

    def seconds(self, task: Task, budget: float) -> float:
        """Seconds of a budget."""
        return budget * (3600.0 if self.unit == "GPU-hours" else task.scale.mean_s)
