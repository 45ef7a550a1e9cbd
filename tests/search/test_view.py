"""What the user sees while a job runs."""

from __future__ import annotations

import io
import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from objectives.objective import Progress
from search.errors import Diverged, Interrupted
from search.screen.now import chart, curve_lines, note_loss, sparkline, status
from search.screen.picture import picture
from search.screen.trace import Trace
from search.screen.trials import best_lines, best_of, pick
from search.state import Job
from search.view import LiveView, NoView, PlainView, choose_view
from tests.simulated import Simulation
from tests.watched_job import Chatty

PATIENCE_S = 120.0
"""Seconds for what takes hundredths of one; a busy machine takes longer, but not so long."""


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


class Live(NoView):
    """Keeps the job that it is shown."""

    job: Job | None = None

    def refresh(self, job: Job) -> None:
        self.job = job


class Words(Live):
    """Notes what is said to be under way."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def refresh(self, job: Job) -> None:
        super().refresh(job)
        self.told.append(status(job).partition(", ")[0])


SIZES = [(1, 1), (8, 2), (20, 5), (40, 12), (60, 20), (80, 24), (149, 30), (150, 19), (200, 50)]


class Sized(NoView):
    """Draws the live picture in terminals of all sizes now and then."""

    def __init__(self, every: int) -> None:
        self.every, self.signs = every, 0
        self.shown: dict[tuple[int, int], list[list[str]]] = {size: [] for size in SIZES}

    def refresh(self, job: Job) -> None:
        self.signs += 1
        if self.signs % self.every and job.phase not in {"load", "finalists", "done"}:
            return
        for width, height in SIZES:
            console = Console(file=io.StringIO(), width=width, height=height, record=True)
            console.print(picture(job, width, height))
            self.shown[width, height].append(console.export_text().splitlines())


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Sized:
    """A job of many trials with one that diverged, seen in all sizes."""
    simulation = Simulation(tmp_path_factory.mktemp("sized") / "run", budget_s=5400)
    simulation.kind = Chatty
    simulation.changes = {"bracket": 14}
    view = Sized(every=11)
    simulation.view = view  # type: ignore[assignment]

    def diverge(point: str, trial: str) -> None:
        if (point, trial) == ("train", "3"):
            raise Diverged("[/bold] [red]a loss\nis no number")

    simulation.run(fail=diverge, tokens_per_s=50_000.0, search_items=12)
    return view


@pytest.mark.parametrize("size", SIZES)
def test_the_picture_is_never_larger_than_its_terminal(size: tuple[int, int], sized: Sized) -> None:
    """Nothing wraps, nothing scrolls, at no moment; with many trials, some are counted only."""
    width, height = size
    for rows in sized.shown[size]:
        assert all(cell_len(row) <= width for row in rows)
        assert len(rows) <= max(1, height - 1)
    if width >= 20:
        assert all("left" in rows[0] for rows in sized.shown[size])
    if 12 <= height <= 24:
        assert any("not shown: " in rows[-1] for rows in sized.shown[size])


def test_the_essential_stays_at_80_columns(sized: Sized) -> None:
    """Time left, what comes, what is under way, the best beside the default, the trials."""
    texts = ["\n".join(rows) for rows in sized.shown[80, 24]]
    for words in (
        "then search and final run",
        "search: at most",
        "then final run",
        "final run, then recipe and report",
        "foreseen of the final run: accuracy",
        "recipe exported",
        "reserved for the final run",
        "tokens/s",
        "training loss of trial",
        "best so far: trial",
        "default: accuracy",
        "may be chance",
    ):
        assert any(words in text for text in texts), words
    late = sized.shown[80, 24][-1]
    assert any(row.startswith("    0  complete") for row in late)  # the default is always there


def test_a_wide_terminal_tells_why(sized: Sized) -> None:
    """Signs that mean something to rich are text, and line breaks are spaces."""
    wide = ["\n".join(rows) for rows in sized.shown[200, 50]]
    assert "pruned: diverged ([/bold] [red]a loss is no number)" in wide[-1]
    assert "its recipe: r" in wide[-1]
    assert "training loss of the final run" in wide[-1]
    assert "its recipe" not in "\n".join(sized.shown[149, 30][-1])


def test_the_best_trial_and_the_one_under_way_are_always_shown(tmp_path: Path) -> None:
    """However few rows there are."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.run(tokens_per_s=50_000.0)
    records = simulation.store().records()
    found = best_of(records)
    assert found is not None
    best = found[1].number
    assert [r.number for r in pick(records, "7", 2)] == sorted([7, best])
    assert [r.number for r in pick(records, "7", 3)] == sorted([0, 7, best])
    assert pick(records, "7", len(records)) == records
    assert pick(records, "", 0) == []


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


