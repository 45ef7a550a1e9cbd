"""A recipe's model, loaded to answer requests: base, adapter and chat template."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import transformers
from peft import PeftModel

from objectives import base, text
from objectives.generate import ModelGenerator
from objectives.quantize import find_device, load_base
from objectives.rows import TEMPLATE
from search.errors import BadInput, brief
from spaces import Quantization


def load(
    folder: Path,
    facts: Mapping[str, Any],
    model: str,
    *,
    raw: bool,
    trust_remote_code: bool,
    say: Callable[[str], None],
) -> ModelGenerator:
    """Load a recipe's base and adapter.

    On a CPU it computes in float32, on a CUDA device in bfloat16.

    Args:
        folder: the recipe.
        facts: what `search.read_recipe` read there.
        model: Hugging Face id or local folder of the base.
        raw: see `ModelGenerator`.
        trust_remote_code: run code that comes with the base.
        say: told what was decided, and what takes long.

    Raises:
        BadInput: the base cannot be had, or the adapter does not fit it.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    found = base.resolve(model, say, trust_remote_code=trust_remote_code)
    if found.revision != facts["base"]["revision"]:
        say("note: the base model is another revision than the recorded one")
    device = find_device()
    kind: Quantization = facts["recipe"].quantization
    if kind in device.removed:
        say(f"note: the recipe's {kind} is out of reach here ({device.removed[kind]})")
        kind = Quantization.BF16
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            found.path, trust_remote_code=trust_remote_code
        )
        loaded = load_base(found, kind, device, trust_remote_code=trust_remote_code)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise BadInput(f"--model {model}: transformers cannot load it ({brief(error)})") from None
    if not raw:
        try:
            told = text.check_template(tokenizer, model, folder / "data" / TEMPLATE)
        except BadInput:
            raw, told = True, "prompts go to the model as they are: it has no chat template"
        say(told or "prompts are written in the model's chat template, as one message of a user's")
    return ModelGenerator(_adapted(loaded, folder, model), tokenizer, device, raw=raw)


def _adapted(model: Any, folder: Path, name: str) -> Any:
    """The base with the recipe's adapter in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # libraries warning each other
            warnings.filterwarnings("error", message="Found missing adapter keys")
            tuned = PeftModel.from_pretrained(model, folder / "adapter")
    except Exception as error:  # noqa: BLE001  # PEFT raises many kinds; the remedy is one
        raise BadInput(
            f"{folder / 'adapter'} does not fit the base model {name} ({brief(error)}); give "
            "--model the one that it was trained on"
        ) from None
    return tuned.get_base_model().eval()
