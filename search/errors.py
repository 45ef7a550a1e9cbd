"""Every error this tool raises on purpose, in one place.

RecipeSearchError                 a person reads its message; it carries the process's exit code
├── BadInput            (exit 2)  an argument, file or folder is wrong: what, and what to do
├── BudgetTooSmall      (exit 3)  the job cannot fit: says the least that would do
├── Interrupted         (exit 130) Ctrl-C or SIGTERM: the run folder can be resumed
└── WorkerFailed        (exit 1)  the training process died or answered with an error
    ├── OutOfMemory               the recipe does not fit the device: the trial is PRUNED
    └── Diverged                  the loss is not a number: the trial is PRUNED
"""

from __future__ import annotations

from search.signs import one_line


class RecipeSearchError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code = 1


class BadInput(RecipeSearchError):  # noqa: N818  # reads as a sentence: "bad input: ..."
    """The user gave something unusable. Raised before anything is trained."""

    exit_code = 2


class BudgetTooSmall(RecipeSearchError):  # noqa: N818  # likewise
    """The budget cannot hold the job."""

    exit_code = 3


class Interrupted(RecipeSearchError):  # noqa: N818  # likewise
    """The user or the system asked the job to stop."""

    exit_code = 130


class WorkerFailed(RecipeSearchError):  # noqa: N818  # likewise
    """The training process failed in a way that is not the recipe's fault."""


class OutOfMemory(WorkerFailed):
    """The device ran out of memory with this recipe."""


class Diverged(WorkerFailed):
    """Training reached a loss that is not finite."""


def brief(error: Exception) -> str:
    """What somebody else's code raised, on one line: its kind and at most 200 characters."""
    return one_line(f"{type(error).__name__}: {error}")[:200]
