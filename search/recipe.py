"""The recipe folder: everything that another machine needs to train, check and use the result."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search
from objectives.rows import TEMPLATE, hash_file, write_jsonl
from search import formats
from search.final import FINAL
from search.folder import RunFolder
from search.report.facts import EXACT
from search.store import Record
from search.summary import common_scores, summarise

if TYPE_CHECKING:
    from search.state import Job

SUMS = "sha256"
"""File of a folder that holds the hashes of the others."""


def export_recipe(job: Job) -> None:
    """Write what RUN_DIR/recipe still lacks: recipe.json and the items, and all hashes."""
    target = job.folder.path / "recipe"
    for items in ("final", "heldout"):
        write_jsonl(target / "data" / f"{items}.jsonl", scored_items(job.folder, items))
    copy_sides(job.folder.path / "data", target / "data")
    (target / "data" / SUMS).unlink(missing_ok=True)  # of an export that was cut short
    files = sorted(file for file in (target / "data").rglob("*") if file.is_file())
    hashes = {str(file.relative_to(target / "data")): hash_file(file) for file in files}
    write_sums(target / "data", hashes)
    facts = recipe_facts(job, hashes)
    job.folder.write("recipe/recipe.json", facts)
    (target / "adapter" / "README.md").write_text(model_card(facts), encoding="utf-8")
    own = [target / "recipe.json", *sorted((target / "adapter").iterdir())]
    write_sums(target, {str(file.relative_to(target)): hash_file(file) for file in own})


def write_sums(folder: Path, hashes: Mapping[str, str]) -> None:
    """Write a folder's sums, which `sha256sum --check sha256` reads."""
    text = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    (folder / SUMS).write_text(text, encoding="utf-8")


def copy_sides(source: Path, target: Path) -> None:
    """Copy what says how conversations are written and lm-eval's items scored, if anything does."""
    if (source / TEMPLATE).is_file():
        shutil.copyfile(source / TEMPLATE, target / TEMPLATE)
    if (source / "tasks.json").is_file():
        shutil.copyfile(source / "tasks.json", target / "tasks.json")
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
        "base": loaded.base,
        "recipe": winner.recipe.to_dict(),
        "training": {
            **{k: trained[k] for k in ("steps", "tokens", "warmup_steps", "decay_start")},
            "total_steps": trained["total_steps"],
            "schedule": "linear warm-up, constant, linear decay to 0; integer optimizer steps",
            "optimizer": {
                "name": "AdamW",
                "betas": [0.9, 0.999],
                "eps": 1e-8,
                "weight_decay": 0.0,
                "max_grad_norm": 1.0,
            },
            "lora_dropout": 0.0,
            "shares": trained["shares"],
            "passes": trained["passes"],
            "loss_on": "the last assistant message of each row, its end of turn included",
        },
        "seed": job.seed,
        "data": hashes,
        "score": {key: final[key] for key in ("accuracy", "stderr", "items", "per_task", "heldout")}
        | {"metric": metrics(job.folder, final["per_task"]), "precision": "stored"},
        "gpu_hours": final["gpu_hours"],
        "search_gpu_hours": round(
            (summary["spent_s"]["search_train"] + summary["spent_s"]["search_eval"]) / 3600, 6
        ),
        "device": loaded.device,
        "versions": loaded.versions,
    }


def metrics(folder: RunFolder, tasks: Iterable[str]) -> str | dict[str, str]:
    """What the score means: one metric's name for all tasks, or each task's own."""
    known: Mapping[str, str] = folder.read("data.json").get("metrics", {})
    found = {task: known.get(task, EXACT) for task in tasks}
    if set(found.values()) <= {EXACT}:
        return "exact match of the whole answer, greedy"
    return next(iter(found.values())) if len(set(found.values())) == 1 else found


def model_card(facts: dict[str, Any]) -> str:
    """README.md of the adapter: what it is, how well it does, how to load it."""
    recipe, score, base = facts["recipe"], facts["score"], facts["base"]
    tasks = "".join(f"| {task} | {value:.3f} |\n" for task, value in score["per_task"].items())
    metric = score["metric"]
    named = metric if isinstance(metric, str) else "mean over tasks of each one's own metric"
    held = "".join(f"| {task} | {value:.3f} |\n" for task, value in score["heldout"].items())
    return f"""---
base_model: {base["id"]}
library_name: peft
pipeline_tag: text-generation
tags: [lora, recipe-search]
---
# LoRA adapter found by Recipe Search

Base: `{base["id"]}` (revision `{base["revision"]}`, from {base["origin"]}).
Recipe: rank {recipe["rank"]}, alpha {recipe["alpha"]}, {recipe["targets"]}, learning rate
{recipe["learning_rate"]:.2e}, {recipe["tokens_per_step"]} tokens per step,
{facts["training"]["steps"]} steps, {facts["training"]["tokens"]} tokens.

Accuracy ({named}) on {score["items"]} items that no decision of the search saw:
**{score["accuracy"]:.3f} ± {score["stderr"]:.3f}** (standard error).

| task | accuracy |
|---|---|
{tasks}
Held-out tasks, which the search never optimised:

| task | accuracy |
|---|---|
{held}
Cost: {facts["gpu_hours"]:.4f} device-hours for this adapter and
{facts["search_gpu_hours"]:.4f} for the search, on {facts["device"]}.

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("{base["id"]}")
model = PeftModel.from_pretrained(base, "adapter")
```
"""
