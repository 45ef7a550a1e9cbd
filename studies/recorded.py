"""Searches replayed on recorded runs: what can be tried, what a try costs, and what was reached.

A search method sees a `Problem` (parameters, steps of a run) through a `Meter`, which charges every
step of training to a budget in recorded seconds. Nothing here tells a method how it is scored: a
`Scale`, made of a large sample of the same problem, does that afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import optuna

Value = float | int | str
Config = Mapping[str, Value]
"""A value per parameter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """An axis of the space: an interval, or a list of choices.

    Raises:
        ValueError: an interval upside down, a log scale that starts at 0, or a default outside.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    """Only whole numbers."""
    choices: tuple[str, ...] = ()
    """If not empty, the parameter is one of these; the interval does not matter."""
    default: Value
    """What a careful user would take without a search."""

    def __post_init__(self) -> None:
        if self.choices:
            inside = self.default in self.choices
        elif self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.name}: [{self.low}, {self.high}] is no interval ({self.log=})")
        else:
            inside = self.low <= float(self.default) <= self.high
        if not inside:
            raise ValueError(f"{self.name}: the default {self.default!r} lies outside")

    def at(self, unit: float) -> Value:
        """The value at `unit` in [0, 1): what is uniform there is so here, on the own scale."""
        if self.choices:
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        low, high = self.low, self.high + (1 if self.whole else 0)
        value = low * (high / low) ** unit if self.log else low + (high - low) * unit
        return min(int(value), int(self.high)) if self.whole else min(value, self.high)

    def suggest(self, trial: optuna.trial.Trial) -> Value:
        """Let an Optuna trial choose."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A run after some of its steps."""

    accuracy: float
    """Higher is better: the first goal. After the last step the one that counts."""
    loss: float
    """Lower is better: a second view of the same, steadier where accuracy is of few items."""
    seconds: float
    """Training from the start up to here: after the last step the second goal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What can be tried. All of it is known to a real job before it trains anything."""

    name: str
    parameters: tuple[Parameter, ...]
    full: int
    """Steps of a full run; a run can be stopped, looked at and resumed after each step."""
    measure: Callable[[Config, int], Point]
    """(config, step of 1 to `full`) -> what was recorded; a method asks through a `Meter`."""
    early: str = "loss"
    """Which of `accuracy` and `loss` is the steadier early sign of the final accuracy."""
    timed: bool = True
    """Whether training time is a goal, beside accuracy."""
    log_time: bool = False
    """Whether halving the time is worth the same for long runs and for short ones; else an hour
    is an hour."""
    table: bool = False
    """The only parameter lists all runs that exist; each can be tried once."""
    natural: Mapping[str, float] = field(default_factory=dict)
    """If the parameters are a mixture's coordinates: each source's natural share
    (see `spaces.mixture`)."""
    default_first: bool = False
    """Whether a search begins with the default config, as real jobs do."""

    def default(self) -> dict[str, Value]:
        """Every parameter's default."""
        return {p.name: p.default for p in self.parameters}

    def draw(self, rng: np.random.Generator) -> dict[str, Value]:
        """A config at random."""
        return {p.name: p.at(float(rng.random())) for p in self.parameters}

    def suggest(self, trial: optuna.trial.Trial) -> dict[str, Value]:
        """A config of Optuna's choice."""
        return {p.name: p.suggest(trial) for p in self.parameters}

    def step_at(self, share: float) -> int:
        """The step after about `share` of a full run."""
        return min(self.full, max(1, round(share * self.full)))

    def sign(self, point: Point) -> float:
        """The early sign, lower is better."""
        return point.loss if self.early == "loss" else -point.accuracy

    def time(self, seconds: float) -> float:
        """Seconds on the scale on which they matter."""
        return math.log(seconds) if self.log_time else seconds


class Exhausted(Exception):  # noqa: N818  # not an error: the budget is spent
    """The budget is spent: the search ends here."""


class Meter:
    """A budget in recorded seconds, and all that was done with it."""

    def __init__(self, problem: Problem, budget_s: float) -> None:
        self.problem = problem
        self.budget_s = budget_s
        self.spent_s = 0.0
        self.runs: list[Run] = []
        self.finished: list[tuple[float, Point]] = []
        """(seconds spent by then, result) of every full run."""
        self._taken: set[Value] = set()

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return self.budget_s - self.spent_s

    def start(self, config: Config) -> Run:
        """Begin a run; it costs nothing yet.

        Raises:
            ValueError: the run of a table was begun before.
        """
        if self.problem.table:
            row = config[self.problem.parameters[0].name]
            if row in self._taken:
                raise ValueError(f"{row} was tried before")
            self._taken.add(row)
        self.runs.append(Run(self, dict(config)))
        return self.runs[-1]

    def untried(self) -> list[Value]:
        """The runs of a table that were not begun."""
        (rows,) = self.problem.parameters
        return [row for row in rows.choices if row not in self._taken]

    def by(self, spent_s: float) -> list[Point]:
        """Full runs that were finished by the time `spent_s` was spent."""
        return [point for when, point in self.finished if when <= spent_s]


