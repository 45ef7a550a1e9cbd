"""How much memory a recipe takes on a GPU, before it is there; how it is trained so that it fits.

The parts are counted (weights, adapter and optimizer, what a layer keeps for its backward pass).
What cannot be, such as what a compiler recomputes, is one factor on the activations, which every
segment that was trained corrects.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

import torch

from objectives.flat import GRAIN
from objectives.model import attention_modules, linear_modules, text_config
from search.errors import OutOfMemory
from spaces import Quantization, Recipe, Targets

GIB = 2**30
WEIGHT_BYTES = {
    Quantization.BF16: 2.0,
    Quantization.INT8: 1.0,
    Quantization.NF4: 0.5 + 1 / 64 + 4 / (64 * 256),  # 4 bits, a byte a block, a float32 for 256
}
"""Bytes per element of a linear layer's weight; all else is held in bfloat16."""
ADAPTER_BYTES = 16
"""Per parameter: weight, gradient and two moments in float32. What else there is of it, layer by
layer, is not there at the peak."""
LOGIT_BYTES = 12
"""Per logit of a chunk: itself, its float32 value, and the gradient."""
CHUNK = 4096
"""Rows of logits that `objectives.passes` holds at once."""
FIXED = 0.1 * GIB
"""The libraries' workspaces."""
LEAST = 1024
"""Fewest positions of a pass that are tried."""
UNMEASURED = 1.0
"""Factor on the activations before anything was measured (measured with a shape of 7B: .92 to
1.04 where all is kept, .5 to .8 with checkpointing)."""
PLAIN = 1.8
"""Factor on the activations where layers are not compiled, before anything was measured."""
LOST, MOST_LOST = (0.04, 0.08), 2 * GIB
"""Shares of the memory, and bytes up to which the larger counts, that are not planned with: they
are lost between blocks (measured on a card capped to 24 GiB: up to 2.2 GiB)."""


