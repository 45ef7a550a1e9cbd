"""Coordinates of a mixture: the simplex around the natural shares as one number per source."""

from __future__ import annotations

import math
from collections.abc import Mapping

from search.errors import BadInput
from spaces.recipe import normalised

SPREAD = 2.5
"""Width of the mixture search: a source's weight is its natural share times e^z, with z drawn from
[-2.5, 2.5] (a factor of 12 either way), renormalised. Measured on RegMix's 17 sources
(`studies/bench_mixture.py`, docs/LOG.md): narrower boxes, flat, stick-breaking and scaled
coordinates find worse mixtures; a box of 4 finds better ones for a single goal and equal ones for
three at once."""


def to_mixture(coordinates: Mapping[str, float], natural: Mapping[str, float]) -> dict[str, float]:
    """The mixture at `coordinates`, one for each source of `natural` whose share is positive."""
    return normalised(
        {name: share * math.exp(coordinates.get(name, 0.0)) for name, share in natural.items()}
    )


def to_coordinates(mixture: Mapping[str, float], natural: Mapping[str, float]) -> dict[str, float]:
    """The coordinates of a mixture, as near to 0 as they can all be; undone by `to_mixture`.

    Args:
        mixture: share per source, the same sources as in `natural`.
        natural: the natural shares; a source whose share is 0 has no coordinate.

    Raises:
        BadInput: the mixture lies outside the space.
    """
    if set(mixture) != set(natural):
        raise BadInput(
            f"space: an expert's mixture names {sorted(mixture)}, "
            f"but the sources are {sorted(natural)}"
        )
    for name, weight in mixture.items():
        if (weight > 0) != (natural[name] > 0):
            raise BadInput(
                f"space: an expert's mixture has {name} {weight:.2%}, of which the natural mixture "
                f"has {natural[name]:.2%}; give it a positive share in both or in neither"
            )
    logs = {name: math.log(mixture[name] / share) for name, share in natural.items() if share > 0}
    low, high = min(logs, key=logs.__getitem__), max(logs, key=logs.__getitem__)
    middle = (logs[high] + logs[low]) / 2
    if logs[high] - middle > SPREAD + 1e-9:
        raise BadInput(
            f"space: an expert's mixture has {high} {mixture[high]:.2%} and {low} "
            f"{mixture[low]:.2%}, too far from the natural {natural[high]:.2%} and "
            f"{natural[low]:.2%}; their ratio may change by a factor of "
            f"{math.exp(2 * SPREAD):.0f} at most"
        )
    return {name: max(-SPREAD, min(SPREAD, value - middle)) for name, value in logs.items()}
