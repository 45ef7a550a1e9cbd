"""Our own search on a recorded problem: proposals from unfinished curves, MO-ASHA's rungs.

Runs are promoted as MO-ASHA does, but to no rung that takes longer than a third of all that was
spent so far: what is dear waits until it is not. A new one is where a full run is expected to add
the most hypervolume per second, by a surrogate that learns from all curves so far
(`search.surrogate`), so that cheap recipes are tried before dear ones that promise as much; and
sometimes one at random (`search.acquisition`).

The rows of a table teach nothing of each other, and there are only so many. Where first looks at
all are foreseen to take half of the budget at most, all are begun first (Egele et al. 2023,
arXiv 2307.15422); then the best go on, whatever their share, until that half is spent. Where there
is no time for that, nothing waits for being dear.
"""

from __future__ import annotations

import math

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.acquisition import best_new
from search.coordinates import Array, Axes
from search.evidence import Outlook, Run
from studies import recorded
from studies.bench_search.halving import RUNGS, SCREENING, draw, following, promotable
from studies.recorded import Config, Meter, Parameter, Problem

STARTUP = 9
"""Runs at random before the surrogate is asked."""
PATIENCE = 1 / 3
"""Of the seconds spent so far the share that one run may take to its next rung."""


def distribution(parameter: Parameter) -> BaseDistribution:
    """A parameter as Optuna knows it."""
    if parameter.choices:
        return CategoricalDistribution(parameter.choices)
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def axes_of(problem: Problem) -> Axes:
    """A problem's axes for the surrogate."""
    return Axes({p.name: distribution(p) for p in problem.parameters}, problem.natural)


def search(problem: Problem, meter: Meter, seed: int) -> None:
    """Search until the meter's budget is spent, or a table holds no further run."""
    rng = np.random.default_rng(seed)
    axes = axes_of(problem)
    steps = sorted({problem.step_at(share) for share in RUNGS})
    while True:
        looking = problem.table and looks_first(meter, steps[0])
        most_s = math.inf if problem.table and meter.untried() else PATIENCE * meter.spent_s
        run = None if looking else promotable(problem, meter, steps, most_s=most_s)
        run = run or _begin(problem, meter, axes, rng) or promotable(problem, meter, steps, eta=1)
        if run is None:
            return
        run.train(following(steps, run))


def looks_first(meter: Meter, step: int) -> bool:
    """Whether a table's rows are begun before any is promoted by its rung.

    So in the first half of the budget, if all can be begun in it, as foreseen.

    Args:
        meter: runs so far.
        step: of a first look.
    """
    half_s = SCREENING * meter.budget_s
    seen = [run.points[step].seconds for run in meter.runs if step in run.points]
    if len(seen) < STARTUP:
        return True
    rows = len(seen) + len(meter.untried())
    return meter.spent_s < half_s and sum(seen) / len(seen) * rows <= half_s


def _begin(
    problem: Problem, meter: Meter, axes: Axes, rng: np.random.Generator
) -> recorded.Run | None:
    """The next new run; None if a table holds no further one."""
    if problem.default_first and not meter.runs:
        return meter.start(problem.default())
    if len(meter.runs) < STARTUP:
        return draw(problem, meter, rng)
    config = propose(problem, meter, axes, rng)
    return meter.start(config) if config else None


def propose(
    problem: Problem,
    meter: Meter,
    axes: Axes,
    rng: np.random.Generator,
    full: int | None = None,
) -> Config | None:
    """The most promising config; None if a table holds no further one.

    Args:
        problem: what is searched.
        meter: runs so far.
        axes: of the problem's parameters.
        rng: for candidates.
        full: steps of the run that is to be good; None: the problem's.
    """
    allowed: Array | None = None
    if problem.table:
        allowed = axes.encode([{axes.names[0]: row} for row in meter.untried()])
    counted = None if problem.log_time else np.exp
    runs = runs_of(meter, axes, full)
    outlook = Outlook(axes, runs, rng, timed=problem.timed, counted=counted)

    def weight(_: Array, costs: Array) -> Array:
        per_second: Array = np.exp(-costs) if problem.timed else np.ones(len(costs))
        return per_second

    front = outlook.front(range(len(outlook.runs)))
    found = best_new(outlook, front, rng, weight, allowed, outlook.points)
    return axes.decode(found.point) if found else None


def runs_of(meter: Meter, axes: Axes, full: int | None = None) -> list[Run]:
    """A meter's runs as the surrogate sees them, up to a full run's steps."""
    problem = meter.problem
    full = full or problem.full
    points = axes.encode([run.config for run in meter.runs])
    return [
        Run(
            point=point,
            points=tuple(
                (step / full, problem.sign(p))
                for step, p in sorted(run.points.items())
                if step <= full
            ),
            costs=tuple(
                (step / full, math.log(p.seconds * full / step))
                for step, p in sorted(run.points.items())
                if step <= full
            ),
        )
        for run, point in zip(meter.runs, points, strict=True)
    ]
