"""Whether to search on or to train the best for longer."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.split import Curve, decide, expected_gain, kept, trend

RUNGS = (1000, 3000, 9000)


def power(floor: float, drop: float, decay: float = 0.5) -> Curve:
    """A learning curve at the rungs: what is above the floor falls as tokens to the -decay."""
    return [(n, floor + drop * (n / 1000) ** -decay) for n in RUNGS]


@pytest.mark.parametrize("decay", [0.3, 0.5, 0.9])
def test_a_power_law_is_continued_as_it_was(decay: float) -> None:
    """Three points tell its exponent, and so what lies ahead."""
    found = trend(power(1.0, 2.0, decay))
    assert found.decay == pytest.approx(decay, rel=1e-3)
    for tokens in (9000, 50_000, 1e6):
        assert found.at(tokens) == pytest.approx(1 + 2 * (tokens / 1000) ** -decay, rel=1e-3)


def test_two_points_are_continued_with_the_usual_exponent() -> None:
    """And one point says nothing of what lies ahead."""
    curve = power(1.0, 2.0)
    assert trend(curve[:2]).at(9000) == pytest.approx(curve[2][1])
    assert trend(curve[:1]).at(9000) == curve[0][1]
    with pytest.raises(ValueError, match="needs a point"):
        trend([])


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=3), st.floats(1, 1e9))
def test_no_curve_is_foreseen_to_rise_or_to_fall_at_once(losses: list[float], more: float) -> None:
    """Whatever the points: longer is never foreseen worse, and nothing jumps."""
    curve = list(zip(RUNGS, losses, strict=False))
    found = trend(curve)
    last = curve[-1][0]
    assert found.at(last) == curve[-1][1]
    assert found.at(last + more) <= found.at(last)
    assert found.at(last + 2 * more) <= found.at(last + more)


def test_the_expected_gain_is_what_further_draws_bring() -> None:
    """Against draws from the normal distribution that the trials were taken from."""
    rng = random.Random(3)
    losses = [rng.gauss(2.0, 0.3) for _ in range(4000)]
    best = 1.5
    curves: list[Curve] = [[(1000, loss)] for loss in losses]
    curves.append([(1000, best), (3000, best)])
    for count in (1, 5):
        drawn = [
            max(0.0, best - min(rng.gauss(2.0, 0.3) for _ in range(count))) for _ in range(20_000)
        ]
        expected = statistics.fmean(drawn) * kept(curves)
        assert expected_gain(curves, count) == pytest.approx(expected, rel=0.1)


def test_more_trials_are_worth_more_but_each_one_less() -> None:
    """The gain grows with the count, at a falling rate."""
    curves = [[(1000, loss)] for loss in (1.0, 1.2, 1.4, 1.6, 3.0)]
    one, two, three = (expected_gain(curves, count) for count in (1, 2, 3))
    assert 0 < one < two < three
    assert three - two < two - one


def test_trials_that_went_wrong_do_not_make_the_good_ones_spread() -> None:
    """Only the better half tells what a further trial may gain."""
    good = [1.0, 1.1, 1.2, 1.3]
    near = [[(1000, loss)] for loss in [*good, 1.4, 1.5, 1.6]]
    far = [[(1000, loss)] for loss in [*good, 1.4, 5.0, 9.0]]
    assert expected_gain(far, 3) == pytest.approx(expected_gain(near, 3))


def test_differences_that_vanish_in_training_count_less() -> None:
    """Trials that were trained on show how much of a difference is left."""
    lasting = [[(1000, 2 + gap), (3000, 1 + gap)] for gap in (0.0, 0.1, 0.2, 0.3)]
    fading = [[(1000, 2 + gap), (3000, 1 + gap / 2)] for gap in (0.0, 0.1, 0.2, 0.3)]
    assert kept(lasting) == pytest.approx(1)
    assert kept(fading) == pytest.approx(0.5)
    assert expected_gain(fading, 3) == pytest.approx(expected_gain(lasting, 3) / 2)


def test_before_there_are_trials_to_compare_the_search_goes_on() -> None:
    """Fewer than four say nothing of how far recipes lie apart."""
    assert decide([[(1000, 2.0)]] * 3, count=1, cost_s=10, left_s=100, token_s=0.001).search_on


def test_before_a_trial_was_trained_on_the_search_goes_on() -> None:
    """One point of a curve does not tell what longer training is worth."""
    alike = [[(1000, 2.0 + gap)] for gap in (0.0, 0.0, 0.0, 0.0, 0.0)]
    found = decide(alike, count=1, cost_s=10, left_s=100, token_s=0.001)
    assert found.search_on
    assert "no trial was trained on yet" in found.reason


SPREAD = [power(1.0 + gap, 0.1) for gap in (0.0, 0.2, 0.4, 0.6, 0.8)]
ALIKE = [power(1.0 + gap, 2.0) for gap in (0.0, 0.002, 0.004, 0.006, 0.008)]


def test_recipes_far_apart_on_flat_curves_are_searched_on() -> None:
    """A better recipe is worth more than training this one for longer."""
    found = decide(SPREAD, count=6, cost_s=60, left_s=600, token_s=0.01)
    assert found.search_on
    assert found.search_gain > found.final_gain > 0
    assert found.reason.startswith("the search goes on: 6 further trials may")


def test_recipes_alike_on_steep_curves_are_not() -> None:
    """Training for longer is worth more, and the reason says by how much."""
    found = decide(ALIKE, count=6, cost_s=60, left_s=600, token_s=0.01)
    assert not found.search_on
    assert found.final_gain > found.search_gain > 0
    assert f"{found.final_gain:.4f}" in found.reason
    assert f"{found.search_gain:.4f}" in found.reason
    assert "1m00s" in found.reason


def test_the_less_time_is_left_the_sooner_the_search_ends() -> None:
    """The same trials are worth it early on, and no more near the end."""
    goes_on = [
        decide(SPREAD, count=6, cost_s=60, left_s=left, token_s=0.1).search_on
        for left in (6000, 600, 61, 59)
    ]
    assert goes_on[0]
    assert not goes_on[-1]
    assert goes_on == sorted(goes_on, reverse=True)


def test_time_that_the_final_run_cannot_use_is_for_the_search() -> None:
    """Where training on is of no use beyond some tokens."""
    open_end = decide(ALIKE, count=6, cost_s=60, left_s=6000, token_s=0.01)
    capped = decide(ALIKE, count=6, cost_s=60, left_s=6000, token_s=0.01, most_tokens=20_000)
    assert not open_end.search_on
    assert capped.search_on
    assert capped.final_gain == 0


def test_nothing_is_decided_without_a_trial() -> None:
    """It is an error to ask."""
    with pytest.raises(ValueError, match="no trial"):
        decide([], count=1, cost_s=1, left_s=1, token_s=1)
