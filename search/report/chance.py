"""Whether what the final run gained may be chance: one rule, of the page and of the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.paired import sign_flip_p
from search.report.facts import paired_gain

if TYPE_CHECKING:
    from objectives.objective import Scores

CHANCE = 0.05
"""A difference whose p is not below this may be chance."""
LEAST_P = 0.001
"""Smaller ones are told as being below this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """What one side is better by than another, on the same items."""

    mean: float
    """Difference of accuracy; tasks count the same."""
    stderr: float
    """0 if the difference is the same on all items of each task."""
    p: float
    """Of the sign-flip test, `search.paired.sign_flip_p`."""
    differs: bool
    """Whether any item came out differently."""

    @property
    def verdict(self) -> str:
        """`p 0.250: may be chance`."""
        said = f"p {self.p:.3f}" if self.p >= LEAST_P else f"p below {LEAST_P}"
        return f"{said}: {'hardly chance' if self.p < CHANCE else 'may be chance'}"


def gain_of(a: Scores, b: Scores, tasks: list[str]) -> Gain | None:
    """What `a` is better by than `b`, item by item.

    None if there is no task, or if a task's items are not the same number.
    """
    found = paired_gain(a, b, tasks)
    if found is None:
        return None
    differences = [
        [x - y for x, y in zip(a[task].correct, b[task].correct, strict=True)] for task in tasks
    ]
    return Gain(
        mean=found[0],
        stderr=found[1],
        p=sign_flip_p(differences),
        differs=any(any(task) for task in differences),
    )
