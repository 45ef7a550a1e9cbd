"""Whatever is put in: it is taken, or refused in one line."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives import harness, readers
from objectives.forms import FORMS, recognise
from objectives.rows import hash_file, write_sums
from search.budget import LONGEST_S, UNITS, parse_budget
from search.errors import BadInput
from search.read_recipe import read_recipe
from spaces import Recipe
from studies.study import LmEval
from tests.simulated import Simulation
from tests.tiny import write_rows

MANY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def taken(work: Callable[[], Any]) -> Any:
    """What `work` gives, or None if it refused in one line; anything else is an error."""
    try:
        return work()
    except BadInput as refusal:
        told = str(refusal)
    assert told
    assert "\n" not in told
    return None


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside of a JSON value, its own () included."""
    if not isinstance(node, dict | list):
        return [path]
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def changed(node: Any, path: tuple[Any, ...], value: Any, *, lose: bool) -> Any:
    """A copy of a JSON value with the value at a path replaced, or lost."""
    if not path:
        return value
    copied = copy.deepcopy(node)
    parent = copied
    for key in path[:-1]:
        parent = parent[key]
    if lose:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return copied


PARTS = st.sampled_from([*UNITS, " ", "-", ".", "e", "0", "9", "24", "1e9", "٣", "²", "\n", "\0"])


@MANY
@given(st.text(max_size=30) | st.lists(PARTS, max_size=8).map("".join))
def test_budgets(text: str) -> None:
    """A duration in seconds, or refused."""
    seconds = taken(lambda: parse_budget(text))
    assert seconds is None or 0 < seconds <= LONGEST_S


FIELDS = sorted({name for form in FORMS for name in form.fields})
MESSAGES = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "from", "content", "value", "tool_calls"]),
        st.sampled_from(["user", "gpt", "assistant", "tool", "", "\ud800"]) | VALUES,
        max_size=3,
    )
    | VALUES,
    max_size=4,
)
ROWS = st.dictionaries(
    st.sampled_from(FIELDS) | st.text(max_size=5),
    st.text(max_size=10) | MESSAGES | MESSAGES.map(json.dumps) | VALUES,
    max_size=4,
)


@MANY
@given(ROWS)
def test_rows(row: dict[str, Any]) -> None:
    """A row becomes text that ends with an answer, or is refused."""
    form = taken(lambda: recognise(row, "line 1"))
    if form is None:
        return
    assert "\n" not in form.describe(row)
    made = taken(lambda: form.to_chat(row, "line 1"))
    if made is not None:
        assert made["messages"][-1]["role"] == "assistant"
        json.dumps(made).encode()
        for message in made["messages"]:
            message["content"].encode()


CONTENTS = (
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(ROWS.map(json.dumps), max_size=3).map(lambda lines: "\n".join(lines).encode())
    | st.lists(ROWS, max_size=3).map(lambda rows: json.dumps({"data": rows}).encode())
    | st.sampled_from([b"PAR1", b"\x1f\x8b", b"[" * 5000, b'"', b"[1e999]", b'a,b\n"', b"{}{}"])
)


@MANY
@given(CONTENTS, st.sampled_from([*readers.READERS, ".jsonl.gz", ".csv.gz", ".exe", ""]))
def test_files_of_rows(tmp_path: Path, content: bytes, ending: str) -> None:
    """A file's records are read, or it is refused."""
    file = tmp_path / f"rows{ending}"
    file.write_bytes(content)
    taken(lambda: list(readers.records(file)))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of a finished job."""
    simulation = Simulation(tmp_path_factory.mktemp("fuzz") / "run", budget_s=7200)
    simulation.run()
    return simulation.path / "recipe"


@MANY
@given(data=st.data())
def test_recipes(recipe: Path, tmp_path: Path, data: st.DataObject) -> None:
    """A recipe with one thing changed, and signed anew: one that can be trained, or refused."""
    folder = tmp_path / "recipe"
    if not folder.is_dir():
        shutil.copytree(recipe, folder)
    facts = json.loads((recipe / "recipe.json").read_text())
    where = data.draw(st.sampled_from(places(facts)))
    lose = data.draw(st.booleans())
    other = changed(facts, where, data.draw(VALUES), lose=lose)
    (folder / "recipe.json").write_text(json.dumps(other))
    names = [line.partition("  ")[2] for line in (recipe / "sha256").read_text().splitlines()]
    write_sums(folder, {name: hash_file(folder / name) for name in names})
    read = taken(lambda: read_recipe(folder))
    if read is None:
        return
    assert isinstance(read["recipe"], Recipe)
    assert isinstance(read["base"]["id"], str)
    steps = read["training"]
    assert steps["warmup_steps"] >= 0
    assert 0 <= steps["decay_start"] <= steps["total_steps"]
    assert 0 < steps["steps"] <= steps["total_steps"]
    assert 0 <= read["score"]["accuracy"] <= 1
    assert read["score"]["stderr"] >= 0


TASK = {
    "task": "mine",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{prompt}}",
    "doc_to_target": "{{completion}}",
    "generation_kwargs": {"until": ["\n"], "temperature": 0},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "filter_list": [{"name": "first", "filter": [{"function": "take_first"}]}],
    "num_fewshot": 0,
    "metadata": {"version": 1.0},
}
SMALL = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from(
        ["", "x", "{{", "{{prompt}}", "{{nothing.there}}", "json", "test", "multiple_choice", "acc"]
    )
    | st.sampled_from([[], {}, [None], ["x"], {"x": 1}, float("nan")])
)


@settings(MANY, max_examples=60)
@given(data=st.data())
def test_task_files(tmp_path: Path, data: st.DataObject) -> None:
    """A task's YAML with one thing changed: items can be drawn, or it is refused."""
    rows = write_rows(tmp_path / "rows.jsonl", 12)
    task = TASK | {"dataset_kwargs": {"data_files": {"test": str(rows)}}}
    inner = [place for place in places(task) if place not in ((), ("task",))]
    where = data.draw(st.sampled_from(inner))
    lose = data.draw(st.booleans())
    other = changed(task, where, data.draw(SMALL), lose=lose)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(other))

    def draw() -> Any:
        harness.check_folder(tmp_path)
        return harness.draw("mine", LmEval(task="mine", include_path=tmp_path), [2, 2], 0)

    taken(draw)
