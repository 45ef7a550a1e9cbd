"""The model card of an adapter: README.md with what the Hugging Face hub reads of it."""

from __future__ import annotations

import json
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from search.read_recipe import trained_by_us
from spaces.recipe import in_words

TASK_TYPE = "text-generation"


def model_card(facts: dict[str, Any]) -> str:
    """What the adapter is, how well it does, what it cost, and how to load it.

    Args:
        facts: recipe.json.
    """
    if not trained_by_us(facts):
        return own_card(facts)
    recipe, score, base = facts["recipe"], facts["score"], facts["base"]
    training, name = facts["training"], facts["name"]
    metric = score["metric"]
    own = ", ".join(f"{name} {in_words(value)}" for name, value in recipe.get("extra", {}).items())
    extra = f"\nBy the study's own axes: {own}." if own else ""
    named = metric if isinstance(metric, str) else "mean over tasks of each one's own metric"
    return f"""---
{card_data(facts).to_yaml()}
---
# {name}: a LoRA adapter found by Recipe Search

Base: `{base["id"]}` (revision `{base["revision"]}`, from {base["origin"]}).
Recipe: rank {recipe["rank"]}, alpha {recipe["alpha"]}, {recipe["targets"]}, base weights in
{recipe["quantization"]}, learning rate {recipe["learning_rate"]:.2e}, {recipe["tokens_per_step"]}
tokens per step, {training["steps"]} steps, {training["tokens"]} tokens,
seed {facts["seed"]}.{extra}

Accuracy ({named}) on {score["items"]} items that no decision of the search saw:
**{score["accuracy"]:.3f} ± {score["stderr"]:.3f}** (standard error).

{tasks_table(score["tasks"], held_out=False)}
Held-out tasks, which the search never optimised:

{tasks_table(score["tasks"], held_out=True)}
Cost: {facts["gpu_hours"]:.4f} device-hours for this adapter and
{facts["search_gpu_hours"]:.4f} for the search, on {facts["device"]}.

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("{base["id"]}")
model = PeftModel.from_pretrained(base, "adapter")
```
"""


def own_card(facts: dict[str, Any]) -> str:
    """The same of what an objective of the study's own trained."""
    score = facts["score"]
    return f"""# {facts["name"]}: found by Recipe Search with an objective of the study's own

`adapter_model.safetensors` holds what that objective trained, as arrays by name.

Accuracy on {score["items"]} items that no decision of the search saw:
**{score["accuracy"]:.3f} ± {score["stderr"]:.3f}** (standard error).

{tasks_table(score["tasks"], held_out=False)}
Held-out tasks, which the search never optimised:

{tasks_table(score["tasks"], held_out=True)}
Cost: {facts["gpu_hours"]:.4f} device-hours for these and {facts["search_gpu_hours"]:.4f} for the
search, on {facts["device"]}.

```json
{json.dumps(facts["recipe"], indent=2)}
```
"""


def card_data(facts: dict[str, Any]) -> ModelCardData:
    """The card's metadata, with a model-index: a result per task."""
    found = ModelCardData(
        base_model=facts["base"]["id"],
        library_name="peft",
        pipeline_tag=TASK_TYPE,
        tags=["lora", "recipe-search"],
        model_name=facts["name"],
        eval_results=[
            EvalResult(
                task_type=TASK_TYPE,
                dataset_type=task,
                dataset_name=task + (" (held out)" if one["held_out"] else ""),
                dataset_revision=one["version"],
                dataset_args=_known({"items": one["items"]}),
                metric_type="accuracy",
                metric_name=one["metric"],
                metric_value=one["accuracy"],
                metric_args=_known({"standard_error": one["stderr"]}),
            )
            for task, one in facts["score"]["tasks"].items()
        ],
        gpu_hours=facts["gpu_hours"],
        search_gpu_hours=facts["search_gpu_hours"],
        hardware=facts["device"],
    )
    if not facts["score"]["tasks"]:
        del found.model_name, found.eval_results
    return found


def tasks_table(tasks: dict[str, dict[str, Any]], *, held_out: bool) -> str:
    """The tasks' scores as Markdown; what an old recipe does not tell is a dash."""
    lines = ["| task | accuracy | standard error | items | version |", "|---|---|---|---|---|"]
    for task, one in tasks.items():
        if one["held_out"] is held_out:
            error = "–" if one["stderr"] is None else f"{one['stderr']:.3f}"
            cells = (task, f"{one['accuracy']:.3f}", error, one["items"] or "–", one["version"])
            lines.append("| " + " | ".join(str(cell or "–") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _known(facts: dict[str, Any]) -> dict[str, Any] | None:
    return facts if None not in facts.values() else None
