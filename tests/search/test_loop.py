"""The whole search in simulated time: budget, pruning, crash, resume, failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search.budget import read_ledger
from search.errors import BudgetTooSmall, Diverged, OutOfMemory, WorkerFailed
from studies.catalog import find
from tests.simulated import Simulation

DAY = 86400.0
STUDY = find("demo")


def summary_of(simulation: Simulation) -> dict[str, Any]:
    """summary.json of a finished run."""
    content: dict[str, Any] = json.loads((simulation.path / "summary.json").read_text())
    return content


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """A finished day's search."""
    simulation = Simulation(tmp_path_factory.mktemp("day") / "run")
    simulation.run()
    return simulation


def test_a_day_ends_within_its_budget_with_a_recipe(day: Simulation) -> None:
    """Nothing is overshot and little is left unused."""
    summary = summary_of(day)
    assert summary["overshoot_s"] == 0
    assert sum(summary["spent_s"].values()) > 0.97 * DAY
    assert (day.path / "recipe" / "recipe.json").is_file()
    assert summary["final"]["accuracy"] > summary["default"]["accuracy"]
    assert len(summary["pareto"]) >= 2


def test_the_ledger_has_no_gap_and_no_overlap(day: Simulation) -> None:
    """Its spans add up to the time spent."""
    end = 0.0
    for span in read_ledger(day.path / "ledger.jsonl"):
        assert span.start == pytest.approx(end, abs=1e-3)
        end = span.start + span.seconds
    assert end == pytest.approx(sum(summary_of(day)["spent_s"].values()), rel=1e-6)


def test_bad_trials_are_pruned_and_good_ones_reach_the_top(day: Simulation) -> None:
    """Optuna is told COMPLETE at the top rung only, PRUNED without values below."""
    store = day.store()
    rungs = len(store.noted("plan")["rungs"])
    for trial, record in zip(store.study.trials, store.records(), strict=True):
        assert record.finished
        if trial.state is TrialState.COMPLETE:
            assert len(record.rungs) == rungs
            assert trial.values == [record.rungs[-1].accuracy, record.rungs[-1].gpu_hours]
        else:
            assert trial.values is None
            assert record.reason.startswith("pruned")
    states = [record.state for record in store.records()]
    assert states.count(TrialState.PRUNED) >= 2
    assert states.count(TrialState.COMPLETE) >= 3


def test_a_promoted_trial_is_resumed_and_never_restarted(day: Simulation) -> None:
    """Its steps only grow, and no step is trained twice."""
    assert day.objective is not None
    seen: dict[str, int] = {}
    for operation, trial, step in day.objective.log:
        if operation == "train":
            assert step >= seen.get(trial, 0)
            seen[trial] = step


def test_the_default_recipe_is_the_first_trial_and_reaches_the_top(day: Simulation) -> None:
    """The control is comparable with every finalist."""
    first = day.store().records()[0]
    assert first.control
    assert "default" in first.origin
    assert first.state is TrialState.COMPLETE


def test_the_final_run_goes_on_from_the_winner(day: Simulation) -> None:
    """The winner's steps are the beginning of the final run, and it ends with the decay."""
    store = day.store()
    winner = store.records()[store.noted("winner")]
    facts = store.noted("final_trained")
    assert facts["steps"] > winner.rungs[-1].step
    assert winner.rungs[-1].step <= facts["decay_start"] < facts["total_steps"] == facts["steps"]


def test_later_brackets_are_proposed_by_tpe_from_what_was_learned(day: Simulation) -> None:
    """A day is long enough for more than one bracket."""
    records = day.store().records()
    assert max(record.bracket for record in records) >= 1
    assert "TPE" in records[-1].origin


def proposals(simulation: Simulation) -> list[dict[str, Any]]:
    """All proposed recipes in order."""
    return [record.recipe.to_dict() for record in simulation.store().records()]


def test_the_same_seed_proposes_the_same_recipes(day: Simulation, tmp_path: Path) -> None:
    """Also on a machine whose timings differ; another seed proposes others."""
    slower = Simulation(tmp_path / "slower")
    slower.run(tokens_per_s=4900.0)
    other = Simulation(tmp_path / "other", seed=1)
    other.run()
    shared = min(len(proposals(day)), len(proposals(slower)))
    assert shared > 16
    assert proposals(slower)[:shared] == proposals(day)[:shared]
    assert proposals(other)[:8] != proposals(day)[:8]


class Killed(BaseException):
    """Stands for kill -9: nothing in the loop may catch it."""


