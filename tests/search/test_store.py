"""The run folder: whose it is, who works there, what is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from objectives.objective import Smoke, TaskScore
from objectives.wire import plain_scores, plain_smoke, to_scores, to_smoke
from search.errors import BadInput
from search.folder import PATIENCE_S, RunFolder
from search.store import macro

JOB = {"study": "demo", "seed": 0, "fingerprint": "x"}


def test_a_new_folder_is_made_and_belongs_to_its_job(tmp_path: Path) -> None:
    """The same job finds it again."""
    folder = RunFolder(tmp_path / "deep" / "run")
    assert not folder.open(JOB)
    folder.release()
    again = RunFolder(tmp_path / "deep" / "run")
    assert again.open(JOB)
    again.release()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 1}, r"seed differs \(0, not 1\)"),
        ({"study": "other"}, "study differs"),
        ({"fingerprint": "y"}, "study or data differs"),
    ],
)
def test_another_jobs_folder_is_refused_with_what_differs(
    change: dict[str, object], says: str, tmp_path: Path
) -> None:
    """Nothing is overwritten, and the user learns why."""
    folder = RunFolder(tmp_path / "run")
    folder.open(JOB)
    folder.release()
    before = (tmp_path / "run" / "job.json").read_text()
    with pytest.raises(BadInput, match=says):
        RunFolder(tmp_path / "run").open({**JOB, **change})
    assert (tmp_path / "run" / "job.json").read_text() == before


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    """A wrong --out never mixes a run into somebody's files."""
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(BadInput, match="no run"):
        RunFolder(tmp_path).open(JOB)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    """Here: below a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write there"):
        RunFolder(tmp_path / "file" / "run").open(JOB)


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    """The second is refused with the first's pid."""
    folder = RunFolder(tmp_path / "run")
    folder.open(JOB)
    code = (
        "import sys; from pathlib import Path; from search.folder import RunFolder\n"
        "from search.errors import BadInput\n"
        "try: RunFolder(Path(sys.argv[1])).open("
        "{'study': 'demo', 'seed': 0, 'fingerprint': 'x'})\n"
        "except BadInput as error: print(error)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    )
    assert f"process {os.getpid()} is working there" in done.stdout
    folder.release()


def test_a_job_waits_for_who_holds_its_folder_briefly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a report does while it brings the dashboard up to date; it gives up in the end."""
    folder = RunFolder(tmp_path / "run")
    folder.open(JOB)
    folder.release()
    waits: list[float] = []
    monkeypatch.setattr("search.folder.time.sleep", waits.append)
    with folder.unless_in_use() as held:
        assert held
        with pytest.raises(BadInput, match=f"process {os.getpid()} is working there"):
            RunFolder(tmp_path / "run").open(JOB)
        assert sum(waits) == pytest.approx(PATIENCE_S, abs=1)
        monkeypatch.setattr("search.folder.time.sleep", lambda _seconds: folder.release())
        job = RunFolder(tmp_path / "run")
        assert job.open(JOB)
    with folder.unless_in_use() as held:
        assert not held
    job.release()


def test_nobody_waits_for_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take a day: another job and a report are told at once."""
    job = RunFolder(tmp_path / "run")
    job.open(JOB)
    monkeypatch.setattr("search.folder.time.sleep", lambda _seconds: pytest.fail("waited"))
    with pytest.raises(BadInput, match="is working there"):
        RunFolder(tmp_path / "run").open(JOB)
    with RunFolder(tmp_path / "run").unless_in_use() as held:
        assert not held
    job.release()


def test_scores_survive_the_disk(tmp_path: Path) -> None:
    """Every item's outcome is kept."""
    folder = RunFolder(tmp_path)
    scores = {"a": TaskScore(correct=[True, False], losses=[0.25, 1.5])}
    assert folder.read_scores("x") is None
    folder.write_scores("x", scores)
    assert folder.read_scores("x") == scores


def test_graded_outcomes_survive_disk_and_wire(tmp_path: Path) -> None:
    """Between wrong and right lies more than two values; right and wrong stay short."""
    folder = RunFolder(tmp_path)
    scores = {"a": TaskScore(correct=[1.0, 0.0, 0.25], losses=[0.25, 1.5, 1.0])}
    folder.write_scores("x", scores)
    assert folder.read_scores("x") == scores
    assert folder.read("scores/x.json")["a"]["correct"] == [1, 0, 0.25]
    assert to_scores(json.loads(json.dumps(plain_scores(scores)))) == scores
    assert scores["a"].accuracy == pytest.approx(1.25 / 3)


def test_a_smoke_evaluation_survives_the_wire() -> None:
    """Plain JSON between parent and GPU process."""
    found = {"a": Smoke(items=20, malformed=1, prompt="<|user|>\n", answer="é", why="no number")}
    assert to_smoke(json.loads(json.dumps(plain_smoke(found)))) == found


def test_the_error_of_a_graded_metric_is_an_upper_bound() -> None:
    """Outcomes that are all the same vary less than the binomial formula says."""
    graded = macro({"t": TaskScore(correct=[0.5] * 100, losses=[0.0] * 100)})
    exact = macro({"t": TaskScore(correct=[1.0, 0.0] * 50, losses=[0.0] * 100)})
    assert graded == exact


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """One line instead of a traceback."""
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(BadInput, match=r"job\.json"):
        RunFolder(tmp_path).read("job.json")


def test_tasks_count_the_same_whatever_their_items() -> None:
    """Macro average, and the standard error of independent binomials."""
    scores = {
        "small": TaskScore(correct=[True, False], losses=[0, 0]),
        "large": TaskScore(correct=[True] * 100, losses=[0] * 100),
    }
    accuracy, stderr = macro(scores)
    assert accuracy == 0.75
    assert stderr == pytest.approx((0.25 / 2) ** 0.5 / 2, rel=0.01)


def test_no_right_answer_is_not_certainty() -> None:
    """Zero of ten has a standard error above zero, and a larger one than zero of a thousand."""
    few = macro({"t": TaskScore(correct=[False] * 10, losses=[0] * 10)})[1]
    many = macro({"t": TaskScore(correct=[False] * 1000, losses=[0] * 1000)})[1]
    assert few > 10 * many > 0
