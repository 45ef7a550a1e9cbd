"""LCBench: learning curves of small networks on 34 data sets, from a surrogate.

Zimmer et al. 2021 (arXiv 2006.13799) trained 2,000 networks per data set for 52 epochs; YAHPO Gym
(Pfisterer et al. 2022, arXiv 2109.03670) fitted a network to accuracy and time, which is read here:
the folder `lcbench` of github.com/slds-lmu/yahpo_data. Goals: validation accuracy up, seconds of
the full training down. A log scale asks for front over all orders of magnitude of time; on a
linear one what is quicker than a tenth of the slowest hardly counts. Needs onnxruntime.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import BadInput
from studies.bench_search.suite import Suite, Task
from studies.recorded import Config, Parameter, Point, Problem, Scale

Array = NDArray[np.float32]

INPUTS = (
    *("epoch", "batch_size", "learning_rate", "momentum"),
    *("weight_decay", "num_layers", "max_units", "max_dropout"),
)
"""The surrogate's numbers, in its order."""
SECONDS, ACCURACY, CROSS_ENTROPY = 0, 1, 2
"""Columns of what it returns; accuracy is a percentage."""
EPOCHS = 52
BUDGETS = (5.0, 10.0, 15.0)
SAMPLE = 20_000
"""Configs at random whose extremes are the ends of the scale."""
ROUNDS, VARIED = 30, 1000
"""The front is then improved by this many rounds of varied members of it, so that it is near the
true one."""
LEAST_S = 1e-3
"""The surrogate foresees negative times in a few corners."""


class Surrogate:
    """The fitted network.

    Raises:
        BadInput: the folder is no copy of the surrogate, or onnxruntime is missing.
    """

    def __init__(self, folder: Path, *, log_time: bool) -> None:
        self.log_time = log_time
        try:
            import onnxruntime  # noqa: PLC0415  # not needed by the product
        except ImportError as err:
            raise BadInput("onnxruntime is missing; pip install recipe-search[bench]") from err
        advice = "give the folder `lcbench` of github.com/slds-lmu/yahpo_data with --data"
        try:
            space = json.loads((folder / "config_space.json").read_text(encoding="utf-8"))
            codes = json.loads((folder / "encoding.json").read_text(encoding="utf-8"))
            model = (folder / "model.onnx").read_bytes()
            axes = {axis["name"]: axis for axis in space["hyperparameters"]}
            self.sets = tuple(axes["OpenML_task_id"]["choices"])
            self.parameters = tuple(_parameter(axes[name]) for name in INPUTS[1:])
            self._codes: dict[str, int] = codes["OpenML_task_id"]
        except (OSError, ValueError, KeyError) as err:
            raise BadInput(f"{folder}: {err!r}; {advice}".replace("\n", " ")) from err
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # small batches: more threads only wait for each other
        self._session = onnxruntime.InferenceSession(model, options)

    def predict(self, name: str, rows: Array) -> Array:
        """[rows, 6] of [rows, inputs]."""
        codes = np.full((len(rows), 1), self._codes[name], np.int32)
        found: Array = self._session.run(None, {"x_cat": codes, "x_cont": rows})[0]
        return found

    def curve(self, name: str, config: Config) -> list[Point]:
        """A config after each epoch."""
        rows = np.array(
            [[epoch, *(config[p] for p in INPUTS[1:])] for epoch in range(1, EPOCHS + 1)],
            np.float32,
        )
        return _points(self.predict(name, rows))

    def problem(self, name: str) -> Problem:
        """What can be tried on a data set."""
        curves: dict[tuple[Any, ...], list[Point]] = {}

        def measure(config: Config, step: int) -> Point:
            key = tuple(config[p] for p in INPUTS[1:])
            if key not in curves:
                curves[key] = self.curve(name, config)
            return curves[key][step - 1]

        return Problem(
            name=name,
            parameters=self.parameters,
            full=EPOCHS,
            measure=measure,
            early="accuracy",
            log_time=self.log_time,
        )

    def full_runs(self, name: str, units: NDArray[np.float64]) -> list[Point]:
        """Full runs at [rows, parameters] positions in the unit cube."""
        columns = [
            [p.at(float(u)) for u in column]
            for p, column in zip(self.parameters, units.T, strict=True)
        ]
        rows = np.array([[EPOCHS] * len(units), *columns], np.float32).T
        return [_point(row) for row in self.predict(name, rows)]

    def scale(self, name: str) -> Scale:
        """Between the worst and the best of a large sample."""
        rng = np.random.default_rng(0)
        units = rng.random((SAMPLE, len(self.parameters)))
        sample = self.full_runs(name, units)
        known = list(zip(sample, units, strict=True))
        for _ in range(ROUNDS):
            front = _front(known)
            parents = np.array([front[k][1] for k in rng.integers(len(front), size=VARIED)])
            width = rng.choice([0.3, 0.1, 0.03], (VARIED, 1))
            moved = rng.normal(size=parents.shape) * width * (rng.random(parents.shape) < 0.5)
            varied = np.clip(parents + moved, 0, np.nextafter(1.0, 0.0))
            known = [*front, *zip(self.full_runs(name, varied), varied, strict=True)]
        more = [point for point, _ in _front(known)]
        return Scale.of(sample, timed=True, log_time=self.log_time, more=more)


def _parameter(axis: dict[str, Any]) -> Parameter:
    return Parameter(
        name=axis["name"],
        low=axis["lower"],
        high=axis["upper"],
        log=axis["log"],
        whole=axis["type"] == "uniform_int",
        default=axis["default"],
    )


def _point(row: Array) -> Point:
    return Point(
        accuracy=float(np.clip(row[ACCURACY] / 100, 0, 1)),
        loss=max(0.0, float(row[CROSS_ENTROPY])),
        seconds=max(LEAST_S, float(row[SECONDS])),
    )


def _points(rows: Array) -> list[Point]:
    """Points of one curve, in which time never goes back."""
    rows = rows.copy()
    rows[:, SECONDS] = np.minimum.accumulate(rows[::-1, SECONDS])[::-1]
    return [_point(row) for row in rows]


def _front(known: Sequence[tuple[Point, Any]]) -> list[tuple[Point, Any]]:
    best, front = -1.0, []
    for point, where in sorted(known, key=lambda k: (k[0].seconds, -k[0].accuracy)):
        if point.accuracy > best:
            front.append((point, where))
            best = point.accuracy
    return front


def suite(folder: Path, *, log_time: bool = True) -> Suite:
    """All data sets, time on a log scale or on a linear one."""
    surrogate = Surrogate(folder, log_time=log_time)
    return Suite(
        name="lcbench" if log_time else "lcbench-linear",
        sets=surrogate.sets,
        load=lambda name: Task(problem=surrogate.problem(name), scale=surrogate.scale(name)),
        budgets=BUDGETS,
        unit="full runs",
    )
