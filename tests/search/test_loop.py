"""The whole search in simulated time: budget, pruning, crash, resume, failures."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from objectives.objective import Scores
from objectives.replay import CurveObjective
from search.budget import read_ledger
from search.errors import BadInput, BudgetTooSmall, Diverged, OutOfMemory, WorkerFailed
from search.export.source import steps_of
from search.proposals import _copy
from search.read_recipe import read_recipe
from studies.catalog import find
from tests.simulated import Simulation

DAY = 86400.0
STUDY = find("demo")


def summary_of(simulation: Simulation) -> dict[str, Any]:
    """summary.json of a finished run."""
    content: dict[str, Any] = json.loads((simulation.path / "summary.json").read_text())
    return content


def whole_day(path: Path, seed: int = 0) -> Simulation:
    """A day whose search takes its whole share: several brackets, wherever the rule ends."""
    simulation = Simulation(path, seed=seed)
    simulation.changes = {"fixed_split": True}
    return simulation


@pytest.fixture(scope="module")
def day() -> Iterator[Simulation]:
    """A finished day's search; in memory where the system allows, since a disk's fsync is slow."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        simulation = whole_day(Path(folder) / "run")
        simulation.run()
        yield simulation


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


def test_later_brackets_are_proposed_from_what_was_learned(day: Simulation) -> None:
    """A day is long enough for more than one bracket."""
    records = day.store().records()
    assert max(record.bracket for record in records) >= 1
    assert "learning curves" in records[-1].origin


def proposals(simulation: Simulation) -> list[dict[str, Any]]:
    """All proposed recipes in order."""
    return [record.recipe.to_dict() for record in simulation.store().records()]


def test_the_same_seed_proposes_the_same_recipes(day: Simulation, tmp_path: Path) -> None:
    """Also on a machine whose timings differ; another seed proposes others."""
    slower = whole_day(tmp_path / "slower")
    slower.run(tokens_per_s=4900.0)
    other = whole_day(tmp_path / "other", seed=1)
    other.run()
    shared = min(len(proposals(day)), len(proposals(slower)))
    assert shared > 16
    assert proposals(slower)[:shared] == proposals(day)[:shared]
    assert proposals(other)[:8] != proposals(day)[:8]


class Killed(BaseException):
    """Stands for kill -9: nothing in the loop may catch it."""


@pytest.fixture(scope="module")
def points(day: Simulation) -> int:
    """How many points a whole day's search passes at which it can be killed."""
    assert day.objective is not None
    return 2 * len(day.objective.log)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.02, 0.03, 0.1, 0.25, 0.5, 0.8, 0.93, 0.97, 0.99])
def test_a_killed_search_resumes_to_the_same_recipe(
    share: float, day: Simulation, points: int, tmp_path: Path
) -> None:
    """Killed before or after any work was done: nothing is lost, doubled or trained twice.

    Starting again takes time, so that the last trials may not get as far."""
    simulation = whole_day(tmp_path / "run")
    passed = 0

    def kill(_point: str, _trial: str) -> None:
        nonlocal passed
        passed += 1
        if passed == 1 + int(share * points):
            raise Killed

    with pytest.raises(Killed):
        simulation.run(fail=kill)
    simulation.run()
    summary, whole = summary_of(simulation), summary_of(day)
    assert proposals(simulation) == proposals(day)
    assert summary["overshoot_s"] == 0
    assert sum(summary["spent_s"].values()) > 0.95 * DAY
    assert summary["final"]["recipe"] == whole["final"]["recipe"]
    assert summary["final"]["tokens"] > 0.95 * whole["final"]["tokens"]
    for record, other in zip(simulation.store().records(), day.store().records(), strict=True):
        assert record.cut_off or (record.state, record.rungs) == (other.state, other.rungs)


@pytest.mark.parametrize("point", ["train", "trained", "evaluate", "evaluated"])
def test_a_killed_final_run_keeps_its_schedule_and_the_rest_of_the_budget(
    point: str, day: Simulation, tmp_path: Path
) -> None:
    """The decay that was planned is carried out after the restart."""
    simulation = whole_day(tmp_path / "run")

    def kill(at: str, trial: str) -> None:
        if (at, trial.partition(" ")[0]) == (point, "final"):
            raise Killed

    with pytest.raises(Killed):
        simulation.run(fail=kill)
    simulation.run()
    facts = simulation.store().noted("final_trained")
    assert facts["steps"] == facts["total_steps"] > facts["decay_start"]
    assert sum(summary_of(simulation)["spent_s"].values()) > 0.95 * DAY


