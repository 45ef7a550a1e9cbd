"""The zero guard: nothing is trained on a base model that cannot answer in the form asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from objectives.objective import Smoke
from search.budget import read_ledger
from search.errors import BadInput, WorkerFailed
from search.smoke import ANSWER_START, PROMPT_END, complaint
from tests.simulated import Simulation


def simulation(path: Path) -> Simulation:
    """A job of an hour."""
    return Simulation(path / "run", budget_s=3600)


def operations(made: Simulation) -> list[str]:
    """What the objective was asked for, in order."""
    assert made.objective is not None
    return [operation for operation, _, _ in made.objective.log]


class Killed(BaseException):
    """Stands for kill -9."""


def test_the_base_model_answers_some_items_before_anything_else(tmp_path: Path) -> None:
    """One line per task; the seconds are charged to loading, and so are known to the plan."""
    made = simulation(tmp_path)
    made.run()
    assert operations(made)[0] == "smoke"
    assert operations(made).count("smoke") == 1
    assert "smoke: alpha: 20 of 20 answers well-formed" in made.view.lines
    spans = [
        span for span in read_ledger(tmp_path / "run" / "ledger.jsonl") if span.note == "smoke"
    ]
    assert [span.kind for span in spans] == ["load"]
    assert made.store().noted("plan")["load_s"] > sum(span.seconds for span in spans) > 0


def test_a_task_of_malformed_answers_stops_the_job_before_training(tmp_path: Path) -> None:
    """One line shows prompt and answer and says what to do; a mended command may use the folder."""
    made = simulation(tmp_path)
    with pytest.raises(BadInput) as caught:
        made.run(malformed=("beta",))
    said = str(caught.value)
    assert said.startswith("task beta: all 20 answers of the base model are malformed (no answer")
    assert r"prompt: 'a rule\nand a question of beta?' answer: ''" in said
    assert "smoke_items=0" in said
    assert "\n" not in said
    assert "train" not in operations(made)
    assert not made.path.exists()
    made.run()
    assert (made.path / "summary.json").is_file()


def test_without_smoke_items_nothing_is_asked(tmp_path: Path) -> None:
    """The user may know better."""
    made = simulation(tmp_path)
    made.changes["smoke_items"] = 0
    made.run(malformed=("alpha", "beta"))
    assert "smoke" not in operations(made)


@pytest.mark.parametrize("point", ["smoke", "smoked"])
def test_a_job_killed_during_the_smoke_evaluation_asks_again(point: str, tmp_path: Path) -> None:
    """It is passed only once it was noted; later processes do not repeat it."""
    made = simulation(tmp_path)

    def kill(at: str, _trial: str) -> None:
        if at == point:
            raise Killed

    with pytest.raises(Killed):
        made.run(fail=kill)
    with pytest.raises(BadInput, match="malformed"):
        made.run(malformed=("alpha",))
    asked = operations(made).count("smoke")

    def kill_later(at: str, trial: str) -> None:
        if (at, trial) == ("train", "2"):
            raise Killed

    with pytest.raises(Killed):
        made.run(fail=kill_later)
    assert operations(made).count("smoke") == asked + 1
    made.run(malformed=("alpha",))
    assert operations(made).count("smoke") == asked + 1


def test_a_crash_during_the_smoke_evaluation_is_met_by_a_new_process(tmp_path: Path) -> None:
    """Twice; a third crash in a row ends the job, which can be resumed."""
    made = simulation(tmp_path)
    left = 1

    def crash(at: str, _trial: str) -> None:
        nonlocal left
        if at == "smoke" and left:
            left -= 1
            raise WorkerFailed("segmentation fault")

    made.run(fail=crash)
    assert any("smoke: tried again" in line for line in made.view.lines)
    again = simulation(tmp_path / "again")
    left = 3
    with pytest.raises(WorkerFailed, match="segmentation fault"):
        again.run(fail=crash)


def test_a_few_malformed_answers_are_told_and_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training may mend them."""
    some = Smoke(items=20, malformed=19, prompt="p", answer="", why="no\nanswer")
    monkeypatch.setattr(
        "objectives.replay.CurveObjective.smoke", lambda self, count, listener: {"alpha": some}
    )
    made = simulation(tmp_path)
    made.run()
    told = [line for line in made.view.lines if line.startswith("smoke")]
    assert told == [r"smoke: alpha: 1 of 20 answers well-formed (malformed: no\nanswer)"]


def test_the_complaint_is_one_line_of_a_sensible_length() -> None:
    """The prompt's end is the question; control characters are shown, letters stay as they are."""
    seen = Smoke(
        items=20,
        malformed=20,
        prompt="rule " * 100 + "Größe?\n<|assistant|>\x1b[0m",
        answer="ja\r\n" * 100,
        why="endless",
    )
    said = complaint(["a", "b", "c"], seen)
    assert said.isprintable()
    assert len(said) < PROMPT_END + ANSWER_START + 300
    assert r"Größe?\n<|assistant|>\x1b[0m' answer: 'ja\r\nja" in said
    assert "'…rule" not in said
    assert "(so are those of b, c)" in said
