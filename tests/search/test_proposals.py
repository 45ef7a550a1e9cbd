"""What is proposed to a job: experts' recipes, some at random, then what curves promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from search import acquisition
from search.proposals import STARTUP_TRIALS, modelled_cost, propose
from search.store import Record
from spaces import Prior, Quantization
from studies.bench_propose import RUNGS, history
from studies.catalog import find
from studies.study import Study

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(scope="module")
def study() -> Study:
    """The demo's: trials of it are simulated by `history`."""
    return find("demo")


def cut(records: Sequence[Record], count: int) -> list[Record]:
    """The first `count` trials, still alive after their first rung."""
    return [
        replace(record, state=TrialState.RUNNING, rungs=record.rungs[:1])
        for record in records[:count]
    ]


def test_trials_still_alive_are_learned_from(study: Study) -> None:
    """Nine curves are enough, wherever they stand; with fewer it is random, and says so."""
    records = cut(history(study, 12, 0), STARTUP_TRIALS)
    assert "9 learning curves" in propose(study, 0, records, RUNGS[-1]).origin
    assert "random, seed 0" in propose(study, 0, records[1:], RUNGS[-1]).origin


def test_what_is_tried_at_random_says_so(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing promises enough, here because that is the whole scale: most of the time."""
    monkeypatch.setattr(acquisition, "LEAST_GAIN", 1.0)
    records = history(study, 12, 0)
    origins = [propose(study, seed, records, RUNGS[-1]).origin for seed in range(12)]
    lucky = [o for o in origins if o.startswith("random, since 12 learning curves promise little")]
    assert 5 <= len(lucky) <= 11
    assert all("most promising" in o for o in origins if o not in lucky)


def test_it_depends_on_losses_and_not_on_measured_time(study: Study) -> None:
    """The same trials on a slower machine give the same proposal; better ones elsewhere do not."""
    records = history(study, 12, 0)
    slower = [
        replace(r, rungs=tuple(replace(rung, train_s=9 * rung.train_s) for rung in r.rungs))
        for r in records
    ]
    other = [
        replace(r, rungs=tuple(replace(rung, loss=3 - rung.loss) for rung in r.rungs))
        for r in records
    ]
    found = propose(study, 0, records, RUNGS[-1]).recipe
    assert propose(study, 0, slower, RUNGS[-1]).recipe == found
    assert propose(study, 0, other, RUNGS[-1]).recipe != found


def test_what_cannot_be_trained_is_kept_away_from(study: Study) -> None:
    """Of ranks above 32 that all ran out of memory, few are proposed again."""
    records = [
        replace(r, infeasible=True, state=TrialState.PRUNED, rungs=()) if r.recipe.rank > 32 else r
        for r in history(study, 40, 0)
    ]
    assert sum(r.infeasible for r in records) > 8
    ranks = [propose(study, seed, records, RUNGS[-1]).recipe.rank for seed in range(6)]
    assert sum(rank > 32 for rank in ranks) <= 1


def test_a_prior_shapes_the_first_recipes(study: Study) -> None:
    """Rates near the expert's guess come more often, and the origin says why."""
    guess = Prior(best=1e-4, within=1.3, confidence=0.9, why="a guess")
    sure = replace(study, space=replace(study.space, priors={"learning_rate": guess}))
    records = history(study, 4, 0)

    def near(asked: Study) -> int:
        found = [propose(asked, seed, records, RUNGS[-1]) for seed in range(20)]
        assert all(("experts" in p.origin) == bool(asked.space.priors) for p in found)
        return sum(0.7e-4 < p.recipe.learning_rate < 1.4e-4 for p in found)

    assert near(sure) > 2 * near(study)


def test_costs_are_modelled_by_what_decides_speed() -> None:
    """bf16 on attention is cheaper than 4 bits on all layers in padded rows."""
    base = {"targets": "all-linear", "quantization": "bf16", "packing": True, "tokens_per_step": 1}
    assert modelled_cost(base) == 1
    assert modelled_cost(base | {"targets": "attention"}) < 1
    assert modelled_cost(base | {"quantization": "nf4", "packing": False}) > 1.5


def test_axes_of_one_choice_still_have_their_cost_and_prior(study: Study) -> None:
    """As on a CPU, which knows one quantization kind."""
    guess = Prior(best="bf16", why="nothing else is there")
    space = replace(study.space, quantization=(Quantization.BF16,), priors={"quantization": guess})
    plain = replace(study, space=space)
    for count in (4, 20):
        found = propose(plain, 0, history(plain, count, 0), RUNGS[-1])
        assert found.params["quantization"] == "bf16"