def test_a_finished_run_is_left_alone(day: Simulation) -> None:
    """The same command on a finished folder says so and does nothing."""
    before = day.clock.now()
    day.run()
    assert day.clock.now() == before
    assert "finished" in day.view.lines[-1]


def failing(trial: str, error: Exception, times: int = 1) -> Any:
    """Raise `error` at the beginning of the first `times` segments of a trial."""
    left = times

    def fail(point: str, name: str) -> None:
        nonlocal left
        if (point, name) == ("train", trial) and left:
            left -= 1
            raise error

    return fail


def test_out_of_memory_is_pruned_with_a_constraint_and_never_failed(tmp_path: Path) -> None:
    """The sampler learns from a pruned trial; a failed one it ignores."""
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


def test_a_crash_of_the_training_process_is_met_by_a_new_one(tmp_path: Path) -> None:
    """The trial is tried once more, and nothing is lost, not even the control."""
    simulation = Simulation(tmp_path / "run")
    simulation.run(fail=failing("0", WorkerFailed("segmentation fault")))
    assert simulation.store().study.trials[0].state is TrialState.COMPLETE
    assert summary_of(simulation)["default"] is not None


def test_a_trial_that_crashes_twice_fails_and_the_job_goes_on(tmp_path: Path) -> None:
    """Then it is the trial's own fault."""
    simulation = Simulation(tmp_path / "run")
    simulation.run(fail=failing("3", WorkerFailed("segmentation fault"), times=2))
    trial = simulation.store().study.trials[3]
    assert trial.state is TrialState.FAIL
    assert "segmentation fault" in trial.user_attrs["reason"]
    assert summary_of(simulation)["final"] is not None


def test_three_crashes_in_a_row_stop_the_job_with_the_cause(tmp_path: Path) -> None:
    """Something is wrong that no other recipe will mend."""

    def always(point: str, trial: str) -> None:
        if point == "train" and trial != "0":
            raise WorkerFailed("no driver")

    with pytest.raises(WorkerFailed, match=r"in a row.*no driver"):
        Simulation(tmp_path / "run").run(fail=always)


def failing_at(where: tuple[str, str], error: Exception, times: int) -> Any:
    """Fails so many times at a (point, trial)."""
    left = times

    def fail(point: str, trial: str) -> None:
        nonlocal left
        if (point, trial) == where and left:
            left -= 1
            raise error

    return fail


@pytest.mark.parametrize("error", [OutOfMemory("full"), WorkerFailed("crash")])
@pytest.mark.parametrize(
    "where",
    [
        ("load", "base"),
        ("smoke", "base"),
        ("evaluate", "base"),
        ("evaluate", "final on final"),
        ("evaluated", "final on heldout"),
    ],
)
def test_what_every_job_needs_is_tried_three_times(
    where: tuple[str, str], error: Exception, tmp_path: Path
) -> None:
    """A crash that comes and goes costs a new process, not the job; one that stays ends it.

    Two new processes after the final run, of a minute each, take longer than an hour's margin.
    """
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.run(fail=failing_at(where, error, 2))
    assert summary_of(simulation)["final"]["accuracy"] > 0
    assert summary_of(simulation)["overshoot_s"] <= (120 if "final" in where[1] else 0)
    if where[1] == "final on heldout":
        return  # a third time would be left out for want of time
    again = Simulation(tmp_path / "again", budget_s=3600)
    with pytest.raises(WorkerFailed, match=str(error)):
        again.run(fail=failing_at(where, error, 3))
    again.run()  # the same command, once it is mended
    assert summary_of(again)["final"]["accuracy"] > 0


