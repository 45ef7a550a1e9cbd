"""Pareto ranking of runs, and the searches that stop runs early by it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from studies.recorded import Meter, Problem, Run

Array = NDArray[np.float64]

RUNGS = (2 / 52, 10 / 52, 1.0)
"""Shares of a full run after which MO-ASHA ranks."""
LOOKS = (2 / 52, 5 / 52, 10 / 52)
"""Shares of a full run after which the pruning rules look."""
ETA = 3
PEERS = 4
"""Fewest earlier runs that a pruning rule compares with."""
BEATEN = 0.2
"""The Pareto rule stops a run that more than this share of its peers beat on all goals."""
SCREENING = 0.5
"""Share of the budget that `one_epoch` spends on first steps."""


def goals(problem: Problem, run: Run, step: int) -> list[float]:
    """What a run shows at a step, lower is better: the early sign, and the full run's time."""
    point = run.points[step]
    shown = [problem.sign(point)]
    if problem.timed:
        shown.append(problem.time(point.seconds * problem.full / step))
    return shown


def order(values: Array) -> list[int]:
    """Rows of [runs, goals] from best to worst.

    Non-dominated sorting, and within each front the rows that are farthest from those before them
    first (EpsNet: Schmucker et al. 2021, arXiv 2106.12639), from the best in the first goal on.
    """
    span = values.max(0) - values.min(0)
    unit = (values - values.min(0)) / np.where(span > 0, span, 1.0)
    found = list[int]()
    for front in fronts(values):
        place = int(values[front, 0].argmin())
        gaps = np.full(len(front), np.inf)
        for _ in front:
            found.append(int(front[place]))
            gaps = np.minimum(gaps, np.linalg.norm(unit[front] - unit[front[place]], axis=1))
            gaps[place] = -np.inf
            place = int(gaps.argmax())
    return found


def fronts(values: Array) -> Iterator[NDArray[np.int64]]:
    """Rows of [runs, 1 or 2 goals] that no other beats, then those that only they beat, and so on.

    Sorted by one goal, a row is beaten if one before it that is not the same is as good in the
    other: n log n, and n for each front.
    """
    left = np.lexsort((values[:, -1], values[:, 0]))
    while len(left):
        rows = values[left]
        changed = np.concatenate([[True], np.any(rows[1:] != rows[:-1], axis=1)])
        first = np.maximum.accumulate(np.where(changed, np.arange(len(left)), 0))
        before = np.concatenate([[np.inf], np.minimum.accumulate(rows[:-1, -1])])
        beaten = before[first] <= rows[:, -1]
        yield np.sort(left[~beaten])
        left = left[beaten]


def _dominates(a: Array, b: Array) -> bool:
    return bool((a <= b).all() and (a < b).any())


def beaten(problem: Problem, meter: Meter, run: Run, step: int) -> bool:
    """The Pareto rule: whether too many earlier runs were better on all goals at this step."""
    own = np.array(goals(problem, run, step))
    peers = [
        np.array(goals(problem, other, step))
        for other in meter.runs
        if other is not run and step in other.points
    ]
    better = sum(_dominates(peer, own) for peer in peers)
    return len(peers) >= PEERS and better > BEATEN * len(peers)


def below_median(_: Problem, meter: Meter, run: Run, step: int) -> bool:
    """Median pruning: whether a run is less accurate than the median of the earlier ones here."""
    peers = [r.points[step].accuracy for r in meter.runs if r is not run and step in r.points]
    return len(peers) >= PEERS and run.points[step].accuracy < float(np.median(peers))


def draw(problem: Problem, meter: Meter, rng: np.random.Generator) -> Run | None:
    """Begin a run at random; None if a table holds no further one."""
    if not problem.table:
        return meter.start(problem.draw(rng))
    untried = meter.untried()
    if not untried:
        return None
    (rows,) = problem.parameters
    return meter.start({rows.name: untried[int(rng.integers(len(untried)))]})


def mo_asha(problem: Problem, meter: Meter, seed: int) -> None:
    """Asynchronous successive halving, ranked by all goals, of configs at random; runs resume."""
    rng = np.random.default_rng(seed)
    steps = sorted({problem.step_at(share) for share in RUNGS})
    while run := promotable(problem, meter, steps) or draw(problem, meter, rng):
        run.train(following(steps, run))


def following(steps: list[int], run: Run) -> int:
    """The step of a run's next rung."""
    return next(step for step in steps if step > run.step)


def promotable(
    problem: Problem,
    meter: Meter,
    steps: list[int],
    eta: int = ETA,
    most_s: float = math.inf,
) -> Run | None:
    """The best run that waits at the highest rung which has one to promote, if any.

    Args:
        problem: what is searched.
        meter: runs so far.
        steps: of the rungs.
        eta: one of so many runs that reached a rung goes on.
        most_s: longer than this, as foreseen, it may not take to the next rung.
    """
    for step, following_step in reversed(list(itertools.pairwise(steps))):
        reached = [run for run in meter.runs if step in run.points]
        quota = len(reached) // eta
        if not quota:
            continue
        ranked = order(np.array([goals(problem, run, step) for run in reached]))
        for place in ranked[:quota]:
            run = reached[place]
            more_s = run.points[step].seconds / step * (following_step - step)
            if run.step == step and more_s <= most_s:
                return run
    return None


def one_epoch(problem: Problem, meter: Meter, seed: int) -> None:
    """Many runs of one step, then the best of them in full (Egele et al. 2023, arXiv 2307.15422).

    Half of the budget is for the first steps. The best are ranked by all goals.
    """
    rng = np.random.default_rng(seed)
    while meter.spent_s < SCREENING * meter.budget_s:
        run = draw(problem, meter, rng)
        if run is None:
            break
        run.train(1)
    seen = list(meter.runs)
    for place in order(np.array([goals(problem, run, 1) for run in seen])):
        seen[place].train(problem.full)
