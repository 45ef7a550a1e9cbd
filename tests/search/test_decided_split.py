"""The split of the budget is decided in whole searches, and decided alike after a restart."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest

from search.planner import Plan
from tests.simulated import Simulation

HOUR = 3600.0


class Killed(BaseException):
    """Stands for kill -9: nothing in the loop may catch it."""


def end_of(simulation: Simulation) -> dict[str, Any]:
    """What was decided at the end of the search."""
    found: dict[str, Any] = simulation.store().noted("search_end")
    return found


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """A finished search of an hour, on curves that are still steep by then."""
    simulation = Simulation(tmp_path_factory.mktemp("hour") / "run", budget_s=HOUR)
    simulation.reported = True
    simulation.run()
    return simulation


def test_the_search_ends_when_the_final_run_is_worth_more(hour: Simulation) -> None:
    """Long before its share is spent; the final run gets the rest, and the user is told why."""
    end = end_of(hour)
    assert end["search_gain"] <= end["final_gain"]
    assert end["reason"] in hour.view.lines
    plan = Plan.from_dict(hour.store().noted("plan"))
    assert plan.final_train_s > plan.search_s
    assert plan.reason == end["reason"]
    summary = json.loads((hour.path / "summary.json").read_text())
    assert summary["overshoot_s"] == 0
    assert summary["spent_s"]["final_train"] > 0.5 * HOUR
    assert end["reason"] in html.unescape((hour.path / "report" / "index.html").read_text())


def test_a_fixed_split_decides_nothing(hour: Simulation, tmp_path: Path) -> None:
    """The search then takes what it was given."""
    simulation = Simulation(tmp_path / "run", budget_s=HOUR)
    simulation.changes = {"fixed_split": True}
    simulation.run()
    assert end_of(simulation) is None
    plan = Plan.from_dict(simulation.store().noted("plan"))
    assert plan.search_s > plan.final_train_s
    assert len(simulation.store().records()) > len(hour.store().records())


@pytest.mark.parametrize("operation", range(4, 30, 5))
def test_a_killed_search_ends_where_it_would_have(
    operation: int, hour: Simulation, tmp_path: Path
) -> None:
    """Killed at any time before or after it was decided: the same trials, and the same reason."""
    simulation = Simulation(tmp_path / "run", budget_s=HOUR)
    passed = 0

    def kill(_point: str, _trial: str) -> None:
        nonlocal passed
        passed += 1
        if passed == operation:
            raise Killed

    with pytest.raises(Killed):
        simulation.run(fail=kill)
    before = end_of(simulation)
    simulation.run()
    assert len(simulation.store().records()) == len(hour.store().records())
    # of a gain at the top rung the more is left the less time there is: the kill has cost some
    assert end_of(simulation)["search_gain"] == pytest.approx(end_of(hour)["search_gain"], rel=0.01)
    if before:
        assert end_of(simulation) == before
