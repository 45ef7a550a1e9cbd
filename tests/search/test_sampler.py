"""CurveSampler as a sampler of Optuna's: its conformance tests, and what it learns from curves."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState, create_trial

from search.acquisition import repeated
from search.coordinates import Axes
from search.sampler import AT_RANDOM, CURVE, CurveSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)


class TestConformance(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Optuna's own tests of samplers."""

    @pytest.fixture(params=[1, 10])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        """The sampler, with proposals from the second trial on, and with its own start."""
        startup: int = request.param
        return lambda: CurveSampler(seed=0, startup=startup)


SPACE: dict[str, optuna.distributions.BaseDistribution] = {
    "x": optuna.distributions.FloatDistribution(0, 1),
    "y": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
}


def final(x: float, y: float) -> float:
    """A smooth bowl with its bottom at x = .8, y = 1e-3."""
    return (x - 0.8) ** 2 + 0.1 * math.log10(y / 1e-3) ** 2


def early(x: float, y: float, share: float) -> float:
    """A curve down to it; runs with low x seem better while it is high: fast starters."""
    return final(x, y) + 0.5 * x * -math.log(share)


def explore(sampler: BaseSampler, *, curves: bool, seed: int) -> list[float]:
    """Propose 12 trials after 24 at random of which only a third was run to its end."""
    study = optuna.create_study(sampler=sampler)
    rng = np.random.default_rng(seed)
    for number in range(24):
        x, y = float(rng.random()), float(10 ** rng.uniform(-4, -2))
        done = number % 3 == 0
        shares = (0.1, 0.3, 1.0) if done else (0.1, 0.3)
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if done else TrialState.PRUNED,
                params={"x": x, "y": y},
                distributions=SPACE,
                value=final(x, y) if done else None,
                user_attrs={CURVE: [(s, early(x, y, s)) for s in shares]} if curves else {},
            )
        )
    found = []
    for _ in range(6):
        trial = study.ask(SPACE)
        value = final(**trial.params)
        study.tell(trial, value)
        if AT_RANDOM not in study.get_trials()[-1].system_attrs:
            found.append(value)
    return found


def test_it_learns_where_curves_end_from_runs_that_did_not() -> None:
    """Though low fidelities favour other recipes, its proposals end lower than random ones.

    Those apart that it draws at random itself, where it knows no better.
    """
    found = [v for s in range(5) for v in explore(CurveSampler(seed=s), curves=True, seed=s)]
    plain = optuna.samplers.RandomSampler
    drawn = [v for s in range(5) for v in explore(plain(seed=s), curves=True, seed=s)]
    assert len(found) >= 5
    assert np.mean(found) < 0.25 * np.mean(drawn)


def test_a_batch_of_proposals_spreads_out() -> None:
    """Where early values tell little of the end, none of a bracket is tried twice.

    Seen in a real job: seven of nine proposals of a bracket were the same recipe.
    """
    nearest = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        study = optuna.create_study(sampler=CurveSampler(seed=seed, startup=9))
        for _ in range(18):
            params = {"x": float(rng.random()), "y": float(10 ** rng.uniform(-4, -2))}
            end = final(**params)
            study.add_trial(
                create_trial(
                    params=params,
                    distributions=SPACE,
                    value=end,
                    user_attrs={CURVE: [(0.1, float(rng.normal())), (1.0, end)]},
                )
            )
        batch = []
        for _ in range(9):
            trial = study.ask(SPACE)
            trial.set_user_attr(CURVE, [(0.1, float(rng.normal()))])
            batch.append((trial.params["x"], math.log10(trial.params["y"]) / 2))
        points = np.array(batch)
        gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
        nearest.append(float(np.median(np.sort(gaps, axis=1)[:, 1])))
    assert np.mean(nearest) > 0.02


def test_a_mixture_is_known_by_its_shares() -> None:
    """Coordinates that are all alike are one mixture; the sampler finds the good one by shares."""
    names = ("a", "b", "c")
    space: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(-2.5, 2.5) for name in names
    }
    natural = dict.fromkeys(names, 1 / 3)
    axes = Axes(space, natural)
    ends = axes.encode([dict.fromkeys(names, z) for z in (-2.5, 0.0, 2.5)])
    assert np.allclose(axes.differences(ends, ends), 0)
    assert np.allclose(np.diff(axes.slopes(ends), axis=0), 0)
    other = axes.encode([{"a": 2.5, "b": -2.5, "c": -2.5}])
    assert axes.differences(ends, other).sum() > 1

    def loss(z: dict[str, float]) -> float:
        weights = np.exp([z[name] for name in names])
        return float(np.sum((weights / weights.sum() - np.array([0.7, 0.25, 0.05])) ** 2))

    def best(mixture: dict[str, float] | None, seed: int) -> float:
        study = optuna.create_study(sampler=CurveSampler(seed=seed, startup=5, mixture=mixture))
        for _ in range(14):
            trial = study.ask(space)
            study.tell(trial, loss(trial.params))
        return study.best_value

    by_shares = np.mean([best(natural, seed) for seed in range(5)])
    assert by_shares < 0.5 * np.mean([best(None, seed) for seed in range(5)])


