"""`python -m studies.bench_split --data FOLDER --out FILE`: how much of a budget should be search?

Whole jobs on LCBench's recorded curves (`studies.bench_search.lcbench` says where the folder comes
from): brackets of successive halving, the default config first; then the winner is trained on with
what is left, to 52 epochs at most. The planner and the rule are those of real jobs:
`search.planner.ladder` sizes the brackets and rungs, `search.split.decide` ends the search. They
are compared with fixed splits, and with spending everything on the default config. Told is the
accuracy of the final run, mean over data sets; budgets are in full runs of the default config. A
control, `never ended`, plans the same and searches for as long as the final run's least share
allows: what the decision itself is worth. Configs come from the learning curves of all trials, as
in real jobs, or, with `--proposals`, from Optuna's TPE, as it is told of ended trials, or they are
random. What was measured is kept in --out and not measured again.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from search.cli import Parser, guarded
from search.planner import SMALLEST_BRACKET, Costs, bracket_cost, ladder
from search.proposals import STARTUP_TRIALS, seed_of
from search.pruning import quota
from search.split import LEAST_FINAL, TRIALS, decide
from studies import Study
from studies.bench_search import compare
from studies.bench_search.bench import Bench, Way, check_numbers, chosen_sets, command
from studies.bench_search.lcbench import EPOCHS, Surrogate
from studies.bench_search.ours import axes_of, distribution, propose
from studies.bench_search.results import Results
from studies.catalog import find
from studies.recorded import Config, Exhausted, Meter, Problem, Run

EPOCH = 1000
"""Tokens that stand for an epoch, for the planner."""
FIRST_RUNG = 2
"""Epochs: the first one's accuracy ranks LCBench's configs no better than chance."""
TPE_STARTUP = 10
"""Trials that must have ended before TPE is asked."""
FIXED = (0.1, 0.25, 0.5, 0.75)
DECIDED, DEFAULT, NEVER = "decided", "default", "never ended"
SOURCES = RANDOM, TPE, CURVES = "random", "tpe", "curves"
BUDGETS = (0.5, 1.0, 2.0, 4.0, 8.0)
SUITE, UNIT = "lcbench-jobs", "full runs of the default"


@dataclass(kw_only=True)
class Replay:
    """One job on recorded curves."""

    problem: Problem
    budget_s: float
    seed: int
    share: float | None
    """Share of the budget that is search; decided, if None."""
    study: Study
    ends: bool = True
    """Whether the rule may end the search; else only time does."""
    proposals: str = RANDOM
    """Where configs come from."""
    meter: Meter = field(init=False)
    reason: str = ""
    """Why the search ended, if that was decided."""

    def __post_init__(self) -> None:
        self.meter = Meter(self.problem, self.budget_s)
        self.rng = np.random.default_rng(self.seed)
        self.distributions = {p.name: distribution(p) for p in self.problem.parameters}
        self.axes = axes_of(self.problem)
        self.stopped: set[int] = set()
        most = 1 - LEAST_FINAL if self.share is None else self.share
        self.limit_s = most * self.budget_s
        self.default = self.meter.start(self.problem.default())

    def run(self) -> float:
        """Search and final run; returns the final accuracy."""
        first_s = self.problem.measure(self.default.config, 1).seconds
        planned = 1 - self.study.final_share if self.share is None else self.share
        if first_s < self.limit_s:
            self.default.train(1)  # the probe
            made = ladder(
                self.study,
                planned * self.budget_s,
                (1 - planned) * self.budget_s,
                self.costs(),
            )
            if made is not None:
                self.search(*made)
        return self.final()

    def search(self, size: int, tokens: tuple[int, ...]) -> None:
        """Brackets until the time is up or the final run is worth more."""
        self.rungs = sorted({min(EPOCHS, max(1, math.ceil(t / EPOCH))) for t in tokens})
        self.tokens = tuple(step * EPOCH for step in self.rungs)
        members = [self.default]
        if not self.train(self.default, self.rungs[0]):
            return
        while self.bracket(members, size):
            left = self.limit_s - self.meter.spent_s
            fitting = [n for n in range(size, SMALLEST_BRACKET - 1, -1) if self.cost(n) <= left]
            if not fitting or not self.goes_on(fitting[0]):
                return
            size, members = fitting[0], []

    def bracket(self, members: list[Run], size: int) -> bool:
        """One bracket; whether there is time for another one."""
        while len(members) < size:
            if len(self.meter.runs) >= TRIALS and not self.goes_on(size):
                size = 0
                break
            members.append(self.meter.start(self.propose()))
            if not self.train(members[-1], self.rungs[0]):
                return False
        alive = members
        for step in self.rungs[1:]:
            alive = sorted(alive, key=lambda run: self.problem.sign(run.point))
            goes_on = quota(len(alive), self.study.eta)
            self.stopped |= {id(run) for run in alive[goes_on:]}
            alive = alive[:goes_on]
            if not all(self.train(run, step) for run in alive):
                return False
        return bool(size)

    def propose(self) -> Config:
        """The next config, the first ones at random."""
        seen = [run for run in self.meter.runs if run.step]
        if self.proposals == CURVES and len(seen) >= STARTUP_TRIALS:
            found = propose(self.problem, self.meter, self.axes, self.rng, self.rungs[-1])
            assert found is not None  # noqa: S101  # a surrogate's space never ends
            return found
        ended = [run for run in seen if self.done(run) or id(run) in self.stopped]
        if self.proposals == TPE and len(ended) >= TPE_STARTUP:
            return self.by_tpe(ended)
        return self.problem.draw(self.rng)

    def done(self, run: Run) -> bool:
        """Whether a run has reached the top rung."""
        return run.step >= self.rungs[-1]

    def by_tpe(self, ended: Sequence[Run]) -> Config:
        """As jobs did before: accuracy and cost of the complete ones, the others as pruned."""
        number = len(self.meter.runs)
        study = optuna.create_study(
            directions=["minimize", "minimize"],
            sampler=optuna.samplers.TPESampler(
                seed=seed_of(self.seed, number), n_startup_trials=TPE_STARTUP
            ),
        )
        for run in ended:
            values = [self.problem.sign(run.point), self.problem.time(run.point.seconds)]
            study.add_trial(
                create_trial(
                    params=run.config,
                    distributions=self.distributions,
                    state=TrialState.COMPLETE if self.done(run) else TrialState.PRUNED,
                    values=values if self.done(run) else None,
                )
            )
        return self.problem.suggest(study.ask())

    def goes_on(self, size: int) -> bool:
        """Whether a further trial is worth its time, where that is decided."""
        if self.share is not None or not self.ends:
            return True
        curves = [
            [(step * EPOCH, self.problem.sign(run.points[step])) for step in self.rungs
             if step in run.points]
            for run in self.meter.runs
            if self.rungs[0] in run.points
        ]  # fmt: skip
        found = decide(
            curves,
            count=1,
            cost_s=self.cost(size) / size,
            left_s=self.meter.left_s,
            token_s=self.epoch_s() / EPOCH,
            most_tokens=EPOCHS * EPOCH,
        )
        self.reason = found.reason
        return found.search_on

    def train(self, run: Run, step: int) -> bool:
        """Train to a rung if that is foreseen to fit, and does."""
        if step <= run.step:
            return True
        epoch_s = run.point.seconds / run.step if run.step else self.epoch_s()
        if self.meter.spent_s + epoch_s * (step - run.step) > self.limit_s:
            return False
        try:
            run.train(step)
        except Exhausted:
            return False
        return True

    def final(self) -> float:
        """The best at the highest rung goes on for as long as the budget allows."""
        run = self.default
        seen = [r for r in self.meter.runs if r.step]
        if seen:
            top = max(r.step for r in seen)
            run = min((r for r in seen if r.step == top), key=lambda r: self.problem.sign(r.point))
        done_s = run.point.seconds if run.step else 0.0
        step = max(1, run.step)
        while (
            step < EPOCHS
            and self.problem.measure(run.config, step + 1).seconds - done_s <= self.meter.left_s
        ):
            step += 1
        return self.problem.measure(run.config, step).accuracy

    def epoch_s(self) -> float:
        """Typical seconds of an epoch so far."""
        return statistics.median(r.point.seconds / r.step for r in self.meter.runs if r.step)

    def costs(self) -> Costs:
        """The planner's view of that."""
        token_s = self.epoch_s() / EPOCH
        return Costs(load_s=0, token_s=token_s, search_eval_s=0, final_eval_s=0)

    def cost(self, size: int) -> float:
        """Seconds of a bracket."""
        return bracket_cost(size, self.tokens, self.costs(), self.study.eta)


