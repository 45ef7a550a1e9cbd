"""The final run: the winner is trained on with the rest of the budget, then all is scored."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import Any

from optuna.trial import TrialState

from objectives.objective import Schedule, Trained
from search.budget import Kind, format_seconds
from search.errors import Diverged, OutOfMemory, WorkerFailed
from search.finalists import score_heldout
from search.forecast import KNOWN, forecast_accuracy
from search.planner import margin_of
from search.scoring import kept_scores, scores_or_none
from search.state import Job, with_a_new_process
from search.store import Record

WARMUP_STEPS = 4
"""Steps of linear warm-up, the same for trials and the final run."""
DECAY_SHARE = 0.25
"""Share of the final run's steps over which the rate falls to 0."""
OPTIMISM = 1.1
"""The final run is asked for this much more than is foreseen to fit: the deadline cuts it to size,
so that a machine faster than foreseen leaves no time unused."""
LEAVE_S = 3.0
"""Seconds that must be left for the export when the final recipe is scored."""
PICK_UP_S = 60.0
"""Seconds in which a checkpoint is picked up, its base loaded if need be; else that hangs."""
FINAL = "final"
"""Name of the final run among the trials' folders."""
EXPORTED = "final_exported"
"""Note that adapter and rows of the final recipe were written."""
ITEMS = ("final", "heldout")
"""What base, default and final recipe are scored on."""


def final_run(job: Job) -> None:
    """Train the winner on with the rest of the budget, and score base, default and final."""
    job.phase = "final"
    winner = job.store.records()[job.store.noted("winner")]
    score_references(job)
    score_heldout(job)
    if job.store.noted("final_trained") is None:
        with job.ledger.span(Kind.FINAL_TRAIN, trial=winner.number, note="final run"):
            trained = train_final(job, winner)
        job.store.note("final_trained", final_facts(trained))
    export_final(job)
    try:
        score_final(job)
    except Diverged as error:
        with job.ledger.span(Kind.FINAL_TRAIN, trial=winner.number, note="given up"):
            trained = give_up(job, winner, error)
        job.store.note("final_trained", final_facts(trained))
        export_final(job)
        score_final(job)


def export_final(job: Job) -> None:
    """Write adapter and rows to RUN_DIR/recipe, once.

    That comes before the scores, so that a training process which hangs while they are made can
    cost scores and no recipe.
    """
    target = job.folder.path / "recipe"
    if job.store.noted(EXPORTED) and target.is_dir():
        return
    with job.ledger.span(Kind.EXPORT, note="adapter and rows"):
        shutil.rmtree(target, ignore_errors=True)
        with_a_new_process(job, "export", lambda: job.objective.export(FINAL, target))
    job.store.note(EXPORTED, value=True)


def score_references(job: Job) -> None:
    """Score the base model and the default recipe on final and held-out items.

    A machine that has become slow scores fewer items, so that at least half of the final run's time
    is left.
    """
    names: list[str | None] = [None]
    default = job.store.records()[0]
    if default.rungs and (default.state is TrialState.COMPLETE or default.cut_off):
        names.append("0")
    leave_s = job.planned().after_training_s + job.planned().final_train_s / 2
    for name in names:
        for items in ITEMS:
            scores_or_none(job, name, items, Kind.FINAL_EVAL, exact=True, leave_s=leave_s)


def score_final(job: Job) -> None:
    """Score the final recipe, on fewer items where the machine has become slow."""
    for items in ITEMS:

        def score(items: str = items) -> None:
            kept_scores(job, FINAL, items, Kind.FINAL_EVAL, exact=True, leave_s=LEAVE_S)

        with_a_new_process(job, "final run", score, said="scored again after a failure")


def train_final(job: Job, winner: Record) -> Trained:
    """The final run; where it goes wrong, the winner as it was is better than nothing.

    A failure of the training process is met by a new process. A run that diverges or does not
    fit into memory is given up: the final recipe is then the winner's own checkpoint.
    """
    try:
        return with_a_new_process(
            job, "final run", lambda: go_on(job, winner), hopeless=(OutOfMemory, Diverged)
        )
    except (OutOfMemory, Diverged) as error:
        return give_up(job, winner, error)


