"""What goes wrong after the final run, when there is no time to make up for it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from search.errors import OutOfMemory, WorkerFailed
from search.worker import QUIET_S
from studies.bench_faults.days import Shaken
from tests.simulated import Simulation

DAY = 86_400.0
HALF_HOUR = 1800.0
LOAD_S = 60.0
PARTS = {"final": 3, "heldout": 2}
"""In which the demo's items of a task, 48 and 24, are scored."""
SCORED = 2 * 48
"""Final items of the two tasks that formulas score."""


class Hanging(Shaken):
    """Hangs at some of the evaluations of the final recipe, counted by items."""

    at: frozenset[tuple[str, int]] = frozenset()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: Counter[str] = Counter()
        self.hangs = self.hang

    def hang(self, what: str) -> bool:
        """Whether this is one of them."""
        self.seen[what] += 1
        return (what, self.seen[what] - 1) in self.at


def hang(path: Path, budget_s: float, *at: tuple[str, int]) -> tuple[Simulation, dict[str, Any]]:
    """A job whose last evaluations hang: it, and its summary."""
    made = Simulation(path, budget_s)
    made.kind = type("Made", (Hanging,), {"at": frozenset((f"final on {i}", n) for i, n in at)})
    folder = made.run()
    assert isinstance(made.objective, Hanging)
    assert {what for what, n in made.objective.at if made.objective.seen[what] > n} == {
        what for what, _ in made.objective.at
    }
    assert (folder.path / "recipe" / "adapter" / "adapter_model.safetensors").is_file()
    return made, json.loads((folder.path / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("items", "nth"), [(items, nth) for items, parts in PARTS.items() for nth in range(parts)]
)
def test_an_evaluation_that_hangs_at_the_end_of_a_day_costs_no_lateness(
    items: str, nth: int, tmp_path: Path
) -> None:
    """Nor a single score: the margin of a day pays for a new process."""
    made, summary = hang(tmp_path / "run", DAY, (items, nth))
    assert summary["overshoot_s"] == 0
    assert summary["final"]["items"] == SCORED
    assert any("after a failure" in line for line in made.view.lines)


@pytest.mark.parametrize("nth", range(1, PARTS["final"]))
def test_where_a_new_process_does_not_fit_what_was_scored_is_kept(nth: int, tmp_path: Path) -> None:
    """The parts before it, and the deadline."""
    made, summary = hang(tmp_path / "run", HALF_HOUR, ("final", nth))
    assert summary["overshoot_s"] == 0
    assert summary["final"]["items"] == 2 * 16 * nth
    assert any(f"only {16 * nth} items per task" in line for line in made.view.lines)


@pytest.mark.parametrize("nth", range(PARTS["heldout"]))
def test_held_out_items_of_a_short_job_cost_no_lateness_either(nth: int, tmp_path: Path) -> None:
    """They need not be scored at all."""
    _, summary = hang(tmp_path / "run", HALF_HOUR, ("heldout", nth))
    assert summary["overshoot_s"] == 0
    assert summary["final"]["items"] == SCORED
    assert bool(summary["final"]["heldout"]) == bool(nth)


def test_a_short_job_is_late_for_the_first_part_alone(tmp_path: Path) -> None:
    """A recipe without any score would help nobody."""
    _, summary = hang(tmp_path / "run", HALF_HOUR, ("final", 0))
    assert summary["final"]["items"] >= 2 * 16
    assert 0 < summary["overshoot_s"] < QUIET_S + LOAD_S


@pytest.mark.parametrize("error", [WorkerFailed("crash"), OutOfMemory("full")])
@pytest.mark.parametrize("items", PARTS)
def test_a_part_that_fails_again_and_again_costs_itself_alone(
    items: str, error: WorkerFailed, tmp_path: Path
) -> None:
    """What need not be scored does not end a job, however much time there is."""
    seen = Counter[str]()

    def fail(point: str, what: str) -> None:
        seen[what] += point == "evaluate"
        if point == "evaluate" and what == f"final on {items}" and seen[what] > 1:
            raise error

    made = Simulation(tmp_path / "run", HALF_HOUR)
    folder = made.run(fail=fail, load_s=1.0)
    summary = json.loads((folder.path / "summary.json").read_text(encoding="utf-8"))
    assert summary["overshoot_s"] == 0
    assert summary["final"]["items"] == (2 * 16 if items == "final" else SCORED)
    assert summary["final"]["heldout"]
    assert any(f"only 16 items per task of {items} scored: " in line for line in made.view.lines)


def test_everything_that_hangs_stops_the_job_and_the_same_command_ends_it(tmp_path: Path) -> None:
    """Three times in a row is no accident."""
    path = tmp_path / "run"
    with pytest.raises(WorkerFailed, match="no sign of life"):
        hang(path, DAY, *(("final", n) for n in range(3)))
    assert (path / "recipe" / "adapter" / "adapter_model.safetensors").is_file()
