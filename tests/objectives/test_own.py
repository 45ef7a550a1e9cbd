"""An objective of the study's own: what OwnObjective does around a user's three functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives import own
from objectives.kept import write
from objectives.objective import Schedule
from objectives.rows import iterate_jsonl
from search.errors import WorkerFailed
from search.own_file import load
from spaces import Recipe
from studies import demo
from tests.printed import CODE, module, printed, told
from tests.tiny import write_rows


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[[], Any]:
    """Makes the page's objective over a few rows and items, as processes of one job would."""
    mine = module(tmp_path)
    data = tmp_path / "data"
    (data / "sources").mkdir(parents=True)
    (data / "items").mkdir()
    (tmp_path / "job.json").write_text('{"seed": 5}')
    for name in demo.TRAINED:
        write_rows(data / "sources" / f"{name}.jsonl", 30)
    items = [{"task": "t", "id": n, "messages": [], "answer": str(n)} for n in range(9)]
    lines = "".join(json.dumps(item) + "\n" for item in items)
    (data / "items" / "search.jsonl").write_text(lines)

    def make() -> Any:
        objective = mine.Bigrams(mine.study(), tmp_path)
        objective.load(lambda _: None)
        return objective

    return make


RECIPE: Recipe = replace(demo.study().experts[0].recipe, extra={"momentum": 0.8})
LONG = Schedule(warmup_steps=2, decay_start=8, total_steps=12)


class Hands:
    """A clock that goes on by what is said to take time, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def takes(self, function: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        """The function, if it took so long."""

        def slow(*given: Any) -> Any:
            self.now += seconds
            return function(*given)

        return slow


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock of own objectives."""
    made = Hands()
    monkeypatch.setattr(own, "time", made)
    return made


def arrays_of(objective: Any, trial: str) -> dict[str, Any]:
    """What a trial's checkpoint holds."""
    found: dict[str, Any] = objective._kept(trial).arrays
    return found


def test_a_segment_of_an_own_objective_goes_on_where_the_last_one_ended(
    prepared: Callable[[], Any],
) -> None:
    """In another process, and in a copy: the same arrays, rows and curve as in one go."""
    whole = prepared()
    once = whole.train("whole", RECIPE, LONG, 12, None, lambda _: None)
    first = prepared()
    first.train("a", RECIPE, replace(LONG, decay_start=None, total_steps=None), 5, None, print)
    second = prepared()
    second.fork("a", "b")
    again = second.train("b", RECIPE, LONG, 12, None, lambda _: None)
    assert (again.step, again.tokens, again.curve) == (once.step, once.tokens, once.curve)
    assert again.shares == once.shares
    for name, array in arrays_of(whole, "whole").items():
        assert np.array_equal(array, arrays_of(second, "b")[name])
    second.discard("a")
    with pytest.raises(WorkerFailed, match="no checkpoint"):
        second.evaluate("a", "search", lambda _: None, exact=True)


