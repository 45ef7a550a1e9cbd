"""Days that are broken on purpose."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from search.budget import SimulatedClock
from search.errors import WorkerFailed
from studies.bench_faults import kills
from studies.bench_faults.__main__ import main
from studies.bench_faults.days import CHANCES, Killed, Troubles, day


@pytest.mark.parametrize("seed", range(6))
def test_a_troubled_day_ends_in_time_with_a_recipe(seed: int, tmp_path: Path) -> None:
    """Whatever goes wrong on it."""
    outcome = day(seed, tmp_path)
    assert outcome.saved, outcome
    assert outcome.overshoot_s == 0
    assert sum(outcome.troubles.values()) > 5
    assert not list(tmp_path.iterdir())


def test_troubles_are_of_all_kinds() -> None:
    """Over some days; else a fault that is never injected would look survived."""
    seen: Counter[str] = Counter()
    for seed in range(40):
        troubles = Troubles(seed, SimulatedClock(), kills=True)
        troubles.start()
        for _ in range(100):
            troubles.hang("0")
            try:
                troubles.reach("train", "0")
            except (Killed, WorkerFailed):
                continue
        seen.update(troubles.count)
    assert set(seen) == {*CHANCES, "hang", "kill"}


@pytest.mark.parametrize("seed", range(3))
def test_a_day_that_is_killed_again_and_again_ends_with_a_recipe(seed: int, tmp_path: Path) -> None:
    """By the same command alone."""
    outcome = day(seed, tmp_path, kills=True)
    assert outcome.saved, outcome
    assert outcome.processes == 1 + outcome.troubles["kill"] + len(outcome.stopped)
    assert outcome.processes > 1


def test_a_job_killed_in_real_processes_ends_as_if_left_alone(tmp_path: Path) -> None:
    """The same recipe, the same trials, a whole ledger, and little done twice."""
    kills.run_alone(tmp_path / "alone", 0)
    broken = kills.break_job(tmp_path / "killed", 0, 4)
    kills.compare(broken, tmp_path / "killed", tmp_path / "alone")
    assert broken.complaints == []
    assert sum(broken.kills.values()) >= 2


def test_what_is_not_as_left_alone_is_found(tmp_path: Path) -> None:
    """The comparison can fail: another seed's job is another job."""
    kills.run_alone(tmp_path / "alone", 0)
    kills.run_alone(tmp_path / "other", 1)
    broken = kills.Broken(seed=0)
    kills.compare(broken, tmp_path / "other", tmp_path / "alone")
    assert any("recipe.json" in text for text in broken.complaints)
    assert any("study" in text for text in broken.complaints)


def test_the_command_counts_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And writes it down."""
    file = tmp_path / "found.json"
    words = ["--days", "2", "--killed-days", "1", "--kills", "1", "--json", str(file)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "2 of 2 days ended in time with a recipe" in out
    assert "1 of 1 jobs ended as if left alone" in out
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["days"]["saved"] == found["days"]["days"] == 2
    assert found["days"]["lost"] == []
    assert main(["--days", "-1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