def test_a_proposal_depends_on_seed_and_trials_only() -> None:
    """The same history and seed: the same proposals."""
    assert explore(CurveSampler(seed=3), curves=True, seed=0) == explore(
        CurveSampler(seed=3), curves=True, seed=0
    )


def test_infeasible_recipes_are_kept_away_from() -> None:
    """Half of the space runs out of memory: few proposals go there, though it looks best."""
    study = optuna.create_study(sampler=CurveSampler(seed=0))
    inside = 0
    for number in range(40):
        trial = study.ask(SPACE)
        if trial.params["x"] > 0.6:
            trial.set_constraint("memory", 1.0)
            study.tell(trial, state=TrialState.PRUNED)
            inside += number >= 20
        else:
            study.tell(trial, final(**trial.params))
    assert inside <= 8


def test_startup_must_be_positive() -> None:
    """Nothing can be learned from nothing."""
    with pytest.raises(ValueError, match="got 0"):
        CurveSampler(startup=0)


def test_a_known_cost_weighs_gains_and_is_the_second_goal() -> None:
    """Of recipes that promise the same, the cheap one is tried; unknown costs leave it open."""
    space: dict[str, optuna.distributions.BaseDistribution] = {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "kind": optuna.distributions.CategoricalDistribution(("cheap", "dear")),
    }
    cost = {"cheap": 1.0, "dear": 8.0}

    def chosen(seed: int, *, known: bool) -> str:
        cost_of = (lambda params: cost[params["kind"]]) if known else None
        sampler = CurveSampler(seed=seed, startup=4, cost_of=cost_of)
        study = optuna.create_study(sampler=sampler)
        rng = np.random.default_rng(seed)
        for number in range(8):
            x = float(rng.random())
            params = {"x": x, "kind": ("cheap", "dear")[number % 2]}
            study.add_trial(create_trial(params=params, distributions=space, value=(x - 0.5) ** 2))
        return str(study.ask(space).params["kind"])

    assert [chosen(seed, known=True) for seed in range(6)] == ["cheap"] * 6
    assert "dear" in {chosen(seed, known=False) for seed in range(12)}


def test_a_known_cost_replaces_what_trials_were_told() -> None:
    """Their second value may be on another scale."""
    found = []
    for factor in (1.0, 1000.0):
        sampler = CurveSampler(seed=0, startup=4, cost_of=lambda params: 1 + params["x"])
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        for k in range(8):
            params = {"x": k / 8, "y": 10 ** (-4 + k % 3)}
            values = [final(**params), factor * (1 + k / 8)]
            study.add_trial(create_trial(params=params, distributions=SPACE, values=values))
        found.append(study.ask(SPACE).params)
    assert found[0] == found[1]


def test_nothing_is_tried_twice_while_anything_is_left() -> None:
    """Not even where all recipes are equally good, or the rest is known to be worse."""
    distinct = 24
    for lean in (0.0, 1.0):
        study = optuna.create_study(sampler=CurveSampler(seed=0, startup=4))
        seen: list[tuple[object, ...]] = []
        for _ in range(distinct):
            trial = study.ask()
            rank = trial.suggest_int("rank", 1, 6)
            where = trial.suggest_categorical("where", ["all", "some"])
            packed = trial.suggest_categorical("packed", [True, False])
            seen.append((rank, where, packed))
            study.tell(trial, lean * (rank + (where == "all")))
        at_random, proposed = seen[:4], seen[4:]
        left = distinct - len(set(at_random))
        assert len({*proposed[:left]} - {*at_random}) == left


def test_a_mixture_in_other_coordinates_is_the_same_mixture() -> None:
    """All of its coordinates moved alike change no share: that is no new recipe."""
    space = {name: optuna.distributions.FloatDistribution(-2.5, 2.5) for name in ("a", "b")}
    axes = Axes(space, {"a": 0.5, "b": 0.5})
    tried = axes.encode([{"a": 1.0, "b": -1.0}])
    points = axes.encode([{"a": 2.0, "b": 0.0}, {"a": 2.0, "b": -0.5}])
    assert repeated(axes, points, tried).tolist() == [True, False]