def ways(proposals: Sequence[str], budgets: Sequence[float]) -> dict[str, Way[Problem]]:
    """How the budget may be split, for `Bench`: all with the first proposals, and decided ones."""
    study = replace(find("demo"), first_rung_tokens=FIRST_RUNG * EPOCH, bracket=9)

    def finals(
        problem: Problem,
        seed: int,
        *,
        source: str = RANDOM,
        share: float | None = None,
        ends: bool = True,
    ) -> list[tuple[float, float]]:
        full_s = problem.measure(problem.default(), EPOCHS).seconds
        return [
            (
                budget,
                Replay(
                    problem=problem,
                    budget_s=budget * full_s,
                    seed=seed,
                    share=share,
                    study=study,
                    ends=ends,
                    proposals=source,
                ).run(),
            )
            for budget in budgets
        ]

    first = proposals[0]
    found: dict[str, Way[Problem]] = {DEFAULT: partial(finals, share=0.0)}
    for share in FIXED:
        found[named(f"{share:.0%} search", first)] = partial(finals, source=first, share=share)
    found[named(NEVER, first)] = partial(finals, source=first, ends=False)
    for source in proposals:
        found[named(DECIDED, source)] = partial(finals, source=source)
    return found


def named(split: str, source: str) -> str:
    """A split and where its configs come from."""
    return f"{split}, {source}"