def test_the_rate_of_an_own_objective_is_the_schedules(
    prepared: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step, the decay included."""
    objective = prepared()
    rates: list[float] = []
    step = objective.step

    def spy(state: Any, rows: Any, rate: float, recipe: Recipe) -> float:
        rates.append(rate / recipe.learning_rate)
        return float(step(state, rows, rate, recipe))

    monkeypatch.setattr(objective, "step", spy)
    objective.train("a", RECIPE, LONG, 12, None, lambda _: None)
    assert rates == pytest.approx([LONG.factor(n) for n in range(12)])


def test_a_deadline_brings_an_own_objectives_decay_forward(
    prepared: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that was asked for is longer than the time: it ends decayed, before its end."""
    objective = prepared()
    long = Schedule(warmup_steps=2, decay_start=10**7, total_steps=10**7 + 100)
    trained = objective.train("a", RECIPE, long, 10**8, 0.3, lambda _: None)
    assert 0 < trained.step < 10**7
    assert trained.schedule.total_steps is not None
    assert trained.schedule.total_steps < 10**7
    assert len(trained.curve) <= 401
    assert trained.curve[-1][0] == trained.tokens


@pytest.mark.parametrize("save_every_s", [1.0, 1e9])
def test_a_recipe_costs_no_screen_and_no_disk(
    save_every_s: float,
    prepared: Callable[[], Any],
    hands: Hands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seconds of training are those of steps, whoever watches, and however long saving takes."""
    objective = prepared()
    monkeypatch.setattr(objective, "step", hands.takes(objective.step, 2.0))
    monkeypatch.setattr(own, "write", hands.takes(write, 300.0))
    monkeypatch.setattr(own, "SAVE_EVERY_S", save_every_s)
    heard: list[Any] = []
    trained = objective.train("a", RECIPE, LONG, 12, None, hands.takes(heard.append, 50.0))
    assert len(heard) == 12
    assert (trained.step_s, trained.total_s) == (2.0, 24.0)


def test_a_slow_screen_takes_time_from_a_deadline_but_slows_no_step(
    prepared: Callable[[], Any], hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 s, a step of 2 s and a screen of 30 s leave room for four steps."""
    objective = prepared()
    monkeypatch.setattr(objective, "step", hands.takes(objective.step, 2.0))
    open_end = Schedule(warmup_steps=2)
    trained = objective.train("a", RECIPE, open_end, 99, 100.0, hands.takes(print, 30.0))
    assert trained.step == 4
    assert trained.step_s == 2.0


def test_an_own_objective_begins_with_the_defaults_of_the_studys_axes(
    prepared: Callable[[], Any], tmp_path: Path
) -> None:
    """When it is loaded and when the base is scored: the experts' recipes need not say them."""
    prepared()
    begin = '{"logits": np.zeros((128, 128)),'
    reads = '{"logits": np.full((128, 128), recipe.extra["momentum"]),'
    mine = load(printed("bigrams.py", tmp_path, (begin, reads)), "study")
    objective = mine.Bigrams(mine.study(), tmp_path)
    objective.load(lambda _: None)
    base = objective.evaluate(None, "search", lambda _: None, exact=True)["t"]
    assert base.loss == pytest.approx(np.log(128))
    trained = objective.train("a", objective.study.default, LONG, 1, None, lambda _: None)
    assert trained.step == 1
    assert objective.study.default.extra == {"momentum": 0.9}
    assert not objective.study.experts[0].recipe.extra


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("/home/somebody/models/x", "x"),
        ("~/models/x", "x"),
        ("../of/somebody/x", "x"),
        ("maker/model", "maker/model"),
        ("here", "here"),
        ("near/by", "by"),
    ],
)
def test_a_recipe_tells_no_path_of_an_own_objectives_model(
    model: str,
    told: str,
    prepared: Callable[[], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name of the hub is told whole, of a folder the last part."""
    (tmp_path / "near" / "by").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    objective = prepared()
    objective.study = replace(objective.study, model=model)
    assert objective.load(lambda _: None).base["id"] == told


def test_an_own_objective_scores_the_items_that_it_is_asked_for(
    prepared: Callable[[], Any],
) -> None:
    """All of them, or a part by their place; the base is what was not trained."""
    objective = prepared()
    objective.train("a", RECIPE, LONG, 5, None, lambda _: None)
    whole = objective.evaluate("a", "search", lambda _: None, exact=True)["t"]
    part = objective.evaluate("a", "search", lambda _: None, exact=True, part=(2, 5))["t"]
    assert part.losses == whole.losses[2:5]
    base = objective.evaluate(None, "search", lambda _: None, exact=True)["t"]
    assert len(base.losses) == 9
    assert base.loss == pytest.approx(np.log(128))
    with pytest.raises(WorkerFailed, match="deadline"):
        objective.evaluate("a", "search", lambda _: None, exact=True, deadline_s=-1.0)


def test_an_own_objective_writes_the_rows_in_the_order_of_training(
    prepared: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the source of each, as a language model's."""
    objective = prepared()
    seen: list[Any] = []
    step = objective.step

    def spy(state: Any, rows: Any, rate: float, recipe: Recipe) -> float:
        seen.extend(row["messages"] for row in rows)
        return float(step(state, rows, rate, recipe))

    monkeypatch.setattr(objective, "step", spy)
    objective.train("a", RECIPE, LONG, 3, None, lambda _: None)
    objective.export("a", tmp_path / "recipe")
    rows = list(iterate_jsonl(tmp_path / "recipe" / "data" / "train.jsonl"))
    assert [row["messages"] for row in rows] == seen
    assert {row["source"] for row in rows} == set(demo.TRAINED)


@pytest.mark.parametrize(
    ("old", "new", "call"),
    [
        ('state["speed"] *= recipe', 'state["speed"] *= recipes', "train"),
        ("chances.argmax(1) == after[1])", "2.0)", "evaluate"),
    ],
)
def test_what_an_own_objective_raises_is_told_with_its_line(
    old: str, new: str, call: str, prepared: Callable[[], Any], tmp_path: Path
) -> None:
    """As a failure of the segment, in words that the page gives."""
    prepared()
    mine = load(printed("bigrams.py", tmp_path, (old, new)), "study")
    objective = mine.Bigrams(mine.study(), tmp_path)
    objective.load(lambda _: None)
    train = partial(objective.train, "a", RECIPE, LONG, 5, None, lambda _: None)
    evaluate = partial(objective.evaluate, None, "search", lambda _: None, exact=True)
    with pytest.raises(WorkerFailed) as caught:
        (train if call == "train" else evaluate)()
    number = next(n for n, line in enumerate(CODE["bigrams.py"].splitlines(), 1) if old in line)
    if call == "train":
        assert f"line {number} of bigrams.py" in str(caught.value)
    words = str(caught.value).replace(f"line {number}", "line 12")
    told(words)
