"""What a search knows, and what it makes of it: forecasts of every run, of new ones, and gains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from search.coordinates import Array, Axes
from search.gain import Front, averaged
from search.surrogate import Curve, CurveModel

DESIGN = 256
"""Points at random whose forecasts, with what was seen, are the ends of the scale of each goal."""
COSTS = (0.3, 0.01, 0.01, 0.01, 0.001, 0.3)
"""What is assumed of costs (see `search.surrogate.START`): near products of the axes' effects."""
OPTIMISM = 1.0
"""Costs this many standard deviations off their forecasts are thought possible."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run as a surrogate sees it."""

    point: Array
    """[axes]"""
    points: tuple[tuple[float, float], ...] = ()
    """(share of a full run, value), by share; lower is better."""
    costs: tuple[tuple[float, float], ...] = ()
    """(share, seconds so far over share), by share, the latter as they are learned: best as
    logarithms, to which what the axes do adds up."""
    over: bool = False
    """Whether it will not go on, because it is done or was given up."""

    @property
    def share(self) -> float:
        """How far it is."""
        return self.points[-1][0] if self.points else 0.0

    @property
    def done(self) -> bool:
        """Whether it is a full run."""
        return self.share >= 1


class Outlook:
    """Forecasts from runs, on a scale from 0 (the best) to 1 (the worst) for each goal."""

    def __init__(
        self,
        axes: Axes,
        runs: Sequence[Run],
        rng: np.random.Generator,
        *,
        timed: bool,
        cost_of: Callable[[Array], Array] | None = None,
        counted: Callable[[Array], Array] | None = None,
    ) -> None:
        """Fit the surrogates.

        Args:
            axes: of the space.
            runs: all so far; at least one has a value.
            rng: for the design.
            timed: whether cost is a goal.
            cost_of: costs [n] of points [n, axes], where they are known without a trial; None:
                they are learned, and equal while no run has one.
            counted: what costs count as goals, which grows with them: `numpy.exp` where their
                logarithms are learned and an hour is an hour; None: as they are learned.
        """
        self.axes, self.runs, self.timed = axes, runs, timed
        self.look = min(share for run in runs for share, _ in run.points)
        """The least share of a full run at which any was looked at."""
        points = np.array([run.point for run in runs]).reshape(len(runs), len(axes))
        self.points = points
        self._values = CurveModel(axes, points, [Curve(points=run.points) for run in runs])
        self._cost_of = cost_of
        self._counted = counted or (lambda costs: costs)
        self._costs: CurveModel | None = None
        if cost_of is None and any(run.costs for run in runs):
            known = [Curve(points=run.costs) for run in runs]
            self._costs = CurveModel(axes, points, known, COSTS)
        mean, spread = self._values.final(points, range(len(runs)))
        cost, _ = self._cost(points, range(len(runs)))
        for k, run in enumerate(runs):
            if run.done:
                cost[k] = run.costs[-1][1] if run.costs else cost[k]
                mean[k], spread[k] = run.points[-1][1], 0.0
        self._values.believe([k for k, run in enumerate(runs) if not run.done], mean)
        design = axes.draw(rng, DESIGN)
        typical = self._values.final(design)[0]
        costs, unsure = self._cost(design)
        seen = [value for run in runs for _, value in run.points]
        self._value_ends = _ends(np.concatenate([mean, typical, seen]))
        likely = np.concatenate([cost, costs - OPTIMISM * unsure, costs + OPTIMISM * unsure])
        self._cost_ends = _ends(self._counted(likely))
        self.mean, self.spread = self._unit(mean, spread)
        """Forecasts of the runs' final values on the scale, [runs]."""
        self.cost = self._unit_cost(cost)
        """The same of their costs."""
        self.raw_cost = cost

    def _cost(self, points: Array, runs: Sequence[int] | None = None) -> tuple[Array, Array]:
        if self._cost_of is not None:
            return self._cost_of(points), np.zeros(len(points))
        if self._costs is None:
            return np.zeros(len(points)), np.zeros(len(points))
        return self._costs.final(points, runs)

    def _unit(self, mean: Array, spread: Array) -> tuple[Array, Array]:
        best, worst = self._value_ends
        return (mean - best) / (worst - best), spread / (worst - best)

    def _unit_cost(self, cost: Array) -> Array:
        if not self.timed:
            return np.zeros(len(cost))
        best, worst = self._cost_ends
        found: Array = (self._counted(cost) - best) / (worst - best)
        return found

    def new_gains(self, points: Array, front: Front) -> tuple[Array, Array]:
        """(expected gains, costs) of new runs at points [n, axes], each [n]."""
        mean, spread = self._unit(*self._values.final(points))
        cost, unsure = self._cost(points)

        def gains(costs: Array) -> Array:
            return front.gains(mean, spread, self._unit_cost(costs))

        return averaged(gains, cost, unsure) if unsure.any() else gains(cost), cost

    def front(self, runs: Sequence[int]) -> Front:
        """The front of runs, those not done at their mean forecasts."""
        return Front((self.mean[k], self.cost[k]) for k in runs)


def _ends(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + 1e-9)
