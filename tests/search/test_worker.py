"""The parent's side of the GPU process, against processes that answer, hang, die and babble."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objectives.objective import Progress, Schedule
from objectives.wire import error_kind
from search import worker
from search.errors import Interrupted, OutOfMemory, WorkerFailed
from search.worker import ProcessObjective
from spaces import Recipe
from studies import demo

RECIPE: Recipe = demo.study().experts[0].recipe
BEGINNING = """
import json, os, signal, sys, time
def say(**message):
    print(json.dumps(message), flush=True)
"""

Make = Callable[[str], ProcessObjective]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes an objective whose process runs a script."""
    made: list[ProcessObjective] = []

    def of(script: str) -> ProcessObjective:
        file = tmp_path / "process.py"
        file.write_text(BEGINNING + textwrap.dedent(script), encoding="utf-8")
        monkeypatch.setattr(ProcessObjective, "command", (sys.executable, str(file)))
        made.append(ProcessObjective(model="m", run_dir=tmp_path, seed=0, max_length=8))
        made[-1].start()
        return made[-1]

    yield of
    for objective in made:
        objective.close()


def train(objective: ProcessObjective, deadline_s: float | None = None) -> None:
    """A segment."""
    objective.train("0", RECIPE, Schedule(warmup_steps=4), 10, deadline_s, lambda _: None)


def running(objective: ProcessObjective) -> bool:
    """Whether the process of an objective is still there."""
    return objective._process is not None and objective._process.poll() is None


def test_signs_of_life_are_passed_on_and_the_answer_returned(make: Make) -> None:
    """In the order in which they come."""
    objective = make(
        """
        for line in sys.stdin:
            say(event="progress", phase="train", done=0.5)
            say(event="done", result=None)
        """
    )
    heard: list[Progress] = []
    for _ in range(2):
        objective._ask("export", {}, heard.append)
    assert [progress.done for progress in heard] == [0.5, 0.5]
    assert running(objective)


def test_a_process_without_a_sign_of_life_is_killed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the message says so: the search makes it the trial's reason."""
    monkeypatch.setattr(worker, "SILENCE_S", 0.5)
    objective = make("sys.stdin.readline(); time.sleep(600)")
    with pytest.raises(WorkerFailed, match="no sign of life for"):
        train(objective)
    assert not running(objective)


def test_signs_of_life_keep_a_slow_process_alive(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation may take longer than the longest silence."""
    objective = make(
        """
        sys.stdin.readline()
        say(event="done", result="ready")
        sys.stdin.readline()
        for k in range(8):
            time.sleep(0.25)
            say(event="progress", phase="evaluate", done=k / 8)
        say(event="done", result="done")
        """
    )
    assert objective._ask("export", {}) == "ready"
    monkeypatch.setattr(worker, "SILENCE_S", 1.5)
    assert objective._ask("export", {}) == "done"


def test_a_segment_that_does_not_end_after_its_deadline_is_killed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it gives signs of life."""
    monkeypatch.setattr(worker, "LATE_S", 0.5)
    objective = make(
        """
        sys.stdin.readline()
        while True:
            time.sleep(0.05)
            say(event="progress", phase="train", done=0.0)
        """
    )
    with pytest.raises(WorkerFailed, match="did not end in time and was killed"):
        train(objective, deadline_s=0.2)
    assert not running(objective)


def evaluate(objective: ProcessObjective, items: str, deadline_s: float | None = None) -> None:
    """An evaluation, of final items in the stored precision."""
    exact = items == "final"
    objective.evaluate("0", items, lambda _: None, exact=exact, deadline_s=deadline_s)


def test_an_evaluation_of_a_kind_that_was_seen_may_be_silent_for_less_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of its kind may have to load; a new process begins anew."""
    monkeypatch.setattr(worker, "QUIET_S", 0.5)
    slow_first = """
        sys.stdin.readline(); time.sleep(1.0)
        say(event="done", result={})
        sys.stdin.readline()
        say(event="done", result={})
        sys.stdin.readline(); time.sleep(600)
        """
    objective = make(slow_first)
    evaluate(objective, "search")
    evaluate(objective, "final")
    monkeypatch.setattr(worker, "QUIETER", 0.1)
    with pytest.raises(WorkerFailed, match="no sign of life for 0 s"):
        evaluate(objective, "final")
    assert not running(objective)
    objective = make(slow_first)
    evaluate(objective, "final")


def test_patience_grows_with_the_silences_seen_and_has_an_end() -> None:
    """Five times the longest one, at least a minute, at most ten."""
    patience = worker.Patience()
    assert patience.limit_s("a") == worker.SILENCE_S
    for seen, limit in ((1.0, 60.0), (20.0, 100.0), (2.0, 100.0), (300.0, 600.0)):
        patience.learn("a", seen)
        assert patience.limit_s("a") == limit
    patience.learn(None, 1.0)
    assert patience.limit_s("b") == patience.limit_s(None) == worker.SILENCE_S


def test_an_evaluation_that_does_not_end_by_its_deadline_is_killed(make: Make) -> None:
    """Though it gives signs of life."""
    objective = make(
        """
        sys.stdin.readline()
        while True:
            time.sleep(0.05)
            say(event="progress", phase="evaluate", done=0.0)
        """
    )
    with pytest.raises(WorkerFailed, match="did not end in time and was killed"):
        evaluate(objective, "final", deadline_s=0.3)
    assert not running(objective)


def test_where_a_process_hangs_is_asked_before_it_is_killed(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its answer goes to its log, which the message names."""
    monkeypatch.setattr(worker, "SILENCE_S", 0.5)
    objective = make(
        """
        import faulthandler
        faulthandler.register(signal.SIGUSR1)
        def lost_in_a_kernel():
            time.sleep(600)
        sys.stdin.readline()
        lost_in_a_kernel()
        """
    )
    with pytest.raises(WorkerFailed, match=r"worker\.log"):
        train(objective)
    assert "lost_in_a_kernel" in (tmp_path / "worker.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended with code -9"),
        ("sys.exit('out of luck')", "ended with code 1: out of luck"),
        (
            'sys.stdout.write(\'{"event": "do\'); sys.stdout.flush(); os._exit(3)',
            "ended with code 3",
        ),
        (
            r"print('\x1b[31mout of\x1b[0m\x08luck\n\x1b[0m\n', file=sys.stderr); os._exit(1)",
            r"ended with code 1: out of luck \(see",
        ),
    ],
)
def test_a_process_that_dies_is_told_with_its_code(make: Make, ending: str, told: str) -> None:
    """In the middle of a line too."""
    objective = make(f"sys.stdin.readline(); {ending}")
    with pytest.raises(WorkerFailed, match=told):
        train(objective)


