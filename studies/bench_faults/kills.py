"""kill -9 at random instants: of the job, of its training process, or of both.

The jobs are real processes, on formulas (`studies.bench_faults.job`) or with a real model
(`studies.bench_faults.real`). Each is killed again and again and given the same command again. In
the end, the folder of one on formulas is compared with that of a job that was left alone.
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
from studies.bench_faults import real
from studies.bench_faults.served import DONE

VICTIMS = ("job", "training process", "both")
ORPHAN_S = 10.0
"""Seconds within which a training process must notice that its job is gone."""


@dataclass(frozen=True, kw_only=True)
class Sort:
    """A sort of jobs."""

    module: str
    """Is started with run folder, budget in seconds and seed."""
    budget_s: float
    longest_s: float
    """A kill comes at a random instant within so many real seconds of the start, or of the last
    one."""
    most: int
    """Kills of one job; then it is left alone."""


FORMULAS = Sort(module="studies.bench_faults.job", budget_s=20_000.0, longest_s=3.0, most=12)
REAL = Sort(module="studies.bench_faults.real", budget_s=480.0, longest_s=90.0, most=5)


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
    lost_s: float = 0.0
    """Seconds of training that were done again."""
    overshoot_s: float = 0.0


def start(out: Path, seed: int, sort: Sort = FORMULAS) -> subprocess.Popen[str]:
    """The job's command."""
    command = [sys.executable, "-m", sort.module, str(out), str(sort.budget_s), str(seed)]
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


def break_job(out: Path, seed: int, most: int, sort: Sort = FORMULAS) -> Broken:
    """Kill a job at random instants until it is done all the same.

    Args:
        out: its run folder.
        seed: of the job and of the instants.
        most: kills at most.
        sort: of the job.
    """
    chance = random.Random(seed)
    broken = Broken(seed=seed)
    while not (out / "summary.json").is_file():
        process = start(out, seed, sort)
        while process.poll() is None:
            left = most - sum(broken.kills.values())
            try:
                process.wait(chance.uniform(0.0, sort.longest_s) if left > 0 else None)
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
    look_at_folder(broken, out, FORMULAS)
    complain = broken.complaints.append
    recipes = [
        json.loads((p / "recipe/recipe.json").read_text(encoding="utf-8"))["recipe"]
        for p in (out, alone)
    ]
    if recipes[0] != recipes[1]:
        complain(f"recipe.json: {recipes[0]}, not {recipes[1]}")
    ours, theirs = trials(out), trials(alone)
    for one, other in zip(ours, theirs, strict=False):
        short = one.pop("short") | other.pop("short")  # what is cut short depends on the time left
        keys = ("number", "params") if short else tuple(one)
        if [one[key] for key in keys] != [other[key] for key in keys]:
            complain(f"the study's trial {one['number']}: {one}, not {other}")
            break
    if broken.overshoot_s:
        complain(f"overshot by {broken.overshoot_s} s")
    both = {str(n) for n in range(min(len(ours), len(theirs)))} | {None}
    again = done(out) - done(alone)
    broken.redone = sum(count for (_, trial), count in again.items() if trial in both)
    if broken.redone > sum(broken.kills.values()):
        complain(f"{broken.redone} pieces of work were done again after {dict(broken.kills)}")


def look_at_folder(broken: Broken, out: Path, sort: Sort) -> None:
    """What must be as it should in any job's folder; adds what is not to the complaints."""
    ours = trials(out)
    if [trial["number"] for trial in ours] != list(range(len(ours))):
        broken.complaints.append("the study's trials are not numbered from 0")
    if open_ones := [trial["number"] for trial in ours if trial["state"] == "RUNNING"]:
        broken.complaints.append(f"trials {open_ones} have no state")
    for trial in ours:
        tokens = [tokens for tokens, _ in trial["rungs"]]
        if sorted(set(tokens)) != tokens:
            broken.complaints.append(f"trial {trial['number']} has rungs at {tokens} tokens")
    end = 0.0
    for span in read_ledger(out / "ledger.jsonl"):
        if abs(span.start - end) > 2e-4:
            broken.complaints.append(f"the ledger has a gap or an overlap at {end}")
        end = span.start + span.seconds
    broken.overshoot_s = max(0.0, end - sort.budget_s)


def look_at_real(broken: Broken, out: Path) -> None:
    """The same for a job with a real model, and how much was trained again."""
    look_at_folder(broken, out, REAL)
    lost, complaints = real.examine(out)
    broken.complaints += complaints
    broken.lost_s, broken.redone = lost.seconds, lost.segments


def facts(found: Sequence[Broken]) -> dict[str, Any]:
    """The figures over all jobs."""
    kills: Counter[str] = Counter()
    for broken in found:
        kills.update(broken.kills)
    return {
        "jobs": len(found),
        "kills": dict(sorted(kills.items())),
        "sound": sum(not broken.complaints for broken in found),
        "redone": sum(broken.redone for broken in found),
        "lost_s": round(sum(broken.lost_s for broken in found), 1),
        "gave_up": sum(broken.gave_up for broken in found),
        "most_overshoot_s": round(max(broken.overshoot_s for broken in found), 1),
        "complaints": [f"seed {b.seed}: {text}" for b in found for text in b.complaints],
    }


def lines(made: dict[str, Any], as_: str) -> list[str]:
    """The figures for people; `as_` says what a sound job ended as."""
    kills = made["kills"]
    told = ", ".join(f"{count} of the {victim}" for victim, count in kills.items())
    return [
        f"{sum(kills.values())} kills in {made['jobs']} jobs: {told}".replace("the both", "both"),
        f"{made['sound']} of {made['jobs']} jobs ended {as_}",
        f"{made['redone']} finished pieces of work were done again",
        f"{made['lost_s']} s of training were done again",
        f"overshoot: {made['most_overshoot_s']} s at most",
        *made["complaints"],
    ]
