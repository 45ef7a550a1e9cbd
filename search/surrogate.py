"""A Gaussian process over recipes and fidelity: it forecasts where a learning curve ends.

A value of recipe x after the share t of a full run is modelled as

    f(x) + run + (g(x) + bend) * phi(t) + walk(t) + noise,    phi(t) = log t / log t_least,

where f and g are smooth over recipes (Matern 5/2, a length scale per axis), and `run`, `bend` and
`walk` are each run's own; nearly the same recipes share `run`, since they would train alike. phi is
0 at the end of a full run: a value at a low fidelity is never taken for a final one, it tells of it
as far as f, g and a run's own part allow. Cf. freeze-thaw Bayesian optimization (Swersky et al.
2014, arXiv 1406.3896).

`walk` is a random walk in log t. It is there only if asked for (`WANDERING`). Without it what is
left of a curve is thought to follow from its beginning, and the intervals are too narrow on real
curves. With it they are honest, but searches whose proposals rest on it mostly found worse recipes
(docs/LOG.md, 2026-11-26). So proposals are made without it, and forecasts to rely on with it.

The length scales and variances maximise the posterior density (L-BFGS, from the same start every
time, so that the same data give the same forecasts).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from search.coordinates import Array, Axes

LEARNED = 120
"""Points from which length scales and variances are learned, at most."""
KEPT = 240
"""Points from which forecasts are made, at most."""
ITERATIONS = 20
LEVEL, TREND = 4.0, 1.0
"""Prior variances of the mean level and of the mean trend, of standardised values."""
PARTS = ("final", "trend", "own", "bend", "noise", "slope", "walk")
START = (0.5, 0.2, 0.05, 0.1, 0.003, 0.01)
"""Prior medians of all but the walk, which is not there, as variances of standardised values."""
WANDERING = (*START, 0.4)
"""The same with a walk: for honest intervals."""
SPREAD_OF_PARTS = 1.5
SPREAD_OF_SCALES = 0.8
"""Standard deviations of the logarithms' priors."""
JITTER = 1e-6
NEAR = 0.02
"""Runs this far apart, of the axes' widths, are nearly the same recipe: they share their luck."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """What is known of a run: (share of a full run in (0, 1], value), by share."""

    points: tuple[tuple[float, float], ...]


@dataclass(slots=True)
class _Data:
    """Points in a row: of which run, how far, and what."""

    run: np.ndarray
    phi: Array
    y: Array


class CurveModel:
    """The process, fitted to curves of the runs at points of a space."""

    def __init__(
        self,
        axes: Axes,
        points: Array,
        curves: Sequence[Curve],
        start: tuple[float, ...] = START,
    ) -> None:
        """Fit.

        Args:
            axes: of the space.
            points: where the runs are, [runs, axes].
            curves: a run's values; may be empty.
            start: prior medians of the variances of `PARTS`; one less: there is no walk.

        Raises:
            ValueError: no curve has a point.
        """
        shares = [share for curve in curves for share, _ in curve.points]
        if not shares:
            raise ValueError("a surrogate needs at least one value")
        self._axes, self._points = axes, points
        least = min(shares)
        self._unit = math.log(least) if least < 1 else -1.0
        kept = _choose(curves, KEPT)
        begun = {k for k, curve in enumerate(curves) if curve.points}
        self._left_out = begun - {k for k, _, _ in kept}
        run = np.array([k for k, _, _ in kept], np.int64)
        phi = np.array([math.log(share) for _, share, _ in kept]) / self._unit
        values = np.array([value for _, _, value in kept])
        self._centre, self._scale, limit = _scale(values)
        y = (np.minimum(values, limit) - self._centre) / self._scale
        self._data = _Data(run=run, phi=phi, y=y)
        some = self._data
        if len(kept) > LEARNED:
            pick = np.unique(np.linspace(0, len(kept) - 1, LEARNED).astype(int))
            some = _Data(run=run[pick], phi=phi[pick], y=y[pick])
        used = np.unique(some.run)
        gaps = axes.differences(points[used], points[used])
        where = np.searchsorted(used, some.run)
        slopes = axes.slopes(points[some.run])
        linear = slopes @ slopes.T
        self.theta = _learn(
            gaps.tobytes(),
            gaps.shape,
            where.tobytes(),
            some.phi.tobytes(),
            some.y.tobytes(),
            linear.tobytes(),
            start,
        )
        self._variances = _variances(self.theta[len(axes) :])
        self._factorise()

    def believe(self, runs: Sequence[int], means: Array) -> None:
        """Count runs as ended where they are forecast to end.

        No forecast of a final value moves by it, but near those runs little is left to be learned:
        a run that can still go on, or was given up, is not to be begun once more (the kriging
        believer: Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6).

        Args:
            runs: indices of runs without a value at the end of a full run; of those with values
                below only the ones that forecasts are made from count.
            means: what `final` forecasts of all runs, [runs].
        """
        index = np.array([k for k in runs if k not in self._left_out], np.int64)
        if not len(index):
            return
        data = self._data
        self._data = _Data(
            run=np.concatenate([data.run, index]),
            phi=np.concatenate([data.phi, np.zeros(len(index))]),
            y=np.concatenate([data.y, (means[index] - self._centre) / self._scale]),
        )
        self._factorise()

    def _factorise(self) -> None:
        data = self._data
        runs = np.unique(data.run)
        self._runs = runs
        points = self._points[runs]
        smooth, near = self._alike(points, points)
        where = np.searchsorted(runs, data.run)
        final, trend, own, bend, noise, slope, walk = self._variances
        same = where[:, None] == where[None, :]
        across = smooth[np.ix_(where, where)]
        slopes = self._axes.slopes(self._points[data.run])
        bends = data.phi[:, None] * data.phi[None, :]
        matrix = LEVEL + final * across + own * near[np.ix_(where, where)]
        matrix += slope * (slopes @ slopes.T) + walk * same * _walked(data.phi)
        matrix += bends * (TREND + trend * across + bend * same)
        matrix[np.diag_indices_from(matrix)] += noise + JITTER
        self._lower = cholesky(matrix, lower=True)
        self._weights = cho_solve((self._lower, True), data.y)

    def _alike(self, some: Array, others: Array) -> tuple[Array, Array]:
        """How alike points are: (in what is smooth over recipes, in luck), each [n, m]."""
        gaps = self._axes.differences(some, others)
        scales = np.exp(-2 * self.theta[: len(self._axes)])
        return _matern(np.tensordot(scales, gaps, 1))[0], _near(gaps)

    def final(self, points: Array, runs: Sequence[int] | None = None) -> tuple[Array, Array]:
        """Forecasts of final values.

        Args:
            points: [n, axes].
            runs: which of the fitted runs the points are; None: new ones.

        Returns:
            (means, standard deviations), each [n], in the values' units; the latter of what a full
            run would give, without the noise of looking at it.
        """
        data = self._data
        final, _, own, _, _, slope, walk = self._variances
        across, near = self._alike(points, self._points[self._runs])
        where = np.searchsorted(self._runs, data.run)
        slopes = self._axes.slopes(points)
        others = self._axes.slopes(self._points[data.run])
        cross = (
            LEVEL + final * across[:, where] + own * near[:, where] + slope * (slopes @ others.T)
        )
        if runs is not None:
            same = np.asarray(runs)[:, None] == data.run[None, :]
            cross = cross + walk * (1 - data.phi) * same
        mean = cross @ self._weights
        half = solve_triangular(self._lower, cross.T, lower=True)
        alone = LEVEL + final + own + walk + slope * np.sum(slopes * slopes, axis=1)
        variance = alone - np.sum(half * half, axis=0)
        spread = np.sqrt(np.maximum(variance, 1e-10))
        return mean * self._scale + self._centre, spread * self._scale


def _choose(curves: Sequence[Curve], limit: int) -> list[tuple[int, float, float]]:
    """(run, share, value) of at most `limit` points: all of the furthest and best runs, first."""
    known = [k for k, curve in enumerate(curves) if curve.points]
    total = sum(len(curves[k].points) for k in known)
    if total > limit:
        ranked = sorted(known, key=lambda k: (-curves[k].points[-1][0], curves[k].points[-1][1]))
        count = max(1, limit // max(len(curves[k].points) for k in known))
        rest = ranked[count // 2 :]
        spread = np.unique(np.linspace(0, len(rest) - 1, count - count // 2).astype(int))
        known = sorted([*ranked[: count // 2], *(rest[k] for k in spread)])
    return [(k, share, value) for k in known for share, value in curves[k].points]


def _scale(values: Array) -> tuple[float, float, float]:
    """(centre, scale, limit): values far on the bad side all count as the limit."""
    low, middle, high = np.quantile(values, [0.0, 0.5, 0.75])
    limit = middle + 3 * max(high - middle, middle - low, 1e-12)
    clipped = np.minimum(values, limit)
    return float(clipped.mean()), float(clipped.std()) or 1.0, float(limit)


def _variances(logarithms: Array) -> list[float]:
    """The variances of `PARTS`; that of the walk is 0 if there is none."""
    found: list[float] = np.exp(logarithms).tolist()
    return found if len(found) == len(PARTS) else [*found, 0.0]


def _walked(phi: Array) -> Array:
    """Covariances [n, n] of a walk that is 0 where phi is 1, and of unit variance where it is 0."""
    found: Array = 1 - np.maximum(phi[:, None], phi[None, :])
    return found


def _near(gaps: Array) -> Array:
    """How much of their luck runs share, by their squared differences [axes, n, m]: [n, m]."""
    found: Array = np.exp(-gaps.sum(axis=0) / (2 * NEAR**2))
    return found


def _matern(squared: Array) -> tuple[Array, Array]:
    """(Matern 5/2 of squared distances, its derivative by minus half their logarithm over them)."""
    root = np.sqrt(5 * squared)
    decay = np.exp(-root)
    return (1 + root + root * root / 3) * decay, 5 / 3 * (1 + root) * decay


@functools.lru_cache(maxsize=256)
def _learn(
    gaps_: bytes,
    shape: tuple[int, ...],
    where_: bytes,
    phi_: bytes,
    y_: bytes,
    linear_: bytes,
    medians: tuple[float, ...],
) -> Array:
    """Logarithms of length scales and variances [axes + parts]; kept, since it is a pure function.

    The arguments are the bytes of: squared differences of the runs [axes, runs, runs], the run of
    each point, its phi, and its standardised value.
    """
    gaps = np.frombuffer(gaps_).reshape(shape)
    where = np.frombuffer(where_, np.int64)
    phi, y = np.frombuffer(phi_), np.frombuffer(y_)
    linear = np.frombuffer(linear_).reshape(len(y), len(y))
    axes, parts = shape[0], len(medians)
    start = np.concatenate(
        [np.full(axes, math.log(0.5 * math.sqrt(max(1, axes)))), np.log(medians)]
    )
    spread = np.concatenate([np.full(axes, SPREAD_OF_SCALES), np.full(parts, SPREAD_OF_PARTS)])
    same = (where[:, None] == where[None, :]).astype(float)
    bends = phi[:, None] * phi[None, :]
    walked = same * _walked(phi)
    index = np.ix_(where, where)
    near = _near(gaps)[index]

    def loss(theta: Array) -> tuple[float, Array]:
        scales = np.exp(-2 * theta[:axes])
        final, trend, own, bend, noise, slope, walk = _variances(theta[axes:])
        smooth, fall = _matern(np.tensordot(scales, gaps, 1))
        across = smooth[index]
        matrix = LEVEL + final * across + own * near + slope * linear
        matrix += walk * walked
        matrix += bends * (TREND + trend * across + bend * same)
        matrix[np.diag_indices_from(matrix)] += noise + JITTER
        lower = cholesky(matrix, lower=True, check_finite=False)
        inverse = cho_solve((lower, True), np.eye(len(y)), check_finite=False)
        weights = inverse @ y
        outer = inverse - np.outer(weights, weights)  # twice the loss's derivative by the matrix
        by_run = np.zeros((shape[1], shape[1]))
        np.add.at(by_run, index, outer * (final + trend * bends))
        by_scale = np.tensordot(gaps, by_run * fall, 2) * scales
        by_part = [
            final * np.sum(outer * across),
            trend * np.sum(outer * across * bends),
            own * np.sum(outer * near),
            bend * np.sum(outer * same * bends),
            noise * np.trace(outer),
            slope * np.sum(outer * linear),
            walk * np.sum(outer * walked),
        ][:parts]
        away = (theta - start) / spread
        value = 0.5 * y @ weights + np.sum(np.log(np.diag(lower))) + 0.5 * away @ away
        return float(value), np.concatenate(
            [0.5 * by_scale, 0.5 * np.array(by_part)]
        ) + away / spread

    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(s - 4 * w, s + 4 * w) for s, w in zip(start, spread, strict=True)],
        options={"maxiter": ITERATIONS},
    )
    theta: Array = found.x
    return theta