def test_a_process_that_dies_at_its_start_is_told(make: Make) -> None:
    """Whether it is asked before it is gone or after."""
    objective = make("raise ImportError('libcuda')")
    with pytest.raises(WorkerFailed, match="libcuda"):
        train(objective)
    with pytest.raises(WorkerFailed, match="not running"):
        train(objective)


def test_a_recipe_that_does_not_fit_leaves_the_process_alive(make: Make) -> None:
    """Errors keep their kind."""
    objective = make(
        f"""
        sys.stdin.readline()
        say(event="error", kind={error_kind(OutOfMemory("too large"))!r}, message="too large")
        sys.stdin.readline()
        """
    )
    with pytest.raises(OutOfMemory, match="too large"):
        train(objective)
    assert running(objective)


def test_an_error_says_nothing_to_the_terminal(make: Make) -> None:
    """Its message, which may quote anything, becomes the trial's reason."""
    objective = make(
        r"""
        sys.stdin.readline()
        say(event="error", kind="failed", message="\x1b]0;title\x07no\nsuch \u202efile")
        sys.stdin.readline()
        """
    )
    with pytest.raises(WorkerFailed, match=r"^no such file$"):
        train(objective)


def interrupt_after(*seconds: float) -> None:
    """Ctrl-C after so many seconds, each counted from the one before."""

    def press() -> None:
        for pause in seconds:
            time.sleep(pause)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


def test_ctrl_c_lets_the_process_save(make: Make, tmp_path: Path) -> None:
    """It is asked to stop, and waited for."""
    objective = make(
        f"""
        sys.stdin.readline()
        say(event="progress", phase="train", done=0.1)
        sys.stdin.readline()  # stop
        time.sleep(0.5)
        open({str(tmp_path / "saved")!r}, "w").close()
        say(event="error", kind={error_kind(Interrupted("stopped"))!r}, message="stopped")
        sys.stdin.readline()
        """
    )
    interrupt_after(0.5)
    with pytest.raises(Interrupted):
        train(objective)
    assert (tmp_path / "saved").exists()
    assert not running(objective)


def test_a_second_ctrl_c_does_not_wait(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was saved before is whole; what is under way is lost."""
    monkeypatch.setattr(worker, "STOP_S", 100.0)
    objective = make("sys.stdin.readline(); time.sleep(600)")
    interrupt_after(0.5, 0.3)
    began = time.monotonic()
    with pytest.raises(Interrupted):
        train(objective)
    assert time.monotonic() - began < 50
    assert not running(objective)


def test_a_process_that_does_not_stop_is_killed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the job in seconds whatever the process does."""
    monkeypatch.setattr(worker, "STOP_S", 0.5)
    objective = make("sys.stdin.readline(); time.sleep(600)")
    interrupt_after(0.5)
    with pytest.raises(Interrupted):
        train(objective)
    assert not running(objective)


def test_stopping_takes_less_than_ten_seconds() -> None:
    """The longest that a Ctrl-C may take."""
    assert worker.STOP_S + worker.CLOSE_S < 9
