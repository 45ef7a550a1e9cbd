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


def test_of_what_fades_less_is_left_the_longer_the_final_run() -> None:
    """Differences go on fading as they did from rung to rung; those that last stay."""
    fading = [
        [(n, 1 + (2 + gap) * (n / 1000) ** -0.5) for n in RUNGS] for gap in (0.0, 0.1, 0.2, 0.3)
    ]
    assert kept(fading) == pytest.approx(1 / 3)
    assert kept(fading, 9000) == kept(fading, 500) == kept(fading)
    assert kept(fading, 90_000) == pytest.approx(90**-0.5)
    assert expected_gain(fading, 3, 90_000) == pytest.approx(expected_gain(fading, 3) / 10**0.5)
    near, far = (
        decide(fading, count=1, cost_s=10, left_s=left, token_s=0.01) for left in (90, 39_600)
    )
    assert near.search_gain / far.search_gain == pytest.approx(
        (3_969_000 / 18_000) ** 0.5, rel=1e-3
    )
    assert kept(SPREAD, 1e6) == 1.0


ON_A_GPU: list[Curve] = [
    *(
        list(zip((65_536, 196_608, 589_824), losses, strict=True))
        for losses in (
            (2.565, 2.000, 1.595),
            (2.060, 1.623, 1.393),
            (1.930, 1.572, 1.401),
            (1.899, 1.609, 1.482),
            (2.299, 1.909, 1.618),
            (1.911, 1.602, 1.439),
            (1.865, 1.556, 1.371),
            (1.899, 1.585, 1.424),
        )
    ),
    *(
        [(65_536, loss)]
        for loss in (2.142, 3.131, 2.251, 2.956, 1.971, 2.193, 2.249, 2.112, 1.914, 2.056, 1.860)
    ),
]
"""Of docs/evidence/six_skills.py, 4 minutes on one GPU, seed 1."""


def test_a_search_on_trials_far_shorter_than_the_final_run_ends() -> None:
    """At the top rung a further trial promises more than its seconds bring to the final run.

    That is fifty times as long, and little of the promise is left at its end.
    """
    found = decide(ON_A_GPU, count=1, cost_s=2.3, left_s=122, token_s=1 / 250_000)
    assert not found.search_on
    assert expected_gain(ON_A_GPU, 1) > 1.5 * found.final_gain
    short = decide(ON_A_GPU, count=1, cost_s=2.3, left_s=4.6, token_s=1 / 250_000)
    assert short.search_gain > 3 * found.search_gain


def test_what_is_far_ahead_may_be_more_than_a_curve_shows() -> None:
    """The time of the final run counts as if the exponent might be half of the fitted one."""
    found = decide(ON_A_GPU, count=1, cost_s=2.3, left_s=122, token_s=1 / 250_000)
    fitted = trend([(n, statistics.fmean(c[k][1] for c in ON_A_GPU[:8]))
                    for k, n in enumerate((65_536, 196_608, 589_824))])  # fmt: skip
    ends = [589_824 + seconds * 250_000 for seconds in (119.7, 122)]
    assert found.final_gain > 1.5 * (fitted.at(ends[0]) - fitted.at(ends[1]))


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
