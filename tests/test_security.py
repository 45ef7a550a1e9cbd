"""What the package never does: the source is searched for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.request import Request
from search.run import parser

ROOT = Path(__file__).parent.parent
FILES = sorted(
    file
    for package in ("search", "objectives", "spaces", "studies")
    for file in (ROOT / package).rglob("*.py")
)
MODULES = {"dill", "joblib", "marshal", "pickle", "shelve", "tarfile", "zipfile"}
ALLOWED = {ROOT / "objectives" / "base.py": {"zipfile"}}
"""It reads one member of the embedded model's wheel, under a name of its own."""
CALLS = {"eval", "exec", "os.system", "shutil.unpack_archive", "torch.load", "torch.save"} | {
    f"yaml.{name}" for name in ("full_load", "load", "load_all", "unsafe_load")
}


def used(tree: ast.Module) -> Iterator[str]:
    """Modules that are imported and functions that are called, by dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_nothing_is_unpickled_unpacked_or_evaluated() -> None:
    """safetensors and JSON alone; YAML is read by its safe loader."""
    assert len(FILES) > 100
    for file in FILES:
        found = set(used(ast.parse(file.read_text(encoding="utf-8"))))
        assert not found & (MODULES | CALLS) - ALLOWED.get(file, set()), file
        assert not [name for name in found if name.endswith((".extract", ".extractall"))], file


def test_the_search_for_it_can_find_it() -> None:
    """A test must be able to fail."""
    tree = ast.parse("import os, pickle\nfrom tarfile import open\ntorch.load('x')\nyaml.load(y)")
    assert {"pickle", "tarfile", "torch.load", "yaml.load"} <= set(used(tree))


def test_servers_are_not_open_to_the_world() -> None:
    """No address of all interfaces stands anywhere but in the text of a container's image."""
    for file in FILES:
        if file == ROOT / "search" / "export" / "challenge.py":
            continue
        assert "0.0.0.0" not in file.read_text(encoding="utf-8"), file


@pytest.mark.parametrize("flag", [False, True])
def test_code_that_comes_with_a_model_is_trusted_on_request_alone(flag: bool) -> None:
    """Off by default, in the command and in Python."""
    words = ["--budget", "1m", *(["--trust-remote-code"] if flag else [])]
    assert parser().parse_args(words).trust_remote_code is flag
    assert not Request(budget_s=60.0).trust_remote_code
