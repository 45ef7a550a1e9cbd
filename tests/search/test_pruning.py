"""Pareto successive halving on paired evaluations."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pruning import (
    Entry,
    Finalist,
    choose,
    dominates,
    fronts,
    judge,
    paired_z,
    pareto,
    quota,
)

RANDOM = random.Random(1)
HARDNESS = [RANDOM.gauss(0, 1) for _ in range(100)]


def entry(trial: int, loss: float, hours: float = 1.0, *, control: bool = False) -> Entry:
    """A trial whose items vary a lot, but in the same way for every trial."""
    noise = random.Random(trial)
    losses = tuple(loss + h + noise.gauss(0, 0.05) for h in HARDNESS)
    return Entry(trial=trial, losses=losses, gpu_hours=hours, control=control)


def test_pairing_sees_what_item_noise_hides() -> None:
    """A gap of 0.1 nats is clear on the same items, though items spread over whole nats."""
    good, bad = entry(1, 1.0), entry(2, 1.1)
    assert paired_z(good.losses, bad.losses) > 5


def test_a_paired_test_needs_the_same_items() -> None:
    """Different numbers of items cannot be paired."""
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        paired_z([1.0, 2.0], [1.0])


def test_lower_loss_at_equal_cost_dominates() -> None:
    """Costs within the timing noise count as equal."""
    assert dominates(entry(1, 1.0, 1.1), entry(2, 1.2, 1.0))
    assert not dominates(entry(2, 1.2, 1.0), entry(1, 1.0, 1.1))


def test_a_cheaper_trial_is_not_dominated_by_a_better_one() -> None:
    """Cost is an axis of its own."""
    assert not dominates(entry(1, 1.0, 2.0), entry(2, 1.2, 1.0))


def test_a_difference_within_noise_does_not_dominate() -> None:
    """At the same cost, a gap that the paired test cannot see prunes nobody."""
    a = entry(1, 1.0)
    b = Entry(trial=2, losses=tuple(reversed(a.losses)), gpu_hours=1.0)
    assert not dominates(a, b)
    assert not dominates(b, a)


def test_fronts_are_layers() -> None:
    """The first front is dominated by nobody, the second only by the first."""
    layers = fronts([entry(1, 1.0), entry(2, 1.5), entry(3, 2.0), entry(4, 1.5, 0.2)])
    assert [[e.trial for e in layer] for layer in layers] == [[1, 4], [2], [3]]


@pytest.mark.parametrize(("count", "eta", "kept"), [(2, 3, 2), (6, 3, 3), (9, 3, 3), (27, 3, 9)])
def test_the_quota_is_one_in_eta_but_at_least_the_finalists(
    count: int, eta: int, kept: int
) -> None:
    """Three finalists at least go on."""
    assert quota(count, eta) == kept


def test_the_worst_are_pruned_and_told_who_beat_them() -> None:
    """A pruned trial's reason names the trial that beat it."""
    verdicts = judge([entry(n, 1 + n / 10) for n in range(9)], eta=3)
    promoted = [v.trial for v in verdicts if v.promoted]
    assert promoted == [0, 1, 2]
    assert "beaten by trial 0" in verdicts[-1].reason


def test_every_verdict_states_its_noise() -> None:
    """Loss with its error and the number of items; the paired difference with its own and z."""
    entries = [*(entry(n, 1 + n / 10) for n in range(7)), entry(7, 9.0, control=True)]
    verdicts = judge(entries, eta=3)
    for found in verdicts:
        assert re.search(r"loss \d\.\d{3} ± \d\.\d{3} on 100 items, place \d of 8", found.reason)
    front, second, *_, worst, control = verdicts
    assert front.reason.startswith("promoted: no trial beats it: none has a clearly lower loss (z")
    assert "above" not in front.reason
    assert re.search(r"promoted: among the best 3 .*; 0\.\d{3} ± 0\.\d{3} above", second.reason)
    assert re.search(r"by 0\.6\d\d ± 0\.0\d\d nats on the same items, z \d+\.\d", worst.reason)
    assert re.search(r"kept as the control .* ± 0\.\d{3} above the lowest", control.reason)


