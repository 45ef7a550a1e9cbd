"""The product's own search method, driven on a recorded problem."""

from __future__ import annotations

import math

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.coordinates import Array, Axes
from search.evidence import Outlook, Run
from search.policy import Ladder, choose
from studies.recorded import Meter, Parameter, Problem

LOOKS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of a full run at which it is looked at."""
STARTUP = 6
"""Runs at random before the policy is asked."""


def distribution(parameter: Parameter) -> BaseDistribution:
    """A parameter as Optuna knows it."""
    if parameter.choices:
        return CategoricalDistribution(parameter.choices)
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def search(problem: Problem, meter: Meter, seed: int) -> None:
    """Search until the meter's budget is spent, or nothing useful fits."""
    _search(problem, meter, np.random.default_rng(seed))


def _search(problem: Problem, meter: Meter, rng: np.random.Generator) -> None:
    axes = Axes({p.name: distribution(p) for p in problem.parameters})
    steps = sorted({problem.step_at(share) for share in LOOKS})
    ladder = Ladder(shares=tuple(step / problem.full for step in steps))
    startup = axes.draw(rng, STARTUP)
    if problem.table:
        startup = axes.encode([{axes.names[0]: row} for row in rng.permutation(meter.untried())])
    for k in range(STARTUP):
        config = problem.default() if problem.default_first and not k else axes.decode(startup[k])
        meter.start(config).train(steps[0])
    while True:
        outlook = Outlook(axes, _runs(meter, axes), rng, timed=problem.timed)
        allowed: Array | None = None
        if problem.table:
            allowed = axes.encode([{axes.names[0]: row} for row in meter.untried()])
        choice = choose(outlook, ladder, meter.left_s, rng, lambda c: _seconds(problem, c), allowed)
        if choice is None:
            return
        if choice.run is None:
            assert choice.point is not None  # noqa: S101  # of a new run it is there
            run = meter.start(axes.decode(choice.point))
        else:
            run = meter.runs[choice.run]
        run.train(round(choice.share * problem.full))


def _seconds(problem: Problem, cost: float) -> float:
    return math.exp(cost) if problem.log_time else cost


def _runs(meter: Meter, axes: Axes) -> list[Run]:
    problem = meter.problem
    points = axes.encode([run.config for run in meter.runs])
    return [
        Run(
            point=point,
            points=tuple(
                (step / problem.full, problem.sign(p)) for step, p in sorted(run.points.items())
            ),
            costs=tuple(
                (step / problem.full, problem.time(p.seconds * problem.full / step))
                for step, p in sorted(run.points.items())
            ),
        )
        for run, point in zip(meter.runs, points, strict=True)
    ]
