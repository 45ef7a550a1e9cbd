"""The beginning of every process of a job: load, narrow the space, score the base model."""

from __future__ import annotations

from dataclasses import replace

from optuna.trial import TrialState

from search.budget import Kind
from search.report.text import NO_HELDOUT
from search.scoring import kept_scores
from search.state import Job, discard, start, tell_pruned, with_a_new_process
from search.store import Record, macro
from studies import Study


def load(job: Job) -> None:
    """Load the base model, and narrow the space to what the device can do."""
    start(job)
    assert job.loaded is not None  # noqa: S101  # start() saw to it
    for reason in job.loaded.reasons:
        job.say(reason)
    removed = job.loaded.removed
    for kind, reason in removed.items():
        if kind in job.study.space.quantization:
            job.say(f"{kind} is left out of the space: {reason}")
    job.study = job.study.on_device(removed)
    if not job.loaded.packing and True in job.study.space.packing:
        job.study = with_packing(job.study, packing=False)
    if job.loaded.padding_free and len(job.study.space.packing) > 1:
        job.study = with_packing(job.study, packing=True)
        job.say("packing is no axis here: this device pads nothing, and both choices train alike")
    job.store.note("device", job.loaded.device)
    job.store.note("base", job.loaded.base)
    job.store.note("over_long", job.loaded.over_long)
    job.store.note("versions", job.loaded.versions)
    job.store.note("parameters", job.loaded.parameters)
    if not job.study.heldout:
        job.say(NO_HELDOUT)
    tidy(job)
    for record in job.store.records():
        relearn(job, record)


def with_packing(study: Study, *, packing: bool) -> Study:
    """The study on a device or model that has but one of the two."""
    experts = [replace(e, recipe=replace(e.recipe, packing=packing)) for e in study.experts]
    return replace(study, space=replace(study.space, packing=(packing,)), experts=tuple(experts))


def tidy(job: Job) -> None:
    """After a restart: prune what this device cannot train, delete what a kill left behind."""
    space = job.study.space
    for record in job.store.records():
        if record.finished:
            if record.state is TrialState.PRUNED and not record.cut_off:
                discard(job, record.number)
        elif record.recipe.quantization not in space.quantization:
            tell_pruned(job, record.number, "pruned: this device cannot do its quantization")
        elif record.recipe.packing not in space.packing:
            tell_pruned(job, record.number, "pruned: this device has but one kind of rows")


def relearn(job: Job, record: Record) -> None:
    """Take costs in from an earlier process of the job."""
    if record.curve:
        tokens, seconds = record.curve[-1][0], record.train_s
        job.forecast.learn(record.recipe, tokens, seconds, recomputing=record.recomputing)
    before = 0.0
    for rung in record.rungs:
        job.forecast.learn_evaluation("search", rung.eval_s - before)
        before = rung.eval_s


def score_base(job: Job) -> None:
    """Score the base model on the search items: that also tells how long an evaluation takes."""
    job.phase = "search"
    scores = with_a_new_process(
        job,
        "base model",
        lambda: kept_scores(job, None, "search", Kind.SEARCH_EVAL, exact=False),
    )
    accuracy, _ = macro(scores)
    job.say(f"the base model answers {accuracy:.1%} of the search items")
    foresee_evaluations(job)


def foresee_evaluations(job: Job) -> None:
    """Foresee the other evaluations from the base's on the search items, by number of items.

    The final ones run in the base's stored precision, which a CPU with bfloat16 units does more
    slowly (measured: 1.5 times).
    """
    seconds = job.store.noted("seconds_base-search") / len(job.folder.items("search"))
    for items, slower in {"finalists": 1.0, "final": 1.6, "heldout": 1.6}.items():
        job.forecast.foresee_evaluation(items, slower * seconds * len(job.folder.items(items)))
