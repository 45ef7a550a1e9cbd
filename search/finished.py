"""A finished run as a comparison sees it: what it cost, its recipe, and every item's outcome."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.rows import verify
from search.budget import Kind
from search.errors import BadInput
from search.folder import RunFolder
from search.report.facts import EXACT, SCORED
from search.signs import printable
from spaces import Recipe

GROUPS = ("final", "heldout")
"""Files of items that no decision sees: `final` ones of the searched tasks, `heldout` ones of tasks
that are not searched."""
SEARCH = (Kind.SEARCH_TRAIN, Kind.SEARCH_EVAL)
FINAL_RUN = (Kind.FINAL_TRAIN, Kind.FINAL_EVAL)

Outcomes = Mapping[str, Mapping[str, tuple[float, float]]]
"""Task -> item by its content -> (outcome in [0, 1], loss in nats), in the order of the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedRun:
    """What is compared of a run."""

    path: Path
    """Its folder, as the user gave it."""
    name: str
    """As `--name` or its study has it; several runs may have the same."""
    model: str
    budget_s: float
    seed: int
    device: str | None
    recipe: Recipe
    """Of the final run."""
    search_hours: float
    """Device-hours of the search, training and evaluation."""
    final_hours: float
    """Device-hours of the final run and of all scores on final and held-out items."""
    metrics: Mapping[str, str]
    """What accuracy means, by task; a task that is not named is scored by exact match."""
    outcomes: Mapping[str, Mapping[str, Outcomes]]
    """By group of items, then by part: `final`, and `base` and `default` where they were scored."""

    @property
    def hours(self) -> float:
        """Device-hours of search and final run."""
        return self.search_hours + self.final_hours

    def metric(self, task: str) -> str:
        """What accuracy means on a task."""
        return str(self.metrics.get(task, EXACT))


def is_finished(folder: RunFolder) -> bool:
    """Whether a run has ended and its final recipe has a score."""
    return folder.has("summary.json") and folder.has("scores/final-final.json")


def read_run(folder: RunFolder) -> FinishedRun:
    """Read a finished run; its items are those that it began with.

    Raises:
        BadInput: a file is missing, damaged or changed.
    """
    job, summary, data = (folder.read(f"{n}.json") for n in ("job", "summary", "data"))
    spent = _part(folder, summary, "spent_s")
    hours = [
        sum(_number(folder, spent, kind, "summary.json: spent_s: ") for kind in kinds) / 3600
        for kinds in (SEARCH, FINAL_RUN)
    ]
    metrics = data.get("metrics", {})
    if not isinstance(metrics, dict):
        raise BadInput(f"{folder.path}/data.json is damaged: metrics must be an object")
    fields = _part(folder, _part(folder, summary, "final"), "recipe")
    try:
        recipe = Recipe.from_dict(fields)
    except BadInput as error:
        raise BadInput(f"{folder.path}/summary.json is damaged: {error}") from None
    base = summary.get("base_model")
    return FinishedRun(
        path=folder.path,
        name=printable(str(job.get("name") or folder.path.resolve().name)),
        model=printable(
            str(base["id"] if isinstance(base, dict) and "id" in base else job.get("model"))
        ),
        budget_s=_number(folder, job, "budget_s", "job.json: "),
        seed=int(_number(folder, job, "seed", "job.json: ")),
        device=printable(str(summary.get("device") or "")) or None,
        recipe=recipe,
        search_hours=hours[0],
        final_hours=hours[1],
        metrics=metrics,
        outcomes={group: _outcomes(folder, data, group) for group in GROUPS},
    )


def content_of(item: Mapping[str, Any], tasks: Mapping[str, Any]) -> str:
    """What makes an item the same in two runs: how it is asked, answered and scored, not its id.

    Args:
        item: a row of an items file.
        tasks: how tasks of lm-eval are scored, as data/tasks.json has it.
    """
    told = {key: value for key, value in item.items() if key not in ("id", "lm_eval")}
    harness = item.get("lm_eval")
    if isinstance(harness, Mapping):
        told["lm_eval"] = {key: value for key, value in harness.items() if key != "doc_id"}
        told["scored"] = tasks.get(str(harness.get("task")))
    return json.dumps(told, sort_keys=True, ensure_ascii=False)


def _outcomes(folder: RunFolder, data: Mapping[str, Any], group: str) -> dict[str, Outcomes]:
    """Outcomes of all parts on a group of items."""
    hashes = data.get("sha256")
    name = f"items/{group}.jsonl"
    if not isinstance(hashes, dict) or name not in hashes:
        raise BadInput(f"{folder.path}/data.json is damaged: it has no sha256 of {name}")
    verify(folder.path / "data", {name: hashes[name]}, "the job began")
    tasks = folder.read("data/tasks.json") if folder.has("data/tasks.json") else {}
    items: dict[str, list[str]] = {}
    seen: Counter[str] = Counter()
    for item in folder.items(group):
        if not isinstance(item, dict) or not isinstance(item.get("task"), str):
            raise BadInput(f"{folder.path}/data/{name} is damaged: an item names no task")
        content = content_of(item, tasks)
        seen[content] += 1  # the second of two equal items is the other run's second one
        items.setdefault(item["task"], []).append(f"{seen[content]} {content}")
    found: dict[str, Outcomes] = {}
    for part, file in SCORED.items():
        scores = folder.read_scores(f"{file}-{group}") or {}
        outcomes: dict[str, dict[str, tuple[float, float]]] = {}
        for task, score in scores.items():
            there = items.get(task, [])
            count = len(score.correct)
            if count != len(score.losses) or count > len(there) or not _sound(score.correct):
                raise BadInput(
                    f"{folder.path}/scores/{file}-{group}.json is damaged: it does not hold "
                    f"outcomes from 0 to 1 of at most the {len(there)} items of {task}"
                )
            pairs = zip(score.correct, score.losses, strict=True)
            outcomes[task] = dict(zip(there[:count], pairs, strict=True))
        found[part] = outcomes
    return found


def _sound(outcomes: list[float]) -> bool:
    return all(0 <= outcome <= 1 for outcome in outcomes)


def _part(folder: RunFolder, summary: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = summary.get(name)
    if not isinstance(found, dict):
        raise BadInput(f"{folder.path}/summary.json is damaged: {name} must be an object")
    return found


def _number(folder: RunFolder, fields: Mapping[str, Any], name: str, where: str) -> float:
    value = fields.get(name)
    number = None if isinstance(value, bool) else value
    if isinstance(number, int | float) and math.isfinite(number) and number >= 0:
        return number
    raise BadInput(f"{folder.path}/{where}{name} must be a number of at least 0, got {value!r}")
