"""The parent's side of the GPU process: an Objective that speaks objectives.wire."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

from objectives.objective import Listener, Loaded, Progress, Schedule, Scores, Smoke, Trained
from objectives.wire import ERRORS, plain, to_loaded, to_scores, to_smoke, to_trained
from search.errors import Interrupted, RecipeSearchError, WorkerFailed
from search.signs import one_line
from spaces import Recipe

SILENCE_S = 600.0
"""Seconds without a sign of life after which the GPU process counts as hung: compiling the layers
of a large model takes minutes."""
QUIET_S = 60.0
"""Seconds of silence that are not enough for it in an evaluation of a kind that this process has
carried out before, ..."""
QUIETER = 5.0
"""... nor is a silence less than this many times as long as the longest one of that kind."""
LATE_S = 30.0
"""Seconds after its deadline at which a segment counts as hung: it ends by itself before that."""
STOP_S = 6.0
"""Seconds the GPU process gets to finish a step and save when the job is interrupted."""
CLOSE_S = 2.0
"""Seconds it then gets to end."""


class Patience:
    """Seconds of silence after which a process counts as hung.

    The first call of a kind may have to load a base in its precision; later ones are held to what
    was seen of the first. One that loads another base in silence may be taken for a hang: the
    process that takes its place begins anew.
    """

    def __init__(self) -> None:
        self._longest: dict[Hashable, float] = {}

    def limit_s(self, kind: Hashable) -> float:
        """The limit for a call of a kind; None is a kind that is always given the longest."""
        if kind not in self._longest:
            return SILENCE_S
        return min(SILENCE_S, max(QUIET_S, QUIETER * self._longest[kind]))

    def learn(self, kind: Hashable, longest_s: float) -> None:
        """Take in the longest silence of a call that was answered."""
        if kind is not None:
            self._longest[kind] = max(longest_s, self._longest.get(kind, 0.0))


class ProcessObjective:
    """Trains and scores in a process of its own, so that the parent survives the GPU."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "objectives.process")
    """Starts the process."""

    def __init__(
        self,
        *,
        model: str,
        run_dir: Path,
        seed: int,
        max_length: int,
        memory_gib: float | None = None,
        shuffle: bool = True,
        trust_remote_code: bool = False,
    ) -> None:
        """Nothing is started yet.

        Args:
            model: Hugging Face id or local folder.
            run_dir: holds data/ (read) and trials/ (written); the log goes to worker.log.
            seed: of adapters and of the order of rows.
            max_length: rows over this many tokens are dropped.
            memory_gib: use no more GPU memory than this.
            shuffle: draw rows in a seeded order; else in the order of their file.
            trust_remote_code: run code that comes with the model.
        """
        self._setup = {
            "model": model,
            "run_dir": str(run_dir.resolve()),
            "seed": seed,
            "max_length": max_length,
            "memory_gib": memory_gib,
            "shuffle": shuffle,
            "trust_remote_code": trust_remote_code,
        }
        self._log = run_dir / "worker.log"
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._patience = Patience()

    def start(self) -> None:
        """Start the process: it imports its libraries while the parent does something else."""
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops it in order
            )
        self._lines = queue.SimpleQueue()
        self._patience = Patience()
        threading.Thread(
            target=_read, args=(_pipe(self._process.stdout), self._lines), daemon=True
        ).start()

    def load(self, listener: Listener) -> Loaded:
        """Load the base model, in a process that is started if none is there."""
        if self._process is None:
            self.start()
        return to_loaded(self._ask("load", self._setup, listener))

    def smoke(self, count: int, listener: Listener) -> dict[str, Smoke]:
        """See `Objective.smoke`."""
        return to_smoke(self._ask("smoke", {"count": count}, listener))

    def train(
        self,
        trial: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
    ) -> Trained:
        """See `Objective.train`."""
        request = {
            "trial": trial,
            "recipe": recipe.to_dict(),
            "schedule": plain(schedule),
            "until_step": until_step,
            "deadline_s": deadline_s,
        }
        within_s = None if deadline_s is None else deadline_s + LATE_S
        return to_trained(self._ask("train", request, listener, within_s=within_s))

    def evaluate(
        self,
        trial: str | None,
        items: str,
        listener: Listener,
        *,
        exact: bool,
        part: tuple[int, int] | None = None,
        deadline_s: float | None = None,
    ) -> Scores:
        """See `Objective.evaluate`."""
        request = {"trial": trial, "items": items, "exact": exact, "part": part}
        return to_scores(self._ask("evaluate", request, listener, kind=exact, within_s=deadline_s))

    def fork(self, trial: str, name: str) -> None:
        """See `Objective.fork`."""
        self._ask("fork", {"trial": trial, "name": name})

    def discard(self, trial: str) -> None:
        """See `Objective.discard`."""
        self._ask("discard", {"trial": trial})

    def export(self, trial: str, folder: Path) -> None:
        """See `Objective.export`."""
        self._ask("export", {"trial": trial, "folder": str(folder.resolve())})

    def close(self) -> None:
        """End the process: it exits when its input ends, or is killed if that takes long."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        try:
            process.wait(timeout=CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ask(
        self,
        op: str,
        request: dict[str, Any],
        listener: Listener | None = None,
        *,
        kind: Hashable = None,
        within_s: float | None = None,
    ) -> Any:
        if self._process is None:
            raise WorkerFailed("the training process is not running")
        try:
            self._send(op, request)
            return self._answer(listener, kind, within_s)
        except KeyboardInterrupt:
            self._stop()
            raise Interrupted("interrupted") from None

    def _send(self, op: str, request: dict[str, Any]) -> None:
        assert self._process is not None  # noqa: S101  # for the type checker; _ask looked
        try:
            pipe = _pipe(self._process.stdin)
            pipe.write(json.dumps({"op": op} | request) + "\n")
            pipe.flush()
        except OSError:
            raise WorkerFailed(self._epitaph()) from None

    def _answer(
        self, listener: Listener | None, kind: Hashable = None, within_s: float | None = None
    ) -> Any:
        """The answer to what was asked; it must come in time, and signs of life before it."""
        patience_s = self._patience.limit_s(kind)
        heard = time.monotonic()
        late = math.inf if within_s is None else heard + within_s
        longest_s = 0.0
        while True:
            try:
                wait_s = min(patience_s, late - time.monotonic())
                line = self._lines.get(timeout=max(0.0, wait_s))
            except queue.Empty:
                why = f"gave no sign of life for {patience_s:.0f} s"
                if time.monotonic() >= late:
                    why = "did not end in time"
                self._kill_hung()
                raise WorkerFailed(
                    f"the training process {why} and was killed (see {self._log.name})"
                ) from None
            if not line:
                raise WorkerFailed(self._epitaph())
            longest_s = max(longest_s, time.monotonic() - heard)
            heard = time.monotonic()
            message = json.loads(line)
            event = message.pop("event")
            if event == "progress":
                if listener is not None:
                    listener(Progress(**message))
            elif event == "done":
                self._patience.learn(kind, longest_s)
                return message["result"]
            else:
                raise ERRORS[message["kind"]](one_line(message["message"]))

    def _kill_hung(self) -> None:
        """Kill a process that hangs; its threads' stacks go to the log first."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGUSR1)
                time.sleep(0.2)
            process.kill()
        self.close()

    def _stop(self) -> None:
        """Let the process finish its step and save; a second Ctrl-C, or waiting long, kills it.

        What was saved before is whole either way.
        """
        process = self._process
        if process is None:
            return
        try:
            self._send("stop", {})
            with contextlib.suppress(RecipeSearchError):
                self._answer(None, within_s=STOP_S)
            self.close()
        except (KeyboardInterrupt, WorkerFailed):
            process.kill()
            self.close()

    def _epitaph(self) -> str:
        process = self._process
        self.close()
        code = process.returncode if process else None
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        last = next(filter(None, map(one_line, reversed(lines))), "no message")
        return f"the training process ended with code {code}: {last} (see {self._log.name})"


def _read(pipe: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Pass lines on as they come; an empty one says that no more will."""
    with pipe, contextlib.suppress(ValueError):  # closed
        for line in pipe:
            if line.endswith("\n"):  # a killed process may leave half a line
                lines.put(line)
    lines.put("")


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # noqa: S101  # Popen was given PIPE
    return pipe
