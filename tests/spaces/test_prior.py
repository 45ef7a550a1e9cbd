"""Priors: what experts hold of an axis, and how a search gets over a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.errors import BadInput
from search.sampler import CurveSampler
from spaces import Prior
from studies.catalog import find

optuna.logging.set_verbosity(optuna.logging.ERROR)

RATE = optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True)


def test_the_guess_weighs_most_and_nothing_is_excluded() -> None:
    """A mixture of log-normal and uniform: one factor off is one standard deviation."""
    prior = Prior(best=1e-3, within=2.0, confidence=0.8, why="a test")
    assert prior.weight(1e-3) == pytest.approx(1.0)
    assert prior.weight(2e-3) == pytest.approx(0.8 * np.exp(-0.5) + 0.2)
    assert prior.weight(5e-4) == pytest.approx(prior.weight(2e-3))
    assert prior.weight(1e-9) == pytest.approx(0.2)


@pytest.mark.parametrize(("best", "other"), [("all-linear", "attention"), (True, False)])
def test_of_choices_the_others_share_the_doubt(best: object, other: object) -> None:
    """True and False are choices, not numbers."""
    prior = Prior(best=best, confidence=0.6, why="a test")
    assert prior.weight(best) == pytest.approx(1.0)
    assert prior.weight(other) == pytest.approx(0.4)


@pytest.mark.parametrize("wrong", [{"confidence": 1.0}, {"confidence": 0.0}, {"within": 1.0}])
def test_a_prior_leaves_room_for_doubt(wrong: dict[str, float]) -> None:
    """Certainty could not be recovered from."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Prior(best=1, why="a test", **wrong)


def test_a_prior_of_an_unknown_axis_is_refused() -> None:
    """With the names that there are."""
    space = find("demo").space
    with pytest.raises(BadInput, match=r"'rang'.*rank"):
        replace(space, priors={"rang": Prior(best=8, why="a test")})


def rates(best: float, trials: int, seed: int) -> list[float]:
    """Learning rates tried under a prior, where the best one is 1e-4."""
    prior = Prior(best=best, within=1.5, confidence=0.9, why="a test")
    sampler = CurveSampler(seed=seed, prior=lambda p: float(np.log(prior.weight(p["rate"]))))
    study = optuna.create_study(sampler=sampler)
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE, params={"rate": 1e-2}, distributions={"rate": RATE}, value=4
        )
    )
    for _ in range(trials):
        trial = study.ask({"rate": RATE})
        study.tell(trial, (np.log10(trial.params["rate"]) + 4) ** 2)
    return [trial.params["rate"] for trial in study.trials[1:]]


def test_a_right_prior_is_followed_from_the_start() -> None:
    """Of the first trials, 60 % are to lie within a factor of 2 of it, three times as many as of
    trials at random."""
    early = [rate for seed in range(5) for rate in rates(1e-4, 5, seed)]
    assert np.mean([5e-5 < rate < 2e-4 for rate in early]) > 0.4


def test_a_wrong_prior_is_recovered_from() -> None:
    """Off by a factor of 50 and sure of it: the last of 25 trials are near the best."""
    for seed in range(5):
        found = rates(5e-3, 25, seed)
        assert min(abs(np.log10(rate) + 4) for rate in found[-10:]) < 0.15
