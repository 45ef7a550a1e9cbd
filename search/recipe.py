"""The recipe folder: everything that another machine needs to train, check and use the result."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search
from objectives import axes
from objectives.objective import OWN, Loaded
from objectives.rows import SUMS, TEMPLATE, hash_file, line_of, sums_of, write_jsonl, write_sums
from search import formats
from search.export.card import model_card
from search.final import FINAL
from search.folder import RunFolder
from search.read_recipe import OWN_STEP
from search.report.facts import EXACT
from search.store import Record, macro
from search.summary import common_scores, summarise

if TYPE_CHECKING:
    from search.state import Job


def export_recipe(job: Job) -> None:
    """Write what RUN_DIR/recipe still lacks: recipe.json and the items, and all hashes."""
    target = job.folder.path / "recipe"
    for items in ("final", "heldout"):
        write_jsonl(target / "data" / f"{items}.jsonl", scored_items(job.folder, items))
    copy_sides(job.folder.path / "data", target / "data")
    (target / "data" / SUMS).unlink(missing_ok=True)  # of an export that was cut short
    hashes = sums_of(target / "data")
    write_sums(target / "data", hashes)
    facts = recipe_facts(job, hashes)
    job.folder.write("recipe/recipe.json", facts)
    (target / "adapter" / "README.md").write_text(model_card(facts), encoding="utf-8")
    adapter = sums_of(target / "adapter")
    own = {"recipe.json": hash_file(target / "recipe.json")}
    write_sums(target, own | {f"adapter/{name}": digest for name, digest in adapter.items()})


def copy_sides(source: Path, target: Path) -> None:
    """Copy what says how conversations are written, items of lm-eval scored and own axes set."""
    for name in (TEMPLATE, "tasks.json", axes.FILE):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if (source / "tasks").is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / "tasks", target / "tasks", dirs_exist_ok=True, ignore=ignored)


def scored_items(folder: RunFolder, items: str) -> list[dict[str, Any]]:
    """The items behind the recorded scores: the first of each task, all unless time ran short."""
    left = {
        task: len(score.correct)
        for task, score in common_scores(folder, items).get(FINAL, {}).items()
    }
    found = []
    for item in folder.items(items):
        if left.get(item["task"], 0) > 0:
            left[item["task"]] -= 1
            found.append(item)
    return found


def recipe_facts(job: Job, hashes: dict[str, str]) -> dict[str, Any]:
    """The content of recipe.json."""
    summary = summarise(job.folder, job.store)
    final = summary["final"]
    trained = dict(job.store.noted("final_trained"))
    winner: Record = job.store.records()[job.store.noted("winner")]
    loaded = job.loaded
    assert loaded is not None  # noqa: S101  # a recipe is exported by the process that scored it
    trained.pop("curve")
    return {
        "format": formats.newest(formats.RECIPE),
        "tool": f"recipe-search {search.__version__}",
        "name": job.folder.read("job.json")["name"],
        "base": loaded.base,
        "recipe": winner.recipe.to_dict(),
        "training": {
            **{k: trained[k] for k in ("steps", "tokens", "warmup_steps", "decay_start")},
            "total_steps": trained["total_steps"],
            "schedule": "linear warm-up, constant, linear decay to 0; integer optimizer steps",
            **method(loaded, trained.get("optimizer", {})),
            "shares": trained["shares"],
            "passes": trained["passes"],
        },
        "seed": job.seed,
        "data": hashes,
        "score": {key: final[key] for key in ("accuracy", "stderr", "items", "per_task", "heldout")}
        | {
            "metric": metrics(job.folder, final["per_task"]),
            "precision": "stored",
            "tasks": task_facts(job.folder),
        },
        "gpu_hours": final["gpu_hours"],
        "search_gpu_hours": round(
            (summary["spent_s"]["search_train"] + summary["spent_s"]["search_eval"]) / 3600, 6
        ),
        "device": loaded.device,
        "versions": loaded.versions,
    }


def method(loaded: Loaded, changed: Mapping[str, Any]) -> dict[str, Any]:
    """What the steps of training were; `changed` are numbers of AdamW that own axes set."""
    if loaded.base["origin"] == OWN:
        return {"optimizer": OWN_STEP, "loss_on": "whatever the objective's own step trains"}
    numbers = {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0, "max_grad_norm": 1.0}
    return {
        "optimizer": {"name": "AdamW", **numbers, **changed},
        "lora_dropout": 0.0,
        "loss_on": "the last assistant message of each row, its end of turn included",
    }


def task_facts(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """What the score of each task is worth: accuracy, standard error, items, metric and version.

    The version is lm-eval's, or else names the items by the beginning of their hash.
    """
    known: Mapping[str, str] = folder.read("data.json").get("metrics", {})
    leaves = folder.read("data/tasks.json") if folder.has("data/tasks.json") else {}
    found = {}
    for items in ("final", "heldout"):
        asked: dict[str, list[str]] = {}
        for item in scored_items(folder, items):
            asked.setdefault(item["task"], []).append(line_of(item))
        for task, score in common_scores(folder, items).get(FINAL, {}).items():
            own = hashlib.sha256("".join(asked.get(task, [])).encode()).hexdigest()[:12]
            found[task] = {
                "accuracy": round(score.accuracy, 5),
                "stderr": round(macro({task: score})[1], 5),
                "items": len(score.correct),
                "metric": known.get(task, EXACT),
                "version": leaves.get(task, {}).get("version") or f"items {own}",
                "held_out": items == "heldout",
            }
    return found


def metrics(folder: RunFolder, tasks: Iterable[str]) -> str | dict[str, str]:
    """What the score means: one metric's name for all tasks, or each task's own."""
    known: Mapping[str, str] = folder.read("data.json").get("metrics", {})
    found = {task: known.get(task, EXACT) for task in tasks}
    if set(found.values()) <= {EXACT}:
        return "exact match of the whole answer, greedy"
    return next(iter(found.values())) if len(set(found.values())) == 1 else found
