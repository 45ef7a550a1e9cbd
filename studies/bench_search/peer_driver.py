"""The other side of `peers.py`: other people's methods, in an environment of their own.

Run by that environment's Python, it reads one JSON line per search from standard input, asks for
runs on standard output, and reads what became of each. It imports nothing of this project.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

Ask = tuple[str, dict[str, Any], int]
"""(name of a run, its config, step to train it to)"""
Asks = Generator[Ask, list[float], None]
"""Yields what is to be run; is sent the goals that were reached, lower is better."""
FIRST, ETA = 1, 3
"""First rung, in steps, and the reduction factor: the defaults of both libraries' papers."""
TABLE_DESIGN = 5
"""PriMO's initial design on a table, in full runs. As many as there are axes, its default, would be
one: it has no full run by then, and stops with an error."""


def syne_tune_moasha(job: dict[str, Any]) -> Asks:
    """Syne Tune's MOASHA: random configs, stopped at rungs by non-dominated sorting."""
    from syne_tune import config_space as spaces
    from syne_tune.backend.trial_status import Trial
    from syne_tune.optimizer.scheduler import SchedulerDecision
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    def axis(p: dict[str, Any]) -> Any:
        if p["choices"]:
            return spaces.choice(p["choices"])
        if p["whole"]:
            kind = spaces.lograndint if p["log"] else spaces.randint
            return kind(int(p["low"]), int(p["high"]))
        kind = spaces.loguniform if p["log"] else spaces.uniform
        return kind(p["low"], p["high"])

    names = [f"goal{k}" for k in range(job["goals"])]
    scheduler = MOASHA(
        config_space={p["name"]: axis(p) for p in job["parameters"]},
        metrics=names,
        time_attr="step",
        max_t=job["full"],
        grace_period=FIRST,
        reduction_factor=ETA,
        random_seed=job["seed"],
    )
    rungs = [FIRST]
    while rungs[-1] * ETA < job["full"]:
        rungs.append(rungs[-1] * ETA)
    number = 0
    while True:
        config = scheduler.suggest().config
        trial = Trial(trial_id=number, config=config, creation_time=None)
        scheduler.on_trial_add(trial)
        for step in [*rungs, job["full"]]:
            goals = yield str(number), config, step
            result = {"step": step, **dict(zip(names, goals, strict=True))}
            if step == job["full"]:
                scheduler.on_trial_complete(trial, result)
            elif scheduler.on_trial_result(trial, result) == SchedulerDecision.STOP:
                scheduler.on_trial_remove(trial)
                break
        number += 1


def neps(job: dict[str, Any], *, primo: bool) -> Asks:
    """NePS: moasha, or PriMO without priors (none of the methods is given any)."""
    import neps as library
    from neps.optimizers import algorithms
    from neps.space.neps_spaces.neps_space import convert_neps_to_classic_search_space

    def axis(p: dict[str, Any]) -> Any:
        if p["choices"]:
            return library.Categorical(choices=p["choices"])
        if p["whole"]:
            return library.Integer(int(p["low"]), int(p["high"]), log=p["log"])
        return library.Float(p["low"], p["high"], log=p["log"])

    axes = {p["name"]: axis(p) for p in job["parameters"]}
    axes["step"] = library.IntegerFidelity(FIRST, job["full"])
    space = type("Space", (library.PipelineSpace,), axes)()
    classic = convert_neps_to_classic_search_space(space)
    if primo:
        begin = TABLE_DESIGN if len(job["parameters"]) == 1 else "ndim"
        optimizer: Any = algorithms.primo(
            classic, eta=ETA, prior_centers={}, initial_design_size=begin
        )
    else:
        optimizer = algorithms.moasha(classic, eta=ETA)
    session = library.AskAndTell(optimizer=optimizer)
    while True:
        trial = session.ask()
        config = dict(trial.config)
        step = int(config.pop("step"))
        goals = yield trial.id.split("_")[0], config, step
        session.tell(trial, {"objective_to_minimize": goals})


METHODS: dict[str, Callable[[dict[str, Any]], Asks]] = {
    "syne-tune-moasha": syne_tune_moasha,
    "neps-moasha": lambda job: neps(job, primo=False),
    "neps-primo": lambda job: neps(job, primo=True),
}


def seeded(seed: int) -> None:
    """Seed every source of chance that the libraries use."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)


def plain(value: Any) -> Any:
    """A JSON type."""
    return value.item() if hasattr(value, "item") else value


def main() -> int:
    """Serve searches until standard input ends."""
    out, sys.stdout = sys.stdout, sys.stderr  # what the libraries print must not get in between
    for line in sys.stdin:
        job = json.loads(line)
        seeded(job["seed"])
        asks = METHODS[job["method"]](job)
        began = time.monotonic()
        ask = next(asks)
        while True:
            run, config, step = ask
            asked = {"run": run, "step": step, "config": {k: plain(v) for k, v in config.items()}}
            print(json.dumps(asked | {"seconds": time.monotonic() - began}), file=out, flush=True)
            goals = json.loads(sys.stdin.readline())["goals"]
            if goals is None:
                break
            began = time.monotonic()
            ask = asks.send(goals)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
