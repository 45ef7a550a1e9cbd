"""docs/reference.md names everything that it is a reference of."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from search import compare, reproduce, run, serve
from search.budget import Kind
from search.export import __main__ as export
from search.report import __main__ as report
from spaces import Recipe

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "search.run": run.parser,
    "search.report": report.parser,
    "search.export": export.parser,
    "search.compare": compare.parser,
    "search.reproduce": reproduce.parser,
    "search.serve": serve.parser,
}


def section(title: str) -> str:
    """The page from a heading to the next one of its level or above."""
    level = title.split(" ")[0]
    found = re.search(
        rf"^{re.escape(title)}[^\n]*\n(.*?)(?=^#{{1,{len(level)}}} |\Z)",
        TEXT,
        re.DOTALL | re.MULTILINE,
    )
    assert found, title
    return found[1]


def first_cells(text: str) -> set[str]:
    """Words in code signs of the first column of a section's tables."""
    rows = [re.split(r"(?<!\\)\|", line)[1] for line in text.splitlines() if line.startswith("| `")]
    found = {word for row in rows for word in re.findall(r"`([^`]+)`", row)}
    return {re.split(r"[ \\\\]", word)[0] for word in found}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_told_and_no_other(command: str) -> None:
    """Per command."""
    told = {w for w in first_cells(section(f"### `python -m {command}")) if w.startswith("--")}
    there = {
        option
        for action in COMMANDS[command]()._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    assert told == there


def test_every_kind_of_the_ledger_is_told() -> None:
    """And no other."""
    assert first_cells(section("## The ledger")) == {str(kind) for kind in Kind}


@pytest.mark.parametrize(
    ("title", "file"),
    [("## summary.json", "summary.json"), ("## recipe.json", "recipe/recipe.json")],
)
def test_every_key_is_told(title: str, file: str) -> None:
    """As the newest version writes them, and no other."""
    newest = max((ROOT / "tests" / "formats").iterdir(), key=lambda folder: int(folder.name))
    keys = set(json.loads((newest / file).read_text(encoding="utf-8")))
    assert first_cells(section(title)) == keys


def test_every_field_of_a_recipe_is_told() -> None:
    """In the row of recipe.json."""
    text = section("## recipe.json")
    assert not [field.name for field in fields(Recipe) if f"`{field.name}`" not in text]


def test_every_exit_code_is_told() -> None:
    """Those that the README names."""
    codes = re.findall(r"^\| (\d+) \|", section("## Commands"), re.MULTILINE)
    assert codes == ["0", "1", "2", "3", "130"]