@pytest.mark.parametrize("error", [OutOfMemory("full"), Diverged("nan"), WorkerFailed("crash")])
def test_a_final_run_that_goes_wrong_still_gives_a_recipe(error: Exception, tmp_path: Path) -> None:
    """After a day's search, the chosen trial as it was is better than nothing."""
    simulation = Simulation(tmp_path / "run")
    simulation.run(fail=failing("final", error))
    final = summary_of(simulation)["final"]
    assert final["accuracy"] > 0
    training = read_recipe(simulation.path / "recipe")["training"]
    assert 0 < training["steps"] == training["total_steps"]
    decayed = not isinstance(error, OutOfMemory | Diverged)
    assert (training["decay_start"] < training["total_steps"]) == decayed
    assert steps_of(training).exact


@pytest.mark.parametrize("error", [OutOfMemory("full"), Diverged("nan")])
def test_a_default_recipe_that_cannot_be_trained_does_not_end_the_job(
    error: Exception, tmp_path: Path
) -> None:
    """Other recipes may do."""
    simulation = Simulation(tmp_path / "run")
    simulation.run(fail=failing("0", error))
    summary = summary_of(simulation)
    assert summary["default"] is None
    assert summary["final"] is not None
    assert any("with trial 1's recipe" in line for line in simulation.view.lines)


def test_a_job_of_which_nothing_can_be_trained_says_so(tmp_path: Path) -> None:
    """A longer budget would not help, and is not asked for."""

    def never(point: str, _trial: str) -> None:
        if point == "train":
            raise OutOfMemory("24 GiB are full")

    with pytest.raises(WorkerFailed, match=r"no trial could be trained.*24 GiB are full"):
        Simulation(tmp_path / "run", budget_s=3600).run(fail=never)


def test_losses_that_are_no_numbers_prune_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They must never be compared: nothing is smaller than NaN, and nothing larger."""
    original = CurveObjective.evaluate

    def broken(self: CurveObjective, trial: str | None, *rest: Any, **options: Any) -> Scores:
        scores = original(self, trial, *rest, **options)
        if trial == "2":
            next(iter(scores.values())).losses[0] = math.nan
        return scores

    monkeypatch.setattr(CurveObjective, "evaluate", broken)
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.run()
    assert "diverged" in simulation.store().records()[2].reason
    assert summary_of(simulation)["final"]["trial"] != 2


def test_a_trial_cut_short_is_not_counted_as_having_reached_its_rung(tmp_path: Path) -> None:
    """COMPLETE only at the top rung's tokens, also on a machine that becomes ten times slower."""
    simulation = Simulation(tmp_path / "run", budget_s=7200)

    def slow(point: str, trial: str) -> None:
        assert simulation.objective is not None
        if (point, trial) == ("train", "2"):
            simulation.objective.tokens_per_s /= 10

    simulation.run(fail=slow)
    store = simulation.store()
    rungs = store.noted("plan")["rungs"]
    for record in store.records():
        for rung in record.rungs:
            assert rung.tokens == pytest.approx(rungs[rung.rung], rel=0.02)
    assert summary_of(simulation)["overshoot_s"] == 0


def test_infeasible_trials_reach_the_sampler_with_their_constraint(tmp_path: Path) -> None:
    """Else it would propose them again and again."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.run(fail=failing("2", OutOfMemory("full")))
    copies = [_copy(record, 1) for record in simulation.store().records()]
    assert [bool(copy.constraints) for copy in copies] == [n == 2 for n in range(len(copies))]


def test_bad_input_in_the_middle_of_a_search_deletes_nothing(tmp_path: Path) -> None:
    """A run folder is taken back only while no trial was started."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)

    def damage(point: str, trial: str) -> None:
        if (point, trial) == ("trained", "2"):
            raise BadInput("a file of the run is damaged")

    with pytest.raises(BadInput):
        simulation.run(fail=damage)
    assert (simulation.path / "job.json").is_file()
    simulation.run()
    assert summary_of(simulation)["final"] is not None


