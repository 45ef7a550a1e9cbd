"""pyproject.toml says which file needs which package, and says it of all packages."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
ROOMS = ("objectives", "search", "spaces", "studies")
OURS = {"dependencies", "gpu", "serve", "bench"}
"""Lists whose packages our own code needs; the extra `dev` holds tools."""
THROUGH = {
    "evaluate": "lm-eval",
    "pydantic": "fastapi",
    "sqlalchemy": "optuna",
    "starlette": "fastapi",
    "yaml": "datasets",
}
"""Modules that come with another package."""
MODULES = packages_distributions()
"""Packages that bring a module, by its name."""


@dataclass(frozen=True)
class Line:
    """A requirement in pyproject.toml, and what stands beside it."""

    name: str
    comment: str

    @property
    def modules(self) -> set[str]:
        """What it is imported as."""
        name = canonicalize_name(self.name)
        found = {
            module for module, owners in MODULES.items() if name in map(canonicalize_name, owners)
        }
        return found or {self.name.replace("-", "_")}  # extras need not be installed

    @property
    def files(self) -> list[str]:
        """The files that need it, as the comment says."""
        return re.findall(r"[\w/]+\.py\b", self.comment)


def lines_of(name: str) -> list[Line]:
    """The requirements of a list in pyproject.toml."""
    found = re.search(rf"^{name} = \[(.*?)\](?:  #([^\n]*))?$", PROJECT, re.DOTALL | re.MULTILINE)
    assert found, name
    lines = []
    for line in found[1].splitlines():
        text, _, comment = line.partition("#")
        names = [Requirement(quoted).name for quoted in re.findall(r'"([^"]+)"', text)]
        lines += [Line(name, comment or found[2] or "") for name in names]
    return lines


NEEDED = [line for name in sorted(OURS) for line in lines_of(name)]


def test_the_lists_are_read_whole() -> None:
    """What is checked below is all that there is."""
    known = {canonicalize_name(line.name) for line in NEEDED}
    project = tomllib.loads(PROJECT)["project"]
    lists = project["optional-dependencies"] | {"dependencies": project["dependencies"]}
    assert set(lists) == OURS | {"dev"}
    texts = [text for name in OURS for text in lists[name]]
    assert known == {canonicalize_name(Requirement(text).name) for text in texts}


def imported(file: Path) -> Iterator[str]:
    """Modules that a file imports, by their first name, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("line", NEEDED, ids=lambda line: line.name)
def test_a_package_is_needed_where_its_comment_says(line: Line) -> None:
    """That file imports it, or another that needs it `through` this one, or tells of a command."""
    assert line.files, f"{line.name}: the comment names no file"
    through = re.search(r"through ([\w-]+)", line.comment)
    wanted = {through[1]} if through else line.modules
    using = [
        name
        for name in line.files
        if wanted & set(imported(ROOT / name))
        or ("as a command" in line.comment and line.name in (ROOT / name).read_text("utf-8"))
    ]
    together = {other.name for other in NEEDED if other.comment == line.comment}
    assert using
    assert using == line.files or len(together) > 1


def test_what_the_package_imports_is_declared() -> None:
    """By the package itself, not by luck: all that search/, objectives/ and spaces/ import."""
    declared = {module for line in NEEDED for module in line.modules}
    known = declared | set(THROUGH) | set(ROOMS) | set(sys.stdlib_module_names)
    for room in ("search", "objectives", "spaces"):
        for file in (ROOT / room).rglob("*.py"):
            assert not set(imported(file)) - known, file
    for module, package in THROUGH.items():
        brought = {Requirement(text).name.lower() for text in requires(package) or ()}
        assert brought & {owner.lower() for owner in MODULES[module]}, module
