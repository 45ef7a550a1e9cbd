"""What earlier versions wrote stays readable.

tests/formats/N is a run folder as a version left it whose run folder or recipe had format N, its
study as SQL: a simulated job (500 s on `CurveObjective(search_items=6)`) without rows, report and
trials' scores.
Such folders are added and never changed.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from search import formats
from search.errors import BadInput
from search.folder import RunFolder
from search.read_recipe import read_recipe
from search.report.__main__ import main as report

EARLIER = Path(__file__).parent.parent / "formats"
NUMBERS = sorted(int(folder.name) for folder in EARLIER.iterdir())


def restored(number: int, target: Path) -> Path:
    """A run folder of an earlier format."""
    shutil.copytree(EARLIER / str(number), target)
    sql = target / "study.sql"
    with sqlite3.connect(target / "study.db") as database:
        database.executescript(sql.read_text(encoding="utf-8"))
    database.close()
    sql.unlink()
    return target


def add(monkeypatch: pytest.MonkeyPatch, steps: str, *more: formats.Step) -> None:
    """Let this version be one of later formats."""
    monkeypatch.setattr(formats, steps, (*getattr(formats, steps), *more))


def test_there_is_a_folder_of_every_format() -> None:
    """Who adds a step adds a folder as it writes one."""
    steps = max(len(formats.RUN), len(formats.RECIPE))
    assert list(range(1, steps + 2)) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_a_run_of_an_earlier_version_can_be_reported(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the figures that it had."""
    run = restored(number, tmp_path / "run")
    before = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert report([str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (told,) = [line for line in lines if line.startswith("accuracy on")]
    assert f"{before['final']['accuracy']:.3f}" in told
    text = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert f"{before['final']['accuracy']:.3f}" in text


@pytest.mark.parametrize("number", NUMBERS)
def test_a_recipe_of_an_earlier_version_can_be_read(number: int, tmp_path: Path) -> None:
    """Its files are as their hashes say."""
    facts = read_recipe(restored(number, tmp_path / "run") / "recipe")
    assert facts["recipe"].rank > 0
    assert facts["format"] == formats.newest(formats.RECIPE)


def rename(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """A step: another name for a key and a file."""
    old = folder / "ledger.jsonl"
    if old.exists():
        old.rename(folder / "book.jsonl")
    return {("budget" if key == "budget_s" else key): x for key, x in content.items()}


def note(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Another step, which needs what the first one made."""
    assert (folder / "book.jsonl").is_file()
    return content | {"doubled": 2 * content["budget"]}


def test_a_folder_is_led_from_format_to_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step, once, and also when that was interrupted."""
    run = restored(1, tmp_path / "run")

    def crash(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        add(patch, "RUN", rename, crash)
        with pytest.raises(KeyboardInterrupt):
            RunFolder(run).upgrade()
    add(monkeypatch, "RUN", rename, note)
    for _ in range(2):
        folder = RunFolder(run)
        assert folder.open({"budget": 500.0, "seed": 0})
        job = folder.read("job.json")
        folder.release()
        assert (job["format"], job["doubled"]) == (3, 1000.0)
        assert "budget_s" not in job


def test_a_folder_in_use_by_an_older_version_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report would change it under that version's feet."""
    run = restored(1, tmp_path / "run")
    working = RunFolder(run)
    assert working.open({"seed": 0})
    RunFolder(run).upgrade()  # nothing to do
    add(monkeypatch, "RUN", rename)
    with pytest.raises(BadInput, match="is working there"):
        RunFolder(run).upgrade()
    assert (run / "ledger.jsonl").is_file()
    working.release()
    RunFolder(run).upgrade()
    assert (run / "book.jsonl").is_file()


def test_a_recipe_is_led_on_without_a_change_to_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They carry hashes."""
    recipe = restored(1, tmp_path / "run") / "recipe"

    def seed_of_all(_folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        return content | {"seed": content["seed"] + 1}

    add(monkeypatch, "RECIPE", seed_of_all)
    before = read_recipe(recipe)
    assert (before["format"], before["seed"]) == (formats.newest(formats.RECIPE), 1)
    assert read_recipe(recipe) == before


@pytest.mark.parametrize("format_", [2, 99, 0, -1, None, "1", True, 1.0])
def test_other_formats_are_refused(format_: object) -> None:
    """What a newer version wrote is not guessed at."""
    with pytest.raises(BadInput, match="newer version" if format_ in (2, 99) else "damaged"):
        formats.upgraded(Path("job.json"), {"format": format_}, ())
