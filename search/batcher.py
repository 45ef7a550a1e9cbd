"""Requests that wait are answered together, by one thread that owns the model."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from concurrent.futures import Future, InvalidStateError
from typing import NamedTuple

from objectives.generator import Answer, Generator, Prompt
from search.errors import Interrupted, RecipeSearchError, WorkerFailed, brief

WAIT_S = 0.02
"""Seconds that a request waits at most for others to be answered with, once the model is free."""
MOST = 64
"""Most requests that are answered together; the generator may divide them further."""


class Job(NamedTuple):
    """A request on its way."""

    prompt: Prompt
    future: Future[Answer]
    """Cancelled by whoever does not want the answer any more."""


class Batcher:
    """Answers requests of many threads."""

    def __init__(self, generator: Generator) -> None:
        """Start the thread."""
        self._generator = generator
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self._thread.start()

    def submit(self, prompt: Prompt) -> Future[Answer]:
        """Have a prompt answered.

        Returns:
            Gives the answer, or raises WorkerFailed if there was an error, Interrupted once the
            batcher is closed. Cancel it if nobody waits any more.
        """
        job = Job(prompt, Future())
        with self._lock:
            if self._closing.is_set():
                _refuse(job, Interrupted("the server is ending"))
            else:
                self._waiting.put(job)
        return job.future

    def close(self) -> None:
        """Answer nothing more: what is under way ends at its next token."""
        with self._lock:
            if not self._closing.is_set():
                self._closing.set()
                self._waiting.put(None)

    def _run(self) -> None:
        """Answer until closed; None comes last."""
        over = False
        while not over:
            job = self._waiting.get()
            batch = [job] if job else []
            over = job is None or self._gather(batch)
            self._answer(batch)

    def _gather(self, batch: list[Job]) -> bool:
        """Add those that come soon; returns whether none comes after them."""
        until = time.monotonic() + WAIT_S
        while len(batch) < MOST:
            try:
                job = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return True
            batch.append(job)
        return False

    def _answer(self, batch: list[Job]) -> None:
        """Answer a batch: each of its futures is done afterwards."""
        jobs = [job for job in batch if not job.future.done()]

        def wanted(place: int) -> bool:
            return not self._closing.is_set() and not jobs[place].future.done()

        def tell(place: int, answer: Answer) -> None:
            with contextlib.suppress(InvalidStateError):  # cancelled just now
                jobs[place].future.set_result(answer)

        failure: RecipeSearchError = WorkerFailed("no answer was made")
        try:
            if jobs and not self._closing.is_set():
                self._generator.answer([job.prompt for job in jobs], tell, wanted)
        except RecipeSearchError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  # the next batch may do better
            failure = WorkerFailed(brief(error))
        if self._closing.is_set():
            failure = Interrupted("the server is ending")
        for job in jobs:
            _refuse(job, failure)


def _refuse(job: Job, error: RecipeSearchError) -> None:
    with contextlib.suppress(InvalidStateError):  # answered, or cancelled
        job.future.set_exception(error)
