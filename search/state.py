"""What one process of a job works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from objectives.objective import Loaded, Objective, Progress
from search.budget import Kind, Ledger
from search.errors import Diverged, WorkerFailed
from search.folder import RunFolder
from search.forecast import CostForecast
from search.planner import Plan
from search.screen.trace import Trace
from search.store import CUT_OFF, Store
from studies import Study

T = TypeVar("T")

SAME_FAILURE = 3
"""The job stops after this many failures of the training process in a row."""


class View(Protocol):
    """Where a job reports to."""

    def line(self, text: str) -> None:
        """A decision or a result, worth keeping."""

    def busy(self, doing: str, done: float | None) -> None:
        """Data are being prepared: what, and the share done in [0, 1] if known; called often."""

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
    retried: set[tuple[int, int]] = field(default_factory=set)
    """(trial, rung) that were tried again after one."""
    phase: str = "load"
    live: tuple[str, Progress] | None = None
    """What is under way, for the view: (trial's name, latest progress)."""
    trace: Trace = field(default_factory=Trace)
    """Training losses of what is under way, or was last, for the view."""

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.budget_s - self.ledger.now()

    def listen(self, name: str, progress: Progress) -> None:
        """Take in a sign of life."""
        self.live = (name, progress)
        self.ledger.tick()
        self.view.refresh(self)

    def planned(self) -> Plan:
        """The split of the budget, which `search.loop.search` made in this process or another."""
        if self.plan is None:
            self.plan = Plan.from_dict(self.store.noted("plan"))
        return self.plan

    def say(self, line: str) -> None:
        """Tell the user a decision."""
        self.view.line(line)


def start(job: Job, note: str = "") -> None:
    """Start the training process, and let it load the base model.

    Raises:
        WorkerFailed: it failed at its start, again and again.
    """
    for attempt in range(1, SAME_FAILURE + 1):
        try:
            with job.ledger.span(Kind.LOAD, note=note):
                job.loaded = job.objective.load(lambda p: job.listen("load", p))
        except WorkerFailed as error:
            if attempt == SAME_FAILURE:
                raise WorkerFailed(
                    f"the training process failed at its start {attempt} times in a row; "
                    f"the last: {error}"
                ) from None
            job.say(f"the training process failed at its start, and is started again: {error}")
            job.objective.close()
        else:
            return


def restart(job: Job) -> None:
    """Start a new training process in place of one that failed."""
    job.objective.close()
    start(job, "again, after a failure")


def longest_load_s(job: Job) -> float:
    """Seconds that the slowest start of the training process took in this job so far."""
    return max((span.seconds for span in job.ledger.spans if span.kind == Kind.LOAD), default=0.0)


def with_a_new_process(
    job: Job,
    name: str,
    work: Callable[[], T],
    *,
    said: str = "tried again after a failure",
    hopeless: tuple[type[WorkerFailed], ...] = (Diverged,),
) -> T:
    """Do some work; a failure of the training process is met by a new process.

    Args:
        job: the job.
        name: of the work, for the line that tells of the failure.
        work: may be done several times.
        said: what the line says.
        hopeless: failures that a new process would not help.

    Raises:
        WorkerFailed: a hopeless one, or the last of `SAME_FAILURE` in a row.
    """
    for left in reversed(range(SAME_FAILURE)):
        try:
            return work()
        except hopeless:
            raise
        except WorkerFailed as error:
            if not left:
                raise
            job.say(f"{name}: {said}: {error}")
            restart(job)
    raise AssertionError  # the last one was raised


def discard(job: Job, number: int) -> None:
    """Delete a trial's checkpoint."""
    with_a_new_process(job, f"trial {number}", lambda: job.objective.discard(str(number)))


def tell_pruned(job: Job, number: int, reason: str, *, infeasible: bool = False) -> None:
    """Prune a trial and delete its checkpoint."""
    job.store.prune(number, reason, infeasible=infeasible)
    if not reason.startswith(CUT_OFF):  # those may still be the best there is
        discard(job, number)
    job.say(f"trial {number}: {reason}")
