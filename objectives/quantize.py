"""What this device can do, and the base model loaded in each quantization kind."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from objectives.base import Base
from objectives.cpu import cpu_has_bf16
from spaces import Quantization


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """The one device of a job."""

    torch_device: torch.device
    name: str
    autocast: bool
    """Train and evaluate early in bfloat16, keeping adapters in float32."""
    micro_tokens: int
    """Most tokens of one forward pass in training."""
    rank_width: int
    """Adapters are laid out for at least this rank, so that one graph serves all."""
    eval_tokens: int
    """Most tokens of one forward pass in evaluation, which keeps no gradients."""
    removed: dict[Quantization, str]
    """Quantization kinds out of reach -> reason."""
    reason: str
    """Why it computes as it does."""

    def precision(self, *, exact: bool) -> AbstractContextManager[Any]:
        """Context of a forward pass; `exact` computes in the base's own precision."""
        if exact or not self.autocast:
            return nullcontext()
        return torch.autocast(self.torch_device.type, dtype=torch.bfloat16)

    @contextmanager
    def steady(self, model: Any, *, exact: bool) -> Iterator[None]:
        """Context of many forward passes with one model, on a CPU faster than each on its own.

        Autocast casts float32 weights to bfloat16 in every pass, unless they ask for gradients: of
        those it keeps the cast until its outermost context ends. So frozen weights ask for
        gradients meanwhile, and none is computed.
        """
        if exact or not self.autocast or self.torch_device.type != "cpu":
            yield
            return
        frozen = [p for p in model.parameters() if p.is_floating_point() and not p.requires_grad]
        try:
            for parameter in frozen:
                parameter.requires_grad_(requires_grad=True)
            with torch.no_grad(), self.precision(exact=False):
                yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(requires_grad=False)


def find_device() -> Device:
    """The first CUDA device, or else the CPU."""
    bitsandbytes = importlib.util.find_spec("bitsandbytes") is not None
    if torch.cuda.is_available():
        missing = "bitsandbytes is not installed (pip install 'recipe-search[gpu]')"
        kinds = (Quantization.INT8, Quantization.NF4)
        return Device(
            torch_device=torch.device("cuda", 0),
            name=torch.cuda.get_device_name(0),
            autocast=True,
            micro_tokens=16384,
            rank_width=64,
            eval_tokens=65536,
            removed={} if bitsandbytes else dict.fromkeys(kinds, missing),
            reason="computes in bfloat16 (CUDA)",
        )
    fast = cpu_has_bf16()
    why = "this CPU has bfloat16 units" if fast else "this CPU has no bfloat16 units"
    return Device(
        torch_device=torch.device("cpu"),
        name=f"CPU, {torch.get_num_threads()} threads",
        autocast=fast,
        micro_tokens=1024,
        rank_width=1,
        eval_tokens=2048,
        removed=dict.fromkeys(
            (Quantization.INT8, Quantization.NF4), "needs a CUDA device, this one is a CPU"
        ),
        reason=f"computes in {'bfloat16' if fast else 'float32'} ({why})",
    )


def load_base(base: Base, kind: Quantization, device: Device, *, trust_remote_code: bool) -> Any:
    """The frozen base model on the device.

    On a CPU the weights are float32, so that scores do not depend on its bfloat16 units.
    """
    options: dict[str, Any] = {
        "attn_implementation": "sdpa",
        "trust_remote_code": trust_remote_code,
        "use_safetensors": True,
    }
    if kind is Quantization.NF4:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    elif kind is Quantization.INT8:
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    on_cpu = device.torch_device.type == "cpu"
    options["dtype"] = torch.float32 if on_cpu else torch.bfloat16
    if not on_cpu:
        options["device_map"] = {"": device.torch_device}
    model = AutoModelForCausalLM.from_pretrained(base.path, **options)
    model.requires_grad_(requires_grad=False)
    model.config.use_cache = False
    return model.eval()
