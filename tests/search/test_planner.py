"""The budget's split and the forecasts behind it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.budget import parse_budget
from search.errors import BudgetTooSmall
from search.forecast import CostForecast, assumed_token_s, forecast_accuracy
from search.planner import (
    Costs,
    Plan,
    affordable_bracket,
    bracket_cost,
    least_budget,
    make_plan,
)
from search.split import LEAST_FINAL
from spaces import Quantization, Targets
from studies.catalog import find

STUDY = find("demo")
COSTS = Costs(
    load_s=10,
    token_s=0.005,
    search_eval_s=6,
    final_eval_s=25,
    finalist_eval_s=4,
    heldout_eval_s=8,
)


@given(st.floats(400, 2e5), st.floats(1e-4, 0.01))
def test_the_split_fills_the_budget_and_its_first_bracket_fits(
    budget: float, token_s: float
) -> None:
    """All parts are positive and add up; the final run is reserved first."""
    costs = replace(COSTS, token_s=token_s)
    try:
        plan = make_plan(STUDY, budget, 0, costs)
    except BudgetTooSmall:
        return
    parts = (plan.load_s, plan.search_s, plan.reserve_s)
    assert all(part > 0 for part in parts)
    assert sum(parts) == pytest.approx(budget)
    assert bracket_cost(plan.bracket, plan.rungs, costs, STUDY.eta) <= plan.search_s
    assert plan.final_train_s >= 0.44 * (plan.search_s + plan.final_train_s)


def test_the_least_budget_that_is_named_would_do() -> None:
    """And what is clearly less would not."""
    least = least_budget(STUDY, 0, COSTS)
    make_plan(STUDY, least, 0, COSTS)
    with pytest.raises(BudgetTooSmall) as caught:
        make_plan(STUDY, least - 15, 0, COSTS)
    named = re.search(r"would do is (\S+)", str(caught.value))
    assert named is not None
    assert parse_budget(named[1]) == least


def test_longer_budgets_give_longer_rungs_but_leave_the_final_run_longer_still() -> None:
    """A proxy is a part of the final run, not a rival."""
    short, long = (make_plan(STUDY, budget, 0, COSTS) for budget in (1200, 86400))
    assert long.rungs[-1] > 4 * short.rungs[-1]
    assert long.rungs[-1] * COSTS.token_s <= long.final_train_s / STUDY.eta


def test_a_slow_machine_gets_shorter_rungs_instead_of_an_end() -> None:
    """A passing slowdown during the probe must not throw a loaded job away."""
    slow = replace(COSTS, token_s=0.018, search_eval_s=14, final_eval_s=45)
    plan = make_plan(STUDY, 700, 60, slow)
    assert plan.rungs[0] < STUDY.first_rung_tokens
    assert plan.bracket >= 4
    assert bracket_cost(plan.bracket, plan.rungs, slow, STUDY.eta) <= plan.search_s


def test_a_bracket_can_prune_two_trials_where_the_budget_allows() -> None:
    """Shorter rungs come before brackets that only the finalists fill."""
    slow = replace(COSTS, token_s=0.008)
    plan = make_plan(STUDY, 600, 30, slow)
    assert plan.bracket >= 6


def test_scoring_the_finalists_again_is_reserved_before_the_search() -> None:
    """Three and the control on fresh items, three on held-out ones, where the control is anyway."""
    plan = make_plan(STUDY, 3600, 0, COSTS)
    assert plan.finalists_s == 16
    assert plan.heldout_s == 24
    assert plan.reserve_s == 40 + plan.after_finalists_s
    assert plan.after_finalists_s == plan.after_heldout_s + 2 / 3 * plan.final_eval_s
    assert plan.after_heldout_s == plan.final_train_s + plan.after_training_s
    for name in ("finalists", "held-out check"):
        assert any(line.startswith(name) for line in plan.lines())


def test_the_search_may_go_beyond_its_share_but_not_to_the_end() -> None:
    """What it must leave is less than what is planned; a fixed split leaves no choice."""
    plan = make_plan(STUDY, 3600, 0, COSTS)
    both = plan.search_s + plan.final_train_s
    assert plan.floor_s == pytest.approx(LEAST_FINAL * both)
    assert plan.reserve_s - plan.least_reserve_s == pytest.approx(plan.final_train_s - plan.floor_s)
    fixed = make_plan(replace(STUDY, fixed_split=True), 3600, 0, COSTS)
    assert fixed.least_reserve_s == fixed.reserve_s == plan.reserve_s
    assert "further trials" in plan.reason
    assert "further trials" not in fixed.reason


@given(st.floats(0, 1))
def test_a_decided_split_gives_the_final_run_all_that_is_left(share: float) -> None:
    """The parts still add up, whenever the search ended, and deciding again changes nothing."""
    plan = make_plan(STUDY, 3600, 0, COSTS)
    room = plan.search_s + plan.final_train_s - plan.floor_s
    left = plan.least_reserve_s + share * room
    found = plan.decided(left, "because")
    assert found.reserve_s == pytest.approx(left)
    assert found.load_s + found.search_s + found.reserve_s == pytest.approx(3600)
    assert found.floor_s == plan.floor_s
    assert found.decided(left, "because") == found
    assert Plan.from_dict(found.to_dict()).reason == "because"


def test_a_search_that_took_too_long_leaves_the_final_run_what_there_is() -> None:
    """Never less than nothing."""
    plan = make_plan(STUDY, 3600, 0, COSTS)
    for left in (plan.least_reserve_s / 2, 0.0):
        found = plan.decided(left, "late")
        assert 0 <= found.final_train_s < plan.floor_s
        assert found.floor_s <= found.final_train_s


def test_a_plan_of_an_older_run_reserves_nothing_for_finalists() -> None:
    """It is read as it was made."""
    kept = make_plan(STUDY, 3600, 0, COSTS).to_dict()
    old = {key: value for key, value in kept.items() if key not in {"finalists_s", "heldout_s"}}
    assert Plan.from_dict(old).reserve_s == Plan.from_dict(old).after_finalists_s


def test_rungs_hardly_depend_on_timing_noise() -> None:
    """They lie on a coarse grid, so two runs on one machine mostly get the same."""
    plans = [
        make_plan(STUDY, 1200, 0, replace(COSTS, token_s=0.005 * f)) for f in (0.99, 1.0, 1.01)
    ]
    assert len({plan.rungs for plan in plans}) == 1


def test_a_plan_survives_json() -> None:
    """A resumed job keeps the plan it was started with."""
    plan = make_plan(STUDY, 1200, 0, COSTS)
    assert Plan.from_dict(plan.to_dict()) == plan
    assert any("margin" in line for line in plan.lines())


def test_a_further_bracket_shrinks_to_what_is_left() -> None:
    """And is not started if not even the smallest fits."""
    plan = make_plan(STUDY, 3600, 0, COSTS)
    full = bracket_cost(plan.bracket, plan.rungs, COSTS, STUDY.eta)
    assert affordable_bracket(plan, full, COSTS, STUDY.eta) == plan.bracket
    less = bracket_cost(plan.bracket - 2, plan.rungs, COSTS, STUDY.eta)
    assert affordable_bracket(plan, less, COSTS, STUDY.eta) == plan.bracket - 2
    assert affordable_bracket(plan, 0.1 * full, COSTS, STUDY.eta) == 0


def test_costs_are_learned_by_kind_of_recipe() -> None:
    """A measured kind counts as measured; others are scaled and trusted less."""
    packed = STUDY.experts[0].recipe
    attention = replace(packed, targets=Targets.ATTENTION)
    forecast = CostForecast(token_s=0.02)
    assert forecast.per_token(packed)[0] == pytest.approx(0.02, rel=0.2)
    forecast.learn(packed, 1000, 5.0)
    expected, careful = forecast.per_token(packed)
    assert expected == pytest.approx(0.005, rel=0.02)
    assert careful < 1.2 * expected
    other, other_careful = forecast.per_token(attention)
    assert other < expected
    assert other_careful / other > careful / expected


def test_a_kind_never_measured_is_forecast_from_its_properties() -> None:
    """Two effects measured each on its own hold together; the assumptions were far off."""
    plain = replace(STUDY.experts[0].recipe, quantization=Quantization.BF16)
    attention = replace(plain, targets=Targets.ATTENTION)
    nf4 = replace(plain, quantization=Quantization.NF4)
    both = replace(attention, quantization=Quantization.NF4)
    forecast = CostForecast(token_s=1.0)
    for recipe, seconds in ((plain, 0.001), (attention, 0.0007), (nf4, 0.0011)):
        for _ in range(3):
            forecast.learn(recipe, 1000, 1000 * seconds)
    assert forecast.per_token(both)[0] == pytest.approx(0.0007 * 1.1, rel=0.1)
    slower = replace(plain, rank=256)
    before = forecast.per_token(slower)[0]
    forecast.learn(slower, 1000, 1.3)
    assert before < forecast.per_token(slower)[0]


def test_gradient_checkpointing_is_told_apart_from_what_a_recipe_costs() -> None:
    """One that recomputed tells of one that does not; unasked, as its like was trained."""
    plain = replace(STUDY.experts[0].recipe, quantization=Quantization.BF16)
    nf4 = replace(plain, quantization=Quantization.NF4)
    forecast = CostForecast(token_s=1.0)
    forecast.learn(plain, 1000, 1.4, recomputing=True)
    assert forecast.per_token(plain)[0] == pytest.approx(0.0014, rel=0.02)
    assert forecast.per_token(plain, recomputing=False)[0] == pytest.approx(0.001, rel=0.05)
    for _ in range(3):
        forecast.learn(nf4, 1000, 1.1, recomputing=False)
    assert forecast.per_token(nf4)[0] == pytest.approx(0.0011, rel=0.02)
    assert forecast.per_token(plain)[0] == pytest.approx(0.0014, rel=0.02)
    assert forecast.per_token(nf4, recomputing=True)[0] > 1.25 * 0.0011


def test_an_evaluation_is_charged_to_a_segment() -> None:
    """A segment's forecast holds its early evaluation."""
    forecast = CostForecast(token_s=0.01)
    bare = forecast.segment_s(STUDY.experts[0].recipe, 1000)
    forecast.learn_evaluation("search", 7.0)
    forecast.learn_evaluation("search", 5.0)
    assert forecast.segment_s(STUDY.experts[0].recipe, 1000) == pytest.approx(bare + 7.7)


