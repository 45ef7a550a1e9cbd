"""Attention for models whose query heads share keys and values, without copying those per head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "grouped_sdpa"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention where the query heads of one key head stand below each other, as more positions.

    transformers' own repeats keys and values for every query head wherever there is a mask.

    Args:
        module: the attention layer.
        query: [B, heads, T, D].
        key: [B, key heads, S, D].
        value: [B, key heads, S, E].
        attention_mask: float [B, 1, T, S], added to the scores.
        options: what transformers passes to any attention function.

    Returns:
        [B, T, heads, E], and no weights.
    """
    rows, heads, length, size = query.shape
    groups = heads // key.shape[1]
    masked = attention_mask is not None and attention_mask.shape[1] == 1
    if groups == 1 or not masked or set(options) & {"softcap", "position_bias", "s_aux"}:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return found
    assert attention_mask is not None  # noqa: S101  # it is masked
    out = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], groups * length, size),
        key,
        value,
        attn_mask=attention_mask if length == 1 else attention_mask.repeat(1, 1, groups, 1),
        scale=options.get("scaling"),
    )
    return out.reshape(rows, heads, length, value.shape[3]).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, grouped_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def grouped(model: Any) -> Iterator[None]:
    """Context in which a model that attends by PyTorch's own function does so without copies."""
    own = model.config._attn_implementation  # no public reader
    if own != "sdpa":
        yield
        return
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(own)
