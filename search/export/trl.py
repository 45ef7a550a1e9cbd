"""TRL: a file for `trl sft --config`, with rows as prompt and completion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from objectives.rows import TEMPLATE, write_jsonl
from search.export.common import FLASH, PLAIN, Words, carried, optimizer, schedule, told, write_yaml
from search.export.fidelity import write_table
from search.export.source import Source

VERSION = "1.16.0"
"""That the files were verified with."""
COMMAND = "trl sft --config exports/trl/sft.yaml"
END = (
    "{{ written if add_generation_prompt or eos_token not in written else "
    "written[:written.rfind(eos_token) + eos_token | length] }}"
)
"""What a chat template writes, down to the end of turn: what follows it is not trained here."""


def write(source: Source, target: Path) -> None:
    """Write sft.yaml, train.jsonl, the chat template and FIDELITY.md."""
    recipe, modules = source.recipe, source.modules
    rows = ({"prompt": talk[:-1], "completion": talk[-1:]} for talk in source.messages())
    write_jsonl(target / "train.jsonl", rows)
    config: dict[str, Any] = {
        "model_name_or_path": source.facts["base"]["id"],
        **({"model_revision": source.revision} if source.revision else {}),
        "dtype": "float32" if source.on_cpu else "bfloat16",
        "bf16": not source.on_cpu,
        "attn_implementation": FLASH if source.packed else PLAIN,
        "datasets": [{"path": "json", "data_files": "exports/trl/train.jsonl", "split": "train"}],
        "train_sampling_strategy": "sequential",
        "completion_only_loss": True,
    }
    ends = source.template is not None
    if source.template is not None:
        wrapped = f"{{% set written %}}{source.template.rstrip()}{{% endset %}}{END}"
        (target / TEMPLATE).write_text(wrapped, encoding="utf-8")
        config["chat_template_path"] = f"exports/trl/{TEMPLATE}"
    config |= {
        "max_length": recipe.max_length,
        "packing": source.packed,
        "use_peft": True,
        "lora_r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "lora_target_modules": modules,
        **_base_weights(source.bits),
        "per_device_train_batch_size": source.micro_batch,
        "gradient_accumulation_steps": source.accumulation,
        **schedule(source),
        "optim": "adamw_torch",
        **optimizer(source),
        "output_dir": "outputs/trl",
        "report_to": "none",
    }
    write_yaml(target / "sft.yaml", config, COMMAND)
    words = Words(
        name="model_name_or_path",
        template=f"chat_template_path: {TEMPLATE}" if ends else "the tokenizer's",
        template_differs="" if ends else "the base's, whatever the study's was",
        rank="lora_r",
        alpha="lora_alpha",
        modules=f"lora_target_modules: {modules}",
        base=told(_base_weights(source.bits)) or f"dtype: {config['dtype']}",
        length=f"max_length: {recipe.max_length}",
        batch="per_device_train_batch_size",
        accumulation="gradient_accumulation_steps",
        packing=f"packing: {source.packed}",
        packs="rows are sorted by length into the packs that they fill best",
        order="train_sampling_strategy: sequential",
        loss="completion_only_loss: True" + (f", chat_template_path: {TEMPLATE}" if ends else ""),
        loss_differs="" if ends else "what the chat template writes after the end of turn, too",
    )
    write_table(target, f"TRL {VERSION}", COMMAND, carried(source, words))


def _base_weights(bits: int) -> dict[str, Any]:
    if bits == 4:
        return {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "use_bnb_nested_quant": True,
        }
    return {"load_in_8bit": True} if bits == 8 else {}
