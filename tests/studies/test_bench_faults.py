"""Days that are broken on purpose."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objectives.objective import Progress
from objectives.process import Process
from search.budget import SimulatedClock
from search.errors import BadInput, WorkerFailed
from studies.bench_faults import kills, real
from studies.bench_faults.__main__ import main
from studies.bench_faults.days import CHANCES, Killed, Troubles, day


@pytest.mark.parametrize("seed", range(6))
def test_a_troubled_day_ends_in_time_with_a_recipe(seed: int, tmp_path: Path) -> None:
    """Whatever goes wrong on it."""
    outcome = day(seed, tmp_path)
    assert outcome.saved, outcome
    assert outcome.overshoot_s == 0
    assert sum(outcome.troubles.values()) > 5
    assert not list(tmp_path.iterdir())


def test_troubles_are_of_all_kinds() -> None:
    """Over some days; else a fault that is never injected would look survived."""
    seen: Counter[str] = Counter()
    for seed in range(40):
        troubles = Troubles(seed, SimulatedClock(), kills=True)
        troubles.start()
        for _ in range(100):
            troubles.hang("0")
            try:
                troubles.reach("train", "0")
            except (Killed, WorkerFailed):
                continue
        seen.update(troubles.count)
    assert set(seen) == {*CHANCES, "hang", "kill"}


@pytest.mark.parametrize("seed", range(3))
def test_a_day_that_is_killed_again_and_again_ends_with_a_recipe(seed: int, tmp_path: Path) -> None:
    """By the same command alone."""
    outcome = day(seed, tmp_path, kills=True)
    assert outcome.saved, outcome
    assert outcome.processes == 1 + outcome.troubles["kill"] + len(outcome.stopped)
    assert outcome.processes > 1


def test_a_job_killed_in_real_processes_ends_as_if_left_alone(tmp_path: Path) -> None:
    """The same recipe, the same trials, a whole ledger, and little done twice."""
    kills.run_alone(tmp_path / "alone", 0)
    broken = kills.break_job(tmp_path / "killed", 0, 4)
    kills.compare(broken, tmp_path / "killed", tmp_path / "alone")
    assert broken.complaints == []
    assert sum(broken.kills.values()) >= 2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk of its own, whose size can be changed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")

    def resize(size: str) -> Path:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        return disk

    yield resize
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_the_job_with_one_line_and_it_goes_on_later(
    small: Callable[[str], Path],
) -> None:
    """Whatever was being written when it became full; the same command ends the job."""
    stopped = 0
    for size in ("400k", "1500k", "1900k", "2300k"):
        out = small(size) / f"run-{size}"
        job = kills.start(out, 0)
        err = job.communicate()[1]
        if job.returncode:
            assert job.returncode == 2, err
            assert err.count("\n") == 1
            assert "No space left" in err or "disk is full" in err
            stopped += 1
            small("64m")
            again = kills.start(out, 0)
            err = again.communicate()[1]
            assert again.returncode == 0, err
        assert (out / "recipe" / "recipe.json").is_file()
        shutil.rmtree(out)
    assert stopped >= 3


def test_a_full_disk_of_the_training_process_is_no_fault_of_a_trial() -> None:
    """The system's word for it, or safetensors' own."""
    process = Process(io.StringIO())
    for error in (
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError('IoError(Os { code: 28, message: "No space left on device" })'),
    ):
        assert isinstance(process._classify(error), BadInput)
    assert not isinstance(process._classify(RuntimeError("else")), BadInput)


def test_what_is_not_as_left_alone_is_found(tmp_path: Path) -> None:
    """The comparison can fail: another seed's trials are others, and so is another recipe."""
    kills.run_alone(tmp_path / "alone", 0)
    kills.run_alone(tmp_path / "other", 1)
    file = tmp_path / "other" / "recipe" / "recipe.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    found["recipe"]["learning_rate"] *= 2
    file.write_text(json.dumps(found), encoding="utf-8")
    broken = kills.Broken(seed=0)
    kills.compare(broken, tmp_path / "other", tmp_path / "alone")
    assert any("recipe.json" in text for text in broken.complaints)
    assert any("study" in text for text in broken.complaints)


def test_the_command_counts_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And writes it down."""
    file = tmp_path / "found.json"
    words = ["--days", "2", "--killed-days", "1", "--kills", "1", "--json", str(file)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "2 of 2 days ended in time with a recipe" in out
    assert "1 of 1 jobs ended as if left alone" in out
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["days"]["saved"] == found["days"]["days"] == 2
    assert found["days"]["lost"] == []
    assert main(["--days", "-1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


SIGNS = [
    (0.0, "begun", "load", None, 0),
    (1.0, "begun", "train", "0", 0),
    *((1.0 + k, "at", "train", "0", 100 * k) for k in range(1, 8)),
    # killed here; a checkpoint was taken after 300 tokens
    (20.0, "begun", "load", None, 0),
    (21.0, "begun", "train", "0", 0),
    *((18.0 + k, "at", "train", "0", 100 * k) for k in range(4, 9)),
    (27.0, "done", "train", "0", 0),
    (27.5, "begun", "evaluate", "0", 0),
    (28.0, "begun", "train", "0", 0),
    (29.0, "at", "train", "0", 900),
    (30.0, "done", "train", "0", 0),
]


def signed(out: Path, signs: list[tuple[float, str, str, str | None, int]]) -> Path:
    """A run folder with signs of its training processes."""
    (out / "trials").mkdir(parents=True)
    text = "".join(json.dumps(sign) + "\n" for sign in signs)
    (out / "trials" / real.SIGNS).write_text(text)
    return out


def test_what_a_kill_cost_is_told_by_the_signs_before_and_after_it(tmp_path: Path) -> None:
    """From the beginning of the first step that was done again to the end of the last one."""
    found = real.lost(signed(tmp_path / "run", SIGNS))
    assert (found.seconds, found.most_s, found.segments) == (4.0, 4.0, 0)


def test_a_segment_that_was_answered_and_is_trained_again_is_told(tmp_path: Path) -> None:
    """That must not happen once its checkpoint is on the disk."""
    again = [*SIGNS, (40.0, "begun", "train", "0", 0), (41.0, "at", "train", "0", 500)]
    found = real.lost(signed(tmp_path / "run", again))
    assert found.segments == 1
    assert found.seconds > 4.0


def test_a_long_loss_or_a_broken_recipe_is_a_complaint(tmp_path: Path) -> None:
    """The examination can fail."""
    long = [(when * 40, *rest) for when, *rest in SIGNS]
    _, complaints = real.examine(signed(tmp_path / "run", long))  # type: ignore[arg-type]
    assert any("lost by one kill" in text for text in complaints)
    assert any("recipe.json" in text for text in complaints)


def test_the_training_process_leaves_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what it is asked, how far it came, and that it answered."""
    out = io.StringIO()
    process = real.Noted(out)
    monkeypatch.setattr(process, "op_load", lambda **_: {})

    def train(**_: object) -> dict[str, object]:
        process.listen(Progress(phase="train", done=0.5, tokens=77))
        return {}

    monkeypatch.setattr(process, "op_train", train)
    process.handle({"op": "load", "run_dir": str(tmp_path)})
    process.handle({"op": "train", "trial": "3"})
    assert [(event, op, trial, tokens) for _, event, op, trial, tokens in real.signs(tmp_path)] == [
        ("begun", "load", None, 0),
        ("done", "load", None, 0),
        ("begun", "train", "3", 0),
        ("at", "train", "3", 77),
        ("done", "train", "3", 0),
    ]
    assert out.getvalue().count("\n") == 3