class Run:
    """A config in training: it can be left and resumed at any step."""

    def __init__(self, meter: Meter, config: dict[str, Value]) -> None:
        self._meter = meter
        self.config = config
        self.number = len(meter.runs)
        self.step = 0
        self.points: dict[int, Point] = {}
        """What was seen, by step."""

    @property
    def point(self) -> Point:
        """The latest of what was seen.

        Raises:
            ValueError: it was not trained.
        """
        if not self.step:
            raise ValueError("nothing was trained")
        return self.points[self.step]

    @property
    def done(self) -> bool:
        """Whether it is a full run."""
        return self.step == self._meter.problem.full

    def train(self, until: int) -> Point:
        """Go on up to a step, and look.

        Raises:
            Exhausted: the budget ends before; the rest of it is spent, and nothing seen.
            ValueError: the step lies behind, or beyond a full run.
        """
        problem, meter = self._meter.problem, self._meter
        if not self.step < until <= problem.full:
            raise ValueError(f"cannot train from step {self.step} to {until} of {problem.full}")
        point = problem.measure(self.config, until)
        seconds = point.seconds - (self.point.seconds if self.step else 0.0)
        if seconds > meter.left_s:
            meter.spent_s = meter.budget_s
            raise Exhausted
        meter.spent_s += seconds
        self.step = until
        self.points[until] = point
        if self.done:
            meter.finished.append((meter.spent_s, point))
        return point

    def full_s(self) -> float:
        """Seconds of the full run, foreseen from those so far."""
        return self.point.seconds * self._meter.problem.full / self.step


def area(points: Iterable[tuple[float, float]]) -> float:
    """What (x, y) points of the unit square dominate, both better when higher: a hypervolume."""
    covered, height = 0.0, 0.0
    for x, y in sorted(points, reverse=True):
        if y > height:
            covered += x * (y - height)
            height = y
    return covered


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How a search is scored: between the worst (0) and the best (1) of what can be reached."""

    accuracy: tuple[float, float]
    """(scored 0, scored 1)"""
    seconds: tuple[float, float]
    """(scored 1, scored 0) of a full run; equal where time is no goal."""
    log_time: bool
    front: float = 1.0
    """Area under the best front known."""
    mean_s: float
    """A full run's mean seconds: the unit of budgets."""

    @classmethod
    def of(
        cls,
        sample: Sequence[Point],
        *,
        timed: bool,
        log_time: bool = False,
        more: Iterable[Point] = (),
    ) -> Scale:
        """The scale of a problem.

        Args:
            sample: full runs of a large sample of it: their extremes are the ends of the scale.
            timed: see `Problem`.
            log_time: see `Problem`.
            more: full runs that are known to be good, so that the front is the true one.

        Raises:
            ValueError: the sample is too small, or all of it is alike or at its ends.
        """
        accuracy = [p.accuracy for p in sample]
        seconds = [p.seconds for p in sample]
        if len(sample) < 2 or max(accuracy) <= min(accuracy):
            raise ValueError(f"{len(sample)} runs make no scale")
        bare = cls(
            accuracy=(min(accuracy), max(accuracy)),
            seconds=(min(seconds), max(seconds)) if timed else (0.0, 0.0),
            log_time=log_time,
            mean_s=math.fsum(seconds) / len(seconds),
        )
        front = area(bare.unit(p) for p in [*sample, *more])
        if not front:
            raise ValueError("no run of the sample is better than the worst on both goals")
        return replace(bare, front=front)

    def unit(self, point: Point) -> tuple[float, float]:
        """(accuracy, time saved), each in [0, 1]: nothing is won by passing an end of the scale."""
        worst, best = self.accuracy
        quality = (point.accuracy - worst) / (best - worst)
        saved = 1.0
        if self.seconds[1] > self.seconds[0]:
            times = (*self.seconds, point.seconds)
            least, most, own = map(math.log, times) if self.log_time else times
            saved = (most - own) / (most - least)
        return min(1.0, max(0.0, quality)), min(1.0, max(0.0, saved))

    def score(self, points: Iterable[Point]) -> float:
        """Share of the best front's area that full runs cover, at most 1."""
        return min(1.0, area(self.unit(point) for point in points) / self.front)
