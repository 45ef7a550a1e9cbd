"""What the user sees while a job runs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from search.state import Job
from search.view import LiveView, NoView, PlainView, choose_view, picture, sparkline
from tests.simulated import Simulation


class Snapshots(NoView):
    """Draws the live picture at every refresh, as a terminal of some width would show it."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.shown: list[str] = []
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def refresh(self, job: Job) -> None:
        console = Console(file=io.StringIO(), width=self.width, record=True)
        console.print(picture(job, self.width))
        self.shown.append(console.export_text())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_live_picture_fits_its_terminal_and_tells_the_essentials(
    width: int, tmp_path: Path
) -> None:
    """Budget by kind, trials, what is under way with its curve, best so far, time left."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    view = Snapshots(width)
    simulation.view = view  # type: ignore[assignment]
    simulation.run()
    assert all(len(line) <= width for text in view.shown for line in text.splitlines())
    late = view.shown[-5]
    assert "left" in late
    assert "best so far" in late
    assert "search_train" in late
    assert any("reserved for the final run" in text for text in view.shown)
    assert any("training loss" in text for text in view.shown)
    if width >= 80:
        for word in ("trial", "accuracy", "complete", "pruned", "all-linear lr"):
            assert word in late


def test_a_live_view_draws_into_its_console_and_leaves_the_lines_above(tmp_path: Path) -> None:
    """Decisions scroll, the picture stays at the bottom."""
    out = io.StringIO()
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    view = LiveView(Console(file=out, width=100, force_terminal=True))
    simulation.view = view  # type: ignore[assignment]
    simulation.run()
    text = out.getvalue()
    assert "pruned: beaten by trial" in text
    assert "fresh items" in text


def test_plain_lines_carry_the_time_and_no_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log or a pipe gets text."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.view = PlainView()  # type: ignore[assignment]
    simulation.run()
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(line.startswith("[") for line in out.splitlines())
    assert "of 1h00m spent, overshoot 0 s" in out


def test_without_a_terminal_lines_are_plain_and_quiet_is_quiet() -> None:
    """The view follows stdout."""
    assert isinstance(choose_view(quiet=True), NoView)
    assert isinstance(choose_view(quiet=False), PlainView)


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 10, ""),
        ([1.0], 10, "▁"),
        ([1.0, 1.0], 10, "▁▁"),
        ([0.0, 1.0], 10, "▁█"),
        ([0.0, 0.0, 1.0, 1.0], 2, "▁█"),
    ],
)
def test_a_sparkline_spans_its_values(values: list[float], width: int, expected: str) -> None:
    """Lowest and highest get the lowest and highest block; long curves are averaged."""
    assert sparkline(values, width) == expected
