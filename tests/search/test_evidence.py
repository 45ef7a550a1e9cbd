"""What a search makes of its runs: known results stay known, and dominated runs promise nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from search.coordinates import Axes
from search.evidence import Outlook, Run
from search.gain import Front


def axes() -> Axes:
    """Quality falls with distance from x = .7; cost rises with y."""
    return Axes({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})


def final(x: float, y: float) -> float:
    """Lower is better; what costs more ends a little better."""
    return (x - 0.7) ** 2 - 0.1 * y


def run_at(x: float, y: float, until: float) -> Run:
    """A run that went up to the share `until`."""
    shares = [share for share in (0.05, 0.2, 1.0) if share <= until]
    return Run(
        point=np.array([x, y]),
        points=tuple((share, final(x, y) - 0.2 * math.log(share)) for share in shares),
        costs=tuple((share, 1 + 9 * y) for share in shares),
    )


def runs(seed: int = 0, count: int = 24) -> list[Run]:
    """A third of the runs is done, the others paused."""
    points = np.random.default_rng(seed).random((count, 2))
    reached = [(0.05, 0.2, 1.0)[k % 3] for k in range(count)]
    return [run_at(float(x), float(y), r) for (x, y), r in zip(points, reached, strict=True)]


def outlook(of: list[Run], *, timed: bool = True) -> Outlook:
    """Forecasts."""
    return Outlook(axes(), of, np.random.default_rng(0), timed=timed)


def test_a_full_run_is_known_and_a_paused_one_is_forecast() -> None:
    """No uncertainty is left of what was measured, and the order is as measured."""
    made = runs()
    found = outlook(made)
    done = [k for k, run in enumerate(made) if run.done]
    paused = [k for k, run in enumerate(made) if not run.done]
    assert not found.spread[done].any()
    costs = [made[k].costs[-1][1] for k in done]
    np.testing.assert_allclose(found.raw_cost[done], costs)
    assert np.all(found.spread[paused] > 0)
    truth = [made[k].points[-1][1] for k in done]
    assert [*np.argsort(found.mean[done])] == [*np.argsort(truth)]


def test_all_that_was_seen_lies_on_the_scale() -> None:
    """0 is the best and 1 the worst of each goal."""
    found = outlook(runs())
    for goal in (found.mean, found.cost):
        assert goal.min() >= 0
        assert goal.max() <= 1


def test_cost_is_foreseen_from_the_first_look() -> None:
    """Costs are nearly constant from step to step, so that a paused run's is almost known."""
    made = runs()
    found = outlook(made)
    truth = [1 + 9 * float(run.point[1]) for run in made]
    np.testing.assert_allclose(found.raw_cost, truth, rtol=0.1)


def test_what_is_clearly_dominated_promises_nothing() -> None:
    """A new recipe far behind on both goals, against one that saves time where quality is best."""
    found = outlook([*runs(), run_at(0.7, 0.1, 1.0)])
    front = found.front(range(len(found.runs)))
    dominated, promising = found.new_gains(np.array([[0.02, 0.95], [0.7, 0.03]]), front)[0]
    assert 0 <= dominated < 1e-3
    assert promising > 10 * dominated


def test_a_paused_run_counts_at_its_forecast() -> None:
    """What it is expected to reach is no longer to be gained by a new run of the same recipe."""
    made = [*runs(), run_at(0.69, 0.02, 0.2)]
    found = outlook(made)
    same = made[-1].point[None, :]
    before = found.new_gains(same, found.front(range(len(made) - 1)))[0][0]
    after = found.new_gains(same, found.front(range(len(made))))[0][0]
    assert after < 0.5 * before


def test_without_a_goal_of_time_only_the_value_counts() -> None:
    """All costs are 0 on the scale, and the most promising point is where the value is best."""
    found = outlook(runs(), timed=False)
    assert not found.cost.any()
    grid = np.array([[x, 1.0] for x in np.linspace(0, 1, 21)])
    gains, _ = found.new_gains(grid, found.front(range(len(found.runs))))
    assert abs(grid[int(np.argmax(gains)), 0] - 0.7) <= 0.1


def test_costs_learned_as_logarithms_can_count_as_hours() -> None:
    """Then one twice as long is twice as far from 0, and none is forecast below."""
    made = [
        replace(run, costs=tuple((share, math.log(cost)) for share, cost in run.costs))
        for run in runs()
    ]
    logs = outlook(made)
    found = Outlook(axes(), made, np.random.default_rng(0), timed=True, counted=np.exp)
    assert np.all((found.cost >= 0) & (found.cost <= 1))
    hours = np.exp(logs.raw_cost)
    slope, least = np.polyfit(hours, found.cost, 1)
    np.testing.assert_allclose(found.cost, slope * hours + least, atol=1e-9)
    assert not np.allclose(logs.cost, found.cost, atol=0.05)
    front = found.front(range(len(made)))
    cheap, dear = found.new_gains(np.array([[0.7, 0.0], [0.7, 1.0]]), front)[0]
    assert cheap > dear


def test_known_costs_are_not_learned() -> None:
    """Where a recipe's cost is known without a trial, it is taken as it is."""
    made = runs()
    found = Outlook(
        axes(), made, np.random.default_rng(0), timed=True, cost_of=lambda points: points[:, 1]
    )
    point = np.array([[0.5, 0.3]])
    assert found.new_gains(point, Front())[1] == pytest.approx([0.3])
    paused = [k for k, run in enumerate(made) if not run.done]
    np.testing.assert_allclose(found.raw_cost[paused], [made[k].point[1] for k in paused])
