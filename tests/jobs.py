"""Real jobs of the command line, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.pages import ROOT, environment

TOO_SMALL = 3
"""The exit code of a job whose budget is too small for the machine, as it is then."""
LONGER = ("2m", "6m")
"""Budgets to ask for then, one after the other: the time of a job says nothing of what it does."""
PATIENCE_S = 480.0
"""Seconds after which a job is taken to hang, the longest of these budgets included."""


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a module of ours from the repository's root, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_line(line: str, folder: Path) -> subprocess.Popen[str]:
    """Start a line of a page in a folder, likewise."""
    return subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 300) -> tuple[int, str, str]:
    """Wait for a process; returns (exit code, stdout, stderr). One that hangs is killed."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:  # what goes on would slow down and fail the tests after it
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, out, err