def facts(results: Results, options: argparse.Namespace) -> dict[str, Any]:
    """What is kept beside the scores."""
    words = ["python -m studies.bench_split --data", options.data.name]
    pair = named(DECIDED, options.proposals[0])
    return {
        "command": command(words, options, ("seeds", "budgets", "datasets", "proposals")),
        "summary": compare.summary(results.scores, pair),
    }


def work(arguments: Sequence[str] | None) -> int:
    """Measure, print, and write."""
    parser = Parser("python -m studies.bench_split", str(__doc__))
    parser.add_argument("--data", type=Path, required=True, help="folder of the surrogate")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--seeds", type=int, default=10, help="jobs per split and data set")
    parser.add_argument("--budgets", type=float, nargs="+", default=list(BUDGETS))
    parser.add_argument("--datasets", nargs="+", metavar="N|NAME", help="default: all")
    parser.add_argument(
        "--proposals",
        nargs="+",
        choices=SOURCES,
        default=[CURVES],
        help="where configs come from; the fixed splits are measured with the first of these only",
    )
    options = parser.parse_args(arguments)
    check_numbers(options)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    surrogate = Surrogate(options.data, log_time=True)
    sets = chosen_sets("LCBench", surrogate.sets, options.datasets)
    results = Results(options.out, SUITE, UNIT)
    bench = Bench(
        surrogate.problem, ways(options.proposals, options.budgets), options.budgets, options.seeds
    )
    bench.measure(results, sets, lambda: results.save(facts(results, options)))
    kept = facts(results, options)
    results.save(kept)
    for line in compare.lines(kept["summary"], named(DECIDED, options.proposals[0]), UNIT):
        print(line)
    print(f"kept in {options.out}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return guarded(
        lambda: work(arguments), "stopped; the same command goes on from what was measured"
    )


if __name__ == "__main__":
    raise SystemExit(main())
