"""Studies: the shipped ones, a user's file, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objectives import data
from objectives.rows import iterate_jsonl, prompt_key
from search.errors import BadInput
from search.request import parse_source
from spaces import Quantization
from spaces.space import parameters
from studies import Source, Study, Task
from studies.catalog import NAMES, find
from studies.study import Generated, HeldBack, HubDataset, LmEval, LocalFile
from tests.objectives.test_harness import DATA, KINDS, RULES
from tests.objectives.test_harness import write as write_task
from tests.objectives.test_harness import write_rows as write_task_rows
from tests.tiny import write_rows


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_study_is_sound(name: str) -> None:
    """Its experts lie in its space, and it holds tasks out that it neither trains nor searches."""
    study = find(name)
    for expert in study.experts:
        assert parameters(expert.recipe, study.space)
    assert study.heldout
    used = {task.name for task in study.tasks} | {source.name for source in study.sources}
    assert not used & {task.name for task in study.heldout}
    data.check(study)


def test_the_space_has_the_five_axes() -> None:
    """Rank with alpha and targets, quantization, packing and length, rate, mixture."""
    study = find("demo")
    names = set(parameters(study.experts[0].recipe, study.space))
    assert {"rank", "alpha_ratio", "targets", "quantization", "packing", "max_length"} <= names
    assert {"learning_rate", "tokens_per_step", "mixture_aiw"} <= names


FILE = """
from dataclasses import replace
from studies.catalog import find
def study():
    return replace(find("demo"), name="mine"{change})
"""


def test_a_users_file_gives_a_study(tmp_path: Path) -> None:
    """A study is a Python function."""
    path = tmp_path / "mine.py"
    path.write_text(FILE.format(change=""))
    assert find(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("def study(:", "SyntaxError"),
        ("x = 1", "no attribute 'study'"),
        ("def study():\n    return 1", "must return a Study, got int"),
        ("def study():\n    return 1 / 0", "line 2: ZeroDivisionError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        (FILE.format(change=", tasks=()"), "no task"),
        (FILE.format(change=", eta=1"), "eta"),
        (FILE.format(change=", final_share=2"), "final_share"),
        (FILE.format(change=", sources=()"), "no source"),
        (FILE.format(change=", search_items=0"), "at least 1"),
    ],
)
def test_a_broken_file_is_one_line_of_bad_input(content: str, says: str, tmp_path: Path) -> None:
    """Whatever a user's file does, the message names file and cause."""
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(BadInput, match=says) as caught:
        find(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", [{"a": -1.0}, {"a": 0.0}])
def test_negative_and_all_zero_mixture_weights_are_refused(weights: dict[str, float]) -> None:
    """A mixture needs something positive."""
    study = find("demo")
    sources = tuple(
        Source(name=n, weight=w, origin=Generated(generator="aiw")) for n, w in weights.items()
    )
    with pytest.raises(BadInput, match="mixture"):
        study.with_sources(sources, study.tasks)


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": (Task(name="a b", origin=Generated(generator="aiw")),)},
        {"tasks": (Task(name="../x", origin=Generated(generator="aiw")),)},
        {"tasks": (Task(name="t", origin=HeldBack(source="none")),)},
        {"tasks": (Task(name="t", origin=Generated(generator="aiw")),) * 2},
        {"experts": ()},
        {"bracket": 1},
    ],
)
def test_an_inconsistent_study_is_refused(change: dict[str, Any]) -> None:
    """Names that clash or could leave the folder, and missing parts."""
    with pytest.raises(BadInput, match="study demo"):
        replace(find("demo"), **change)


def test_a_device_without_the_default_recipes_quantization_is_told(tmp_path: Path) -> None:
    """There is no control without the default recipe."""
    with pytest.raises(BadInput, match="broken"):
        find("demo").on_device({Quantization.BF16: "broken"})


