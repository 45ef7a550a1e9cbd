"""Choosing among finalists on fresh items, and their held-out scores, in simulated time."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from objectives.objective import Scores, TaskScore
from objectives.replay import CurveObjective
from search.budget import read_ledger
from search.errors import Diverged, OutOfMemory, WorkerFailed
from search.finalists import MOST, candidates
from search.folder import RunFolder
from search.report.text import closing_lines, heldout_words, rank_words
from search.store import Record, Rung
from search.summary import heldout_correlation, rank_correlation, summarise
from studies.catalog import find
from tests.simulated import Simulation

HOUR = 3600.0
FAST = 50_000.0
"""Tokens per second at which an hour's trials come to answer something."""
STUDY = find("demo")


class Killed(BaseException):
    """Stands for kill -9: nothing in the loop may catch it."""


def summary_of(made: Simulation) -> dict[str, Any]:
    """summary.json of a finished run."""
    content: dict[str, Any] = json.loads((made.path / "summary.json").read_text())
    return content


def outcome(made: Simulation) -> dict[str, Any]:
    """Everything that was decided, and the finalists' scores."""
    store = made.store()
    return {
        "trials": [(r.recipe.to_dict(), r.state, r.reason) for r in store.records()],
        "winner": store.noted("winner"),
        "reason": store.noted("winner_reason"),
        "finalists": summary_of(made)["finalists"],
    }


@pytest.fixture(scope="module")
def hour() -> Iterator[Simulation]:
    """A finished search of an hour on a fast device."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        made = Simulation(Path(folder) / "run", budget_s=HOUR)
        made.run(tokens_per_s=FAST)
        yield made


def patch_scores(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[str | None, str, Scores], Scores]
) -> None:
    """Let evaluations give other scores."""
    original = CurveObjective.evaluate

    def changed(
        self: CurveObjective, trial: str | None, items: str, *rest: Any, **options: Any
    ) -> Scores:
        return change(trial, items, original(self, trial, items, *rest, **options))

    monkeypatch.setattr(CurveObjective, "evaluate", changed)


def flipped(scores: Scores) -> Scores:
    """The opposite of every outcome, and losses in the opposite order."""
    return {
        task: TaskScore(correct=[1 - c for c in s.correct], losses=[9 - x for x in s.losses])
        for task, s in scores.items()
    }


def test_finalists_are_scored_again_on_fresh_items_and_the_noise_is_stated(
    hour: Simulation,
) -> None:
    """Every one that could be chosen, the control among them; charged to its trial."""
    rows = summary_of(hour)["finalists"]
    complete = [r.number for r in hour.store().records() if r.state is TrialState.COMPLETE]
    assert {row["trial"] for row in rows} <= set(complete)
    assert 3 <= len(rows) <= MOST
    assert 0 in {row["trial"] for row in rows}
    assert all(row["fresh"]["items"] == 132 for row in rows)
    reason = hour.store().noted("winner_reason")
    assert "on 132 fresh items" in reason
    assert " ± " in reason
    spans = read_ledger(hour.path / "ledger.jsonl")
    for row in rows:
        fresh = [s for s in spans if s.note == f"{row['trial']} on finalists"]
        held = [s for s in spans if s.note == f"{row['trial']} on heldout"]
        assert {(s.kind, s.trial) for s in fresh} == {("search_eval", row["trial"])}
        assert {(s.kind, s.trial) for s in held} == {("final_eval", row["trial"])}


def test_luck_on_the_search_items_does_not_choose(
    hour: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that does well in the search and badly on fresh items is not taken."""
    lucky = str(hour.store().noted("winner"))

    def change(trial: str | None, items: str, scores: Scores) -> Scores:
        if (trial, items) != (lucky, "finalists"):
            return scores
        return {
            task: TaskScore(correct=[0.0] * len(s.correct), losses=[9.0] * len(s.losses))
            for task, s in scores.items()
        }

    patch_scores(monkeypatch, change)
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    made.run(tokens_per_s=FAST)
    assert [r.reason for r in made.store().records()] == [r.reason for r in hour.store().records()]
    assert made.store().noted("winner") != int(lucky)


