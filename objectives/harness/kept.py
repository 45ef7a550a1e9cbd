"""What is kept of a task of lm-eval in the run folder, and how it is made from that again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from objectives.harness.library import library, manager, quiet
from objectives.harness.metrics import as_score, choose_metric, is_class, outcome, perfect
from objectives.rows import Row
from search.errors import BadInput, brief

KEPT = (
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "process_results",
    "metric_list",
    "filter_list",
    "generation_kwargs",
    "target_delimiter",
    "gen_prefix",
    "output_type",
)
"""Keys of a task that decide how an answer is asked for and scored: a group may override them."""
DATA_KEYS = {"dataset_path", "dataset_kwargs", "dataset_name"}
"""Keys of task YAML that say where its data lie."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """How a task of lm-eval is loaded again and scored, as kept in data/tasks.json."""

    name: str
    yaml: str
    """Its file, relative to lm-eval's tasks folder or to data/tasks/."""
    own: bool
    """Whether the file came from --include-path."""
    kind: str
    """lm-eval's output_type: multiple_choice, loglikelihood or generate_until."""
    metric: str
    """The metric that counts as accuracy: 0 to 1 per item, higher is better."""
    filter: str
    """The filter whose answers it is computed on."""
    version: str
    """The task's own version."""
    several_inputs: int
    """Whether its choices are contexts, and how many; lm-eval decides by its first document."""
    several_targets: int
    """Whether it has several right answers, and how many; likewise."""
    overrides: dict[str, Any]
    """What a group changed of the task's own YAML."""


def leaf_of(leaf: str, task: Any, doc: Any, include_path: Path | None) -> Leaf:
    """How a loaded task is loaded again and scored; `doc` is its first document.

    Raises:
        BadInput: it has no file of its own, or no accuracy.
    """
    facts = task.config.metadata or {}
    source = Path(str(facts.get("config_source", "")))
    own = include_path is not None and source.is_relative_to(include_path)
    root = include_path if own and include_path else library()
    if not source.is_relative_to(root):
        raise BadInput(f"task {leaf}: it has no YAML file of its own, so it cannot be kept")
    metric, chosen = choose_metric(leaf, task, doc)
    return Leaf(
        name=leaf,
        yaml=str(source.relative_to(root)),
        own=own,
        kind=task.OUTPUT_TYPE,
        metric=metric,
        filter=chosen,
        version=str(facts.get("version", "")),
        several_inputs=task.multiple_input,
        several_targets=task.multiple_target,
        overrides=_overrides(leaf, task, source),
    )


def _overrides(leaf: str, task: Any, path: Path) -> dict[str, Any]:
    """What of a task's configuration does not come from its own YAML."""
    from lm_eval.tasks._yaml_loader import load_yaml  # noqa: PLC0415  # no public way

    if is_class(task):
        return {}  # its code decides
    own = load_yaml(path, resolve_func=True)
    found = {}
    for key in KEPT:
        value = getattr(task.config, key)
        if value is None or value == own.get(key) or _same_function(value, own.get(key)):
            continue
        try:
            found[key] = json.loads(json.dumps(value))
        except TypeError:
            if key not in own:
                raise BadInput(
                    f"task {leaf}: its group sets {key} to code, which cannot be kept; name the "
                    "task itself"
                ) from None
    return found


def _same_function(one: Any, other: Any) -> bool:
    """Whether two loads of one YAML gave the same function."""
    return callable(one) and callable(other) and one.__qualname__ == other.__qualname__


def keep(leaves: Sequence[Leaf], include_path: Path | None, data: Path) -> list[Path]:
    """Write data/tasks.json, and copy the user's YAML and code to data/tasks/.

    Where the user's data lie is left out of the copies: the items hold all that is needed, and a
    recipe names no folder of the machine it was found on.

    Returns:
        The files written.
    """
    index = data / "tasks.json"
    index.write_text(
        json.dumps({leaf.name: asdict(leaf) for leaf in leaves}, indent=2) + "\n", encoding="utf-8"
    )
    files = [index]
    wanted: set[Path] = set()
    for leaf in leaves:
        if leaf.own and include_path is not None:
            wanted |= _needed(include_path / leaf.yaml, include_path, leaf.name)
    for path in sorted(wanted):
        target = data / "tasks" / path.relative_to(include_path or path)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        target.write_text(_without_data(text) if path.suffix == ".yaml" else text, encoding="utf-8")
        files.append(target)
    return files


def _needed(path: Path, folder: Path, leaf: str) -> set[Path]:
    """A task's file, those it includes, and the Python files beside them if it names functions.

    Raises:
        BadInput: it includes a file outside the folder.
    """
    import yaml  # noqa: PLC0415  # comes with datasets

    root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    found: set[Path] = {path}
    includes: list[Any] = []
    if "!function" in {node.tag for node in _scalars(root)}:
        found |= set(path.parent.glob("*.py"))
    for key, value in root.value:
        if key.value == "include":
            includes += value.value if isinstance(value, yaml.SequenceNode) else [value]
    for node in includes:
        other = (path.parent / node.value).resolve()
        if not other.is_relative_to(folder):
            raise BadInput(
                f"task {leaf}: {path.name} includes {node.value}, which lies outside "
                "--include-path; copy it there"
            )
        found |= _needed(other, folder, leaf)
    return found


