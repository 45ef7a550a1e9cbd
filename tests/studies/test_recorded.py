"""Recorded problems: what a search is charged, and how it is scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.recorded import (
    Config,
    Exhausted,
    Meter,
    Parameter,
    Point,
    Problem,
    Scale,
    area,
)

UNIT = st.floats(0, 1)
POINTS = st.lists(st.tuples(UNIT, UNIT), max_size=8)


def curve(config: Config, step: int) -> Point:
    """A step takes `x` seconds; more seconds give more accuracy."""
    x = float(config["x"])
    return Point(accuracy=x * step / 10, loss=1 - x * step / 10, seconds=x * step)


def problem(**changes: object) -> Problem:
    """Problem."""
    fields = {
        "name": "made up",
        "parameters": (Parameter(name="x", low=0.1, high=1.0, log=True, default=0.5),),
        "full": 10,
        "measure": curve,
    }
    return Problem(**(fields | changes))  # type: ignore[arg-type]


def test_a_resumed_run_is_charged_only_for_its_new_steps() -> None:
    """A resumed run is charged only for its new steps."""
    meter = Meter(problem(), 100)
    run = meter.start({"x": 1.0})
    run.train(4)
    assert meter.spent_s == 4
    run.train(10)
    assert meter.spent_s == 10
    assert run.done


def test_only_full_runs_count_and_only_in_time() -> None:
    """Only full runs count and only in time."""
    meter = Meter(problem(), 100)
    meter.start({"x": 0.5}).train(9)
    assert meter.by(100) == []
    run = meter.start({"x": 1.0})
    run.train(10)
    assert meter.by(14.4) == []
    assert meter.by(14.5) == [run.point]


def test_a_run_past_the_budget_is_cut_and_spends_the_rest() -> None:
    """A run past the budget is cut and spends the rest."""
    meter = Meter(problem(), 9.5)
    run = meter.start({"x": 1.0})
    run.train(9)
    with pytest.raises(Exhausted):
        run.train(10)
    assert meter.left_s == 0
    assert not run.done
    assert meter.finished == []


def test_a_run_goes_neither_back_nor_beyond_its_end() -> None:
    """A run goes neither back nor beyond its end."""
    run = Meter(problem(), 100).start({"x": 1.0})
    run.train(5)
    for until in (5, 4, 11):
        with pytest.raises(ValueError, match=f"to {until} of 10"):
            run.train(until)


def test_a_run_that_was_not_trained_shows_nothing() -> None:
    """A run that was not trained shows nothing."""
    with pytest.raises(ValueError, match="nothing was trained"):
        _ = Meter(problem(), 1).start({"x": 1.0}).point


def test_a_full_run_s_time_is_foreseen_in_proportion() -> None:
    """A full run's time is foreseen in proportion."""
    run = Meter(problem(), 100).start({"x": 0.5})
    run.train(2)
    assert run.full_s() == pytest.approx(5)


def test_a_row_of_a_table_is_tried_once() -> None:
    """A row of a table is tried once."""
    rows = Parameter(name="x", choices=("0.1", "0.2"), default="0.1")
    meter = Meter(problem(parameters=(rows,), table=True), 100)
    meter.start({"x": "0.1"})
    assert meter.untried() == ["0.2"]
    with pytest.raises(ValueError, match=r"0\.1 was tried"):
        meter.start({"x": "0.1"})


@given(POINTS, st.tuples(UNIT, UNIT))
def test_a_further_point_never_makes_the_area_smaller(
    points: list[tuple[float, float]], more: tuple[float, float]
) -> None:
    """A further point never makes the area smaller."""
    before, after = area(points), area([*points, more])
    assert before <= after + 1e-12
    assert max(before, more[0] * more[1]) <= after + 1e-12 <= 1 + 2e-12


def test_the_area_is_that_of_the_steps_under_the_front() -> None:
    """The area is that of the steps under the front."""
    assert area([]) == 0
    assert area([(0.5, 1.0), (1.0, 0.5), (0.4, 0.4)]) == pytest.approx(0.75)


def points(*pairs: tuple[float, float]) -> list[Point]:
    """Points."""
    return [Point(accuracy=a, loss=1 - a, seconds=s) for a, s in pairs]


def test_the_true_front_is_scored_1_and_nothing_more() -> None:
    """The true front is scored 1 and nothing more."""
    sample = points((0.2, 10), (0.9, 100), (0.6, 20), (0.1, 1000))
    scale = Scale.of(sample, timed=True)
    assert scale.score(sample) == pytest.approx(1)
    better = points((2.0, 0.001))
    assert scale.score(better) == 1
    assert scale.unit(better[0]) == (1, 1)
    assert scale.unit(points((0.0, 5000))[0]) == (0, 0)


def test_known_good_runs_raise_the_front_but_not_the_ends() -> None:
    """Known good runs raise the front but not the ends."""
    sample = points((0.2, 10), (0.9, 100), (0.5, 50))
    plain = Scale.of(sample, timed=True)
    raised = Scale.of(sample, timed=True, more=points((0.9, 10)))
    assert raised.accuracy == plain.accuracy
    assert raised.seconds == plain.seconds
    assert raised.score(sample) < plain.score(sample) == pytest.approx(1)


def test_on_a_log_scale_halving_the_time_is_worth_the_same_everywhere() -> None:
    """On a log scale halving the time is worth the same everywhere."""
    scale = Scale.of(points((0.0, 1), (1.0, 16), (0.5, 4)), timed=True, log_time=True)
    saved = [scale.unit(p)[1] for p in points((1, 16), (1, 8), (1, 4), (1, 2), (1, 1))]
    assert np.diff(saved) == pytest.approx([0.25] * 4)


def test_without_time_as_a_goal_only_accuracy_is_scored() -> None:
    """Without time as a goal only accuracy is scored."""
    scale = Scale.of(points((0.0, 1), (1.0, 16)), timed=False)
    assert scale.score(points((0.5, 16))) == scale.score(points((0.5, 1))) == 0.5


def test_a_sample_that_is_all_alike_makes_no_scale() -> None:
    """A sample that is all alike makes no scale."""
    with pytest.raises(ValueError, match="2 runs make no scale"):
        Scale.of(points((0.5, 1), (0.5, 2)), timed=True)
    with pytest.raises(ValueError, match="better than the worst on both"):
        Scale.of(points((0.5, 1), (0.6, 2)), timed=True)


@given(st.floats(0, 1, exclude_max=True))
def test_a_parameter_s_values_lie_inside(unit: float) -> None:
    """A parameter's values lie inside."""
    whole = Parameter(name="n", low=16, high=512, log=True, whole=True, default=91)
    real = Parameter(name="r", low=1e-4, high=0.1, log=True, default=0.01)
    choice = Parameter(name="c", choices=("a", "b"), default="b")
    assert whole.at(unit) in range(16, 513)
    assert 1e-4 <= float(real.at(unit)) <= 0.1
    assert choice.at(unit) == ("a" if unit < 0.5 else "b")


@pytest.mark.parametrize(
    "fields",
    [
        {"low": 1, "high": 0, "default": 0.5},
        {"low": 0, "high": 1, "log": True, "default": 0.5},
        {"low": 0, "high": 1, "default": 2},
        {"choices": ("a",), "default": "b"},
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    """A parameter that makes no sense is refused."""
    with pytest.raises(ValueError, match="odd"):
        Parameter(name="odd", **fields)  # type: ignore[arg-type]
