"""What a result would add: hypervolume over a front of (value, cost), both lower better.

With a single goal all costs are the same, and the hypervolume gained is the improvement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from scipy.special import ndtr

from search.coordinates import Array


class Front:
    """What full runs dominate of the unit square, where (0, 0) is best and (1, 1) worst."""

    def __init__(self, results: Iterable[tuple[float, float]] = ()) -> None:
        steps: list[tuple[float, float]] = []
        best = 1.0
        for cost, value in sorted((max(0.0, c), max(0.0, v)) for v, c in results):
            if cost < 1 and value < best:
                steps.append((cost, value))
                best = value
        self.costs = np.array([0.0, *(c for c, _ in steps), 1.0])
        """Where the best value changes, [steps + 2]: from each cost on up to the next."""
        self.values = np.array([1.0, *(v for _, v in steps)])
        """The best value at those costs, [steps + 1]."""

    def gains(self, mean: Array, spread: Array, cost: Array) -> Array:
        """Expected hypervolume gained by results [n], each alone.

        Args:
            mean: of the value.
            spread: its standard deviation; 0 where it is known.
            cost: known.
        """
        reach = self.costs[None, 1:] - np.maximum(
            self.costs[None, :-1], np.maximum(cost, 0)[:, None]
        )
        better = expected_below(self.values[None, :], mean[:, None], spread[:, None])
        found: Array = np.sum(np.maximum(reach, 0.0) * better, axis=1)
        return found


def averaged(of: Callable[[Array], Array], mean: Array, spread: Array) -> Array:
    """The mean of a function of normal numbers [n], by three-point Gauss-Hermite quadrature."""
    off = math.sqrt(3) * spread
    return (of(mean - off) + of(mean + off)) / 6 + of(mean) * 2 / 3


def expected_below(limit: Array, mean: Array, spread: Array) -> Array:
    """Expected max(0, limit - result) of normal results: the expected improvement."""
    safe = np.maximum(spread, 1e-12)
    z = (limit - mean) / safe
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    found: Array = (limit - mean) * ndtr(z) + safe * density
    return np.maximum(found, 0.0)
