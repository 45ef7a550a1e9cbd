"""The last words of a run: what the recipe is worth, on one screen."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from search.budget import format_seconds
from search.signs import printable

FEW = 10
"""Below this many trials, a rank correlation says little."""
FEW_ITEMS = 100
"""Below this many items, so does an accuracy."""
SLACK = 15
"""Characters of that which long words can leave empty at the end of a row."""
ROOM, HELDOUT_ROOM = 130, 200
"""Characters of a list, of which some are told and the others counted where it is longer."""
PLACES = ("recipe: ", "export: ", "report: ", "watch:  ")
"""How lines begin that tell a place or a command: never cut, so that they can be copied."""
NO_HELDOUT = (
    "no held-out task: nothing will show what the recipe does on tasks that the search did not see"
)
NO_HELDOUT_SHOWN = (
    "no held-out task: nothing shows what the recipe does on tasks that the search did not see"
)
WEAK = 0.3
"""A rank correlation below this is next to none."""


def rank_words(found: Mapping[str, Mapping[str, Any]]) -> str | None:
    """How well each rung ranks the trials that reached the top, in one line; None below three."""
    known = {rung: entry for rung, entry in found.items() if entry["n"] >= 3}
    if not known:
        return None
    n = next(iter(known.values()))["n"]
    said = [
        f"rung {rung} {rho(entry['spearman'])} by loss and "
        f"{rho(entry['accuracy_spearman'])} by accuracy"
        for rung, entry in known.items()
    ]
    few = " (few trials: weak evidence)" if n < FEW else ""
    return (
        f"rank correlation with the top rung over the {n} trials that reached it{few}: "
        f"{'; '.join(said)}"
    )


def rho(value: float | None) -> str:
    """A rank correlation, or that there is none."""
    return "unknown" if value is None else f"{value:+.2f}"


def heldout_words(found: Mapping[str, Any]) -> str:
    """Whether search scores foretold held-out scores, in a sentence; a warning where they do not.

    Args:
        found: as `search.summary.heldout_correlation` gives it.
    """
    n, value = found["n"], found["spearman"]
    if value is None:
        loss = found["loss_spearman"]
        why = "" if n < 3 else ", which all have the same accuracy on one side"
        why += "" if loss is None else f"; by loss, Spearman is {loss:+.2f}"
        trials = "1 trial" if n == 1 else f"{n} trials"
        return f"whether search scores foretell held-out scores cannot be told from {trials}{why}"
    said = f"Spearman {value:+.2f} by accuracy, {rho(found['loss_spearman'])} by loss"
    few = f"; over {n} trials this is weak evidence either way" if n < FEW else ""
    if value <= 0:
        return (
            "warning: the trials that scored higher on the search tasks did not score higher on "
            f"the held-out tasks ({said}, n = {n}{few}): the choice may not carry over to tasks "
            "that the search did not see"
        )
    if found["loss_spearman"] is not None and found["loss_spearman"] <= 0:
        return (
            f"warning: search and held-out scores of {n} trials agree by accuracy but not by loss "
            f"({said}{few}): do not count on the choice beyond the searched tasks"
        )
    agree = "agree" if value >= WEAK else "hardly agree"
    return f"search scores and held-out scores of {n} trials {agree}: {said}{few}"


def well_formed(seen: Mapping[str, Any]) -> str:
    """What a smoke evaluation of a task found, as `asdict` of a `Smoke` tells it."""
    why = f" (malformed: {seen['why']})" if seen["malformed"] and seen["why"] else ""
    return f"{seen['items'] - seen['malformed']} of {seen['items']} answers well-formed{why}"


def evaluation_words(spent: Mapping[str, float]) -> str | None:
    """What part of the search was evaluation, in a line; None before any search."""
    train, evaluation = spent["search_train"], spent["search_eval"]
    if not train:
        return None
    return (
        f"evaluation took {evaluation / (train + evaluation):.0%} of the search: "
        f"{format_seconds(evaluation)} beside {format_seconds(train)} of training"
    )


def closing_lines(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """Result, comparison, cost and where things lie; what was not scored is left out or said.

    However many tasks, sources and trials there are, that is one screen of 80 x 24 characters once
    it is `wrapped`, unless the folder's path is long.

    Args:
        summary: as `search.summary.summarise` gives it.
        folder: the run folder; its scores, if they are there, tell what may be chance.

    Raises:
        BadInput: a file of scores is damaged.
    """
    return [*result_lines(summary, folder), *cost_lines(summary, folder)]


def result_lines(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """The first part of `closing_lines`: what the recipe is worth, which takes tests to tell."""
    return [*result(summary, folder), *elsewhere(summary, folder)]


def cost_lines(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """The other part: what was spent, down to the last second, and where things lie."""
    return [*cost(summary), *places(folder)]


def result(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """The recipe, and its accuracy beside that of base and default."""
    final, default, base = summary["final"], summary["default"], summary["base"]
    lines = []
    if final:
        few = " (few items)" if final["items"] < FEW_ITEMS else ""
        lines += chosen(final)
        lines.append(
            f"accuracy on {final['items']} fresh items: {scored(final)} "
            f"after {final['tokens']:,} tokens{few}"
        )
    else:
        lines.append("the final run was not scored")
    gains = gains_of(folder) if final else {}
    if base:
        lines.append(f"base model: {scored(base)}{gains.get('base', '')}")
    if default:
        lines.append(
            f"default recipe: {scored(default)} after {default['tokens']:,} tokens, "
            f"the length of a trial{gains.get('0', '')}"
        )
    if final and len(final["per_task"]) > 1:
        tasks = (f"{task} {value:.3f}" for task, value in final["per_task"].items())
        lines.append(f"by task: {some(tasks, 'tasks')}")
    return lines


def chosen(final: Mapping[str, Any]) -> list[str]:
    """The final recipe and its mixture."""
    if not final["recipe"]:
        return []
    from spaces import Recipe  # noqa: PLC0415  # of all commands, only those that end here need it

    recipe = Recipe.from_dict(final["recipe"])
    shares = sorted(recipe.mixture.items(), key=lambda pair: -pair[1])
    lines = [f"chosen: trial {final['trial']}, {recipe.short()}"]
    if len(shares) > 1:
        told = (f"{name} {share:.0%}" for name, share in shares)
        lines.append(f"mixture: {some(told, 'sources')}")
    return lines


def gains_of(folder: Path) -> dict[str, str]:
    """What final is better than `base` and the default, `0`, by: item by item, in words."""
    from search.folder import RunFolder  # noqa: PLC0415  # --help answers without it
    from search.report.chance import gain_of  # noqa: PLC0415  # likewise
    from search.summary import common_scores  # noqa: PLC0415  # likewise

    scores = common_scores(RunFolder(folder), "final")
    final = scores.pop("final", {})
    told = {}
    for name, other in scores.items():
        gain = gain_of(final, other, list(final))
        if gain is None:
            continue
        if not gain.differs:
            told[name] = "; final answers the same items right"
            continue
        told[name] = f"; final {gain.mean:+.3f} ± {gain.stderr:.3f} ({gain.verdict})"
    return told


def elsewhere(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """Accuracy on held-out tasks, and whether the search foretold it."""
    from search.folder import RunFolder  # noqa: PLC0415  # --help answers without it
    from search.store import macro  # noqa: PLC0415  # likewise
    from search.summary import common_scores  # noqa: PLC0415  # likewise

    scores = common_scores(RunFolder(folder), "heldout").get("final", {})
    tasks = []
    for task, value in ((summary["final"] or {}).get("heldout") or {}).items():
        error = f" ± {macro({task: scores[task]})[1]:.3f}" if task in scores else ""
        others = [
            f"{name} {summary[name]['heldout'][task]:.3f}"
            for name in ("default", "base")
            if task in ((summary[name] or {}).get("heldout") or {})
        ]
        beside = f" ({', '.join(others)})" if others else ""
        tasks.append(f"{task}: {value:.3f}{error}{beside}")
    lines = [f"held out, {some(tasks, 'held-out tasks', HELDOUT_ROOM)}"] if tasks else []
    if summary["heldout_tasks"] == []:
        lines.append(NO_HELDOUT_SHOWN)
    elif summary["finalists"]:
        lines.append(heldout_words(summary["heldout_correlation"]))
    return lines


def cost(summary: Mapping[str, Any]) -> list[str]:
    """The Pareto front, the trials and the time."""
    from search.report.facts import unit_of  # noqa: PLC0415  # --help answers without it

    front = sorted(summary["pareto"], key=lambda point: -float(point["accuracy"]))
    points = (f"{point['accuracy']:.3f} for {point['gpu_hours']:.4f}" for point in front)
    trials = summary["trials"]
    counts = [f"{trials['complete']} trials complete", f"{trials['pruned']} pruned"]
    counts += [f"{trials[kind]} {kind}" for kind in ("infeasible", "failed") if trials[kind]]
    spent = format_seconds(sum(summary["spent_s"].values()))
    told = [
        f"Pareto front, accuracy for {unit_of(summary['device'])}: {some(points, 'points')}"
        if front
        else None,
        evaluation_words(summary["spent_s"]),
        (
            f"{', '.join(counts)}; {spent} of {format_seconds(summary['budget_s'])} spent, "
            f"overshoot {summary['overshoot_s']:.0f} s"
        ),
    ]
    return [line for line in told if line]


def places(folder: Path) -> list[str]:
    """Where things lie, and what to do with them."""
    run = shlex.quote(str(folder))
    study, artifacts = (shlex.quote(str(folder / name)) for name in ("study.db", "artifacts"))
    told = (
        str(folder / "recipe"),
        f"python -m search.export {run} --to all",
        str(folder / "report" / "index.html"),
        f"optuna-dashboard sqlite:///{study} --artifact-dir {artifacts}",
    )
    return [label + text for label, text in zip(PLACES, told, strict=True)]


def some(parts: Iterable[str], what: str, room: int = ROOM) -> str:
    """All parts if there is room, else some of them, at least one, and how many more there are."""
    whole = list(parts)
    told = ", ".join(whole)
    if len(told) <= room or len(whole) < 2:
        return told
    room = min(room, ROOM) - len(" and 999 more : see the report, ") - len(what) - SLACK
    count = 1
    while len(", ".join(whole[: count + 1])) <= room:
        count += 1
    left = len(whole) - count
    more = f"{left} more {what if left > 1 else what.removesuffix('s')}"
    return f"{', '.join(whole[:count])} and {more}: see the report"


def wrapped(line: str, width: int) -> list[str]:
    """A line cut at spaces to a terminal's width; what is to be copied stays whole."""
    if line.startswith(PLACES):
        return [line]
    return textwrap.wrap(
        line,
        max(20, width),
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_wrapped(line: str) -> None:
    """Print a line: cut at spaces in a terminal, whole elsewhere."""
    rows = [printable(line)]
    if sys.stdout.isatty():
        rows = wrapped(rows[0], shutil.get_terminal_size().columns)
    print("\n".join(rows))


def scored(part: Mapping[str, Any]) -> str:
    """`0.512 ± 0.031`."""
    return f"{part['accuracy']:.3f} ± {part['stderr']:.3f}"
