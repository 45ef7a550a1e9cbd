"""The last words of a run: on one screen, whatever was searched."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from objectives.objective import TaskScore
from search.cli import spell
from search.folder import RunFolder
from search.report.text import closing_lines, gains_of, some, wrapped
from tests.simulated import Simulation

WIDTH, HEIGHT = 80, 24
USUAL = Path("runs/demo-20261127-101010")
"""As long as a folder's path that no --out was given for."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished job."""
    simulation = Simulation(tmp_path_factory.mktemp("closing") / "run", budget_s=3600)
    simulation.run(tokens_per_s=50_000.0)
    return simulation.path


@pytest.fixture
def summary(run: Path) -> dict[str, Any]:
    """Its summary."""
    content: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return content


def rows(lines: list[str]) -> int:
    """Lines of the screen that they take; the terminal wraps what we do not."""
    return sum(-(-len(row) // WIDTH) for line in lines for row in wrapped(line, WIDTH))


def here(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `USUAL` be the run's folder."""
    target = run.parent / USUAL
    target.parent.mkdir(exist_ok=True)
    if not target.is_symlink():
        target.symlink_to(run)
    monkeypatch.chdir(run.parent)


def test_a_usual_run_s_last_words_fit_on_a_screen(
    run: Path, summary: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the shell's prompt below; what was chosen, what it is worth, what it cost, what next."""
    here(run, monkeypatch)
    lines = closing_lines(summary, USUAL)
    assert rows(lines) < HEIGHT
    told = [line.split(":")[0].split(",")[0] for line in lines]
    for start in ("chosen", "mixture", "base model", "default recipe", "by task", "held out"):
        assert start in told
    text = "\n".join(lines)
    for kind in ("final", "base", "default"):
        assert f"{summary[kind]['accuracy']:.3f} ± {summary[kind]['stderr']:.3f}" in text
    for words in ("(few items)", "hardly chance", "Pareto front", "overshoot 0 s"):
        assert words in text


def test_many_tasks_sources_and_trials_take_no_more_room(
    run: Path, summary: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as fit are told, the others are counted."""
    here(run, monkeypatch)
    final = summary["final"]
    names = [f"{'a_long_name_of_a_task_' * (n % 3)}{n}" for n in range(60)]
    final["per_task"] = dict.fromkeys(names, 0.5)
    final["heldout"] = dict.fromkeys(names, 0.25)
    final["recipe"]["mixture"] = dict.fromkeys(names, 1 / 60)
    summary["pareto"] *= 50
    summary["heldout_correlation"] = {"spearman": -0.5, "loss_spearman": -0.25, "n": 6}
    lines = closing_lines(summary, USUAL)
    assert rows(lines) <= HEIGHT, "\n".join(row for line in lines for row in wrapped(line, WIDTH))
    for start, what in (
        ("mixture", "sources"),
        ("by task", "tasks"),
        ("held out", "held-out tasks"),
        ("Pareto front", "points"),
    ):
        line = next(line for line in lines if line.startswith(start))
        assert line.endswith(f" more {what}: see the report")
    counted = next(line for line in lines if line.startswith("by task"))
    assert counted.count(" 0.500") + int(counted.split(" and ")[1].split()[0]) == 60


def test_a_few_held_out_tasks_are_all_told(summary: dict[str, Any]) -> None:
    """As many as the demo has, with base and default beside each."""
    names = ("basic_arithmetic", "letter_counting", "syllogism")
    for part in ("final", "default", "base"):
        summary[part]["heldout"] = dict.fromkeys(names, 0.5)
    (line,) = (line for line in closing_lines(summary, Path("run")) if line.startswith("held out"))
    assert all(f"{name}: 0.500 (default 0.500, base 0.500)" in line for name in names)


def test_a_list_is_told_as_far_as_there_is_room() -> None:
    """At least one, and one more is not called several."""
    assert some(["a", "b"], "tasks") == "a, b"
    assert some(["a" * 300, "b"], "tasks") == "a" * 300 + " and 1 more task: see the report"
    parts = ["a" * 40, "b" * 40, "c" * 40]
    assert some(parts, "tasks", 124) == ", ".join(parts)
    assert some(parts, "tasks", 123) == f"{parts[0]} and 2 more tasks: see the report"


def test_what_is_to_be_copied_is_never_cut(summary: dict[str, Any]) -> None:
    """A shell takes the commands as they stand, whatever the folder is called."""
    folder = Path("a folder/of mine") / ("deep " * 30)
    lines = closing_lines(summary, folder)
    export = next(line for line in lines if line.startswith("export: "))
    assert wrapped(export, 40) == [export]
    assert shlex.split(export)[1:4] == ["python", "-m", "search.export"]
    assert shlex.split(export)[4] == str(folder)
    watch = next(line for line in lines if line.startswith("watch: "))
    assert wrapped(watch, 40) == [watch]
    assert shlex.split(watch)[2:] == [
        f"sqlite:///{folder}/study.db",
        "--artifact-dir",
        f"{folder}/artifacts",
    ]


def test_a_sentence_is_cut_at_its_spaces() -> None:
    """What goes on is set in."""
    cut = wrapped("one two three four five six seven eight", 20)
    assert cut == ["one two three four", "  five six seven", "  eight"]


def test_a_difference_that_may_be_chance_is_told_so(tmp_path: Path) -> None:
    """By the paired test, item by item; nothing is told of what was not scored on all items."""
    folder = RunFolder(tmp_path)

    def write(name: str, right: int) -> None:
        score = TaskScore(correct=[1.0] * right + [0.0] * (20 - right), losses=[1.0] * 20)
        folder.write_scores(f"{name}-final", {"t": score})

    assert gains_of(tmp_path) == {}
    write("final", 12)
    write("base", 0)
    write("0", 12)
    assert gains_of(tmp_path)["0"] == "; final answers the same items right"
    write("0", 10)
    told = gains_of(tmp_path)
    assert told["base"].endswith("hardly chance)")
    assert told["0"] == "; final +0.100 ± 0.067 (p 0.500: may be chance)"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("ascii", "0.1 +- 0.2, 3 x 4... ?"), ("latin-1", "0.1 ± 0.2, 3 × 4... ?")],
)
def test_signs_that_an_encoding_lacks_are_spelt(encoding: str, written: str) -> None:
    """No line fails for them."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    spell(stream)
    stream.write("0.1 ± 0.2, 3 × 4… 界")
    stream.flush()
    assert raw.getvalue().decode(encoding) == written
