"""Parameters as points: what lies between two steps of an axis is one of them."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.coordinates import Axes

SPACE: dict[str, BaseDistribution] = {
    "choice": CategoricalDistribution(("a", "b", "c")),
    "even": IntDistribution(2, 11, step=3),
    "few": IntDistribution(1, 5),
    "log": IntDistribution(16, 512, log=True),
    "quarter": FloatDistribution(0, 1, step=0.25),
    "rate": FloatDistribution(1e-5, 1e-2, log=True),
}


def test_exact_points_are_those_of_what_is_tried() -> None:
    """As decoding and encoding has it, and with every value of an axis among them."""
    axes = Axes(SPACE)
    points = np.random.default_rng(0).random((500, len(axes)))
    points[:, axes.names.index("choice")] = np.arange(500) % 3
    found = axes.exact(points)
    np.testing.assert_allclose(found, axes.encode(axes.decode_all(points)), atol=1e-12)
    np.testing.assert_array_equal(axes.exact(found), found)
    assert {params["few"] for params in axes.decode_all(found)} == {1, 2, 3, 4, 5}
    assert {params["even"] for params in axes.decode_all(found)} == {2, 5, 8, 11}
    for one, other in zip(axes.decode_all(found), axes.decode_all(points), strict=True):
        assert one == pytest.approx(other)


def test_points_drawn_and_varied_are_exact() -> None:
    """So that a surrogate is asked of what would be tried, and of nothing between."""
    axes = Axes(SPACE)
    rng = np.random.default_rng(1)
    drawn = axes.draw(rng, 100)
    for points in (drawn, axes.vary(rng, drawn, 100)):
        np.testing.assert_array_equal(points, axes.exact(points))
        assert len(np.unique(points[:, axes.names.index("few")])) == 5