def test_no_decision_sees_final_or_held_out_items(
    hour: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other scores on them change nothing but what is reported."""

    def change(_trial: str | None, items: str, scores: Scores) -> Scores:
        return flipped(scores) if items in {"final", "heldout"} else scores

    patch_scores(monkeypatch, change)
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    made.run(tokens_per_s=FAST)
    for key in ("trials", "winner", "reason"):
        assert outcome(made)[key] == outcome(hour)[key]
    assert made.store().noted("final_trained") == hour.store().noted("final_trained")
    assert summary_of(made)["final"]["accuracy"] != summary_of(hour)["final"]["accuracy"]
    assert summary_of(made)["finalists"] != summary_of(hour)["finalists"]


def test_final_and_default_are_measured_on_items_that_chose_nothing(hour: Simulation) -> None:
    """Their scores come from other files than those of search and finalists."""
    made = hour.path / "scores"
    for name in ("final", "0", "base"):
        assert (made / f"{name}-final.json").is_file()
    assert not (made / "final-finalists.json").exists()
    for part in ("final", "default"):
        assert summary_of(hour)[part]["stderr"] > 0


@pytest.mark.parametrize("what", ["evaluate", "evaluated"])
@pytest.mark.parametrize("items", ["finalists", "heldout"])
@pytest.mark.parametrize("nth", [0, 1, 3])
def test_a_job_killed_while_scoring_finalists_resumes_to_the_same_outcome(
    what: str, items: str, nth: int, hour: Simulation, tmp_path: Path
) -> None:
    """Scores that were kept are not computed again, and the same trial is chosen."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    seen = 0

    def kill(point: str, trial: str) -> None:
        nonlocal seen
        if point == what and trial.endswith(f" on {items}") and trial[0].isdigit():
            seen += 1
            if seen == nth + 1:
                raise Killed

    with pytest.raises(Killed):
        made.run(fail=kill, tokens_per_s=FAST)
    made.run(tokens_per_s=FAST)
    assert outcome(made) == outcome(hour)
    assert summary_of(made)["overshoot_s"] == 0
    notes = [s.note for s in read_ledger(made.path / "ledger.jsonl") if s.note.endswith(items)]
    assert len(notes) <= len(set(notes)) + 1


@pytest.mark.parametrize("slowness", [5.0, 20.0, 60.0])
@pytest.mark.parametrize("budget_s", [1800.0, HOUR])
def test_a_machine_that_becomes_slow_among_finalists_keeps_the_deadline(
    slowness: float, budget_s: float, tmp_path: Path
) -> None:
    """What no longer fits is left out, and the reason says by which items was chosen."""
    made = Simulation(tmp_path / "run", budget_s=budget_s)

    def slow(point: str, trial: str) -> None:
        assert made.objective is not None
        if (point, trial[1:]) == ("evaluate", " on finalists"):
            made.objective.slowness = slowness

    made.run(fail=slow, tokens_per_s=FAST)
    summary = summary_of(made)
    assert summary["overshoot_s"] == 0
    assert summary["final"]["accuracy"] >= 0
    reason = made.store().noted("winner_reason")
    fresh = sum(row["fresh"] is not None for row in summary["finalists"])
    left_out = len(summary["finalists"]) - fresh
    assert ("no time was left to score" in reason) == (left_out > 0)
    assert ("by early evaluation only" in reason) == (fresh < 2)
    assert ("search items" in reason) == (fresh < 2)
    assert left_out or slowness < 60


@pytest.mark.parametrize("slowness", [120.0, 200.0])
def test_a_machine_that_becomes_slow_during_held_out_scores_leaves_the_rest_out(
    slowness: float, hour: Simulation, tmp_path: Path
) -> None:
    """They are worth less than the final run: the choice stays, the deadline holds."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)

    def slow(point: str, trial: str) -> None:
        assert made.objective is not None
        if (point, trial) == ("evaluated", "0 on heldout"):
            made.objective.slowness = slowness

    made.run(fail=slow, tokens_per_s=FAST)
    summary = summary_of(made)
    assert summary["overshoot_s"] == 0
    assert outcome(made)["winner"] == outcome(hour)["winner"]
    scored = [row["trial"] for row in summary["finalists"] if row["heldout"]]
    assert 0 in scored
    assert len(scored) < len(summary["finalists"])
    assert any("no time was left for held-out scores" in line for line in made.view.lines)
    told = f"cannot be told from {len(scored)} trial"
    assert told in " ".join(closing_lines(summary, made.path))


def crashing(what: str, error: Exception, times: int) -> Callable[[str, str], None]:
    """Raise `error` the first `times` times that an evaluation such as `3 on heldout` begins."""
    left = times

    def fail(point: str, trial: str) -> None:
        nonlocal left
        if (point, trial) == ("evaluate", what) and left:
            left -= 1
            raise error

    return fail


def test_a_crash_while_scoring_a_finalist_is_met_by_a_new_process(
    hour: Simulation, tmp_path: Path
) -> None:
    """Nothing is lost but time."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    winner = hour.store().noted("winner")
    made.run(
        fail=crashing(f"{winner} on finalists", WorkerFailed("no driver"), 1), tokens_per_s=FAST
    )
    assert outcome(made) == outcome(hour)
    assert any("tried again after a failure: no driver" in line for line in made.view.lines)


@pytest.mark.parametrize(
    ("error", "times"), [(WorkerFailed("no driver"), 3), (OutOfMemory("full"), 1)]
)
def test_a_finalist_whose_evaluation_fails_is_left_out(
    error: Exception, times: int, hour: Simulation, tmp_path: Path
) -> None:
    """The others are chosen from, on fresh items, and the reason names it."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    winner = hour.store().noted("winner")
    made.run(fail=crashing(f"{winner} on finalists", error, times), tokens_per_s=FAST)
    assert made.store().noted("winner") != winner
    reason = made.store().noted("winner_reason")
    assert "fresh items" in reason
    assert f"trial {winner} could not be scored on fresh items" in reason
    assert summary_of(made)["overshoot_s"] == 0


def test_a_finalist_whose_losses_are_no_numbers_is_left_out(
    hour: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN is never compared, and never kept."""
    winner = str(hour.store().noted("winner"))

    def change(trial: str | None, items: str, scores: Scores) -> Scores:
        if (trial, items) == (winner, "finalists"):
            next(iter(scores.values())).losses[0] = math.nan
        return scores

    patch_scores(monkeypatch, change)
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    made.run(tokens_per_s=FAST)
    assert made.store().noted("winner") != int(winner)
    assert not (made.path / "scores" / f"{winner}-finalists.json").exists()


def test_finalists_none_of_which_can_be_scored_are_chosen_from_by_early_evaluation(
    tmp_path: Path,
) -> None:
    """After a whole search, that is better than nothing, and it is said."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)

    def full(point: str, trial: str) -> None:
        if point == "evaluate" and trial.endswith("on finalists"):
            raise OutOfMemory("full")

    made.run(fail=full, tokens_per_s=FAST)
    reason = made.store().noted("winner_reason")
    assert "200 search items" in reason
    assert "by early evaluation only" in reason
    assert "no time" not in reason
    assert summary_of(made)["final"] is not None


def test_a_single_candidate_is_not_scored_again(tmp_path: Path) -> None:
    """There is nothing to choose, and the reason says so."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)

    def full(point: str, trial: str) -> None:
        if point == "train" and trial not in {"0", "final"}:
            raise OutOfMemory("full")

    made.run(fail=full, tokens_per_s=FAST)
    reason = made.store().noted("winner_reason")
    assert reason.endswith("the only finalist, and was not scored again")
    assert not (made.path / "scores" / "0-finalists.json").exists()


@pytest.mark.parametrize("error", [WorkerFailed("no driver"), Diverged("nan")])
def test_a_held_out_score_that_fails_costs_only_itself(
    error: Exception, hour: Simulation, tmp_path: Path
) -> None:
    """No decision needs it."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    other = next(row["trial"] for row in summary_of(hour)["finalists"] if row["trial"])
    made.run(fail=crashing(f"{other} on heldout", error, 9), tokens_per_s=FAST)
    rows = {row["trial"]: row["heldout"] for row in summary_of(made)["finalists"]}
    missing = [trial for trial, score in rows.items() if score is None]
    assert other in missing
    assert missing == [other] or isinstance(error, WorkerFailed)  # a new process takes time
    assert outcome(made)["winner"] == outcome(hour)["winner"]
    assert summary_of(made)["final"] is not None


@pytest.mark.parametrize("what", ["base on final", "0 on final", "0 on heldout"])
def test_a_reference_that_cannot_be_scored_does_not_end_the_job(what: str, tmp_path: Path) -> None:
    """The search's work is kept; the comparison is what is missing."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    made.run(fail=crashing(what, Diverged("nan"), 9), tokens_per_s=FAST)
    summary = summary_of(made)
    missing = {"base on final": "base", "0 on final": "default"}.get(what)
    assert all((summary[p] is None) == (p == missing) for p in ("base", "default", "final"))


def test_a_final_recipe_whose_losses_are_no_numbers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chosen trial as it was is exported, and its own scores are the ones recorded."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    broken = 0

    def change(trial: str | None, items: str, scores: Scores) -> Scores:
        nonlocal broken
        if (trial, items) == ("final", "heldout") and not broken:
            broken += 1
            next(iter(scores.values())).losses[0] = math.nan
        return scores

    patch_scores(monkeypatch, change)
    made.run(tokens_per_s=FAST)
    store = made.store()
    winner = store.records()[store.noted("winner")]
    assert broken
    assert store.noted("final_trained")["steps"] == winner.rungs[-1].step
    assert any("given up" in line for line in made.view.lines)
    kept = RunFolder(made.path).read_scores("final-final")
    assert kept is not None
    assert all(score.loss > 0.5 for score in kept.values())  # the decayed run's are below


def record(number: int, loss: float, state: TrialState = TrialState.COMPLETE) -> Record:
    """A trial at the top rung."""
    rung = Rung(
        rung=0,
        tokens=1,
        step=1,
        accuracy=0.5,
        stderr=0.1,
        loss=loss,
        per_task={},
        train_s=1,
        eval_s=1,
    )
    return Record(
        number=number,
        state=state,
        bracket=0,
        origin="",
        recipe=STUDY.experts[0].recipe,
        params={},
        distributions={},
        rungs=(rung,),
        control=number == 0,
    )


def test_the_best_by_search_loss_and_the_control_are_candidates() -> None:
    """Many complete trials do not make choosing expensive."""
    records = [record(0, 9.0), *(record(n, 2 - n / 10) for n in range(1, 12))]
    found = [r.number for r in candidates(records, HOUR)]
    assert found == [11, 10, 9, 8, 7, 0]
    assert [r.number for r in candidates(records[:4], HOUR)] == [3, 2, 1, 0]
    good = [record(0, 0.1), *records[1:]]
    assert [r.number for r in candidates(good, HOUR)] == [0, 11, 10, 9, 8, 7]


def test_search_and_held_out_scores_are_correlated_over_trials(hour: Simulation) -> None:
    """The figures are those of the table, and the terminal's last lines tell them."""
    summary = summary_of(hour)
    found = summary["heldout_correlation"]
    assert found == heldout_correlation(summary["finalists"])
    assert found["n"] == len(summary["finalists"])
    assert found["loss_spearman"] > 0.5
    assert heldout_words(found) in closing_lines(summary, hour.path)
    tops = {r.number: r.rungs[-1] for r in hour.store().records() if r.rungs}
    for row in summary["finalists"]:
        assert row["search"]["accuracy"] == pytest.approx(tops[row["trial"]].accuracy, abs=1e-5)
        kept = hour.path / "scores" / f"{row['trial']}-heldout.json"
        assert kept.is_file()
    default = next(row for row in summary["finalists"] if row["trial"] == 0)
    assert default["heldout"]["per_task"] == summary["default"]["heldout"]


def rows(*pairs: tuple[float, float | None]) -> list[dict[str, Any]]:
    """Finalists with (search, held-out) accuracy."""
    return [
        {
            "search": {"accuracy": a, "loss": -a},
            "heldout": None if b is None else {"accuracy": b, "loss": -b},
        }
        for a, b in pairs
    ]


@pytest.mark.parametrize(
    ("pairs", "spearman", "says", "warns"),
    [
        ([], None, "cannot be told from 0 trials", False),
        ([(0.1, 0.1)], None, "cannot be told from 1 trial", False),
        ([(0.1, 0.1), (0.2, 0.2), (0.3, None)], None, "cannot be told from 2 trials", False),
        ([(0.1, 0.0), (0.2, 0.0), (0.3, 0.0)], None, "the same accuracy on one side", False),
        ([(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)], 1.0, "agree: Spearman +1.00", False),
        ([(0.1, 0.3), (0.2, 0.2), (0.3, 0.1)], -1.0, "warning: the trials that scored", True),
        ([(0.1, 0.1), (0.2, 0.3), (0.3, 0.1)], 0.0, "warning: the trials that scored", True),
    ],
)
def test_a_correlation_that_is_not_positive_warns_and_a_missing_one_does_not(
    pairs: list[tuple[float, float | None]], spearman: float | None, says: str, warns: bool
) -> None:
    """No false alarm from too few trials; few ones are called weak evidence."""
    found = heldout_correlation(rows(*pairs))
    assert found["spearman"] == spearman
    said = heldout_words(found)
    assert says in said
    assert said.startswith("warning") == warns
    assert ("weak evidence" in said) == (spearman is not None)
    mixed = heldout_words({"spearman": 0.2, "loss_spearman": -0.8, "n": 4})
    assert mixed.startswith("warning")
    assert "not by loss" in mixed
    many = heldout_words({"spearman": -0.5, "loss_spearman": -0.5, "n": 20})
    assert "warning" in many
    assert "weak evidence" not in many


def test_a_study_without_held_out_tasks_is_told_so(tmp_path: Path) -> None:
    """At the start and at the end, once each; nothing is scored in vain."""
    made = Simulation(tmp_path / "run", budget_s=HOUR)
    made.changes["heldout"] = ()
    made.run(heldout=(), tokens_per_s=FAST)
    told = [n for n, line in enumerate(made.view.lines) if line.startswith("no held-out task")]
    trained = next(n for n, line in enumerate(made.view.lines) if line.startswith("trial 0"))
    assert len(told) == 2
    assert told[0] < trained < told[1]
    summary = summary_of(made)
    assert summary["heldout_tasks"] == []
    assert summary["final"]["heldout"] == {}
    assert summary["heldout_correlation"] == {"spearman": None, "loss_spearman": None, "n": 0}
    assert made.store().noted("plan")["heldout_s"] == 0
    assert not list((made.path / "scores").glob("[1-9]-heldout.json"))


def test_proxy_honesty_is_told_while_the_search_goes_on(hour: Simulation, tmp_path: Path) -> None:
    """As trials finish: a line when it changes, a note with the study, summary.json at the end."""
    told = [line for line in hour.view.lines if line.startswith("rank correlation with the top")]
    complete = [n for n, line in enumerate(hour.view.lines) if ": complete, accuracy" in line]
    assert ["over the 3 trials" in line for line in told[:2]] == [True, False]
    assert all(hour.view.lines.index(line) < complete[0] for line in told[:2])
    found = summary_of(hour)["rank_correlation"]
    assert rank_words(found) == told[-1]
    assert set(found["0"]) == {"spearman", "accuracy_spearman", "n"}
    made = Simulation(tmp_path / "run", budget_s=HOUR)

    def kill(_point: str, trial: str) -> None:
        if trial.endswith("on finalists"):
            raise Killed

    with pytest.raises(Killed):
        made.run(fail=kill, tokens_per_s=FAST)
    store = made.store()
    assert store.noted("rank_correlation") == found
    assert summarise(RunFolder(made.path), store)["rank_correlation"] == found
    assert not (made.path / "summary.json").exists()


def test_rank_correlations_need_three_trials_at_the_top() -> None:
    """Two always agree or disagree completely."""
    assert rank_words(rank_correlation([record(0, 1.0), record(1, 2.0)], 2)) is None
    assert rank_words({}) is None
    told = rank_words({"0": {"spearman": 0.8, "accuracy_spearman": None, "n": 4}})
    assert told is not None
    assert "over the 4 trials" in told
    assert "rung 0 +0.80 by loss and unknown by accuracy" in told
    assert "weak evidence" in told
