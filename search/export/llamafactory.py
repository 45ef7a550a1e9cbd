"""LLaMA-Factory: a file for `llamafactory-cli train`, and its dataset_info.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search.export.common import PLAIN, Words, carried, optimizer, schedule, told, write_yaml
from search.export.fidelity import write_table
from search.export.source import ROWS, Source

VERSION = "0.9.5"
"""That the files were verified with."""
COMMAND = "llamafactory-cli train exports/llamafactory/sft.yaml"
DATASET = "recipe_train"
INFO = {
    DATASET: {
        "file_name": f"../../{ROWS}",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
}


def write(source: Source, target: Path) -> None:
    """Write sft.yaml, dataset_info.json and FIDELITY.md."""
    recipe = source.recipe
    info = json.dumps(INFO, indent=2) + "\n"
    (target / "dataset_info.json").write_text(info, encoding="utf-8")
    named = source.modules
    modules = "all" if isinstance(named, str) else ",".join(named)
    rate = schedule(source)
    rate["lr_scheduler_kwargs"] |= {"num_stable_steps": source.steps.stable}
    config: dict[str, Any] = {
        "model_name_or_path": source.facts["base"]["id"],
        **({"model_revision": source.revision} if source.revision else {}),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "dataset": DATASET,
        "dataset_dir": "exports/llamafactory",
        "cutoff_len": recipe.max_length + source.packed,
        "packing": source.packed,
        "neat_packing": source.packed,
        "mask_history": True,
        "disable_shuffling": True,
        "flash_attn": "fa2" if source.packed else PLAIN,
        "bf16": not source.on_cpu,
        **_base_weights(source.bits),
        "lora_rank": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "lora_target": modules,
        "per_device_train_batch_size": source.micro_batch,
        "gradient_accumulation_steps": source.accumulation,
        **rate,
        "optim": "adamw_torch",
        **optimizer(source),
        "output_dir": "outputs/llamafactory",
        "report_to": "none",
    }
    write_yaml(target / "sft.yaml", config, COMMAND)
    words = Words(
        name="model_name_or_path",
        template="template: read from the tokenizer",
        template_differs="it cannot be given one: register the study's, which is in "
        "data/chat_template.jinja, and name it as template"
        if source.own_template
        else "",
        rank="lora_rank",
        alpha="lora_alpha",
        modules=f"lora_target: {modules}",
        base=told(_base_weights(source.bits)) or f"bf16: {not source.on_cpu}",
        length=f"cutoff_len: {config['cutoff_len']}",
        batch="per_device_train_batch_size",
        accumulation="gradient_accumulation_steps",
        packing=f"packing: {source.packed}, neat_packing: {source.packed}",
        packs="packs are filled greedily within groups of a thousand rows",
        order="disable_shuffling: True",
        loss="mask_history: True",
        loss_differs="its own reading of the chat template may also train what follows the end of "
        "turn",
    )
    write_table(target, f"LLaMA-Factory {VERSION}", COMMAND, carried(source, words))


def _base_weights(bits: int) -> dict[str, Any]:
    if bits == 16:
        return {}
    found: dict[str, Any] = {"quantization_bit": bits, "quantization_method": "bnb"}
    if bits == 4:
        found |= {"quantization_type": "nf4", "double_quantization": True}
    return found
