"""Tasks of lm-eval: found by name or in a user's folder, and written down as items. No torch.

lm-eval decides what is asked: its task YAML, few-shot sampling, filters and metrics. What it asks
is kept in the run folder item by item, so that every trial, every resumed process and whoever
reproduces the recipe answers the very same prompts, with or without a network.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import re
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

import numpy as np

from objectives.rows import Row
from search.errors import BadInput
from studies.study import LmEval

FEWSHOT_SEED = 1234
"""lm-eval's own default, so that its command line draws the same few-shot examples."""
RANDOM_SEED = 0
"""lm-eval's own default for Python's global generator."""
PLAIN = {"until", "do_sample", "temperature", "top_p", "top_k"} | {
    "max_gen_toks",
    "max_new_tokens",
    "max_tokens",
    "max_completion_tokens",
}
"""Keys of generation_kwargs that greedy decoding can honour."""
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
LOCAL_BUILDERS = {"json", "csv", "parquet", "arrow", "text", "pandas"}
"""Values of dataset_path that name a file format rather than a dataset of the hub."""
DATA_KEYS = {"dataset_path", "dataset_kwargs", "dataset_name"}
"""Keys of task YAML that say where its data lie."""
HUB_TIMEOUT_S = 5.0
TOO_BIG = 200_000
"""Characters of a document beyond which an item is refused: no context holds it."""
NAMED = re.compile(rb'^(?:task|group):[ \t]*["\']?([^\s"\'#\[]+)', re.MULTILINE)


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


# ------------------------------------------------------------------ finding tasks


def library() -> Path:
    """lm-eval's folder of tasks."""
    import lm_eval.tasks  # noqa: PLC0415  # takes a second; only if asked for

    return Path(lm_eval.tasks.__file__).parent


@cache
def _file_of(folder: Path) -> dict[str, Path]:
    """Names in a folder's YAML files -> file, read as text: 14,000 files in about a second."""
    found: dict[str, Path] = {}
    for root, _, files in os.walk(folder):
        for file in sorted(files):
            if file.endswith(".yaml"):
                path = Path(root, file)
                for name in NAMED.findall(path.read_bytes()):
                    found.setdefault(name.decode("utf-8", "replace"), path)
    return found


def _manager(include_path: Path | None, *, defaults: bool) -> Any:
    """lm-eval's TaskManager over the user's folder, with or without its own tasks."""
    if not defaults:
        return _new_manager(include_path, defaults=False)
    files = sorted(include_path.rglob("*.yaml")) if include_path else []
    return _full_manager(include_path, tuple((f, f.stat().st_mtime_ns) for f in files))


@cache
def _full_manager(include_path: Path | None, _stamps: tuple[Any, ...]) -> Any:
    """With lm-eval's own 14,000 tasks it takes some ten seconds; the stamps tell a changed one."""
    return _new_manager(include_path, defaults=True)


def _new_manager(include_path: Path | None, *, defaults: bool) -> Any:
    from lm_eval.tasks import TaskManager  # noqa: PLC0415  # only if asked for

    _quiet()
    return TaskManager(
        include_path=str(include_path) if include_path else None, include_defaults=defaults
    )


def _quiet() -> None:
    """lm-eval logs and shows bars for what we say in our own words."""
    import datasets  # noqa: PLC0415  # half a second

    logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()


def check_folder(include_path: Path) -> None:
    """Raise BadInput unless a folder holds task YAML."""
    if not include_path.is_dir():
        raise BadInput(f"--include-path {include_path}: there is no such folder")
    files = sorted(include_path.glob("**/*.yaml"))
    if not files:
        raise BadInput(
            f"--include-path {include_path}: the folder holds no .yaml file; "
            "give a folder of lm-eval task YAML"
        )
    import yaml  # noqa: PLC0415  # comes with datasets

    tasks = 0
    for file in files:
        try:
            root = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
        except yaml.composer.ComposerError:
            continue  # several documents: no task
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadInput(f"--include-path: {file} is no readable YAML ({reason})") from None
        if isinstance(root, yaml.MappingNode):
            tasks += any(key.value in {"task", "group", "include"} for key, _ in root.value)
    if not tasks:
        raise BadInput(f"--include-path {include_path}: no .yaml file there names a task")


def in_folder(name: str, include_path: Path) -> bool:
    """Whether the user's folder has a task, group or tag of that name."""
    return name in _manager(include_path, defaults=False).all_tasks


def known(name: str) -> bool:
    """Whether lm-eval has a task, group or tag of that name."""
    return name in _file_of(library()) or name in _manager(None, defaults=True).all_tasks


