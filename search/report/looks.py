"""What trials and scores look like in every figure: one colour, one name and one order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search.report.facts import Facts
    from search.store import Record


@dataclass(frozen=True, slots=True)
class Look:
    """How trials of a group are drawn."""

    label: str
    """Its name in a legend."""
    colour: str
    """A name of `search.report.style.COLOURS`."""
    width: float
    """Of a line, in points."""
    size: float
    """Of a marker, in points."""
    opacity: float = 1.0


class Group(Enum):
    """A trial as the figures see it, what is drawn first (and lies below) first."""

    PRUNED = Look("pruned", "faint", 0.9, 3.0, 0.6)
    FAILED = Look("failed", "faint", 0.9, 3.0, 0.6)
    OPEN = Look("not finished", "search-soft", 1.2, 3.5)
    COMPLETE = Look("complete", "search-soft", 1.2, 3.5)
    DEFAULT = Look("default", "default", 2.2, 5.0)
    FINAL = Look("final run", "final", 2.2, 5.0)


STATES = {
    TrialState.PRUNED: Group.PRUNED,
    TrialState.FAIL: Group.FAILED,
    TrialState.COMPLETE: Group.COMPLETE,
}

ALONE = {Group.DEFAULT, Group.FINAL}
"""Groups of one trial."""
ENDED_EARLY = {Group.PRUNED, Group.FAILED}
"""Groups that are drawn lightest."""


def group_of(record: Record, winner: int | None) -> Group:
    """The group of a trial.

    Args:
        record: the trial.
        winner: number of the trial that the final run goes on from, if it is known.
    """
    if record.number == winner:
        return Group.FINAL
    if record.control:
        return Group.DEFAULT
    return STATES.get(record.state, Group.OPEN)


def entry(group: Group, record: Record) -> str:
    """A legend's entry for a group: of those that are one trial, with its number."""
    label = group.value.label
    return f"trial {record.number}, {label}" if group in ALONE else label


def default_point(facts: Facts) -> Mapping[str, Any] | None:
    """The default's score on fresh items or, as long as it has none, its latest early evaluation.

    Returns:
        `gpu_hours`, `accuracy` and `stderr`, or None if it was not evaluated yet.
    """
    if facts.summary["default"]:
        return dict(facts.summary["default"])
    if not facts.records or not facts.records[0].rungs:
        return None
    last = facts.records[0].rungs[-1]
    return {"gpu_hours": last.gpu_hours, "accuracy": last.accuracy, "stderr": last.stderr}


def forecast_point(facts: Facts) -> Mapping[str, Any] | None:
    """The forecast of the final run: `accuracy`, `low`, `high`, `gpu_hours`; None without one.

    Earlier versions gave a final run that was left no time a forecast whose hours are no hours; it
    stands where the run itself ended, or nowhere.
    """
    foreseen, final = facts.summary["forecast_final"], facts.summary["final"]
    if not foreseen or foreseen["gpu_hours"] > 0:
        return dict(foreseen) if foreseen else None
    return dict(foreseen) | {"gpu_hours": final["gpu_hours"]} if final else None
