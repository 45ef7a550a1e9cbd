"""Whole days in simulated time, with troubles at random.

Segments and evaluations crash, hang, run out of memory or reach a loss that is not a number, and
the machine stalls or becomes slow or fast. The whole job may be killed, too, and is then
started again by the same command.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from optuna.storages import InMemoryStorage

from objectives.objective import Listener, Loaded, Schedule, Scores, Trained
from objectives.replay import CurveObjective
from search.budget import SimulatedClock
from search.errors import Diverged, OutOfMemory, RecipeSearchError, WorkerFailed
from search.job import run
from search.request import Request, build_study
from search.view import NoView
from search.worker import LATE_S, SILENCE_S, Patience
from spaces import Recipe

DAY_S = 86_400.0
MOST_PROCESSES = 60
"""A day that was started this often and is not done counts as lost."""
LONGEST_STALL_S = 60.0
CHANCES = {"crash": 0.004, "oom": 0.01, "nan": 0.01, "stall": 0.03, "speed": 0.02}
"""Chance of each at every beginning and end of a piece of work; a day has some two hundred."""
HANG = 0.005
"""Chance that a segment or an evaluation hangs."""
KILL = 0.02
"""Chance that the whole job is killed at a beginning or end, if it may be."""


class Killed(BaseException):
    """Stands for kill -9: nothing in the job catches it."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a day."""

    seed: int
    saved: bool
    overshoot_s: float
    processes: int
    """How often the job was started."""
    stopped: list[str]
    """What the job said each time that it gave up; it was then started again."""
    unused_s: float
    troubles: dict[str, int]


class Shaken(CurveObjective):
    """Formulas, with troubles; what hangs is killed as `search.worker` does it."""

    patience: Patience
    until = math.inf
    """When the evaluation under way is killed, by the clock."""
    hangs: Callable[[str], bool] = staticmethod(lambda _what: False)
    """Whether a segment ("3"), or an evaluation ("3 on final"), hangs."""

    def train(
        self,
        trial: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
    ) -> Trained:
        """See `Objective.train`."""
        if self.hangs(trial):
            self._hang(SILENCE_S, None if deadline_s is None else deadline_s + LATE_S)
        return super().train(trial, recipe, schedule, until_step, deadline_s, listener)

    def evaluate(
        self,
        trial: str | None,
        items: str,
        listener: Listener,
        *,
        exact: bool,
        part: tuple[int, int] | None = None,
        deadline_s: float | None = None,
    ) -> Scores:
        """See `Objective.evaluate`."""
        if self.hangs(f"{trial or 'base'} on {items}"):
            self._hang(self.patience.limit_s(exact), deadline_s)
        self.until = math.inf if deadline_s is None else self.clock.now() + deadline_s
        try:
            found = super().evaluate(
                trial, items, listener, exact=exact, part=part, deadline_s=deadline_s
            )
        finally:
            self.until = math.inf
        self.patience.learn(exact, 1.0)
        return found

    def load(self, listener: Listener) -> Loaded:
        """See `Objective.load`."""
        self.patience = Patience()
        return super().load(listener)

    def stall(self, seconds: float) -> None:
        """Nothing happens for some time."""
        left = self.until - self.clock.now()
        self.clock.advance(max(0.0, min(seconds, left)))
        if seconds > left:
            raise WorkerFailed("the evaluation did not end before its deadline")

    def _hang(self, silence_s: float, late_s: float | None) -> NoReturn:
        self.clock.advance(silence_s if late_s is None else max(0.0, min(silence_s, late_s)))
        raise WorkerFailed("the training process gave no sign of life")


