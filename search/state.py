"""What one process of a job works with, and the scores it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from objectives.objective import Loaded, Objective, Progress, Scores
from search.budget import Kind, Ledger
from search.folder import RunFolder
from search.forecast import CostForecast
from search.planner import Plan
from search.store import Store
from search.view import View
from studies import Study


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


def kept_scores(job: Job, trial: str | None, items: str, kind: Kind, *, exact: bool) -> Scores:
    """Scores of a trial (None: the base model), computed once per job and kept in the folder."""
    name = trial or "base"
    file = f"{name}-{items}"
    timed = job.store.noted(f"seconds_{file}")
    known = job.folder.read_scores(file)
    if known is None or timed is None:
        number = int(name) if name.isdigit() else None
        with job.ledger.span(kind, trial=number, note=f"{name} on {items}"):
            began = job.ledger.now()
            known = job.objective.evaluate(trial, items, lambda p: job.listen(name, p), exact=exact)
            timed = job.ledger.now() - began
        job.folder.write_scores(file, known)
        job.store.note(f"seconds_{file}", round(timed, 3))
    job.forecast.learn_evaluation(items, timed)
    return known
