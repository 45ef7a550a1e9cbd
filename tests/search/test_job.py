"""How a job ends: every second of it is in the ledger, and the summary tells that ledger."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.budget import read_ledger
from search.dashboard import Dashboard
from search.errors import Interrupted
from search.folder import RunFolder
from search.recipe import export_recipe
from search.report import text, write_report
from search.summary import summarise
from search.watched import Watched
from tests.search.test_dashboard import OnDisk
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


def test_nothing_is_drawn_while_what_draws_is_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """plotly looks at pandas even where another thread has imported half of it."""
    exported = threading.Event()
    steps: list[str] = []

    def slow() -> None:
        exported.wait(60)
        time.sleep(0.3)
        steps.append("imported")

    def told(step: str, work: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*args: Any) -> None:
            steps.append(step)
            if step == "exported":
                exported.set()
            work(*args)

        return wrapped

    monkeypatch.setattr("search.job.get_ready", slow)
    monkeypatch.setattr("search.job.export_recipe", told("exported", export_recipe))
    monkeypatch.setattr("search.job.write_report", told("drawn", write_report))
    monkeypatch.setattr(Dashboard, "refresh", told("drawn", Dashboard.refresh))
    OnDisk(tmp_path / "run").go()
    assert steps == ["exported", "imported", "drawn", "drawn"]


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
