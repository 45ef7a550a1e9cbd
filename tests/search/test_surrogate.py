"""The surrogate on made-up curves: forecasts of finals, their honesty, and what never counts."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search.coordinates import Array, Axes
from search.surrogate import KEPT, START, WANDERING, Curve, CurveModel

SHARES = (0.05, 0.2, 1.0)
HALF_OF_80 = 1.2816
"""Standard deviations to either side that hold 80 % of a normal distribution."""


def space() -> Axes:
    """Two intervals and a choice."""
    return Axes(
        {
            "x": FloatDistribution(0, 1),
            "y": FloatDistribution(0, 1),
            "kind": CategoricalDistribution(("a", "b")),
        }
    )


class World:
    """Curves of one kind of recipes: smooth finals, and every run's own luck and pace."""

    def __init__(self, seed: int, luck: float = 0.05) -> None:
        self._rng = np.random.default_rng(seed)
        self._luck = luck
        self._centre = self._rng.uniform(0.2, 0.8, size=2)
        self._pace = self._rng.normal(size=3)

    def finals(self, points: Array) -> Array:
        """Final values [n] of runs at points [n, 3]."""
        bowl = np.sum((points[:, :2] - self._centre) ** 2, axis=1)
        luck = self._luck * self._rng.normal(size=len(points))
        found: Array = bowl + 0.2 * points[:, 2] + luck
        return found

    def value(self, point: Array, final: float, share: float, pace: float) -> float:
        """Its value after a share of a full run; low x start fast."""
        slow = 0.15 + 0.1 * math.tanh(float(self._pace @ point)) + 0.02 * pace
        return final + slow * -math.log(share)

    def curves(self, points: Array, finals: Array, reached: list[float]) -> list[Curve]:
        """Curves up to the share that each run reached; 0: nothing is known of it."""
        paces = self._rng.normal(size=len(points))
        return [
            Curve(
                points=tuple(
                    (share, self.value(point, float(final), share, float(pace)))
                    for share in SHARES
                    if share <= until
                )
            )
            for point, final, until, pace in zip(points, finals, reached, paces, strict=True)
        ]


def halved(count: int) -> list[float]:
    """How far runs got: a third to each share, as successive halving leaves them."""
    return [SHARES[k % len(SHARES)] for k in range(count)]


@pytest.mark.parametrize("start", [START, WANDERING])
def test_four_in_five_finals_lie_in_the_80_percent_interval(start: tuple[float, ...]) -> None:
    """Of paused runs, over 20 made-up searches; and the forecasts tell runs apart."""
    inside, order = [], []
    for seed in range(20):
        world, axes = World(seed), space()
        points = axes.draw(np.random.default_rng(seed), 30)
        finals = world.finals(points)
        model = CurveModel(axes, points, world.curves(points, finals, halved(30)), start)
        paused = [k for k in range(30) if halved(30)[k] < 1]
        mean, spread = model.final(points[paused], paused)
        inside += [*(np.abs(finals[paused] - mean) <= HALF_OF_80 * spread)]
        order.append(np.corrcoef(mean, finals[paused])[0, 1])
    assert 0.7 <= np.mean(inside) <= 0.9
    assert np.mean(order) > 0.8


def decays(rng: np.random.Generator, points: Array) -> Array:
    """Values [n, shares] that fall exponentially, each run at a rate of its own."""
    bowl = np.sum((points[:, :2] - rng.uniform(0.2, 0.8, size=2)) ** 2, axis=1)
    finals = bowl + 0.2 * points[:, 2] + 0.15 * rng.normal(size=len(points))
    rate = 5 * np.exp(0.7 * rng.normal(size=len(points)))[:, None]
    found: Array = finals[:, None] + 0.5 * (np.exp(-rate * SHARES) - np.exp(-rate))
    return found


