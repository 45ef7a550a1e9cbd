"""The resident base model: forward passes that compute the head only where there is a label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from objectives.mixture import Sample
from objectives.packing import IGNORED, Batch, collate
from objectives.quantize import Device


def text_config(config: Any) -> Any:
    """The part of a model's configuration that describes its text decoder."""
    return getattr(config, "get_text_config", lambda: config)()


def attention_modules(model: torch.nn.Module) -> list[str]:
    """Last names of the linear layers inside attention blocks, such as q_proj or c_attn.

    Raises:
        ValueError: the model names no module `attn` or `attention`.
    """
    found = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if type(module).__name__.startswith(("Linear", "Conv1D"))
        and any("attn" in part or "attention" in part for part in name.split(".")[:-1])
    }
    if not found:
        raise ValueError("the model has no linear layer inside a module named attn or attention")
    return sorted(found)


def linear_modules(model: Any) -> list[str]:
    """Last names of all linear layers but the output head: PEFT's sense of `all-linear`.

    Raises:
        ValueError: the model has no other linear layer.
    """
    head = model.get_output_embeddings()
    found = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    if not found:
        raise ValueError("the model has no linear layer besides its head")
    return sorted(found)


def answer_logits(model: Any, batch: Batch, *, whole: bool = False) -> torch.Tensor:
    """Logits where there is a label: float32 [L, V], in row-major order of `batch.labels`.

    Args:
        model: a causal language model of transformers.
        batch: rows on the model's device.
        whole: run the model's own head over every position (for models that scale their logits).
    """
    inputs: dict[str, Any] = {"input_ids": batch.ids, "use_cache": False}
    if batch.mask is not None:
        inputs |= {"attention_mask": batch.mask, "position_ids": batch.positions}
    chosen = batch.labels != IGNORED
    if whole:
        logits: torch.Tensor = model(**inputs).logits[chosen]
        return logits.float()
    hidden = model.get_decoder()(**inputs).last_hidden_state
    head: torch.Tensor = model.get_output_embeddings()(hidden[chosen])
    return head.float()


def needs_whole_head(model: Any, samples: Sequence[Sample], device: Device) -> bool:
    """Whether head(decoder(x)) differs from the model's own logits (soft caps, logit scales)."""
    batch = collate(samples, [[0]], packed=False).to(device.torch_device)
    with torch.no_grad():
        own = answer_logits(model, batch, whole=True)
        ours = answer_logits(model, batch)
    if device.torch_device.type == "cpu":
        return not torch.allclose(own, ours, rtol=1e-3, atol=1e-3)
    return float((own - ours).norm() / own.norm()) > HALF


HALF = 5e-3
"""Most relative difference of logits that bfloat16's rounding is taken to make."""
EXACT = 1e-3
"""Most mean change of likely tokens' log-probabilities in a pack, in float32."""
ROUNDED = 0.2
"""Likewise in bfloat16, whose rounding alone makes .06 (SmolLM2-135M); a leak makes 1.8 there."""


def packing_isolates(
    model: Any,
    samples: Sequence[Sample],
    device: Device,
    packed_logits: Callable[[Sequence[Sample]], torch.Tensor] | None = None,
) -> tuple[bool, str]:
    """Compare samples alone with the same samples in one pack; returns (same, reason).

    A model whose layers ignore the mask lets samples see each other without any error; then
    packing must leave the search space.

    Args:
        model: a causal language model of transformers.
        samples: a few.
        device: what the model is on.
        packed_logits: logits of all labels of samples that are packed as this device trains them,
            sample by sample; None: in one masked row.
    """
    tolerance = EXACT if device.torch_device.type == "cpu" else ROUNDED
    owners = torch.tensor([k for k, sample in enumerate(samples) for _ in range(sample.trained)])
    gaps = []
    with torch.no_grad():
        try:
            if packed_logits:
                packed = packed_logits(samples)
            else:
                pack = collate(samples, [list(range(len(samples)))], packed=True)
                packed = answer_logits(model, pack.to(device.torch_device), whole=True)
        except (RuntimeError, ValueError, TypeError) as error:
            return False, f"packing left out: the model takes no block mask ({error})"
        owners = owners.to(packed.device)
        for index in range(len(samples)):
            alone = collate(samples, [[index]], packed=False).to(device.torch_device)
            logits = answer_logits(model, alone, whole=True)
            gap = logits.log_softmax(-1) - packed[owners == index].log_softmax(-1)
            likely = logits.softmax(-1) > 1e-3
            gaps.append(gap[likely].abs())
    change = float(torch.cat(gaps).mean())
    if change <= tolerance:
        return (
            True,
            f"packing checked: log-probabilities in a pack differ by {change:.0e} from alone",
        )
    return False, f"packing left out: log-probabilities change by {change:.0e} inside a pack"
