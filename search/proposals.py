"""Which recipe to try next: the experts' first, then what learning curves so far promise.

After the experts and some recipes at random, the next one is where a trial is expected to add most
per second of its modelled cost: `search.sampler` learns from the losses of all trials at all rungs,
of those that were pruned and of those still alive.

A proposal is a pure function of (study, seed, trials so far): a killed and resumed search proposes
what the uninterrupted one would have. To keep it so, the sampler works on a copy of the study in
memory, where a trial's cost is its *modelled* cost: measured seconds differ from run to run, and
the same seed must give the same proposals. The real study holds accuracy and measured gpu_hours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from search.forecast import relative_cost
from search.sampler import AT_RANDOM, CURVE, CurveSampler
from search.store import Record
from spaces import Quantization, Recipe, Targets, suggest
from spaces.space import coordinate, parameters
from studies import Study

STARTUP_TRIALS = 9
"""Trials that must have been evaluated before the sampler is asked; proposals are random before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A recipe to try, as Optuna stores it."""

    recipe: Recipe
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    origin: str
    """Why this one."""


def seed_of(seed: int, number: int) -> int:
    """The seed of trial `number`'s proposal alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")


def sampler(study: Study, seed: int, number: int) -> CurveSampler:
    """The sampler for trial `number`."""
    return CurveSampler(
        seed=seed_of(seed, number),
        startup=STARTUP_TRIALS,
        prior=study.space.believed if study.space.priors else None,
        cost_of=modelled_cost,
        mixture={
            coordinate(name): share
            for name, share in study.space.natural_mixture.items()
            if share > 0
        },
    )


def modelled_cost(params: Mapping[str, Any]) -> float:
    """Seconds per token relative to a packed recipe in bf16 on all layers."""
    return relative_cost(
        (
            Targets(params["targets"]),
            Quantization(params["quantization"]),
            bool(params["packing"]),
            int(params["tokens_per_step"]),
        )
    )


def propose(study: Study, seed: int, records: Sequence[Record], full: int) -> Proposal:
    """The proposal for the next trial, whose number is `len(records)`.

    Args:
        study: the job's; its experts come first.
        seed: of the job.
        records: all trials so far.
        full: tokens of the top rung.
    """
    number = len(records)
    shadow = optuna.create_study(
        directions=["minimize", "minimize"], sampler=sampler(study, seed, number)
    )
    told = [_copy(record, full) for record in records if record.state is not TrialState.FAIL]
    seen = sum(CURVE in trial.user_attrs for trial in told)
    if number < len(study.experts):
        expert = study.experts[number]
        origin = f"expert {expert.name}: {expert.why}"
        shadow.enqueue_trial(parameters(expert.recipe, study.space))
    else:
        origin = f"most promising per second by {seen} learning curves, seed {seed}"
        if seen < STARTUP_TRIALS:
            by = ", by what experts hold" if study.space.priors else ""
            origin = f"random{by}, seed {seed}"
        shadow.add_trials(told)
    trial = shadow.ask()
    recipe = suggest(trial, study.space)
    if AT_RANDOM in shadow.get_trials(deepcopy=False)[-1].system_attrs:
        origin = f"random, since {seen} learning curves promise little anywhere, seed {seed}"
    return Proposal(
        recipe=recipe, params=trial.params, distributions=trial.distributions, origin=origin
    )


def _copy(record: Record, full: int) -> optuna.trial.FrozenTrial:
    """A trial as the sampler sees it: its curve of losses, and whether it can be trained at all."""
    curve = [(min(1.0, rung.tokens / full), rung.loss) for rung in record.rungs]
    done = record.state is TrialState.COMPLETE
    state = record.state if record.finished else TrialState.RUNNING
    broken = record.infeasible or (record.finished and not curve and not record.cut_off)
    return create_trial(
        state=state,
        params=dict(record.params),
        distributions=dict(record.distributions),
        values=[curve[-1][1], modelled_cost(record.params)] if done else None,
        user_attrs={CURVE: curve} if curve else {},
        constraints={"trainable": 1.0} if broken else None,
    )