def test_a_trial_beaten_by_a_cheaper_one_is_told_so() -> None:
    """The loss alone would not have pruned it."""
    equal = [entry(n, 1.0, 0.1) for n in range(3)]
    near = Entry(trial=9, losses=tuple(x + 0.001 for x in equal[0].losses[::-1]), gpu_hours=1.0)
    told = {v.trial: v.reason for v in judge([*equal, near], eta=3)}
    assert "in clearly less time by" in told[9]


def test_the_front_is_never_pruned_for_rank() -> None:
    """However many, non-dominated trials go on."""
    entries = [entry(n, 1 + n / 10, 10 / (1.5**n)) for n in range(8)]
    assert all(v.promoted for v in judge(entries, eta=3))


def test_the_control_goes_on_from_the_last_place() -> None:
    """The default recipe is trained to the top whatever its rank."""
    entries = [entry(n, 1 + n / 10) for n in range(6)] + [entry(6, 5.0, control=True)]
    verdict = {v.trial: v for v in judge(entries, eta=3)}
    assert verdict[6].promoted
    assert "control" in verdict[6].reason
    assert not verdict[5].promoted


def finalist(trial: int, right: int, loss: float) -> Finalist:
    """A finalist that answers the first `right` of 100 items."""
    return Finalist(trial=trial, correct=tuple(i < right for i in range(100)), losses=(loss,) * 100)


def test_a_clearly_more_accurate_finalist_wins() -> None:
    """Accuracy decides where the paired test sees a difference."""
    winner, reason = choose([finalist(1, 40, 0.5), finalist(2, 60, 0.9)], "fresh items")
    assert winner == 2
    assert "accuracy 0.600, loss 0.900 on 100 fresh items, clearly the most accurate of 2" in reason
    assert "+0.200 ± 0.040 against the next, trial 1" in reason


def test_among_finalists_that_accuracy_cannot_tell_apart_the_loss_decides() -> None:
    """One item more in a hundred is noise."""
    winner, reason = choose([finalist(1, 50, 0.5), finalist(2, 51, 0.9)], "fresh items")
    assert winner == 1
    assert "cannot tell apart" in reason
    assert "(difference to the most accurate, trial 2: -0.010 ± 0.010)" in reason


def test_the_most_accurate_finalist_can_be_the_one_of_lowest_loss_too() -> None:
    """Then the reason gives its lead."""
    winner, reason = choose([finalist(1, 50, 0.9), finalist(2, 51, 0.5)], "fresh items")
    assert winner == 2
    assert "and the most accurate (+0.010 ± 0.010 against the next, trial 1)" in reason


def test_graded_outcomes_are_compared_like_right_and_wrong_ones() -> None:
    """Half an answer right on every item beats nothing right."""
    half = Finalist(trial=1, correct=(0.5, 0.6) * 50, losses=(1.0,) * 100)
    none = Finalist(trial=2, correct=(0.0,) * 100, losses=(0.1,) * 100)
    winner, reason = choose([half, none], "fresh items")
    assert winner == 1
    assert "accuracy 0.550" in reason


def test_without_finalists_there_is_nothing_to_choose() -> None:
    """An empty field is a programming error."""
    with pytest.raises(ValueError, match="no trial"):
        choose([], "fresh items")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 9)), min_size=1, max_size=30))
def test_the_pareto_front_is_exactly_the_non_dominated_points(
    points: list[tuple[float, float]],
) -> None:
    """Every point is on the front or dominated by (or equal to) a point of it."""
    front = [points[i] for i in pareto(points)]
    for accuracy, hours in points:
        assert any(a >= accuracy and h <= hours for a, h in front)
    for i, (a, h) in enumerate(front):
        assert not any(
            (b >= a and g < h) or (b > a and g <= h) for j, (b, g) in enumerate(front) if j != i
        )