Kind = tuple[bool, bool]
"""(checkpointing, compiled): what one factor on the activations holds for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Anatomy:
    """What of a base model decides how much memory it takes."""

    layers: int
    hidden: int
    intermediate: int
    keys: int
    """Width of a layer's keys."""
    vocabulary: int
    linear: int
    """Elements of all linear layers but the head."""
    rest: int
    """Elements of all other weights."""
    sides: dict[Targets, int] = field(hash=False)
    """Inputs + outputs of all layers that carry an adapter: its parameters per rank."""

    @classmethod
    def of(cls, base: Any) -> Anatomy:
        """Of a causal language model of transformers without adapters, quantized or not."""
        config = text_config(base.config)
        names = {Targets.ALL_LINEAR: linear_modules(base)}
        try:
            names[Targets.ATTENTION] = attention_modules(base)
        except ValueError:
            names[Targets.ATTENTION] = []
        head = base.get_output_embeddings()
        sides = dict.fromkeys(names, 0)
        linear = held = 0
        for name, module in base.named_modules():
            last = name.rpartition(".")[2]
            if module is head or last not in names[Targets.ALL_LINEAR]:
                continue
            ends = _ends(module)
            linear += ends[0] * ends[1]
            held += module.weight.numel()
            for targets, own in names.items():
                sides[targets] += sum(ends) if last in own else 0
        hidden = int(config.hidden_size)
        heads = int(config.num_attention_heads)
        size = int(getattr(config, "head_dim", None) or hidden // heads)
        return cls(
            layers=int(config.num_hidden_layers),
            hidden=hidden,
            intermediate=int(getattr(config, "intermediate_size", None) or 4 * hidden),
            keys=int(getattr(config, "num_key_value_heads", None) or heads) * size,
            vocabulary=int(config.vocab_size),
            linear=linear,
            rest=sum(parameter.numel() for parameter in base.parameters()) - held,
            sides=sides,
        )

    def weights(self, kind: Quantization) -> float:
        """Bytes of the base in one quantization kind."""
        return self.linear * WEIGHT_BYTES[kind] + self.rest * 2

    def kept(self, targets: Targets) -> float:
        """Bytes per token and layer that a forward pass keeps: what enters layers that carry an
        adapter, and what norms, activation and attention need for their gradients."""
        whole = targets is Targets.ALL_LINEAR
        return 2.0 * (
            (6 if whole else 5) * self.hidden
            + 2 * self.keys
            + (3 if whole else 2) * self.intermediate
        )

    def passing(self) -> float:
        """Bytes per token while one layer's backward pass runs."""
        return 2.0 * (3 * self.intermediate + 6 * self.hidden)


def _ends(module: Any) -> tuple[int, int]:
    if hasattr(module, "in_features"):
        return int(module.in_features), int(module.out_features)
    return int(module.weight.shape[0]), int(module.weight.shape[1])  # GPT-2's Conv1D


@dataclass(frozen=True, slots=True)
class Settings:
    """How a recipe is trained; it decides memory and speed, and nothing else."""

    positions: int
    """Most positions of a pass."""
    checkpointing: bool
    """Keep only what enters each layer, and compute the rest again."""


class Memory:
    """Forecasts of a GPU's peak memory."""

    def __init__(self, anatomy: Anatomy, capacity: float, most: int, quick: int = LEAST) -> None:
        """Nothing is measured yet.

        Args:
            anatomy: of the base model.
            capacity: bytes that may be used.
            most: positions of a pass; fewer are taken where they do not fit.
            quick: positions below which gradient checkpointing costs less than short passes.
        """
        self.anatomy = anatomy
        self.capacity = capacity
        self._most = most
        self._quick = quick
        self._factors: dict[Kind, list[float]] = {}

    @property
    def usable(self) -> float:
        """Bytes that may be planned with."""
        least, most = (share * self.capacity for share in LOST)
        return self.capacity - max(least, min(most, MOST_LOST))

    def needed(
        self, recipe: Recipe, width: int, settings: Settings, *, compiled: bool = True
    ) -> float:
        """Bytes at the peak of training a recipe.

        Args:
            recipe: what is trained.
            width: of its slot, at least its rank.
            settings: how it is trained.
            compiled: whether layers are compiled, and rows flat.
        """
        still, moving = self._parts(recipe, width, settings)
        return still + self._factor((settings.checkpointing, compiled)) * moving

    def _parts(
        self, recipe: Recipe, width: int, settings: Settings, largest: int | None = None
    ) -> tuple[float, float]:
        own = self.anatomy
        adapter = own.sides[recipe.targets] * width * ADAPTER_BYTES
        head = CHUNK * own.vocabulary * LOGIT_BYTES
        positions = largest or max(settings.positions, _rounded(recipe.max_length))
        kept = own.kept(recipe.targets)
        if settings.checkpointing:
            layers = own.layers * 2.0 * own.hidden + kept
        else:
            layers = own.layers * kept
        moving = positions * max(layers + own.passing(), layers + head / positions)
        return own.weights(recipe.quantization) + adapter + FIXED, moving

    def _factor(self, kind: Kind) -> float:
        if own := self._factors.get(kind):
            return statistics.median(own[-5:])
        return UNMEASURED if kind[1] else PLAIN

    def settle(
        self, recipe: Recipe, width: int, *, compiled: bool = True, beside: float = 0.0
    ) -> Settings:
        """The fastest way to train a recipe that fits.

        Args:
            recipe: what is trained.
            width: of its slot.
            compiled: whether layers are compiled, and rows flat.
            beside: bytes that are held for something else.

        Raises:
            OutOfMemory: none does; says how much would be needed.
        """
        lengths = self._lengths(recipe)
        ways = [
            Settings(positions, checkpointing=False)
            for positions in lengths
            if positions >= self._quick or positions == lengths[0] or not compiled
        ]
        if compiled:
            ways += [Settings(positions, checkpointing=True) for positions in lengths]
        needed = [self.needed(recipe, width, way, compiled=compiled) + beside for way in ways]
        for way, own in zip(ways, needed, strict=True):
            if own <= self.usable:
                return way
        raise OutOfMemory(
            f"forecast: it takes {min(needed) / GIB:.1f} GiB at least, "
            f"and {self.usable / GIB:.1f} GiB are there"
        )

    def _lengths(self, recipe: Recipe) -> list[int]:
        """Positions of a pass for steps in one pass, in two of the same size, and so on."""
        counts = range(1, max(1, recipe.tokens_per_step // LEAST) + 1)
        lengths = dict.fromkeys(enough(recipe, count) for count in counts)
        return [own for own in lengths if own <= self._most] or [self._most]

    def learn(
        self,
        recipe: Recipe,
        width: int,
        settings: Settings,
        measured: float,
        *,
        largest: int,
        compiled: bool = True,
    ) -> None:
        """Take in the peak, in bytes, of a segment whose largest pass had so many positions."""
        still, moving = self._parts(recipe, width, settings, largest)
        factor = min(3.0, max(0.3, (measured - still) / moving))
        self._factors.setdefault((settings.checkpointing, compiled), []).append(factor)

    def failed(
        self, recipe: Recipe, width: int, settings: Settings, *, compiled: bool = True
    ) -> None:
        """Take in that a recipe did not fit: what is like it is not tried again."""
        still, moving = self._parts(recipe, width, settings)
        kind = (settings.checkpointing, compiled)
        factor = max(1.1 * self._factor(kind), (self.capacity - still) / moving)
        self._factors[kind] = [factor]


def enough(recipe: Recipe, count: int = 1) -> int:
    """Positions of a pass, such that nearly every step of a recipe fits in `count` of them.

    A step's last row may begin just before its goal, but few rows are as long as the longest.
    """
    return _rounded(recipe.tokens_per_step / count + recipe.max_length / 4)


def _rounded(positions: float) -> int:
    return math.ceil(positions / GRAIN) * GRAIN


def capacity_of(device: torch.device, limit_gib: float | None) -> float:
    """Bytes of a GPU that this process may use."""
    free, total = torch.cuda.mem_get_info(device)
    spare = 0.5 * GIB  # PyTorch's kernels and libraries, outside its own count
    return min(free - spare if limit_gib is None else limit_gib * GIB, float(total))
