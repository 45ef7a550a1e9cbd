"""The split of the budget, decided as the search goes: search on, or train the best for longer?

Both are measured in the final run's loss. More search costs time that the final run then lacks: the
learning curves so far say what that time would have brought. They are extrapolated by the power law
that is fitted to them and by one of half its exponent, whose mean counts: a few points tell little
of what is far ahead. More trials may find a better recipe: how far the trials so far lie apart says
how much the best of some further ones is expected to gain, and how far they have drawn together
from rung to rung says how much of that is left at the final run's end. The search ends when the
longer final run is worth more.

Measured by `studies.bench_split` (docs/LOG.md): where the final run is up to five times as long as
a trial, more elaborate estimates, and the gain times 0.3 to 4, end in the same final accuracy.
Where it is fifty times as long, they do not: gains at the top rung, taken as they are, left a final
run on a GPU a fifth of the time, and the default recipe for the whole time was better.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from search.budget import format_seconds

DECAY = 0.5
"""Exponent of a learning curve's power law before three points of it tell. Typical values in
fine-tuning lie between 0.3 and 0.9."""
LEAST_DECAY, MOST_DECAY = 0.15, 1.5
"""A curve's own exponent is believed in this range only: three noisy points give wilder ones."""
KEPT = 0.7
"""Share of a difference in loss at the first rung that is still there at the top, before trials
have shown it."""
LEAST_KEPT = 0.3
LEAST_FINAL = 0.2
"""Share of the time of search and final run together that the final run always gets."""
TRIALS = 4
"""Fewest trials that tell how far apart recipes lie."""
POINTS = 200
"""Of the sum that stands for the integral over losses."""

Curve = Sequence[tuple[float, float]]
"""(tokens, loss) of a trial at its rungs, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What the rest of the budget is for."""

    search_on: bool
    search_gain: float
    """Nats by which the next trials are expected to lower the final run's loss."""
    final_gain: float
    """Nats by which the time they would take is expected to lower it."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """A learning curve beyond its last point: `loss - drop * (1 - (tokens / n)^-decay)`."""

    tokens: float
    loss: float
    drop: float
    """Nats between the last point and the limit."""
    decay: float

    def at(self, tokens: float) -> float:
        """Loss after `tokens`; the last point's, if that is not ahead."""
        ahead = max(1.0, tokens / self.tokens)
        return float(self.loss - self.drop * (1 - ahead**-self.decay))


def trend(curve: Curve, decay: float | None = None) -> Trend:
    """The power law through the last points of a curve: flat after one point, or after a rise.

    Args:
        curve: at least one point.
        decay: the exponent; fitted to the last three points, if not given and there are three.

    Raises:
        ValueError: there is no point.
    """
    if not curve:
        raise ValueError("a curve needs a point")
    tokens, loss = curve[-1]
    if len(curve) < 2:
        return Trend(tokens=tokens, loss=loss, drop=0.0, decay=decay or DECAY)
    before, was = curve[-2]
    if decay is None:
        decay = _fitted(curve[-3:]) if len(curve) > 2 else DECAY
    fallen = max(0.0, was - loss)
    return Trend(
        tokens=tokens,
        loss=loss,
        drop=fallen / ((tokens / before) ** decay - 1),
        decay=decay,
    )


def _fitted(curve: Curve) -> float:
    """The exponent at which one power law goes through three points, by bisection."""
    (n0, l0), (n1, l1), (n2, l2) = curve
    if l0 <= l1 or l1 <= l2:
        return DECAY
    wanted = (l0 - l1) / (l1 - l2)
    low, high = LEAST_DECAY, MOST_DECAY
    for _ in range(40):
        middle = (low + high) / 2
        found = (n0**-middle - n1**-middle) / (n1**-middle - n2**-middle)
        low, high = (middle, high) if found < wanted else (low, middle)
    return (low + high) / 2


