"""The timing of proposals."""

from __future__ import annotations

import pytest
from optuna.trial import TrialState

from studies.bench_propose import RUNGS, history, main
from studies.catalog import find


def test_the_history_is_what_a_search_would_leave() -> None:
    """Every trial ended, one in nine at the top, and no two recipes are the same."""
    records = history(find("demo"), 18, 0)
    states = [record.state for record in records]
    assert [len(record.rungs) for record in records[:9]] == [3, 2, 2, 1, 1, 1, 1, 1, 1]
    assert states.count(TrialState.COMPLETE) == 2
    assert records[0].rungs[-1].tokens == RUNGS[-1]
    assert len({record.recipe for record in records}) == 18


def test_it_times_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per number of trials, and whether the goal is met."""
    assert main(["--trials", "12", "15", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["trials", "12", "15", "goal:"]
