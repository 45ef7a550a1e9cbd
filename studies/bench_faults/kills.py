"""kill -9 at random instants: of the job, of its training process, or of both.

The jobs are real processes on formulas (`studies.bench_faults.job`). Each is killed again and
again and given the same command again; in the end its folder is compared with that of a job that
was left alone.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from search.budget import read_ledger
from search.store import CUT_OFF
from studies.bench_faults.served import DONE

BUDGET_S = 100_000.0
VICTIMS = ("job", "training process", "both")
LONGEST_S = 3.0
"""A kill comes at a random instant within so many real seconds of the start, or of the last one."""
MOST_KILLS = 12
"""Kills of one job; then it is left alone."""
ORPHAN_S = 10.0
"""Seconds within which a training process must notice that its job is gone."""


@dataclass
class Broken:
    """What became of a job that was killed again and again."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    """What is not as it should be; empty if all is."""
    redone: int = 0
    """Pieces of work that were carried out more than once."""
    gave_up: int = 0


def start(out: Path, seed: int) -> subprocess.Popen[str]:
    """The job's command."""
    command = [sys.executable, "-m", "studies.bench_faults.job", str(out), str(BUDGET_S), str(seed)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def children(pid: int) -> list[int]:
    """A process's children."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, file.read_text(encoding="ascii").split())
        except OSError:
            continue  # the thread has ended
    return found


def kill(pid: int) -> None:
    """kill -9, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def ends(pid: int, within_s: float) -> bool:
    """Whether a process ends by itself."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return True
        if state[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def run_alone(out: Path, seed: int) -> None:
    """A job that nobody kills.

    Raises:
        RuntimeError: it failed all the same.
    """
    process = start(out, seed)
    _, err = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a job that was left alone failed: {err.strip()}")


def break_job(out: Path, seed: int, most: int) -> Broken:
    """Kill a job at random instants until it is done all the same.

    Args:
        out: its run folder.
        seed: of the job and of the instants.
        most: kills at most.
    """
    chance = random.Random(seed)
    broken = Broken(seed=seed)
    while not (out / "summary.json").is_file():
        process = start(out, seed)
        while process.poll() is None:
            left = most - sum(broken.kills.values())
            try:
                process.wait(chance.uniform(0.0, LONGEST_S) if left > 0 else None)
            except subprocess.TimeoutExpired:
                victim = chance.choice(VICTIMS)
                workers = children(process.pid)
                if victim == "training process" and not workers:
                    continue
                broken.kills[victim] += 1
                for worker in workers if victim != "job" else ():
                    kill(worker)
                if victim != "training process":
                    kill(process.pid)
                    process.wait()
                    for worker in workers:
                        if not ends(worker, ORPHAN_S):
                            broken.complaints.append("a training process outlived its job")
                            kill(worker)
        err = process.communicate()[1].strip()
        if process.returncode == 1 and "in a row" in err:
            broken.gave_up += 1
        elif process.returncode not in (0, -signal.SIGKILL):
            broken.complaints.append(f"exit code {process.returncode}: {err[-300:]}")
            return broken
    return broken


def trials(out: Path) -> list[dict[str, Any]]:
    """What Optuna's study holds, as far as it must not depend on kills."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{out}/study.db")
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "params": trial.params,
            "values": trial.values,
            "rungs": [(r["tokens"], r["loss"]) for r in trial.user_attrs.get("rungs", [])],
            "short": trial.user_attrs["reason"].startswith(CUT_OFF),
        }
        for trial in study.get_trials(deepcopy=False)
    ]


def done(out: Path) -> Counter[tuple[str, str | None]]:
    """How often each piece of training and scoring was carried out."""
    text = (out / "trials" / DONE).read_text(encoding="utf-8")
    made: Counter[tuple[str, str | None]] = Counter()
    for line in text.splitlines():
        op, trial = json.loads(line)
        if op in ("train", "evaluate"):
            made[op, trial] += 1
    return made


def compare(broken: Broken, out: Path, alone: Path) -> None:
    """Add what is not as in the job that was left alone to the complaints."""
    complain = broken.complaints.append
    recipes = [
        json.loads((p / "recipe/recipe.json").read_text(encoding="utf-8"))["recipe"]
        for p in (out, alone)
    ]
    if recipes[0] != recipes[1]:
        complain(f"recipe.json: {recipes[0]}, not {recipes[1]}")
    ours, theirs = trials(out), trials(alone)
    if [trial["number"] for trial in ours] != list(range(len(ours))):
        complain("the study's trials are not numbered from 0")
    for one, other in zip(ours, theirs, strict=False):
        short = one.pop("short") | other.pop("short")  # what is cut short depends on the time left
        keys = ("number", "params") if short else tuple(one)
        if [one[key] for key in keys] != [other[key] for key in keys]:
            complain(f"the study's trial {one['number']}: {one}, not {other}")
            break
    end = 0.0
    for span in read_ledger(out / "ledger.jsonl"):
        if abs(span.start - end) > 2e-4:
            complain(f"the ledger has a gap or an overlap at {end}")
        end = span.start + span.seconds
    if end > BUDGET_S:
        complain(f"overshot by {end - BUDGET_S} s")
    both = {str(n) for n in range(min(len(ours), len(theirs)))} | {None}
    again = done(out) - done(alone)
    broken.redone = sum(count for (_, trial), count in again.items() if trial in both)
    if broken.redone > sum(broken.kills.values()):
        complain(f"{broken.redone} pieces of work were done again after {dict(broken.kills)}")


def facts(found: Sequence[Broken]) -> dict[str, Any]:
    """The figures over all jobs."""
    kills: Counter[str] = Counter()
    for broken in found:
        kills.update(broken.kills)
    return {
        "jobs": len(found),
        "kills": dict(sorted(kills.items())),
        "as_if_left_alone": sum(not broken.complaints for broken in found),
        "redone": sum(broken.redone for broken in found),
        "gave_up": sum(broken.gave_up for broken in found),
        "complaints": [f"seed {b.seed}: {text}" for b in found for text in b.complaints],
    }


def lines(made: dict[str, Any]) -> list[str]:
    """The figures for people."""
    kills = made["kills"]
    told = ", ".join(f"{count} of the {victim}" for victim, count in kills.items())
    return [
        f"{sum(kills.values())} kills in {made['jobs']} jobs: {told}".replace("the both", "both"),
        f"{made['as_if_left_alone']} of {made['jobs']} jobs ended as if left alone",
        f"{made['redone']} pieces of work were done again",
        *made["complaints"],
    ]
