"""Whether forecasts of final values are honest: how many finals lie in their 80 % interval.

On each data set of LCBench, a method searches until the budget is spent. From the curves that this
leaves, the surrogate forecasts where the paused runs, and new ones at random, would end; the
records tell.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from search.cli import Parser, guarded
from search.coordinates import Array
from search.surrogate import START, WANDERING, Curve, CurveModel
from studies.bench_search import lcbench
from studies.bench_search.bench import check_numbers, chosen_sets
from studies.bench_search.halving import mo_asha
from studies.bench_search.methods import METHODS, Search, run
from studies.bench_search.ours import axes_of, runs_of
from studies.recorded import Config, Problem

HALF_WIDTH = 1.2816
"""Standard deviations to either side that hold 80 % of a normal distribution."""
NEW = 50
"""New runs at random that are forecast after each search."""


def off(
    problem: Problem,
    budget_s: float,
    seed: int,
    search: Search = mo_asha,
    start: tuple[float, ...] = WANDERING,
) -> tuple[Array, Array]:
    """Errors of forecasts in their standard deviations: (of paused runs, of new ones).

    `search` leaves the curves; `start` says what the surrogate assumes of them, see `CurveModel`.
    """
    meter = run(search, problem, budget_s, seed)
    axes = axes_of(problem)
    seen = runs_of(meter, axes)
    points = np.array([one.point for one in seen])
    model = CurveModel(axes, points, [Curve(points=one.points) for one in seen], start)
    paused = [k for k, one in enumerate(seen) if one.points and not one.done]
    rng = np.random.default_rng(seed + 1)
    new = [problem.draw(rng) for _ in range(NEW)]
    truth = _finals(problem, [meter.runs[k].config for k in paused])
    mean, spread = model.final(points[paused], paused)
    begun = (truth - mean) / spread
    mean, spread = model.final(axes.encode(new))
    return begun, (_finals(problem, new) - mean) / spread


def _finals(problem: Problem, configs: Sequence[Config]) -> Array:
    return np.array([problem.sign(problem.measure(c, problem.full)) for c in configs])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's arguments.

    Raises:
        BadInput: they are not usable.
    """
    parser = Parser("python -m studies.bench_search.calibration", str(__doc__))
    parser.add_argument("--data", type=Path, required=True, help="folder of LCBench's records")
    parser.add_argument("--seeds", type=int, default=10, help="searches per data set and budget")
    parser.add_argument("--budgets", type=float, nargs="+", help="in full runs; default: 5 10 15")
    parser.add_argument("--datasets", nargs="+", metavar="N|NAME", help="default: all")
    parser.add_argument(
        "--method", choices=METHODS, default="mo-asha", help="it searches; default: mo-asha"
    )
    parser.add_argument(
        "--proposals",
        action="store_true",
        help="the forecasts that proposals rest on, instead of those to rely on",
    )
    options = parser.parse_args(arguments)
    check_numbers(options)
    return options


def work(arguments: Sequence[str] | None) -> int:
    """Measure and print."""
    options = parse(arguments)
    suite = lcbench.suite(options.data)
    search = METHODS[options.method].search
    start = START if options.proposals else WANDERING
    kinds: dict[float, tuple[list[Array], list[Array]]] = {}
    for name in chosen_sets(suite.name, suite.sets, options.datasets):
        task = suite.load(name)
        for budget in options.budgets or suite.budgets:
            found = [
                off(task.problem, suite.seconds(task, budget), seed, search, start)
                for seed in range(options.seeds)
            ]
            begun, new = (np.concatenate(errors) for errors in zip(*found, strict=True))
            print(f"{name}, {budget:g} {suite.unit}: {told(begun, new)}", flush=True)
            kept = kinds.setdefault(budget, ([], []))
            kept[0].append(begun)
            kept[1].append(new)
    for budget, (begun_all, new_all) in kinds.items():
        both = told(np.concatenate(begun_all), np.concatenate(new_all))
        print(f"all, {budget:g} {suite.unit}: {both}")
    return 0


def told(begun: Array, new: Array) -> str:
    """Shares inside the interval, and how wide it would have to be, for people."""
    parts = [
        f"{kind} {np.mean(np.abs(errors) <= HALF_WIDTH):.1%} of {len(errors)} "
        f"(80 % within {np.quantile(np.abs(errors), 0.8):.2f} standard deviations)"
        for kind, errors in (("paused", begun), ("new", new))
    ]
    return "inside the 80 % interval: " + ", ".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return guarded(lambda: work(arguments), "stopped; nothing is kept")


if __name__ == "__main__":
    raise SystemExit(main())
