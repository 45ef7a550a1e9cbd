"""What a report shows, gathered from a run folder; every path in it is cut down to its name."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.budget import Span, read_ledger
from search.summary import common_scores

if TYPE_CHECKING:
    from objectives.objective import Scores
    from search.folder import RunFolder
    from search.store import Record, Store

ABSOLUTE = re.compile(r"(?<![\w.~:/<])(?:~|file:/{2}|sqlite:/{3})?(?:/[\w.@][\w.@%+-]*)+/?")
"""A path from the root or the home folder inside a text: no more than its name may be told."""
EXACT = "exact match"
"""The metric of a task of which nothing else is known."""
PARTS = ("base", "default", "final")
SCORED = {"base": "base", "default": "0", "final": "final"}
"""Names of the score files by part of the summary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything a report is made from."""

    summary: Mapping[str, Any]
    """As `search.summary.summarise` gives it."""
    records: tuple[Record, ...]
    """All trials, by number."""
    spans: tuple[Span, ...]
    """The ledger; pieces of the same work are joined."""
    data_lines: tuple[str, ...]
    """One line per source and per decision about the data."""
    sources: Mapping[str, Any]
    """What became of each source's rows, by source; empty if it was not kept."""
    over_long: Mapping[str, int]
    """Rows over the longest row that any recipe takes, by source."""
    dropped: tuple[Mapping[str, Any], ...]
    """Examples of rows that were dropped because they are broken or came before."""
    contamination: Mapping[str, Any] | None
    """Training rows that overlap with evaluation items: `counts` by source, and the first `rows`;
    None if none were looked for."""
    metrics: Mapping[str, str]
    """What accuracy means, by task; empty if it was not kept, and then it is exact match."""
    scores: Mapping[str, Scores]
    """Outcomes per item on fresh and held-out items, by part: `base`, `default`, `final`."""
    exported: bool
    """Whether the recipe folder is there."""

    @property
    def spent_s(self) -> float:
        """Seconds of the budget spent, all kinds."""
        return math.fsum(self.summary["spent_s"].values())

    @property
    def unit(self) -> str:
        """What `gpu_hours` are hours of: a CPU is no GPU, and is not called one."""
        return unit_of(self.summary.get("device"))

    def metric(self, tasks: Iterable[str]) -> str:
        """What accuracy over these tasks is made of: one metric's name, or that they differ."""
        names = {self.metrics.get(task, EXACT) for task in tasks} or {EXACT}
        return "each task's own metric" if len(names) > 1 else names.pop()

    @property
    def final_trial(self) -> int | None:
        """Number of the trial that the final run goes on from, once the final run was scored."""
        final = self.summary["final"]
        return None if final is None else final["trial"]


def unit_of(device: str | None) -> str:
    """What `gpu_hours` on a device, as summary.json names it, are hours of."""
    return "device-hours" if str(device or "").upper().startswith("CPU") else "GPU-hours"


def gather(folder: RunFolder, store: Store, summary: Mapping[str, Any]) -> Facts:
    """Read a run folder.

    Raises:
        BadInput: a file of the folder is damaged.
    """
    hidden = hidden_of(folder)
    data = folder.read("data.json") if folder.has("data.json") else {}
    scores: dict[str, Scores] = {}
    final, heldout = common_scores(folder, "final"), common_scores(folder, "heldout")
    for part, name in SCORED.items():
        if name in final:
            scores[part] = final[name] | heldout.get(name, {})
    return Facts(
        summary=without_paths(summary, hidden),
        records=tuple(
            replace(
                record,
                reason=without_paths(record.reason, hidden),
                origin=without_paths(record.origin, hidden),
            )
            for record in store.records()
        ),
        spans=joined(read_ledger(folder.ledger)),
        data_lines=tuple(without_paths(data.get("lines", []), hidden)),
        sources=without_paths(data.get("sources", {}), hidden),
        over_long=store.noted("over_long") or {},
        dropped=tuple(without_paths(data.get("dropped", []), hidden)),
        contamination=without_paths(data.get("contamination"), hidden),
        metrics=without_paths(data.get("metrics", {}), hidden),
        scores=scores,
        exported=folder.has("recipe/recipe.json"),
    )


def hidden_of(folder: RunFolder) -> tuple[str, ...]:
    """Folders that no text for others may name, for `without_paths`."""
    return str(folder.path.resolve()), str(folder.path.absolute()), str(Path.home())


def without_paths(value: Any, hidden: tuple[str, ...] = ()) -> Any:
    """A JSON value whose texts tell no absolute path, only its last part.

    Args:
        value: texts, numbers, lists and mappings, nested as they like.
        hidden: folders known by name, which may hold spaces and the like.
    """
    if isinstance(value, str):
        for folder in hidden:
            if len(folder) > 1:
                value = value.replace(f"{folder}/", "").replace(folder, Path(folder).name)
        return ABSOLUTE.sub(lambda match: Path(match[0]).name, value)
    if isinstance(value, Mapping):
        return {key: without_paths(inner, hidden) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner, hidden) for inner in value]
    return value


def joined(spans: list[Span]) -> tuple[Span, ...]:
    """Spans with the pieces of one long span put together again."""
    found: list[Span] = []
    for span in spans:
        last = found[-1] if found else None
        if last and (last.kind, last.trial, last.note) == (span.kind, span.trial, span.note):
            found[-1] = replace(last, seconds=span.start + span.seconds - last.start)
        else:
            found.append(span)
    return tuple(found)


def paired_gain(a: Scores, b: Scores, tasks: list[str]) -> tuple[float, float] | None:
    """(mean accuracy of `a` minus that of `b`, its standard error), item by item.

    Tasks count the same. None if there is no task, or if a task's items are not the same number.
    """
    means: list[float] = []
    variances: list[float] = []
    for task in tasks:
        if task not in a or task not in b or len(a[task].correct) != len(b[task].correct):
            return None
        pairs = zip(a[task].correct, b[task].correct, strict=True)
        gains = [float(x) - float(y) for x, y in pairs]
        if not gains:
            return None
        means.append(statistics.fmean(gains))
        variances.append(statistics.pvariance(gains) / len(gains))
    if not means:
        return None
    return statistics.fmean(means), math.sqrt(math.fsum(variances)) / len(means)
