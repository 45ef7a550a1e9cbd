"""What is proposed next: in the space or of a list, weighed as asked, despite wrong priors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution

from search.acquisition import New, best_new
from search.coordinates import Array, Axes
from search.evidence import Outlook, Run
from search.sampler import CurveSampler, Prior

optuna.logging.set_verbosity(optuna.logging.ERROR)

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0, 1),
    "y": FloatDistribution(0, 1),
}
BOTTOM = 0.8


def final(x: float) -> float:
    """Lower is better; y does not matter to it."""
    return (x - BOTTOM) ** 2


def outlook(*, timed: bool) -> Outlook:
    """Twelve full runs and twelve begun ones; cost rises with y."""
    points = np.random.default_rng(0).random((24, 2))
    runs = [
        Run(
            point=point,
            points=tuple(
                (share, final(point[0]) - 0.1 * math.log(share))
                for share in ((0.1, 1.0) if k % 2 else (0.1,))
            ),
            costs=((1.0, 1 + 9 * float(point[1])),) if timed else (),
        )
        for k, point in enumerate(points)
    ]
    return Outlook(Axes(SPACE), runs, np.random.default_rng(0), timed=timed)


def alike(points: Array, _costs: Array) -> Array:
    """No point counts more than another."""
    return np.ones(len(points))


def test_a_proposal_lies_in_the_space_where_the_value_is_best() -> None:
    """And the same random numbers give the same one."""
    seen = outlook(timed=False)
    front = seen.front(range(len(seen.runs)))
    first, again = (best_new(seen, front, np.random.default_rng(1), alike) for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.point, again.point)
    assert np.all((first.point >= 0) & (first.point <= 1))
    assert first.point[0] == pytest.approx(BOTTOM, abs=0.1)


def test_what_is_weighed_with_0_is_not_proposed() -> None:
    """Where the weight leaves out half of the space, the proposal lies in the other half."""
    seen = outlook(timed=True)
    front = seen.front(range(len(seen.runs)))

    def left_half(points: Array, _costs: Array) -> Array:
        return np.where(points[:, 0] < 0.5, 1.0, 0.0)

    found = best_new(seen, front, np.random.default_rng(1), left_half)
    assert found is not None
    assert found.point[0] < 0.5


def test_gains_per_cost_propose_cheaper_runs() -> None:
    """Dividing by the cost never makes the proposal dearer, here."""
    seen = outlook(timed=True)
    front = seen.front(range(len(seen.runs)))
    plain = best_new(seen, front, np.random.default_rng(1), alike)
    priced = best_new(seen, front, np.random.default_rng(1), lambda _p, costs: 1 / costs)
    assert plain is not None
    assert priced is not None
    assert priced.point[1] <= plain.point[1] + 0.02


def test_from_a_list_one_of_it_is_proposed_and_none_from_an_empty_one() -> None:
    """As of a table, whose rows can each be tried once."""
    seen = outlook(timed=False)
    front = seen.front(range(len(seen.runs)))
    rows = np.array([[0.1, 0.5], [0.78, 0.5], [0.4, 0.5]])
    found = best_new(seen, front, np.random.default_rng(1), alike, rows)
    assert found is not None
    np.testing.assert_array_equal(found.point, rows[1])
    assert best_new(seen, front, np.random.default_rng(1), alike, rows[:0]) is None


def test_of_a_list_as_well_nothing_is_tried_again_while_there_is_anything_else() -> None:
    """Then the best of the rest, and of a list that was tried throughout the best of all."""
    seen = outlook(timed=False)
    front = seen.front(range(len(seen.runs)))
    rows = np.array([[0.1, 0.5], [0.78, 0.5], [0.7, 0.5]])

    def chosen(tried: Array) -> Array:
        found = best_new(seen, front, np.random.default_rng(1), alike, rows, tried)
        assert found is not None
        return found.point

    np.testing.assert_array_equal(chosen(rows[:0]), rows[1])
    np.testing.assert_array_equal(chosen(rows[1:2]), rows[2])
    np.testing.assert_array_equal(chosen(rows), rows[1])


def test_where_nothing_promises_much_and_a_look_is_cheap_most_runs_are_at_random() -> None:
    """Around a bottom that is known well; with nothing tried there, what promises most is tried."""
    rng = np.random.default_rng(0)
    known = [Run(point=point, points=((1.0, final(point[0])),)) for point in rng.random((40, 2))]
    early = Run(point=np.array([0.0, 0.5]), points=((0.02, 0.9),), over=True)
    away = [run for run in known if run.point[0] < 0.5]

    def drawn(runs: list[Run]) -> list[New]:
        seen = Outlook(Axes(SPACE), runs, np.random.default_rng(0), timed=False)
        front = seen.front(range(len(runs)))
        found = [best_new(seen, front, np.random.default_rng(seed), alike) for seed in range(20)]
        return [new for new in found if new is not None]

    found = drawn([*known, early])
    lucky, other = (
        [new.point[0] for new in found if new.at_random is kind] for kind in (True, False)
    )
    assert 10 <= len(lucky) <= 19
    assert np.ptp(lucky) > 0.5
    np.testing.assert_allclose(other, BOTTOM, atol=0.1)
    for runs in (known, [*away, early]):
        assert not any(new.at_random for new in drawn(runs))


def belief(x: float) -> Prior:
    """Experts who are sure, to within a tenth, where the best x is."""

    def prior(params: Mapping[str, Any]) -> float:
        return -0.5 * ((float(params["x"]) - x) / 0.1) ** 2

    return prior


def searched(prior: Prior | None, seed: int) -> list[float]:
    """Values of 30 trials, each finished."""
    study = optuna.create_study(sampler=CurveSampler(seed=seed, startup=5, prior=prior))
    values = []
    for _ in range(30):
        trial = study.ask(SPACE)
        values.append(final(trial.params["x"]))
        study.tell(trial, values[-1])
    return values


def test_experts_who_are_right_help_at_once_and_those_who_are_wrong_are_overruled() -> None:
    """With wrong ones the first trials are worse, and the best of 30 is still near the bottom.

    The first trial of a study has no space yet: it is at random with any prior.
    """
    seeds = range(4)
    right, none, wrong = (
        np.array([searched(prior, seed) for seed in seeds])
        for prior in (belief(BOTTOM), None, belief(0.1))
    )
    assert right[:, 1:5].mean() < 0.5 * none[:, 1:5].mean()
    assert wrong[:, 1:5].mean() > 1.5 * none[:, 1:5].mean()
    assert np.all(wrong.min(axis=1) < final(BOTTOM + 0.05))
    assert np.all(wrong[:, -5:].mean(axis=1) < 0.5 * wrong[:, 1:5].mean(axis=1))
