"""Axolotl: a file for `axolotl train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.export.common import FLASH, PLAIN, Words, carried, optimizer, schedule, told, write_yaml
from search.export.fidelity import write_table
from search.export.source import ROWS, Source

VERSION = "0.19.0"
"""That the files were verified with."""
COMMAND = "axolotl train exports/axolotl/axolotl.yaml"


def write(source: Source, target: Path) -> None:
    """Write axolotl.yaml and FIDELITY.md."""
    recipe = source.recipe
    modules: dict[str, Any] = (
        {"lora_target_linear": True}
        if isinstance(source.modules, str)
        else {"lora_target_modules": source.modules}
    )
    own: dict[str, Any] = (
        {"chat_template": "jinja", "chat_template_jinja": source.template}
        if source.own_template
        else {}
    )
    rate = schedule(source)
    config: dict[str, Any] = {
        "base_model": source.facts["base"]["id"],
        **({"revision_of_model": source.revision} if source.revision else {}),
        "datasets": [
            {
                "path": ROWS,
                "ds_type": "json",
                "type": "chat_template",
                "field_messages": "messages",
                "roles_to_train": ["assistant"],
                "train_on_eos": "turn",
            }
        ],
        **own,
        "dataset_prepared_path": "outputs/axolotl-prepared",
        "shuffle_merged_datasets": False,
        "curriculum_sampling": True,
        "val_set_size": 0,
        "sequence_len": recipe.max_length,
        "sample_packing": source.packed,
        **({"sample_packing_sequentially": True} if source.packed else {}),
        "attn_implementation": FLASH if source.packed else PLAIN,
        "bf16": not source.on_cpu,
        "adapter": "qlora" if source.bits == 4 else "lora",
        "load_in_4bit": source.bits == 4,
        "load_in_8bit": source.bits == 8,
        "lora_r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        **modules,
        "micro_batch_size": source.micro_batch,
        "gradient_accumulation_steps": source.accumulation,
        "learning_rate": rate["learning_rate"],
        "lr_scheduler": rate["lr_scheduler_type"],
        "lr_scheduler_kwargs": rate["lr_scheduler_kwargs"],
        "warmup_steps": rate["warmup_steps"],
        "max_steps": rate["max_steps"],
        "num_epochs": 1,
        "optimizer": "adamw_torch",
        **optimizer(source),
        "output_dir": "outputs/axolotl",
    }
    write_yaml(target / "axolotl.yaml", config, COMMAND)
    words = Words(
        name="base_model",
        template="chat_template: jinja" if own else "chat_template: the tokenizer's",
        rank="lora_r",
        alpha="lora_alpha",
        modules=told(modules),
        base=f"adapter: {config['adapter']}, load_in_4bit: {source.bits == 4}, "
        f"load_in_8bit: {source.bits == 8}",
        length=f"sequence_len: {recipe.max_length}",
        batch="micro_batch_size",
        accumulation="gradient_accumulation_steps",
        packing=f"sample_packing: {source.packed}",
        packs="packs are filled within groups of rows, and those of a batch are joined to one row",
        order="curriculum_sampling: True, shuffle_merged_datasets: False",
        loss="roles_to_train: [assistant], train_on_eos: turn",
        loss_differs=f"{source.turns:,} rows have earlier assistant messages; those are trained too"
        if source.turns
        else "",
    )
    write_table(target, f"Axolotl {VERSION}", COMMAND, carried(source, words))
