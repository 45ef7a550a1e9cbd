"""Training over int8 weights: the products of whole weights, in one graph, nothing else kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from objectives.int8 import is_int8, weight_only, whole
from objectives.quantize import find_device
from spaces import Quantization
from studies.bench_train import SHAPES, build

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device, and -m gpu"
)


class Linear8bitLt(torch.nn.Module):
    """Laid out as bitsandbytes' layer; its own product is none."""

    def __init__(self, weight: torch.Tensor, *, bias: bool) -> None:
        super().__init__()
        scales = weight.abs().amax(1)
        held: Any = torch.nn.Parameter(
            (weight / scales[:, None] * 127).round().to(torch.int8), False
        )
        held.CB, held.SCB = held.data, scales
        self.weight = held
        self.bias = torch.nn.Parameter(torch.ones(len(weight)), False) if bias else None
        self.state = SimpleNamespace(CB=None, SCB=None)

    def init_8bit_state(self) -> None:
        """As bitsandbytes does when the layer is called first."""
        self.state.CB, self.state.SCB = self.weight.CB, self.weight.SCB
        self.weight.CB = self.weight.SCB = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What must not happen in training."""
        raise AssertionError("multiplied in int8")


Linear8bitLt.__module__ = "bitsandbytes.nn.modules"


@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_gradients_are_those_of_whole_weights(*, bias: bool) -> None:
    """A layer that was never called before, inside the context only."""
    torch.manual_seed(0)
    weight, x = torch.randn(6, 4), torch.randn(2, 3, 4, requires_grad=True)
    layer = Linear8bitLt(weight, bias=bias)
    plain = torch.nn.Linear(4, 6, bias=bias)
    held = layer.weight.data * (layer.weight.SCB / 127)[:, None]
    assert torch.allclose(held, weight, atol=0.02)  # the rounding
    plain.load_state_dict({"weight": held} | ({"bias": torch.ones(6)} if bias else {}))
    with weight_only(torch.nn.Sequential(layer)):
        found = layer(x)
    assert torch.allclose(found, plain(x), atol=1e-6)
    expected = torch.autograd.grad(plain(x).square().sum(), x)
    assert torch.allclose(torch.autograd.grad(found.square().sum(), x)[0], expected[0], atol=1e-4)
    with pytest.raises(AssertionError, match="in int8"):
        layer(x)


def test_it_is_one_graph_and_keeps_no_whole_weight() -> None:
    """A break would compile each part of a layer on its own; a whole copy would take twice bf16."""
    layers = [Linear8bitLt(torch.randn(8, 8), bias=False) for _ in range(2)]
    x = torch.randn(2, 8, requires_grad=True)
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append((tuple(tensor.shape), tensor.dtype))
        return tensor

    def both(inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = layers[1](torch.tanh(layers[0](inputs)))
        return found

    compiled = torch.compile(
        both, backend="aot_eager_decomp_partition", fullgraph=True, dynamic=True
    )
    with weight_only(torch.nn.Sequential(*layers)):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            found = compiled(x)
        assert torch.allclose(found, both(x), atol=1e-6)
    weights = [kind for shape, kind in kept if shape == (8, 8)]
    assert weights == [torch.int8, torch.int8]


def test_autocast_decides_the_kind_of_numbers() -> None:
    """As it does for a linear layer."""
    layer, x = Linear8bitLt(torch.randn(8, 8), bias=True), torch.randn(2, 8)
    with weight_only(torch.nn.Sequential(layer)), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype is torch.bfloat16
    assert whole(layer.state.CB, layer.state.SCB, torch.bfloat16).dtype is torch.bfloat16


def test_other_bases_stay_as_they_are() -> None:
    """Nothing is imported, nothing replaced."""
    plain = torch.nn.Linear(2, 2)
    with weight_only(plain):
        assert not is_int8(plain)
        assert type(plain).forward is torch.nn.Linear.forward


@pytest.mark.gpu
@needs_gpu
def test_bitsandbytes_layers_are_found_and_close_to_its_own_product() -> None:
    """The real ones: its int8 product of the activations differs by rounding."""
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    device = find_device()
    model = build(SHAPES["tiny"], device.torch_device, Quantization.INT8)
    ids = torch.arange(5, 200, device=device.torch_device)[None]
    with torch.no_grad(), device.precision(exact=False):
        own = model(ids).logits.float()
        with weight_only(model):
            found = model(ids).logits.float()
    assert sum(map(is_int8, model.modules())) == 14
    assert not torch.equal(found, own)
    assert (found - own).norm() < 0.05 * own.norm()
