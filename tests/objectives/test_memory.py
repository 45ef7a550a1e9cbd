"""Forecasts of a GPU's memory: arithmetic, what is chosen where it is short, and learning."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from objectives import memory as model
from objectives.base import Base
from objectives.memory import GIB, LEAST, Anatomy, Memory, Settings, enough
from objectives.mixture import Sample
from objectives.objective import Schedule
from objectives.passes import launch_bound, quick
from objectives.quantize import find_device
from objectives.tokens import Tokens
from objectives.train import Trainer
from search.errors import OutOfMemory
from spaces import Quantization, Recipe, Targets

RECIPE = Recipe(
    rank=16,
    alpha=32,
    targets=Targets.ALL_LINEAR,
    quantization=Quantization.BF16,
    packing=True,
    max_length=2048,
    learning_rate=2e-4,
    tokens_per_step=8192,
    mixture={"rows": 1.0},
)
NF4 = replace(RECIPE, quantization=Quantization.NF4)


@pytest.fixture(scope="module")
def seven_b() -> Anatomy:
    """Mistral-7B's, without its weights."""
    config = AutoConfig.for_model("mistral")
    with torch.device("meta"):
        return Anatomy.of(AutoModelForCausalLM.from_config(config))


def test_weights_are_counted_by_kind(seven_b: Anatomy) -> None:
    """7.24 billion parameters, the embeddings and the head in bfloat16 whatever the kind."""
    assert seven_b.linear + seven_b.rest == 7_241_732_096
    assert seven_b.weights(Quantization.BF16) == 2 * 7_241_732_096
    assert seven_b.weights(Quantization.NF4) == pytest.approx(3.84 * GIB, rel=0.01)
    assert seven_b.sides[Targets.ALL_LINEAR] * 16 == 41_943_040  # as PEFT counts them
    assert seven_b.sides[Targets.ATTENTION] < seven_b.sides[Targets.ALL_LINEAR]


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ((RECIPE, 256), (RECIPE, 64)),
        ((RECIPE, 64), (NF4, 64)),
        ((RECIPE, 64), (replace(RECIPE, targets=Targets.ATTENTION), 64)),
        ((RECIPE, 64), (replace(RECIPE, max_length=1024), 64)),
        ((RECIPE, 64), (replace(RECIPE, tokens_per_step=4096), 64)),
    ],
)
def test_what_takes_more_memory_is_forecast_to(
    more: tuple[Recipe, int], less: tuple[Recipe, int], seven_b: Anatomy
) -> None:
    """Rank, quantization, targets, row length and step size all count."""
    made = Memory(seven_b, 200 * GIB, 16384)

    def needed(recipe: Recipe, width: int) -> float:
        return made.needed(recipe, width, made.settle(recipe, width))

    assert needed(*more) > 1.005 * needed(*less)
    plain = Settings(8192, checkpointing=False)
    assert made.needed(RECIPE, 64, Settings(8192, checkpointing=True)) < made.needed(
        RECIPE, 64, plain
    )


def test_where_memory_is_short_passes_become_shorter_and_then_layers_are_computed_again(
    seven_b: Anatomy,
) -> None:
    """Down to `quick` positions; and a recipe that fits in no way is refused, with both figures."""
    chosen = []
    for capacity in (80, 45, 24):
        made = Memory(seven_b, capacity * GIB, 16384, quick=4000)
        settings = made.settle(RECIPE, 64)
        assert made.needed(RECIPE, 64, settings) <= capacity * GIB
        chosen.append(settings)
    whole = enough(RECIPE)
    assert chosen[0] == Settings(whole, checkpointing=False)
    assert chosen[1] == Settings(enough(RECIPE, 2), checkpointing=False)
    assert chosen[2] == Settings(whole, checkpointing=True)
    with pytest.raises(OutOfMemory, match=r"forecast: it takes 1\d\.\d GiB at least, and 11\.0"):
        Memory(seven_b, 12 * GIB, 16384).settle(RECIPE, 64)


def test_layers_that_are_not_compiled_are_never_computed_again(seven_b: Anatomy) -> None:
    """The plain way knows shorter passes only."""
    made = Memory(seven_b, 40 * GIB, 16384, quick=4000)
    settings = made.settle(NF4, 64, compiled=False)
    assert not settings.checkpointing
    assert LEAST <= settings.positions < 4000


def test_measured_peaks_correct_the_forecast_of_other_recipes(seven_b: Anatomy) -> None:
    """One segment is enough; what is counted exactly is not corrected."""
    made = Memory(seven_b, 200 * GIB, 16384)
    settings = made.settle(RECIPE, 64)

    def real(recipe: Recipe, width: int, positions: int) -> float:
        still, moving = made._parts(recipe, width, settings, positions)
        return still + 0.8 * moving

    before = made.needed(NF4, 64, made.settle(NF4, 64))
    made.learn(RECIPE, 64, settings, real(RECIPE, 64, 7000), largest=7000)
    other = replace(NF4, rank=256, tokens_per_step=4096)
    chosen = made.settle(other, 256)
    assert made.needed(other, 256, chosen) == pytest.approx(real(other, 256, chosen.positions))
    assert made.needed(NF4, 64, made.settle(NF4, 64)) < before


