"""Run folders that somebody, or a disk, has damaged: one clear line, never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives.rows import hash_file, write_sums
from search.errors import BadInput
from search.read_recipe import read_recipe
from tests.simulated import Simulation


class Killed(BaseException):
    """kill -9."""


class OnDisk(Simulation):
    """With a real database."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, budget_s=7200)
        self.storage = None  # type: ignore[assignment]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that was killed in the middle of its search."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    left = 60

    def kill(_point: str, _trial: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Killed

    with pytest.raises(Killed):
        OnDisk(folder).run(fail=kill)
    assert len(list((folder / "scores").glob("trial-*"))) > 3
    return folder


def cut(path: Path) -> None:
    """Lose the second half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def before(path: Path, line: bytes) -> None:
    """Put a line before a file's own."""
    path.write_bytes(line + b"\n" + path.read_bytes())


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON object."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def scores(run: Path, content: str | None) -> None:
    """Write something else into all files of scores; None: cut them."""
    for file in (run / "scores").glob("*"):
        if content is None:
            cut(file)
        else:
            file.write_text(content)


def swap(path: Path) -> None:
    """Put a folder where a file is, or a file where a folder is."""
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("x")
    else:
        path.unlink()
        path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "job.json is cut": (lambda run: cut(run / "job.json"), "job.json"),
    "job.json is a list": (lambda run: (run / "job.json").write_text("[]"), "job.json"),
    "job.json is empty": (lambda run: (run / "job.json").write_text(""), "job.json"),
    "job.json is no text": (lambda run: (run / "job.json").write_bytes(b"\xff\xfe"), "job.json"),
    "job.json has no format": (
        lambda run: (run / "job.json").write_text("{}"),
        "its format is None",
    ),
    "job.json is newer": (lambda run: edit(run / "job.json", format=9), "newer version"),
    "job.json is another job's": (lambda run: edit(run / "job.json", seed=5), "seed differs"),
    "data.json is cut": (lambda run: cut(run / "data.json"), "data.json"),
    "data.json has no hashes": (lambda run: (run / "data.json").write_text("{}"), "data.json"),
    "the ledger begins with garbage": (
        lambda run: before(run / "ledger.jsonl", b"garbage"),
        "line 1 is no ledger line",
    ),
    "the ledger has other keys": (
        lambda run: before(run / "ledger.jsonl", b'{"a": 1}'),
        "line 1 is no ledger line",
    ),
    "the ledger has other types": (
        lambda run: before(
            run / "ledger.jsonl",
            b'{"start": "a", "seconds": null, "kind": "load", "trial": 0, "note": ""}',
        ),
        "line 1 is no ledger line",
    ),
    "the ledger is no text": (lambda run: before(run / "ledger.jsonl", b"\xff\xfe"), "ledger"),
    "study.db is cut": (lambda run: cut(run / "study.db"), "study.db"),
    "study.db is a text": (lambda run: (run / "study.db").write_text("hello"), "study.db"),
    "study.db is empty": (lambda run: (run / "study.db").write_text(""), "no trial"),
    "study.db is gone": (lambda run: (run / "study.db").unlink(), "no trial"),
    "scores are cut": (lambda run: scores(run, None), "scores/"),
    "scores are of another form": (lambda run: scores(run, '{"alpha": 3}'), "scores/"),
    "scores are no numbers": (
        lambda run: scores(run, '{"alpha": {"correct": ["x"], "losses": ["y"]}}'),
        "scores/",
    ),
    "items are cut": (lambda run: cut(run / "data/items/search.jsonl"), "items/search.jsonl"),
    "items are changed": (
        lambda run: before(run / "data/items/final.jsonl", b"{}"),
        "items/final.jsonl",
    ),
    "items are gone": (lambda run: shutil.rmtree(run / "data/items"), "data/items"),
    "rows are changed": (lambda run: before(run / "data/sources/aiw.jsonl", b"{}"), "aiw.jsonl"),
    "rows are gone": (lambda run: shutil.rmtree(run / "data/sources"), "data/sources"),
    "the lock is a folder": (lambda run: swap(run / "lock"), "cannot write there"),
    "artifacts is a file": (lambda run: swap(run / "artifacts"), "cannot write there"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_told_in_one_line_and_left_as_it_is(
    name: str, killed: Path, tmp_path: Path
) -> None:
    """Nothing that was found in it is deleted: it may still be mended."""
    damage, told = DAMAGES[name]
    run = tmp_path / "run"
    shutil.copytree(killed, run)
    damage(run)
    there = {file for file in run.rglob("*") if file.name != "study.db-journal"}
    with pytest.raises(BadInput, match=told) as caught:
        OnDisk(run).run()
    assert "\n" not in str(caught.value)
    assert there <= {*run.rglob("*"), run / "study.db"}


def test_a_folder_that_is_whole_goes_on(killed: Path, tmp_path: Path) -> None:
    """The same copy, without damage."""
    run = tmp_path / "run"
    shutil.copytree(killed, run)
    OnDisk(run).run()
    assert (run / "recipe" / "recipe.json").is_file()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of a finished job."""
    simulation = Simulation(tmp_path_factory.mktemp("recipe") / "run", budget_s=7200)
    simulation.run()
    return simulation.path / "recipe"


def signed(
    recipe: Path, part: Callable[[Any], dict[str, Any]], key: str, value: object = "x"
) -> None:
    """Change a value of recipe.json, and its hash with it."""
    facts = json.loads((recipe / "recipe.json").read_text())
    part(facts)[key] = value
    (recipe / "recipe.json").write_text(json.dumps(facts))
    lines = (recipe / "sha256").read_text().splitlines()
    hashes = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    write_sums(recipe, hashes | {"recipe.json": hash_file(recipe / "recipe.json")})


RECIPE_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "recipe.json is cut": (lambda recipe: cut(recipe / "recipe.json"), "recipe.json"),
    "recipe.json is edited": (
        lambda recipe: edit(recipe / "recipe.json", seed=7),
        "recipe.json' is missing or changed",
    ),
    "recipe.json is newer": (
        lambda recipe: edit(recipe / "recipe.json", format=9),
        "newer version",
    ),
    "recipe.json is gone": (lambda recipe: (recipe / "recipe.json").unlink(), "recipe.json"),
    "recipe.json is a list": (
        lambda recipe: (recipe / "recipe.json").write_text("[]"),
        "JSON object",
    ),
    "recipe.json lacks a part": (
        lambda recipe: edit(recipe / "recipe.json", base=3),
        "base: id must be text",
    ),
    "a task's error is text": (
        lambda recipe: signed(recipe, lambda facts: facts["score"]["tasks"]["alpha"], "stderr"),
        "score: tasks must be",
    ),
    "the metric is gone": (
        lambda recipe: signed(recipe, lambda facts: facts["score"], "metric", None),
        "score: metric must be",
    ),
    "the adapter is cut": (
        lambda recipe: cut(recipe / "adapter/adapter_model.safetensors"),
        "changed",
    ),
    "the adapter is gone": (lambda recipe: shutil.rmtree(recipe / "adapter"), "missing"),
    "its config is edited": (
        lambda recipe: edit(recipe / "adapter/adapter_config.json", r=9),
        "adapter_config.json' is missing or changed",
    ),
    "the hashes are gone": (lambda recipe: (recipe / "sha256").unlink(), "sha256"),
    "the hashes are cut": (lambda recipe: (recipe / "sha256").write_text("0  x\n"), "lacks"),
    "the hashes are no text": (lambda recipe: (recipe / "sha256").write_bytes(b"\xff"), "cannot"),
    "the hashes name a file outside": (
        lambda recipe: before(recipe / "sha256", b"0  ../../job.json"),
        "lies outside",
    ),
    "rows are changed": (lambda recipe: before(recipe / "data/train.jsonl", b"{}"), "train.jsonl"),
    "items are gone": (lambda recipe: (recipe / "data/final.jsonl").unlink(), "final.jsonl"),
}


def test_a_run_folder_in_a_recipe_s_place_is_told_where_the_recipe_is(
    recipe: Path, tmp_path: Path
) -> None:
    """Other commands want the run folder, so it is easily given here too."""
    shutil.copytree(recipe, tmp_path / "run" / "recipe")
    for folder, told in (("run", str(tmp_path / "run" / "recipe")), ("none", "a run's recipe")):
        path = tmp_path / folder / "recipe.json"
        with pytest.raises(BadInput) as caught:
            read_recipe(tmp_path / folder)
        assert str(caught.value).startswith(f"cannot read {path} (No such file or directory); ")
        assert f"; give {told}" in str(caught.value)
        assert str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize("name", RECIPE_DAMAGES)
def test_a_damaged_recipe_is_told_in_one_line(name: str, recipe: Path, tmp_path: Path) -> None:
    """Before anything is loaded or trained."""
    damage, told = RECIPE_DAMAGES[name]
    copy = tmp_path / "recipe"
    shutil.copytree(recipe, copy)
    assert read_recipe(copy)["seed"] == 0
    damage(copy)
    with pytest.raises(BadInput, match=told) as caught:
        read_recipe(copy)
    assert "\n" not in str(caught.value)
