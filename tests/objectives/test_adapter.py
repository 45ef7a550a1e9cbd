"""Adapters in their slots: as wide as need be, and nothing of it shows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from objectives.adapter import Resident
from spaces import Quantization, Recipe, Targets

RECIPE = Recipe(
    rank=4,
    alpha=8,
    targets=Targets.ALL_LINEAR,
    quantization=Quantization.BF16,
    packing=True,
    max_length=64,
    learning_rate=1e-2,
    tokens_per_step=96,
    mixture={"one": 1.0},
)
IDS = torch.arange(5, 29).reshape(2, 12)


@pytest.fixture
def base(tiny_model: Path) -> Any:
    """The tiny model in float32, frozen."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    return model.requires_grad_(requires_grad=False).eval()


def train(resident: Resident, recipe: Recipe, width: int, steps: int = 5) -> list[float]:
    """Losses of a few steps."""
    slot = resident.slot(recipe.targets, width)
    slot.start(recipe, 7)
    optimizer = torch.optim.AdamW([slot.weights], lr=recipe.learning_rate, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        loss = resident.base(input_ids=IDS, labels=IDS).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(slot.weights, 1.0)
        optimizer.step()
        slot.gradient.zero_()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("targets", Targets)
@pytest.mark.parametrize("width", [5, 64])
def test_a_wider_slot_trains_exactly_like_the_rank(base: Any, targets: Targets, width: int) -> None:
    """Losses and tensors; what lies beyond the rank stays zero."""
    recipe = replace(RECIPE, targets=targets)
    resident = Resident(base)
    narrow = train(resident, recipe, recipe.rank)
    own = resident.slot(targets, recipe.rank)
    kept = {k: t.clone() for k, t in own.tensors(own.weights.data, recipe.rank).items()}
    wide = train(resident, recipe, width)
    slot = resident.slot(targets, width)
    assert narrow[-1] < narrow[0]
    assert wide == pytest.approx(narrow, abs=1e-6)
    for key, tensor in slot.tensors(slot.weights.data, recipe.rank).items():
        torch.testing.assert_close(tensor, kept[key], atol=1e-5, rtol=1e-4)
    inside = sum(int((tensor != 0).sum()) for tensor in kept.values())
    assert int((slot.weights != 0).sum()) == pytest.approx(inside, abs=5)
    slot.fill(slot.weights.data, kept, recipe.rank)
    assert int((slot.weights != 0).sum()) == inside


def test_a_slot_trains_like_peft_itself(base: Any, tiny_model: Path) -> None:
    """The same beginning, scale and gradients."""
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    fresh = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    theirs = get_peft_model(fresh, config).eval()
    resident = Resident(base)
    slot = resident.slot(Targets.ALL_LINEAR, 16)
    slot.start(RECIPE, 7)
    named = {k: p for k, p in theirs.named_parameters() if p.requires_grad}
    own = slot.tensors(slot.weights.data, 4)
    assert named.keys() == own.keys()
    for key, parameter in named.items():
        if "lora_A" in key:
            bound = parameter.shape[1] ** -0.5  # of PEFT's own start
            assert parameter.abs().max() <= bound
            assert own[key].abs().max() == pytest.approx(bound, rel=0.1)
        parameter.data.copy_(own[key])
    theirs(input_ids=IDS, labels=IDS).loss.backward()
    resident.base(input_ids=IDS, labels=IDS).loss.backward()
    for key, gradient in slot.tensors(slot.gradient, 4).items():
        torch.testing.assert_close(gradient, named[key].grad)


def test_slots_share_a_base_and_keep_their_tensors(base: Any) -> None:
    """Switched to and fro, each is as it was left; switched off, the base is as it came."""
    with torch.no_grad():
        bare = base(input_ids=IDS).logits
    resident = Resident(base)
    for targets in Targets:
        train(resident, replace(RECIPE, targets=targets), 8)
    first = resident.slot(Targets.ATTENTION, 8)
    kept = first.weights.detach().clone()
    with torch.no_grad():
        before = base(input_ids=IDS).logits
        resident.slot(Targets.ALL_LINEAR, 8)
        other = base(input_ids=IDS).logits
        assert torch.equal(resident.bare()(input_ids=IDS).logits, bare)
        assert resident.slot(Targets.ATTENTION, 8) is first
        assert torch.equal(base(input_ids=IDS).logits, before)
    assert torch.equal(first.weights, kept)
    assert not torch.equal(before, other)
    assert not torch.equal(before, bare)


def test_an_export_has_the_trials_own_rank(base: Any, tmp_path: Path) -> None:
    """However wide the slot; and training can go on."""
    resident = Resident(base)
    losses = train(resident, RECIPE, 16)
    slot = resident.slot(Targets.ALL_LINEAR, 16)
    resident.export(slot, RECIPE, "some/base", tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    assert config["base_model_name_or_path"] == "some/base"
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert len(tensors) == len(slot.parts)
    assert {min(t.shape) for t in tensors.values()} == {4}
    assert train(resident, RECIPE, 16) == losses
