"""docs/architecture.md speaks of files and names that there are, and its rooms keep their rule."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`((?:search|objectives|spaces|studies)/[\w/]*\.py)`", TEXT)))
NAMES = sorted(set(re.findall(r"`((?:search|objectives)\.[a-z_.]+\.[A-Z]\w+)`", TEXT)))


@pytest.mark.parametrize("name", FILES)
def test_its_files_are_there(name: str) -> None:
    """Where it says."""
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_its_names_are_there(name: str) -> None:
    """In their modules."""
    module, _, attribute = name.rpartition(".")
    assert hasattr(import_module(module), attribute)


@pytest.mark.parametrize("room", ["spaces", "search"])
def test_the_engine_imports_no_torch(room: str) -> None:
    """Not even within a function: it survives the GPU, and starts at once."""
    for file in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found = {node.module.split(".")[0]}
            else:
                continue
            assert not found & {"torch", "transformers", "peft", "bitsandbytes"}, file
