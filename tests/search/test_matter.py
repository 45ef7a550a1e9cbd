"""What mattered: the rung it is told from, importances beside chance, slices and mixtures."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from search.report import importance
from search.report.drawing import render
from search.report.importance import HALVED, MOST, Importance, importances
from search.report.matter import importance_part, lacking, outstanding
from search.report.matter_figures import (
    PANELS,
    axis_name,
    ceiling,
    importance_figure,
    positions,
    slices_figure,
)
from search.report.mixture_figure import classes, corner, mixture_figure
from search.report.pictures import Matter
from search.report.sample import ENOUGH, Sample, choose
from search.store import Record, Rung
from spaces import Recipe
from spaces.mixture import to_mixture
from spaces.recipe import Quantization, Targets
from spaces.space import coordinate

SPACE: dict[str, Any] = {
    "rank": IntDistribution(4, 64, log=True),
    "packing": CategoricalDistribution([True, False]),
    "max_length": CategoricalDistribution([512]),
    "learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
    coordinate("a"): FloatDistribution(-2.5, 2.5),
}


def trial(number: int, losses: list[float], **params: Any) -> Record:
    """A trial that was evaluated at as many rungs as there are losses."""
    values = {
        "rank": 16,
        "packing": True,
        "max_length": 512,
        "learning_rate": 1e-4,
        coordinate("a"): 0.0,
    } | params
    mixture = values.pop("mixture", {"a": 1.0})
    return Record(
        number=number,
        state=TrialState.PRUNED,
        bracket=0,
        origin="o",
        recipe=Recipe(
            rank=values["rank"],
            alpha=32,
            targets=Targets.ALL_LINEAR,
            quantization=Quantization.BF16,
            packing=values["packing"],
            max_length=512,
            learning_rate=values["learning_rate"],
            tokens_per_step=512,
            mixture=mixture,
        ),
        params=values,
        distributions=SPACE,
        rungs=tuple(
            Rung(
                rung=place,
                tokens=1000 * 3**place,
                step=1,
                accuracy=0.1,
                stderr=0.1,
                loss=loss,
                per_task={},
                train_s=1.0,
                eval_s=1.0,
            )
            for place, loss in enumerate(losses)
        ),
        control=number == 0,
    )


def drawn(count: int, *, noise: bool = False, seed: int = 1) -> list[Record]:
    """Trials all over the space; their loss is the rank's, or nothing's."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        rank = round(math.exp(draw.uniform(math.log(4), math.log(64))))
        rate = math.exp(draw.uniform(math.log(1e-5), math.log(1e-3)))
        loss = draw.random() if noise else -math.log(rank) + 0.1 * draw.random()
        packing = draw.random() < 0.5
        share = {coordinate("a"): draw.uniform(-2.5, 2.5)}
        made.append(trial(number, [loss], rank=rank, learning_rate=rate, packing=packing, **share))
    return made


def sample(records: list[Record]) -> Sample:
    """The sample of trials some of which were evaluated."""
    found = choose(records)
    assert found is not None
    return found


def test_the_highest_rung_with_enough_trials_is_told_from() -> None:
    """A higher rung says more, a rung with few trials nothing."""
    low = [trial(number, [1.0]) for number in range(5)]
    high = [trial(number, [1.0, 0.5]) for number in range(5, 5 + ENOUGH)]
    assert (sample(low + high).rung, sample(low + high).n) == (1, ENOUGH)
    assert (sample(low + high[1:]).rung, sample(low + high[1:]).n) == (0, ENOUGH + 4)


def test_below_enough_trials_the_lowest_rung_is_told_from() -> None:
    """It has the most trials."""
    few = [trial(0, [1.0, 0.5, 0.2]), trial(1, [1.0])]
    assert (sample(few).rung, sample(few).n) == (0, 2)
    assert choose([]) is None
    assert choose([trial(0, [])]) is None


def test_a_loss_that_is_no_number_is_left_out() -> None:
    """A trial that diverged has no place among losses."""
    assert sample([trial(0, [1.0]), trial(1, [math.nan]), trial(2, [math.inf])]).n == 1
    assert choose([trial(0, [math.nan])]) is None


def test_an_axis_of_one_value_is_none() -> None:
    """What could not differ cannot have mattered."""
    axes = sample([trial(0, [1.0])]).axes
    assert axes == ("rank", "packing", "learning_rate", coordinate("a"))
    more = {"dropout": FloatDistribution(0.0, 0.2)}
    own = replace(trial(0, [1.0], dropout=0.1), distributions=SPACE | more)
    assert sample([own]).axes == ("rank", "packing", "learning_rate", "dropout", coordinate("a"))
    other = replace(trial(1, [1.0]), distributions=SPACE | {"rank": IntDistribution(4, 32)})
    assert "rank" not in sample([trial(0, [1.0]), other]).axes


