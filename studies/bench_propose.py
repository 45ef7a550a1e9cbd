"""How long a proposal takes, by how many trials came before: `python -m studies.bench_propose`.

The trials are of the demo study, on simulated curves, as a search of that length would leave them:
of nine that begin, three reach the second rung, and one the last. Nothing is trained.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import median

import optuna
from optuna.trial import TrialState

from objectives.replay import CurveObjective
from search.budget import SimulatedClock
from search.cli import Parser, guarded
from search.proposals import propose
from search.store import Record, Rung
from spaces import suggest
from studies.catalog import find
from studies.study import Study

RUNGS = (100_000, 300_000, 900_000)
"""Tokens."""
GOAL_S = 1.0
"""What a proposal may cost at 1,000 trials."""


def history(study: Study, count: int, seed: int) -> list[Record]:
    """Records of `count` trials that have ended."""
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    objective = CurveObjective(SimulatedClock())
    records = []
    for number in range(count):
        trial = drawn.ask()
        recipe = suggest(trial, study.space)
        reached = 3 if number % 9 == 0 else 2 if number % 9 < 3 else 1
        rungs = tuple(
            Rung(
                rung=rung,
                tokens=tokens,
                step=tokens // recipe.tokens_per_step,
                accuracy=0.5,
                stderr=0.05,
                loss=objective.loss(recipe, tokens),
                per_task={},
                train_s=tokens / objective.speed(recipe),
                eval_s=1.0,
            )
            for rung, tokens in enumerate(RUNGS[:reached])
        )
        records.append(
            Record(
                number=number,
                state=TrialState.COMPLETE if reached == len(RUNGS) else TrialState.PRUNED,
                bracket=number // 9,
                origin="simulated",
                recipe=recipe,
                params=trial.params,
                distributions=trial.distributions,
                rungs=rungs,
            )
        )
    return records


def seconds(study: Study, count: int, repeats: int) -> list[float]:
    """What each of `repeats` proposals takes after `count` other trials each."""
    found = []
    for seed in range(repeats):
        records = history(study, count, seed)
        began = time.perf_counter()
        propose(study, seed, records, RUNGS[-1])
        found.append(time.perf_counter() - began)
    return found


def _run(options: argparse.Namespace) -> int:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = find("demo")
    print(f"{'trials':>7} {'median s':>9} {'most s':>7}")
    worst = 0.0
    for count in options.trials:
        found = seconds(study, count, options.repeats)
        print(f"{count:>7,} {median(found):>9.3f} {max(found):>7.3f}", flush=True)
        worst = max(worst, *found)
    print(f"goal: under {GOAL_S:g} s each; {'met' if worst < GOAL_S else 'missed'}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = Parser(
        "python -m studies.bench_propose",
        "Time a proposal by how many trials came before; nothing is trained.",
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 40, 350, 1000])
    parser.add_argument("--repeats", type=int, default=5, help="histories per count (default: 5)")
    return guarded(lambda: _run(parser.parse_args(argv)), "interrupted")


if __name__ == "__main__":
    raise SystemExit(main())
