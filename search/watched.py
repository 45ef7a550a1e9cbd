"""A job's dashboard, kept up to date while the job runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.artifacts import Artifacts
from search.dashboard import Dashboard, get_ready, optional
from search.summary import summarise

if TYPE_CHECKING:
    from threading import Thread

    from search.budget import Ledger
    from search.folder import RunFolder
    from search.state import Job, View
    from search.store import Record, Store

EVERY_S = 10.0
"""While a job runs, at most this often, in seconds of its own clock."""
SHARE = 0.005
"""And at most this share of the job's time goes to it."""


class Watched:
    """A job's view that keeps the dashboard up to date as well, while the training process works.

    That is: when a trial, a rung or a decision came to be, and at most every `EVERY_S` seconds and
    for `SHARE` of the time. A study that is not in the run folder has nobody who could watch it.
    """

    def __init__(self, view: View, folder: RunFolder, store: Store, ledger: Ledger) -> None:
        """Around another view."""
        self._view = view
        self._folder = folder
        self._store = store
        self._ledger = ledger
        self._refresh = Dashboard(folder, store).refresh
        self._attach = Artifacts(folder, store).attach
        self._next = 0.0
        self._first = True
        self._imports: Thread | None = None
        self._seen: tuple[list[Record], object] | None = None
        self._told = ""

    def get_ready(self) -> None:
        """Import what an update needs, which takes two seconds, while the base model loads."""
        if self._on():
            get_ready()

    def wait_for(self, imports: Thread) -> None:
        """Update nothing while a thread gets ready: plotly trips over half-imported modules."""
        self._imports = imports

    def line(self, text: str) -> None:
        """Show it."""
        self._view.line(text)

    def busy(self, doing: str, done: float | None) -> None:
        """Show it."""
        self._view.busy(doing, done)

    def refresh(self, job: Job) -> None:
        """Show it, and bring notes and graphs up to date where that is due."""
        self._view.refresh(job)
        if self._ledger.now() >= self._next and not (self._imports and self._imports.is_alive()):
            self.update()

    def update(self) -> None:
        """Bring notes and graphs up to date if something came to be since they were."""
        seen = (self._store.records(), self._store.noted("winner"))
        if not seen[0] or seen == self._seen or not self._on():
            return
        if self._imports:
            self._imports.join()
        began = self._ledger.now()
        done = optional(lambda: self._refresh(summarise(self._folder, self._store)), self._say)
        ended = self._ledger.now()
        # the first writes the notes of all trials there are, the later ones what changed
        self._next = ended + max(EVERY_S, 0.0 if self._first else (ended - began) / SHARE)
        self._first = False
        if done:
            self._seen = seen

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The report is written: bring all of it up to date, artifacts unless the notes failed."""
        if self._on() and optional(lambda: self._refresh(summary), self._say):
            self._seen = (self._store.records(), self._store.noted("winner"))
            self.attach()

    def attach(self) -> None:
        """Bring the artifacts up to date; those attached before and unchanged cost nothing."""
        if self._on():
            optional(self._attach, self._say)

    def _on(self) -> bool:
        return self._folder.has("study.db")

    def _say(self, text: str) -> None:
        """A failure, once."""
        if text != self._told:
            self._told = text
            self._view.line(text)

    def close(self) -> None:
        """The job is over."""
        self._view.close()
