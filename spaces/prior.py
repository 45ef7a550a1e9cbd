"""What experts hold of an axis, and how sure they are of it.

A prior is a mixture of what the expert says and of any value at all, weighed by the confidence. So
a wrong prior costs some trials and no more: its densities differ by a bounded factor, and
`search.sampler` lets them fade as trials end (cf. pi-BO, Hvarfner et al. 2022, arXiv 2204.11051,
and PriorBand, Mallik et al. 2023, arXiv 2306.12370).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from search.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """A best guess for an axis.

    Raises:
        BadInput: a confidence outside (0, 1), or a spread that is not positive.
    """

    best: Any
    """The best guess: a value of the axis."""
    within: float = 2.0
    """Of a number: the best value lies within this factor of the guess with a chance of two in
    three (log-normal). Choices have no use for it."""
    confidence: float = 0.7
    """How far to believe it: values far from the guess are as likely as 1 - confidence times it."""
    why: str
    """What the guess rests on."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise BadInput(f"prior: confidence must lie between 0 and 1, got {self.confidence!r}")
        if not self.within > 1:
            raise BadInput(f"prior: within must be a factor above 1, got {self.within!r}")

    def weight(self, value: Any) -> float:
        """Density at a value, relative to that of the best guess: in (0, 1]."""
        if isinstance(self.best, bool | str) or not isinstance(value, int | float):
            likeness = float(value == self.best)
        else:
            off = math.log(value / self.best) / math.log(self.within)
            likeness = math.exp(-0.5 * off * off)
        return self.confidence * likeness + (1 - self.confidence)
