"""What a benchmark is asked for and has left: done in order, kept at once, with the time left."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from search.budget import format_seconds
from search.cli import told
from search.errors import BadInput
from studies.bench_search.results import Results

KEEP_S = 30.0
"""Seconds of measuring that may be lost at most, but for the search in progress."""
Task = TypeVar("Task")
Way = Callable[[Task, int], Sequence[tuple[float, float]]]
"""(problem, seed) -> (budget, score) at each budget."""


def check_numbers(options: argparse.Namespace) -> None:
    """Raise BadInput where `--seeds` or `--budgets` cannot be searched with."""
    if options.seeds < 1:
        raise BadInput(f"--seeds {options.seeds}: give at least 1")
    for budget in options.budgets or []:
        if not 0 < budget < float("inf"):
            raise BadInput(f"--budgets {budget:g}: give a positive number")


def chosen_sets(suite: str, there: Sequence[str], asked: Sequence[str] | None) -> Sequence[str]:
    """Problems to search, of those that are there.

    Raises:
        BadInput: the suite has none of this name.
    """
    if not asked:
        return there
    if len(asked) == 1 and asked[0] not in there and asked[0].isdecimal():
        count = int(asked[0])
        if not 1 <= count <= len(there):
            raise BadInput(f"--datasets {count}: {suite} has 1 to {len(there)}")
        return there[:count]
    for name in asked:
        if name not in there:
            raise BadInput(f"--datasets {name}: {suite} has {', '.join(there)}")
    return asked


def command(words: Sequence[str], options: argparse.Namespace, flags: Sequence[str]) -> str:
    """What was typed, to be kept beside the results: `words`, and those flags that have a value."""
    found = list(words)
    for flag in flags:
        value = getattr(options, flag)
        if value:
            values = value if isinstance(value, list) else [value]
            found += [f"--{flag}", *(f"{v:g}" if isinstance(v, float) else str(v) for v in values)]
    return " ".join(found)


class Bench(Generic[Task]):
    """Ways to solve problems, to be measured with each seed."""

    def __init__(
        self,
        load: Callable[[str], Task],
        ways: Mapping[str, Way[Task]],
        budgets: Sequence[float],
        seeds: int,
    ) -> None:
        """Set up.

        Args:
            load: a problem by its name.
            ways: by name.
            budgets: at which all are measured.
            seeds: how many, from 0.
        """
        self._load, self._ways = load, ways
        self._budgets, self._seeds = budgets, range(seeds)
        self._took: dict[str, list[float]] = {}
        self._left: dict[str, int] = {}

    def todo(self, results: Results, name: str) -> list[tuple[str, int]]:
        """(way, seed) of a problem that were not measured at every budget."""
        return [
            (way, seed)
            for way in self._ways
            for seed in self._seeds
            if not all(results.has(way, name, budget, seed) for budget in self._budgets)
        ]

    def measure(self, results: Results, names: Sequence[str], save: Callable[[], None]) -> None:
        """Do what is left of these problems, keeping results as they come."""
        todo = {name: self.todo(results, name) for name in names}
        for work in todo.values():
            for way, _ in work:
                self._left[way] = self._left.get(way, 0) + 1
        kept = time.monotonic()
        for place, (name, work) in enumerate(todo.items()):
            task = self._load(name) if work else None
            for way, seed in work:
                assert task is not None  # noqa: S101  # there is work
                where = f"{name} ({place + 1} of {len(names)}), {way}, seed {seed}"
                told(f"{where}{self._time_left()}")
                began = time.monotonic()
                for budget, score in self._ways[way](task, seed):
                    results.add(way, name, budget, seed, score)
                self._took.setdefault(way, []).append(time.monotonic() - began)
                self._left[way] -= 1
                if time.monotonic() - kept >= KEEP_S:
                    save()
                    kept = time.monotonic()
            if work:
                save()
                told("")
            print(f"{name} ({place + 1} of {len(names)}): done{self._time_left()}", flush=True)

    def _time_left(self) -> str:
        if not self._took:
            return ""
        means = {name: sum(took) / len(took) for name, took in self._took.items()}
        typical = sum(means.values()) / len(means)
        seconds = sum(count * means.get(name, typical) for name, count in self._left.items())
        return f", about {format_seconds(seconds)} left"
