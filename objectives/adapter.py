"""LoRA layers that stay on a resident base: trials come and go by copying tensors.

A base keeps one slot per kind of targets. All tensors of a slot lie in one, so that gradients are
cleared, clipped and applied in one operation, and they keep their addresses from trial to trial.
A slot may be wider than a trial's rank: its rows and columns beyond the rank are zero, so is their
gradient, and they stay zero (`PEFT` computes B A x; where a row of A and a column of B are zero,
neither gets a gradient).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer

from objectives.model import attention_modules, linear_modules
from spaces import Recipe, Targets


class Slot:
    """The place of one adapter: the tensors of its layers, laid out in one."""

    def __init__(self, model: PeftModel, name: str, width: int) -> None:
        """Take over the tensors of the adapter `name`, whose rank is `width`."""
        self.name = name
        self.width = width
        ending = re.compile(rf"\.(lora_[AB])\.{re.escape(name)}\.weight$")
        self._layers = {
            ending.sub(r".\1.default.weight", key): parameter
            for key, parameter in model.named_parameters()
            if ending.search(key)
        }
        device = next(iter(self._layers.values())).device
        count = sum(parameter.numel() for parameter in self._layers.values())
        self.weights = torch.nn.Parameter(torch.zeros(count, device=device))
        """[N] float32: all tensors, one behind the other; its gradient likewise."""
        self.weights.grad = self.gradient = torch.zeros(count, device=device)
        self.parts = self._views(self.weights.data)
        """The layers' tensors as views of `weights`."""
        self.gradients = list(self._views(self.gradient).values())
        """The layers' gradients as views of `gradient`, in the order of `parts`."""
        for (key, parameter), gradient in zip(self._layers.items(), self.gradients, strict=True):
            parameter.data = self.parts[key]
            parameter.grad = gradient
        self.scale = torch.ones((), device=device)
        """alpha / rank, of the trial that is in the slot."""
        for module in model.modules():
            if isinstance(module, LoraLayer) and name in module.scaling:
                module.scaling[name] = self.scale

    @property
    def layers(self) -> list[torch.nn.Parameter]:
        """The layers' own parameters, in the order of `parts`."""
        return list(self._layers.values())

    def _views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        found, first = {}, 0
        for key, parameter in self._layers.items():
            found[key] = flat[first : first + parameter.numel()].view(parameter.shape)
            first += parameter.numel()
        return found

    def start(self, recipe: Recipe, seed: int) -> None:
        """Fill the slot as PEFT starts an adapter: A uniform (He et al. 2015), B zero."""
        self.scale.fill_(recipe.alpha / recipe.rank)
        self.gradient.zero_()
        with torch.no_grad():
            self.weights.zero_()
            random = torch.Generator(self.weights.device).manual_seed(seed)
            for key, tensor in self.tensors(self.weights.data, recipe.rank).items():
                if "lora_A" in key:
                    bound = 1 / math.sqrt(tensor.shape[1])
                    tensor.uniform_(-bound, bound, generator=random)

    def tensors(self, flat: torch.Tensor, rank: int) -> dict[str, torch.Tensor]:
        """Views of each layer's tensor in `flat` [N], cut to the rank: A [rank, in], B [out, rank].

        Keys are PEFT's names with the adapter called `default`.
        """
        return {
            key: view.narrow(0 if "lora_A" in key else 1, 0, rank)
            for key, view in self._views(flat).items()
        }

    def fill(self, flat: torch.Tensor, tensors: Mapping[str, torch.Tensor], rank: int) -> None:
        """Copy tensors into `flat` [N]; all beyond the rank is zero.

        Raises:
            KeyError, RuntimeError: a tensor is missing or has another shape.
        """
        with torch.no_grad():
            flat.zero_()
            for key, view in self.tensors(flat, rank).items():
                view.copy_(tensors[key])


class Resident:
    """A base model in one quantization kind, with the adapters that were put on it."""

    def __init__(self, base: Any) -> None:
        """Nothing is put on it yet."""
        self.base = base
        # found now: on a base with adapters the names would be theirs
        self._names = {Targets.ALL_LINEAR: linear_modules(base)}
        with contextlib.suppress(ValueError):
            self._names[Targets.ATTENTION] = attention_modules(base)
        self._model: PeftModel | None = None
        self._slots: dict[Targets, Slot] = {}

    def bare(self) -> Any:
        """The base, its adapters switched off."""
        if self._model is not None:
            self._model.base_model.disable_adapter_layers()
        return self.base

    def slot(self, targets: Targets, width: int) -> Slot:
        """The slot for adapters on `targets` of rank up to `width`, switched on."""
        slot = self._slots.get(targets)
        if slot is None or slot.width != width:
            slot = self._slots[targets] = self._make(targets, width)
        assert self._model is not None  # noqa: S101  # a slot was made on it
        self._model.base_model.enable_adapter_layers()
        self._model.set_adapter(slot.name)
        return slot

    def beside(self, targets: Targets | None) -> int:
        """Bytes of the slots for other targets than these: weights and gradients."""
        slots = [slot for kind, slot in self._slots.items() if kind is not targets]
        return sum(8 * slot.weights.numel() for slot in slots)

    def _make(self, targets: Targets, width: int) -> Slot:
        name = "slot_" + targets.name.lower()
        config = self._config(targets, width, width)
        if self._model is None:
            self._model = get_peft_model(self.base, config, adapter_name=name)
            self._model.eval()
        else:
            if targets in self._slots:
                self._model.delete_adapter(name)
            self._model.add_adapter(name, config)
        return Slot(self._model, name, width)

    def _config(self, targets: Targets, rank: int, alpha: int) -> LoraConfig:
        if targets not in self._names:
            raise ValueError("no linear layer of this model is inside a module named attention")
        return LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=0.0,
            target_modules=self._names[targets],
            task_type="CAUSAL_LM",
        )

    def export(self, slot: Slot, recipe: Recipe, base_id: str, folder: Path) -> None:
        """Write the slot's adapter as PEFT does, in its own rank."""
        assert self._model is not None  # noqa: S101  # a slot was made on it
        config = self._config(recipe.targets, recipe.rank, recipe.alpha)
        config.base_model_name_or_path = base_id
        config.inference_mode = True
        self._model.add_adapter("default", config)
        own = {
            key: parameter
            for key, parameter in self._model.named_parameters()
            if ".default." in key
        }
        with torch.no_grad():
            for key, tensor in slot.tensors(slot.weights.data, recipe.rank).items():
                own[key].copy_(tensor)
        # Embeddings are never trained here; asking PEFT to check would ask the hub.
        self._model.save_pretrained(
            folder,
            safe_serialization=True,
            save_embedding_layers=False,
            selected_adapters=["default"],
        )
        self._model.delete_adapter("default")
        self._model.set_adapter(slot.name)
