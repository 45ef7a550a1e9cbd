"""Interactive figures: complete, the same each time, and nothing that a run says is markup."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
from optuna.trial import TrialState

from search.report.facts import Facts
from search.report.interactive import learning, pareto
from search.store import Record, Rung
from spaces import Recipe
from spaces.recipe import Quantization, Targets

RECIPE = Recipe(
    rank=16,
    alpha=32,
    targets=Targets.ALL_LINEAR,
    quantization=Quantization.BF16,
    packing=True,
    max_length=512,
    learning_rate=2e-4,
    tokens_per_step=512,
    mixture={"s": 1.0},
)


def rung(number: int, loss: float, accuracy: float, hours: float = 1.0) -> Rung:
    """An early evaluation."""
    return Rung(
        rung=number,
        tokens=1000 * 3**number,
        step=10,
        accuracy=accuracy,
        stderr=0.05,
        loss=loss,
        per_task={"t": accuracy},
        train_s=1800 * hours * (number + 1),
        eval_s=1800 * hours * (number + 1),
    )


def record(number: int, state: TrialState, *rungs: Rung, reason: str = "r") -> Record:
    """A trial; the first is the control."""
    return Record(
        number=number,
        state=state,
        bracket=0,
        origin="o",
        recipe=RECIPE,
        params={},
        distributions={},
        rungs=rungs,
        reason=reason,
        control=number == 0,
    )


TRIALS = (
    record(0, TrialState.COMPLETE, rung(0, 3.0, 0.1), rung(1, 2.0, 0.2)),
    record(1, TrialState.PRUNED, rung(0, 4.0, 0.05, 2.0), reason="pruned: beaten by trial 2"),
    record(2, TrialState.COMPLETE, rung(0, 2.5, 0.15), rung(1, 1.5, 0.4)),
    record(3, TrialState.RUNNING, rung(0, 2.8, 0.15, 3.0)),
    record(4, TrialState.FAIL, rung(0, 2.9, 0.1, 3.0)),
    record(5, TrialState.RUNNING),
)


def facts(**changes: Any) -> Facts:
    """What a report of `TRIALS` is made from."""
    front = [(0, TRIALS[2].rungs[0]), (1, TRIALS[2].rungs[1])]
    summary: dict[str, Any] = {
        "pareto": [{"trial": 2, "tokens": found.tokens} for _, found in front],
        "base": {"accuracy": 0.02, "stderr": 0.01},
        "default": None,
        "final": {"accuracy": 0.5, "stderr": 0.04, "gpu_hours": 4.0, "trial": 2},
        "forecast_final": {"accuracy": 0.45, "low": 0.3, "high": 0.55, "gpu_hours": 4.5},
        "device": "CPU, 2 cores",
    }
    return Facts(
        summary=summary | changes.pop("summary", {}),
        records=changes.pop("records", TRIALS),
        spans=(),
        data_lines=(),
        sources={},
        over_long={},
        dropped=(),
        contamination=None,
        metrics={},
        scores={},
        exported=True,
    )


def named(figure: go.Figure) -> dict[str, Any]:
    """Traces by the first words of their names."""
    return {trace.name.partition(":")[0]: trace for trace in figure.data}


def test_without_an_evaluation_there_is_no_figure() -> None:
    """Nothing is drawn of nothing."""
    assert learning([], None) is None
    assert learning([TRIALS[5]], None) is None
    assert pareto(facts(records=(TRIALS[5],), summary={"pareto": []})) is None


def test_every_trial_has_its_own_line() -> None:
    """Lines of one trace are parted by gaps; each group of trials is a trace."""
    drawn = named(learning(TRIALS, 2))
    assert list(drawn) == [
        "pruned (1)",
        "failed (1)",
        "not finished (1)",
        "trial 0, default",
        "trial 2, final run",
    ]
    assert list(drawn["trial 2, final run"].x) == [1000, 3000]
    assert list(drawn["trial 2, final run"].y) == [2.5, 1.5]
    both = named(learning(TRIALS, None))["complete (1)"]
    assert list(both.y) == [2.5, 1.5]
    two = [record(n, TrialState.PRUNED, rung(0, 3.0 + n, 0.1)) for n in (1, 2)]
    assert list(named(learning(two, None))["pruned (2)"].y) == [4.0, None, 5.0]


def test_a_pointer_tells_trial_recipe_and_reason() -> None:
    """What the decision was is with the point."""
    text = named(learning(TRIALS, 2))["pruned (1)"].text[0]
    assert "trial 1" in text
    assert "pruned: beaten by trial 2" in text.replace("<br>", " ")
    assert RECIPE.short() in text.replace("<br>", " ")
    assert "loss 4.000, accuracy 0.050 ± 0.050" in text


def test_front_dominated_and_pruned_are_told_apart() -> None:
    """All evaluations are there, each once."""
    drawn = named(pareto(facts()))
    assert list(drawn["Pareto front"].y) == [0.15, 0.4]
    assert list(drawn["Pareto front"].error_y.array) == [0.05, 0.05]
    assert sorted(drawn["of pruned trials"].y) == [0.05, 0.1]
    assert sorted(drawn["dominated"].y) == [0.1, 0.15, 0.2]
    assert drawn["of pruned trials"].opacity < drawn["dominated"].opacity


def test_forecast_and_final_run_stand_side_by_side() -> None:
    """With the forecast's own interval, which is not the same on both sides."""
    drawn = named(pareto(facts()))
    bar = drawn["forecast of the final run"].error_y
    assert [round(x, 6) for x in (*bar.arrayminus, *bar.array)] == [0.15, 0.1]
    assert list(drawn["final run"].error_y.array) == [0.04]
    assert list(drawn["default"].y) == [0.2]
    unfinished = named(pareto(facts(summary={"final": None, "forecast_final": None, "base": None})))
    assert not {"final run", "forecast of the final run", "base model"} & set(unfinished)


def test_a_forecast_of_no_hours_stands_where_the_final_run_ended() -> None:
    """A final run without time is no reason to lose its forecast, nor to draw it left of zero."""
    foreseen = {"accuracy": 0.45, "low": 0.3, "high": 0.55, "gpu_hours": -7.0}
    drawn = named(pareto(facts(summary={"forecast_final": foreseen})))
    assert list(drawn["forecast of the final run"].x) == [4.0]
    drawn = named(pareto(facts(summary={"forecast_final": foreseen, "final": None})))
    assert "forecast of the final run" not in drawn


def test_what_a_run_says_is_not_markup() -> None:
    """plotly reads links and breaks in texts; a reason has none."""
    attack = "<a href='https://x.example'>a</a></script><b>&amp;"
    hostile = replace(TRIALS[1], reason=attack * 40)
    for figure in (learning([hostile], None), pareto(facts(records=(hostile, *TRIALS[2:])))):
        assert figure is not None
        texts = [text for trace in figure.data for text in trace.text or ()]
        assert any("&lt;a href=" in text for text in texts)
        assert not any("<a" in text or "</script" in text for text in texts)


def test_the_same_trials_give_the_same_figure() -> None:
    """No chance, no clock, and no theme of plotly's, whose colours are for white paper."""
    for first, second in (
        (learning(TRIALS, 2), learning(TRIALS, 2)),
        (pareto(facts()), pareto(facts())),
    ):
        assert first is not None
        assert second is not None
        assert first.to_json() == second.to_json()
        assert '"paper_bgcolor":"rgba(0,0,0,0)"' in first.to_json()
        assert "#E5ECF6" not in first.to_json()  # the background of plotly's own theme
