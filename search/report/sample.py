"""What mattered is told from evaluations of one rung: losses of two rungs do not compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, FloatDistribution

from spaces.space import PRIORS, coordinate

if TYPE_CHECKING:
    from search.store import Record

PREFIX = coordinate("")
"""How the names of the mixture's axes begin."""
ENOUGH = 20
"""Trials at a rung from which importances are told: a best quarter of them is then five, as many as
PED-ANOVA needs (`optuna.importance.PedAnovaImportanceEvaluator`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Trials that were evaluated at the same rung."""

    rung: int
    records: tuple[Record, ...]
    """By number; at least one."""
    axes: tuple[str, ...]
    """Parameters that could differ between them, the mixture's coordinates last."""

    @property
    def n(self) -> int:
        """How many trials."""
        return len(self.records)

    @property
    def losses(self) -> list[float]:
        """Answer loss at the rung, by record."""
        return [record.rungs[self.rung].loss for record in self.records]

    @property
    def tokens(self) -> int:
        """Tokens that the middle one of the trials was trained on."""
        tokens = sorted(record.rungs[self.rung].tokens for record in self.records)
        return tokens[len(tokens) // 2]

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of the mixture that have a share in any recipe."""
        mixtures = [record.recipe.mixture for record in self.records]
        return tuple(name for name in mixtures[0] if any(m.get(name, 0.0) > 0 for m in mixtures))

    def values(self, axis: str) -> list[Any]:
        """Where each trial stands on an axis.

        Of a mixture's coordinate, the share it led to: the coordinates themselves say little, since
        all of them moved alike are the same mixture.
        """
        if axis.startswith(PREFIX):
            source = axis.removeprefix(PREFIX)
            return [record.recipe.mixture.get(source, 0.0) for record in self.records]
        return [record.params[axis] for record in self.records]

    def distribution(self, axis: str) -> BaseDistribution:
        """The range of an axis; of a source's share, from the least to the greatest there is."""
        if axis.startswith(PREFIX):
            shares = self.values(axis)
            return FloatDistribution(min(shares), max(shares))
        return self.records[0].distributions[axis]


def choose(records: Sequence[Record]) -> Sample | None:
    """The highest rung with `ENOUGH` trials, or the lowest; None if nothing was evaluated.

    A higher rung says more of the final run, but only promoted trials reach it.
    """
    reached = [
        tuple(r for r in records if len(r.rungs) > rung and math.isfinite(r.rungs[rung].loss))
        for rung in range(max((len(record.rungs) for record in records), default=0))
    ]
    rung = max((i for i, found in enumerate(reached) if len(found) >= ENOUGH), default=0)
    if not reached or not reached[rung]:
        return None
    return Sample(rung=rung, records=reached[rung], axes=axes_of(reached[rung]))


def axes_of(records: Sequence[Record]) -> tuple[str, ...]:
    """Parameters that all the trials have, in the same range, which holds more than one value."""
    first = records[0].distributions
    common = [
        name
        for name, range_ in first.items()
        if not range_.single() and all(r.distributions.get(name) == range_ for r in records)
    ]
    plain = [name for name in PRIORS if name in common]
    sources = [coordinate(name) for name in records[0].recipe.mixture]
    others = [name for name in common if name not in plain and name not in sources]
    return (*plain, *others, *(name for name in sources if name in common))