def test_a_live_view_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing moves, the time left does; after its end nothing is drawn any more."""
    monkeypatch.setattr(LiveView, "TICK_S", 0.01)
    out = io.StringIO()
    view = LiveView(Console(file=out, width=100, force_terminal=True))
    view.busy("reading rows", None)
    give_up = time.monotonic() + PATIENCE_S
    while out.getvalue().count("reading rows") < 3:
        assert time.monotonic() < give_up, "nothing draws the picture anew"
        time.sleep(0.01)
    view.close()
    view.close()
    view.line("the last words")
    assert out.getvalue().rstrip().endswith("the last words")
    assert out.getvalue().rstrip().rpartition("\x1b[?25h")[2].strip() == "the last words"


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
    assert ": complete, accuracy" in out
    assert "GPU-hours" in out
    assert "gpu_hours" not in out


def test_a_log_says_now_and_then_how_much_time_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many decisions are printed in between; less often for a long job."""
    monkeypatch.setattr(PlainView, "EVERY_S", 0.0)
    monkeypatch.setattr(PlainView, "SHARE", 0.0)
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.view = PlainView()  # type: ignore[assignment]
    simulation.run()
    told = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" left")]
    assert len(told) > 20
    assert told[0].endswith("loading the base model, 100%; 59m00s left")
    monkeypatch.setattr(PlainView, "SHARE", 1.0)
    simulation = Simulation(tmp_path / "quiet", budget_s=3600)
    simulation.view = PlainView()  # type: ignore[assignment]
    simulation.run()
    assert "left\n" not in capsys.readouterr().out


def test_a_job_that_was_given_no_folder_says_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command alone would begin another run."""
    monkeypatch.chdir(tmp_path)

    def interrupt(point: str, trial: str) -> None:
        if (point, trial) == ("train", "2"):
            raise KeyboardInterrupt

    for out, told in ((None, "with --out 'runs/a b' goes on"), (Path("c"), "command goes on")):
        simulation = Simulation(tmp_path / "run", budget_s=3600)
        simulation.request = replace(simulation.request, out=out, name="a b")
        with pytest.raises(Interrupted, match=told):
            simulation.run(fail=interrupt)


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


@pytest.mark.parametrize("count", [1, 2, 511, 512, 513, 1000, 100_000])
def test_a_trace_keeps_its_shape_in_few_cells(count: int) -> None:
    """Of a line it keeps a line: no part of the run takes more room than another as long."""
    trace = Trace("final")
    for number in range(count):
        trace.add(float(number))
    cells = trace.cells()
    assert len(cells) <= Trace.MOST
    assert len(cells) >= min(count, Trace.MOST // 2)
    assert (trace.first, trace.last) == (0.0, count - 1.0)
    steps = {later - cell for cell, later in pairwise(cells[:-1])}
    assert len(steps) <= 1
    each = steps.pop() if steps else 1.0
    assert cells[0] == (each - 1) / 2


def test_a_trace_takes_each_step_once_and_numbers_only() -> None:
    """Signs of life repeat the last step's loss; a loss that is none ends the trial elsewhere."""
    trace = Trace("3")
    for loss in (math.nan, 2.0, 2.0, math.inf, 1.0):
        trace.add(loss)
    assert trace.cells() == [2.0, 1.0]
    assert (trace.first, trace.last) == (2.0, 1.0)
    assert Trace().cells() == []


def test_the_curve_is_of_what_is_under_way(tmp_path: Path) -> None:
    """It begins anew with each, and a long one does not grow."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    view = Live()
    simulation.view = view  # type: ignore[assignment]
    simulation.run()
    job = view.job
    assert job is not None
    for number in range(5000):
        job.live = ("7", Progress(phase="train", done=0.5, loss=5000.0 - number))
        note_loss(job)
    assert len(job.trace.cells()) <= Trace.MOST
    told = curve_lines(job, 80, 24)[0].plain
    assert told.endswith(" training loss of trial 7: 5000.000 to 1.000")
    job.live = ("8", Progress(phase="train", done=0.0, loss=2.5))
    note_loss(job)
    assert job.trace.cells() == [2.5]


def test_what_is_under_way_is_told_in_words(tmp_path: Path) -> None:
    """Whoever sees the first run of their life knows what it waits for."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    view = Words()
    simulation.view = view  # type: ignore[assignment]
    simulation.run()
    assert list(dict.fromkeys(view.told))[:4] == [
        "loading the base model",
        "asking the base model some items",
        "base model: evaluate",
        "trial 0: train",
    ]
    assert {"trial 0: evaluate", "final run: train", "final run: evaluate"} <= set(view.told)
    assert view.job is not None
    view.job.live = None
    view.job.phase = "search"
    assert status(view.job) == "choosing what to do next"


@pytest.mark.parametrize(
    ("accuracies", "told"),
    [((0.5, 0.5), "no difference"), ((0.5, 0.55), "may be chance"), ((0.1, 0.9), "tokens")],
)
def test_the_best_beside_the_default(
    accuracies: tuple[float, float], told: str, tmp_path: Path
) -> None:
    """Equal, within chance, or sure; the better loss is best where accuracies are equal."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.run()
    records = []
    for record, accuracy in zip(simulation.store().records(), accuracies, strict=False):
        rung = replace(record.rungs[0], accuracy=accuracy, stderr=0.1, loss=1.0 - record.number / 2)
        records.append(replace(record, rungs=(rung,)))
    best, default = (line.plain for line in best_lines(records, 80))
    assert best.startswith("best so far: trial 1")
    assert default.endswith(told)


def test_a_chart_of_several_lines_stacks_its_blocks() -> None:
    """The lowest value still shows, the highest fills the column."""
    assert chart([0.0, 1.0, 0.5], 10, 2) == [" █▁", "▁██"]
    assert chart([], 10, 2) == []
