"""Attention over a row of several samples: each sees itself only, without a mask.

On a GPU it is PyTorch's own variable-length attention, whose cost is that of the samples alone; on
a CPU, the samples one after the other (to test it there; a CPU trains on masked rows).
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "varlen"
GROUPED: dict[str, Any] = (
    {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}
)
"""How one says that keys and values have fewer heads; before torch 2.12 one need not."""
UNKNOWN = {"softcap", "position_bias", "s_aux"}
"""Options of a model's attention that it does not have."""


def varlen_attention(
    module: torch.nn.Module,  # noqa: ARG001  # transformers gives it to every attention
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001  # likewise
    *,
    bounds: torch.Tensor,
    longest: int,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sample of one row.

    Args:
        module: the attention layer.
        query: [1, heads, T, D].
        key: [1, key heads, T, D].
        value: [1, key heads, T, D].
        attention_mask: not looked at.
        bounds: [S + 1] int32, where samples begin and the last one ends.
        longest: no sample has more tokens.
        scaling: factor of the scores; None: D ** -0.5.
        sliding_window: positions that one sees, itself included; None: all before it.
        options: what else transformers passes; any of `UNKNOWN` is refused.

    Returns:
        [1, T, heads, D], and no weights.

    Raises:
        ValueError: the model's attention is of another kind.
    """
    if found := [name for name in UNKNOWN if options.get(name) is not None]:
        raise ValueError(f"no variable-length attention with {', '.join(found)}")
    window = sliding_window - 1 if sliding_window and sliding_window < longest else -1
    # rotary embeddings may have left queries and keys in float32
    q, k, v = (t[0].transpose(0, 1).to(value.dtype) for t in (query, key, value))
    if q.device.type == "cpu":
        return _one_by_one(q, k, v, bounds, scaling, window)[None], None
    out: Any = varlen_attn(
        q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=(window, 0), **GROUPED
    )
    return out[None], None


def _one_by_one(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bounds: torch.Tensor,
    scaling: float | None,
    window: int,
) -> torch.Tensor:
    parts = []
    for first, end in itertools.pairwise(bounds.tolist()):
        if first == end:
            continue
        own_q, own_k, own_v = (t[None, first:end].transpose(1, 2) for t in (q, k, v))
        mask = None
        if 0 <= window < end - first:
            mask = torch.ones(end - first, end - first, dtype=torch.bool).tril().triu(-window)
        out = scaled_dot_product_attention(
            own_q,
            own_k,
            own_v,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=True,
        )
        parts.append(out[0].transpose(0, 1))
    return torch.cat(parts)


AttentionInterface.register(NAME, varlen_attention)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)


@contextmanager
def varlen(model: Any) -> Iterator[None]:
    """Context in which a model attends so; its decoder takes `bounds` and `longest`."""
    own = model.config._attn_implementation  # no public reader
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(own)
