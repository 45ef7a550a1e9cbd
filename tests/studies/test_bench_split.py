"""Replays of the decided split, on made-up curves."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.split import LEAST_FINAL
from studies.bench_search.lcbench import EPOCHS
from studies.bench_split import (
    CURVES,
    DECIDED,
    DEFAULT,
    EPOCH,
    FIRST_RUNG,
    FIXED,
    NEVER,
    RANDOM,
    TPE,
    Replay,
    main,
    named,
    ways,
)
from studies.catalog import find
from studies.recorded import Config, Parameter, Point, Problem

STUDY = replace(find("demo"), first_rung_tokens=FIRST_RUNG * EPOCH, bracket=9)
FULL_S = float(EPOCHS)
"""Seconds of a full run."""


def problem(*, apart: float, gain: float) -> Problem:
    """Curves that end `gain` above their start, at limits up to `apart` below the best one.

    The default is the worst config; an epoch takes a second.
    """

    def measure(config: Config, step: int) -> Point:
        top = 0.95 - apart * (1 - float(config["x"]))
        accuracy = top - gain * step**-0.5
        return Point(accuracy=accuracy, loss=1 - accuracy, seconds=float(step))

    return Problem(
        name="made up",
        parameters=(Parameter(name="x", default=0.0),),
        full=EPOCHS,
        measure=measure,
        early="accuracy",
    )


def replay(of: Problem, budget_s: float, share: float | None, seed: int = 0) -> Replay:
    """One job, not yet run."""
    return Replay(problem=of, budget_s=budget_s, seed=seed, share=share, study=STUDY)


RECIPES_MATTER = problem(apart=0.5, gain=0.02)
LENGTH_MATTERS = problem(apart=0.002, gain=0.6)


@pytest.mark.parametrize(("budget_s", "epochs"), [(10.5, 10), (52.0, 52), (500.0, 52)])
def test_everything_on_the_default_is_one_run_of_it(budget_s: float, epochs: int) -> None:
    """As long as the budget allows, and no longer than the recorded curve."""
    of = LENGTH_MATTERS
    assert replay(of, budget_s, 0.0).run() == of.measure(of.default(), epochs).accuracy


@pytest.mark.parametrize("share", [*FIXED, None])
@pytest.mark.parametrize("budget", [0.5, 1, 4])
def test_the_search_keeps_to_its_share(share: float | None, budget: float) -> None:
    """A fixed one, or all but the least that the final run always gets."""
    job = replay(RECIPES_MATTER, budget * FULL_S, share)
    job.run()
    most = 1 - LEAST_FINAL if share is None else share
    assert 0 < job.meter.spent_s <= most * budget * FULL_S


def test_the_final_run_goes_on_from_the_winner_with_what_is_left() -> None:
    """Its epochs in the search are not paid twice."""
    job = replay(RECIPES_MATTER, FULL_S, 0.5)
    accuracy = job.run()
    top = max(run.step for run in job.meter.runs)
    winner = max((r for r in job.meter.runs if r.step == top), key=lambda r: float(r.config["x"]))
    step = min(EPOCHS, top + math.floor(job.meter.left_s))
    assert step > top
    assert accuracy == RECIPES_MATTER.measure(winner.config, step).accuracy


@pytest.mark.parametrize("share", [0.5, None])
def test_the_same_seed_gives_the_same_split(share: float | None) -> None:
    """So that a figure can be had again."""
    one, two = (replay(RECIPES_MATTER, 2 * FULL_S, share, seed=3) for _ in range(2))
    assert one.run() == two.run()
    assert one.reason == two.reason
    assert one.meter.spent_s == two.meter.spent_s


def test_the_search_is_longer_where_recipes_lie_apart() -> None:
    """On steep curves of recipes that are alike it ends early, and says why."""
    apart, alike = (replay(of, 1.5 * FULL_S, None) for of in (RECIPES_MATTER, LENGTH_MATTERS))
    apart.run()
    alike.run()
    assert alike.meter.spent_s < apart.meter.spent_s
    assert alike.reason.startswith("the search ends: a further trial may")


def test_the_control_is_ended_by_time_alone() -> None:
    """It goes on where the rule would have ended the search, and gives no reason."""
    decided = replay(LENGTH_MATTERS, 1.5 * FULL_S, None)
    control = replace(decided, ends=False)
    decided.run()
    control.run()
    assert control.meter.spent_s > decided.meter.spent_s
    assert not control.reason


@pytest.mark.parametrize("of", [RECIPES_MATTER, LENGTH_MATTERS])
def test_the_decided_split_is_near_the_best_fixed_one(of: Problem) -> None:
    """Within a hundredth, and no worse than everything on the default recipe."""
    seeds = range(8)
    finals = {
        share: statistics.fmean(replay(of, 2 * FULL_S, share, seed).run() for seed in seeds)
        for share in (*FIXED, None)
    }
    decided = finals.pop(None)
    assert decided >= max(finals.values()) - 0.01
    assert decided >= replay(of, 2 * FULL_S, 0.0).run()


def test_all_splits_get_the_same_proposals_and_the_decided_one_others_too() -> None:
    """So that what is compared is the split alone; each way gives its accuracy at each budget."""
    found = ways([CURVES, RANDOM], [0.5, 1.0])
    splits = [f"{share:.0%} search" for share in FIXED] + [NEVER, DECIDED]
    assert [*found] == [DEFAULT, *(named(s, CURVES) for s in splits), named(DECIDED, RANDOM)]
    of = RECIPES_MATTER
    for name, way in found.items():
        scores = dict(way(of, 1))
        assert [*scores] == [0.5, 1.0]
        if name == DEFAULT:
            assert scores[1.0] == of.measure(of.default(), EPOCHS).accuracy


@pytest.mark.parametrize("source", [TPE, CURVES])
def test_proposals_learn_from_the_trials(source: str) -> None:
    """Where one end of an axis is best, the trials after the first dozen are nearer to it."""
    of = RECIPES_MATTER

    def found(proposals: str) -> float:
        job = replace(replay(of, 8 * FULL_S, None, seed=1), proposals=proposals)
        job.run()
        return statistics.fmean(float(run.config["x"]) for run in job.meter.runs[12:])

    assert found(source) > found(RANDOM) + 0.1


def test_the_command_keeps_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told and kept are means and paired differences; a second call measures only what is new."""
    pytest.importorskip("scipy")
    measured: list[int] = []
    monkeypatch.setattr("studies.bench_split.Surrogate", lambda *_, **__: MadeUp())
    run = Replay.run

    def counted(job: Replay) -> float:
        measured.append(job.seed)
        return run(job)

    monkeypatch.setattr(Replay, "run", counted)
    out = tmp_path / "jobs.json"
    command = ["--data", str(tmp_path), "--out", str(out), "--budgets", "1", "--proposals", RANDOM]
    assert main([*command, "--seeds", "1"]) == 0
    assert set(measured) == {0}
    measured.clear()
    assert main([*command, "--seeds", "2"]) == 0
    assert set(measured) == {1}
    told = capsys.readouterr().out
    assert "1 full runs of the default: mean score" in told
    facts = json.loads(out.read_text(encoding="utf-8"))
    assert facts["command"].endswith("--seeds 2 --budgets 1 --proposals random")
    against = facts["summary"]["1"]["against"][named(DECIDED, RANDOM)]
    scores = facts["scores"]
    gap = statistics.fmean(
        scores[named(DECIDED, RANDOM)][name]["1"][seed] - scores[DEFAULT][name]["1"][seed]
        for name in MadeUp.sets
        for seed in ("0", "1")
    )
    assert gap > 0
    assert against[DEFAULT]["difference"] == pytest.approx(gap, abs=1e-4)


class MadeUp:
    """In the place of LCBench's surrogate."""

    sets = ("apart", "alike")

    def problem(self, name: str) -> Problem:
        """One of two."""
        return {"apart": RECIPES_MATTER, "alike": LENGTH_MATTERS}[name]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--seeds", "0"), "--seeds 0: give at least 1"),
        (("--budgets", "1", "nan"), "--budgets nan: give a positive number"),
        (("--budgets", "inf"), "--budgets inf: give a positive number"),
        (("--budgets", "0"), "--budgets 0: give a positive number"),
        ((), "give the folder `lcbench` of github.com/slds-lmu/yahpo_data"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    more: tuple[Any, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured."""
    if not more:
        pytest.importorskip("onnxruntime")
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "x.json"), *more]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
