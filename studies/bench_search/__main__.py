"""Compare search methods on recorded runs, in simulated time and at equal budgets.

Each method searches each problem with each seed until its budget of recorded training time is
spent; scored is the share of the best known front (accuracy, training time) that its full runs
cover. What was measured is kept in --out and not measured again.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from search.cli import Parser, guarded
from search.errors import BadInput
from studies.bench_search import compare, lcbench, peers, peft, plot, regmix
from studies.bench_search.bench import Bench, Way, check_numbers, chosen_sets, command
from studies.bench_search.methods import METHODS, Method, run
from studies.bench_search.results import Results
from studies.bench_search.suite import Suite, Task

SUITES: Mapping[str, Callable[[Path], Suite]] = {
    "lcbench": lcbench.suite,
    "lcbench-linear": partial(lcbench.suite, log_time=False),
    "peft": peft.suite,
    "regmix": regmix.suite,
}
EPILOG = (
    "LCBench: the folder lcbench of github.com/slds-lmu/yahpo_data. PEFT: the folder "
    "method_comparison/MetaMathQA/results of github.com/huggingface/peft. RegMix: the folder data "
    "of github.com/sail-sg/regmix. Needs pip install recipe-search[bench]. The methods "
    f"{', '.join(peers.NAMES)} need an environment of their own: python3 -m venv peers; "
    "peers/bin/pip install torch syne-tune==0.16.0 neural-pipeline-search==0.17.0; then "
    "--peers-python peers/bin/python. PriMO takes from a quarter of a minute to twelve a search."
)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's arguments.

    Raises:
        BadInput: they are not usable.
    """
    parser = Parser("python -m studies.bench_search", str(__doc__), EPILOG)
    parser.add_argument("--data", type=Path, required=True, help="folder of the suite's records")
    parser.add_argument("--suite", choices=SUITES, required=True)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; a plot comes beside it")
    parser.add_argument("--seeds", type=int, default=10, help="searches per method and problem")
    parser.add_argument("--budgets", type=float, nargs="+", help="default: the suite's own")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="default: all")
    parser.add_argument(
        "--datasets",
        nargs="+",
        metavar="N|NAME",
        help="the first N problems, or these; default: all",
    )
    parser.add_argument(
        "--pair", default="ours", metavar="METHOD", help="tested against the others"
    )
    parser.add_argument("--again", nargs="+", default=[], metavar="METHOD", help="measure anew")
    parser.add_argument("--peers-python", metavar="P", help="Python of the peers' environment")
    options = parser.parse_args(arguments)
    check_numbers(options)
    if options.pair not in (*METHODS, *peers.NAMES):
        known = ", ".join((*METHODS, *peers.NAMES))
        raise BadInput(f"--pair {options.pair}: choose from {known}")
    return options


def chosen_methods(
    suite: Suite, there: Mapping[str, Method], asked: Sequence[str] | None, stepwise: bool
) -> dict[str, Method]:
    """Methods to compare; where runs cannot be looked at early, those that would not do so.

    Raises:
        BadInput: there is no method of this name.
    """
    for name in asked or []:
        if name not in there:
            why = "; it needs --peers-python" if name in peers.NAMES else ""
            raise BadInput(f"--methods {name}: choose from {', '.join(there)}{why}")
        if there[name].stepwise and not stepwise:
            raise BadInput(f"--methods {name}: {suite.name} has no early steps to look at")
    return {
        name: method
        for name, method in there.items()
        if name in (asked or there) and (stepwise or not method.stepwise)
    }


def ways(
    suite: Suite, methods: Mapping[str, Method], budgets: Sequence[float]
) -> dict[str, Way[Task]]:
    """The searches of a suite, for `Bench`."""
    return {
        name: partial(searched, suite, method, sorted(budgets)) for name, method in methods.items()
    }


def searched(
    suite: Suite, method: Method, budgets: Sequence[float], task: Task, seed: int
) -> list[tuple[float, float]]:
    """(budget, score) at each budget, in order."""
    limits = [(budget, suite.seconds(task, budget)) for budget in budgets]
    if method.anytime and (method.anytime_on_tables or not task.problem.table):
        meter = run(method.search, task.problem, limits[-1][1], seed)
        return [(budget, task.scale.score(meter.by(limit))) for budget, limit in limits]
    found = []
    for budget, limit in limits:
        meter = run(method.search, task.problem, limit, seed)
        found.append((budget, task.scale.score(meter.by(limit))))
    return found


def facts(results: Results, pair: str, options: argparse.Namespace) -> dict[str, Any]:
    """What is kept beside the scores."""
    words = ["python -m studies.bench_search --data", options.data.name]
    return {
        "command": command(
            words, options, ("suite", "seeds", "pair", "budgets", "methods", "datasets")
        ),
        "versions": {"python": platform.python_version(), "optuna": optuna.__version__},
        "summary": compare.summary(results.scores, pair),
    }


def work(arguments: Sequence[str] | None) -> int:
    """Measure, print, and write."""
    options = parse(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    suite = SUITES[options.suite](options.data)
    there, others = dict(METHODS), None
    if options.peers_python:
        others = peers.Peers(options.peers_python)
        there |= others.methods()
    try:
        sets = chosen_sets(suite.name, suite.sets, options.datasets)
        stepwise = suite.load(sets[0]).problem.full > 1
        methods = chosen_methods(suite, there, options.methods, stepwise)
        results = Results(options.out, suite.name, suite.unit)
        for name in options.again:
            if name not in methods:
                raise BadInput(f"--again {name}: it is not among {', '.join(methods)}")
            results.forget(name)
        budgets = options.budgets or suite.budgets
        bench = Bench(suite.load, ways(suite, methods, budgets), budgets, options.seeds)
        bench.measure(results, sets, lambda: results.save(facts(results, options.pair, options)))
    finally:
        if others is not None:
            others.close()
    kept = facts(results, options.pair, options)
    results.save(kept)
    found = kept["summary"]
    for line in compare.lines(found, options.pair, suite.unit):
        print(line)
    picture = options.out.with_suffix(".png")
    plot.write(plot.figure(found, options.pair, suite.name, suite.unit), picture)
    print(f"kept in {options.out} and {picture}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return guarded(
        lambda: work(arguments), "stopped; the same command goes on from what was measured"
    )


if __name__ == "__main__":
    raise SystemExit(main())
