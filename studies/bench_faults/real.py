"""Jobs with a real model, killed at random instants: how they are started, and what is looked at.

`python -m studies.bench_faults.real OUT BUDGET SEED` is `search.run` with a training process that
notes what it does; `python -m studies.bench_faults.real` is that process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives import process
from objectives.objective import Progress
from search import run
from search.errors import BadInput
from search.read_recipe import read_recipe
from search.worker import ProcessObjective

CHECKPOINT_S = 60.0
"""Seconds of training between two checkpoints, of which no more than one interval may be lost."""
SLACK_S = 5.0
"""A checkpoint is taken at the end of the step that the interval ends in, and is written while
training goes on."""
SIGNS = "signs.jsonl"
"""In trials/: what the training processes of a job did, sign after sign."""


class Noted(process.Process):
    """The training process, leaving signs that outlive it."""

    what: tuple[str, str | None] = ("load", None)

    def handle(self, request: dict[str, Any]) -> None:
        """Note what is begun, and what is done."""
        self.what = (request["op"], request.get("trial"))
        if request["op"] == "load":
            self.file = Path(request["run_dir"]) / "trials" / SIGNS
            self.file.parent.mkdir(exist_ok=True)
        self.sign("begun")
        super().handle(request)

    def send(self, message: dict[str, Any]) -> None:
        """Note what is answered before it is."""
        if message["event"] != "progress":
            self.sign(message["event"])
        super().send(message)

    def listen(self, progress: Progress) -> None:
        """Note how far training has come."""
        if self.what[0] == "train" and progress.tokens:
            self.sign("at", progress.tokens)
        super().listen(progress)

    def sign(self, event: str, tokens: int = 0) -> None:
        """One line, in the system's hands before this returns."""
        op, trial = self.what
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps([time.time(), event, op, trial, tokens]) + "\n")


@dataclass
class Lost:
    """Training that was done and then had to be done again."""

    seconds: float = 0.0
    most_s: float = 0.0
    """By one kill."""
    segments: int = 0
    """Segments that were answered and trained again all the same."""


def lost(out: Path) -> Lost:
    """What was lost, from the signs that a job's training processes left."""
    found = Lost()
    seen: dict[str, list[tuple[float, float, int]]] = {}
    """By trial: from when to when a step led to how many tokens, what is lost taken back."""
    answered: dict[str, int] = {}
    fresh, began = "", 0.0
    for when, event, op, trial, tokens in signs(out):
        if op != "train":
            continue
        if event == "begun":
            fresh, began = trial, when
        elif event == "at":
            before = seen.setdefault(trial, [])
            if fresh == trial:
                again = [step for step in before if step[2] >= tokens]
                if again:
                    seconds = before[-1][1] - again[0][0]
                    found.seconds += seconds
                    found.most_s = max(found.most_s, seconds)
                    found.segments += answered.get(trial, 0) >= tokens
                    del before[-len(again) :]
                fresh = ""
            before.append((began, when, tokens))
            began = when
        elif event == "done" and seen.get(trial):
            answered[trial] = seen[trial][-1][2]
    return found


def signs(out: Path) -> Iterator[tuple[float, str, str, str, int]]:
    """(time, begun|at|done|error, operation, trial, tokens) as they were left."""
    for line in (out / "trials" / SIGNS).read_text(encoding="utf-8").splitlines():
        when, event, op, trial, tokens = json.loads(line)
        yield when, event, op, trial, tokens


def examine(out: Path) -> tuple[Lost, list[str]]:
    """What was lost of a job that is done, and what is not as it should be."""
    found, complaints = lost(out), []
    if found.most_s > CHECKPOINT_S + SLACK_S:
        complaints.append(f"{found.most_s:.0f} s of training were lost by one kill")
    try:
        read_recipe(out / "recipe")
    except BadInput as error:
        complaints.append(str(error))
    return found, complaints


def main(arguments: Sequence[str] | None = None) -> int:
    """A job, or its training process."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        process.main(Noted)
        return 0
    out, budget_s, seed = words
    ProcessObjective.command = (sys.executable, "-m", "studies.bench_faults.real")
    flags = ["--budget", f"{float(budget_s):.0f}s", "--out", out, "--seed", seed, "--quiet"]
    return run.main(flags)


if __name__ == "__main__":
    raise SystemExit(main())
