"""A recipe folder with a real adapter for the tiny model, made without training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from objectives.rows import hash_file, write_sums

WRITTEN = Path(__file__).parent / "formats" / "1" / "recipe"


def make_recipe(folder: Path, model: Path, scale: float = 1.0) -> Path:
    """Copy a written recipe and give it a random adapter for `model`; returns the folder.

    `scale` multiplies the adapter's part of the result.
    """
    import torch  # noqa: PLC0415  # most tests need no torch
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415  # likewise
    from transformers import AutoModelForCausalLM  # noqa: PLC0415  # likewise

    shutil.copytree(WRITTEN, folder)
    shutil.rmtree(folder / "adapter")
    torch.manual_seed(1)
    config = LoraConfig(
        r=4,
        lora_alpha=4 * scale,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    base = AutoModelForCausalLM.from_pretrained(model)
    get_peft_model(base, config).save_pretrained(folder / "adapter")
    facts = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    facts["base"] = {"id": "tiny", "revision": "1", "origin": "a test"}
    (folder / "recipe.json").write_text(json.dumps(facts), encoding="utf-8")
    own = [folder / "recipe.json", *sorted((folder / "adapter").iterdir())]
    write_sums(folder, {str(file.relative_to(folder)): hash_file(file) for file in own})
    return folder
