"""RegMix: mixtures of 17 sources of the Pile, each for one loss or the mean of three.

A Gaussian process on 512 recorded runs stands in for training (`studies.bench_mixture` says how
well it ranks mixtures it never saw). A run has one step; all take the same time. Needs
scikit-learn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spaces.mixture import SPREAD, to_mixture
from studies.bench_mixture import GOALS, Data
from studies.bench_search.suite import Suite, Task
from studies.recorded import Config, Parameter, Point, Problem, Scale

Array = NDArray[np.float64]

BUDGETS = (20.0, 40.0)
SAMPLE, ROUNDS, VARIED = 4000, 40, 400
"""Mixtures at random, and rounds of varied good ones: the best known mixture is scored 1."""
KEPT = 40
"""Best mixtures that are varied."""


class Mixtures:
    """The recorded runs, and one process per goal."""

    def __init__(self, folder: Path) -> None:
        """Read the files.

        Raises:
            BadInput: the folder is no copy of RegMix's `data`, or scikit-learn is missing.
        """
        self._data = Data(folder)
        self.natural = {f"source {k:02}": float(s) for k, s in enumerate(self._data.natural)}
        kinds = self._data.goals
        self.sets = tuple(
            f"{kind} {k}" for k, kind in enumerate(kinds) if kind in (GOALS[0], GOALS[1])
        )

    def losses(self, name: str, mixtures: Array) -> Array:
        """[N] of [N, sources]."""
        return self._data.model(int(name.rpartition(" ")[2]))(mixtures)

    def problem(self, name: str) -> Problem:
        """The mixtures around the natural one, in the coordinates of `spaces.mixture`."""

        def measure(config: Config, step: int) -> Point:
            assert step == 1  # noqa: S101  # a run has no other
            shares = to_mixture({k: float(v) for k, v in config.items()}, self.natural)
            loss = float(self.losses(name, np.array([[shares[s] for s in self.natural]]))[0])
            return Point(accuracy=-loss, loss=loss, seconds=1.0)

        return Problem(
            name=name,
            parameters=tuple(
                Parameter(name=source, low=-SPREAD, high=SPREAD, default=0.0)
                for source in self.natural
            ),
            full=1,
            measure=measure,
            timed=False,
            natural=self.natural,
            default_first=True,
        )

    def scale(self, name: str) -> Scale:
        """From the natural mixture (0) to the best one known (1)."""
        rng = np.random.default_rng(0)
        natural = np.array(list(self.natural.values()))

        def losses(z: Array) -> Array:
            raw = natural * np.exp(z)
            return self.losses(name, raw / raw.sum(1, keepdims=True))

        z = rng.uniform(-SPREAD, SPREAD, (SAMPLE, len(natural)))
        found = losses(z)
        for _ in range(ROUNDS):
            best = found.argsort()[:KEPT]
            width = rng.choice([1.0, 0.3, 0.1], (VARIED, 1))
            moved = z[rng.choice(best, VARIED)] + width * rng.normal(size=(VARIED, len(natural)))
            moved = np.clip(moved, -SPREAD, SPREAD)
            z = np.concatenate([z[best], moved])
            found = np.concatenate([found[best], losses(moved)])
        start = float(losses(np.zeros((1, len(natural))))[0])
        return Scale(
            accuracy=(-start, -float(found.min())), seconds=(0.0, 0.0), log_time=False, mean_s=1.0
        )


def suite(folder: Path) -> Suite:
    """One problem for each loss and each mean of three."""
    mixtures = Mixtures(folder)
    return Suite(
        name="regmix",
        sets=mixtures.sets,
        load=lambda name: Task(problem=mixtures.problem(name), scale=mixtures.scale(name)),
        budgets=BUDGETS,
        unit="full runs",
    )
