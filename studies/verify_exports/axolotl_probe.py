"""Run by Axolotl's own environment: its validator on axolotl.yaml, and its labels.

Prints one line of JSON: `read` (fields as validated) and `labels` (token ids that are trained, of
the first rows).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml
from axolotl.prompt_strategies.chat_template import load
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
from transformers import AutoTokenizer


def main(file: str, base: str, rows: int) -> None:
    """Validate, tokenise."""
    written = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    config = validate_config(
        DictDefault(written | {"base_model": base}),
        capabilities={"bf16": True, "fp8": False, "n_gpu": 1, "compute_capability": "sm_90"},
        env_capabilities={"torch_version": "2.13.0"},
    )
    tokenizer = AutoTokenizer.from_pretrained(base)
    strategy = load(tokenizer, config, ds_cfg=DictDefault(config["datasets"][0]))
    lines = Path(config["datasets"][0]["path"]).read_text(encoding="utf-8").splitlines()[:rows]
    labels = []
    for line in lines:
        made = strategy.tokenize_prompt({key: [x] for key, x in json.loads(line).items()})
        labels.append([t for t in made["labels"][0] if t != -100])
    found = {
        "read": {
            "rank": config["lora_r"],
            "alpha": config["lora_alpha"],
            "modules": sorted(config["lora_target_modules"] or []),
            "learning_rate": config["learning_rate"],
            "schedule": [config["lr_scheduler"], dict(config["lr_scheduler_kwargs"])],
            "warmup_steps": config["warmup_steps"],
            "length": config["sequence_len"],
            "packing": config["sample_packing"],
            "order": "sequential" if config["curriculum_sampling"] else "random",
            "max_steps": config["max_steps"],
            "per_step": config["micro_batch_size"] * config["gradient_accumulation_steps"],
            "dropout": config["lora_dropout"],
            "clip": config["max_grad_norm"],
            "seed": config["seed"],
        },
        "labels": labels,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
