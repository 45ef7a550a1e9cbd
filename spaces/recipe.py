"""Recipe: everything that decides how a model is fine-tuned, apart from the length of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from search.errors import BadInput
from spaces.axis import Value, check_value


class Quantization(StrEnum):
    """How the frozen base weights are held."""

    BF16 = "bf16"
    """16-bit base (on a CPU without bf16 units: computed in float32)."""
    INT8 = "int8"
    """LLM.int8() through bitsandbytes."""
    NF4 = "nf4"
    """4-bit NormalFloat with double quantization (QLoRA) through bitsandbytes."""


class Targets(StrEnum):
    """Which linear layers carry an adapter."""

    ATTENTION = "attention"
    """The attention projections (query, key, value, output)."""
    ALL_LINEAR = "all-linear"
    """Every linear layer but the output head, in PEFT's sense of `all-linear`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One point of the search space.

    Raises:
        BadInput: a field is out of its range; the message names the field and its value.
    """

    rank: int
    """LoRA rank r, at least 1."""
    alpha: int
    """LoRA alpha; the adapter's output is scaled by alpha / rank."""
    targets: Targets
    quantization: Quantization
    packing: bool
    """Several samples in one row, isolated from each other, instead of one padded sample a row."""
    max_length: int
    """Longest row in tokens; with packing, also the size of a pack."""
    learning_rate: float
    """Peak rate of AdamW, held constant after the warm-up until the final decay."""
    tokens_per_step: int
    """Non-padding tokens per optimizer step, whatever the packing."""
    mixture: Mapping[str, float]
    """Share of trained (labelled) tokens per source; sums to 1."""
    extra: Mapping[str, Value] = field(default_factory=dict)
    """Values of the study's own axes, by name (`spaces.Axis`)."""

    def __post_init__(self) -> None:
        for name in ("rank", "alpha", "max_length", "tokens_per_step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BadInput(
                    f"recipe: {name} must be a whole number of at least 1, got {value!r}"
                )
        rate = self.learning_rate
        if not isinstance(rate, int | float) or not math.isfinite(rate) or not 0 < rate < 1:
            raise BadInput(f"recipe: learning_rate must lie between 0 and 1, got {rate!r}")
        if not isinstance(self.packing, bool):
            raise BadInput(f"recipe: packing must be true or false, got {self.packing!r}")
        object.__setattr__(self, "targets", _member(Targets, "targets", self.targets))
        quantization = _member(Quantization, "quantization", self.quantization)
        object.__setattr__(self, "quantization", quantization)
        object.__setattr__(self, "mixture", MappingProxyType(normalised(self.mixture)))
        if not isinstance(self.extra, Mapping):
            raise BadInput(f"recipe: extra must be an object, got {self.extra!r}")
        for name, value in self.extra.items():
            check_value(name, value)
        object.__setattr__(self, "extra", MappingProxyType(dict(self.extra)))

    def __hash__(self) -> int:
        return hash(tuple(sorted((k, str(v)) for k, v in self.to_dict().items())))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `Recipe.from_dict` is the inverse. There is no `extra` without axes."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields |= {"targets": self.targets.value, "quantization": self.quantization.value}
        fields |= {"mixture": dict(self.mixture), "extra": dict(self.extra)}
        if not self.extra:
            del fields["extra"]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """Build a Recipe from JSON types.

        Raises:
            BadInput: a field is missing, unknown or out of range.
        """
        known = set(cls.__dataclass_fields__)
        if missing := known - {"extra"} - set(fields):
            raise BadInput(f"recipe: the field {sorted(missing)[0]!r} is missing")
        if unknown := set(fields) - known:
            raise BadInput(f"recipe: there is no field {sorted(unknown)[0]!r}")
        return cls(**fields)

    def short(self) -> str:
        """One line for tables: `r16 a32 all-linear lr 2e-04 512t pack256 bf16`."""
        rows = f"pack{self.max_length}" if self.packing else f"pad{self.max_length}"
        return (
            f"r{self.rank} a{self.alpha} {self.targets} lr {self.learning_rate:.1e} "
            f"{self.tokens_per_step}t {rows} {self.quantization}"
            + "".join(f" {name} {in_words(value)}" for name, value in self.extra.items())
        )


def in_words(value: Value) -> str:
    """A value of an axis for people: three digits of a fraction."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def normalised(mixture: Mapping[str, float]) -> dict[str, float]:
    """Scale weights so that they sum to 1.

    Weights that already sum to 1 (to 1e-9) are kept bit for bit, so that a recipe survives JSON.

    Raises:
        BadInput: a weight is negative or not a number, or all weights are zero, or none is given.
    """
    if not isinstance(mixture, Mapping) or not mixture:
        raise BadInput("mixture: name at least one source and its weight")
    for name, weight in mixture.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise BadInput(
                f"mixture: the weight of {name!r} must be a number of at least 0, got {weight!r}"
            )
    total = math.fsum(mixture.values())
    if total <= 0:
        raise BadInput("mixture: every weight is zero; give at least one source a positive weight")
    if abs(total - 1) < 1e-9:
        return {name: float(weight) for name, weight in mixture.items()}
    return {name: weight / total for name, weight in mixture.items()}


def _member(kind: type[StrEnum], name: str, value: object) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        choices = ", ".join(kind)
        raise BadInput(f"recipe: {name} must be one of {choices}, got {value!r}") from None