def _scalars(node: Any) -> list[Any]:
    """All scalar nodes below a YAML node."""
    if isinstance(node.value, str):
        return [node]
    inner = [
        part for entry in node.value for part in (entry if isinstance(entry, tuple) else [entry])
    ]
    return [scalar for part in inner for scalar in _scalars(part)]


def _without_data(text: str) -> str:
    """Task YAML without the keys that say where its data lie."""
    import yaml  # noqa: PLC0415  # comes with datasets

    root = yaml.compose(text, yaml.SafeLoader)
    root.value = [(key, value) for key, value in root.value if key.value not in DATA_KEYS]
    return str(yaml.serialize(root, allow_unicode=True))


def kept(data: Path) -> dict[str, Leaf]:
    """What `keep` wrote: task name -> how to score it; empty if there is no lm-eval task."""
    path = data / "tasks.json"
    if not path.is_file():
        return {}
    return {name: Leaf(**fields) for name, fields in json.loads(path.read_text("utf-8")).items()}


def docs_by_task(items: Sequence[Row]) -> dict[str, list[Any]]:
    """The documents of lm-eval's items, by lm-eval's name of the task; other items are left out."""
    docs: dict[str, list[Any]] = {}
    for item in items:
        if "lm_eval" in item:
            docs.setdefault(item["lm_eval"]["task"], []).append(item["lm_eval"]["doc"])
    return docs


def verify(items: Sequence[Row], data: Path) -> None:
    """Raise BadInput unless what was kept scores as the tasks themselves do; loads no model."""
    leaves = kept(data)
    for name, own in docs_by_task(items).items():
        leaf = leaves[name]
        try:
            task = revive(leaf, own, data)
            value = outcome(task, own[0], perfect(task, own[0]), leaf.filter)[leaf.metric]
        except BadInput:
            raise
        except Exception as error:  # noqa: BLE001  # users' code
            raise BadInput(
                f"task {name}: it cannot be scored from a copy of its files ({brief(error)}); "
                "keep all that it needs beside its YAML"
            ) from None
        if as_score(value) is None:
            raise BadInput(
                f"task {name}: its metric {leaf.metric} gives {value!r}, not from 0 to 1"
            )


def revive(leaf: Leaf, docs: Sequence[Mapping[str, Any]], data: Path) -> Any:
    """lm-eval's Task as it was, holding just these documents: no dataset is loaded.

    Args:
        leaf: from `kept`.
        docs: documents, at least one.
        data: the run's data folder.

    Raises:
        BadInput: lm-eval has no such task any more.
    """
    from lm_eval.tasks._yaml_loader import load_yaml  # noqa: PLC0415  # no public way

    root = (data / "tasks" if leaf.own else library()).resolve()
    path = root / leaf.yaml
    if not path.resolve().is_relative_to(root):
        raise BadInput(f"task {leaf.name}: its file {leaf.yaml!r} lies outside its folder")
    if not path.is_file():
        raise BadInput(f"task {leaf.name}: lm-eval has no {leaf.yaml} here; install its version")
    config = load_yaml(path, resolve_func=True)
    quiet()
    task = (_class_task if "class" in config else _yaml_task)(leaf, config, docs)
    task.multiple_input, task.multiple_target = leaf.several_inputs, leaf.several_targets
    for method in ("doc_to_choice", "doc_to_target", "doc_to_text"):
        setattr(task, method, _remembering(getattr(task, method)))
    return task


def _yaml_task(leaf: Leaf, config: dict[str, Any], docs: Sequence[Mapping[str, Any]]) -> Any:
    """A task that YAML describes."""
    import datasets  # noqa: PLC0415  # only where a task is

    frozen: Callable[..., Any] = lambda **_: datasets.DatasetDict(  # noqa: E731
        {"test": datasets.Dataset.from_list([dict(doc) for doc in docs])}
    )
    whole = config | {
        "task": leaf.name,
        "custom_dataset": frozen,
        "dataset_kwargs": None,
        "process_docs": None,
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
        "fewshot_split": None,
        "fewshot_config": None,
        "num_fewshot": 0,
    }
    return manager(None, defaults=False).load([whole | leaf.overrides])["tasks"][leaf.name]


def _class_task(leaf: Leaf, config: dict[str, Any], docs: Sequence[Mapping[str, Any]]) -> Any:
    """A task that is a Python class: its own code, but for where documents come from."""
    import datasets  # noqa: PLC0415  # only where a task is
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415  # likewise

    kept_docs = datasets.Dataset.from_list([dict(doc) for doc in docs])
    here: dict[str, Any] = {
        "__init__": lambda self: ConfigurableTask.__init__(self, config={"task": leaf.name}),
        "download": lambda self, *_, **__: setattr(self, "dataset", {"test": kept_docs}),
        "has_training_docs": lambda _: False,
        "has_validation_docs": lambda _: False,
        "has_test_docs": lambda _: True,
        "test_docs": lambda _: kept_docs,
    }
    task = type(f"Kept{config['class'].__name__}", (config["class"],), here)()
    task.OUTPUT_TYPE = leaf.kind
    return task


def _remembering(method: Callable[..., Any]) -> Callable[..., Any]:
    """A task's template, filled in once per document: the same for every trial."""
    known: dict[int, tuple[Any, Any]] = {}

    def fill_in(doc: Any, *other: Any) -> Any:
        if other:
            return method(doc, *other)
        if id(doc) not in known:
            known[id(doc)] = (doc, method(doc))  # the document is held, so its id stays its own
        return known[id(doc)][1]

    return fill_in
