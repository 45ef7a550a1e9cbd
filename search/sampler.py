"""An Optuna sampler that learns from unfinished runs: proposals from learning curves.

It is a sampler like Optuna's own and passes its conformance tests. What it adds: a trial may carry
a curve of its first goal (values at shares of a full run), and pruned and running trials with one
are learned from, each value at the fidelity at which it was seen. See `search.surrogate`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from search.acquisition import best_new
from search.coordinates import Array, Axes
from search.evidence import Outlook, Run

STARTUP_TRIALS = 10
"""Trials with a value before the surrogate is asked."""
BEGINNINGS = 1024
"""Points at random, of which the prior chooses one."""
CURVE = "curve_of_goal"
"""User attribute of a trial: its curve, a list of [share of a full run, value]."""
COST = "cost_of_goal"
"""Likewise: the second goal's value, where it is known before the trial ends."""
AT_RANDOM = "curve_sampler:at_random"
"""System attribute of a trial that was drawn at random, since no proposal promised enough."""

Prior = Callable[[Mapping[str, Any]], float]
"""(parameters) -> the logarithm of what experts hold of them, at most 0."""
CostOf = Callable[[Mapping[str, Any]], float]
"""(parameters) -> what a full run of them costs, above 0, where that is known without a run."""
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


class CurveSampler(BaseSampler):
    """Expected hypervolume gain of a full run, forecast from all learning curves so far.

    One goal: expected improvement. Two: expected hypervolume gain. More: expected improvement of a
    weighted Chebyshev sum with weights drawn anew for each proposal (ParEGO, Knowles 2006). Trials
    still running count with their mean forecasts, so that a batch of proposals spreads out;
    infeasible ones as the worst that was seen.

    Where no proposal promises much, most trials are at random (see `search.acquisition`); such a
    trial has the system attribute `AT_RANDOM`.

    Parameters that not every trial has, and the first `startup` trials, are drawn at random.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        startup: int = STARTUP_TRIALS,
        prior: Prior | None = None,
        cost_of: CostOf | None = None,
        mixture: Mapping[str, float] | None = None,
    ) -> None:
        """Set up.

        Args:
            seed: of all draws; None: a different one each time.
            startup: trials with a value before the surrogate is asked.
            prior: experts' beliefs; they count less the more trials have a value.
            cost_of: gains count per unit of it; of two goals the second is it, on a log scale, and
                nothing is learned of it from trials.
            mixture: of parameters that are a mixture's coordinates, the natural share at 0 (see
                `search.coordinates`).

        Raises:
            ValueError: `startup` is below 1.
        """
        if startup < 1:
            raise ValueError(f"startup must be at least 1, got {startup}")
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)
        self._startup = startup
        self._prior = prior
        self._cost_of = cost_of
        self._mixture = mixture
        self._space = IntersectionSearchSpace()

    def reseed_rng(self) -> None:
        """Draw differently from now on: Optuna calls it in each of several workers."""
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002  # Optuna's signature
    ) -> dict[str, BaseDistribution]:
        """What all trials have in common, without parameters of a single value."""
        space = self._space.calculate(study)
        return {name: d for name, d in space.items() if not d.single()}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """At random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Nothing but what a random sampler does."""
        self._random.before_trial(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The most promising point; one at random while too few trials have a value."""
        if not search_space:
            return {}
        with _threads().limit(limits=1, user_api="blas"):
            return self._found(study, trial, search_space)

    def _found(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        known = [
            t
            for t in study._get_trials(deepcopy=False, states=ENDED, use_cache=True)
            if t.number != trial.number
            and search_space.keys() <= t.params.keys()
            and all(d._contains(d.to_internal_repr(t.params[n])) for n, d in search_space.items())
        ]
        axes = Axes(self._space.calculate(study) | search_space, self._mixture)
        runs = _runs(axes, known, study.directions, self._rng)
        ended = sum(bool(run.points) for run in runs)
        if ended < self._startup:
            return _only(search_space, axes.decode(self._begin(axes)))
        timed = len(study.directions) == 2
        known_cost = self._log_costs(axes)
        if known_cost is not None:  # what trials were told is not on its scale
            runs = [replace(run, costs=()) for run in runs]
        outlook = Outlook(axes, runs, self._rng, timed=timed, cost_of=known_cost)

        def weight(points: Array, costs: Array) -> Array:
            logs = np.zeros(len(points)) if known_cost is None else -costs
            if self._prior is not None:
                logs = logs + self._believed(axes, points) * self._startup / ended
            weights: Array = np.exp(logs)
            return weights

        front = outlook.front([k for k, run in enumerate(runs) if run.done or not run.over])
        found = best_new(outlook, front, self._rng, weight, tried=outlook.points)
        assert found is not None  # noqa: S101  # no point was excluded
        if found.at_random:
            study._storage.set_trial_system_attr(trial._trial_id, AT_RANDOM, True)
        return _only(search_space, axes.decode(found.point))

    def _log_costs(self, axes: Axes) -> Callable[[Array], Array] | None:
        """Logarithms of what full runs at points [n, axes] cost, [n], where they are known."""
        cost_of = self._cost_of
        if cost_of is None:
            return None
        return lambda points: np.array(
            [math.log(cost_of(params)) for params in axes.decode_all(points)]
        )

    def _believed(self, axes: Axes, points: Array) -> Array:
        assert self._prior is not None  # noqa: S101  # the callers looked
        return np.array([self._prior(params) for params in axes.decode_all(points)])

    def _begin(self, axes: Axes) -> Array:
        """A point [axes] to begin with: from the prior, if there is one."""
        points = axes.draw(self._rng, BEGINNINGS if self._prior else 1)
        if self._prior is None:
            first: Array = points[0]
            return first
        chances = np.exp(self._believed(axes, points))
        chosen: Array = points[self._rng.choice(len(points), p=chances / chances.sum())]
        return chosen


@functools.cache
def _threads() -> ThreadpoolController:
    """Of NumPy and SciPy: their threads only wait for each other on matrices as small as these."""
    return ThreadpoolController()


def _only(names: Iterable[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Of the parameters those that are asked for: not what has a single value."""
    return {name: params[name] for name in names}


def _runs(
    axes: Axes,
    trials: Sequence[FrozenTrial],
    directions: Sequence[StudyDirection],
    rng: np.random.Generator,
) -> list[Run]:
    """Trials as runs of one value, lower better, and a cost."""
    signs = np.array([1.0 if d is StudyDirection.MINIMIZE else -1.0 for d in directions])
    results = {
        t.number: signs * np.array(t.values)
        for t in trials
        if t.state is TrialState.COMPLETE and t.values is not None
    }
    finite = {
        number: np.nan_to_num(v, posinf=1e300, neginf=-1e300) for number, v in results.items()
    }
    merged = _merge(finite, rng) if len(directions) > 2 else {n: v[0] for n, v in finite.items()}
    curves = {t.number: _curve(t, signs[0]) for t in trials} if len(directions) <= 2 else {}
    values = [*merged.values(), *(value for curve in curves.values() for _, value in curve)]
    worst = max(values, default=None)
    points = axes.encode([t.params for t in trials])
    runs = []
    for t, point in zip(trials, points, strict=True):
        seen = dict(curves.get(t.number, ()))
        infeasible = any(value > 0 for value in t.constraints.values())
        if infeasible:
            seen = {} if worst is None else {1.0: worst}
        elif t.number in merged:
            seen[1.0] = float(merged[t.number])
        costs: tuple[tuple[float, float], ...] = ()
        if len(directions) == 2:
            known = finite[t.number][1] if t.number in finite else t.user_attrs.get(COST)
            sign = float(signs[1]) if t.number not in finite else 1.0
            costs = () if known is None else ((1.0, sign * float(known)),)
        over = t.state is not TrialState.RUNNING
        runs.append(Run(point=point, points=tuple(sorted(seen.items())), costs=costs, over=over))
    return runs


def _curve(trial: FrozenTrial, sign: float) -> list[tuple[float, float]]:
    pairs = trial.user_attrs.get(CURVE, ())
    return [
        (float(share), sign * float(value))
        for share, value in pairs
        if 0 < share <= 1 and math.isfinite(value)
    ]


def _merge(results: dict[int, Array], rng: np.random.Generator) -> dict[int, float]:
    """One value of many goals: an augmented Chebyshev sum with weights at random."""
    if not results:
        return {}
    table = np.array(list(results.values()))
    low, high = table.min(axis=0), table.max(axis=0)
    unit = (table - low) / np.where(high > low, high - low, 1.0)
    weights = rng.dirichlet(np.ones(table.shape[1]))
    merged = np.max(unit * weights, axis=1) + 0.05 * unit @ weights
    return {number: float(value) for number, value in zip(results, merged, strict=True)}
