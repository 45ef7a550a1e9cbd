"""docs/extending.md as it is printed: an axis, an objective, an exporter, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from safetensors.numpy import load_file

from objectives import axes
from objectives.objective import Schedule
from objectives.rows import SUMS, iterate_jsonl, verify
from search.errors import BadInput
from search.export.__main__ import main as export
from search.export.source import Source, open_recipe
from search.export.targets import TARGETS
from search.folder import RunFolder
from search.recipe import method
from search.report.write import write_report
from search.reproduce import main as reproduce
from search.run import main as run
from search.store import Store
from search.summary import summarise
from search.worker import ProcessObjective
from spaces import Axis, Recipe
from studies import Study, demo
from studies.catalog import find
from tests.jobs import LONGER, PATIENCE_S, TOO_SMALL
from tests.printed import CODE, FILES, ROOT, TEXT, module, printed, told
from tests.search.test_export import made
from tests.simulated import Simulation
from tests.tiny import write_rows

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("name", FILES)
def test_each_example_takes_under_40_lines(name: str) -> None:
    """And says under which name it is to be saved, and is the file of a command."""
    assert len(CODE[name].splitlines()) < 40
    assert f"`{name}`" in TEXT
    commands = "".join(re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.M))
    assert name in commands


# An axis


@pytest.fixture(scope="module")
def decayed(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """A finished job of the page's study, in simulated time."""
    folder = tmp_path_factory.mktemp("axis")
    made = Simulation(folder / "run", budget_s=86400)
    made.request = replace(made.request, study=str(printed("decay.py", folder)))
    made.run()
    return made


def store_of(done: Simulation) -> Store:
    """The study of the page's job."""
    return Store(RunFolder(done.path), "decay", done.storage)


def test_a_new_axis_is_searched_from_its_default_on(decayed: Simulation) -> None:
    """The experts have its default, the others many values within its interval."""
    store = store_of(decayed)
    values = [record.params["weight_decay"] for record in store.records()]
    assert all(
        record.recipe.extra == {"weight_decay": v}
        for record, v in zip(store.records(), values, strict=True)
    )
    experts = len(demo.study().experts)
    assert values[:experts] == [0.01] * experts
    assert len(set(values[experts:])) > 5
    assert all(0.001 <= value <= 0.3 for value in values)
    steps = {record.recipe.tokens_per_step for record in store.records()}
    assert 1024 in steps, "the other line of the page"
    assert any("weight_decay 0.01 (expert" in line for line in decayed.view.lines)


def test_a_new_axis_is_in_the_recipe_and_in_the_report(decayed: Simulation) -> None:
    """With the value that the chosen trial has, and the text of its function."""
    folder = RunFolder(decayed.path)
    store = store_of(decayed)
    recipe = folder.path / "recipe"
    facts = json.loads((recipe / "recipe.json").read_text("utf-8"))
    chosen = store.records()[store.noted("winner")].recipe
    assert facts["recipe"]["extra"] == dict(chosen.extra)
    assert Recipe.from_dict(facts["recipe"]) == chosen
    assert "def set_decay(optimizer, value):" in (recipe / "data" / "axes.py").read_text("utf-8")
    assert facts["data"][axes.FILE]
    write_report(folder, store, summarise(folder, store))
    report = (folder.path / "report" / "index.html").read_text("utf-8")
    assert re.search(r"weight_decay</\w+>", report)
    assert "own axes: weight_decay" in (recipe / "adapter" / "README.md").read_text("utf-8")


