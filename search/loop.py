"""The search itself: load, probe, plan, then one action after another; then the final run."""

from __future__ import annotations

from collections.abc import Sequence

from objectives.objective import Schedule, Trained
from search.actions import Action, Complete, Judge, New, Segment, next_action
from search.budget import Kind, format_seconds
from search.errors import Diverged, OutOfMemory, WorkerFailed
from search.final import WARMUP_STEPS, final_run
from search.finalists import pick_winner
from search.forecast import KNOWN
from search.load import load, relearn, score_base
from search.planner import Plan, costs_of, make_plan
from search.proposals import propose
from search.pruning import judge
from search.report.facts import unit_of
from search.report.text import rank_words
from search.scoring import check_finite
from search.smoke import smoke
from search.state import SAME_FAILURE, Job, restart, tell_pruned
from search.store import CUT_OFF
from search.summary import rank_correlation
from spaces import Recipe

PROBE_STEPS = 3
"""Steps of the default recipe that tell how fast this machine trains; they count as its own. As
many are made before, where a first rung has room for them: on a GPU most of a process's first steps
may be slow ones (measured: 80,000 tokens/s instead of 250,000)."""
PROBED = 3
"""Recipes that are tried before a plan is made with assumed speeds."""


def run_job(job: Job) -> None:
    """Run a job to its end: load, search, final run; the folder then holds all scores.

    Raises:
        BadInput: every answer of the base model to a task is malformed.
        BudgetTooSmall: loading showed that the budget cannot hold the job.
        Interrupted: the user stopped it; the folder can be resumed.
        WorkerFailed: the training process failed again and again.
    """
    load(job)
    smoke(job)
    score_base(job)
    if job.store.noted("winner") is None:
        search(job)
        pick_winner(job)
    final_run(job)


def search(job: Job) -> None:
    """Probe, plan, and carry actions out until none fits."""
    noted = job.store.noted("plan")
    if noted:
        job.plan = Plan.from_dict(noted)
    else:
        probe(job)
        costs = costs_of(job.forecast, job.study, 0.0)
        job.plan = make_plan(job.study, job.budget_s, job.ledger.now(), costs)
        job.store.note("plan", job.plan.to_dict())
        for line in job.plan.lines():
            job.say(line)
    while action := next_action(job):
        carry_out(job, action)
        job.view.refresh(job)
    settle(job)


def settle(job: Job) -> None:
    """The search is over: what is left is the final run's."""
    if job.planned().least_final_s is None:
        return
    end = job.store.noted("search_end")
    reason = end["reason"] if end else "the search ends: no further trial fits"
    job.plan = job.planned().decided(job.left(), reason)
    job.store.note("plan", job.plan.to_dict())
    if not end:
        job.say(reason)
    job.say(f"the final run gets {format_seconds(job.plan.final_train_s)}")


def learn(job: Job, recipe: Recipe, trained: Trained) -> None:
    """Take in the typical step of a segment: its first step includes warming up."""
    tokens, seconds = recipe.tokens_per_step, trained.step_s
    if not seconds:  # all of its steps were taken before a restart
        tokens, seconds = trained.tokens, trained.total_s
    job.forecast.learn(recipe, tokens, seconds, recomputing=trained.recomputing)


def probe(job: Job) -> None:
    """Train the first steps of the default recipe, or of the next that can be trained.

    They tell how fast this machine is.
    """
    for number in range(PROBED):
        if len(job.store.records()) <= number:
            start_trial(job, 0)
        record = job.store.records()[number]
        if record.train_s:
            if not job.forecast.measured:
                relearn(job, record)  # the process broke before the timed steps
            return
        if record.finished:
            continue  # it cannot be trained
        trained = None
        for steps in probe_steps(record.recipe, job.study.first_rung_tokens):
            trained = attempt(job, number, steps, None, "probe")
            if trained is None:
                break
            job.store.add_segment(number, trained)
        if trained is None:
            if not job.store.records()[number].finished:
                probe(job)  # the training process was started again
                return
            continue
        learn(job, record.recipe, trained)
        speed = 1 / job.forecast.per_token(record.recipe)[0]
        name = "the default recipe" if number == 0 else f"trial {number}'s recipe"
        job.say(f"probe: {speed:,.0f} tokens/s with {name}")
        return


def probe_steps(recipe: Recipe, first_rung_tokens: int) -> Sequence[int]:
    """Steps to train to, one after the other; the last ones are timed."""
    room = first_rung_tokens // recipe.tokens_per_step
    return [PROBE_STEPS, 2 * PROBE_STEPS] if room >= 2 * PROBE_STEPS else [PROBE_STEPS]


def attempt(
    job: Job, number: int, until_step: int, deadline_s: float | None, note: str
) -> Trained | None:
    """Train a trial; what goes wrong becomes its state, and None is returned."""
    name = str(number)
    try:
        with job.ledger.span(Kind.SEARCH_TRAIN, trial=number, note=note):
            return job.objective.train(
                name,
                job.store.records()[number].recipe,
                Schedule(warmup_steps=WARMUP_STEPS),
                until_step,
                deadline_s,
                lambda p: job.listen(name, p),
            )
    except WorkerFailed as error:  # and its kinds: out of memory, diverged
        gone_wrong(job, number, error)
        return None


