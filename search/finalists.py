"""The finalists: scored again on fresh items before one is chosen, and on held-out items after.

The best of many early evaluations is partly the luckiest one (the winner's curse). So the trial for
the final run is chosen on items that no pruning decision saw. The held-out scores come after the
choice and are part of no decision: they say whether the search's score foretells anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import TrialState

from objectives.objective import Scores
from search.budget import Kind, format_seconds
from search.errors import BudgetTooSmall, WorkerFailed
from search.planner import RESCORED
from search.pruning import Finalist, choose
from search.report.text import heldout_words
from search.scoring import fits, is_kept, scores_or_none
from search.state import Job
from search.store import Record
from search.summary import finalist_rows, heldout_correlation

MOST = 6
"""At most this many finalists are scored again: the best by search loss, and the control."""
MAY_TAKE = 0.05
"""Share of the final run's time that scoring finalists, on fresh or on held-out items, may take
where the time reserved for it is gone (a slow machine, a restart, seconds that were rounded): a run
that goes on from the wrong trial is worth less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescored:
    """What scoring the finalists again gave."""

    fresh: tuple[Finalist, ...]
    """Those that have scores on fresh items."""
    broken: tuple[int, ...]
    """Trials whose evaluation failed."""
    late: tuple[int, ...]
    """Trials for which no time was left."""


def pick_winner(job: Job) -> None:
    """Choose the trial that the final run goes on from.

    Raises:
        BudgetTooSmall: no trial was evaluated for lack of time.
        WorkerFailed: no trial could be trained at all.
    """
    job.phase = "finalists"
    records = candidates(job.store.records(), job.budget_s)
    if len(records) == 1:
        finalists = [early(job, record) for record in records]
        winner, reason = choose(finalists, "search items")
        reason += ", and was not scored again"
    else:
        winner, reason = choose_rescored(job, records, rescore(job, records))
    job.store.note("finalists", [record.number for record in records])
    job.store.note("winner_reason", reason)
    job.store.note("winner", winner)
    job.say(f"final run: {reason}")


def candidates(records: Sequence[Record], budget_s: float) -> list[Record]:
    """The trials that may be chosen, best search loss first: complete ones, else the longest.

    Raises:
        BudgetTooSmall: no trial was evaluated for lack of time.
        WorkerFailed: no trial could be trained at all.
    """
    able = [r for r in records if r.rungs and r.state is not TrialState.FAIL]
    complete = [r for r in able if r.state is TrialState.COMPLETE]
    kept = [r for r in able if r.cut_off]
    found = complete or [r for r in kept if len(r.rungs) == max(len(k.rungs) for k in kept)]
    if not found:
        if records and not any(r.cut_off for r in records):
            raise WorkerFailed(f"no trial could be trained; the last one: {records[-1].reason}")
        raise BudgetTooSmall(
            "no trial could be evaluated within the budget: this machine is slower than foreseen; "
            f"the least that would do is about {format_seconds(2 * budget_s)}"
        )
    found.sort(key=lambda r: (r.rungs[-1].loss, r.number))
    if len(found) > MOST:
        left_out = next((r for r in found[MOST:] if r.control), None)
        found = [*found[: MOST - 1], left_out] if left_out else found[:MOST]
    return found


def early(job: Job, record: Record) -> Finalist:
    """A finalist as its last early evaluation saw it."""
    rung = len(record.rungs) - 1
    return Finalist(
        trial=record.number,
        correct=job.store.correct(record, rung),
        losses=job.store.entry(record, rung).losses,
    )


def rescore(job: Job, records: Sequence[Record]) -> Rescored:
    """Score finalists on fresh items, as long as that leaves time for the final run."""
    plan = job.planned()
    keep_s = plan.after_finalists_s - MAY_TAKE * plan.final_train_s
    fresh: list[Finalist] = []
    broken: list[int] = []
    late: list[int] = []
    for place, record in enumerate(records):
        name = str(record.number)
        # more of them than were planned for must not eat the held-out scores' time
        must = keep_s + (plan.heldout_s if place >= RESCORED else 0.0)
        if not is_kept(job, name, "finalists") and not fits(job, "finalists", must):
            late.append(record.number)
            continue
        scores = scores_or_none(job, name, "finalists", Kind.SEARCH_EVAL, exact=False)
        if scores is None:
            broken.append(record.number)
        else:
            fresh.append(as_finalist(record.number, scores))
            job.say(
                f"trial {name}: accuracy {fresh[-1].accuracy:.3f}, loss {fresh[-1].loss:.3f} "
                f"on {len(fresh[-1].correct)} fresh items"
            )
    return Rescored(fresh=tuple(fresh), broken=tuple(broken), late=tuple(late))


def as_finalist(trial: int, scores: Scores) -> Finalist:
    """Scores item by item, in an order that is the same for every trial."""
    return Finalist(
        trial=trial,
        correct=tuple(c for task in sorted(scores) for c in scores[task].correct),
        losses=tuple(loss for task in sorted(scores) for loss in scores[task].losses),
    )


def choose_rescored(job: Job, records: Sequence[Record], found: Rescored) -> tuple[int, str]:
    """The trial for the final run and why: on fresh items, or else on the early evaluation."""
    notes = []
    if found.broken:
        notes.append(f"{_trials(found.broken)} could not be scored on fresh items")
    if len(found.fresh) > 1 or (found.fresh and not found.late):
        if found.late:
            notes.append(f"no time was left to score {_trials(found.late)} again")
        winner, reason = choose(found.fresh, "fresh items")
    else:
        why = ": no time was left to score the finalists again" if found.late else ""
        notes.append(f"by early evaluation only{why}")
        whole = [record for record in records if record.number not in found.broken] or records
        winner, reason = choose([early(job, record) for record in whole], "search items")
    return winner, "; ".join([reason, *notes])


def score_heldout(job: Job) -> None:
    """Score the finalists on held-out items, as far as that leaves time for the final run.

    The choice is made by now: these scores only tell whether it could be trusted.
    """
    if not job.study.heldout:
        return
    late = []
    keep_s = job.planned().after_heldout_s - MAY_TAKE * job.planned().final_train_s
    for number in job.store.noted("finalists") or []:
        name = str(number)
        if is_kept(job, name, "heldout") or fits(job, "heldout", keep_s):
            scores_or_none(job, name, "heldout", Kind.FINAL_EVAL, exact=True)
        else:
            late.append(number)
    if late:
        job.say(f"no time was left for held-out scores of {_trials(late)}")
    job.say(heldout_words(heldout_correlation(finalist_rows(job.folder, job.store))))


def _trials(numbers: Sequence[int]) -> str:
    names = ", ".join(str(number) for number in numbers)
    return f"trial{'s' if len(numbers) > 1 else ''} {names}"
