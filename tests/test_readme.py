"""The README's two commands are what users and CI run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from search.budget import parse_budget
from search.run import parser

ROOT = Path(__file__).parents[1]


def command(mark: str) -> str:
    """The one command between two marks of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)\n```\n<!-- /{mark} -->", text, re.DOTALL)
    assert found is not None, f"README.md has no command marked {mark}"
    return found[1]


@pytest.mark.parametrize("mark", ["run", "tests"])
def test_each_command_is_one_line_that_sets_everything_up(mark: str) -> None:
    """Virtual environment, pinned install, work: one line to copy."""
    line = command(mark)
    assert "\n" not in line
    assert "python3 -m venv .venv" in line
    assert "-c constraints.txt" in line


def test_the_run_command_is_one_that_the_parser_takes() -> None:
    """Its flags exist and its budget is one."""
    words = shlex.split(command("run").rpartition("search.run ")[2])
    assert parse_budget(parser().parse_args(words).budget) == 1200


def test_ci_reads_its_command_from_the_readme() -> None:
    """There is no second test command that could drift from the documented one."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "<!-- tests -->" in script
    assert "pytest" not in script.replace("# ", "")
