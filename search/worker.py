"""The parent's side of the GPU process: an Objective that speaks objectives.wire."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from objectives.objective import Listener, Loaded, Progress, Schedule, Scores, Smoke, Trained
from objectives.wire import ERRORS, plain, to_loaded, to_scores, to_smoke, to_trained
from search.errors import Interrupted, WorkerFailed
from spaces import Recipe

STOP_S = 8.0
"""Seconds the GPU process gets to finish a step and save when the job is interrupted."""


class ProcessObjective:
    """Trains and scores in a process of its own, so that the parent survives the GPU."""

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

    def start(self) -> None:
        """Start the process: it imports its libraries while the parent does something else."""
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "objectives.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops it in order
            )

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
        return to_trained(self._ask("train", request, listener))

    def evaluate(
        self,
        trial: str | None,
        items: str,
        listener: Listener,
        *,
        exact: bool,
        part: tuple[int, int] | None = None,
    ) -> Scores:
        """See `Objective.evaluate`."""
        request = {"trial": trial, "items": items, "exact": exact, "part": part}
        return to_scores(self._ask("evaluate", request, listener))

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
        """End the process: it exits when its input ends."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _pipe(process.stdout).close()

    def _ask(self, op: str, request: dict[str, Any], listener: Listener | None = None) -> Any:
        if self._process is None:
            raise WorkerFailed("the training process is not running")
        try:
            self._send(op, request)
            return self._answer(listener)
        except KeyboardInterrupt:
            self._stop()
            raise Interrupted("stopped by the user") from None

    def _send(self, op: str, request: dict[str, Any]) -> None:
        assert self._process is not None  # noqa: S101  # for the type checker; _ask looked
        try:
            pipe = _pipe(self._process.stdin)
            pipe.write(json.dumps({"op": op} | request) + "\n")
            pipe.flush()
        except OSError:
            raise WorkerFailed(self._epitaph()) from None

    def _answer(self, listener: Listener | None) -> Any:
        assert self._process is not None  # noqa: S101  # likewise
        for line in _pipe(self._process.stdout):
            message = json.loads(line)
            event = message.pop("event")
            if event == "progress":
                if listener is not None:
                    listener(Progress(**message))
            elif event == "done":
                return message["result"]
            else:
                raise ERRORS[message["kind"]](message["message"])
        raise WorkerFailed(self._epitaph())

    def _stop(self) -> None:
        """Let the process finish its step and save; kill it if that takes too long."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(WorkerFailed, KeyboardInterrupt):
            self._send("stop", {})
            with contextlib.suppress(OSError):
                _pipe(process.stdin).flush()
            timer = threading.Timer(STOP_S, process.kill)
            timer.daemon = True
            timer.start()
            try:
                with contextlib.suppress(Exception):
                    self._answer(None)
            finally:
                timer.cancel()
        self.close()

    def _epitaph(self) -> str:
        code = self._process.wait() if self._process else None
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no message"
        return f"the training process ended with code {code}: {last} (see {self._log.name})"


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # noqa: S101  # Popen was given PIPE
    return pipe
