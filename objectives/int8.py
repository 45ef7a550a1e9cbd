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


@torch.library.custom_op("recipe_search::int8_product", mutates_args=())
def product(x: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """[..., out] of x [..., in], a frozen weight [out, in] in int8 and scales [out] in float32.

    An operator of its own, and another one for its gradient: a compiler that sees into both keeps
    the whole weight from one to the other, which takes more memory than bfloat16.
    """
    return x @ whole(weight, scales, x.dtype).t()


@torch.library.custom_op("recipe_search::int8_gradient", mutates_args=())
def gradient_of(sent: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The gradient [..., in] of x from that of the product, [..., out]."""
    return sent @ whole(weight, scales, sent.dtype)


@product.register_fake
def _(x: torch.Tensor, weight: torch.Tensor, _scales: torch.Tensor) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


@gradient_of.register_fake
def _(sent: torch.Tensor, weight: torch.Tensor, _scales: torch.Tensor) -> torch.Tensor:
    return sent.new_empty(*sent.shape[:-1], weight.shape[1])


def _keep(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:  # noqa: ARG001  # PyTorch names it
    ctx.save_for_backward(*inputs[1:])


def _backward(ctx: Any, sent: torch.Tensor) -> tuple[torch.Tensor, None, None]:
    return gradient_of(sent, *ctx.saved_tensors), None, None


product.register_autograd(_backward, setup_context=_keep)


def whole(weight: torch.Tensor, scales: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """An int8 weight [out, in] with its rows' scales [out] in another kind of numbers."""
    made = torch.empty(weight.shape, dtype=kind, device=weight.device)
    return torch.mul(weight, (scales / LARGEST)[:, None], out=made)  # rounded once


def _forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    place = x.device.type
    kind = torch.get_autocast_dtype(place) if torch.is_autocast_enabled(place) else x.dtype
    with torch.autocast(place, enabled=False):
        found: torch.Tensor = product(x.to(kind), self.state.CB, self.state.SCB)
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
