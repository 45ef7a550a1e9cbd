"""The baseline of a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from spaces.axis import Axis
from spaces.space import suggest
from studies import demo
from studies.default_alone import FINAL_SHARE, TRIALS, default_alone
from studies.study import Study
from tests.simulated import Simulation


def warm(optimizer: object, value: float) -> None:
    """An axis of the study's own."""
    optimizer.eps = value  # type: ignore[attr-defined]


@pytest.fixture
def searched() -> Study:
    """The demo, with an axis of its own."""
    study = demo.study()
    axis = Axis(name="eps", default=1e-8, interval=(1e-9, 1e-4), log=True, apply=warm)
    return replace(study, space=replace(study.space, axes=(axis,)))


def test_whatever_is_drawn_is_the_default_but_for_the_mixture(searched: Study) -> None:
    """No axis is left to search; sources, tasks and items stay."""
    baseline = default_alone(searched)
    optuna_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [suggest(optuna_study.ask(), baseline.space) for _ in range(5)]
    for recipe in drawn:
        assert replace(recipe, mixture=searched.default.mixture) == searched.default
    assert len({tuple(recipe.mixture.values()) for recipe in drawn}) == 5
    assert baseline.default == searched.default
    assert baseline.tasks == searched.tasks
    assert baseline.sources == searched.sources
    assert baseline.final_items == searched.final_items


def test_nearly_all_of_the_time_is_the_final_runs(tmp_path: Path) -> None:
    """Four trials choose the mixture, and no rule ends that sooner."""
    simulation = Simulation(tmp_path / "run", budget_s=7200)
    baseline = default_alone(demo.study())
    simulation.changes = {
        name: getattr(baseline, name)
        for name in ("space", "experts", "bracket", "final_share", "fixed_split")
    }
    simulation.run()
    store = simulation.store()
    plan = store.noted("plan")
    assert plan["final_train_s"] >= FINAL_SHARE * (plan["final_train_s"] + plan["search_s"]) - 1
    assert plan["bracket"] == TRIALS
    facts = store.noted("final_trained")
    winner = store.records()[store.noted("winner")].recipe
    assert replace(winner, mixture=baseline.default.mixture) == baseline.default
    assert facts["steps"] > 0
