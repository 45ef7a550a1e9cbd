"""Axes of a study's own: their values, their functions, and their place among the others."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives import axes
from search.errors import BadInput
from spaces import Axis, Prior, Recipe, suggest
from spaces.axis import source_of
from spaces.space import parameters
from studies import demo

SPACE = demo.study().space
EXPERT = demo.study().experts[0].recipe
AXES = (
    Axis(name="noise", interval=(0.0, 5.0), default=0),
    Axis(name="layers", interval=(1, 12), log=True, default=4),
    Axis(name="kind", choices=("a", 2, 0.5, True), default="a"),
)

values = st.one_of(st.booleans(), st.integers(-9, 9), st.floats(-1e6, 1e6), st.text(max_size=3))


@given(st.dictionaries(st.sampled_from(["x", "y", "z"]), values))
def test_a_recipe_with_own_values_survives_json(extra: dict[str, Any]) -> None:
    """Equal, with an equal hash; without any it is written as ever."""
    recipe = replace(EXPERT, extra=extra)
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert ("extra" in recipe.to_dict()) == bool(extra)


@pytest.mark.parametrize("extra", [[], {"x": None}, {"x": [1]}, {"x": math.nan}, "x"])
def test_own_values_of_another_kind_are_refused(extra: object) -> None:
    """They must fit into JSON and into Optuna."""
    with pytest.raises(BadInput, match=r"value must be|extra must be"):
        Recipe.from_dict(EXPERT.to_dict() | {"extra": extra})


def test_what_is_suggested_is_an_axiss_value_and_can_be_enqueued_again() -> None:
    """Whole numbers where both ends and the default are such."""
    space = replace(SPACE, axes=AXES)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen: dict[str, set[Any]] = {axis.name: set() for axis in AXES}
    for _ in range(60):
        recipe = suggest(study.ask(), space)
        for axis in AXES:
            value = recipe.extra[axis.name]
            assert axis.contains(value)
            seen[axis.name].add(value)
        study.enqueue_trial(parameters(recipe, space))
        assert suggest(study.ask(), space).extra == recipe.extra
    assert all(isinstance(value, int) for value in seen["layers"])
    assert len(seen["noise"]) > 30
    assert len(seen["kind"]) == 4


def test_a_recipe_that_says_nothing_has_the_default() -> None:
    """The experts' recipes need not know of the axis."""
    found = parameters(EXPERT, replace(SPACE, axes=AXES))
    assert {name: found[name] for name in ("noise", "layers", "kind")} == {
        "noise": 0,
        "layers": 4,
        "kind": "a",
    }


@pytest.mark.parametrize(
    ("extra", "says"),
    [({"layers": 13}, "layers 13"), ({"kind": 1}, "kind 1"), ({"nose": 1}, "nose")],
)
def test_a_recipe_outside_of_the_axes_is_refused(extra: dict[str, Any], says: str) -> None:
    """A value that is none, or of an axis that is none; 1 is not true."""
    with pytest.raises(BadInput, match=says):
        parameters(replace(EXPERT, extra=extra), replace(SPACE, axes=AXES))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "two words", "choices": (1,)}, "Python identifier"),
        ({"interval": (2, 1)}, "low < high"),
        ({"interval": (1, 2, 3)}, "low < high"),
        ({"interval": (True, 2)}, "low < high"),
        ({"interval": (0, 2), "log": True}, "above 0"),
        ({"interval": (0, math.inf)}, "must be text"),
        ({"choices": (1, None)}, "must be text"),
        ({"choices": (1, 1)}, "given twice"),
        ({"choices": (1, "/data/rows.txt")}, "'/data/rows.txt' is an absolute path"),
        ({"choices": (1, "C:\\rows.txt")}, "is an absolute path"),
        ({"choices": (1, "/", "a/b", "~", "")}, None),
        ({"interval": (1, 3), "default": 2.5}, None),
        ({"interval": (1.0, 3), "default": 4}, "none of its values"),
        ({"choices": (1, 2), "apply": print}, "a `def` made"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(fields: dict[str, Any], says: str | None) -> None:
    """With its name and what is wrong; an interval with a fraction for default is of fractions."""
    given: dict[str, Any] = {"name": "x", "default": 1, **fields}
    if says is None:
        assert not Axis(**given).whole
        return
    with pytest.raises(BadInput, match=says):
        Axis(**given)


@pytest.mark.parametrize("name", ["rank", "alpha", "alpha_ratio", "mixture_x", "mixture", "noise"])
def test_two_axes_do_not_have_one_name(name: str) -> None:
    """Nor one that a field of Recipe or a source's coordinate has."""
    with pytest.raises(BadInput, match=name):
        replace(SPACE, axes=(*AXES, Axis(name=name, choices=(1,), default=1)))


def test_experts_can_hold_something_of_an_own_axis() -> None:
    """If its values are above 0: the prior is log-normal."""
    believed = Prior(best=8, why="a test")
    space = replace(SPACE, axes=AXES, priors={"layers": believed})
    assert space.believed({"layers": 8}) > space.believed({"layers": 1})
    with pytest.raises(BadInput, match="values of 0 or less"):
        replace(SPACE, axes=AXES, priors={"noise": believed})


def set_one(optimizer: Any, value: Any) -> None:
    """Use what is imported within."""
    import math as numbers  # noqa: PLC0415  # its text travels alone

    optimizer.append(numbers.floor(value))


def set_two(optimizer: Any, value: Any) -> None:
    """Use what is not."""
    optimizer.append([math.floor(value) for _ in range(2)])


def test_an_axiss_function_is_its_text_alone(tmp_path: Any) -> None:
    """It does elsewhere what it does here; one that needs its file is refused, and is told why."""
    axis = Axis(name="x", choices=(1.5,), default=1.5, apply=set_one)
    assert source_of(axis).startswith("def set_one(")
    assert axes.write((axis, replace(axis, name="y")), tmp_path)
    known = axes.load(tmp_path)
    done: list[int] = []
    axes.apply(known, replace(EXPERT, extra={"x": 1.5, "y": 2.5}), done)
    assert done == [1, 2]
    with pytest.raises(BadInput, match="uses math from outside"):
        replace(axis, apply=set_two)

    def closed(optimizer: Any, value: Any) -> None:
        done.append(value)

    with pytest.raises(BadInput, match="uses done from outside"):
        replace(axis, apply=closed)


def test_two_functions_of_one_name_are_refused(tmp_path: Any) -> None:
    """One file holds them all."""

    def made(text: str) -> Any:
        file = tmp_path / f"{len(text)}.py"
        file.write_text(text)
        names: dict[str, Any] = {}
        exec(compile(text, str(file), "exec"), names)
        return names["f"]

    one = Axis(name="x", choices=(1,), default=1, apply=made("def f(o, v):\n    pass\n"))
    two = Axis(name="y", choices=(1,), default=1, apply=made("def f(o, v):\n    return None\n"))
    with pytest.raises(BadInput, match="is named as its own is"):
        axes.text_of((one, two))