def test_another_name_on_resume_goes_on_with_the_same_study(tmp_path: Path) -> None:
    """One run folder, one study."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.request = replace(simulation.request, name="mine")

    def kill(_point: str, trial: str) -> None:
        if trial == "3":
            raise Killed

    with pytest.raises(Killed):
        simulation.run(fail=kill)
    simulation.request = replace(simulation.request, name=None)
    simulation.run()
    assert optuna.get_all_study_names(simulation.storage) == ["mine"]


def test_a_machine_that_turns_out_too_slow_says_what_would_do(tmp_path: Path) -> None:
    """The second plan, after the probe, can refuse too."""
    simulation = Simulation(tmp_path / "run", budget_s=1200)
    with pytest.raises(BudgetTooSmall, match="the least that would do is"):
        simulation.run(tokens_per_s=5.0)


def test_slow_first_steps_of_a_process_do_not_shorten_the_plan(tmp_path: Path) -> None:
    """The probe times steps only after as many were made, where a first rung has room for them."""
    plans = []
    for name, speed in (("even", 3000.0), ("slow", 1000.0)):
        simulation = Simulation(tmp_path / name, budget_s=7200)
        simulation.changes = {"first_rung_tokens": 8192}

        def warm(point: str, trial: str, simulation: Simulation = simulation) -> None:
            if (point, trial) == ("trained", "0"):
                assert simulation.objective is not None
                simulation.objective.tokens_per_s = 3000.0

        simulation.run(fail=warm, tokens_per_s=speed)
        plans.append(simulation.store().noted("plan"))
    assert plans[0]["rungs"] == plans[1]["rungs"]
    assert plans[0]["bracket"] == plans[1]["bracket"]


def test_a_probe_that_breaks_half_way_tells_the_speed_all_the_same(tmp_path: Path) -> None:
    """A new process after the first steps: the plan is made with what they took."""
    plans = []
    for name in ("whole", "broken"):
        simulation = Simulation(tmp_path / name, budget_s=7200)
        simulation.changes = {"first_rung_tokens": 8192}
        begun = 0

        def crash(point: str, trial: str, broken: bool = name == "broken") -> None:
            nonlocal begun
            begun += (point, trial) == ("train", "0")
            if broken and begun == 2:
                begun += 1
                raise WorkerFailed("killed")

        simulation.run(fail=crash)
        plans.append(simulation.store().noted("plan"))
    assert plans[0]["rungs"] == plans[1]["rungs"]


@pytest.mark.parametrize("budget_s", [1800.0, 3600.0, 7200.0, 20000.0, 200000.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_budget_is_overshot_and_little_is_left(
    budget_s: float, seed: int, tmp_path: Path
) -> None:
    """From half an hour to two days, on three seeds.

    What is left at the end grows with the final run, which it guards, not with the whole budget.
    """
    simulation = Simulation(tmp_path / "run", budget_s=budget_s, seed=seed)
    simulation.run()
    summary = summary_of(simulation)
    assert summary["overshoot_s"] == 0
    spent = summary["spent_s"]
    assert budget_s - sum(spent.values()) < 20 + 0.012 * spent["final_train"]
    assert summary["trials"]["pruned"] >= 2


def test_a_machine_that_becomes_slow_at_the_end_scores_fewer_items_and_is_in_time(
    tmp_path: Path,
) -> None:
    """After the final run there is no time to make up for a slowdown: the deadline comes first."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)

    def slow(point: str, trial: str) -> None:
        if (point, trial) == ("train", "final"):
            assert simulation.objective is not None
            simulation.objective.slowness = 20.0

    simulation.run(fail=slow)
    summary = summary_of(simulation)
    assert summary["overshoot_s"] == 0
    assert 0 < summary["final"]["items"] < 2 * STUDY.final_items
    assert summary["final"]["items"] == summary["default"]["items"] == summary["base"]["items"]
    assert any("items per task of final scored" in line for line in simulation.view.lines)


@pytest.mark.parametrize("slowness", [60.0, 100.0])
def test_a_machine_that_is_slow_for_a_while_takes_no_time_from_before(
    slowness: float, tmp_path: Path
) -> None:
    """Items that were not scored say nothing of what the others will take."""
    simulation = Simulation(tmp_path / "run", budget_s=1200)

    def slow(point: str, trial: str) -> None:
        assert simulation.objective is not None
        if point == "evaluate" and simulation.store().noted("winner") is not None:
            simulation.objective.slowness = slowness if trial.startswith("base") else 1.0

    simulation.run(fail=slow)
    summary, store = summary_of(simulation), simulation.store()
    assert any("only 0 items per task of" in line for line in simulation.view.lines)
    before = store.records()[store.noted("winner")].rungs[-1].gpu_hours
    assert summary["forecast_final"]["gpu_hours"] >= before
    assert summary["overshoot_s"] == 0


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
