"""What optuna-dashboard shows of a run beside its values: notes, graphs, artifacts.

All of it follows from the run folder, so it can be made again at any time; a job needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from search.artifacts import Artifacts
from search.errors import brief
from search.folder import RunFolder
from search.notes import study_note, trial_note
from search.pending import Notes, Pending
from search.report.facts import gather

if TYPE_CHECKING:
    from search.report.facts import Facts
    from search.store import Store

KEEP = "*What you write below this line is kept.*"
"""How a trial's or the study's note ends: with room for the user's own."""


class Dashboard:
    """Notes and graphs of one study."""

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
        notes = Notes(pending)
        winner = self._store.noted("winner")
        bodies: dict[int | None, str] = {
            record.number: trial_note(facts, record, winner) for record in facts.records
        }
        job = self._folder.read("job.json")
        bodies[None] = study_note(facts, job, self._store.noted("command"))
        for number, body in bodies.items():
            if self._bodies.get(number) != body:
                trial_id = None if number is None else self._store.trial_id(number)
                put_note(notes.target(trial_id), body)
        save_graphs(pending, facts, winner)
        pending.write(self._folder.path / "study.db")
        self._bodies = bodies


def put_note(target: Any, body: str) -> None:
    """Put a note in the place of the one before, but for what the user wrote below it.

    Args:
        target: the trial or study, as `Notes.target` gives it.
        body: the note.
    """
    from optuna_dashboard import get_note, save_note  # noqa: PLC0415  # takes two seconds

    old = get_note(target)
    own = old.partition(KEEP)[2] if KEEP in old else f"\n\n{old}" if old else ""
    new = f"{body}\n\n{KEEP}{own}"
    if new != old:
        save_note(target, new)


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
        optional(Artifacts(folder, store).attach, say)


def get_ready() -> None:
    """Import what notes and graphs need, which takes two seconds, if it can be imported."""
    with suppress(Exception):  # an update says what is wrong
        import optuna_dashboard  # noqa: F401, PLC0415  # --help must not pay for it

        import search.report.interactive  # noqa: F401, PLC0415  # nor for plotly
