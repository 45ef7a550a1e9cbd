"""Recipe and Space."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import BadInput
from spaces import Quantization, Recipe, Space, Targets, suggest
from spaces.mixture import SPREAD, to_coordinates, to_mixture
from spaces.recipe import normalised
from spaces.space import parameters

FIELDS: dict[str, Any] = {
    "rank": 16,
    "alpha": 32,
    "targets": "all-linear",
    "quantization": "bf16",
    "packing": True,
    "max_length": 256,
    "learning_rate": 2e-4,
    "tokens_per_step": 512,
    "mixture": {"a": 0.25, "b": 0.75},
}

weights = st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0.01, 100), min_size=1)
recipes = st.builds(
    Recipe,
    rank=st.integers(1, 512),
    alpha=st.integers(1, 1024),
    targets=st.sampled_from(Targets),
    quantization=st.sampled_from(Quantization),
    packing=st.booleans(),
    max_length=st.integers(1, 8192),
    learning_rate=st.floats(1e-7, 0.5),
    tokens_per_step=st.integers(1, 100_000),
    mixture=weights,
)


@given(recipes)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    """Writing and reading gives an equal recipe with an equal hash."""
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert hash(again) == hash(recipe)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rank", 0),
        ("rank", 1.5),
        ("rank", True),
        ("alpha", -1),
        ("targets", "mlp"),
        ("quantization", "int4"),
        ("packing", "yes"),
        ("max_length", 0),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", "fast"),
        ("tokens_per_step", 0),
        ("mixture", {}),
        ("mixture", {"a": -1.0}),
        ("mixture", {"a": 0.0, "b": 0.0}),
        ("mixture", {"a": float("inf")}),
        ("mixture", [1, 2]),
    ],
)
def test_a_field_out_of_range_is_bad_input_with_its_name(field: str, value: object) -> None:
    """The message names the field, so that the user knows what to mend."""
    with pytest.raises(BadInput, match=field):
        Recipe.from_dict(FIELDS | {field: value})


def test_missing_and_unknown_fields_are_named() -> None:
    """A recipe has exactly its fields."""
    with pytest.raises(BadInput, match="'rank' is missing"):
        Recipe.from_dict({k: v for k, v in FIELDS.items() if k != "rank"})
    with pytest.raises(BadInput, match="no field 'lr'"):
        Recipe.from_dict(FIELDS | {"lr": 1})


@given(weights)
def test_normalised_weights_sum_to_one_and_keep_their_ratios(mixture: dict[str, float]) -> None:
    """Only ratios matter."""
    shares = normalised(mixture)
    assert sum(shares.values()) == pytest.approx(1)
    total = sum(mixture.values())
    for name, weight in mixture.items():
        assert shares[name] == pytest.approx(weight / total)


SPACE = Space(natural_mixture={"a": 1, "b": 3}, quantization=(Quantization.BF16,))


def ask(seed: int) -> list[Recipe]:
    """Three proposals of a seeded random sampler."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [suggest(study.ask(), SPACE) for _ in range(3)]


def test_the_same_seed_suggests_the_same_recipes() -> None:
    """A proposal is a function of the seed."""
    assert ask(1) == ask(1)
    assert ask(1) != ask(2)


@given(st.integers(0, 10_000))
def test_parameters_are_the_inverse_of_suggest(seed: int) -> None:
    """Enqueuing a recipe's parameters suggests that recipe again."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    recipe = suggest(study.ask(), SPACE)
    study.enqueue_trial(parameters(recipe, SPACE))
    again = suggest(study.ask(), SPACE)
    assert again.to_dict() | {"mixture": {}} == recipe.to_dict() | {"mixture": {}}
    for name, share in recipe.mixture.items():
        assert again.mixture[name] == pytest.approx(share)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.data())
def test_coordinates_of_a_mixture_give_it_back(natural: list[float], data: st.DataObject) -> None:
    """Whatever the natural shares are; the natural mixture lies in the middle."""
    around = normalised({f"s{k}": share for k, share in enumerate(natural)})
    assert to_coordinates(around, around) == pytest.approx(dict.fromkeys(around, 0.0))
    mixture = to_mixture({name: data.draw(st.floats(-SPREAD, SPREAD)) for name in around}, around)
    found = to_coordinates(mixture, around)
    assert to_mixture(found, around) == pytest.approx(mixture)
    assert all(abs(value) <= SPREAD for value in found.values())


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"a": 1}, "names"),
        ({"a": 1, "b": 0}, "positive share in both or in neither"),
        ({"a": 1, "b": 1e-9}, "factor"),
    ],
)
def test_an_experts_mixture_that_cannot_be_searched_is_refused(
    mixture: dict[str, float], message: str
) -> None:
    """Other sources, a source left out, or too far from the natural shares."""
    recipe = Recipe.from_dict(
        FIELDS | {"max_length": 1024, "tokens_per_step": 8192, "mixture": mixture}
    )
    with pytest.raises(BadInput, match=message):
        parameters(recipe, SPACE)


def test_an_expert_outside_the_space_is_refused() -> None:
    """The axis and its value are named."""
    recipe = Recipe.from_dict(FIELDS | {"rank": 4096})
    with pytest.raises(BadInput, match="rank 4096"):
        parameters(recipe, SPACE)


def test_a_device_takes_quantization_kinds_out_with_a_reason() -> None:
    """What is left is the space; if nothing is left, the reasons are told."""
    space = Space(natural_mixture={"a": 1})
    removed = {Quantization.INT8: "no GPU", Quantization.NF4: "no GPU"}
    assert space.without(removed).quantization == (Quantization.BF16,)
    with pytest.raises(BadInput, match="nf4: no GPU"):
        Space(natural_mixture={"a": 1}, quantization=(Quantization.NF4,)).without(removed)


@pytest.mark.parametrize(
    "changes",
    [
        {"rank": (0, 4)},
        {"rank": (8, 4)},
        {"learning_rate": (1e-3, 1e-4)},
        {"targets": ()},
        {"packing": ()},
        {"tokens_per_step": ()},
        {"natural_mixture": {"a": -1}},
    ],
)
def test_an_impossible_space_is_refused(changes: dict[str, Any]) -> None:
    """Empty choices and intervals upside down are bad input."""
    with pytest.raises(BadInput):
        Space(**{"natural_mixture": {"a": 1}, **changes})
