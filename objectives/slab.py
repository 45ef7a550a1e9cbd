"""Keys and values of many prompts, where decoding writes and reads them."""

from __future__ import annotations

from typing import Any

import torch

from objectives.model import text_config
from objectives.quantize import Device

ROWS = {"cpu": 32, "cuda": 512}
"""Most prompts decoded together, by kind of device."""
SLAB_SHARE = 0.5
"""Share of the free GPU memory that keys and values may take."""
SLAB_BYTES = 2 * 2**30
"""Bytes that keys and values may take on a CPU."""


class Slab:
    """Keys and values of a batch: what transformers calls a cache.

    The column of a token is its position. In transformers' protocol `update` takes a layer's new
    keys and values, [B, heads, T, D], and returns all that the new positions may look at.
    """

    is_compileable = False

    def __init__(self, rows: int, width: int) -> None:
        """Hold `rows` x `width` positions; memory is taken when the first layer writes."""
        self.rows, self.width = rows, width
        self.keys: list[torch.Tensor] = []
        """Per layer [rows, width, heads, D]."""
        self.values: list[torch.Tensor] = []
        self._span = slice(0, rows)
        self._limit = width
        self._places = torch.empty(0, dtype=torch.int64)

    def at(self, span: tuple[int, int], columns: torch.Tensor, limit: int) -> None:
        """Say where the next tokens' keys and values go.

        Args:
            span: the first of their rows, and the one after the last.
            columns: [B, T] int64.
            limit: number of columns to look at.
        """
        self._span, self._limit = slice(*span), limit
        rows = torch.arange(*span, device=columns.device)[:, None]
        self._places = (rows * self.width + columns).flatten()

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a layer's new keys and values; returns those to look at."""
        found = []
        for slabs, new in ((self.keys, key), (self.values, value)):
            if layer_idx == len(slabs):
                shape = (self.rows, self.width, new.shape[1], new.shape[3])
                slabs.append(torch.zeros(shape, dtype=_kept_as(new), device=new.device))
            slab = slabs[layer_idx]
            new = new.transpose(1, 2).flatten(0, 1)
            slab.view(-1, *slab.shape[2:]).index_copy_(0, self._places, new.to(slab.dtype))
            found.append(slab[self._span, : self._limit].transpose(1, 2))
        return found[0], found[1]

    def get_seq_length(self, _layer_idx: int = 0) -> int:
        """Columns known before: unused, since positions and masks are always given."""
        return 0

    def share(self, columns: int) -> None:
        """Copy the first row's first columns to all rows."""
        for slab in (*self.keys, *self.values):
            slab[1:, :columns] = slab[:1, :columns]

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only these rows."""
        self.rows = len(rows)
        self.keys = [k.index_select(0, rows) for k in self.keys]
        self.values = [v.index_select(0, rows) for v in self.values]


def _kept_as(new: torch.Tensor) -> torch.dtype:
    """The type that attention casts keys and values to in any case, at every step, if it does."""
    kind = new.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else new.dtype


def plain_attention(config: Any) -> bool:
    """Whether every layer is full attention: only then a slab and a mask say all there is."""
    text = text_config(config)
    kinds = getattr(text, "layer_types", None)
    if kinds is not None:
        return all(kind == "full_attention" for kind in kinds)
    return not (getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True))


def rows_of(config: Any, width: int, device: Device) -> int:
    """Rows of `width` positions whose keys and values fit."""
    text = text_config(config)
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    kind = device.torch_device.type
    one = 2 * text.num_hidden_layers * heads * size * width * (4 if kind == "cpu" else 2)
    free = SLAB_BYTES if kind == "cpu" else SLAB_SHARE * _free_gpu_bytes()
    return max(1, min(ROWS[kind], int(free / one)))


def _free_gpu_bytes() -> int:
    """What this process may still take: on the device, and of its own cap (--gpu-memory)."""
    free, total = torch.cuda.mem_get_info()
    used = torch.cuda.memory_allocated()
    cap = int(total * torch.cuda.get_per_process_memory_fraction())
    return min(free + torch.cuda.memory_reserved() - used, cap - used)
