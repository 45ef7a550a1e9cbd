"""What optuna-dashboard shows of a run beside its values: notes, graphs, artifacts.

All of it follows from the run folder, so it can be made again at any time; a job needs none of it.
"""

from __future__ import annotations

import copy
import json
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from optuna.artifacts import FileSystemArtifactStore, upload_artifact

from search.errors import brief
from search.folder import RunFolder
from search.notes import study_note, trial_note
from search.report.facts import gather, hidden_of, without_paths

if TYPE_CHECKING:
    import optuna

    from search.report.facts import Facts
    from search.store import Store

KEEP = "*What you write below this line is kept.*"
"""How a trial's or the study's note ends: with room for the user's own."""
OF_STUDY = (
    "report/index.html",
    "report/pareto.png",
    "recipe/recipe.json",
    "recipe/adapter/adapter_config.json",
    "recipe/adapter/adapter_model.safetensors",
    "summary.json",
)
"""Files of the run folder that are artifacts of the study."""
OF_WINNER = ("recipe/recipe.json",)
"""Those that are artifacts of the trial that the final run went on from."""
LARGEST = 64 * 2**20
"""Bytes; larger files are no artifacts, of which a copy is kept."""
LOCKED_S = 1.0
"""Seconds to wait for somebody else who writes."""
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


class Dashboard:
    """Notes, graphs and artifacts of one study."""

    def __init__(self, folder: RunFolder, store: Store) -> None:
        """Of a run folder, whose lock the caller holds."""
        self._folder = folder
        self._store = store
        self._bodies: dict[int | None, str] = {}
        """Notes as this process wrote them, by trial; None: the study's."""

    def refresh(self, summary: Mapping[str, Any]) -> None:
        """Bring notes and graphs up to date.

        Raises:
            Exception: whatever a broken package, database or run folder raises.
        """
        facts = gather(self._folder, self._store, summary)
        pending = Pending(self._store.study)
        winner = self._store.noted("winner")
        for record in facts.records:
            self._note(pending, record.number, trial_note(facts, record, winner))
        job = self._folder.read("job.json")
        self._note(pending, None, study_note(facts, job, self._store.noted("command")))
        save_graphs(pending, facts, winner)
        pending.write(self._folder.path / "study.db")

    def _note(self, pending: Pending, number: int | None, body: str) -> None:
        """Put a note in the place of the one before, but for what the user wrote below it."""
        from optuna_dashboard import get_note, save_note  # noqa: PLC0415  # takes two seconds

        if self._bodies.get(number) == body:
            return
        target: Any = pending.study
        if number is not None:
            target = SimpleNamespace(
                storage=pending, study=pending.study, _trial_id=self._store.trial_id(number)
            )
        old = get_note(target)
        own = old.partition(KEEP)[2] if KEEP in old else f"\n\n{old}" if old else ""
        new = f"{body}\n\n{KEEP}{own}"
        if new != old:
            save_note(target, new)
        self._bodies[number] = body

    def attach(self) -> None:
        """Bring the artifacts up to date: a file that changed takes the place of its former self.

        Raises:
            Exception: as `refresh`.
        """
        pending = Pending(self._store.study)
        target = self._folder.path / "artifacts"
        target.mkdir(exist_ok=True)
        winner = self._store.noted("winner")
        owners: list[tuple[Any, str, tuple[str, ...]]] = [(pending.study, "artifacts:", OF_STUDY)]
        if winner is not None:
            trial = self._store.study.get_trials(deepcopy=False)[winner]
            owners.append((trial, f"dashboard:artifacts:{trial._trial_id}:", OF_WINNER))
        with tempfile.TemporaryDirectory() as copies:
            for owner, prefix, names in owners:
                there = linked(pending.known, prefix)
                for name in names:
                    file = for_others(self._folder, name, Path(copies))
                    if file is not None:
                        put(file, target, there.get(file.name), owner, pending)
        pending.write(self._folder.path / "study.db")


def for_others(folder: RunFolder, name: str, copies: Path) -> Path | None:
    """A file of a run folder as others may see it; None if there is none, or a large one.

    Args:
        folder: the run folder.
        name: of the file in it.
        copies: where to put a copy of summary.json if a path of the user is in it, as where the
            base model is a folder: all other files were written for others.
    """
    file = folder.path / name
    if not file.is_file() or file.stat().st_size > LARGEST:
        return None
    if name == "summary.json":
        content = folder.read(name)
        shown = without_paths(content, hidden_of(folder))
        if shown != content:
            file = copies / name
            file.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    return file


def put(
    file: Path, target: Path, former: str | None, owner: optuna.Study, pending: Pending
) -> None:
    """Make a file an artifact of a study or trial, in the place of the former one if there is one.

    Args:
        file: the file.
        target: folder of the artifacts.
        former: the former one's id.
        owner: a study or trial.
        pending: the attributes that link artifacts.
    """
    artifacts = FileSystemArtifactStore(target)
    if former is None:
        upload_artifact(
            artifact_store=artifacts,
            file_path=str(file),
            study_or_trial=owner,
            storage=pending,  # type: ignore[arg-type]
        )
    elif not same(file, target / former):
        with file.open("rb") as content:
            artifacts.write(former, content)


def linked(attributes: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Ids of artifacts by the names of their files; those deleted in the dashboard are left out.

    Args:
        attributes: of a study.
        prefix: how the keys of the artifacts in question begin.
    """
    found = {}
    for key, value in attributes.items():
        if key.startswith(prefix) and (meta := json.loads(value)):
            found[meta["filename"]] = meta["artifact_id"]
    return found


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same."""
    return other.is_file() and one.read_bytes() == other.read_bytes()


def save_graphs(pending: Pending, facts: Facts, winner: int | None) -> None:
    """Save learning curves, and the Pareto front over all rungs, with the study.

    Optuna takes no intermediate values in studies of two objectives, and the dashboard's own Pareto
    plot has only trials that reached the top rung.
    """
    from optuna_dashboard import save_plotly_graph_object  # noqa: PLC0415  # takes two seconds

    from search.report.interactive import learning, pareto  # noqa: PLC0415  # plotly likewise

    graphs = {
        "learning-curves": learning(facts.records, winner),
        "pareto-over-all-rungs": pareto(facts),
    }
    for name, figure in graphs.items():
        if figure is not None:
            save_plotly_graph_object(pending.study, figure, graph_object_id=name)


def optional(work: Callable[[], None], say: Callable[[str], None]) -> bool:
    """Do what a job can do without; a failure is told in a line, and ends nothing.

    Returns:
        Whether it was done.
    """
    try:
        work()
    except Exception as error:  # noqa: BLE001  # the dashboard's and plotly's code, or the disk
        say(f"optuna-dashboard's notes, graphs and artifacts are not up to date ({brief(error)})")
        return False
    return True


def bring_up_to_date(
    folder: RunFolder, store: Store, summary: Mapping[str, Any], say: Callable[[str], None]
) -> None:
    """Notes, graphs and artifacts of a run that no job works on; a failure is told in a line."""
    made = Dashboard(folder, store)
    if optional(lambda: made.refresh(summary), say):
        optional(made.attach, say)
