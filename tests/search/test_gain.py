"""Hypervolume gains against counting random results, and what must hold of any front."""

from __future__ import annotations

import numpy as np
import pytest

from search.coordinates import Array
from search.gain import Front, averaged, expected_below

UNSEEN = 1e-5
"""A gain so rare that 4,000 random results may hold none of it."""


def area(results: list[tuple[float, float]]) -> float:
    """What (value, cost) results dominate of the unit square, by a sweep over costs."""
    covered, best = 0.0, 1.0
    ordered = sorted((max(0.0, cost), value) for value, cost in results if cost < 1)
    for place, (cost, value) in enumerate(ordered):
        best = min(best, value)
        until = ordered[place + 1][0] if place + 1 < len(ordered) else 1.0
        covered += (until - cost) * (1 - best)
    return covered


def counted(results: list[tuple[float, float]], value: Array, cost: Array) -> tuple[float, float]:
    """Mean area gained by each of many results, alone, and the standard error of this mean."""
    before = area(results)
    gained = [
        area([*results, (float(v), float(c))]) - before for v, c in zip(value, cost, strict=True)
    ]
    return float(np.mean(gained)), float(np.std(gained) / np.sqrt(len(gained)))


def some_front(rng: np.random.Generator, count: int) -> list[tuple[float, float]]:
    """Results in and a little around the unit square."""
    return [(float(v), float(c)) for v, c in rng.uniform([0, 0], [1, 1.1], size=(count, 2))]


@pytest.mark.parametrize("seed", range(6))
def test_expected_gains_are_what_random_results_gain_on_average(seed: int) -> None:
    """Of a value forecast with an uncertainty, at a known cost."""
    rng = np.random.default_rng(seed)
    results = some_front(rng, seed)
    mean, spread, cost = rng.uniform(0.2, 0.9), rng.uniform(0.02, 0.2), rng.uniform(0, 0.9)
    found = Front(results).gains(np.array([mean]), np.array([spread]), np.array([cost]))[0]
    value = rng.normal(mean, spread, size=4000)
    average, error = counted(results, value, np.full(4000, cost))
    assert found == pytest.approx(average, abs=4 * error + UNSEEN)


@pytest.mark.parametrize("seed", range(6))
def test_an_uncertain_cost_is_averaged_over(seed: int) -> None:
    """By three points: close to the average over random costs, though not the same."""
    rng = np.random.default_rng(seed)
    results = some_front(rng, seed)
    mean, spread, cost, unsure = rng.uniform([0.2, 0.02, 0.2, 0.02], [0.8, 0.2, 0.8, 0.1])
    front, means, spreads = Front(results), np.array([mean]), np.array([spread])

    def gains(costs: Array) -> Array:
        return front.gains(means, spreads, costs)

    found = averaged(gains, np.array([cost]), np.array([unsure]))[0]
    value, costs = rng.normal(mean, spread, size=4000), rng.normal(cost, unsure, size=4000)
    average, error = counted(results, value, costs)
    assert found == pytest.approx(average, abs=4 * error + 0.1 * average + UNSEEN)


@pytest.mark.parametrize("seed", range(6))
def test_a_sure_result_gains_the_area_it_adds(seed: int) -> None:
    """Without uncertainty nothing is estimated; what is dominated, or costs too much, adds 0."""
    rng = np.random.default_rng(seed)
    results = some_front(rng, 8)
    front = Front(results)
    values, costs = rng.uniform(0, 1.2, size=(2, 40))
    found = front.gains(values, np.zeros(40), costs)
    for gain, value, cost in zip(found, values, costs, strict=True):
        added = area([*results, (float(value), float(cost))]) - area(results)
        assert gain == pytest.approx(max(0.0, added), abs=1e-9)
        if cost >= 1 or any(v <= value and c <= cost for v, c in results):
            assert gain == pytest.approx(0, abs=1e-9)


def test_a_larger_front_leaves_less_to_gain() -> None:
    """Whatever is added to a front; and the order of its results does not matter."""
    rng = np.random.default_rng(0)
    mean, spread, cost = rng.uniform(0, 1, size=(3, 50))
    results: list[tuple[float, float]] = []
    last = Front().gains(mean, 0.2 * spread, cost)
    for _ in range(8):
        results += some_front(rng, 1)
        gains = Front(results).gains(mean, 0.2 * spread, cost)
        assert np.all(gains <= last + 1e-12)
        assert np.all(gains >= 0)
        backwards = Front(results[::-1]).gains(mean, 0.2 * spread, cost)
        np.testing.assert_array_equal(gains, backwards)
        last = gains


def test_with_one_goal_the_gain_is_the_expected_improvement() -> None:
    """All costs are then 0."""
    mean, spread = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.1, 0.4])
    found = Front([(0.4, 0.0), (0.6, 0.0)]).gains(mean, spread, np.zeros(3))
    np.testing.assert_allclose(found, expected_below(np.full(3, 0.4), mean, spread))
