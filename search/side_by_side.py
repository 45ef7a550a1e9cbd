"""Several finished runs on the items that they have in common, and whether they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from string import ascii_uppercase
from typing import Any

from objectives.objective import Scores, TaskScore
from search.errors import BadInput
from search.finished import GROUPS, FinishedRun, Outcomes
from search.paired import holm, sign_flip_p
from search.report.facts import PARTS, paired_gain, unit_of, without_paths
from search.store import macro

FEWEST = 2
"""Common items of a task: one says nothing of its own noise."""
LEVEL = 0.05
"""p below which a difference counts."""
SIGN = ascii_uppercase
"""What runs are called in tables and sentences, in the order given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """How much more accurate run `a` is than run `b`, item by item."""

    a: int
    b: int
    difference: float
    """Mean over tasks of the mean difference; positive if `a` is better."""
    stderr: float
    """Standard error of the difference over items."""
    items: int
    differing: int
    """Items whose outcomes differ."""
    p: float
    """Of a two-sided sign-flip test on this pair alone."""
    p_holm: float
    """The same, corrected for the number of pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """All runs on one group of items."""

    group: str
    """`final` or `heldout`."""
    tasks: Mapping[str, tuple[str, ...]]
    """The common items by task, in the order of the first run's file."""
    left_out: Mapping[str, str]
    """Why other tasks do not count."""
    scored: tuple[int, ...]
    """Items of the group that each run's final recipe was scored on."""
    scores: tuple[Mapping[str, Scores], ...]
    """Per run: `final`, and `base` and `default` if they were scored on all common items."""
    pairs: tuple[Pair, ...]

    @property
    def items(self) -> int:
        """Number of common items."""
        return sum(map(len, self.tasks.values()))


def compare(runs: Sequence[FinishedRun]) -> list[Standing]:
    """Where the runs stand, on final and on held-out items; a group may have no common item.

    Raises:
        BadInput: no item of either group is common to all runs.
    """
    found = [stand(runs, group) for group in GROUPS]
    if not any(standing.items for standing in found):
        why = ", ".join(f"{task}: {why}" for s in found for task, why in s.left_out.items())
        raise BadInput(
            "there is nothing to compare: the runs have no evaluation items in common "
            f"({why or 'none was scored'}); give runs of the same study and --seed"
        )
    return found


def stand(runs: Sequence[FinishedRun], group: str) -> Standing:
    """Where the runs stand on one group of items."""
    own = [run.outcomes[group]["final"] for run in runs]
    tasks: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, str] = {}
    for task in dict.fromkeys(task for outcomes in own for task in outcomes):
        common = tuple(x for x in own[0].get(task, ()) if all(x in o.get(task, ()) for o in own))
        if why := _why_not(runs, own, task, len(common)):
            left_out[task] = why
        else:
            tasks[task] = common
    scores = tuple(
        {
            part: cut
            for part in PARTS
            if (cut := _cut(run.outcomes[group].get(part, {}), tasks)) is not None
        }
        for run in runs
    )
    return Standing(
        group=group,
        tasks=tasks,
        left_out=left_out,
        scored=tuple(sum(map(len, outcomes.values())) for outcomes in own),
        scores=scores,
        pairs=_pairs([part["final"] for part in scores]) if tasks else (),
    )


def _why_not(
    runs: Sequence[FinishedRun], own: Sequence[Outcomes], task: str, common: int
) -> str | None:
    """Why a task does not count; None if it does."""
    having = [sign for sign, outcomes in zip(SIGN, own, strict=False) if outcomes.get(task)]
    if len(having) < len(runs):
        return f"only {', '.join(having)} scored on it" if having else "no run scored on it"
    metrics = dict.fromkeys(run.metric(task) for run in runs)
    if len(metrics) > 1:
        return f"scored by {' and by '.join(metrics)}"
    if common < FEWEST:
        return "no item in common" if not common else f"{common} item in common, too few"
    return None


