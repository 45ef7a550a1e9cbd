"""The command that measures how honest forecasts are, on a made-up problem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.surrogate import START
from studies.bench_search.calibration import HALF_WIDTH, NEW, main, off, told
from studies.bench_search.methods import METHODS
from tests.studies.test_bench_search import BUDGET_S, problem


def test_errors_are_in_standard_deviations_and_repeatable() -> None:
    """One for each paused run and for each new one; the same seed gives the same."""
    begun, new = off(problem(), BUDGET_S, 0)
    assert len(begun) > 10
    assert len(new) == NEW
    assert np.all(np.isfinite([*begun, *new]))
    again = off(problem(), BUDGET_S, 0)
    np.testing.assert_array_equal(begun, again[0])
    np.testing.assert_array_equal(new, again[1])


def test_what_proposals_rest_on_is_surer_of_paused_runs() -> None:
    """It is off by more of its standard deviations; and another method leaves other curves."""
    begun, _ = off(problem(), BUDGET_S, 0)
    surer, _ = off(problem(), BUDGET_S, 0, start=START)
    assert np.median(np.abs(surer)) > np.median(np.abs(begun))
    drawn, _ = off(problem(), BUDGET_S, 0, METHODS["random+pareto"].search)
    assert len(drawn) != len(begun)


def test_shares_inside_the_interval_are_told() -> None:
    """Half of these errors are inside; the interval that holds four in five is wider."""
    errors = np.array([0.0, HALF_WIDTH, 2.0, -2.0])
    line = told(errors, errors[:2])
    assert "paused 50.0% of 4 (80 % within 2.00" in line
    assert "new 100.0% of 2" in line


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--seeds", "0"), "--seeds 0: give at least 1"),
        (("--budgets", "0"), "--budgets 0: give a positive number"),
    ],
)
def test_bad_input_is_one_line(
    more: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit code 2."""
    assert main(["--data", str(tmp_path), *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
