"""`python -m studies.bench_faults.served`: formulas behind the GPU process's protocol.

It takes the place of `objectives.process`: the same messages over the same pipes, checkpoints on
the disk, but no model and no GPU. Simulated time passes at the parent's: every answer is preceded
by a sign of life that says how much.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from objectives.objective import Listener, Progress, Schedule, Trained
from objectives.replay import CurveObjective
from objectives.wire import error_kind, listen, plain, plain_scores, plain_smoke
from search.budget import SimulatedClock
from search.errors import Interrupted, RecipeSearchError
from spaces import Recipe

ADVANCE = "advance "
"""What a sign of life begins with that lets time pass at the parent's."""
DONE = "done.jsonl"
"""In trials/: the operations that were carried out, by all processes of a job."""
PIECES, PIECE_S = 4, 0.002
"""Every operation takes so many real pauses, so that it can be killed in the middle."""


class OnDisk(CurveObjective):
    """Formulas whose checkpoints outlive the process."""

    def __init__(self, clock: SimulatedClock, folder: Path) -> None:
        super().__init__(clock, load_s=0.0)
        self._file = folder / "formulas.json"
        self.took: dict[str, tuple[int, float]] = {}
        """By trial: the step that the last segment led to, and its seconds."""
        if not self._file.is_file():
            return
        for name, fields in json.loads(self._file.read_text(encoding="utf-8")).items():
            recipe, step, curve, schedule, took = fields
            self.state[name] = (
                Recipe.from_dict(recipe),
                step,
                [(int(tokens), float(loss)) for tokens, loss in curve],
                Schedule(**schedule) if schedule else None,
            )
            if took:
                self.took[name] = (took[0], took[1])

    def train(
        self,
        trial: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
    ) -> Trained:
        """As of formulas; a segment that was carried out before its job was killed takes its time.

        So every segment's time is counted once, whatever instant a kill comes at.
        """
        before = self.clock.now()
        found = super().train(trial, recipe, schedule, until_step, deadline_s, listener)
        step, seconds = self.took.get(trial, (0, 0.0))
        if not found.new_tokens and step == found.step:
            self.clock.advance(seconds)
        else:
            self.took[trial] = (found.step, self.clock.now() - before)
        return found

    def save(self) -> None:
        """Write all checkpoints, whole or not at all."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        content = {
            name: (
                recipe.to_dict(),
                step,
                curve,
                plain(schedule) if schedule else None,
                self.took.get(name),
            )
            for name, (recipe, step, curve, schedule) in self.state.items()
        }
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(self._file)

    def note(self, op: str, trial: str | None) -> None:
        """Keep what was done, to see what is done twice."""
        with self._file.with_name(DONE).open("a", encoding="utf-8") as file:
            file.write(json.dumps([op, trial]) + "\n")


class Served:
    """One method per operation of the protocol."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.stopped = threading.Event()
        self.objective: OnDisk | None = None

    def handle(self, request: dict[str, Any]) -> None:
        """Carry one operation out and answer it."""
        self.stopped.clear()
        before = self.clock.now()
        op, trial = request.pop("op"), request.get("trial")
        try:
            result = self._do(op, request)
            for _ in range(PIECES):
                time.sleep(PIECE_S)
                if self.stopped.is_set():
                    raise Interrupted("stopped")
        except RecipeSearchError as error:
            say({"event": "error", "kind": error_kind(error), "message": str(error)})
            return
        if self.objective is not None:
            self.objective.save()
            self.objective.note(op, trial)
        self.listen(Progress(phase="", done=1.0, note=f"{ADVANCE}{self.clock.now() - before!r}"))
        say({"event": "done", "result": result})

    def _do(self, op: str, request: dict[str, Any]) -> Any:
        if op == "load":
            self.objective = OnDisk(self.clock, Path(request["run_dir"]) / "trials")
            return plain(self.objective.load(self.listen))
        made = self.objective
        assert made is not None  # noqa: S101  # the parent loads first
        if op == "smoke":
            return plain_smoke(made.smoke(request["count"], self.listen))
        if op == "train":
            recipe = Recipe.from_dict(request["recipe"])
            schedule = Schedule(**request["schedule"])
            until, deadline = request["until_step"], request["deadline_s"]
            return plain(
                made.train(request["trial"], recipe, schedule, until, deadline, self.listen)
            )
        if op == "evaluate":
            part = tuple(request["part"]) if request["part"] else None
            return plain_scores(
                made.evaluate(
                    request["trial"], request["items"], self.listen, exact=True, part=part
                )
            )
        if op == "export":
            return made.export(request["trial"], Path(request["folder"]))
        return getattr(made, op)(**request)

    def listen(self, progress: Progress) -> None:
        """A sign of life."""
        say({"event": "progress"} | plain(progress))


def say(message: dict[str, Any]) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve requests until the input ends."""
    served = Served()
    requests = listen(served.stopped.set)
    while True:
        served.handle(requests.get())


if __name__ == "__main__":
    main()