def prepared(study: Study, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All files that data.prepare wrote, by name."""
    data.prepare(study, folder, 0)
    return {f.stem: list(iterate_jsonl(f)) for f in (folder / "data").rglob("*.jsonl")}


def test_no_training_row_asks_what_an_evaluation_item_asks(tmp_path: Path) -> None:
    """Search, final and held-out items are disjoint from the rows and from each other."""
    study = replace(
        find("demo"), search_items=10, finalist_items=5, final_items=15, heldout_items=5
    )
    files = prepared(study, tmp_path)
    items = {name: {prompt_key(i) for i in files[name]} for name in data.ITEMS}
    assert [len(files[name]) for name in data.ITEMS] == [40, 20, 60, 15]
    assert sum(map(len, items.values())) == len(set().union(*items.values()))
    asked = set().union(*items.values())
    for source in study.sources:
        assert files[source.name]
        assert not asked & {prompt_key(row) for row in files[source.name]}


def test_an_item_of_two_tasks_is_in_one_file_only(tmp_path: Path) -> None:
    """A group and its member share documents; what one searches on, the other must not report."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    write_task_rows(folder / "data.jsonl", DATA)
    (folder / "rules.py").write_text(RULES)
    for name in ("likely", "choice"):
        write_task(folder, name, KINDS[name])
    (folder / "both.yaml").write_text("group: both\ntask: [likely, choice]\n")
    tasks = tuple(
        Task(name=name, origin=LmEval(task=name, include_path=folder))
        for name in ("both", "likely")
    )
    study = replace(find("demo"), tasks=tasks, search_items=8, finalist_items=8, final_items=8)
    files = prepared(study, tmp_path / "run")
    seen: dict[str, str] = {}
    for name in data.ITEMS:
        for item in files[name]:
            key = f"{prompt_key(item)} {item['answer'].strip()}"
            assert seen.setdefault(key, name) == name
    assert {item["task"] for item in files["final"]} == {"both", "likely"}


def test_the_same_seed_prepares_the_same_data(tmp_path: Path) -> None:
    """Hashes are equal, so others can check."""
    study = replace(find("demo"), search_items=4, final_items=4, heldout_items=4)
    first = data.prepare(study, tmp_path / "a", 0).sha256
    second = data.prepare(study, tmp_path / "b", 0).sha256
    other = data.prepare(study, tmp_path / "c", 1).sha256
    assert first == second
    assert first != other


def test_a_local_source_gives_its_own_task(tmp_path: Path) -> None:
    """Rows are held back from the file and never trained on."""
    path = write_rows(tmp_path / "mine.jsonl", 300)
    study = find("demo")
    study = study.with_sources(
        (Source(name="mine", origin=LocalFile(path=path)),),
        (Task(name="mine", origin=HeldBack(source="mine")),),
    )
    files = prepared(study, tmp_path / "run")
    asked = {prompt_key(item) for item in files["search"] + files["final"]}
    assert len(files["search"]) == study.search_items
    assert not asked & {prompt_key(row) for row in files["mine"]}
    assert len(files["mine"]) > 200


def test_the_fingerprint_follows_the_files_content(tmp_path: Path) -> None:
    """A run folder belongs to the data it was started with."""
    path = write_rows(tmp_path / "mine.jsonl", 20)
    source = Source(name="mine", origin=LocalFile(path=path))
    task = Task(name="mine", origin=HeldBack(source="mine"))
    study = find("demo").with_sources((source,), (task,))
    before = data.fingerprint(study)
    assert data.fingerprint(study) == before
    write_rows(path, 21)
    assert data.fingerprint(study) != before


@pytest.mark.parametrize(
    ("where", "origin"),
    [
        ("notes", HubDataset(id="notes")),
        ("a/b", HubDataset(id="a/b")),
        ("a/b.v1:main", HubDataset(id="a/b.v1", config="main")),
        ("a/b:main:test", HubDataset(id="a/b", config="main", split="test")),
        ("a/b::test", HubDataset(id="a/b", split="test")),
        ("a/b@refs/pr/3", HubDataset(id="a/b", revision="refs/pr/3")),
        ("a/b:c:d@e:f", HubDataset(id="a/b", config="c", split="d", revision="e:f")),
    ],
)
def test_a_source_of_the_hub_is_an_id_with_config_split_and_revision(
    where: str, origin: HubDataset
) -> None:
    """Each part may be left out."""
    assert parse_source(f"mine={where}") == Source(name="mine", origin=origin)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "notes", "a@b.json", "a:b=c.parquet"])
def test_a_path_that_exists_is_a_local_source(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is called; what it holds is looked at later."""
    (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for where in (name, f"./{name}", str(tmp_path / name)):
        assert parse_source(f"mine={where}").origin == LocalFile(path=Path(where))
    assert parse_source(f"mine=~/{name}").origin == LocalFile(path=tmp_path / name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rows.jsonl", "write NAME=PATH"),
        ("=rows.jsonl", "write NAME=PATH"),
        ("mine=", "write NAME=PATH"),
        ("mine=:main", "write NAME=PATH"),
        ("mine=a/b@", "write NAME=PATH"),
        ("mine=none.jsonl", "there is no such file; give the path of a JSONL, JSON, Parquet or"),
        ("mine=none.csv", "there is no such file"),
        ("mine=none.PARQUET", "there is no such file"),
        ("mine=none.jsonl.gz", "there is no such file"),
        ("mine=none.json:main@v1", "there is no such file"),
        ("mine=./none", "there is no such file"),
        ("mine=~/none", "there is no such file"),
        ("mine=/none", "there is no such file"),
        ("mine=a/b/none", "there is no such file"),
        ("mine=folder", "it is a folder"),
        ("mine=folder:main", "it is a folder"),
    ],
)
def test_a_source_that_is_neither_is_refused(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks like a path is never asked of the hub; a name must be given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=says) as caught:
        parse_source(text)
    assert str(caught.value).startswith("--data ")