def test_whoever_trains_a_recipe_again_is_asked_whether_its_code_is_trusted(
    decayed: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    """The axis's function is code that comes with the recipe."""
    assert reproduce([str(decayed.path / "recipe")]) == 2
    assert "axes.py" in capsys.readouterr().err


def test_exporters_carry_what_the_axis_did_to_the_optimizer(decayed: Simulation) -> None:
    """And say that they carry no more."""
    assert export([str(decayed.path), "--to", "axolotl"]) == 0
    text = (decayed.path / "recipe" / "exports" / "axolotl" / "FIDELITY.md").read_text("utf-8")
    assert "the study's own axis weight_decay" in text
    loaded = decayed.objective.load(lambda _: None) if decayed.objective else None
    assert loaded is not None
    assert method(loaded, {"weight_decay": 0.2})["optimizer"]["weight_decay"] == 0.2
    assert method(loaded, {})["optimizer"]["weight_decay"] == 0.0


@pytest.mark.slow
def test_a_new_axis_changes_what_is_trained(tiny_model: Path, tmp_path: Path) -> None:
    """In the training process, which has the function from the job's data alone."""
    study = find(str(printed("decay.py", tmp_path)))
    rows = tmp_path / "data" / "sources"
    rows.mkdir(parents=True)
    write_rows(rows / "one.jsonl", 60)
    axes.write(study.space.axes, tmp_path / "data")
    objective = ProcessObjective(model=str(tiny_model), run_dir=tmp_path, seed=0, max_length=64)
    common = replace(study.experts[0].recipe, mixture={"one": 1.0}, max_length=64)
    sizes = {}
    try:
        objective.load(lambda _: None)
        for decay in (0.001, 0.3):
            recipe = replace(common, learning_rate=0.05, extra={"weight_decay": decay})
            name = f"with-{decay}"
            trained = objective.train(
                name, recipe, Schedule(warmup_steps=0), 8, None, lambda _: None
            )
            assert trained.optimizer["weight_decay"] == decay
            objective.export(name, tmp_path / name)
            tensors = load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
            sizes[decay] = sum(float(np.square(tensor).sum()) for tensor in tensors.values())
        strange = replace(common, extra={"unheard_of": 1})
        with pytest.raises(BadInput, match="nothing says what it does"):
            objective.train("x", strange, Schedule(warmup_steps=0), 1, None, lambda _: None)
    finally:
        objective.close()
    assert sizes[0.3] < sizes[0.001]


# An objective


@pytest.fixture(scope="module")
def bigrams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the page's objective, made by the page's command.

    Where the machine is too slow for its budget, or for a whole trial in it, by a longer one.
    """
    commands = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.M)
    (command,) = [text.split() for text in commands if "bigrams.py" in text]
    place = command.index("--budget") + 1
    for budget in (command[place], *LONGER):
        folder = tmp_path_factory.mktemp("objective")
        printed("bigrams.py", folder)
        done = subprocess.run(
            [sys.executable, *command[1:place], budget, *command[place + 1 :]],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        if done.returncode != TOO_SMALL:
            assert (done.returncode, done.stderr) == (0, "")
            summary = json.loads((folder / "bigrams" / "summary.json").read_text("utf-8"))
            if summary["trials"]["complete"]:
                break
    assert done.returncode == 0, done.stderr
    return folder / "bigrams"


def rescored(objective: Any, arrays: dict[str, Any], items: Path) -> float:
    """Mean outcome over tasks."""
    found: dict[str, list[float]] = {}
    for item in iterate_jsonl(items):
        found.setdefault(item["task"], []).append(float(objective.score(arrays, item)[0]))
    return float(np.mean([np.mean(own) for own in found.values()]))


@pytest.mark.slow
def test_a_new_objectives_scores_are_the_studys_values(bigrams: Path, tmp_path: Path) -> None:
    """What study.db holds of a trial, and summary.json of the final run, `score` gives again."""
    mine = module(tmp_path)
    objective = mine.Bigrams(mine.study(), bigrams)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{bigrams}/study.db")
    trials = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert trials
    items = bigrams / "data" / "items"
    for trial in trials:
        arrays = load_file(bigrams / "trials" / str(trial.number) / "state.safetensors")
        again = rescored(objective, arrays, items / "search.jsonl")
        assert trial.values[0] == pytest.approx(again, abs=1e-6)
        assert 0.5 <= trial.params["momentum"] <= 0.99
    assert len({trial.params["momentum"] for trial in study.get_trials()}) > 2
    final = json.loads((bigrams / "summary.json").read_text("utf-8"))
    arrays = load_file(bigrams / "recipe" / "adapter" / "adapter_model.safetensors")
    again = rescored(objective, arrays, bigrams / "recipe" / "data" / "final.jsonl")
    assert final["final"]["accuracy"] == pytest.approx(again, abs=1e-4)
    untrained = objective.begin(mine.study().experts[0].recipe, np.random.default_rng(0))
    assert again > rescored(objective, untrained, bigrams / "recipe" / "data" / "final.jsonl")


@pytest.mark.slow
def test_what_cannot_be_done_with_such_a_recipe_is_told_in_one_line(
    bigrams: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our trainer and other tools know language models alone; a user's exporter is not asked."""
    recipe = bigrams / "recipe"
    facts = json.loads((recipe / "recipe.json").read_text("utf-8"))
    assert facts["score"]["metric"] == "the score of the study's own objective"
    assert "momentum" in facts["recipe"]["extra"]
    assert reproduce([str(recipe)]) == 2
    assert export([str(recipe), "--to", "trl"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 2
    assert error.count("an objective of the study's own") == 2
    own = tmp_path / "sizes.py"
    own.write_text(
        "def write(source, folder):\n"
        "    (folder / 'size').write_text(str(len(list(source.messages()))))\n"
    )
    assert export([str(recipe), "--to", str(own)]) == 0
    assert int((recipe / "exports" / "sizes" / "size").read_text()) > 100


# An exporter


def test_a_new_exporters_files_are_written_and_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands in them is the recipe's."""
    done = made(tmp_path / "run")
    assert export([str(done), "--to", str(printed("mlx_lora.py", tmp_path))]) == 0
    folder = done / "recipe" / "exports" / "mlx_lora"
    assert capsys.readouterr().out == f"{folder}\n"
    source = open_recipe(done)
    config = yaml.safe_load((folder / "lora.yaml").read_text("utf-8"))
    assert config["model"] == "maker/model"
    assert config["learning_rate"] == source.recipe.learning_rate
    assert config["lora_parameters"]["rank"] == source.recipe.rank
    talks = [row["messages"] for row in iterate_jsonl(folder / "train.jsonl")]
    assert talks == list(source.messages())
    lines = (folder / SUMS).read_text().splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert set(sums) == {"lora.yaml", "train.jsonl", "valid.jsonl"}
    verify(folder, sums, "now")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with the page's exporter and the page's entry point."""
    (block,) = re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.M)
    points = tomllib.loads(block)["project"]["entry-points"]["recipe_search.exporters"]
    site = tmp_path / "site"
    about = site / "mine-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (about / "entry_points.txt").write_text(f"[recipe_search.exporters]\n{lines}")
    printed("mlx_lora.py", site)
    monkeypatch.syspath_prepend(site)
    return site


def test_an_installed_packages_exporter_has_a_name(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For --to NAME, for --to all, and in the list of what there is."""
    done = made(tmp_path / "run")
    assert export([str(done), "--to", "mlx_lora"]) == 0
    assert export([str(done), "--to", "all"]) == 0
    assert str(done / "recipe" / "exports" / "mlx_lora") in capsys.readouterr().out.split()
    assert export([str(done), "--to", "nothing"]) == 2
    assert "challenge, mlx_lora, all" in capsys.readouterr().err


def test_a_name_that_ships_is_no_packages_to_take(package: Path, tmp_path: Path) -> None:
    """What `--to peft` writes does not depend on what else is installed."""
    points = package / "mine-1.0.dist-info" / "entry_points.txt"
    points.write_text("[recipe_search.exporters]\npeft = mlx_lora:write\n")
    done = made(tmp_path / "run")
    assert export([str(done), "--to", "peft"]) == 0
    assert (done / "recipe" / "exports" / "peft" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ("gone = not_there:write", "ModuleNotFoundError: No module named 'not_there'"),
        ("gone = mlx_lora:writes", "has no attribute 'writes'"),
        ("gone = mlx_lora:__name__", "write must be a function"),
        ("gone = json:loads", "TypeError"),
        ("a/b = mlx_lora:write", "the name 'a/b' may hold"),
    ],
)
def test_a_broken_package_costs_no_other_form(
    point: str, says: str, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For --to all it is left out, and why is told; by its name it is one line of bad input."""
    with (package / "mine-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write(f"{point}\n")
    done = made(tmp_path / "run")
    assert export([str(done), "--to", "all"]) == 0
    exports = done / "recipe" / "exports"
    *lines, broken = sorted(capsys.readouterr().out.splitlines(), key=lambda s: s[:4] == "left")
    assert lines == [str(exports / name) for name in (*TARGETS, "mlx_lora")]
    assert broken.startswith("left out: --to ")
    assert says in broken
    assert {folder.name for folder in exports.iterdir()} == {*TARGETS, "mlx_lora"}
    assert export([str(done), "--to", point.partition(" =")[0]]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.count("--to ") == 1
    assert says in error


def test_every_part_of_a_source_is_told() -> None:
    """What the page says of Source is what there is."""
    section = TEXT.partition("| `Source` | holds |")[2].partition("\n\n")[0]
    told = set(
        re.findall(
            r"`(\w+)(?:\(\))?`",
            "\n".join(
                line.split("|")[1] for line in section.splitlines() if line.startswith("| `")
            ),
        )
    )
    there = {name for name in dir(Source) if not name.startswith("_")}
    assert told == there


def test_every_field_of_an_axis_is_told() -> None:
    """What the page says of Axis is what there is."""
    section = TEXT.partition("| `Axis` | means |")[2].partition("\n\n")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.M))
    assert told == set(Axis.__dataclass_fields__)


# Common mistakes

AXIS = "interval=(0.001, 0.3), log=True, default=0.01, apply=set_decay"
AXIS_MISTAKES = {
    "outside": ("    for group", "    print(math.e)\n    for group"),
    "lambda": ("apply=set_decay", "apply=lambda optimizer, value: None"),
    "no apply": (", apply=set_decay", ""),
    "taken": ('name="weight_decay"', 'name="rank"'),
    "default": (AXIS, "choices=(0, 1), default=2, apply=set_decay"),
    "both": ("interval=", "choices=(0.01,), interval="),
}


@pytest.mark.parametrize("mistake", AXIS_MISTAKES)
def test_a_mistake_in_an_axis_is_told_before_anything_is_loaded(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line that the page gives."""
    file = printed("decay.py", tmp_path, AXIS_MISTAKES[mistake])
    assert run(["--budget", "1m", "--study", str(file), "--out", str(tmp_path / "run")]) == 2
    told(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_an_axiss_function_that_fails_is_bad_input(tmp_path: Path) -> None:
    """It fails for every recipe: no trial is to blame."""
    file = printed("decay.py", tmp_path, ('group["weight_decay"] = value', 'group["momentum"]'))
    axes.write(find(str(file)).space.axes, tmp_path)
    recipe = replace(demo.study().experts[0].recipe, extra={"weight_decay": 0.01})

    class Optimizer:
        param_groups = ({"weight_decay": 0.0},)

    with pytest.raises(BadInput) as caught:
        axes.apply(axes.load(tmp_path), recipe, Optimizer())
    told(str(caught.value))


OBJECTIVE_MISTAKES = {
    "instance": ("objective=Bigrams", "objective=Bigrams()"),
    "missing": ("def score", "def scores"),
    "other": ("objective=Bigrams", "objective=lambda study, folder: 1"),
}


@pytest.mark.parametrize("mistake", OBJECTIVE_MISTAKES)
def test_a_mistake_in_an_objective_is_told_before_anything_is_trained(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line that the page gives, and the folder is free for a mended study."""
    file = printed("bigrams.py", tmp_path, OBJECTIVE_MISTAKES[mistake])
    words = ["--budget", "1m", "--study", str(file), "--out", str(tmp_path / "run"), "--quiet"]
    assert run(words) == 2
    told(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_the_plan_of_an_own_objective_is_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is known of its speed."""
    file = printed("bigrams.py", tmp_path)
    assert run(["--budget", "1m", "--study", str(file), "--plan"]) == 2
    told(capsys.readouterr().err)


EXPORT_MISTAKES: dict[str, tuple[str, str]] = {
    "no write": ("def write(", "def writes("),
    "raises": ("    recipe = source.recipe\n", "    recipe = source.recipe\n    1 / 0\n"),
    "home": ('"exports/mlx_lora"', 'str(Path.home() / "rows")'),
}


@pytest.mark.parametrize("mistake", EXPORT_MISTAKES)
def test_a_mistake_in_an_exporter_is_told_and_nothing_is_kept(
    mistake: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one line that the page gives."""
    monkeypatch.chdir(tmp_path)
    printed("mlx_lora.py", tmp_path, EXPORT_MISTAKES[mistake])
    done = made(tmp_path / "run")
    assert export([str(done), "--to", "mlx_lora.py"]) == 2
    error = capsys.readouterr().err
    told(re.sub(r"line \d+", "line 4", error))
    assert not list((done / "recipe").glob("exports/*"))


@pytest.mark.parametrize("what", ["folder", "token", "name"])
def test_what_is_exported_holds_no_path_and_no_secret(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in a file nor in its name; the secret is not repeated."""
    line = {
        "folder": "(folder / 'x').write_text(str(source.folder))",
        "token": "import os; (folder / 'x').write_bytes(os.environ['HF_TOKEN'].encode())",
        "name": "import os; (folder / os.environ['HF_TOKEN']).write_text('x')",
    }[what]
    own = tmp_path / "mine.py"
    own.write_text(f"def write(source, folder):\n    {line}\n")
    done = made(tmp_path / "run")
    assert export([str(done), "--to", str(own)]) == 2
    error = capsys.readouterr().err
    assert {"folder": "recipe's folder", "token": "$HF_TOKEN", "name": "$HF_TOKEN"}[what] in error
    assert what == "name" or os.environ["HF_TOKEN"] not in error
    assert not list((done / "recipe").glob("exports/*"))


def test_other_mistakes_with_exporters_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No such form, a name that ships, nothing written."""
    done = made(tmp_path / "run")
    empty = tmp_path / "empty.py"
    empty.write_text("def write(source, folder):\n    pass\n")
    ships = tmp_path / "peft.py"
    ships.write_text("def write(source, folder):\n    pass\n")
    for to in ("axolotol", str(empty), str(ships)):
        assert export([str(done), "--to", to]) == 2
        told(capsys.readouterr().err)
    assert export([str(done), "--to", str(tmp_path / "none.py")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_every_mistake_of_the_page_is_made_here() -> None:
    """So that no line of the page goes stale."""
    rows = re.findall(r"^\| [^|]+ \| `[^`]+` \|$", TEXT.partition("## Common mistakes")[2], re.M)
    made_here = len(AXIS_MISTAKES) + 1 + len(OBJECTIVE_MISTAKES) + 1 + 2 + len(EXPORT_MISTAKES) + 3
    assert len(rows) == made_here


def test_a_study_without_axes_is_the_job_that_it_was() -> None:
    """A folder that an earlier version began goes on: recipes and spaces read as before."""
    study: Study = demo.study()
    assert "extra" not in study.experts[0].recipe.to_dict()
    assert "axes" not in repr(study.space)
