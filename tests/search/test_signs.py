"""Text that others wrote cannot act on a terminal, wherever it comes in or goes out."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from search.cli import say
from search.errors import Diverged, brief
from search.export import __main__ as export
from search.report import __main__ as report
from search.screen.lines import line_of
from search.screen.trials import row_of
from search.signs import one_line, printable
from search.view import LiveView, PlainView
from tests.simulated import Simulation

HOSTILE = "a\x1b]0;owned\x07\x1b[31m\x1b[2Jb\x1b[0m\n\x9b1Ac\u202ed\u2028e\r\x08\x85f"
"""A title, a colour, a cleared screen, moves of the cursor, line breaks, a bidi override."""
SEEN = "ab c d e f"


@given(st.text())
@example(HOSTILE)
@example("\x1b\x1b[0m[31mred")
def test_only_signs_that_are_seen_are_left(text: str) -> None:
    """Whatever the text; what is clean stays as it is."""
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    if text.isprintable():
        assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (HOSTILE, SEEN),
        ("\x1b[1;38;5;9mRuntimeError\x1b[m: no", "RuntimeError: no"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9d0;title\x9crest", "rest"),
        ("no end: \x1b]0;title", "no end: ]0;title"),
        ("two\twords\N{NO-BREAK SPACE}and\x00one", "two words and one"),
        ("größer 中文 → ±", "größer 中文 → ±"),
    ],
)
def test_whole_sequences_leave_nothing_behind(text: str, left: str) -> None:
    """A library's message in colours is read as it was meant."""
    assert one_line(text) == left


def test_a_place_with_two_spaces_can_be_copied() -> None:
    """Only sentences get single spaces."""
    assert printable("recipe: /my  runs/a") == "recipe: /my  runs/a"


def test_a_foreign_error_is_clean_where_it_comes_in() -> None:
    """It is stored, shown, reported and exported afterwards."""
    assert brief(ValueError(HOSTILE)) == f"ValueError: {SEEN}"


def test_what_a_commands_line_on_stderr_quotes_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, whatever a file's name or content is."""
    assert say(f"error: {HOSTILE}", 2) == 2
    assert capsys.readouterr().err == f"error: {SEEN}\n"


def test_the_reason_of_a_trial_is_clean_in_the_study(tmp_path: Path) -> None:
    """An objective of the user's own can raise anything with any message."""

    def diverge(point: str, trial: str) -> None:
        if (point, trial) == ("train", "3"):
            raise Diverged(HOSTILE)

    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.run(fail=diverge)
    assert simulation.store().records()[3].reason == f"pruned: diverged ({SEEN})"


def test_the_picture_is_clean(tmp_path: Path) -> None:
    """A study of an older version may hold any reason."""
    simulation = Simulation(tmp_path / "run", budget_s=3600)
    simulation.run()
    record = replace(simulation.store().records()[0], reason=HOSTILE)
    assert row_of(record, "")["why"] == SEEN
    assert line_of(HOSTILE, 80).plain == SEEN


def test_a_log_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """It is looked at in a terminal, later."""
    PlainView().line(HOSTILE)
    told = capsys.readouterr().out
    assert told.endswith("\n")
    assert told[:-1].isprintable()


def test_the_lines_above_the_picture_are_clean() -> None:
    """The view's own sequences are the only ones."""
    out = io.StringIO()
    view = LiveView(Console(file=out, width=100, force_terminal=True))
    view.line(HOSTILE)
    view.close()
    for sign in ("\x1b]", "\x1b[2J", "\x1b[31m", "\x9b", "\u202e", "\u2028", "\x08", "\x85"):
        assert sign not in out.getvalue()
    assert "ab" in out.getvalue()


@pytest.mark.parametrize("module", [report, export])
def test_the_lines_of_a_command_are_clean(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They quote the names of tasks and sources in a folder that somebody else may have sent."""
    monkeypatch.setattr(report, "rebuild", lambda _: [HOSTILE])
    monkeypatch.setattr(export, "export", lambda _run, _to, tell: tell(HOSTILE))
    arguments = ["run"] if module is report else ["run", "--to", "all"]
    assert module.main(arguments) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert told[:-1].isprintable()
