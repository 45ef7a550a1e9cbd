"""Reading a recipe folder: whole, unchanged, and of the types that others rely on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search import formats
from search.errors import BadInput

ADAPTER = "adapter/adapter_model.safetensors"
CONFIG = "adapter/adapter_config.json"
OWN_STEP = {"name": "the objective's own"}
"""`optimizer` of a recipe that an objective of the study's own trained."""
STEPS = ("warmup_steps", "decay_start", "total_steps")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_optimizer(value: object) -> bool:
    if not isinstance(value, dict) or value == OWN_STEP:
        return value == OWN_STEP
    betas = value.get("betas")
    names = ("eps", "weight_decay", "max_grad_norm")
    return (
        isinstance(betas, list)
        and len(betas) == 2
        and all(map(_is_share, betas))
        and all(_is_amount(value.get(name)) for name in names)
    )


def _are_tasks(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(
        isinstance(one, dict)
        and _is_share(one.get("accuracy"))
        and _is_text(one.get("metric"))
        and isinstance(one.get("held_out"), bool)
        and (one.get("stderr") is None or _is_amount(one["stderr"]))
        and (one.get("items") is None or _is_count(one["items"]))
        and (one.get("version") is None or _is_text(one["version"]))
        for one in value.values()
    )


def _is_metric(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_text, value.values()))
    return _is_text(value)


_TEXT = (_is_text, "text")
_OBJECT = (_is_object, "an object")
_AMOUNT = (_is_amount, "a number of at least 0")
_COUNT = (_is_count, "a whole number of at least 0")
_SHARE = (_is_share, "a number from 0 to 1")
PARTS: dict[tuple[str, str], tuple[Callable[[object], bool], str]] = {
    ("base", "id"): _TEXT,
    ("base", "revision"): _TEXT,
    ("base", "origin"): _TEXT,
    **{("", name): _TEXT for name in ("name", "device")},
    **{("", name): _OBJECT for name in ("recipe", "versions")},
    **{("", name): _AMOUNT for name in ("gpu_hours", "search_gpu_hours")},
    ("", "seed"): _COUNT,
    **{("training", name): _COUNT for name in ("steps", "tokens", *STEPS)},
    ("training", "optimizer"): (_is_optimizer, "AdamW's numbers"),
    ("training", "loss_on"): _TEXT,
    **{("data", f"{name}.jsonl"): _TEXT for name in ("train", "final", "heldout")},
    ("score", "accuracy"): _SHARE,
    ("score", "stderr"): _SHARE,
    ("score", "items"): _COUNT,
    ("score", "metric"): (_is_metric, "text, or text by task"),
    ("score", "tasks"): (_are_tasks, "an object of tasks and what their scores are worth"),
}
"""What others need of recipe.json: (part, name) -> (whether it is sound, in words)."""


def read_recipe(folder: Path, *, weights: bool = True) -> dict[str, Any]:
    """recipe.json of a recipe folder, its `recipe` a Recipe; all files are as their hashes say.

    Args:
        folder: the recipe folder.
        weights: whether the adapter's must be there; their hash comes as `adapter` either way.

    Raises:
        BadInput: missing, damaged, of another format, or changed.
    """
    from objectives.rows import SUMS, verify  # noqa: PLC0415  # --help must not pay for it
    from spaces import Recipe  # noqa: PLC0415  # likewise

    path = folder / "recipe.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        sums = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        where = getattr(error, "filename", None) or path
        reason = getattr(error, "strerror", None) or error
        inside = folder / "recipe"
        what = inside if (inside / "recipe.json").is_file() else "a run's recipe folder"
        raise BadInput(f"cannot read {where} ({reason}); give {what}") from None
    if not isinstance(facts, dict):
        raise BadInput(f"{path} is damaged: expected a JSON object")
    facts = formats.upgraded(path, facts, formats.RECIPE)
    for (part, name), (sound, is_) in PARTS.items():
        inner = facts if not part else facts.get(part)
        if not isinstance(inner, dict) or not sound(inner.get(name)):
            what = f"{part}: {name}" if part else name
            raise BadInput(f"{path}: {what} must be {is_}")
    facts["recipe"] = Recipe.from_dict(facts["recipe"])
    done, decay, total = (facts["training"][name] for name in ("steps", *STEPS[1:]))
    if not 0 < done <= total or decay > total:
        raise BadInput(f"{path}: training: {done} steps, decay from {decay}, {total} in all")
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in sums)}
    for name in ("recipe.json", ADAPTER, CONFIG):
        if name not in listed:
            raise BadInput(f"{folder / SUMS} lacks {name}; give a whole recipe folder")
    since = "the recipe was written"
    facts["adapter"] = listed[ADAPTER]
    if not weights and not (folder / ADAPTER).exists():
        del listed[ADAPTER]
    verify(folder, listed, since)
    verify(folder / "data", facts["data"], since)
    return facts


def trained_by_us(facts: Mapping[str, Any]) -> bool:
    """Whether a recipe is one for a language model, and no own objective's."""
    return bool(facts["training"]["optimizer"] != OWN_STEP)


def check_trained_by_us(facts: Mapping[str, Any]) -> None:
    """Raise BadInput if an objective of the study's own trained the recipe."""
    if not trained_by_us(facts):
        raise BadInput(
            f"the recipe {facts['name']} was trained by an objective of the study's own, which "
            "this command cannot do; python -m search.run with that study can"
        )


def own_code(folder: Path) -> list[Path]:
    """Files of a recipe that are run when it is trained again: its own tasks, its own axes."""
    from objectives import axes  # noqa: PLC0415  # --help answers without it

    tasks = sorted(file for file in (folder / "data" / "tasks").rglob("*") if file.is_file())
    return tasks + [file for file in [folder / "data" / axes.FILE] if file.is_file()]
