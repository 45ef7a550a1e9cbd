"""The most promising new run: where hypervolume is expected to grow the most, weighted as asked.

Points at random, and variations of the best runs so far, are looked at; then variations of the best
of those, a few rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from search.coordinates import Array
from search.evidence import Outlook
from search.gain import Front

CANDIDATES, VARIED, ROUNDS = 400, 100, 3
"""Points at random that are looked at for a new run, and rounds of variations of the best."""


def best_new(
    outlook: Outlook,
    front: Front,
    rng: np.random.Generator,
    weight: Callable[[Array, Array], Array],
    allowed: Array | None = None,
) -> tuple[Array, float] | None:
    """The most promising new run: (point, weighted gain), or None if there is none.

    Args:
        outlook: the forecasts.
        front: to be improved on.
        rng: for candidates.
        weight: (points, costs) -> factors of their gains.
        allowed: points among which to choose; None: all of the space.
    """

    def score(points: Array) -> Array:
        gains, costs = outlook.new_gains(points, front)
        return gains * weight(points, costs)

    if allowed is not None:
        if not len(allowed):
            return None
        scores = score(allowed)
        first = int(np.argmax(scores))
        return allowed[first], float(scores[first])
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
    first = int(np.argmax(scores))
    return points[first], float(scores[first])


def _front_runs(outlook: Outlook) -> list[int]:
    """Runs that no other's forecast beats on both goals."""
    ranked = sorted(range(len(outlook.runs)), key=lambda k: (outlook.cost[k], outlook.mean[k]))
    best, found = math.inf, []
    for k in ranked:
        if outlook.mean[k] < best:
            found.append(k)
            best = outlook.mean[k]
    return found
