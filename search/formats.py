"""Versions of what is written to disk, and the steps that lead from each version to the next.

A version is the number in the key `format` of job.json (which speaks for the whole run folder) or
of recipe.json. Steps are only ever added, at the end: whatever an earlier version wrote stays
readable. A folder of each version lies in tests/formats/, and the tests go on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from search.errors import BadInput

Step = Callable[[Path, dict[str, Any]], dict[str, Any]]
"""Is given the folder and the JSON object of one version; changes files beside it and returns the
next version's object. It may be repeated after a crash, so it must not mind its own changes."""

RUN: tuple[Step, ...] = ()
"""For run folders: the n-th leads from format n to n + 1."""


def _name_and_tasks(_: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Format 2 gives the run's name, and for each task what its score is worth."""
    score = content["score"]
    tasks = {
        task: {
            "accuracy": accuracy,
            "stderr": None,
            "items": None,
            "metric": score["metric"]
            if isinstance(score["metric"], str)
            else score["metric"][task],
            "version": None,
            "held_out": held_out,
        }
        for held_out, key in ((False, "per_task"), (True, "heldout"))
        for task, accuracy in score[key].items()
    }
    return content | {"name": "recipe", "score": score | {"tasks": tasks}}


RECIPE: tuple[Step, ...] = (_name_and_tasks,)
"""For recipe.json; these must leave the folder's files alone, which carry hashes."""


def newest(steps: Sequence[Step]) -> int:
    """The format that this version writes."""
    return 1 + len(steps)


def check(file: Path, content: dict[str, Any], steps: Sequence[Step]) -> bool:
    """Whether the content of a file is of an older format.

    Args:
        file: where the content was read.
        content: with a key `format`.
        steps: RUN or RECIPE.

    Raises:
        BadInput: written by a newer version, or without a format.
    """
    found, here = content.get("format"), newest(steps)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise BadInput(f"{file} is damaged: its format is {found!r}, not a number from 1 to {here}")
    if found > here:
        raise BadInput(
            f"{file}: written by a newer version of this tool (format {found}; this one reads up "
            f"to {here}); install that version"
        )
    return found < here


def upgraded(file: Path, content: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """The content of a file as this version would have written it; see `check`."""
    check(file, content, steps)
    for number, step in enumerate(steps[content["format"] - 1 :], content["format"] + 1):
        try:
            content = step(file.parent, content) | {"format": number}
        except (AttributeError, KeyError, TypeError) as error:  # not what that format is
            raise BadInput(f"{file} is damaged: it is not of its format ({error!r})") from None
    return content
