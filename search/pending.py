"""System attributes of a study, where notes, graphs and artifacts lie, written in one go."""

from __future__ import annotations

import copy
import json
import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

LOCKED_S = 1.0
"""Seconds to wait for somebody else who writes."""
OF_NOTE = re.compile(r"dashboard:(?:(\d+):)?note_(?:ver$|str:)")
"""How the keys of a trial's or the study's note begin; the number is the trial's id."""
UPSERT = (
    "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (?, ?, ?) "
    "ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json"
)


class Pending:
    """Attributes of a study: read once, changed here, written in one transaction.

    It stands where Optuna and optuna-dashboard expect a storage. Their functions commit one
    attribute at a time, and a graph of 1,000 trials is hundreds of them: that takes seconds, in
    which somebody who watches is given half of a graph.
    """

    def __init__(self, study: optuna.Study) -> None:
        """Read what is there."""
        # NOTE(optuna): notes and graphs lie in system attributes, which have no public reader
        self.study_id = study._study_id
        self.known: dict[str, Any] = study._storage.get_study_system_attrs(self.study_id)
        self.study = copy.copy(study)
        self.study._storage = self  # type: ignore[assignment]
        self._changed: dict[str, None] = {}  # a set that keeps the order

    def get_study_system_attrs(self, _study_id: int) -> dict[str, Any]:
        """All of them, as they will be."""
        return self.known

    def set_study_system_attr(self, _study_id: int, key: str, value: Any) -> None:
        """Change one."""
        if key not in self.known or self.known[key] != value:
            self.known[key] = value
            self._changed[key] = None

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Link an artifact to a trial, whose own attributes are closed once it has ended.

        optuna-dashboard still looks for them among the study's, where it kept them once.
        """
        name = key.removeprefix("artifacts:")
        self.set_study_system_attr(self.study_id, f"dashboard:artifacts:{trial_id}:{name}", value)

    def write(self, database: Path) -> None:
        """Write what changed: all of it or nothing.

        Raises:
            sqlite3.Error: the database is locked, read-only or damaged.
        """
        rows = [(self.study_id, key, json.dumps(self.known[key])) for key in self._changed]
        with closing(sqlite3.connect(database, timeout=LOCKED_S)) as connection, connection:
            connection.executemany(UPSERT, rows)
        self._changed.clear()


class Notes:
    """Pending notes, each beside its own attributes only.

    optuna-dashboard looks through all attributes that it is given, several times for each note:
    with those of 1,000 trials that is seconds.
    """

    def __init__(self, pending: Pending) -> None:
        """Find each note's attributes."""
        self._pending = pending
        self._own: defaultdict[int | None, dict[str, Any]] = defaultdict(dict)
        for key, value in pending.known.items():
            if found := OF_NOTE.match(key):
                self._own[int(found[1]) if found[1] else None][key] = value

    def target(self, trial_id: int | None) -> Any:
        """What optuna-dashboard takes for the trial, or for the study if `trial_id` is None."""
        storage: Any = OneNote(self._pending, self._own[trial_id])
        study = copy.copy(self._pending.study)
        study._storage = storage
        if trial_id is None:
            return study
        return SimpleNamespace(storage=storage, study=study, _trial_id=trial_id)


class OneNote:
    """Where a note's functions expect a storage: they see its attributes alone."""

    def __init__(self, pending: Pending, own: dict[str, Any]) -> None:
        """The note's attributes among the pending ones."""
        self._pending = pending
        self._own = own

    def get_study_system_attrs(self, _study_id: int) -> dict[str, Any]:
        """Those of the note, as they will be."""
        return self._own

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Change one."""
        self._own[key] = value
        self._pending.set_study_system_attr(study_id, key, value)
