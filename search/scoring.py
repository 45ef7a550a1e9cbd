"""Scores that a job computes once and keeps in its folder, and what becomes of those that fail."""

from __future__ import annotations

import math
from collections import Counter

from objectives.objective import Scores, TaskScore
from search.budget import Kind
from search.errors import Diverged, OutOfMemory, WorkerFailed
from search.forecast import KNOWN
from search.state import SAME_FAILURE, Job, longest_load_s, restart, with_a_new_process

PART = 16
"""Items per task that are scored at a time after the final run: between parts, the deadline is
looked at."""
SLOWER = 1.3
"""A part is started only if it fits when it takes this much longer than the last one."""
HUNG_S = 20.0
HUNG = 4.0
"""A part that must be scored may count as hung after so many seconds, and so many times as long as
expected."""


def kept_scores(
    job: Job,
    trial: str | None,
    items: str,
    kind: Kind,
    *,
    exact: bool,
    leave_s: float | None = None,
) -> Scores:
    """Scores of a trial (None: the base model), computed once per job and kept in the folder.

    Args:
        job: the job.
        trial: its name.
        items: search, finalists, final or heldout.
        kind: what the time is charged to.
        exact: see `Objective.evaluate`.
        leave_s: seconds of the budget that must be left afterwards: a machine that has become slow
            scores fewer items, the first ones of each task. At least a part of `final` is scored of
            the final recipe.

    Raises:
        Diverged: a loss is not a number; nothing is kept then.
        WorkerFailed: the training process failed.
    """
    name = trial or "base"
    file = f"{name}-{items}"
    known = job.folder.read_scores(file) if is_kept(job, trial, items) else None
    if known is None:
        number = int(name) if name.isdigit() else None
        with job.ledger.span(kind, trial=number, note=f"{name} on {items}"):
            began = job.ledger.now()
            if leave_s is None:
                known = job.objective.evaluate(
                    trial, items, lambda p: job.listen(name, p), exact=exact
                )
            else:
                known, failed_s = scores_in_parts(job, trial, items, leave_s, exact=exact)
                began += failed_s
            timed = job.ledger.now() - began
        check_finite(known, f"{name} on {items}: ")
        job.folder.write_scores(file, known)
        job.store.note(f"seconds_{file}", round(timed, 3))
    if any(score.correct for score in known.values()):  # no item says nothing of what items take
        timed = job.store.noted(f"seconds_{file}") * share_left_out(job, items, known)
        job.forecast.learn_evaluation(items, timed)
    return known


def per_task(job: Job, items: str) -> int:
    """Items of the task that has most of them in an items file."""
    return max(Counter(item["task"] for item in job.folder.items(items)).values(), default=0)


def share_left_out(job: Job, items: str, scores: Scores) -> float:
    """How many times as many items there are as were scored, at least one; at least 1."""
    scored = max(len(score.correct) for score in scores.values())
    return max(1.0, per_task(job, items) / scored)


def is_kept(job: Job, trial: str | None, items: str) -> bool:
    """Whether an earlier call of `kept_scores` got to its end."""
    file = f"{trial or 'base'}-{items}"
    return job.folder.has(f"scores/{file}.json") and job.store.noted(f"seconds_{file}") is not None


def check_finite(scores: Scores, where: str = "") -> None:
    """Raise Diverged if a loss is no number: nothing is smaller than NaN, and nothing larger."""
    if not all(math.isfinite(x) for score in scores.values() for x in score.losses):
        raise Diverged(f"{where}an item's loss is not a number")


def fits(job: Job, items: str, keep_s: float) -> bool:
    """Whether one more evaluation leaves `keep_s` seconds of the budget."""
    return job.left() - KNOWN * job.forecast.evaluation_s[items] >= keep_s


def scores_or_none(
    job: Job,
    trial: str | None,
    items: str,
    kind: Kind,
    *,
    exact: bool,
    leave_s: float | None = None,
) -> Scores | None:
    """As `kept_scores`; None, and a line that says why, where that fails.

    A failure of the training process is met by a new process.
    """
    name = f"trial {trial}" if trial else "base model"

    def score() -> Scores:
        return kept_scores(job, trial, items, kind, exact=exact, leave_s=leave_s)

    try:
        return with_a_new_process(job, name, score, hopeless=(OutOfMemory, Diverged))
    except WorkerFailed as error:
        job.say(f"{name}: no scores on {items} items: {error}")
        if not isinstance(error, OutOfMemory | Diverged):
            restart(job)
        return None


def first_try_s(spare_s: float, expected: float) -> float | None:
    """Seconds after which a part that must be scored is given up, to be scored by a new process.

    None where what is to spare, `spare_s`, is no clear sign of a hang.
    """
    return spare_s if spare_s >= max(HUNG_S, HUNG * expected) else None


def scores_in_parts(
    job: Job, trial: str | None, items: str, leave_s: float, *, exact: bool
) -> tuple[Scores, float]:
    """Score part after part while there is time; one that fails is tried again if there is enough.

    A part that need not be scored ends before the time that is to be left, whatever becomes of it.

    Returns:
        The scores, and the seconds that went to parts that failed.
    """
    name = trial or "base"
    most = per_task(job, items)
    expected = job.forecast.evaluation_s.get(items, 0.0) * PART / max(1, most)
    found: Scores = {}
    first = failures = 0
    failed_s = 0.0

    def stop(why: object) -> tuple[Scores, float]:
        job.say(f"{name}: only {first} items per task of {items} scored: {why}")
        return found, failed_s

    while first < most:
        must = name == items == "final" and first == 0
        spare_s = job.left() - leave_s
        again_s = longest_load_s(job) + SLOWER * expected  # what to score it once more takes
        if not must and spare_s < SLOWER * expected:
            return stop("the machine has become slow")
        began = job.ledger.now()
        try:
            part = job.objective.evaluate(
                trial,
                items,
                lambda p: job.listen(name, p),
                exact=exact,
                part=(first, first + PART),
                deadline_s=first_try_s(spare_s - again_s, expected) if must else spare_s,
            )
        except WorkerFailed as error:
            failures += 1
            if must or isinstance(error, Diverged):
                raise
            helps = not isinstance(error, OutOfMemory) and job.left() - leave_s >= again_s
            if helps:
                restart(job)
            failed_s += job.ledger.now() - began
            if not helps or failures == SAME_FAILURE:
                return stop(error)
            job.say(f"{name}: {items} items from {first} on scored again after a failure: {error}")
            continue
        expected = job.ledger.now() - began
        for task, score in part.items():
            before = found.get(task, TaskScore(correct=[], losses=[]))
            found[task] = TaskScore(
                correct=before.correct + score.correct, losses=before.losses + score.losses
            )
        first, failures = first + PART, 0
    return found, failed_s
