"""Run by TRL's own environment: its parser on sft.yaml, its labels, and its losses of some steps.

Prints one line of JSON: `read` (fields as parsed), `labels` (token ids that are trained, of the
first rows) and `losses` (of each step).
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

from trl import SFTTrainer, get_dataset, get_peft_config, get_quantization_config
from trl.scripts.sft import make_parser


def main(file: str, base: str, steps: int, rows: int) -> None:
    """Parse, tokenise, train."""
    with tempfile.TemporaryDirectory() as scratch:
        words = ["--config", file, "--model_name_or_path", base, "--output_dir", scratch]
        words += ["--logging_steps", "1", "--save_strategy", "no"]
        parsed = make_parser().parse_args_and_config([*words, "--disable_tqdm", "true"])
        _, training, model, data = parsed[:4]
        written, training.max_steps = training.max_steps, steps
        training.model_init_kwargs = {
            "dtype": model.dtype,
            "attn_implementation": model.attn_implementation,
        }
        trainer = SFTTrainer(
            model=model.model_name_or_path,
            args=training,
            train_dataset=get_dataset(data)["train"],
            quantization_config=get_quantization_config(model),
            peft_config=get_peft_config(model),
        )
        examples = [trainer.train_dataset[n] for n in range(rows)]
        trainer.train()
    found: dict[str, Any] = {
        "read": {
            "rank": model.lora_r,
            "alpha": model.lora_alpha,
            "modules": sorted(model.lora_target_modules),
            "learning_rate": training.learning_rate,
            "schedule": [str(training.lr_scheduler_type.value), training.lr_scheduler_kwargs],
            "warmup_steps": training.warmup_steps,
            "length": training.max_length,
            "packing": training.packing,
            "order": training.train_sampling_strategy,
            "max_steps": written,
            "per_step": training.per_device_train_batch_size * training.gradient_accumulation_steps,
            "dropout": model.lora_dropout,
            "clip": training.max_grad_norm,
            "seed": training.seed,
        },
        "labels": [[t for t in example["labels"] if t != -100] for example in examples],
        "losses": [line["loss"] for line in trainer.state.log_history if "loss" in line],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
