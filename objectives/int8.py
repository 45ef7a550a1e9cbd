"""Training over a base in int8: its weights are made whole for each product, and again backward.

bitsandbytes multiplies in int8 and looks for outliers in every input, which it waits for; that took
3.6 times as long as bfloat16 (a shape of 7B on one H100), and the code around it does not compile.
Its own backward pass makes the weights whole, too. So training does both ways what that does, on
bitsandbytes' weights; scoring multiplies as bitsandbytes does, as whoever uses the adapter will.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

LARGEST = 127
"""An int8 weight of this size is its row's scale."""


class Product(torch.autograd.Function):
    """x W' for a frozen W in int8; nothing but W in int8 is kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor
    ) -> torch.Tensor:
        """[..., out] of x [..., in], weight [out, in] in int8 and scales [out] in float32."""
        ctx.save_for_backward(weight, scales)
        return x @ whole(weight, scales, x.dtype).t()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient of x."""
        weight, scales = ctx.saved_tensors
        return gradients[0] @ whole(weight, scales, gradients[0].dtype), None, None


def whole(weight: torch.Tensor, scales: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """An int8 weight [out, in] with its rows' scales [out] in another kind of numbers."""
    return (weight * (scales / LARGEST)[:, None]).to(kind)


def _forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    place = x.device.type
    kind = torch.get_autocast_dtype(place) if torch.is_autocast_enabled(place) else x.dtype
    with torch.autocast(place, enabled=False):
        found: torch.Tensor = Product.apply(x.to(kind), self.state.CB, self.state.SCB)  # type: ignore[no-untyped-call]
        return found if self.bias is None else found + self.bias.to(kind)


@contextmanager
def weight_only(base: Any) -> Iterator[None]:
    """Context in which a base's layers in int8, if it has any, multiply so."""
    layers = [module for module in base.modules() if is_int8(module)]
    if not layers:
        yield
        return
    for layer in layers:
        if layer.weight.CB is not None:  # it was never called
            layer.init_8bit_state()
        for tensor in (layer.state.CB, layer.state.SCB):
            torch._dynamo.mark_static(tensor)  # its sizes never change
    own = type(layers[0])  # the class, since a layer's own attribute would be a graph of its own
    before = own.forward
    own.forward = _forward
    try:
        yield
    finally:
        own.forward = before


def is_int8(module: Any) -> bool:
    """Whether it is a linear layer of bitsandbytes in int8."""
    kind = type(module)
    return kind.__name__ == "Linear8bitLt" and kind.__module__.startswith("bitsandbytes")
