"""Forward and backward of flat rows on a GPU: layers compiled, all of it replayed as CUDA graphs.

A small model's step is thousands of kernels, and starting them costs several times what they take.
So a row's forward and backward passes are captured once per shape and replayed. The layers are
compiled by PyTorch before that, one graph for all layers and row lengths; adapters are laid out in
one width (`objectives.adapter`), so that no rank needs a graph of its own. The head is frozen, and
runs only where there is a label: its loss and the gradient it sends back are computed together, in
chunks, and no logits are kept.

Where capturing or compiling fails, training goes on without, and says so.
"""

from __future__ import annotations

import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch.utils.checkpoint import checkpoint

from objectives.adapter import Slot
from objectives.flat import GRAIN, Flat, flatten
from objectives.lora import join, jointly
from objectives.memory import CHUNK, Anatomy
from objectives.mixture import Sample
from objectives.quantize import Device
from objectives.varlen import varlen

LAUNCH_BOUND_S = 1e-3
"""Seconds of a layer's passes, at a GPU's full speed, below which starting kernels counts."""
QUICK_S = 4e-3
"""Such seconds below which a pass without CUDA graphs waits for its kernels to be started."""
RECOMPILE_LIMIT = 64
"""Graphs of a layer's code: for each quantization kind, targets, width, and the first layer."""
FINE = 64
"""Positions are rounded up to a multiple of this where shapes cost nothing."""
SHAPES = 8
"""Where graphs are captured, positions are rounded up to so many parts of the longest pass."""
RENT = 1
"""Passes of one shape that run as they are before a graph is captured: some shapes occur once."""
WARMUP = 1
"""Passes before a capture: they compile, and choose kernels."""


Key = tuple[str, int, int, int]
"""(slot, width, positions, bounds) that a graph is captured for."""


def why_not(base: Any) -> str | None:
    """Why a model cannot be trained this way, or None if it can."""
    if layers_of(base) is None:
        return "its decoder has no list of layers"
    head = base.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or head.bias is not None:
        return "its head is not a linear layer without bias"
    if not head.weight.is_floating_point():
        return "its head is quantized"
    return None


def layers_of(base: Any) -> torch.nn.ModuleList | None:
    """A model's decoder layers."""
    for name in ("layers", "h", "blocks"):
        found = getattr(base.get_decoder(), name, None)
        if isinstance(found, torch.nn.ModuleList):
            return found
    return None


def launch_bound(anatomy: Anatomy, positions: int, speed: float) -> bool:
    """Whether a layer's kernels are so small that starting them takes longer than they do.

    Larger ones gain little from CUDA graphs (measured: 3 % for a shape of 7B), which keep a pass's
    memory for good.

    Args:
        anatomy: of the base model.
        positions: of a pass.
        speed: the GPU's FLOP/s.
    """
    return positions * _flops(anatomy) < LAUNCH_BOUND_S * speed


def quick(anatomy: Anatomy, speed: float) -> int:
    """Fewest positions of a pass, without graphs, that keep a GPU of `speed` FLOP/s busy."""
    return math.ceil(QUICK_S * speed / _flops(anatomy))


def _flops(anatomy: Anatomy) -> float:
    return 4 * anatomy.linear / anatomy.layers


