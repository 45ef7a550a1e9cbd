"""An axis of a study's own: one line in its space, and everything that knows axes knows it."""

from __future__ import annotations

import builtins
import dis
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from types import CodeType
from typing import TYPE_CHECKING, Any

from search.errors import BadInput

if TYPE_CHECKING:
    from spaces.space import SuggestsParameters

Value = bool | int | float | str
PATHS = (PurePosixPath, PureWindowsPath)
Apply = Callable[[Any, Any], None]
"""Is given a trial's optimizer (torch.optim.AdamW) and the axis's value, and sets what it means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Something more that a recipe may vary in; its value is in `Recipe.extra`, by its name.

    Raises:
        BadInput: a name, range, default or function that cannot be used; says which.
    """

    name: str
    """Of its parameter in Optuna: a Python identifier that names no other axis."""
    default: Value
    """The value of recipes that do not give one, the experts' among them."""
    choices: tuple[Value, ...] = ()
    """The values that there are, no absolute path among them, or else: """
    interval: tuple[float, float] | None = None
    """(low, high), both included. Whole numbers alone, if both ends and the default are such."""
    log: bool = False
    """Whether an interval is searched on a log scale."""
    apply: Apply | None = field(default=None, repr=False)
    """What the value does in training: called with (optimizer, value) whenever a trial is begun or
    picked up. Its text travels with the recipe, so it imports within itself what it needs. None: an
    objective of the study's own reads the value from `Recipe.extra`."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise BadInput(f"axis: the name {self.name!r} must be a Python identifier")
        if bool(self.choices) == (self.interval is not None):
            raise BadInput(f"axis {self.name}: give either choices or an interval")
        for value in (self.default, *self.choices, *(self.interval or ())):
            check_value(self.name, value)
        if self.interval is not None:
            self._check_interval(self.interval)
        elif len(set(self.choices)) < len(self.choices):
            raise BadInput(f"axis {self.name}: a choice is given twice: {self.choices}")
        if not self.contains(self.default):
            raise BadInput(f"axis {self.name}: its default {self.default!r} is none of its values")
        for value in self.choices:
            if isinstance(value, str) and is_absolute(value):
                raise BadInput(
                    f"axis {self.name}: the choice {value!r} is an absolute path, which a recipe "
                    "must not tell: give a name, and let your code find the path by it"
                )
        if self.apply is not None:
            source_of(self)

    def _check_interval(self, interval: tuple[float, float]) -> None:
        numbers = [value for value in interval if not isinstance(value, bool | str)]
        if len(interval) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]:
            raise BadInput(
                f"axis {self.name}: interval must be (low, high) with low < high, got {interval!r}"
            )
        if self.log and numbers[0] <= 0:
            raise BadInput(f"axis {self.name}: a log scale begins above 0, got {interval!r}")

    @property
    def whole(self) -> bool:
        """Whether an interval holds whole numbers alone."""
        return all(isinstance(v, int) for v in (self.default, *(self.interval or (0.0,))))

    @property
    def positive(self) -> bool:
        """Whether all values are numbers above 0, or none is a number."""
        values = [v for v in (*self.choices, *(self.interval or ())) if not isinstance(v, str)]
        return all(isinstance(v, bool) or v > 0 for v in values)

    def contains(self, value: object) -> bool:
        """Whether the axis can have a value."""
        if self.interval is None:
            return any(value == v and type(value) is type(v) for v in self.choices)
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        low, high = self.interval
        return low <= value <= high

    def suggest(self, trial: SuggestsParameters) -> Value:
        """Let a trial have a value."""
        if self.interval is None:
            found: Value = trial.suggest_categorical(self.name, self.choices)
            return found
        low, high = self.interval
        if self.whole:
            return trial.suggest_int(self.name, int(low), int(high), log=self.log)
        return trial.suggest_float(self.name, low, high, log=self.log)


def is_absolute(text: str) -> bool:
    """Whether a text is the absolute path of something, here or on another system; / is a sign."""
    return any(kind(text).is_absolute() and kind(text).name for kind in PATHS)


def check_value(name: str, value: object) -> None:
    """See that an axis can have a value at all.

    Raises:
        BadInput: it is no text, no truth value and no finite number.
    """
    sound = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    if not sound:
        raise BadInput(f"axis {name}: a value must be text, true, false or a number, got {value!r}")


def source_of(axis: Axis) -> str:
    """The text of an axis's function, to be kept with the recipe.

    Raises:
        BadInput: it is no function of a file, or needs more than its own text.
    """
    function = axis.apply
    if not inspect.isfunction(function) or not function.__name__.isidentifier():
        raise BadInput(f"axis {axis.name}: apply must be a function that a `def` made")
    outside = sorted({*globals_of(function.__code__), *function.__code__.co_freevars})
    if outside:
        raise BadInput(
            f"axis {axis.name}: its function {function.__name__} uses {', '.join(outside)} from "
            "outside; import or define it within: its text travels with the recipe"
        )
    try:
        return textwrap.dedent(inspect.getsource(function))
    except OSError:
        raise BadInput(f"axis {axis.name}: its function must stand in a file") from None


def globals_of(code: CodeType) -> Iterator[str]:
    """Names that a function's code takes from its module, Python's own left out."""
    for step in dis.get_instructions(code):
        if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"} and not hasattr(builtins, step.argval):
            yield step.argval
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from globals_of(part)
