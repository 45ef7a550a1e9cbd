"""The live view in a terminal that changes its size, and lines elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import ROOT, Process, Screen

JOB = ["-m", "tests.watched_job"]
SIZES = ["80x24", "60x20", "100x70"]


def check(process: Process, folder: Path, mark: int) -> list[str]:
    """See that the screen ends with the picture, and that above it are the latest lines only.

    Args:
        process: shows the job.
        folder: where the job writes down what it means to show.
        mark: how often it did so before.

    Returns:
        The rows of the picture.
    """
    process.read_to(str(mark))
    found = json.loads((folder / f"{mark}.json").read_text(encoding="utf-8"))
    picture = [row.rstrip() for row in found["picture"]]
    said = [row.rstrip() for row in found["said"]]
    shown = process.screen.shown()
    assert shown[-len(picture) :] == picture
    above = shown[: -len(picture)]
    assert above
    assert above == said[-len(above) :]
    return picture


@pytest.mark.parametrize("reflows", [False, True])
def test_a_terminal_that_changes_its_size_shows_one_whole_picture(
    reflows: bool, tmp_path: Path
) -> None:
    """At once and later on, wider or narrower, higher or lower; Ctrl-C leaves it as it is."""
    screen = Screen(200, 50, reflows=reflows)
    with Process(screen, [*JOB, str(tmp_path), *SIZES]) as process:
        for number, size in enumerate(SIZES):
            check(process, tmp_path, 2 * number)
            width, height = size.split("x")
            process.resize(int(width), int(height))
            check(process, tmp_path, 2 * number + 1)
        picture = check(process, tmp_path, 2 * len(SIZES))
        process.type("\x03")
        assert process.finish() == 130
        assert screen.cursor_shown
        shown = screen.shown()
        assert shown[-1] == "interrupted; the same command goes on from here"
        assert shown[-1 - len(picture) : -1] == picture


@pytest.mark.parametrize(
    ("variables", "plain"),
    [
        ({"TERM": "dumb"}, "±"),
        ({"PYTHONIOENCODING": "ascii"}, "+-"),
        ({"PYTHONIOENCODING": "iso-8859-1"}, "±"),
    ],
)
def test_a_terminal_that_cannot_show_the_picture_gets_lines(
    variables: dict[str, str], plain: str, tmp_path: Path
) -> None:
    """No escape sequences, and no sign that its encoding lacks."""
    encoding = variables.get("PYTHONIOENCODING", "utf-8")
    with Process(Screen(80, 24), [*JOB, str(tmp_path)], encoding, **variables) as process:
        process.type("\n")
        assert process.finish() == 0
    assert "\x1b" not in process.written
    assert f"accuracy 0.000 {plain} 0.005" in process.written
    assert "of 1h00m spent, overshoot 0 s" in process.written


def test_no_color_is_honoured(tmp_path: Path) -> None:
    """The picture stays, its colours go."""
    with Process(Screen(80, 24), [*JOB, str(tmp_path)], NO_COLOR="1", TERM="xterm") as process:
        check(process, tmp_path, 0)
        process.type("\x03")
        assert process.finish() == 130
    assert not re.search(r"\x1b\[(?:\d+;)*[3-4][0-8]", process.written)


def test_a_pipe_gets_whole_lines_as_they_come(tmp_path: Path) -> None:
    """As for `| tee log`: each line is there while the job goes on, and can be read afterwards."""
    job = subprocess.Popen(
        [sys.executable, *JOB, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert job.stdin is not None
    assert job.stdout is not None
    lines: list[str] = []
    while "trial 3: " not in "".join(lines):  # it waits for us after the probe of trial 3
        lines.append(job.stdout.readline())
        assert lines[-1]
    rest, _ = job.communicate("\n")
    assert job.returncode == 0
    lines += rest.splitlines(keepends=True)
    assert all(line.startswith("[") and line.endswith("\n") for line in lines)
    assert "\x1b" not in "".join(lines)
    assert "\r" not in "".join(lines)