class Passes:
    """Trains the adapters of one base on flat rows."""

    def __init__(
        self,
        base: Any,
        device: Device,
        longest: int,
        tell: Callable[[str], None] = lambda _: None,
        *,
        graphs: bool = True,
        compiled: bool = True,
        checkpointing: bool = False,
    ) -> None:
        """Nothing is compiled yet.

        Args:
            base: a causal language model of transformers for which `why_not` has no reason.
            device: what it lies on.
            longest: no sample has more tokens.
            tell: told what is left out, and why.
            graphs: capture and replay CUDA graphs (on a GPU).
            compiled: compile the layers (on a GPU).
            checkpointing: keep only what enters each layer, and compute the rest again.
        """
        cuda = device.torch_device.type == "cuda"
        self._base = base
        self._device = device
        self._longest = max(longest, GRAIN)  # what fills a row up is samples, too
        self._tell = tell
        self.graphs = graphs and cuda
        """Whether CUDA graphs are captured: PyTorch does not count what they hold."""
        self._compiled = compiled and cuda
        if self._compiled:  # else it would go on without, silently
            torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
        self._engaged = False
        self._checkpointing = checkpointing
        self._weight = base.get_output_embeddings().weight
        self._dummy = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device.torch_device)
        self._captured: dict[Key, _Graph] = {}
        self._seen: Counter[Key] = Counter()
        self._pool: Any = None
        self._forwards: list[Callable[..., Any]] | None = None
        self.setup_s = 0.0
        """Seconds spent compiling and capturing so far."""

    def run(self, slot: Slot, flat: Flat, scale: float) -> torch.Tensor:
        """Add the gradient of a row's loss, times `scale`, to the slot's.

        Args:
            slot: the adapter that is switched on.
            flat: the row, on the device.
            scale: factor of the loss.

        Returns:
            The summed negative log-likelihood of the row's targets times `scale`: a float32
            scalar on the device, which may still be computing it.
        """
        if self.graphs:
            key = (slot.name, slot.width, *flat.shape)
            self._seen[key] += 1
            graph = self._captured.get(key)
            if (graph is None or graph.slot is not slot) and self._seen[key] > RENT:
                graph = self._capture(key, slot, flat)
            if graph is not None and graph.slot is slot:
                return graph.replay(flat, scale)
        hidden = self.forward(flat.ids, flat.positions, flat.bounds)
        loss, gradient = self.head(hidden.detach(), flat, scale)
        self.backward(slot, hidden, gradient)
        return loss

    def grain(self, most: int) -> int:
        """What the positions of a row are rounded up to, where no row has more than `most`."""
        if not self.graphs:
            return FINE
        return math.ceil(most / SHAPES / FINE) * FINE

    def logits(self, samples: Sequence[Sample]) -> torch.Tensor:
        """Logits [L, V] of all labels, in float32, of samples in one flat row."""
        flat = flatten(samples).to(self._device.torch_device)
        hidden = self.forward(flat.ids, flat.positions, flat.bounds)
        chosen = hidden[0].index_select(0, flat.places)
        found: torch.Tensor = self._base.get_output_embeddings()(chosen)
        return found.float()

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, bounds: torch.Tensor
    ) -> torch.Tensor:
        """The last hidden states [1, T, H] of a row."""
        autocast = torch.autocast(
            self._device.torch_device.type,
            dtype=torch.bfloat16,
            enabled=self._device.autocast,
            cache_enabled=False,  # a cast that is kept would be old when a graph is replayed
        )
        with self.engaged(), autocast:
            out = self._base.get_decoder()(
                input_ids=ids,
                position_ids=positions,
                attention_mask=self._dummy,  # any 4D mask, else transformers looks for packs
                use_cache=False,
                bounds=bounds,
                longest=self._longest,
            )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    def head(
        self, hidden: torch.Tensor, flat: Flat, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(summed loss times `scale`, its gradient [1, T, H]) of hidden states [1, T, H]."""
        kind = torch.bfloat16 if self._device.autocast else self._weight.dtype
        weight = self._weight.to(kind)
        chosen = hidden[0].index_select(0, flat.places)
        sent = torch.empty_like(chosen)
        total = torch.zeros((), device=hidden.device)
        piece = _compiled_piece() if self._compiled else _piece
        for first in range(0, len(chosen), CHUNK):
            part = slice(first, first + CHUNK)
            logits = chosen[part].to(kind) @ weight.t()
            loss, slope = piece(logits, flat.targets[part])
            total += loss
            sent[part] = (slope @ weight).to(sent.dtype)
        gradient = torch.zeros_like(hidden)
        gradient[0].index_copy_(0, flat.places, sent * scale)
        return total * scale, gradient

    def backward(self, slot: Slot, hidden: torch.Tensor, gradient: torch.Tensor) -> None:
        """Add the adapter's gradients to the slot's."""
        with self.engaged():  # for what is computed again
            found = torch.autograd.grad(hidden, slot.layers, gradient)
        torch._foreach_add_(slot.gradients, list(found))

    @contextmanager
    def engaged(self) -> Iterator[None]:
        """Context in which the base runs this way; around many passes, it is set up once."""
        if self._engaged:
            yield
            return
        self._engaged = True
        try:
            with varlen(self._base), self._replaced(), self._uncast(), jointly(join(self._base)):
                yield
        finally:
            self._engaged = False

    @contextmanager
    def _uncast(self) -> Iterator[None]:
        """Context in which adapters leave their inputs as they are: autocast sees to it."""
        adapters = [m for m in self._base.modules() if isinstance(m, LoraLayer)]
        try:
            for module in adapters:
                module.cast_input_dtype_enabled = not self._device.autocast
            yield
        finally:
            for module in adapters:
                module.cast_input_dtype_enabled = True

    @contextmanager
    def _replaced(self) -> Iterator[None]:
        """Context in which the layers run compiled, or keep only what enters them."""
        layers = layers_of(self._base)
        if layers is None or not (self._compiled or self._checkpointing):
            yield
            return
        if self._forwards is None:
            self._forwards = [self._wrapped(layer.forward) for layer in layers]
        try:
            for layer, forward in zip(layers, self._forwards, strict=True):
                layer.forward = forward
            yield
        finally:
            for layer in layers:
                layer.__dict__.pop("forward", None)

    def _wrapped(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        inner = torch.compile(forward, dynamic=True) if self._compiled else forward
        if not self._checkpointing:
            return inner

        def run(*inputs: Any, **options: Any) -> Any:
            return checkpoint(
                inner, *inputs, use_reentrant=False, preserve_rng_state=False, **options
            )

        return run

    def _capture(self, key: Key, slot: Slot, flat: Flat) -> _Graph | None:
        began = time.perf_counter()
        try:
            gc.collect()  # what a pass kept and nothing refers to any more
            torch.cuda.empty_cache()
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            made = self._captured[key] = _Graph(self, slot, flat, self._pool)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.graphs = False
            self._captured.clear()
            reason = str(error).strip().split("\n")[0]
            self._tell(f"no CUDA graphs: {reason}")
            return None
        finally:
            torch.cuda.synchronize()
            self.setup_s += time.perf_counter() - began
        return made


class _Graph:
    """The forward and backward passes of rows of one shape, captured."""

    def __init__(self, passes: Passes, slot: Slot, flat: Flat, pool: Any) -> None:
        self.slot = slot
        self._passes = passes
        self._ids, self._positions = flat.ids.clone(), flat.positions.clone()
        self._bounds = flat.bounds.clone()
        inputs = (self._ids, self._positions, self._bounds)
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARMUP):
                hidden = passes.forward(*inputs)
                torch.autograd.grad(hidden, slot.layers, torch.zeros_like(hidden))
            del hidden
        torch.cuda.current_stream().wait_stream(beside)
        gc.collect()
        self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._forward, pool=pool):
            hidden = passes.forward(*inputs)
        self._gradient = torch.zeros_like(hidden)
        with torch.cuda.graph(self._backward, pool=pool):
            passes.backward(slot, hidden, self._gradient)
        self._hidden = hidden.detach()

    def replay(self, flat: Flat, scale: float) -> torch.Tensor:
        """As `Passes.run`."""
        self._ids.copy_(flat.ids)
        self._positions.copy_(flat.positions)
        self._bounds.copy_(flat.bounds)
        self._forward.replay()
        loss, gradient = self._passes.head(self._hidden, flat, scale)
        self._gradient.copy_(gradient)
        self._backward.replay()
        return loss


def _piece(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(summed loss, its gradient by the logits) of logits [L, V]."""
    values = logits.float()
    whole = values.logsumexp(-1)
    hit = torch.arange(values.shape[1], device=values.device) == targets[:, None]
    loss = (whole - torch.where(hit, values, 0.0).sum(-1)).sum()
    slope = (values - whole[:, None]).exp() - hit.to(values.dtype)
    return loss, slope.to(logits.dtype)


_made: list[Callable[..., tuple[torch.Tensor, torch.Tensor]]] = []


def _compiled_piece() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    if not _made:
        _made.append(torch.compile(_piece, dynamic=True))
    return _made[0]
