"""What every trainer's file says of a recipe, and the rows of FIDELITY.md that all have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.export.fidelity import Carried
from search.export.source import Source
from spaces.recipe import in_words

FLASH, PLAIN = "flash_attention_2", "sdpa"
"""Attention that keeps packed samples apart in these trainers, and the one that needs no extra."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """A trainer's words for what it does not share with the others."""

    name: str
    """Key of the base model's."""
    template: str
    """Key and value of the chat template."""
    rank: str
    alpha: str
    modules: str
    """Key and value."""
    base: str
    """Key and value of the base weights' kind."""
    length: str
    """Key and value."""
    batch: str
    accumulation: str
    packing: str
    """Key and value."""
    packs: str
    """How its packs differ from ours."""
    order: str
    """Key and value of what keeps the rows in order."""
    loss: str
    """Key and value of what is trained."""
    loss_differs: str = ""
    template_differs: str = ""


def schedule(source: Source) -> dict[str, Any]:
    """Keys of transformers' TrainingArguments for the learning rate."""
    return {
        "learning_rate": source.recipe.learning_rate,
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": source.steps.decay, "decay_type": "linear"},
        "warmup_steps": source.steps.warmup,
        "max_steps": source.steps.total,
    }


def optimizer(source: Source) -> dict[str, Any]:
    """Keys of transformers' TrainingArguments for the optimizer and the seed."""
    ours = source.facts["training"]["optimizer"]
    return {
        "adam_beta1": ours["betas"][0],
        "adam_beta2": ours["betas"][1],
        "adam_epsilon": ours["eps"],
        "weight_decay": ours["weight_decay"],
        "max_grad_norm": ours["max_grad_norm"],
        "seed": source.facts["seed"],
    }


def told(fields: Mapping[str, Any]) -> str:
    """Keys and values of a file, for FIDELITY.md."""
    return ", ".join(f"{key}: {value}" for key, value in fields.items())


def write_yaml(file: Path, config: Mapping[str, Any], command: str) -> None:
    """A trainer's file, its command in the first line."""
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    head = f"# From the recipe folder: {command}\n# What differs from the recipe: FIDELITY.md\n"
    file.write_text(head + text, encoding="utf-8")


def carried(source: Source, words: Words) -> list[Carried]:
    """The rows of FIDELITY.md."""
    recipe, training, steps = source.recipe, source.facts["training"], source.steps
    shape = f"{words.batch}: {source.micro_batch}, {words.accumulation}: {source.accumulation}"
    rows = "packs" if source.packed else "rows"
    rate = "the first step has rate 0; from then on every rate is the recipe's, one step later"
    if not steps.exact:
        rate = "the recipe begins to decay within the warm-up, this after it"
    if training["steps"] < training["total_steps"]:
        rate += f"; the recipe was stopped at step {training['steps']}, this goes on to the end"
    ours = training["optimizer"]
    return [
        Carried(
            field="base model",
            ours=source.facts["base"]["id"],
            theirs=f"{words.name}: {source.facts['base']['id']}",
            differs=source.base_differs,
        ),
        Carried(
            field="chat template",
            ours="the study's" if source.own_template else "the base's",
            theirs=words.template,
            differs=words.template_differs,
        ),
        Carried(field="LoRA rank", ours=recipe.rank, theirs=f"{words.rank}: {recipe.rank}"),
        Carried(field="LoRA alpha", ours=recipe.alpha, theirs=f"{words.alpha}: {recipe.alpha}"),
        Carried(field="LoRA dropout", ours=0.0, theirs="lora_dropout: 0.0"),
        Carried(field="layers with an adapter", ours=recipe.targets, theirs=words.modules),
        Carried(
            field="first weights of the adapter",
            ours=f"seed {source.facts['seed']}",
            theirs=f"seed: {source.facts['seed']}",
            differs="the same distribution, other random numbers",
        ),
        Carried(field="base weights", ours=recipe.quantization, theirs=words.base),
        Carried(
            field="longest row",
            ours=f"{recipe.max_length} tokens",
            theirs=words.length,
        ),
        Carried(
            field="tokens per step",
            ours=recipe.tokens_per_step,
            theirs=shape,
            differs=f"a step takes a fixed number of {rows}, not of tokens; when the rows are used "
            "up they begin again",
        ),
        Carried(
            field="packing",
            ours=recipe.packing,
            theirs=words.packing,
            differs=words.packs if source.packed else "",
        ),
        Carried(
            field="mixture, rows and their order",
            ours=f"{source.rows:,} rows",
            theirs=words.order,
            differs="as the packs need it" if source.packed else "",
        ),
        Carried(
            field="what is trained",
            ours=training["loss_on"],
            theirs=words.loss,
            differs=words.loss_differs,
        ),
        Carried(
            field="peak learning rate",
            ours=recipe.learning_rate,
            theirs=f"learning_rate: {recipe.learning_rate}",
        ),
        Carried(
            field="schedule",
            ours=f"up {training['warmup_steps']}, down from {training['decay_start']} "
            f"to {training['total_steps']}",
            theirs=f"warmup_stable_decay: up {steps.warmup}, stable {steps.stable}, "
            f"down {steps.decay}",
            differs=rate,
        ),
        Carried(
            field="optimizer",
            ours=f"AdamW {ours['betas'][0]} / {ours['betas'][1]}, eps {ours['eps']}, weight decay "
            f"{ours['weight_decay']}, gradient norm {ours['max_grad_norm']}",
            theirs="adamw_torch and its adam_*, weight_decay, max_grad_norm",
        ),
        *(
            Carried(
                field=f"the study's own axis {name}",
                ours=in_words(value),
                theirs="as far as it is one of the optimizer's numbers",
                differs="whatever else its function in data/axes.py does is done here alone",
            )
            for name, value in recipe.extra.items()
        ),
    ]
