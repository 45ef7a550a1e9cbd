"""`python -m studies.bench_faults.job OUT BUDGET_S SEED`: a job on formulas, in real processes.

Everything is as in a real job, the database and the second process included, but for time and what
is trained.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from objectives.objective import Listener, Progress
from search.budget import SimulatedClock
from search.cli import guarded
from search.job import run
from search.request import Request, build_study
from search.worker import ProcessObjective
from studies import Study
from studies.bench_faults.served import ADVANCE


class Remote(ProcessObjective):
    """Formulas in a process of their own, whose time passes here."""

    command = (sys.executable, "-m", "studies.bench_faults.served")

    def __init__(self, clock: SimulatedClock, run_dir: Path) -> None:
        super().__init__(model="formulas", run_dir=run_dir, seed=0, max_length=0)
        self.clock = clock

    def _ask(
        self,
        op: str,
        request: dict[str, Any],
        listener: Listener | None = None,
        *,
        kind: Hashable = None,
        within_s: float | None = None,
    ) -> Any:
        def hear(progress: Progress) -> None:
            if progress.note.startswith(ADVANCE):
                self.clock.advance(float(progress.note.removeprefix(ADVANCE)))
            elif listener is not None:
                listener(progress)

        return super()._ask(op, request, hear, kind=kind, within_s=within_s)


def work(arguments: Sequence[str]) -> int:
    """Run the job, or go on with it."""
    out, budget_s, seed = arguments
    clock = SimulatedClock()

    def objective(_study: Study, run_dir: Path) -> Remote:
        return Remote(clock, run_dir)

    request = Request(budget_s=float(budget_s), out=Path(out), seed=int(seed))
    run(request, build_study(request), clock=clock, objective=objective, quiet=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    words = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: work(words), "interrupted")


if __name__ == "__main__":
    raise SystemExit(main())
