"""Flat rows: the same loss and gradients as the samples alone, with and without a graph."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from objectives.adapter import Resident, Slot
from objectives.flat import flatten, passes
from objectives.mixture import Sample
from objectives.model import answer_logits
from objectives.packing import IGNORED, collate
from objectives.passes import RENT, Passes, why_not
from objectives.quantize import Device, find_device
from spaces import Targets
from tests.objectives.test_adapter import RECIPE

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device, and -m gpu"
)


def samples(lengths: list[int], seed: int = 0) -> list[Sample]:
    """Samples of random tokens; answers begin anywhere."""
    rng = np.random.default_rng(seed)
    return [
        Sample(tuple(rng.integers(1, 40, n).tolist()), int(rng.integers(0, n)), "a", k)
        for k, n in enumerate(lengths)
    ]


lists = st.lists(st.integers(1, 40), min_size=1, max_size=50)


@given(lists, st.sampled_from([1, 16, 256, 1088]))
def test_a_flat_row_holds_each_sample_once(lengths: list[int], grain: int) -> None:
    """Ids, positions, bounds and targets; only the end is padded."""
    made = samples(lengths)
    flat = flatten(made, grain)
    bounds = flat.bounds.tolist()
    width, count = flat.ids.shape[1], len(bounds)
    assert (width % grain, width - sum(lengths) < grain, flat.tokens) == (0, True, sum(lengths))
    assert bounds[: len(made) + 1] == [0, *itertools.accumulate(lengths)]
    filled = bounds[len(made) :]
    assert filled[-1] == width
    assert all(0 <= end - first <= 256 for first, end in itertools.pairwise(filled))
    for first, end in itertools.pairwise(filled):
        assert flat.positions[0, first:end].tolist() == list(range(end - first))
    assert math.log2((count - 1) / 32) % 2 == 0
    for sample, (first, end) in zip(made, itertools.pairwise(bounds), strict=False):
        assert tuple(flat.ids[0, first:end].tolist()) == sample.ids
        assert flat.positions[0, first:end].tolist() == list(range(len(sample.ids)))
    assert len(flat.places) == sum(sample.trained for sample in made)
    assert torch.equal(flat.ids[0, flat.places + 1], flat.targets)


@given(lists, st.integers(10, 400))
def test_passes_are_few_and_about_equal(lengths: list[int], most: int) -> None:
    """All samples in order; no row over the most, but for a sample that is longer."""
    made = passes(samples(lengths), most, grain=1)
    assert sum(flat.tokens for flat in made) == sum(lengths)
    for flat in made:
        assert flat.tokens <= most or int((flat.bounds.diff() > 0).sum()) == 1
    assert len(made) <= 2 * math.ceil(sum(lengths) / most)


@pytest.fixture
def resident(tiny_model: Path) -> Resident:
    """The tiny model, frozen: on a GPU in bfloat16, as its attention asks."""
    kind = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=kind)
    model.requires_grad_(requires_grad=False).eval()
    return Resident(model.to(find_device().torch_device))


@pytest.fixture
def device() -> Device:
    """In float32 on a CPU, to compare."""
    return replace(find_device(), autocast=torch.cuda.is_available())


def started(resident: Resident, targets: Targets) -> Slot:
    """A slot whose B is not zero, so that A has a gradient."""
    slot = resident.slot(targets, 8)
    slot.start(replace(RECIPE, targets=targets), 7)
    random = torch.Generator(slot.weights.device).manual_seed(1)
    with torch.no_grad():
        for tensor in slot.tensors(slot.weights.data, RECIPE.rank).values():
            tensor.normal_(0, 0.1, generator=random)
    return slot


def alone(resident: Resident, slot: Slot, made: list[Sample], device: Device) -> torch.Tensor:
    """The summed loss of samples one by one; gradients are left in the slot."""
    total = torch.zeros((), device=device.torch_device)
    for sample in made:
        batch = collate([sample], [[0]], packed=False).to(device.torch_device)
        targets = batch.labels[batch.labels != IGNORED]
        with device.precision(exact=False):
            logits = answer_logits(resident.base, batch)
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum") / 100
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total


def compare(resident: Resident, device: Device, targets: Targets, runner: Passes) -> None:
    """As often as it takes until a graph is captured and replayed."""
    exact = not device.autocast
    rtol, atol = (1e-4, 1e-5) if exact else (0.02, 1e-3)
    least = 0.9999 if exact else 0.995
    for seed in (0, 1):
        slot = started(resident, targets)
        made = [s for s in samples([30, 7, 2, 41, 19, 28], seed) if s.trained]
        expected = alone(resident, slot, made, device)
        gradient = slot.gradient.clone()
        slot.gradient.zero_()
        for _ in range(RENT + 2):  # gradients add up
            loss = runner.run(slot, flatten(made).to(device.torch_device), 1 / 100)
            torch.testing.assert_close(loss, expected, rtol=rtol, atol=atol)
        assert gradient.abs().max() > 1e-3
        assert torch.cosine_similarity(slot.gradient, gradient, dim=0) > least
        assert slot.gradient.norm().item() / (RENT + 2) == pytest.approx(
            gradient.norm().item(), rel=0.02
        )


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("targets", Targets)
def test_a_flat_row_has_the_loss_and_gradients_of_its_samples_alone(
    resident: Resident, device: Device, targets: Targets, checkpointing: bool
) -> None:
    """On whatever device there is."""
    runner = Passes(
        resident.base, device, 64, graphs=False, compiled=False, checkpointing=checkpointing
    )
    compare(resident, device, targets, runner)


# torch 2.11's compiler looks at gradients of what is no leaf, which warns
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("targets", Targets)
def test_a_graph_gives_what_it_was_captured_from(
    resident: Resident, device: Device, targets: Targets
) -> None:
    """Compiled, captured and replayed; nothing was left out."""
    told: list[str] = []
    runner = Passes(resident.base, device, 64, told.append)
    compare(resident, device, targets, runner)
    assert told == []
    assert runner.setup_s > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="compares in float32, on a CPU")
def test_a_sliding_window_is_kept(tmp_path: Path, tiny_model: Path, device: Device) -> None:
    """Models that look back a few positions only do so in a flat row."""
    options: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(tiny_model, **options)
    whole = Passes(model, device, 64, graphs=False, compiled=False)
    flat = flatten(samples([30, 20]))
    with torch.no_grad():
        far = whole.forward(flat.ids, flat.positions, flat.bounds)
        for layer in model.get_decoder().layers:
            forward = layer.self_attn.forward
            layer.self_attn.forward = _with_window(forward)
        near = whole.forward(flat.ids, flat.positions, flat.bounds)
    assert torch.allclose(far[0, :4], near[0, :4], atol=1e-5)
    assert not torch.allclose(far[0, 20:30], near[0, 20:30], atol=1e-3)
    assert torch.allclose(far[0, 30:34], near[0, 30:34], atol=1e-5)


def _with_window(forward: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *inputs, **options: forward(*inputs, **(options | {"sliding_window": 4}))


def test_models_of_another_build_are_told_why() -> None:
    """A head with a bias is not ours."""

    class Odd(torch.nn.Module):
        def __init__(self, *, bias: bool, layers: bool) -> None:
            super().__init__()
            self.lm_head = torch.nn.Linear(2, 3, bias=bias)
            if layers:
                self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2)])

        def get_decoder(self) -> torch.nn.Module:
            return self

        def get_output_embeddings(self) -> torch.nn.Module:
            return self.lm_head

    assert why_not(Odd(bias=False, layers=True)) is None
    assert "bias" in str(why_not(Odd(bias=True, layers=True)))
    assert "layers" in str(why_not(Odd(bias=False, layers=False)))
