"""Adapters that share an input are computed in one product, and nothing of it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from transformers import AutoModelForCausalLM

from objectives.adapter import Resident
from objectives.lora import join, jointly
from spaces import Targets
from tests.objectives.test_adapter import IDS
from tests.objectives.test_passes import started


@pytest.fixture
def resident(tiny_model: Path) -> Resident:
    """The tiny model in float32, frozen."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    return Resident(model.requires_grad_(requires_grad=False).eval())


def outcome(base: Any, weights: list[torch.nn.Parameter]) -> tuple[torch.Tensor, ...]:
    """(loss, gradients...)."""
    loss = base(input_ids=IDS, labels=IDS).loss
    return loss.detach(), *torch.autograd.grad(loss, weights)


@pytest.mark.parametrize(("targets", "joint"), [(Targets.ALL_LINEAR, 4), (Targets.ATTENTION, 2)])
def test_the_outcome_is_pefts_own(resident: Resident, targets: Targets, joint: int) -> None:
    """Loss and gradients; and each group takes one product of its stacked A."""
    slot = started(resident, targets)
    plain = outcome(resident.base, slot.layers)
    linear = torch.nn.functional.linear
    with (
        jointly(join(resident.base)),
        mock.patch("torch.nn.functional.linear", side_effect=linear) as products,
    ):
        found = outcome(resident.base, slot.layers)
    again = outcome(resident.base, slot.layers)
    for own, theirs, back in zip(found, plain, again, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-6)
        assert torch.equal(back, theirs)
    heights = [call.args[1].shape[0] for call in products.call_args_list]
    layers = len(resident.base.get_decoder().layers)
    stacked = sorted({h for h in heights if h in (2 * slot.width, 3 * slot.width)})
    assert stacked == ([16, 24] if targets is Targets.ALL_LINEAR else [24])
    assert joint == len(stacked) * layers


def test_a_layer_with_another_input_computes_its_own(resident: Resident) -> None:
    """Nothing that was computed for one input is used for another."""
    slot = started(resident, Targets.ATTENTION)
    attention = resident.base.get_decoder().layers[0].self_attn
    one, other = torch.randn(2, 1, 5, attention.q_proj.in_features)
    expected = attention.q_proj(one), attention.k_proj(other), attention.v_proj(one)
    with jointly(join(resident.base)):
        found = attention.q_proj(one), attention.k_proj(other), attention.v_proj(one)
    for own, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(own, theirs)
    assert slot.width == 8