def test_what_decides_the_loss_stands_out() -> None:
    """And nothing else is as important."""
    found = importances(sample(drawn(60)))
    assert found[0].axis == "rank"
    assert found[0].stands_out
    assert found[0].share > 0.5
    assert math.fsum(one.share for one in found) == pytest.approx(1)
    assert all(one.halves and 0 <= one.halves[0] <= one.halves[1] <= 1 for one in found)


def test_halves_are_told_from_as_many_trials_as_fill_them() -> None:
    """A half needs as many trials as importances do; below that there is a word and no line."""
    for count in (HALVED - 1, HALVED):
        few = sample(drawn(count))
        found = importances(few)
        assert [one.halves is not None for one in found] == [count == HALVED] * len(few.axes)
        drawing = importance_figure(found)
        assert drawing is not None
        legend = [text.get_text() for text in drawing.legends[0].get_texts()]
        assert ("in halves of the trials" in legend) == (count == HALVED)
        picture = {"importance": render(drawing, "importance")}
        page = importance_part(Matter(few, found), few, picture)
        assert ("in halves</th>" in page) == (count == HALVED)
        assert (f"told from {HALVED} trials on" in page) == (count < HALVED)


def test_a_share_outside_of_its_halves_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """The range is that of the halves, not widened until it holds the share."""

    def scripted(_study: object, axes: Sequence[str], losses: Sequence[float]) -> dict[str, float]:
        first = 0.5 if math.inf in losses else 0.9
        rest = (1 - first) / (len(axes) - 1)
        return {axis: rest if place else first for place, axis in enumerate(axes)}

    monkeypatch.setattr(importance, "_raw", scripted)
    found = importances(sample(drawn(60)))[0]
    assert found.share == pytest.approx(0.9)
    assert found.halves == pytest.approx((0.5, 0.5))


def test_a_loss_of_the_share_alone_is_found() -> None:
    """The mixture's coordinates are redundant: its importance is that of the shares they give."""
    draw = random.Random(3)
    names = [coordinate("a"), coordinate("b")]
    space = SPACE | dict.fromkeys(names, FloatDistribution(-2.5, 2.5))
    records = []
    for one in drawn(60):
        z = {name: draw.uniform(-2.5, 2.5) for name in names}
        mixture = to_mixture({"a": z[names[0]], "b": z[names[1]]}, {"a": 0.5, "b": 0.5})
        loss = abs(mixture["a"] - 0.5) + 0.05 * draw.random()
        params = {**one.params, **z, "mixture": mixture}
        records.append(replace(trial(one.number, [loss], **params), distributions=space))
    found = importances(sample(records))
    assert {one.axis for one in found[:2]} == set(names)
    assert all(one.stands_out for one in found[:2])


def test_a_share_that_is_the_same_throughout_has_no_importance() -> None:
    """The only source has all of the mixture, wherever its coordinate is."""
    (one,) = (one for one in importances(sample(drawn(60))) if one.axis == coordinate("a"))
    assert one.share == 0
    assert not one.stands_out


def test_in_noise_hardly_anything_stands_out() -> None:
    """Shares sum to 1 there too; it is chance that tells them apart."""
    found = [importances(sample(drawn(40, noise=True, seed=seed))) for seed in range(6)]
    assert all(math.fsum(one.share for one in each) == pytest.approx(1) for each in found)
    assert len([one for each in found for one in each]) == 24
    assert len([one for each in found for one in each if one.stands_out]) <= 3


def test_few_trials_have_no_importances() -> None:
    """Words instead: which number was missing."""
    few = sample(drawn(ENOUGH - 1))
    assert importances(few) == ()
    assert f"from {ENOUGH} trials" in lacking(few)
    assert f"with {ENOUGH - 1} they" in lacking(few)
    assert importances(sample(drawn(ENOUGH))) != ()
    same = [replace(t, rungs=(replace(t.rungs[0], loss=1.0),)) for t in drawn(ENOUGH)]
    assert importances(sample(same)) == ()
    assert "the same loss" in lacking(sample(same))