def gone_wrong(job: Job, number: int, error: WorkerFailed) -> None:
    """Prune for what the recipe is to blame for; else start the process again and retry once."""
    if isinstance(error, OutOfMemory | Diverged):
        infeasible = isinstance(error, OutOfMemory)
        what = "out of memory" if infeasible else "diverged"
        tell_pruned(job, number, f"pruned: {what} ({error})", infeasible=infeasible)
    else:
        worker_failed(job, number, error)


def carry_out(job: Job, action: Action) -> None:
    """Do one action, and tell why."""
    if isinstance(action, New):
        start_trial(job, action.bracket)
    elif isinstance(action, Segment):
        segment(job, action)
    elif isinstance(action, Judge):
        judge_rung(job, action)
    elif isinstance(action, Complete):
        job.store.complete(action.trial)
        top = job.store.records()[action.trial].rungs[-1]
        unit = unit_of(job.loaded.device if job.loaded else None)
        job.say(
            f"trial {action.trial}: complete, accuracy {top.accuracy:.3f} ± {top.stderr:.3f} "
            f"for {top.gpu_hours:.4f} {unit}"
        )
        tell_ranks(job)
    else:
        tell_pruned(job, action.trial, f"pruned: no time left to train it up to rung {action.rung}")


def tell_ranks(job: Job) -> None:
    """Say, and keep with the study, how well each rung has foretold the order at the top so far."""
    found = rank_correlation(job.store.records(), len(job.planned().rungs))
    if found != job.store.noted("rank_correlation"):
        job.store.note(
            "rank_correlation", found
        )  # for the dashboard; summary.json comes at the end
        if line := rank_words(found):
            job.say(line)


def start_trial(job: Job, bracket: int) -> None:
    """Propose a recipe and start its trial."""
    full = job.plan.rungs[-1] if job.plan else 1  # before there is a plan no trial has a rung
    proposal = propose(job.study, job.seed, job.store.records(), full)
    record = job.store.add(
        recipe=proposal.recipe,
        params=proposal.params,
        distributions=proposal.distributions,
        origin=proposal.origin,
        bracket=bracket,
    )
    job.say(f"trial {record.number}: {record.recipe.short()} ({record.origin})")


def steps_at(recipe: Recipe, tokens: int) -> int:
    """Optimizer steps that train about `tokens`."""
    return max(1, round(tokens / recipe.tokens_per_step))


def segment(job: Job, action: Segment) -> None:
    """Train and evaluate; failures become the trial's state."""
    plan = job.plan
    assert plan is not None  # noqa: S101  # search() made it
    recipe = job.store.records()[action.trial].recipe
    until_step = steps_at(recipe, plan.rungs[action.rung])
    evaluation = KNOWN * job.forecast.evaluation_s["search"]
    note = f"rung {action.rung}"
    deadline_s = job.left() - plan.least_reserve_s - evaluation
    trained = attempt(job, action.trial, until_step, deadline_s, note)
    if trained is None:
        return
    job.store.add_segment(action.trial, trained)
    learn(job, recipe, trained)
    if trained.step < until_step:
        tell_pruned(job, action.trial, f"{CUT_OFF} to train it up to rung {action.rung}")
        return
    name = str(action.trial)
    try:
        with job.ledger.span(Kind.SEARCH_EVAL, trial=action.trial, note=note):
            began = job.ledger.now()
            scores = job.objective.evaluate(
                name, "search", lambda p: job.listen(name, p), exact=False
            )
            eval_s = job.ledger.now() - began
        check_finite(scores)
    except WorkerFailed as error:  # and its kinds: out of memory, diverged
        gone_wrong(job, action.trial, error)
        return
    job.failures = 0
    job.forecast.learn_evaluation("search", eval_s)
    found = job.store.add_rung(action.trial, trained, scores, eval_s)
    job.say(
        f"trial {action.trial}: rung {action.rung}, {found.tokens:,} tokens, "
        f"loss {found.loss:.3f}, accuracy {found.accuracy:.3f} ± {found.stderr:.3f}, "
        f"{format_seconds(found.train_s)} training + {format_seconds(found.eval_s)} evaluation"
    )
    if action.rung == len(plan.rungs) - 1:
        tell_ranks(job)


def worker_failed(job: Job, number: int, error: WorkerFailed) -> None:
    """Start a new training process and try once more; then fail the trial; then give up."""
    job.failures += 1
    if job.failures >= SAME_FAILURE:
        raise WorkerFailed(f"{SAME_FAILURE} segments failed in a row; the last: {error}")
    place = (number, len(job.store.records()[number].rungs))
    if place in job.retried:
        job.store.fail(number, f"failed: {error}")
        job.say(f"trial {number}: failed: {error}")
    else:
        job.retried.add(place)
        job.say(f"trial {number}: tried again after a failure: {error}")
    restart(job)


def judge_rung(job: Job, action: Judge) -> None:
    """Promote or prune the trials of a bracket at a rung.

    The verdicts depend on all trials that reached the rung, so that judging again after a kill
    gives the same ones.
    """
    records = job.store.records()
    entries = [job.store.entry(records[n], action.rung) for n in action.trials]
    for verdict in judge(entries, job.study.eta):
        record = records[verdict.trial]
        if record.finished or record.promoted > action.rung:
            continue
        if verdict.promoted:
            job.store.promote(verdict.trial, action.rung + 1, verdict.reason)
            job.say(f"trial {verdict.trial}: {verdict.reason}")
        else:
            tell_pruned(job, verdict.trial, verdict.reason)
