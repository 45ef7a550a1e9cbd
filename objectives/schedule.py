"""Where a segment ends: asked for, at its schedule's end, or cut to size by a deadline."""

from __future__ import annotations

from dataclasses import replace

from objectives.objective import Schedule

SAFETY = 1.03
"""A step is assumed to take this much longer than the median of those measured."""


def fit_schedule(schedule: Schedule, step: int, fitting: int) -> Schedule:
    """Shorten a schedule so that at most `fitting` (at least 1) more steps follow `step`.

    The decay keeps its length where it can. Called anew with the asked-for schedule before every
    step until the decay begins, so that a passing slowdown does not cost the rest of the run.
    """
    total, start = schedule.total_steps, schedule.decay_start
    if total is None or start is None or total - step <= fitting:
        return schedule
    shorter = step + fitting
    return replace(schedule, decay_start=max(step, shorter - (total - start)), total_steps=shorter)


def end_of(schedule: Schedule, until_step: int) -> int:
    """The step a segment ends at: asked for, or where the schedule ends."""
    return until_step if schedule.total_steps is None else min(until_step, schedule.total_steps)


def thin(curve: list[tuple[int, float]], points: int = 200) -> list[tuple[int, float]]:
    """At most about `points` points of a curve, its last one always among them."""
    every = max(1, len(curve) // points)
    return curve[::every] + (curve[-1:] if (len(curve) - 1) % every else [])