def names() -> list[str]:
    """Names of lm-eval's tasks and groups; some tags are missing."""
    return sorted(_file_of(library()))


def load(name: str, include_path: Path | None) -> dict[str, Any]:
    """lm-eval's Task objects that a name stands for, by their own names.

    Raises:
        BadInput: unknown, or its data cannot be had, or it cannot be used here.
    """
    warnings.filterwarnings("ignore", module=r"lm_eval\..*|datasets\..*")
    random.seed(RANDOM_SEED)  # some tasks shuffle with the global generators; lm-eval seeds them
    np.random.seed(FEWSHOT_SEED)
    manager, spec = _find(name, include_path)
    if spec == name and name not in manager.all_tasks:
        raise BadInput(f"lm-eval has no task named {name!r}; `lm-eval ls tasks` lists them")
    where = _data_of(manager, spec)
    if where and not _is_local(where) and not hub_answers():
        _go_offline()  # what is cached still works, and the rest fails at once
    try:
        loaded = manager.load([spec])["tasks"]
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  # lm-eval, datasets and users' code raise anything
        raise BadInput(_why(name, error, where, manager, spec)) from None
    for leaf, task in loaded.items():
        _usable(leaf, task)
    return dict(loaded)


def _find(name: str, include_path: Path | None) -> tuple[Any, str]:
    """The TaskManager that knows a task, and what to ask it for; the quickest one that will do."""
    if include_path and in_folder(name, include_path):
        own = _manager(include_path, defaults=False)
        members = _config(own, name).get("task")
        names = [m.get("task") if isinstance(m, dict) else m for m in members or []]
        if isinstance(members, str) or all(member in own.all_tasks for member in names):
            return own, name
        return _manager(include_path, defaults=True), name
    file = _file_of(library()).get(name)
    if file and file.stem == name:
        alone = _manager(None, defaults=False)
        config = _config(alone, str(file))
        if config.get("task") == name and "group" not in config:
            return alone, str(file)
    return _manager(include_path, defaults=True), name


def _config(manager: Any, spec: str) -> Mapping[str, Any]:
    """A task's YAML with its includes, functions left alone; empty if it has none."""
    from lm_eval.tasks._yaml_loader import load_yaml  # noqa: PLC0415  # no public way

    entry = manager.task_index.get(spec)
    path = entry.yaml_path if entry else Path(spec)
    try:
        found: dict[str, Any] = load_yaml(path, resolve_func=False)
    except Exception:  # noqa: BLE001  # loading the task will say what is wrong
        return {}
    return found


def _data_of(manager: Any, spec: str) -> str | None:
    value = _config(manager, spec).get("dataset_path")
    return value if isinstance(value, str) else None


def _is_local(dataset_path: str) -> bool:
    return dataset_path in LOCAL_BUILDERS or Path(dataset_path).exists()


@cache
def hub_answers() -> bool:
    """Whether the Hugging Face hub can be reached from here."""
    url = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    if getproxies():
        return True  # a proxy speaks for it; whether it answers is seen when it is asked
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        with socket.create_connection((url.hostname or "", port), HUB_TIMEOUT_S):
            return True
    except OSError:
        return False


def _go_offline() -> None:
    import datasets  # noqa: PLC0415  # loaded by lm-eval anyway
    import huggingface_hub  # noqa: PLC0415  # likewise

    huggingface_hub.constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True


def _why(name: str, error: Exception, where: str | None, manager: Any, spec: str) -> str:
    """One line on why a task cannot be loaded, and what to do."""
    reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
    config = _config(manager, spec)
    lost = "Couldn't reach" in reason or "OfflineMode" in reason
    if lost or (where and not _is_local(where) and not hub_answers()):
        asked = re.search(r"reach '([^']+)'", reason)
        where = asked[1] if asked else where
        splits = [config.get(f"{part}_split") for part in ("training", "validation", "test")]
        wanted = [split for split in splits if split] or ["test"]
        files = ", ".join(f"{split}: {name}-{split}.jsonl" for split in wanted)
        return (
            f"task {name}: its dataset {where} is on the Hugging Face hub, which cannot be "
            f"reached; give --include-path DIR with a copy of {name}.yaml in which dataset_path "
            f"is json and dataset_kwargs is {{data_files: {{{files}}}}}"
        )
    if where in LOCAL_BUILDERS and isinstance(error, FileNotFoundError):
        files = json.dumps((config.get("dataset_kwargs") or {}).get("data_files"))
        return f"task {name}: cannot read its data_files {files}; give paths of existing files"
    if isinstance(error, IndexError):
        return f"task {name}: it has no items, or an item with an empty choice; give it items"
    return f"task {name}: lm-eval cannot load it ({reason}); mend its YAML or data"