def promoted(values: Array) -> list[Curve]:
    """What is seen of them [n, shares]: at every share only the best third goes on."""
    seen, there = np.ones(values.shape, bool), np.arange(len(values))
    for place in range(1, len(SHARES)):
        ranked = there[np.argsort(values[there, place - 1])]
        there = ranked[: len(ranked) // 3]
        gone = np.setdiff1d(np.arange(len(values)), there)
        seen[gone, place:] = False
    return [
        Curve(
            points=tuple(
                (s, float(v)) for s, v, known in zip(SHARES, row, mask, strict=True) if known
            )
        )
        for row, mask in zip(values, seen, strict=True)
    ]


def inside(start: tuple[float, ...]) -> tuple[float, float]:
    """Shares of finals inside the 80 % interval: (of paused runs, of new ones), 20 searches."""
    begun, new = [], []
    for seed in range(20):
        rng, axes = np.random.default_rng(seed), space()
        points = axes.draw(rng, 100)
        values = decays(rng, points)
        curves = promoted(values[:60])
        model = CurveModel(axes, points[:60], curves, start)
        paused = [k for k in range(60) if len(curves[k].points) < len(SHARES)]
        mean, spread = model.final(points[paused], paused)
        begun += [*(np.abs(values[paused, -1] - mean) <= HALF_OF_80 * spread)]
        mean, spread = model.final(points[60:])
        new += [*(np.abs(values[60:, -1] - mean) <= HALF_OF_80 * spread)]
    return float(np.mean(begun)), float(np.mean(new))


def test_a_walk_makes_intervals_honest_on_curves_of_another_form() -> None:
    """Of which only the best were seen to their end; without it they are too narrow."""
    assert all(0.7 <= share <= 0.9 for share in inside(WANDERING))
    assert all(share < 0.7 for share in inside(START))


def test_a_walk_makes_a_run_less_sure_the_less_is_known_of_it() -> None:
    """A straight curve that stopped early may still turn; one that is done may not."""
    axes, points = space(), space().draw(np.random.default_rng(0), 3)
    line = [(share, 0.5 - 0.1 * math.log(share)) for share in SHARES]
    curves = [Curve(points=tuple(line[: k + 1])) for k in range(3)]
    spread = CurveModel(axes, points, curves, WANDERING).final(points, range(3))[1]
    assert spread[0] > spread[1] > spread[2]
    assert spread[1] > 1.2 * CurveModel(axes, points, curves).final(points, range(3))[1][1]


def test_new_recipes_are_less_sure_than_begun_ones_and_those_than_finished_ones() -> None:
    """A curve only ever adds to what is known."""
    world, axes = World(0), space()
    points = axes.draw(np.random.default_rng(0), 31)
    finals = world.finals(points)
    reached = [*halved(30), 0.0]
    model = CurveModel(axes, points, world.curves(points, finals, reached))
    spread = model.final(points, range(31))[1]
    new = model.final(points)[1]
    assert np.all(spread <= new + 1e-9)
    by_share = [np.mean([spread[k] for k in range(31) if reached[k] == s]) for s in (0, *SHARES)]
    assert sorted(by_share, reverse=True) == by_share


def test_a_finished_run_is_forecast_to_end_where_it_did() -> None:
    """To within the noise of a look."""
    world, axes = World(1), space()
    points = axes.draw(np.random.default_rng(1), 30)
    finals = world.finals(points)
    model = CurveModel(axes, points, world.curves(points, finals, halved(30)))
    done = [k for k in range(30) if halved(30)[k] == 1]
    mean, _ = model.final(points[done], done)
    np.testing.assert_allclose(mean, finals[done], atol=0.05)


def test_an_early_value_is_not_taken_for_a_final_one() -> None:
    """Runs at high x start far behind and end ahead; half of them were only begun."""
    axes = Axes({"x": FloatDistribution(0, 1)})
    points = np.linspace(0, 1, 20)[:, None]
    finals = 1 - points[:, 0]
    curves = [
        Curve(
            points=tuple(
                (share, float(final + 2 * x * -math.log(share) / 3))
                for share in (SHARES if k % 2 else SHARES[:2])
            )
        )
        for k, (x, final) in enumerate(zip(points[:, 0], finals, strict=True))
    ]
    early = [curve.points[0][1] for curve in curves]
    assert np.corrcoef(early, finals)[0, 1] < -0.9
    mean, _ = CurveModel(axes, points, curves).final(points, range(20))
    assert np.corrcoef(mean, finals)[0, 1] > 0.95


def test_the_same_data_give_the_same_forecasts_and_scale_with_their_unit() -> None:
    """There is no chance in it, and values in other units give forecasts in those."""
    world, axes = World(2), space()
    points = axes.draw(np.random.default_rng(2), 24)
    curves = world.curves(points, world.finals(points), halved(24))
    first, again = (CurveModel(axes, points, curves).final(points) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = [Curve(points=tuple((s, 5 + 100 * v) for s, v in c.points)) for c in curves]
    mean, spread = CurveModel(axes, points, other).final(points)
    np.testing.assert_allclose(mean, 5 + 100 * first[0], rtol=1e-3)
    np.testing.assert_allclose(spread, 100 * first[1], rtol=1e-2)


def test_a_diverged_run_does_not_flatten_all_others() -> None:
    """A value of 1e300 counts as bad, no more, and the other forecasts are as without it."""
    world, axes = World(3), space()
    points = axes.draw(np.random.default_rng(3), 24)
    finals = world.finals(points)
    curves = [*world.curves(points, finals, halved(24))[:-1], Curve(points=((0.05, 1e300),))]
    mean, spread = CurveModel(axes, points, curves).final(points[:-1], range(23))
    assert np.all(np.isfinite(mean))
    assert np.all(np.isfinite(spread))
    assert np.corrcoef(mean, finals[:-1])[0, 1] > 0.8


def test_a_thousand_runs_are_no_slower_than_those_that_are_kept() -> None:
    """Of many runs the furthest and best, and a spread of the others, are learned from."""
    world, axes = World(4), space()
    points = axes.draw(np.random.default_rng(4), 1000)
    finals = world.finals(points)
    curves = world.curves(points, finals, halved(1000))
    assert sum(len(curve.points) for curve in curves) > KEPT
    began = time.process_time()
    mean, _ = CurveModel(axes, points, curves).final(points)
    assert time.process_time() - began < 10
    assert np.corrcoef(mean, finals)[0, 1] > 0.8


def test_a_believed_run_moves_no_forecast_and_leaves_little_to_learn_near_it() -> None:
    """Runs that were not seen to their end count at their forecasts; far away nothing changes."""
    world, axes = World(5), space()
    points = np.concatenate([axes.draw(np.random.default_rng(5), 31), [[0.0, 0.5, 0.5]]])
    reached = [*halved(30), 0.0, 0.05]
    curves = world.curves(points, world.finals(points), reached)
    model = CurveModel(axes, points, curves)
    near = points[30:] + np.array([0.0, 0.01, 0.0])  # of (kind, x, y)
    probes = np.concatenate([near, axes.draw(np.random.default_rng(6), 100)])
    mean, spread = model.final(probes)
    means = model.final(points, range(32))[0]
    model.believe([k for k in range(32) if reached[k] < 1], means)
    after, left = model.final(probes)
    np.testing.assert_allclose(after, mean, atol=1e-3)
    assert np.all(left <= spread + 1e-9)
    assert np.all(left[:2] < 0.8 * spread[:2])
    model.believe([], means)
    np.testing.assert_allclose(model.final(probes), (after, left))


def test_nearly_the_same_recipe_shares_its_luck() -> None:
    """A run's own part is known where the same is tried again, and unknown a little further on."""
    world, axes = World(7, luck=0.2), space()
    points = axes.draw(np.random.default_rng(7), 30)
    finals = world.finals(points)
    model = CurveModel(axes, points, world.curves(points, finals, [1.0] * 30))
    again, spread = model.final(points)
    aside = model.final(np.clip(points + np.array([0.0, 0.1, 0.1]), 0, 1))[1]
    assert np.corrcoef(again, finals)[0, 1] > 0.98
    assert np.mean(spread) < 0.5 * np.mean(aside)


def test_nothing_can_be_learned_from_nothing() -> None:
    """No curve has a point."""
    with pytest.raises(ValueError, match="at least one value"):
        CurveModel(space(), np.zeros((2, 3)), [Curve(points=()), Curve(points=())])
