"""The search space: the ranges of the five axes, and how Optuna draws a Recipe from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from search.errors import BadInput
from spaces.axis import Axis
from spaces.mixture import SPREAD, to_coordinates, to_mixture
from spaces.prior import Prior
from spaces.recipe import Quantization, Recipe, Targets, normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIORS = (
    *("rank", "alpha_ratio", "targets", "quantization", "packing"),
    *("max_length", "learning_rate", "tokens_per_step"),
)
"""Axes that can have a prior, as an own axis can; the mixture's is its natural shares."""
MIXTURE = "mixture_"


class SuggestsParameters(Protocol):
    """The part of `optuna.Trial` that a space needs."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """An integer of [low, high]."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A float of [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """Ranges of the axes. A tuple is a list of choices; a pair `(low, high)` an interval.

    Raises:
        BadInput: an empty choice, an interval upside down, or unusable mixture weights.
    """

    rank: tuple[int, int] = (4, 128)
    """LoRA rank, searched on a log scale."""
    alpha_ratio: tuple[float, ...] = (1, 2)
    """alpha / rank; alpha itself is rounded to a whole number of at least 1."""
    targets: tuple[Targets, ...] = (Targets.ATTENTION, Targets.ALL_LINEAR)
    quantization: tuple[Quantization, ...] = tuple(Quantization)
    packing: tuple[bool, ...] = (True, False)
    max_length: tuple[int, ...] = (1024, 2048)
    learning_rate: tuple[float, float] = (2e-5, 2e-3)
    """Peak rate, searched on a log scale."""
    tokens_per_step: tuple[int, ...] = (8192,)
    natural_mixture: Mapping[str, float]
    """The centre of the mixture search: weight per source."""
    priors: Mapping[str, Prior] = field(default_factory=dict)
    """What experts hold of an axis, by the name of its parameter (see `suggest`)."""
    axes: tuple[Axis, ...] = field(default=(), repr=False)  # a space without has its old name
    """Axes of the study's own."""

    def __post_init__(self) -> None:
        for name in ("rank", "learning_rate"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise BadInput(f"space: {name} must be (low, high) with 0 < low <= high")
        for name in ("alpha_ratio", "targets", "quantization", "packing", "max_length"):
            if not getattr(self, name):
                raise BadInput(f"space: {name} has no choice")
        if not self.tokens_per_step:
            raise BadInput("space: tokens_per_step has no choice")
        self._check_axes()
        object.__setattr__(self, "natural_mixture", normalised(self.natural_mixture))

    def _check_axes(self) -> None:
        own = {axis.name: axis for axis in self.axes}
        taken = {*PRIORS, *Recipe.__dataclass_fields__}
        for axis in self.axes:
            twice = own[axis.name] is not axis
            if twice or axis.name in taken or axis.name.startswith(MIXTURE):
                raise BadInput(f"space: the name of the axis {axis.name} is another axis's")
        for name in self.priors:
            if name not in (*PRIORS, *own):
                raise BadInput(
                    f"space: a prior names {name!r}; it can be one of {', '.join((*PRIORS, *own))}"
                )
            if name in own and not own[name].positive:
                raise BadInput(f"space: the axis {name} has values of 0 or less, and so no prior")

    def believed(self, params: Mapping[str, Any]) -> float:
        """What experts hold of parameters: a logarithm, at most 0; 0 for what they would take."""
        return math.fsum(
            math.log(prior.weight(params[name])) for name, prior in self.priors.items()
        )

    def without(self, removed: Mapping[Quantization, str]) -> Space:
        """The space a device can do: quantization kinds in `removed` (kind -> reason) are left out.

        Raises:
            BadInput: nothing is left.
        """
        left = tuple(kind for kind in self.quantization if kind not in removed)
        if not left:
            reasons = "; ".join(f"{kind}: {removed[kind]}" for kind in self.quantization)
            raise BadInput(f"space: this device can do none of the quantization kinds ({reasons})")
        return replace(self, quantization=left)


def coordinate(source: str) -> str:
    """The name of the parameter that is a source's coordinate of the mixture."""
    return f"{MIXTURE}{source}"


def alpha_of(rank: int, ratio: float) -> int:
    """LoRA alpha for a rank and a ratio of both."""
    return max(1, round(rank * ratio))


def suggest(trial: SuggestsParameters, space: Space) -> Recipe:
    """Draw a Recipe. The parameters' names are those that Optuna's dashboard shows.

    Axes with one choice are still suggested, so that every trial of a study has the same
    parameters (Optuna's multivariate samplers need that).
    """
    rank = trial.suggest_int("rank", *space.rank, log=True)
    ratio = trial.suggest_categorical("alpha_ratio", space.alpha_ratio)
    coordinates = {
        name: trial.suggest_float(coordinate(name), -SPREAD, SPREAD)
        for name, share in sorted(space.natural_mixture.items())
        if share > 0
    }
    return Recipe(
        rank=rank,
        alpha=alpha_of(rank, ratio),
        targets=Targets(trial.suggest_categorical("targets", [str(t) for t in space.targets])),
        quantization=Quantization(
            trial.suggest_categorical("quantization", [str(q) for q in space.quantization])
        ),
        packing=trial.suggest_categorical("packing", space.packing),
        max_length=trial.suggest_categorical("max_length", space.max_length),
        learning_rate=trial.suggest_float("learning_rate", *space.learning_rate, log=True),
        tokens_per_step=trial.suggest_categorical("tokens_per_step", space.tokens_per_step),
        mixture=to_mixture(coordinates, space.natural_mixture),
        extra={axis.name: axis.suggest(trial) for axis in space.axes},
    )


def parameters(recipe: Recipe, space: Space) -> dict[str, Any]:
    """The Optuna parameters of a recipe: the inverse of `suggest`, to enqueue an expert's recipe.

    Raises:
        BadInput: the recipe lies outside the space (which axis, and its value).
    """
    ratio = min(space.alpha_ratio, key=lambda r: abs(recipe.rank * r - recipe.alpha))
    checks: dict[str, tuple[Any, bool]] = {
        "rank": (recipe.rank, space.rank[0] <= recipe.rank <= space.rank[1]),
        "alpha_ratio": (ratio, alpha_of(recipe.rank, ratio) == recipe.alpha),
        "targets": (str(recipe.targets), recipe.targets in space.targets),
        "quantization": (str(recipe.quantization), recipe.quantization in space.quantization),
        "packing": (recipe.packing, recipe.packing in space.packing),
        "max_length": (recipe.max_length, recipe.max_length in space.max_length),
        "learning_rate": (
            recipe.learning_rate,
            space.learning_rate[0] <= recipe.learning_rate <= space.learning_rate[1],
        ),
        "tokens_per_step": (
            recipe.tokens_per_step,
            recipe.tokens_per_step in space.tokens_per_step,
        ),
        **own_parameters(recipe, space),
    }
    for name, (value, inside) in checks.items():
        if not inside:
            told = recipe.alpha / recipe.rank if name == "alpha_ratio" else value
            raise BadInput(f"space: an expert's recipe has {name} {told}, outside the space")
    coordinates = to_coordinates(recipe.mixture, space.natural_mixture)
    found = {name: value for name, (value, _) in checks.items()}
    return found | {coordinate(name): value for name, value in coordinates.items()}


def with_defaults(recipe: Recipe, space: Space) -> Recipe:
    """A recipe with a value of every axis of the study's own, its default if it does not say."""
    defaults = {axis.name: axis.default for axis in space.axes}
    return replace(recipe, extra={**defaults, **recipe.extra})


def own_parameters(recipe: Recipe, space: Space) -> dict[str, tuple[Any, bool]]:
    """By axis of the study's own: a recipe's value, and whether that is one of the axis's.

    Raises:
        BadInput: the recipe has a value of an axis that the space lacks.
    """
    found = with_defaults(recipe, space).extra
    if unknown := set(found) - {axis.name for axis in space.axes}:
        raise BadInput(f"space: an expert's recipe has {sorted(unknown)[0]}, which is no axis here")
    return {axis.name: (found[axis.name], axis.contains(found[axis.name])) for axis in space.axes}