def _usable(leaf: str, task: Any) -> None:
    kind = task.OUTPUT_TYPE
    if getattr(task, "UNSAFE_CODE", False):
        raise BadInput(f"task {leaf}: it runs code that a model wrote, which is not done here")
    if getattr(task, "MULTIMODAL", False):
        raise BadInput(f"task {leaf}: it asks about images or sound; choose one of text")
    options = (task.config.generation_kwargs or {}) if kind == "generate_until" else {}
    warm = float(options.get("temperature") or 0) > 0
    if options.get("do_sample", warm):
        raise BadInput(
            f"task {leaf}: it samples its answers (do_sample in generation_kwargs), "
            "which no two evaluations repeat; copy its YAML with do_sample: false"
        )
    if odd := sorted(set(options) - PLAIN):
        raise BadInput(
            f"task {leaf}: its generation_kwargs ask for {', '.join(odd)}, but answers are decoded "
            "greedily here; copy its YAML without"
        )
    if not str((task.config.metadata or {}).get("config_source", "")):
        raise BadInput(f"task {leaf}: it is written in Python, not in YAML; choose another")
    if kind not in ("multiple_choice", "loglikelihood", "generate_until"):
        raise BadInput(
            f"task {leaf}: it has no accuracy (its output_type is {kind}); choose one of "
            "multiple_choice, loglikelihood or generate_until"
        )


# ---------------------------------------------------------------- writing items


def draw(
    name: str, origin: LmEval, counts: Sequence[int], seed: int
) -> tuple[list[list[Row]], list[Leaf], str]:
    """Random items of a task, in groups that share none.

    Args:
        name: what the study calls the task.
        origin: the task, group or tag of lm-eval or of the user's folder.
        counts: items wanted per group; where there are too few, in these shares.
        seed: of the choice.

    Returns:
        (items per group, how to score them, one line for people).

    Raises:
        BadInput: it cannot be loaded, or has too few items.
    """
    include_path = origin.include_path
    tasks = load(origin.task, include_path)
    docs = {leaf: _docs(leaf, task) for leaf, task in tasks.items()}
    pool = [(leaf, number) for leaf in tasks for number in range(len(docs[leaf]))]
    if len(pool) < len(counts):
        raise BadInput(f"task {name}: only {len(pool)} items; it needs at least {len(counts)}")
    wanted = min(sum(counts), len(pool))
    chosen = random.Random(f"{seed} {name}").sample(pool, wanted)
    leaves = {
        leaf: _leaf(leaf, tasks[leaf], include_path) for leaf in sorted({c[0] for c in chosen})
    }
    groups: list[list[Row]] = []
    for part in cut(chosen, counts):
        made: dict[tuple[str, int], Row] = {}
        for leaf in sorted({leaf for leaf, _ in part}):
            # in ascending order from one seed, as lm-eval's own `samples=` draws few-shot examples
            tasks[leaf].set_fewshot_seed(FEWSHOT_SEED)
            for place in sorted(place for place in part if place[0] == leaf):
                made[place] = _item(name, tasks[leaf], place, docs[leaf][place[1]])
        if len(tasks) > 1:
            for (leaf, number), item in made.items():
                item["id"] = f"{leaf}:{number}"
        groups.append([made[place] for place in part])
    scored = ", ".join(sorted({f"{leaf.metric} ({leaf.filter})" for leaf in leaves.values()}))
    source = "--include-path" if any(leaf.own for leaf in leaves.values()) else "lm-eval"
    line = f"{name}: {wanted} of {len(pool)} items of {source}, scored by {scored}"
    return groups, list(leaves.values()), line


