"""Parameters as points: how Optuna's distributions become numbers for the surrogate, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Array = NDArray[np.float64]


class Axes:
    """The axes of a space; a point has one number per axis.

    Of an interval, the position in [0, 1] on its own (perhaps logarithmic) scale; of a list of
    choices, the index. A distribution with a single value is no axis, but `decode` returns it.

    Some intervals may be the coordinates of a mixture, as `spaces.mixture` has them: then points
    are as far apart as the roots of the sources' shares (Hellinger's distance). The coordinates
    themselves say little: all at one end are the same mixture as all at the other.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        mixture: Mapping[str, float] | None = None,
    ) -> None:
        """Take the axes.

        Args:
            distributions: by parameter.
            mixture: of those that are a mixture's coordinates, the natural share at 0.
        """
        self._fixed = {name: _single(d) for name, d in distributions.items() if d.single()}
        self.axes = {
            name: d for name, d in sorted(distributions.items()) if name not in self._fixed
        }
        self.names = tuple(self.axes)
        self.choices: NDArray[np.int64] = np.array(
            [len(d.choices) if isinstance(d, CategoricalDistribution) else 0
             for d in self.axes.values()],
            np.int64,
        )  # fmt: skip
        """Choices per axis; 0 for an interval."""
        shares = {name: share for name, share in (mixture or {}).items() if name in self.axes}
        self._sources = np.array([self.names.index(name) for name in shares], np.int64)
        self._logs = np.log([*shares.values()])
        ends = [_ends(self.axes[name]) for name in shares]  # type: ignore[arg-type]  # intervals
        self._ends = np.array(ends, np.float64).reshape(len(shares), 2)

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, params: Sequence[Mapping[str, Any]]) -> Array:
        """Points [n, axes] of parameters."""
        rows = [[_position(d, p[name]) for name, d in self.axes.items()] for p in params]
        return np.array(rows, np.float64).reshape(len(params), len(self))

    def decode(self, point: Array) -> dict[str, Any]:
        """The parameters nearest to a point [axes]."""
        return self.decode_all(point[None])[0]

    def decode_all(self, points: Array) -> list[dict[str, Any]]:
        """The same of points [n, axes], axis by axis: many at once take less."""
        columns = [
            _values(d, column.tolist())
            for d, column in zip(self.axes.values(), points.T, strict=True)
        ]
        if not columns:
            return [dict(self._fixed) for _ in points]
        return [
            dict(zip(self.names, row, strict=True)) | self._fixed
            for row in zip(*columns, strict=True)
        ]

    def exact(self, points: Array) -> Array:
        """The points [n, axes] of the parameters that those given decode to, on axes in steps.

        Between two whole numbers nothing can be tried: to a surrogate, what lies there would stay
        untried for good (Garrido-Merchan and Hernandez-Lobato 2020, arXiv 1805.03463).
        """
        found = points.copy()
        for axis, d in enumerate(self.axes.values()):
            if isinstance(d, FloatDistribution | IntDistribution) and d.step is not None:
                found[:, axis] = _on_steps(d, points[:, axis])
        return found

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Points [count, axes] at random; every interval is covered evenly (Latin hypercube)."""
        points = np.empty((count, len(self)))
        for axis, choices in enumerate(self.choices):
            if choices:
                points[:, axis] = rng.integers(choices, size=count)
            else:
                points[:, axis] = (rng.permutation(count) + rng.random(count)) / count
        return self.exact(points)

    def vary(self, rng: np.random.Generator, parents: Array, count: int) -> Array:
        """Points [count, axes] near some of `parents` [n, axes]."""
        points: Array = parents[rng.integers(len(parents), size=count)].copy()
        width = rng.choice([0.2, 0.07, 0.02], size=(count, 1))
        moved = rng.random(points.shape) < max(0.4, 1.5 / max(1, len(self)))
        step = rng.normal(size=points.shape) * width
        for axis, choices in enumerate(self.choices):
            if choices:
                other = moved[:, axis] & (rng.random(count) < 0.3)
                points[other, axis] = rng.integers(choices, size=int(other.sum()))
            else:
                shifted = points[:, axis] + np.where(moved[:, axis], step[:, axis], 0.0)
                points[:, axis] = np.clip(shifted, 0.0, 1.0)
        return self.exact(points)

    def slopes(self, points: Array) -> Array:
        """Points [n, axes] as numbers of about unit size, for a linear trend; choices have none."""
        found: Array = np.where(self.choices > 0, 0.0, 2 * self._seen(points) - 1)
        return found

    def differences(self, some: Array, others: Array) -> Array:
        """Squared differences [axes, n, m] of points; of different choices, 1."""
        some, others = self._seen(some), self._seen(others)
        found: Array = some.T[:, :, None] - others.T[:, None, :]
        np.multiply(found, found, out=found)
        for axis in np.flatnonzero(self.choices):
            found[axis] = found[axis] > 0
        return found

    def _seen(self, points: Array) -> Array:
        """Points [n, axes] with the roots of shares instead of a mixture's coordinates."""
        if not len(self._sources):
            return points
        low, high = self._ends.T
        logs = self._logs + low + points[:, self._sources] * (high - low)
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        found = points.copy()
        found[:, self._sources] = np.sqrt(shares / shares.sum(axis=1, keepdims=True))
        return found


def _single(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)  # noqa: S101
    return distribution.low


def _ends(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """An interval's ends on its scale; a whole number stands for half a step to either side."""
    low, high = float(distribution.low), float(distribution.high)
    if distribution.step is not None:
        low, high = low - distribution.step / 2, high + distribution.step / 2
    return (math.log(low), math.log(high)) if distribution.log else (low, high)


def _position(distribution: BaseDistribution, value: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.to_internal_repr(value)
    assert isinstance(distribution, FloatDistribution | IntDistribution)  # noqa: S101
    low, high = _ends(distribution)
    number = math.log(value) if distribution.log else float(value)
    return min(1.0, max(0.0, (number - low) / (high - low)))


def _on_steps(distribution: FloatDistribution | IntDistribution, positions: Array) -> Array:
    """Positions [n] of the nearest values that the steps of an interval allow."""
    low, high = _ends(distribution)
    first, last, step = distribution.low, distribution.high, distribution.step
    assert step is not None  # noqa: S101  # the caller looked
    numbers = low + positions * (high - low)
    if distribution.log:
        numbers = np.exp(numbers)
    values = np.clip(first + np.rint((numbers - first) / step) * step, first, last)
    found: Array = ((np.log(values) if distribution.log else values) - low) / (high - low)
    return found


def _values(distribution: BaseDistribution, positions: Sequence[float]) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return [distribution.choices[int(position)] for position in positions]
    assert isinstance(distribution, FloatDistribution | IntDistribution)  # noqa: S101
    low, high = _ends(distribution)
    numbers = [low + position * (high - low) for position in positions]
    if distribution.log:
        numbers = [math.exp(number) for number in numbers]
    first, last, step = distribution.low, distribution.high, distribution.step
    if step is not None:
        numbers = [first + round((number - first) / step) * step for number in numbers]
    whole = int if isinstance(distribution, IntDistribution) else float
    return [whole(min(max(number, first), last)) for number in numbers]
