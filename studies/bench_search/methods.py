"""The search methods that are compared, by name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from studies.bench_search import ours
from studies.bench_search.halving import LOOKS, beaten, below_median, draw, mo_asha, one_epoch
from studies.recorded import Exhausted, Meter, Problem, Run

Search = Callable[[Problem, Meter, int], None]
"""(problem, meter, seed): searches until the meter's budget is spent, or nothing is left to do."""
Rule = Callable[[Problem, Meter, Run, int], bool]
"""(problem, meter, run, step): whether the run is stopped here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A search method."""

    search: Search
    anytime: bool = True
    """Whether it does the same whatever the budget is, so that one search tells of all budgets."""
    anytime_on_tables: bool = True
    """Likewise where only the rows of a table can be tried."""
    stepwise: bool = False
    """Whether it is nothing but another method where a run cannot be looked at before its end."""
    peer: bool = False
    """Whether it lives in an environment of its own."""


def begin(problem: Problem, meter: Meter, rng: np.random.Generator) -> Run | None:
    """The next run at random; the first one is the default where searches begin with it."""
    if problem.default_first and not meter.runs:
        return meter.start(problem.default())
    return draw(problem, meter, rng)


def finish(problem: Problem, meter: Meter, run: Run, rule: Rule | None) -> bool:
    """Train a run to its end, or until the rule stops it; whether it got there."""
    looks = sorted({problem.step_at(share) for share in LOOKS}) if rule else []
    for step in looks:
        if step < problem.full:
            run.train(step)
            if rule and rule(problem, meter, run, step):
                return False
    run.train(problem.full)
    return True


def at_random(rule: Rule | None = None) -> Search:
    """Configs at random."""

    def search(problem: Problem, meter: Meter, seed: int) -> None:
        rng = np.random.default_rng(seed)
        while run := begin(problem, meter, rng):
            finish(problem, meter, run, rule)

    return search


def with_optuna(
    sampler: Callable[[int], optuna.samplers.BaseSampler], rule: Rule | None = None
) -> Search:
    """Configs of an Optuna sampler: told what is finished, and that a stopped run was pruned.

    A row of a table that was tried before is replaced by one at random, and told as that one.
    """

    def search(problem: Problem, meter: Meter, seed: int) -> None:
        rng = np.random.default_rng(seed)
        goals = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][: 1 + problem.timed]
        study = optuna.create_study(directions=goals, sampler=sampler(seed))
        if problem.default_first:
            study.enqueue_trial(problem.default())
        while True:
            trial = study.ask()
            config = problem.suggest(trial)
            again = problem.table and next(iter(config.values())) not in meter.untried()
            run = draw(problem, meter, rng) if again else meter.start(config)
            if run is None:
                return
            done = finish(problem, meter, run, rule)
            values = [run.point.accuracy, problem.time(run.point.seconds)][: len(goals)]
            state = TrialState.COMPLETE if done else TrialState.PRUNED
            told = values if done else None
            if again:
                study.tell(trial, state=TrialState.FAIL)
                study.add_trial(
                    create_trial(
                        params=run.config,
                        distributions=trial.distributions,
                        values=told,
                        state=state,
                    )
                )
            else:
                study.tell(trial, told, state)

    return search


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)


def _nsga2(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=seed)


METHODS: Mapping[str, Method] = {
    "ours": Method(search=ours.search, anytime_on_tables=False),
    "random": Method(search=at_random()),
    "random+pareto": Method(search=at_random(beaten), stepwise=True),
    "tpe": Method(search=with_optuna(_tpe)),
    "tpe+median": Method(search=with_optuna(_tpe, below_median), stepwise=True),
    "tpe+pareto": Method(search=with_optuna(_tpe, beaten), stepwise=True),
    "nsga2": Method(search=with_optuna(_nsga2)),
    "one-epoch": Method(search=one_epoch, anytime=False, stepwise=True),
    "mo-asha": Method(search=mo_asha, stepwise=True),
}
"""Those that run here; `peers.py` has the others."""


def run(search: Search, problem: Problem, budget_s: float, seed: int) -> Meter:
    """Search until the budget is spent; the meter holds what was finished."""
    meter = Meter(problem, budget_s)
    with contextlib.suppress(Exhausted):
        search(problem, meter, seed)
    return meter
