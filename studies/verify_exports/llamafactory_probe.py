"""Run by LLaMA-Factory's own environment: its parser on sft.yaml, and its labels.

Prints one line of JSON: `read` (fields as parsed) and `labels` (token ids that are trained, of the
first rows).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import types
from pathlib import Path

import yaml

os.environ["DISABLE_VERSION_CHECK"] = "1"  # its pins exclude what its own wheel runs with
from llamafactory.hparams import get_train_args  # after the switch
from llamafactory.model import load_tokenizer  # likewise

sys.modules["torchaudio"] = types.ModuleType(
    "torchaudio"
)  # text alone, and no wheel for this torch
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer  # noqa: E402  # likewise


def main(file: str, base: str, rows: int) -> None:
    """Parse, tokenise."""
    written = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        fields = written | {"model_name_or_path": base, "output_dir": scratch}
        model, data, training, tuning, _ = get_train_args(fields)
        loaded = load_tokenizer(model)
        template = get_template_and_fix_tokenizer(loaded["tokenizer"], data)
        module = get_dataset(template, model, data, training, stage="sft", **loaded)
    dataset = module["train_dataset"]
    kwargs = dict(training.lr_scheduler_kwargs)
    found = {
        "read": {
            "rank": tuning.lora_rank,
            "alpha": tuning.lora_alpha,
            "modules": sorted(tuning.lora_target),
            "learning_rate": training.learning_rate,
            "schedule": [training.lr_scheduler_type.value, kwargs],
            "warmup_steps": training.warmup_steps,
            "length": data.cutoff_len,
            "packing": data.packing,
            "order": "sequential" if tuning.disable_shuffling else "random",
            "max_steps": training.max_steps,
            "per_step": training.per_device_train_batch_size * training.gradient_accumulation_steps,
            "dropout": tuning.lora_dropout,
            "clip": training.max_grad_norm,
            "seed": training.seed,
        },
        "labels": [[t for t in dataset[n]["labels"] if t != -100] for n in range(rows)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