def _cut(outcomes: Outcomes, tasks: Mapping[str, Sequence[str]]) -> Scores | None:
    """Scores on the common items; None if one of them was not scored, or there is none."""
    if not tasks or any(x not in outcomes.get(t, {}) for t, items in tasks.items() for x in items):
        return None
    return {
        task: TaskScore(
            correct=[outcomes[task][x][0] for x in items],
            losses=[outcomes[task][x][1] for x in items],
        )
        for task, items in tasks.items()
    }


def _pairs(scores: Sequence[Scores]) -> tuple[Pair, ...]:
    """All pairs, in order."""
    found: list[dict[str, Any]] = []
    for a, b in combinations(range(len(scores)), 2):
        gain = paired_gain(scores[a], scores[b], list(scores[a]))
        assert gain is not None  # noqa: S101  # they were cut to the same items
        differences = [
            [x - y for x, y in zip(score.correct, scores[b][task].correct, strict=True)]
            for task, score in scores[a].items()
        ]
        found.append(
            {
                "a": a,
                "b": b,
                "difference": gain[0],
                "stderr": gain[1],
                "items": sum(map(len, differences)),
                "differing": sum(x != 0 for task in differences for x in task),
                "p": sign_flip_p(differences),
            }
        )
    corrected = holm([pair["p"] for pair in found])
    return tuple(Pair(**pair, p_holm=p) for pair, p in zip(found, corrected, strict=True))


def names_of(runs: Sequence[FinishedRun]) -> list[str]:
    """A name of each run that no other has: its own, or as much of its folder's path as tells."""
    names = [run.name for run in runs]
    depth = 0
    while len(set(names)) < len(names):
        depth += 1  # ends with whole paths, which differ
        names = ["/".join(run.path.resolve().parts[-depth:]) for run in runs]
    return names


def unit(runs: Sequence[FinishedRun]) -> str:
    """What the hours of these runs are hours of."""
    units = {unit_of(run.device) for run in runs}
    return units.pop() if len(units) == 1 else "device-hours"


def figures(runs: Sequence[FinishedRun], standings: Sequence[Standing]) -> dict[str, Any]:
    """All figures as JSON types: `unit`, `runs` by letter, and per group the common items' scores.

    A group holds `items`, `tasks` (common items by task), `left_out`, and by letter `scored` and
    `scores`; `pairs` name two letters and say how much better the first is. Accuracies and their
    errors have five decimals.
    """
    return {
        "unit": unit(runs),
        "runs": {
            sign: {
                "name": name,
                "folder": run.path.resolve().name,
                "model": without_paths(run.model),
                "budget_s": run.budget_s,
                "seed": run.seed,
                "device": run.device,
                "recipe": run.recipe.to_dict(),
                "search_hours": round(run.search_hours, 6),
                "final_hours": round(run.final_hours, 6),
                "hours": round(run.hours, 6),
            }
            for sign, run, name in zip(SIGN, runs, names_of(runs), strict=False)
        },
        **{standing.group: _standing_figures(standing) for standing in standings},
    }


def _standing_figures(standing: Standing) -> dict[str, Any]:
    return {
        "items": standing.items,
        "tasks": {task: len(items) for task, items in standing.tasks.items()},
        "left_out": dict(standing.left_out),
        "scored": dict(zip(SIGN, standing.scored, strict=False)),
        "scores": {
            sign: {part: part_figures(scores) for part, scores in parts.items()}
            for sign, parts in zip(SIGN, standing.scores, strict=False)
        },
        "pairs": [
            asdict(pair)
            | {"a": SIGN[pair.a], "b": SIGN[pair.b]}
            | {"difference": round(pair.difference, 5), "stderr": round(pair.stderr, 5)}
            for pair in standing.pairs
        ],
    }


def part_figures(scores: Scores) -> dict[str, Any]:
    """Accuracy over tasks, its standard error, and accuracy by task."""
    accuracy, stderr = macro(scores)
    return {
        "accuracy": round(accuracy, 5),
        "stderr": round(stderr, 5),
        "per_task": {task: round(score.accuracy, 5) for task, score in scores.items()},
    }