@pytest.mark.parametrize("after", [1, 2, 5, 9, 14, 22, 40])
def test_a_killed_search_resumes_to_the_same_recipe(
    after: int, day: Simulation, tmp_path: Path
) -> None:
    """No trial is lost, doubled or trained twice, and the outcome is the uninterrupted one."""
    simulation = Simulation(tmp_path / "run")
    calls = 0

    def kill(_trial: str, _step: int) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            raise Killed

    with pytest.raises(Killed):
        simulation.run(fail=kill)
    simulation.run()
    assert proposals(simulation)[: after // 2] == proposals(day)[: after // 2]
    summary = summary_of(simulation)
    assert summary["overshoot_s"] == 0
    assert summary["final"]["recipe"] == summary_of(day)["final"]["recipe"]
    assert summary["trials"]["failed"] == 0


def test_a_finished_run_is_left_alone(day: Simulation) -> None:
    """The same command on a finished folder says so and does nothing."""
    before = day.clock.now()
    day.run()
    assert day.clock.now() == before
    assert "finished" in day.view.lines[-1]


def failing(trial: str, error: Exception, times: int = 1) -> Any:
    """Raise `error` in the first `times` segments of a trial."""
    left = times

    def fail(name: str, _step: int) -> None:
        nonlocal left
        if name == trial and left:
            left -= 1
            raise error

    return fail


def test_out_of_memory_is_pruned_with_a_constraint_and_never_failed(tmp_path: Path) -> None:
    """TPE learns from a pruned trial; a failed one it ignores."""
    simulation = Simulation(tmp_path / "run")
    simulation.run(fail=failing("2", OutOfMemory("24 GiB are full")))
    trial = simulation.store().study.trials[2]
    assert trial.state is TrialState.PRUNED
    assert trial.constraints["memory"] > 0
    assert "24 GiB are full" in trial.user_attrs["reason"]
    assert summary_of(simulation)["trials"]["infeasible"] == 1


def test_a_diverging_trial_is_pruned(tmp_path: Path) -> None:
    """It is the recipe's fault, and no reason to stop."""
    simulation = Simulation(tmp_path / "run")
    simulation.run(fail=failing("1", Diverged("the loss is nan")))
    assert simulation.store().study.trials[1].state is TrialState.PRUNED
    assert summary_of(simulation)["trials"]["infeasible"] == 0


def test_a_crash_of_the_training_process_fails_its_trial_and_the_job_goes_on(
    tmp_path: Path,
) -> None:
    """The process is started again."""
    simulation = Simulation(tmp_path / "run")
    simulation.run(fail=failing("3", WorkerFailed("segmentation fault")))
    assert simulation.store().study.trials[3].state is TrialState.FAIL
    assert summary_of(simulation)["final"] is not None


def test_three_crashes_in_a_row_stop_the_job_with_the_cause(tmp_path: Path) -> None:
    """Something is wrong that no other recipe will mend."""

    def always(name: str, _step: int) -> None:
        if name != "0":
            raise WorkerFailed("no driver")

    with pytest.raises(WorkerFailed, match=r"in a row.*no driver"):
        Simulation(tmp_path / "run").run(fail=always)


def test_a_machine_that_turns_out_too_slow_says_what_would_do(tmp_path: Path) -> None:
    """The second plan, after the probe, can refuse too."""
    simulation = Simulation(tmp_path / "run", budget_s=1200)
    with pytest.raises(BudgetTooSmall, match="the least that would do is"):
        simulation.run(tokens_per_s=5.0)


@pytest.mark.parametrize("budget_s", [1800.0, 3600.0, 7200.0, 20000.0, 200000.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_budget_is_overshot(budget_s: float, seed: int, tmp_path: Path) -> None:
    """From half an hour to two days, on three seeds."""
    simulation = Simulation(tmp_path / "run", budget_s=budget_s, seed=seed)
    simulation.run()
    summary = summary_of(simulation)
    assert summary["overshoot_s"] == 0
    assert summary["trials"]["pruned"] >= 2


def test_a_machine_that_becomes_slow_at_the_end_scores_fewer_items_and_is_in_time(
    tmp_path: Path,
) -> None:
    """After the final run there is no time to make up for a slowdown: the deadline comes first."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)

    def slow(trial: str, _step: int) -> None:
        if trial == "final":
            assert simulation.objective is not None
            simulation.objective.slowness = 20.0

    simulation.run(fail=slow)
    summary = summary_of(simulation)
    assert summary["overshoot_s"] == 0
    assert 0 < summary["final"]["items"] < 2 * STUDY.final_items
    assert summary["final"]["items"] == summary["default"]["items"] == summary["base"]["items"]
    assert any("items per task of final scored" in line for line in simulation.view.lines)


def test_a_search_on_a_real_database_can_be_loaded_by_optuna(tmp_path: Path) -> None:
    """Two directions with their names; SQLite gives the same search as memory."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.storage = None  # type: ignore[assignment]
    simulation.run()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/run/study.db")
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy", "gpu_hours"]
    in_memory = Simulation(tmp_path / "memory", budget_s=3600)
    in_memory.run()
    assert [t.params for t in study.trials] == [t.params for t in in_memory.store().study.trials]
    assert summary_of(simulation)["final"] == summary_of(in_memory)["final"]
