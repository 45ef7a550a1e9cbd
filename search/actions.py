"""What to do next: a function of what the store holds and of the time left, and of nothing else.

So a killed job goes on by asking again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from search.planner import affordable_bracket, bracket_cost, costs_of
from search.split import TRIALS, decide
from search.state import Job
from search.store import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class New:
    """Start a trial."""

    bracket: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Train a trial up to a rung and evaluate it there."""

    trial: int
    rung: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Decide about the trials of a bracket that reached a rung."""

    trials: tuple[int, ...]
    rung: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Complete:
    """Tell Optuna a trial's values at the top rung."""

    trial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOff:
    """Prune a trial because its next segment does not fit any more."""

    trial: int
    rung: int


Action = New | Segment | Judge | Complete | CutOff


def next_action(job: Job) -> Action | None:
    """What to do next, or None when the search is over."""
    plan = job.plan
    assert plan is not None  # noqa: S101  # search() made it
    records = job.store.records()
    bracket = max((r.bracket for r in records), default=0)
    members = [r for r in records if r.bracket == bracket]
    alive = [r for r in members if not r.finished]
    left = job.left() - plan.least_reserve_s
    size = job.store.noted(f"bracket_{bracket}") or plan.bracket
    started = [r for r in alive if not r.rungs]
    if started:
        return admit(job, started[0], 0, left)
    if len(members) < size and not any(r.promoted for r in members):
        cost = job.forecast.segment_s(job.study.default, plan.rungs[0])
        if cost <= left and worth_it(job, records, size):
            return New(bracket=bracket)
    for rung in range(len(plan.rungs)):
        reached = [r for r in members if len(r.rungs) > rung]
        waiting = [r for r in alive if len(r.rungs) == rung and r.promoted >= rung]
        if rung and waiting:
            best = min(waiting, key=lambda r: (not r.control, r.rungs[-1].loss, r.number))
            return admit(job, best, rung, left)
        here = [r for r in alive if len(r.rungs) == rung + 1]
        if here and rung == len(plan.rungs) - 1:
            return Complete(trial=here[0].number)
        if any(r.promoted <= rung for r in here):
            return Judge(trials=tuple(r.number for r in reached), rung=rung)
    if not any(r.rungs for r in members):
        return None  # not one trial of a bracket could be trained: more of them would not help
    costs = costs_of(job.forecast, job.study, 0.0)
    count = affordable_bracket(plan, left, costs, job.study.eta)
    if count and worth_it(job, records, count):
        job.store.note(f"bracket_{bracket + 1}", count)
        return New(bracket=bracket + 1)
    return None


def worth_it(job: Job, records: Sequence[Record], size: int) -> bool:
    """Whether a further trial, of a bracket of `size`, is worth its time.

    The answer no is kept: a resumed search has less time, and ends where it did.
    """
    curves = [[(float(rung.tokens), rung.loss) for rung in r.rungs] for r in records if r.rungs]
    if job.planned().least_final_s is None or len(curves) < TRIALS:
        return True
    if job.store.noted("search_end"):
        return False
    plan = job.planned()
    costs = costs_of(job.forecast, job.study, 0.0)
    found = decide(
        curves,
        count=1,
        cost_s=bracket_cost(size, plan.rungs, costs, job.study.eta) / size,
        left_s=job.left() - plan.least_reserve_s + plan.floor_s,
        token_s=job.forecast.per_token(job.study.default)[0],
    )
    if not found.search_on:
        job.store.note("search_end", asdict(found))
        job.say(found.reason)
    return found.search_on


def admit(job: Job, record: Record, rung: int, left: float) -> Segment | CutOff:
    """Let a segment start only if its forecast fits into the time left."""
    plan = job.plan
    assert plan is not None  # noqa: S101  # the caller looked
    done = record.rungs[-1].tokens if record.rungs else 0
    cost = job.forecast.segment_s(record.recipe, plan.rungs[rung] - done)
    if cost <= left:
        return Segment(trial=record.number, rung=rung)
    return CutOff(trial=record.number, rung=rung)
