"""What to do next: start a recipe, resume a paused run, or stop; and why.

Each step is worth the hypervolume that the run is expected to add in the end, over what full runs
reached and what paused ones are forecast to reach, per second that the next look at it costs. So
many recipes are looked at early where looks are cheap, and few are finished. Once the time left is
no more than what finishing the promising runs takes, nothing new is begun.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from search.coordinates import Array
from search.evidence import Outlook
from search.gain import Front

WORTH_FINISHING = 0.001
"""Least hypervolume, of the unit square, that a forecast must add."""
CANDIDATES, VARIED, ROUNDS = 400, 100, 3
"""Points at random that are looked at for a new run, and rounds of variations of the best."""
RIVALS = 24
"""Paused runs that are weighed."""
PATIENCE = 0.3
"""How much the seconds after the next look count when a gain is weighed against time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What to do next."""

    run: int | None
    """Index of the run to resume; None: start a new one."""
    point: Array | None
    """Where to start a new one."""
    share: float
    """Train up to this share of a full run."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """Shares of a full run at which a run is looked at, and what a look costs."""

    shares: tuple[float, ...]
    look_s: float = 0.0
    """Seconds of an evaluation."""

    def after(self, share: float) -> float:
        """The next one."""
        return next(s for s in self.shares if s > share + 1e-9)

    def rest_s(self, share: float, full_s: float) -> float:
        """Seconds of finishing a run, with the looks on the way."""
        looks = sum(s > share + 1e-9 for s in self.shares)
        return (1 - share) * full_s + looks * self.look_s

    def next_s(self, share: float, full_s: float) -> float:
        """Seconds up to the next look."""
        return (self.after(share) - share) * full_s + self.look_s

    def price_s(self, share: float, full_s: float) -> float:
        """What a gain is weighed against: the next look, and a part of what must follow it."""
        step = self.next_s(share, full_s)
        return step + PATIENCE * (self.rest_s(share, full_s) - step)


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


def worth_finishing(
    outlook: Outlook, ladder: Ladder, seconds: Callable[[float], float]
) -> list[int]:
    """Paused runs whose forecasts add to the front, the one that adds most per second first."""
    chosen: list[int] = []
    done = outlook.done()
    sound = outlook.front(done)
    live = sorted(outlook.live(), key=lambda k: -outlook.sure_gain(k, sound))[:RIVALS]
    while True:
        front = outlook.front([*done, *chosen])
        best, best_rate = None, 0.0
        for k in live:
            if k in chosen:
                continue
            gain = outlook.sure_gain(k, front)
            if gain < WORTH_FINISHING:
                continue
            rate = gain / ladder.rest_s(outlook.runs[k].share, seconds(outlook.raw_cost[k]))
            if rate > best_rate:
                best, best_rate = k, rate
        if best is None:
            return chosen
        chosen.append(best)


def choose(
    outlook: Outlook,
    ladder: Ladder,
    left_s: float,
    rng: np.random.Generator,
    seconds: Callable[[float], float],
    allowed: Array | None = None,
) -> Choice | None:
    """What to do next, or None when nothing useful fits.

    Args:
        outlook: the forecasts.
        ladder: where runs are looked at.
        left_s: seconds left.
        rng: for candidates.
        seconds: of a full run at a cost.
        allowed: points among which new runs are chosen; None: all of the space.
    """
    full_s = [seconds(cost) for cost in outlook.raw_cost]
    shares = [run.share for run in outlook.runs]
    done, live = outlook.done(), outlook.live()
    finish = worth_finishing(outlook, ladder, seconds)
    sound = outlook.front(done)
    top = sorted(live, key=lambda k: -outlook.gain(k, sound))[:RIVALS]
    owed = sum(ladder.rest_s(shares[k], full_s[k]) for k in finish)
    best: tuple[float, int | None, Array | None, float, float] | None = None
    for k in top:
        others = outlook.front([*done, *(j for j in live if j != k)])
        step_s = ladder.next_s(shares[k], full_s[k])
        rate = outlook.gain(k, others) / ladder.price_s(shares[k], full_s[k])
        if ladder.rest_s(shares[k], full_s[k]) <= left_s and (best is None or rate > best[0]):
            best = (rate, k, None, step_s, full_s[k])
    first = ladder.shares[0]

    def weight(_points: Array, costs: Array) -> Array:
        whole = np.array([seconds(c) for c in costs])
        fits = whole + len(ladder.shares) * ladder.look_s <= left_s
        price = first * whole + ladder.look_s
        price = price + PATIENCE * (whole + len(ladder.shares) * ladder.look_s - price)
        return fits / price

    new = best_new(outlook, outlook.front([*done, *live]), rng, weight, allowed)
    if new is not None and (best is None or new[1] > best[0]) and new[1] > 0:
        whole_s = seconds(float(outlook.new_gains(new[0][None, :], Front())[1][0]))
        best = (new[1], None, new[0], ladder.next_s(0.0, whole_s), whole_s)
    if best is None:
        return None
    _, run, point, step_s, whole_s = best
    if run not in finish and owed and left_s - step_s < owed:
        fitting = [k for k in finish if ladder.rest_s(shares[k], full_s[k]) <= left_s]
        if fitting:
            k = fitting[0]
            return Choice(
                run=k,
                point=None,
                share=ladder.after(shares[k]),
                reason=f"the time left is what finishing {len(finish)} promising runs takes",
            )
    share = ladder.after(shares[run] if run is not None else 0.0)
    return Choice(run=run, point=point, share=share, reason="most expected gain per second")