def test_importances_are_the_same_each_time_and_bounded() -> None:
    """However many trials there are, no more than `MOST` are looked at."""
    many = sample(drawn(MOST + 50))
    assert importances(many) == importances(many)
    thinned = replace(many, records=tuple(many.records[i * many.n // MOST] for i in range(MOST)))
    assert importances(many) == importances(thinned)


def told(*flags: bool) -> Matter:
    """Importances that stand out or do not."""
    return Matter(
        None,
        tuple(
            Importance(axis=f"x_{i}", share=0.5, halves=(0.4, 0.6), chance=0.1 if flag else 0.9)
            for i, flag in enumerate(flags)
        ),
    )


def test_what_stands_out_is_named_with_its_doubt() -> None:
    """A list of axes that were tested holds some by luck."""
    assert "Standing out from chance: x 0, x 2." in outstanding(told(True, False, True))
    assert "3 axes were tried" in outstanding(told(True, False, True))
    assert "No axis stands out" in outstanding(told(False, False))
    assert importance_figure(()) is None
    assert importance_figure(told(True, False).found) is not None


def test_a_slice_shows_the_share_of_a_source_and_parts_categories() -> None:
    """Each in the terms of the recipe."""
    records = [
        trial(0, [1.0], mixture={"a": 0.3, "b": 0.7}),
        trial(1, [2.0], mixture={"a": 0.6, "b": 0.4}, packing=False, rank=64),
    ]
    both = sample(records)
    assert positions(both, coordinate("a")) == ([0.3, 0.6], [])
    assert positions(both, "rank") == ([16.0, 64.0], [])
    places, labels = positions(both, "packing")
    assert labels == ["yes", "no"]
    assert [round(place) for place in places] == [0, 1]
    assert axis_name(coordinate("a")) == "mixture: a"
    assert axis_name("learning_rate") == "learning rate"


def test_slices_are_one_panel_for_each_axis_up_to_a_bound() -> None:
    """A space of many sources does not fill the page."""
    figure = slices_figure(sample(drawn(5)), 3)
    assert figure is not None
    assert sum(axes.get_visible() for axes in figure.axes) == len(sample(drawn(5)).axes)
    sources = [f"s{i}" for i in range(40)]
    wide = {coordinate(name): FloatDistribution(-2.5, 2.5) for name in sources}
    mixture = dict.fromkeys(sources, 1 / 40)
    zeros = dict.fromkeys(wide, 0.0)
    many = [
        replace(trial(n, [1.0 + n], mixture=mixture, **zeros), distributions=SPACE | wide)
        for n in range(2)
    ]
    figure = slices_figure(sample(many), None)
    assert figure is not None
    assert sum(axes.get_visible() for axes in figure.axes) == PANELS
    assert slices_figure(sample(drawn(1)), None) is None


def test_a_loss_that_went_wrong_does_not_press_the_others_flat() -> None:
    """The frame ends not far above the usual ones."""
    assert ceiling([1.0, 1.1, 1.2, 1.3, 1.4, 90.0]) < 3
    assert ceiling([1.0, 1.1, 1.2]) == 1.2
    assert ceiling([1.0]) == 1.0
    assert ceiling([2.0, 2.0]) == 2.0


@pytest.mark.parametrize(("count", "corners"), [(1, None), (2, False), (3, True), (5, False)])
def test_three_sources_make_a_triangle_and_others_parallel_axes(
    count: int, corners: bool | None
) -> None:
    """One source is no mixture."""
    names = [f"source {i}" for i in range(count)]
    records = [
        trial(n, [1.0 + n], mixture={name: 1.0 + (i + n) % 3 for i, name in enumerate(names)})
        for n in range(6)
    ]
    figure = mixture_figure(sample(records), 2)
    assert (figure is None) == (corners is None)
    if figure is not None:
        axes = figure.axes[0]
        assert axes.axison != corners
        words = {text.get_text() for text in axes.texts}
        assert words == ({f"all {name}" for name in names} if corners else set())
        if not corners:
            assert [label.get_text() for label in axes.get_xticklabels()] == names


def test_a_pure_source_lies_in_its_corner() -> None:
    """And equal shares in the middle."""
    assert corner(0.0, 0.0) == (0.0, 0.0)
    assert corner(1.0, 0.0) == (1.0, 0.0)
    assert corner(0.0, 1.0) == pytest.approx((0.5, math.sqrt(3) / 2))
    assert corner(1 / 3, 1 / 3) == pytest.approx((0.5, math.sqrt(3) / 6))


def test_trials_are_told_apart_by_quarters_of_their_losses() -> None:
    """Best, middle, last."""
    assert classes([4.0, 1.0, 3.0, 2.0]) == [0, 2, 1, 1]
    assert classes([1.0, 2.0]) == [2, 0]
    assert classes([float(x) for x in range(8)]) == [2, 2, 1, 1, 1, 1, 0, 0]


def test_names_are_no_mathematics() -> None:
    """A dollar or a sign without a letter in a source's name does not break a figure."""
    mixture = {"$x^2": 0.5, "\x07odd": 0.25, "多": 0.25}
    figure = mixture_figure(sample([trial(n, [n + 1.0], mixture=mixture) for n in range(3)]), None)
    assert figure is not None
    assert render(figure, "mixture").png[:4] == b"\x89PNG"
    assert {text.get_text() for text in figure.axes[0].texts} == {
        r"all \$x^2",
        "all ?odd",
        "all 多",
    }
