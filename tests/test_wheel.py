"""What is installed: the wheel's content and metadata, its command in an environment of its own.

Nothing is fetched: the wheel is built by the setuptools that is there, and its environment borrows
the packages of this one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import search
from search.request import Request, build_study, plan_lines
from tests.tiny import write_rows

ROOT = Path(__file__).parents[1]
ROOMS = ("objectives", "search", "spaces", "studies")
DATA = {".json", ".typed", ".yaml"}
MOST_BYTES = 700_000
"""Larger than this, something is in the wheel that does not belong there."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: old files in build/ would get into it."""
    source = tmp_path_factory.mktemp("source") / "tool"
    ignored = shutil.ignore_patterns(
        ".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "venv"
    )
    shutil.copytree(ROOT, source, ignore=ignored)
    folder = tmp_path_factory.mktemp("wheel")
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    pip("wheel", str(source), *flags, "--wheel-dir", str(folder))
    (made,) = folder.iterdir()
    return made


def pip(*arguments: str) -> None:
    """Run pip; its complaint fails the test."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def members(wheel: Path) -> set[str]:
    """Names of the files in it, but for those about it."""
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def metadata(wheel: Path) -> Message:
    """What it says about itself."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf-8"))


@pytest.mark.slow
def test_the_wheel_holds_the_four_rooms_and_nothing_else(wheel: Path) -> None:
    """All modules and their data, no tests, no documents; the licence goes with it."""
    there = {
        file.relative_to(ROOT).as_posix()
        for room in ROOMS
        for file in (ROOT / room).rglob("*")
        if file.suffix in DATA | {".py"}
    }
    assert "studies/challenge_2023.json" in there
    assert "search/py.typed" in there
    assert members(wheel) == there
    with ZipFile(wheel) as archive:
        about = {name.partition("/")[2] for name in archive.namelist()} - there
        assert "licenses/LICENSE" in about
    assert wheel.stat().st_size < MOST_BYTES
    assert wheel.name == f"recipe_search-{search.__version__}-py3-none-any.whl"


@pytest.mark.slow
def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Version, licence, Python, extras and the README, as pyproject.toml and the package do."""
    told = metadata(wheel)
    assert told["Version"] == search.__version__
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Requires-Python"] == ">=3.11"
    assert set(told.get_all("Provides-Extra", [])) == {"gpu", "serve", "bench", "dev"}
    assert told["Description-Content-Type"] == "text/markdown"
    assert told.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    needed = {
        canonicalize_name(requirement.name)
        for requirement in map(Requirement, told.get_all("Requires-Dist", []))
        if requirement.marker is None
    }
    with (ROOT / "pyproject.toml").open("rb") as file:
        asked = tomllib.load(file)["project"]["dependencies"]
    assert needed == {canonicalize_name(Requirement(line).name) for line in asked}


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder that is not the repository."""

    bin: Path
    folder: Path

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of that environment there."""
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            input=text,
            cwd=self.folder,
            env={"PATH": str(self.bin), "CUDA_VISIBLE_DEVICES": ""},
            check=False,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment that has nothing else of its own."""
    made = tmp_path_factory.mktemp("installed")
    venv.create(made / "venv")
    python = made / "venv" / "bin" / "python"
    pip("--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    (packages,) = (made / "venv" / "lib").glob("python*/site-packages")
    ours = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (packages / "borrowed.pth").write_text("\n".join(sorted(ours)) + "\n", encoding="utf-8")
    folder = made / "elsewhere"
    folder.mkdir()
    return Installed(made / "venv" / "bin", folder)


@pytest.mark.slow
def test_the_console_command_is_the_module(installed: Installed) -> None:
    """`recipe-search` beside `python -m search.run`: the same flags, the same errors."""
    where = installed.run("python", "-c", "import search; print(search.__file__)").stdout
    assert where.startswith(str(installed.bin.parent))
    command = installed.run("recipe-search", "--help")
    module = installed.run("python", "-m", "search.run", "--help")
    assert command.returncode == module.returncode == 0
    assert command.stdout.startswith("usage: recipe-search ")
    assert module.stdout.startswith("usage: python -m search.run ")
    flags = set(re.findall(r"--[\w-]+", module.stdout))
    assert set(re.findall(r"--[\w-]+", command.stdout)) == flags
    assert installed.run("recipe-search", "--version").stdout == (
        f"recipe-search {search.__version__}\n"
    )
    wrong = installed.run("recipe-search", "--budget", "soon")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["report", "export", "reproduce", "compare", "serve"], ids=lambda name: name
)
def test_the_other_commands_are_there(module: str, installed: Installed) -> None:
    """They answer `--help` without the repository."""
    assert installed.run("python", "-m", f"search.{module}", "--help").returncode == 0


@pytest.mark.slow
def test_a_job_is_planned_outside_the_repository(
    installed: Installed, tiny_model: Path, tmp_path: Path
) -> None:
    """By the installed package alone, with a model and data of one's own."""
    rows = write_rows(tmp_path / "rows.jsonl", 200)
    job = ["--budget", "20m", "--model", str(tiny_model), "--data", f"sums={rows}"]
    done = installed.run("recipe-search", *job, "--plan")
    assert done.returncode == 0, done.stderr
    request = Request(budget_s=1200, model=str(tiny_model), data=(f"sums={rows}",))
    expected = plan_lines(request, build_study(request))
    assert [line for line in done.stdout.splitlines() if not line.startswith("disk")] == [
        line for line in expected if not line.startswith("disk")
    ]
    assert not list(installed.folder.iterdir())


@pytest.mark.slow
def test_the_training_process_starts_from_the_installed_package(installed: Installed) -> None:
    """It ends by itself when its input does."""
    done = installed.run("python", "-m", "objectives.process")
    assert done.returncode == 0, done.stderr
