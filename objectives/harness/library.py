"""lm-eval's tasks: found by name among its own or in a user's folder, and loaded. No torch."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import socket
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

import numpy as np

from search.errors import BadInput, brief

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
LOCAL_BUILDERS = {"json", "csv", "parquet", "arrow", "text", "pandas"}
"""Values of dataset_path that name a file format rather than a dataset of the hub."""
HUB_TIMEOUT_S = 5.0
NAMED = re.compile(rb'^(?:task|group):[ \t]*["\']?([^\s"\'#\[]+)', re.MULTILINE)


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


def manager(include_path: Path | None, *, defaults: bool) -> Any:
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

    quiet()
    try:
        return TaskManager(
            include_path=str(include_path) if include_path else None, include_defaults=defaults
        )
    except Exception as error:  # noqa: BLE001  # whatever is in the user's files
        raise BadInput(
            f"--include-path {include_path}: lm-eval cannot read its tasks ({brief(error)})"
        ) from None


def quiet() -> None:
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
    return name in manager(include_path, defaults=False).all_tasks


def known(name: str) -> bool:
    """Whether lm-eval has a task, group or tag of that name."""
    return name in _file_of(library()) or name in manager(None, defaults=True).all_tasks


def names(include_path: Path | None = None) -> list[str]:
    """Names of the folder's tasks and groups and of lm-eval's, of whose tags some are missing."""
    own = manager(include_path, defaults=False).all_tasks if include_path else []
    named = [name for name in own if isinstance(name, str)]  # a file may name a task 7, or not
    return [*named, *sorted(_file_of(library()))]


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
    config = _config(manager, spec)
    where = _data_of(config)
    if where == "" or (where in LOCAL_BUILDERS and not _names_files(config)):
        # the library `datasets` would look through all files below the current folder
        raise BadInput(
            f"task {name}: it names no data; give a dataset_path, and where that is json or "
            "another format, dataset_kwargs with data_files"
        )
    if where and not _is_local(where) and not hub_answers():
        _go_offline()  # what is cached still works, and the rest fails at once
    with _no_code_of_the_hub() as asked:
        try:
            loaded = manager.load([spec])["tasks"]
        except BadInput:
            raise
        except Exception as error:  # noqa: BLE001  # lm-eval, datasets and users' code raise anything
            if not asked:
                raise BadInput(_why(name, error, where, manager, spec)) from None
    if asked:
        raise BadInput(
            f"task {name}: its metric {asked[0]!r} is none of lm-eval's own; from the Hugging Face "
            "hub it would come as code, which is not run here: write it as a !function"
        )
    for leaf, task in loaded.items():
        _tell_source(manager, spec, leaf, task)
        _usable(leaf, task)
    return dict(loaded)


@contextlib.contextmanager
def _no_code_of_the_hub() -> Iterator[list[str]]:
    """What lm-eval asks the library `evaluate` for, which fetches metrics as code, and gets not."""
    import evaluate  # noqa: PLC0415  # loaded by lm-eval anyway

    asked: list[str] = []

    def load(path: object, *_: object, **__: object) -> None:
        asked.append(str(path))

    usual, evaluate.load = evaluate.load, load
    try:
        yield asked
    finally:
        evaluate.load = usual


def _tell_source(manager: Any, spec: str, leaf: str, task: Any) -> None:
    """Note a task's YAML file where lm-eval does not: for a task that is a Python class."""
    facts = task.config.metadata or {}
    if "config_source" not in facts:
        entry = manager.task_index.get(leaf)
        path = entry.yaml_path if entry else Path(spec)
        if path and Path(path).is_file():
            task.config.metadata = facts | {"config_source": str(path)}


def _find(name: str, include_path: Path | None) -> tuple[Any, str]:
    """The TaskManager that knows a task, and what to ask it for; the quickest one that will do."""
    if include_path and in_folder(name, include_path):
        own = manager(include_path, defaults=False)
        members = _config(own, name).get("task")
        names = [m.get("task") if isinstance(m, dict) else m for m in members or []]
        if isinstance(members, str) or all(member in own.all_tasks for member in names):
            return own, name
        return manager(include_path, defaults=True), name
    file = _file_of(library()).get(name)
    if file and file.stem == name:
        alone = manager(None, defaults=False)
        config = _config(alone, str(file))
        if config.get("task") == name and "group" not in config:
            return alone, str(file)
    return manager(include_path, defaults=True), name


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


def _data_of(config: Mapping[str, Any]) -> str | None:
    value = config.get("dataset_path")
    return value if isinstance(value, str) else None


def _names_files(config: Mapping[str, Any]) -> bool:
    """Whether each of a task's data_files, or its data_dir, has a name."""
    kwargs = config.get("dataset_kwargs")
    given = kwargs if isinstance(kwargs, dict) else {}
    files = given.get("data_files") or given.get("data_dir")
    parts = files.values() if isinstance(files, dict) else [files]
    named = [each for part in parts for each in (part if isinstance(part, list) else [part])]
    return bool(named) and all(named)


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
    reason = brief(error)
    config = _config(manager, spec)
    far = re.search(r"hf://datasets/([^/@]+/[^/@]+)", json.dumps(config, default=str))
    lost = "Couldn't reach" in reason or "OfflineMode" in reason
    if lost or (where and not _is_local(where) and not hub_answers()):
        asked = re.search(r"reach '([^']+)'", reason)
        where = asked[1] if asked else far[1] if far else where
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
    if kind == "generate_until":
        check_generation(leaf, task.config.generation_kwargs or {})
    if not str((task.config.metadata or {}).get("config_source", "")):
        raise BadInput(f"task {leaf}: it has no YAML file, so it cannot be kept; choose another")
    if kind not in ("multiple_choice", "loglikelihood", "generate_until"):
        raise BadInput(
            f"task {leaf}: it has no accuracy (its output_type is {kind}); choose one of "
            "multiple_choice, loglikelihood or generate_until"
        )


def check_generation(leaf: str, options: Mapping[str, Any]) -> None:
    """Raise BadInput unless greedy decoding can honour a task's generation_kwargs."""
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