def give_up(job: Job, winner: Record, error: WorkerFailed) -> Trained:
    """Let the winner's own checkpoint be the final recipe."""
    job.say(f"final run: given up ({error}); the chosen trial is exported as it is")
    job.store.note("final_trained", None)
    job.store.note(EXPORTED, None)
    for items in ITEMS:  # what was scored of it is no longer there
        job.store.note(f"seconds_{FINAL}-{items}", None)

    def fall_back() -> Trained:
        job.objective.discard(FINAL)
        job.objective.fork(str(winner.number), FINAL)
        schedule = Schedule(warmup_steps=WARMUP_STEPS)
        return job.objective.train(
            FINAL, winner.recipe, schedule, 0, PICK_UP_S, lambda p: job.listen(FINAL, p)
        )

    return with_a_new_process(job, "final run", fall_back)


def final_schedule(winner: Record, tokens: float) -> Schedule:
    """The winner's schedule on to `tokens` more tokens, with the decay at its end."""
    size = winner.recipe.tokens_per_step
    start = max(winner.rungs[-1].step, winner.curve[-1][0] // size)
    steps = max(1, int(tokens / size))
    total = start + steps
    decay = min(steps, max(1, round(DECAY_SHARE * total)))
    return Schedule(warmup_steps=WARMUP_STEPS, decay_start=total - decay, total_steps=total)


def go_on(job: Job, winner: Record) -> Trained:
    """Train on from the winner's checkpoint: the trials' function, sized to end in time.

    The schedule is decided once per job; the deadline cuts it to size, also after a restart.
    """
    job.objective.fork(str(winner.number), FINAL)
    evaluation = sum(job.forecast.evaluation_s[items] for items in ITEMS)
    plan = job.planned()
    margin = min(plan.margin_s, margin_of(job.left()))
    seconds = max(0.0, job.left() - KNOWN * evaluation - plan.export_s - margin)
    noted = job.store.noted("final_schedule")
    if noted:
        schedule = Schedule(**noted)
    else:
        hoped = seconds / job.forecast.per_token(winner.recipe)[0] * OPTIMISM
        schedule = final_schedule(winner, hoped)
        foresee(job, winner, schedule, seconds)
        job.store.note("final_schedule", asdict(schedule))
    return job.objective.train(
        FINAL,
        winner.recipe,
        schedule,
        schedule.total_steps or 0,
        seconds,
        lambda p: job.listen(FINAL, p),
    )


def foresee(job: Job, winner: Record, schedule: Schedule, seconds: float) -> None:
    """Keep and tell what is expected of the final run, before it is known.

    Args:
        job: the job.
        winner: whose checkpoint it goes on from.
        schedule: at most so many steps.
        seconds: of training, 0 or more.
    """
    tokens = (schedule.total_steps or 0) * winner.recipe.tokens_per_step
    points = [(rung.tokens, rung.accuracy) for rung in winner.rungs]
    foreseen = forecast_accuracy(points, tokens, len(job.folder.items("search")))
    assert foreseen is not None  # noqa: S101  # the winner has a rung
    hours = winner.rungs[-1].gpu_hours + seconds / 3600
    job.store.note("forecast_final", asdict(foreseen) | {"gpu_hours": hours})
    job.say(
        f"final run: on from {winner.rungs[-1].tokens:,} to at most {tokens:,} tokens in "
        f"{format_seconds(seconds)}; foreseen accuracy {foreseen.accuracy:.2f} "
        f"({foreseen.low:.2f} to {foreseen.high:.2f})"
    )


def final_facts(trained: Trained) -> dict[str, Any]:
    """What the recipe must record about its training.

    A checkpoint that is exported as it is never decayed: its decay begins where it ends.
    """
    schedule = trained.schedule
    total = trained.step if schedule.total_steps is None else schedule.total_steps
    return {
        "steps": trained.step,
        "tokens": trained.tokens,
        "train_s": round(trained.seconds, 3),
        "loss": trained.loss,
        "warmup_steps": schedule.warmup_steps,
        "decay_start": total if schedule.decay_start is None else schedule.decay_start,
        "total_steps": total,
        "shares": {name: round(share, 5) for name, share in trained.shares.items()},
        "passes": {name: round(passes, 3) for name, passes in trained.passes.items()},
        "curve": [list(point) for point in trained.curve],
        "optimizer": trained.optimizer,
        "peak_memory_gib": round(trained.peak_memory_gib, 3),
        "tokens_per_s": round(trained.new_tokens / trained.seconds, 1) if trained.seconds else 0.0,
    }