class Troubles:
    """What happens to one day."""

    def __init__(self, seed: int, clock: SimulatedClock, *, kills: bool) -> None:
        self.kills = kills
        self.random = random.Random(seed)
        self.clock = clock
        self.objective: Shaken | None = None
        self.count: Counter[str] = Counter()
        self.tokens_per_s = 5000.0
        self.slowness = 1.0

    def start(self) -> Shaken:
        """A new process's objective, on the checkpoints of the one before and as fast as it."""
        made = Shaken(self.clock, fail=self.reach)
        made.hangs = self.hang
        if self.objective is not None:
            made.state = self.objective.state
        self.objective = made
        self._set_speed()
        return made

    def hang(self, what: str) -> bool:
        """Whether a piece of work hangs."""
        del what
        hung = self.random.random() < HANG
        self.count["hang"] += hung
        return hung

    def reach(self, point: str, trial: str) -> None:
        """Called at each beginning and end of a piece of work."""
        del point
        if self.kills and self.random.random() < KILL:
            self.count["kill"] += 1
            raise Killed
        drawn = self.random.random()
        for kind, chance in CHANCES.items():
            if (drawn := drawn - chance) < 0:
                self.count[kind] += 1
                self.happen(kind, trial)
                return

    def happen(self, kind: str, trial: str) -> None:
        """One trouble."""
        if kind == "crash":
            raise WorkerFailed("the training process ended with code -11")
        if kind == "oom":
            raise OutOfMemory("CUDA out of memory")
        if kind == "nan" and trial != "base":
            raise Diverged("the loss is not a number")
        if kind == "stall":
            assert self.objective is not None  # noqa: S101  # start() made it
            self.objective.stall(self.random.uniform(1.0, LONGEST_STALL_S))
        if kind == "speed":
            self.tokens_per_s = 5000.0 * self.random.uniform(0.4, 1.3)
            self.slowness = self.random.uniform(0.7, 2.5)
            self._set_speed()

    def _set_speed(self) -> None:
        assert self.objective is not None  # noqa: S101  # start() made it
        self.objective.tokens_per_s = self.tokens_per_s
        self.objective.slowness = self.slowness


def day(seed: int, folder: Path, *, kills: bool = False, budget_s: float = DAY_S) -> Outcome:
    """One day and what becomes of it.

    Args:
        seed: of the troubles, and of the job.
        folder: where it may write.
        kills: whether the job is killed now and then.
        budget_s: the day's length.
    """
    clock, storage, out = SimulatedClock(), InMemoryStorage(), folder / f"day-{seed}"
    troubles = Troubles(seed, clock, kills=kills)
    request = Request(budget_s=budget_s, out=out, seed=seed)
    processes, stopped = 0, list[str]()
    while not (out / "summary.json").is_file() and processes < MOST_PROCESSES:
        processes += 1
        objective = troubles.start()
        try:
            run(
                request,
                build_study(request),
                clock=clock,
                objective=lambda _study, _path, made=objective: made,  # type: ignore[misc]
                view=NoView(),
                storage=storage,
            )
        except Killed:
            continue
        except RecipeSearchError as error:
            stopped.append(f"{type(error).__name__}: {error}")
    summary = {}
    if (out / "summary.json").is_file():
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    there = bool(summary) and (out / "recipe" / "recipe.json").is_file()
    overshoot = float(summary.get("overshoot_s", 0.0))
    shutil.rmtree(out, ignore_errors=True)
    return Outcome(
        seed=seed,
        saved=there and (overshoot == 0 or kills),
        overshoot_s=overshoot,
        processes=processes,
        stopped=stopped,
        unused_s=budget_s - sum(summary.get("spent_s", {}).values()),
        troubles=dict(troubles.count),
    )


def facts(found: Sequence[Outcome]) -> dict[str, Any]:
    """The figures over all days."""
    kinds: Counter[str] = Counter()
    for outcome in found:
        kinds.update(outcome.troubles)
    return {
        "days": len(found),
        "saved": sum(outcome.saved for outcome in found),
        "overshot": sum(outcome.overshoot_s > 0 for outcome in found),
        "most_overshoot_s": max(outcome.overshoot_s for outcome in found),
        "gave_up": sum(bool(outcome.stopped) for outcome in found),
        "troubles": dict(sorted(kinds.items())),
        "median_unused_s": round(statistics.median(o.unused_s for o in found), 1),
        "lost": [asdict(outcome) for outcome in found if not outcome.saved],
    }


def lines(made: dict[str, Any]) -> list[str]:
    """The figures for people."""
    told = ", ".join(f"{count:,} {kind}" for kind, count in made["troubles"].items())
    return [
        f"{made['saved']:,} of {made['days']:,} days ended in time with a recipe",
        f"{made['overshot']:,} overshot, by {made['most_overshoot_s']} s at most",
        f"{made['gave_up']:,} gave up for a while: a cause three times in a row",
        f"what happened to them: {told}",
        f"left unused: {made['median_unused_s']} s (median)",
        *(f"lost: {one}" for one in made["lost"]),
    ]
