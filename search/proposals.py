"""Which recipe to try next: the experts' first, then Optuna's sampler.

A proposal is a pure function of (study, seed, trial number, finished trials): a killed and resumed
search proposes what the uninterrupted one would have. To keep it so, the sampler works on a copy of
the study in memory, where a trial's cost is its *modelled* cost: measured seconds differ from run
to run, and the same seed must give the same proposals. The real study holds measured gpu_hours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from search.forecast import relative_cost, shape
from search.store import Record
from spaces import Recipe, suggest
from spaces.space import parameters
from studies import Study

STARTUP_TRIALS = 10
"""Trials that must have ended before TPE is asked; before that, proposals are random."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A recipe to try, as Optuna stores it."""

    recipe: Recipe
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    origin: str
    """Why this one."""


def sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """The sampler for trial `number`: multi-objective TPE, seeded for this one proposal."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return optuna.samplers.TPESampler(
        seed=int.from_bytes(digest[:4], "big"), n_startup_trials=STARTUP_TRIALS
    )


def propose(study: Study, seed: int, records: Sequence[Record]) -> Proposal:
    """The proposal for the next trial, whose number is `len(records)`."""
    number = len(records)
    shadow = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler(seed, number))
    ended = [r for r in records if r.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if number >= len(study.experts) and len(ended) >= STARTUP_TRIALS:
        shadow.add_trials([_copy(record) for record in ended])  # else the past has no say
    if number < len(study.experts):
        expert = study.experts[number]
        origin = f"expert {expert.name}: {expert.why}"
        shadow.enqueue_trial(parameters(expert.recipe, study.space))
    elif len(ended) < STARTUP_TRIALS:
        origin = f"random, seed {seed}"
    else:
        origin = f"TPE on {len(ended)} finished trials, seed {seed}"
    trial = shadow.ask()
    recipe = suggest(trial, study.space)
    return Proposal(
        recipe=recipe, params=trial.params, distributions=trial.distributions, origin=origin
    )


def _copy(record: Record) -> optuna.trial.FrozenTrial:
    values = None
    if record.state is TrialState.COMPLETE:
        top = record.rungs[-1]
        values = [top.accuracy, top.tokens * relative_cost(shape(record.recipe))]
    return create_trial(
        state=record.state,
        params=dict(record.params),
        distributions=dict(record.distributions),
        values=values,
        constraints={"memory": 1.0} if record.infeasible else None,
    )
