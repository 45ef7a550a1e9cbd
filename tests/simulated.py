"""Whole searches in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import BaseStorage, InMemoryStorage

from objectives.replay import CurveObjective
from search.budget import SimulatedClock
from search.folder import RunFolder
from search.job import run
from search.request import Request, build_study
from search.store import Store
from search.view import NoView


class Lines(NoView):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


class Simulation:
    """One run folder, one simulated clock, any number of processes one after the other."""

    def __init__(self, path: Path, budget_s: float = 86400, seed: int = 0) -> None:
        self.path = path
        self.clock = SimulatedClock()
        self.request = Request(budget_s=budget_s, out=path, seed=seed)
        self.storage: BaseStorage = InMemoryStorage()
        self.view = Lines()
        self.kind: type[CurveObjective] = CurveObjective
        self.objective: CurveObjective | None = None
        self.changes: dict[str, Any] = {}
        """Fields of the study that are other than the demo's."""
        self.reported = False
        """Whether its report is drawn at the end, which takes longer than the search."""

    def run(self, fail: Callable[[str, str], None] | None = None, **options: Any) -> RunFolder:
        """Start a process and let it run; checkpoints outlive it, as on a disk."""
        objective = self.kind(self.clock, fail=fail, **options)
        if self.objective is not None:
            objective.state = self.objective.state
            objective.log = self.objective.log
        self.objective = objective
        with pytest.MonkeyPatch.context() as patch:
            if not self.reported:
                patch.setattr("search.job.write_report", lambda *_: None)
            return run(
                self.request,
                replace(build_study(self.request), **self.changes),
                clock=self.clock,
                objective=lambda _study, _path: objective,
                view=self.view,
                storage=self.storage,
            )

    def store(self) -> Store:
        """The study as it stands."""
        return Store(RunFolder(self.path), "demo", self.storage)
