"""How a job ends: every second of it is in the ledger, and the summary tells that ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.budget import read_ledger
from search.errors import Interrupted
from search.folder import RunFolder
from search.report import text
from search.summary import summarise
from search.watched import Watched
from tests.simulated import Simulation


def metered(path: Path) -> float:
    """Seconds in a run's ledger."""
    return sum(span.seconds for span in read_ledger(path / "ledger.jsonl"))


def test_what_the_last_words_take_is_metered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold paired tests, which take seconds where there are thousands of items."""
    job = Simulation(tmp_path / "run", budget_s=3600)
    known = text.gains_of

    def slow(folder: Path) -> dict[str, str]:
        job.clock.advance(7)
        return known(folder)

    monkeypatch.setattr(text, "gains_of", slow)
    job.run()
    summary = json.loads((job.path / "summary.json").read_text(encoding="utf-8"))
    assert metered(job.path) == pytest.approx(job.clock.now())
    assert summary["spent_s"]["export"] >= 7
    assert sum(summary["spent_s"].values()) == pytest.approx(job.clock.now(), abs=0.01)
    assert summary == json.loads(json.dumps(summarise(RunFolder(job.path), job.store())))
    told = text.closing_lines(summary, job.path)
    assert job.view.lines[-len(told) :] == told


def test_a_second_interrupt_leaves_no_second_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come in the update that follows the first: Ctrl-C is often pressed twice."""
    job = Simulation(tmp_path / "run", budget_s=3600)
    stopped = False

    def stop(point: str, trial: str) -> None:
        nonlocal stopped
        if (point, trial) == ("train", "3"):
            job.clock.advance(2)
            stopped = True
            raise KeyboardInterrupt

    def update(_self: Watched) -> None:
        if stopped:
            job.clock.advance(3)
            raise KeyboardInterrupt

    monkeypatch.setattr(Watched, "update", update)
    with pytest.raises(Interrupted, match="goes on from here"):
        job.run(fail=stop)
    assert stopped
    assert metered(job.path) == pytest.approx(job.clock.now())