def cut(chosen: Sequence[Any], counts: Sequence[int]) -> list[list[Any]]:
    """Cut a sequence into parts of these sizes, or in these shares if it is too short.

    Each part gets at least one, if there are as many as parts.
    """
    total = sum(counts)
    sizes = list(counts)
    if len(chosen) < total:
        sizes = [max(1, len(chosen) * count // total) for count in counts]
        sizes[-1] = len(chosen) - sum(sizes[:-1])
    parts, first = [], 0
    for size in sizes:
        parts.append(list(chosen[first : first + size]))
        first += size
    return parts


def _docs(leaf: str, task: Any) -> Any:
    """A task's documents; asked for once, since a task may shuffle them each time."""
    try:
        return task.eval_docs
    except Exception as error:  # noqa: BLE001  # users' code
        raise BadInput(f"task {leaf}: it has no items ({error})") from None


def as_messages(history: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
    """Stand-in for a chat template: keeps what the template would be given, as JSON."""
    return json.dumps({"messages": history, "generate": add_generation_prompt}, ensure_ascii=False)


def _item(name: str, task: Any, place: tuple[str, int], doc: Any) -> Row:
    leaf, number = place
    try:
        shots = task.config.num_fewshot or 0
        context = task.fewshot_context(
            doc,
            num_fewshot=shots,
            system_instruction=None,
            apply_chat_template=True,
            fewshot_as_multiturn=True,
            chat_template=as_messages,
            gen_prefix=task.doc_to_prefix(doc),
        )
        contexts = context if isinstance(context, list) else [context]
        prompts = [json.loads(one) for one in contexts]
        answer = gold(task, doc)
        kept = json.loads(json.dumps(doc))
    except Exception as error:  # noqa: BLE001  # templates and users' code raise anything
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
        raise BadInput(f"task {leaf}, item {number}: cannot be asked ({reason})") from None
    asked = [m for m in prompts[0]["messages"] if m["role"] == "user"][-1:]
    if len(json.dumps(prompts)) > TOO_BIG:
        raise BadInput(f"task {leaf}, item {number}: its prompt has over {TOO_BIG:,} characters")
    return {
        "task": name,
        "id": number,
        "messages": asked,
        "answer": answer,
        "lm_eval": {"task": leaf, "doc_id": number, "doc": kept, "prompts": prompts},
    }


def right_choice(task: Any, doc: Any) -> int | None:
    """Index of the right choice of a multiple-choice document; None if it has none.

    lm-eval's own rule: with several inputs `doc_to_text` names it, else `doc_to_target`; of several
    right choices, the first.
    """
    found = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    choices = task.doc_to_choice(doc)
    if isinstance(found, list):
        found = found[0] if found else None
    if isinstance(found, str):
        return choices.index(found) if found in choices else None
    return found if isinstance(found, int) and 0 <= found < len(choices) else None


def gold(task: Any, doc: Any) -> str:
    """The right answer of a document, as text."""
    if task.config.doc_to_choice is not None and not task.multiple_input:
        right = right_choice(task, doc)
        return "" if right is None else str(task.doc_to_choice(doc)[right])
    found = task.doc_to_target(doc)
    if isinstance(found, list):
        found = found[0] if found else ""
    return str(found)


# ---------------------------------------------------------------------- metrics


def _leaf(leaf: str, task: Any, include_path: Path | None) -> Leaf:
    facts = task.config.metadata or {}
    source = Path(str(facts.get("config_source", "")))
    own = include_path is not None and source.is_relative_to(include_path)
    root = include_path if own and include_path else library()
    if not source.is_relative_to(root):
        raise BadInput(f"task {leaf}: it has no YAML file of its own, so it cannot be kept")
    metric, chosen = choose_metric(leaf, task)
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


def choose_metric(leaf: str, task: Any) -> tuple[str, str]:
    """(metric, filter) that counts as accuracy.

    The first of the task's metrics that gives each item a number from 0 to 1, higher being better;
    of several filters the first that lets the task's own right answer score, else the first.

    Raises:
        BadInput: no metric does.
    """
    doc = task.eval_docs[0]
    better = task.higher_is_better()
    best: tuple[str, str] | None = None
    for name in filters(task):  # lm-eval shows them nowhere else
        try:
            found = outcome(task, doc, perfect(task, doc), name)
        except Exception:  # noqa: BLE001  # a users' metric may refuse a made-up answer
            found = {}
        for metric in task.aggregation():
            value = found.get(metric)
            if not isinstance(value, int | float) or not better.get(metric, True):
                continue
            if 0.0 <= float(value) <= 1.0:
                if value:
                    return metric, name
                best = best or (metric, name)
    if best is None:
        raise BadInput(
            f"task {leaf}: none of its metrics ({', '.join(task.aggregation())}) scores each item "
            "from 0 to 1; choose a task with an accuracy"
        )
    return best


def perfect(task: Any, doc: Any) -> list[Any]:
    """Responses of a model that is always right, one per request of the document."""
    if task.OUTPUT_TYPE == "generate_until":
        return [gold(task, doc)]
    if task.OUTPUT_TYPE == "loglikelihood":
        return [(0.0, True)]
    right = right_choice(task, doc)
    count = len(task.doc_to_choice(doc))
    if "acc_mutual_info" in task.aggregation():
        count *= 2
    return [(0.0, True) if k == right else (-100.0, False) for k in range(count)]


def filters(task: Any) -> list[str]:
    """Names of a task's filters, in its order."""
    # NOTE(lm-eval): `_filters` and `_metric_fn_kwargs` are shown nowhere else.
    return [ensemble.name for ensemble in task._filters]


def filtered(task: Any, doc: Any, response: Any, chosen: str) -> Any:
    """What a task's filter makes of one response."""
    return _answers(task, doc, [response], chosen)[0]


def outcome(task: Any, doc: Any, responses: Sequence[Any], chosen: str) -> Mapping[str, Any]:
    """What lm-eval's filters and metrics make of a document's responses.

    Args:
        task: lm-eval's Task.
        doc: the document.
        responses: one per request: (log-likelihood, greedy) or text.
        chosen: the filter's name.
    """
    found: Mapping[str, Any] = task.process_results(doc, _answers(task, doc, responses, chosen))
    return found


def _answers(task: Any, doc: Any, responses: Sequence[Any], chosen: str) -> list[Any]:
    from lm_eval.api.instance import Instance  # noqa: PLC0415  # only where a task is

    instances = [
        Instance(
            request_type=task.OUTPUT_TYPE,
            doc=doc,
            arguments=("", ""),
            idx=k,
            metadata=(None, 0, 1),
            resps=[response],
        )
        for k, response in enumerate(responses)
    ]
    for ensemble in task._filters:
        if ensemble.name == chosen:
            ensemble.apply(instances)
    return [instance.filtered_resps[chosen] for instance in instances]


# ------------------------------------------------------------ keeping and loading


def keep(leaves: Sequence[Leaf], include_path: Path | None, data: Path) -> dict[str, str]:
    """Write data/tasks.json, and copy the user's YAML and code to data/tasks/.

    Where the user's data lie is left out of the copies: the items hold all that is needed, and a
    recipe names no folder of the machine it was found on.

    Returns:
        sha256 by file name within `data`.
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
    return {
        str(file.relative_to(data)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }


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


def verify(items: Sequence[Row], data: Path) -> None:
    """Raise BadInput unless what was kept scores as the tasks themselves do; loads no model."""
    docs: dict[str, list[Any]] = {}
    for item in items:
        if "lm_eval" in item:
            docs.setdefault(item["lm_eval"]["task"], []).append(item["lm_eval"]["doc"])
    leaves = kept(data)
    for name, own in docs.items():
        leaf = leaves[name]
        try:
            task = revive(leaf, own, data)
            value = outcome(task, own[0], perfect(task, own[0]), leaf.filter)[leaf.metric]
        except BadInput:
            raise
        except Exception as error:  # noqa: BLE001  # users' code
            reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
            raise BadInput(
                f"task {name}: it cannot be scored from a copy of its files ({reason}); keep all "
                "that it needs beside its YAML"
            ) from None
        if not isinstance(value, int | float):
            raise BadInput(f"task {name}: its metric {leaf.metric} gives {value!r}, no number")


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


def revive(leaf: Leaf, docs: Sequence[Mapping[str, Any]], data: Path) -> Any:
    """lm-eval's Task as it was, holding just these documents: no dataset is loaded.

    Args:
        leaf: from `kept`.
        docs: documents, at least one.
        data: the run's data folder.

    Raises:
        BadInput: lm-eval has no such task any more.
    """
    import datasets  # noqa: PLC0415  # only where a task is
    from lm_eval.tasks._yaml_loader import load_yaml  # noqa: PLC0415  # no public way

    root = (data / "tasks" if leaf.own else library()).resolve()
    path = root / leaf.yaml
    if not path.resolve().is_relative_to(root):
        raise BadInput(f"task {leaf.name}: its file {leaf.yaml!r} lies outside its folder")
    if not path.is_file():
        raise BadInput(f"task {leaf.name}: lm-eval has no {leaf.yaml} here; install its version")
    frozen: Callable[..., Any] = lambda **_: datasets.DatasetDict(  # noqa: E731
        {"test": datasets.Dataset.from_list([dict(doc) for doc in docs])}
    )
    config = load_yaml(path, resolve_func=True) | {
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
    _quiet()
    task = _manager(None, defaults=False).load([config | leaf.overrides])["tasks"][leaf.name]
    task.multiple_input, task.multiple_target = leaf.several_inputs, leaf.several_targets
    for method in ("doc_to_choice", "doc_to_target", "doc_to_text"):
        setattr(task, method, _remembering(getattr(task, method)))
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