def test_checkpointing_has_a_factor_of_its_own(seven_b: Anatomy) -> None:
    """What it saves says nothing of passes that keep everything: on 24 GiB they did not fit."""
    made = Memory(seven_b, 24 * GIB, 16384, quick=4000)
    again = Settings(enough(RECIPE), checkpointing=True)
    before = made.settle(NF4, 64)
    still, moving = made._parts(RECIPE, 64, again)
    made.learn(RECIPE, 64, again, still + 0.5 * moving, largest=again.positions)
    assert made.settle(NF4, 64) == before


def test_what_did_not_fit_is_not_tried_again(seven_b: Anatomy) -> None:
    """The next try is a thriftier way; after each failure it is another one, until none is left."""
    made = Memory(seven_b, 60 * GIB, 16384, quick=4000)
    seen: list[Settings] = []
    for _ in range(20):
        try:
            settings = made.settle(RECIPE, 64)
        except OutOfMemory:
            break
        assert settings not in seen
        seen.append(settings)
        made.failed(RECIPE, 64, settings)
    else:
        pytest.fail("it is tried for ever")
    assert [s.checkpointing for s in seen] == sorted(s.checkpointing for s in seen)
    assert len(seen) > 2


def test_small_layers_are_bound_by_starting_kernels(seven_b: Anatomy) -> None:
    """A faster GPU needs longer passes to be kept busy."""
    assert launch_bound(seven_b, 64, 8e14)
    assert not launch_bound(seven_b, 8192, 8e14)
    assert quick(seven_b, 8e14) == pytest.approx(2 * quick(seven_b, 4e14), abs=1)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is counted: a tiny model is smaller than libraries' workspaces."""
    monkeypatch.setattr(model, "FIXED", 0.0)
    monkeypatch.setattr(model, "LOST", (0.0, 0.0))


@pytest.mark.usefixtures("counted")
def test_a_base_leaves_when_another_kind_needs_its_memory(tmp_path: Path) -> None:
    """It is gone for good, whatever was trained on it, and whoever held it was told."""
    shape: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 64,
    }
    bases: dict[Quantization, weakref.ref[Any]] = {}
    told: list[str] = []

    def load(kind: Quantization) -> Any:
        made = AutoModelForCausalLM.from_config(AutoConfig.for_model("mistral", **shape))
        made.requires_grad_(requires_grad=False).eval()
        bases[kind] = weakref.ref(made)
        return made

    rows = [Sample(tuple(range(1, 20)), 5, "rows", number) for number in range(50)]
    trainer = Trainer(
        Base(path=tmp_path, id="tiny", revision="none", origin="made here"),
        find_device(),
        {"rows": Tokens.of("rows", rows)},
        tmp_path / "trials",
        0,
        tell=told.append,
        load=load,
    )
    released: list[bool] = []
    trainer.released = lambda: released.append(True)
    trainer.base_model()
    small = replace(RECIPE, max_length=64, tokens_per_step=64)
    trainer.memory = Memory(Anatomy.of(bases[Quantization.BF16]()), 1e12, 1024)

    def train(name: str, recipe: Recipe) -> None:
        schedule = Schedule(warmup_steps=1)
        trainer.train(name, recipe, schedule, 2, None, lambda _: None, lambda: False)

    train("a", small)
    train("b", replace(small, targets=Targets.ATTENTION))
    four_bits = replace(small, quantization=Quantization.NF4)
    settings, gib = trainer.plan(four_bits)
    assert gib is not None
    trainer.memory.capacity = gib * GIB + 16
    train("c", four_bits)
    gc.collect()
    assert told[-1:] == ["the base in bf16 made room for nf4"]
    assert released == [True]
    assert bases[Quantization.BF16]() is None
    assert bases[Quantization.NF4]() is not None
    assert settings.positions >= enough(small)
    with pytest.raises(OutOfMemory, match="forecast"):
        train("d", replace(four_bits, rank=4096))
    trainer.written()
    trainer.forget()
    trainer.memory.capacity = 1e12
    trainer.trial_model("b")
    assert set(trainer._bases) == {Quantization.NF4, Quantization.BF16}
    weights = trainer.memory.anatomy.weights
    trainer.memory.capacity = weights(Quantization.BF16) + 2 * weights(Quantization.NF4)
    trainer.trial_model(
        "b"
    )  # its base is there, but the other one takes the room that scoring needs
    assert set(trainer._bases) == {Quantization.BF16}


def test_a_step_is_cut_into_passes_of_one_size(seven_b: Anatomy) -> None:
    """Two halves with room for a row's end, not two full passes and a tiny third."""
    made = Memory(seven_b, 80 * GIB, 16384)
    recipe = replace(RECIPE, tokens_per_step=16384, max_length=2048, quantization=Quantization.NF4)
    settings = made.settle(recipe, 64)
    assert settings == Settings(8192 + 512, checkpointing=False)
