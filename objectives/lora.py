"""How adapters compute while they are trained on a GPU: one product for all that share an input.

PEFT computes result + s (B (A x)) for each layer on its own. Here A x of a group of layers with the
same input (queries, keys and values; gate and up) is one product with their A on top of each other,
and the factor s meets its few columns instead of the layer's outputs. The result is the same but
for rounding, so scores are computed in PEFT's own way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import LoraVariant

SHARED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Names of sibling layers that get the same input in the families that use them."""


class Group:
    """Layers that get the same input."""

    def __init__(self, layers: list[LoraLayer], name: str) -> None:
        """Nothing is computed yet.

        Args:
            layers: siblings; each carries the adapter.
            name: the adapter's.
        """
        self._downs = [layer.lora_A[name] for layer in layers]
        self._input: torch.Tensor | None = None
        self._waiting: dict[int, torch.Tensor] = {}

    def inner(self, place: int, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """s A x [..., rank] of the layer at `place`, for x [..., in] and the factor s."""
        if x is not self._input or place not in self._waiting:
            stacked = torch.cat([down.weight for down in self._downs])
            found = torch.nn.functional.linear(x, stacked) * scale
            self._waiting = dict(enumerate(found.chunk(len(self._downs), dim=-1)))
            self._input = x
        own = self._waiting.pop(place)
        if not self._waiting:
            self._input = None
        return own


class Member(LoraVariant):  # type: ignore[misc]  # PEFT has no types
    """One layer of a group, as PEFT calls it."""

    def __init__(self, group: Group, place: int) -> None:
        """`place` is the layer's in its group."""
        self._group = group
        self._place = place

    def forward(  # PEFT's is static, and called on the instance
        self, module: Any, active_adapter: str, x: torch.Tensor, result: torch.Tensor, **_: Any
    ) -> torch.Tensor:
        """The layer's output [..., out] for x [..., in] and the base's output [..., out]."""
        inner = self._group.inner(self._place, x, module.scaling[active_adapter])
        changed: torch.Tensor = result + module.lora_B[active_adapter](inner)
        return changed


def join(base: Any) -> list[tuple[LoraLayer, str, Member]]:
    """Groups of all layers with an active adapter: (layer, adapter's name, its member)."""
    found = []
    for parent in base.modules():
        own = {key: layer for key, layer in parent.named_children() if isinstance(layer, LoraLayer)}
        for names in (*SHARED, *((key,) for key in own)):
            layers = [own.pop(key) for key in names] if own.keys() >= set(names) else []
            for name in layers[0].active_adapters if layers else ():
                carrying = [layer for layer in layers if name in layer.lora_A]
                group = Group(carrying, name)
                found += [(layer, name, Member(group, k)) for k, layer in enumerate(carrying)]
    return found


@contextmanager
def jointly(members: list[tuple[LoraLayer, str, Member]]) -> Iterator[None]:
    """Context in which layers compute so."""
    for layer, name, member in members:
        layer.lora_variant[name] = member
    try:
        yield
    finally:
        for layer, name, _ in members:
            layer.lora_variant.pop(name, None)