def decide(
    curves: Sequence[Curve],
    *,
    count: int,
    cost_s: float,
    left_s: float,
    token_s: float,
    most_tokens: float = math.inf,
) -> Decision:
    """Whether further trials are worth the time that the final run would lose by them.

    Args:
        curves: every trial that was evaluated.
        count: how many further trials there would be.
        cost_s: their time.
        left_s: what search and final run have left together.
        token_s: training seconds per token.
        most_tokens: the final run is of no use beyond these, all told.

    Raises:
        ValueError: no trial was evaluated.
    """
    if not curves:
        raise ValueError("no trial to decide by")
    trials = "a further trial" if count == 1 else f"{count} further trials"
    their = "its" if count == 1 else "their"
    curve = _typical(curves)
    longer, shorter = (
        min(most_tokens, curve[-1][0] + max(0.0, seconds) / token_s)
        for seconds in (left_s, left_s - cost_s)
    )
    fitted = trend(curve)
    slower = trend(curve, max(LEAST_DECAY, fitted.decay / 2))
    final_gain = statistics.fmean(c.at(shorter) - c.at(longer) for c in (fitted, slower))
    search_gain = expected_gain(curves, count, longer)
    if cost_s > left_s:
        on, why = False, f"there is no time for {trials}, {format_seconds(cost_s)}"
    elif len(curve) < 2:
        on, why = True, "no trial was trained on yet: what longer training is worth is not known"
    else:
        on = search_gain > final_gain
        why = (
            f"{trials} may lower the final run's loss by {search_gain:.4f}, "
            f"{'more' if on else 'no more'} than the {final_gain:.4f} that {their} "
            f"{format_seconds(cost_s)} would bring to it ({len(curves)} trials so far)"
        )
    return Decision(
        search_on=on,
        search_gain=search_gain,
        final_gain=final_gain,
        reason=f"the search {'goes on' if on else 'ends'}: {why}",
    )


def _typical(curves: Sequence[Curve]) -> Curve:
    """Mean curve of the trials that got farthest: one trial's last points are mostly noise."""
    top = max(len(curve) for curve in curves)
    there = [curve for curve in curves if len(curve) == top]
    return [
        (statistics.fmean(c[k][0] for c in there), statistics.fmean(c[k][1] for c in there))
        for k in range(top)
    ]


def _standing(curve: Curve) -> tuple[float, float]:
    return -len(curve), curve[-1][1]


def expected_gain(curves: Sequence[Curve], count: int, tokens: float = 0.0) -> float:
    """Nats by which the best of `count` further trials is expected to beat the best so far.

    Losses at the first rung are taken as normal, with the spread of the better half: trials that
    went wrong say nothing of the good ones. Of a difference there, the trials that were trained on
    show how much is left after `tokens`, or at the top rung.
    """
    if len(curves) < TRIALS:
        return math.inf
    firsts = sorted(curve[0][1] for curve in curves)
    middle = statistics.median(firsts)
    half = [loss for loss in firsts if loss <= middle]
    spread = math.sqrt(statistics.fmean((loss - middle) ** 2 for loss in half))
    if not spread:
        return 0.0
    best = min(curves, key=_standing)[0][1]
    normal = statistics.NormalDist(middle, spread)
    low = min(best, middle) - 6 * spread
    width = (best - low) / POINTS
    gain = sum(
        (1 - (1 - normal.cdf(low + (k + 0.5) * width)) ** count) * width for k in range(POINTS)
    )
    return gain * kept(curves, tokens)


def kept(curves: Sequence[Curve], tokens: float = 0.0) -> float:
    """Share of a difference at the first rung that is left after `tokens`, or at the top rung.

    From the first rung to the top one it is the ratio of spreads; beyond, it falls on as the power
    of the tokens that it fell by between them.
    """
    top = max(len(curve) for curve in curves)
    there = [curve for curve in curves if len(curve) == top]
    at_top = KEPT
    if top > 1 and len(there) >= TRIALS:
        before = statistics.pstdev(curve[0][1] for curve in there)
        after = statistics.pstdev(curve[-1][1] for curve in there)
        at_top = min(1.0, max(LEAST_KEPT, after / before)) if before else KEPT
    first, last = (statistics.fmean(curve[k][0] for curve in there) for k in (0, -1))
    if top < 2 or tokens <= last:
        return at_top
    return float(at_top ** (math.log(tokens / first) / math.log(last / first)))