def test_a_machine_that_became_slow_is_slow_for_all_items() -> None:
    """An evaluation may take three times as long for its own reasons, but not ten times."""
    forecast = CostForecast(token_s=0.01)
    forecast.learn_evaluation("final", 4.0)
    forecast.learn_evaluation("heldout", 1.0)
    forecast.learn_evaluation("heldout", 3.0)
    assert forecast.evaluation_s == {"final": 4.0, "heldout": 3.0}
    forecast.learn_evaluation("heldout", 30.0)
    assert forecast.evaluation_s == {"final": 40.0, "heldout": 30.0}


def test_what_was_foreseen_gives_way_to_the_first_measurement() -> None:
    """Evaluations are foreseen with care; time kept for one that is quicker is time lost."""
    forecast = CostForecast(token_s=0.01)
    forecast.foresee_evaluation("final", 8.0)
    assert forecast.evaluation_s == {"final": 8.0}
    forecast.learn_evaluation("final", 3.0)
    assert forecast.evaluation_s == {"final": 3.0}
    forecast.learn_evaluation("final", 2.0)
    assert forecast.evaluation_s == {"final": 3.0}


def test_assumed_speeds_depend_on_model_and_device() -> None:
    """Larger models are slower, GPUs faster, and launch overhead is a floor."""
    assert assumed_token_s(7e9, cuda=True, cores=1) < assumed_token_s(7e9, cuda=False, cores=64)
    assert assumed_token_s(7e9, cuda=True, cores=1) > assumed_token_s(1e9, cuda=True, cores=1)
    assert assumed_token_s(1e6, cuda=True, cores=1) == 1 / 25_000


def test_the_accuracy_forecast_lies_in_its_interval_and_widens_with_the_distance() -> None:
    """More extrapolation is less certain; no point, no forecast."""
    points = [(2000, 0.1), (6000, 0.25)]
    near, far = (forecast_accuracy(points, tokens, 100) for tokens in (8000, 60000))
    assert near is not None
    assert far is not None
    for forecast in (near, far):
        assert 0 <= forecast.low <= forecast.accuracy <= forecast.high <= 1
    assert far.high - far.low > near.high - near.low
    assert forecast_accuracy([], 10, 10) is None
    single = forecast_accuracy(points[:1], 60000, 100)
    assert single is not None
    assert single.accuracy == 0.1
    floor = forecast_accuracy([(2000, 0.0), (6000, 0.01)], 60000, 100)
    assert floor is not None
    assert floor.high == 1.0
