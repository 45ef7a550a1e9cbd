"""The most promising new run: where hypervolume is expected to grow the most, weighted as asked.

Points at random, and variations of the best runs so far, are looked at; then variations of the best
of those, a few rounds.

Where even the best promises little, most new runs are at random. Forecasts are made of
what was seen, and what is far from it and far better they do not foresee: a search that only
follows them ends in the first good region. A look at random costs little where runs can be stopped
early, so that the less it costs, the sooner it is taken. Cf. epsilon-greedy Bayesian optimization
(De Ath et al. 2021, arXiv 1911.12809).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.coordinates import Array, Axes
from search.evidence import Outlook
from search.gain import Front

REPEAT = 0.01
"""Runs this far apart, of the axes' widths, tell the same."""
LEAST_GAIN = 0.0007
"""Hypervolume that a full run at random is trusted to add: a first look at one, which costs the
share s of it, is taken where no full run is expected to add LEAST_GAIN / s."""
EPSILON = 0.75
"""The chance of a run at random there; the others follow up what little is expected."""
CANDIDATES, VARIED, ROUNDS = 400, 100, 3
"""Points at random that are looked at for a new run, and rounds of variations of the best."""


@dataclass(frozen=True, slots=True)
class New:
    """A new run to begin."""

    point: Array
    """[axes]"""
    gain: float
    """Hypervolume that a full run of it is expected to add, on the outlook's scale."""
    at_random: bool = False
    """Whether it was drawn at random, since no other promised enough."""


def best_new(
    outlook: Outlook,
    front: Front,
    rng: np.random.Generator,
    weight: Callable[[Array, Array], Array],
    allowed: Array | None = None,
    tried: Array | None = None,
) -> New | None:
    """The most promising new run, or one at random; None if there is none.

    Args:
        outlook: the forecasts.
        front: to be improved on.
        rng: for candidates.
        weight: (points, costs) -> factors of their gains.
        allowed: points among which to choose, the best whatever it promises; None: all of the
            space.
        tried: points [n, axes] that are not to be tried again while there is anything else: of
            `allowed`, if that is given.
    """

    def score(points: Array) -> Array:
        gains, costs = outlook.new_gains(points, front)
        return gains * weight(points, costs)

    def fresh(points: Array) -> NDArray[np.bool_]:
        if tried is None or not len(tried):
            return np.ones(len(points), dtype=bool)
        return ~repeated(outlook.axes, points, tried)

    if allowed is not None:
        if not len(allowed):
            return None
        points = rng.permutation(allowed)  # of equals not the first ones listed
        scores = score(points)
    else:
        points, scores = _sought(outlook, rng, score)
    left = fresh(points)
    if allowed is None and not left.any():
        points = outlook.axes.draw(rng, CANDIDATES)
        scores, left = score(points), fresh(points)
    if left.any():
        points, scores = points[left], scores[left]
    best = points[int(np.argmax(scores))]
    gain = float(outlook.new_gains(best[None], front)[0][0])
    if allowed is None and gain < LEAST_GAIN / outlook.look and rng.random() < EPSILON:
        drawn = outlook.axes.draw(rng, CANDIDATES)
        gains, costs = outlook.new_gains(drawn, front)
        free = np.flatnonzero(fresh(drawn) & (weight(drawn, costs) > 0))
        if len(free):
            return New(drawn[free[0]], float(gains[free[0]]), at_random=True)
    return New(best, gain)


def _sought(
    outlook: Outlook, rng: np.random.Generator, score: Callable[[Array], Array]
) -> tuple[Array, Array]:
    """(points, their scores): the best of some at random, and variations of them."""
    points = outlook.axes.draw(rng, CANDIDATES)
    best = np.argsort(outlook.mean, kind="stable")[:5]
    parents = outlook.points[sorted({*map(int, best), *_front_runs(outlook)})]
    if len(parents):
        points = np.concatenate([points, outlook.axes.vary(rng, parents, 2 * VARIED)])
    scores = score(points)
    for _ in range(ROUNDS):
        top = np.argsort(-scores, kind="stable")[:8]
        more = outlook.axes.vary(rng, points[top], VARIED)
        points, scores = (
            np.concatenate([points[top], more]),
            np.concatenate([scores[top], score(more)]),
        )
    return points, scores


def repeated(axes: Axes, points: Array, tried: Array) -> NDArray[np.bool_]:
    """Which of the points [n, axes], exact ones, are the same as one of `tried` or nearly so."""
    gaps = axes.differences(points, tried)
    found: NDArray[np.bool_] = gaps.sum(axis=0).min(axis=1) < REPEAT**2
    return found


def _front_runs(outlook: Outlook) -> list[int]:
    """Runs that no other's forecast beats on both goals."""
    ranked = sorted(range(len(outlook.runs)), key=lambda k: (outlook.cost[k], outlook.mean[k]))
    best, found = math.inf, []
    for k in ranked:
        if outlook.mean[k] < best:
            found.append(k)
            best = outlook.mean[k]
    return found
