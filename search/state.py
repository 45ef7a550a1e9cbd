"""What one process of a job works with, and the scores it keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from objectives.objective import Loaded, Objective, Progress, Scores, TaskScore
from search.budget import Kind, Ledger
from search.folder import RunFolder
from search.forecast import CostForecast
from search.planner import Plan
from search.store import Store
from studies import Study


class View(Protocol):
    """Where a job reports to."""

    def line(self, text: str) -> None:
        """A decision or a result, worth keeping."""

    def refresh(self, job: Job) -> None:
        """Something moved; called often."""

    def close(self) -> None:
        """The job is over."""


@dataclass(slots=True)
class Job:
    """What one process of a job works with."""

    study: Study
    budget_s: float
    seed: int
    folder: RunFolder
    store: Store
    ledger: Ledger
    objective: Objective
    view: View
    forecast: CostForecast
    loaded: Loaded | None = None
    plan: Plan | None = None
    failures: int = 0
    """Failures of the training process in a row."""
    retried: set[int] = field(default_factory=set)
    """Trials that were tried again after one."""
    phase: str = "load"
    live: tuple[str, Progress] | None = None
    """What is under way, for the view: (trial's name, latest progress)."""
    trace_of: str = ""
    """Whose training losses `trace` holds."""
    trace: list[float] = field(default_factory=list)

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.budget_s - self.ledger.now()

    def listen(self, name: str, progress: Progress) -> None:
        """Take in a sign of life."""
        self.live = (name, progress)
        self.ledger.tick()
        self.view.refresh(self)

    def say(self, line: str) -> None:
        """Tell the user a decision."""
        self.view.line(line)


def restart(job: Job) -> None:
    """Start a new training process in place of one that failed."""
    job.objective.close()
    with job.ledger.span(Kind.LOAD, note="again, after a failure"):
        job.loaded = job.objective.load(lambda p: job.listen("load", p))


PART = 16
"""Items per task that are scored at a time after the final run: between parts, the deadline is
looked at."""
SLOWER = 1.3
"""A part is started only if it fits when it takes this much longer than the last one."""


def kept_scores(
    job: Job,
    trial: str | None,
    items: str,
    kind: Kind,
    *,
    exact: bool,
    leave_s: float | None = None,
) -> Scores:
    """Scores of a trial (None: the base model), computed once per job and kept in the folder.

    Args:
        job: the job.
        trial: its name.
        items: search, final or heldout.
        kind: what the time is charged to.
        exact: see `Objective.evaluate`.
        leave_s: seconds of the budget that must be left afterwards: a machine that has become slow
            scores fewer items, the first ones of each task. At least a part of `final` is scored.
    """
    name = trial or "base"
    file = f"{name}-{items}"
    timed = job.store.noted(f"seconds_{file}")
    known = job.folder.read_scores(file)
    if known is None or timed is None:
        number = int(name) if name.isdigit() else None
        with job.ledger.span(kind, trial=number, note=f"{name} on {items}"):
            began = job.ledger.now()
            if leave_s is None:
                known = job.objective.evaluate(
                    trial, items, lambda p: job.listen(name, p), exact=exact
                )
            else:
                known = scores_in_parts(job, trial, items, leave_s, exact=exact)
            timed = job.ledger.now() - began
        job.folder.write_scores(file, known)
        job.store.note(f"seconds_{file}", round(timed, 3))
    if leave_s is None:
        job.forecast.learn_evaluation(items, timed)
    return known


def scores_in_parts(
    job: Job, trial: str | None, items: str, leave_s: float, *, exact: bool
) -> Scores:
    """Score part after part while there is time."""
    name = trial or "base"
    most = max(Counter(item["task"] for item in job.folder.items(items)).values(), default=0)
    expected = job.forecast.evaluation_s.get(items, 0.0) * PART / max(1, most)
    found: Scores = {}
    for first in range(0, most, PART):
        must = items == "final" and first == 0
        if not must and job.left() - leave_s < SLOWER * expected:
            job.say(f"only {first} items per task of {items} scored: the machine has become slow")
            break
        began = job.ledger.now()
        part = job.objective.evaluate(
            trial,
            items,
            lambda p: job.listen(name, p),
            exact=exact,
            part=(first, first + PART),
        )
        expected = job.ledger.now() - began
        for task, score in part.items():
            before = found.get(task, TaskScore(correct=[], losses=[]))
            found[task] = TaskScore(
                correct=before.correct + score.correct, losses=before.losses + score.losses
            )
    return found
