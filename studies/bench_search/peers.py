"""Methods of other libraries, run by a Python of their own (`--peers-python`) through a pipe.

Set it up in a throw-away environment:

    python3 -m venv peers
    peers/bin/pip install torch syne-tune==0.16.0 neural-pipeline-search==0.17.0
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from search.errors import BadInput, WorkerFailed
from studies.bench_search.halving import draw, goals
from studies.bench_search.methods import Method
from studies.recorded import Exhausted, Meter, Problem, Run

DRIVER = Path(__file__).with_name("peer_driver.py")
NAMES = ("syne-tune-moasha", "neps-moasha", "neps-primo")
NEEDED = "import neps, syne_tune"


class Peers:
    """Another environment's process, started when it is first needed.

    Raises:
        BadInput: the Python cannot import the libraries.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        try:
            done = subprocess.run(
                [python, "-c", NEEDED], check=False, capture_output=True, text=True
            )
        except OSError as err:
            raise BadInput(f"--peers-python {python}: {err.strerror}") from err
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise BadInput(
                f"--peers-python {python}: {reason}; in its environment: "
                "pip install torch syne-tune==0.16.0 neural-pipeline-search==0.17.0"
            )

    def methods(self) -> Mapping[str, Method]:
        """All of them."""
        return {name: Method(search=self._search(name), stepwise=True, peer=True) for name in NAMES}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _search(self, name: str) -> Any:
        def search(problem: Problem, meter: Meter, seed: int) -> None:
            job = {
                "method": name,
                "parameters": [asdict(p) for p in problem.parameters],
                "full": problem.full,
                "goals": 2 if problem.timed else 1,
                "seed": seed,
            }
            rng = np.random.default_rng(seed)
            runs: dict[str, Run] = {}
            self._tell(job)
            while True:
                asked = self._asked(name)
                try:
                    run = runs.get(asked["run"]) or _begin(problem, meter, asked["config"], rng)
                    if run is None:
                        self._tell({"goals": None})
                        return
                    runs[asked["run"]] = run
                    if asked["step"] > run.step:
                        run.train(asked["step"])
                except Exhausted:
                    self._tell({"goals": None})
                    raise
                seen = min(step for step in run.points if step >= asked["step"])
                self._tell({"goals": goals(problem, run, seen)})

        return search

    def _tell(self, what: Mapping[str, Any]) -> None:
        process = self._started()
        assert process.stdin is not None  # noqa: S101  # it is a pipe
        try:
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()
        except OSError as err:
            raise self._failed("peers") from err

    def _asked(self, name: str) -> Any:
        process = self._started()
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        line = process.stdout.readline()
        if not line:
            raise self._failed(name)
        return json.loads(line)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # closed with the process
            self._process = subprocess.Popen(
                [self._python, str(DRIVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        return self._process

    def _failed(self, name: str) -> WorkerFailed:
        said: list[str] = []
        if self._process is not None and self._errors is not None:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
        return WorkerFailed(f"{name} ended: {(said or ['no message'])[-1]}")


def _begin(
    problem: Problem, meter: Meter, config: dict[str, Any], rng: np.random.Generator
) -> Run | None:
    """A run of this config; a row of a table that was tried before is replaced by another one."""
    if problem.table and next(iter(config.values())) not in meter.untried():
        return draw(problem, meter, rng)
    return meter.start(config)
