"""The search itself: ask, train a segment, evaluate, prune or promote; then the final run.

`next_action` decides from what the store holds and from the time left, and from nothing else, so a
killed job goes on by asking it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import TrialState

from objectives.objective import Loaded, Objective, Progress, Schedule, Scores, Trained
from search.budget import Kind, Ledger, format_seconds
from search.errors import BudgetTooSmall, Diverged, OutOfMemory, WorkerFailed
from search.forecast import KNOWN, CostForecast, forecast_accuracy
from search.planner import Plan, affordable_bracket, costs_of, make_plan
from search.proposals import propose
from search.pruning import Finalist, choose, judge
from search.store import Record, RunFolder, Store, macro
from search.view import View
from spaces import Recipe
from studies import Study

WARMUP_STEPS = 4
"""Steps of linear warm-up, the same for trials and the final run."""
DECAY_SHARE = 0.25
"""Share of the final run's steps over which the rate falls to 0."""
PROBE_STEPS = 3
"""Steps of the default recipe that tell how fast this machine trains; they count as its own."""
OPTIMISM = 1.1
"""The final run is asked for this much more than is foreseen to fit: the deadline cuts it to size,
so that a machine faster than foreseen leaves no time unused."""
SAME_FAILURE = 3
"""The job stops after this many failures of the training process in a row."""
FINAL = "final"
"""Name of the final run among the trials' folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class New:
    """Start a trial."""

    bracket: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Train a trial up to a rung and evaluate it there."""

    trial: int
    rung: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Decide about the trials of a bracket that reached a rung."""

    trials: tuple[int, ...]
    rung: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Complete:
    """Tell Optuna a trial's values at the top rung."""

    trial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOff:
    """Prune a trial because its next segment does not fit any more."""

    trial: int
    rung: int


Action = New | Segment | Judge | Complete | CutOff


@dataclass(slots=True)
class Job:
    """What one process of a job works with."""

    study: Study
    budget_s: float
    seed: int
    folder: RunFolder
    store: Store
    ledger: Ledger
    objective: Objective
    view: View
    forecast: CostForecast
    loaded: Loaded | None = None
    plan: Plan | None = None
    failures: int = 0
    phase: str = "load"
    live: tuple[str, Progress] | None = None
    """What is under way, for the view: (trial's name, latest progress)."""
    trace_of: str = ""
    """Whose training losses `trace` holds."""
    trace: list[float] = field(default_factory=list)

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.budget_s - self.ledger.now()

    def listen(self, name: str, progress: Progress) -> None:
        """Take in a sign of life."""
        self.live = (name, progress)
        self.ledger.tick()
        self.view.refresh(self)

    def say(self, line: str) -> None:
        """Tell the user a decision."""
        self.view.line(line)


def run_job(job: Job) -> None:
    """Run a job to its end: load, search, final run; the folder then holds all scores.

    Raises:
        BudgetTooSmall: loading showed that the budget cannot hold the job.
        Interrupted: the user stopped it; the folder can be resumed.
        WorkerFailed: the training process failed again and again.
    """
    load(job)
    if job.store.noted("winner") is None:
        search(job)
        pick_winner(job)
    final_run(job)


def load(job: Job) -> None:
    """Load the base model, narrow the space to what the device can do, and score the base."""
    with job.ledger.span(Kind.LOAD):
        job.loaded = job.objective.load(lambda p: job.listen("load", p))
    for reason in job.loaded.reasons:
        job.say(reason)
    removed = job.loaded.removed
    for kind, reason in removed.items():
        if kind in job.study.space.quantization:
            job.say(f"{kind} is left out of the space: {reason}")
    job.study = job.study.on_device(removed)
    if not job.loaded.packing and True in job.study.space.packing:
        job.study = without_packing(job.study)
    job.store.note("device", job.loaded.device)
    job.store.note("base", job.loaded.base)
    job.store.note("versions", job.loaded.versions)
    job.store.note("parameters", job.loaded.parameters)
    job.phase = "search"
    scores = base_scores(job, "search", Kind.SEARCH_EVAL, exact=False)
    accuracy, _ = macro(scores)
    job.say(f"the base model answers {accuracy:.1%} of the search items")


def without_packing(study: Study) -> Study:
    """The study on a device or model that cannot isolate packed samples."""
    return replace(
        study,
        space=replace(study.space, packing=(False,)),
        experts=tuple(replace(e, recipe=replace(e.recipe, packing=False)) for e in study.experts),
    )


def base_scores(job: Job, items: str, kind: Kind, *, exact: bool) -> Scores:
    """The base model's scores, computed once per job."""
    return kept_scores(job, None, items, kind, exact=exact)


def kept_scores(job: Job, trial: str | None, items: str, kind: Kind, *, exact: bool) -> Scores:
    """Scores on an items file, computed once per job and kept in the run folder."""
    name = trial or "base"
    file = f"{name}-{items}"
    timed = job.store.noted(f"seconds_{file}")
    known = job.folder.read_scores(file)
    if known is None or timed is None:
        number = int(name) if name.isdigit() else None
        with job.ledger.span(kind, trial=number, note=f"{name} on {items}"):
            began = job.ledger.now()
            known = job.objective.evaluate(trial, items, lambda p: job.listen(name, p), exact=exact)
            timed = job.ledger.now() - began
        job.folder.write_scores(file, known)
        job.store.note(f"seconds_{file}", round(timed, 3))
    job.forecast.learn_evaluation(items, timed)
    return known


def search(job: Job) -> None:
    """Probe, plan, and carry actions out until none fits."""
    forget_unfit(job)
    for record in job.store.records():
        relearn(job, record)
    noted = job.store.noted("plan")
    if noted:
        job.plan = Plan.from_dict(noted)
    else:
        estimate_final_evaluation(job)
        probe(job)
        costs = costs_of(job.forecast, job.study, 0.0)
        job.plan = make_plan(job.study, job.budget_s, job.ledger.now(), costs)
        job.store.note("plan", job.plan.to_dict())
        for line in job.plan.lines():
            job.say(line)
    while action := next_action(job):
        carry_out(job, action)
        job.view.refresh(job)


def forget_unfit(job: Job) -> None:
    """After a restart on another device: nothing to do for trials that are finished."""
    for record in job.store.records():
        if record.finished:
            continue
        if record.recipe.quantization not in job.study.space.quantization:
            job.store.prune(record.number, "pruned: this device cannot do its quantization")


def relearn(job: Job, record: Record) -> None:
    """Take costs in from an earlier process of the job."""
    if record.rungs:
        last = record.rungs[-1]
        job.forecast.learn(record.recipe, last.tokens, last.train_s)


def learn(job: Job, recipe: Recipe, trained: Trained) -> None:
    """Take in the typical step of a segment: its first step includes warming up."""
    job.forecast.learn(recipe, recipe.tokens_per_step, trained.step_s)


def estimate_final_evaluation(job: Job) -> None:
    """Foresee the final evaluations from the base's on the search items, by number of items.

    They run in the base's stored precision, which a CPU with bfloat16 units does at half speed.
    """
    seconds = job.forecast.evaluation_s["search"]
    count = len(job.folder.items("search"))
    for items in ("final", "heldout"):
        known = len(job.folder.items(items))
        job.forecast.learn_evaluation(items, 2.0 * seconds * known / count)


def probe(job: Job) -> None:
    """Train the default recipe's first steps: they tell how fast this machine is."""
    if not job.store.records():
        start_trial(job, 0)
    record = job.store.records()[0]
    if record.train_s or record.finished:
        return
    with job.ledger.span(Kind.SEARCH_TRAIN, trial=0, note="probe"):
        trained = job.objective.train(
            "0",
            record.recipe,
            Schedule(warmup_steps=WARMUP_STEPS),
            PROBE_STEPS,
            None,
            lambda p: job.listen("0", p),
        )
    job.store.add_segment(0, trained)
    learn(job, record.recipe, trained)
    speed = record.recipe.tokens_per_step / trained.step_s
    job.say(f"probe: {speed:,.0f} tokens/s with the default recipe")


def next_action(job: Job) -> Action | None:
    """What to do next, or None when the search is over."""
    plan = job.plan
    assert plan is not None  # noqa: S101  # search() made it
    records = job.store.records()
    bracket = max((r.bracket for r in records), default=0)
    members = [r for r in records if r.bracket == bracket]
    alive = [r for r in members if not r.finished]
    left = job.left() - plan.reserve_s
    size = job.store.noted(f"bracket_{bracket}") or plan.bracket
    started = [r for r in alive if not r.rungs]
    if started:
        return admit(job, started[0], 0, left)
    if len(members) < size and not any(r.promoted for r in members):
        cost = job.forecast.segment_s(job.study.experts[0].recipe, plan.rungs[0])
        if cost <= left:
            return New(bracket=bracket)
    for rung in range(len(plan.rungs)):
        reached = [r for r in members if len(r.rungs) > rung]
        waiting = [r for r in alive if len(r.rungs) == rung and r.promoted >= rung]
        if rung and waiting:
            best = min(waiting, key=lambda r: (not r.control, r.rungs[-1].loss, r.number))
            return admit(job, best, rung, left)
        here = [r for r in alive if len(r.rungs) == rung + 1]
        if here and rung == len(plan.rungs) - 1:
            return Complete(trial=here[0].number)
        if any(r.promoted <= rung for r in here):
            return Judge(trials=tuple(r.number for r in reached), rung=rung)
    costs = costs_of(job.forecast, job.study, 0.0)
    count = affordable_bracket(plan, left, costs, job.study.eta)
    if count:
        job.store.note(f"bracket_{bracket + 1}", count)
        return New(bracket=bracket + 1)
    return None


def admit(job: Job, record: Record, rung: int, left: float) -> Segment | CutOff:
    """Let a segment start only if its forecast fits into the time left."""
    plan = job.plan
    assert plan is not None  # noqa: S101  # the caller looked
    done = record.rungs[-1].tokens if record.rungs else 0
    cost = job.forecast.segment_s(record.recipe, plan.rungs[rung] - done)
    if cost <= left:
        return Segment(trial=record.number, rung=rung)
    return CutOff(trial=record.number, rung=rung)


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
        job.say(
            f"trial {action.trial}: complete, accuracy {top.accuracy:.3f} ± {top.stderr:.3f} "
            f"for {top.gpu_hours:.4f} gpu_hours"
        )
    else:
        tell_pruned(job, action.trial, f"pruned: no time left to train it up to rung {action.rung}")


def start_trial(job: Job, bracket: int) -> None:
    """Propose a recipe and start its trial."""
    proposal = propose(job.study, job.seed, job.store.records())
    record = job.store.add(
        recipe=proposal.recipe,
        params=proposal.params,
        distributions=proposal.distributions,
        origin=proposal.origin,
        bracket=bracket,
    )
    job.say(f"trial {record.number}: {record.recipe.short()} ({record.origin})")


def tell_pruned(job: Job, number: int, reason: str, *, infeasible: bool = False) -> None:
    """Prune a trial and delete its checkpoint."""
    job.store.prune(number, reason, infeasible=infeasible)
    keep = reason.startswith("pruned: no time left")  # it may still be the best there is
    if not keep:
        job.objective.discard(str(number))
    job.say(f"trial {number}: {reason}")


def steps_at(recipe: Recipe, tokens: int) -> int:
    """Optimizer steps that train about `tokens`."""
    return max(1, round(tokens / recipe.tokens_per_step))


def segment(job: Job, action: Segment) -> None:
    """Train and evaluate; failures become the trial's state."""
    plan = job.plan
    assert plan is not None  # noqa: S101  # search() made it
    record = job.store.records()[action.trial]
    recipe = record.recipe
    name = str(action.trial)
    try:
        with job.ledger.span(Kind.SEARCH_TRAIN, trial=action.trial, note=f"rung {action.rung}"):
            trained = job.objective.train(
                name,
                recipe,
                Schedule(warmup_steps=WARMUP_STEPS),
                steps_at(recipe, plan.rungs[action.rung]),
                job.left() - plan.reserve_s,
                lambda p: job.listen(name, p),
            )
        learn(job, recipe, trained)
        with job.ledger.span(Kind.SEARCH_EVAL, trial=action.trial, note=f"rung {action.rung}"):
            began = job.ledger.now()
            scores = job.objective.evaluate(
                name, "search", lambda p: job.listen(name, p), exact=False
            )
            eval_s = job.ledger.now() - began
    except (OutOfMemory, Diverged) as error:
        infeasible = isinstance(error, OutOfMemory)
        what = "out of memory" if infeasible else "diverged"
        tell_pruned(job, action.trial, f"pruned: {what} ({error})", infeasible=infeasible)
        return
    except WorkerFailed as error:
        worker_failed(job, action.trial, error)
        return
    job.failures = 0
    job.forecast.learn_evaluation("search", eval_s)
    job.store.add_segment(action.trial, trained)
    found = job.store.add_rung(action.trial, trained, scores, eval_s)
    job.say(
        f"trial {action.trial}: rung {action.rung}, {found.tokens:,} tokens, "
        f"loss {found.loss:.3f}, accuracy {found.accuracy:.3f} ± {found.stderr:.3f}, "
        f"{format_seconds(found.train_s)} training + {format_seconds(found.eval_s)} evaluation"
    )


def worker_failed(job: Job, number: int, error: WorkerFailed) -> None:
    """Fail the trial and start a new training process; give up when that goes on."""
    job.failures += 1
    job.store.fail(number, f"failed: {error}")
    job.say(f"trial {number}: failed: {error}")
    if job.failures >= SAME_FAILURE:
        raise WorkerFailed(f"{SAME_FAILURE} segments failed in a row; the last: {error}")
    job.objective.close()
    with job.ledger.span(Kind.LOAD, note="again, after a failure"):
        job.loaded = job.objective.load(lambda p: job.listen("load", p))


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


def pick_winner(job: Job) -> None:
    """Choose the trial that the final run goes on from.

    Raises:
        BudgetTooSmall: no trial was evaluated at all.
    """
    able = [r for r in job.store.records() if r.rungs and r.state is not TrialState.FAIL]
    complete = [r for r in able if r.state is TrialState.COMPLETE]
    kept = [r for r in able if r.reason.startswith("pruned: no time left")]
    candidates = complete or [r for r in kept if len(r.rungs) == max(len(k.rungs) for k in kept)]
    if not candidates:
        raise BudgetTooSmall("no trial could be evaluated within the budget; give a longer one")
    finalists = []
    for record in candidates:
        rung = len(record.rungs) - 1
        entry = job.store.entry(record, rung)
        finalists.append(
            Finalist(
                trial=record.number, correct=job.store.correct(record, rung), losses=entry.losses
            )
        )
    winner, reason = choose(finalists)
    job.store.note("winner_reason", reason)
    job.store.note("winner", winner)
    job.say(f"final run: {reason}")


def final_run(job: Job) -> None:
    """Train the winner on with the rest of the budget, and score base, default and final."""
    job.phase = "final"
    winner = job.store.records()[job.store.noted("winner")]
    for items in ("final", "heldout"):
        base_scores(job, items, Kind.FINAL_EVAL, exact=True)
    default = job.store.records()[0]
    can_score_default = default.state is TrialState.COMPLETE or default.number == winner.number
    if can_score_default:
        for items in ("final", "heldout"):
            kept_scores(job, "0", items, Kind.FINAL_EVAL, exact=True)
    if job.store.noted("final_trained") is None:
        with job.ledger.span(Kind.FINAL_TRAIN, trial=winner.number, note="final run"):
            job.objective.fork(str(winner.number), FINAL)
            trained = train_final(job, winner)
        job.store.note("final_trained", final_facts(trained))
    for items in ("final", "heldout"):
        kept_scores(job, FINAL, items, Kind.FINAL_EVAL, exact=True)


def final_schedule(winner: Record, recipe: Recipe, tokens: float) -> Schedule:
    """The winner's schedule on to `tokens` more tokens, with the decay at its end."""
    start = winner.rungs[-1].step
    steps = max(1, int(tokens / recipe.tokens_per_step))
    total = start + steps
    decay = min(steps, max(1, round(DECAY_SHARE * total)))
    return Schedule(warmup_steps=WARMUP_STEPS, decay_start=total - decay, total_steps=total)


def train_final(job: Job, winner: Record) -> Trained:
    """The final run: the same function as the trials, sized to end before the deadline."""
    recipe = winner.recipe
    evaluation = sum(job.forecast.evaluation_s[items] for items in ("final", "heldout"))
    plan = job.plan or Plan.from_dict(job.store.noted("plan"))
    seconds = job.left() - KNOWN * evaluation - plan.export_s - plan.margin_s
    hoped = seconds / job.forecast.per_token(recipe)[0] * OPTIMISM
    schedule = final_schedule(winner, recipe, hoped)
    tokens = schedule.total_steps * recipe.tokens_per_step if schedule.total_steps else 0
    if job.store.noted("forecast_final") is None:
        points = [(rung.tokens, rung.accuracy) for rung in winner.rungs]
        foreseen = forecast_accuracy(points, tokens, len(job.folder.items("search")))
        assert foreseen is not None  # noqa: S101  # the winner has a rung
        job.store.note(
            "forecast_final",
            {
                "accuracy": foreseen.accuracy,
                "low": foreseen.low,
                "high": foreseen.high,
                "gpu_hours": winner.rungs[-1].gpu_hours + seconds / 3600,
            },
        )
        job.say(
            f"final run: on from {winner.rungs[-1].tokens:,} to about {tokens:,} tokens in "
            f"{format_seconds(seconds)}; foreseen accuracy {foreseen.accuracy:.2f} "
            f"({foreseen.low:.2f} to {foreseen.high:.2f})"
        )
    return job.objective.train(
        FINAL,
        recipe,
        schedule,
        schedule.total_steps or 0,
        seconds,
        lambda p: job.listen(FINAL, p),
    )


def final_facts(trained: Trained) -> dict[str, Any]:
    """What the recipe must record about its training."""
    return {
        "steps": trained.step,
        "tokens": trained.tokens,
        "train_s": round(trained.seconds, 3),
        "loss": trained.loss,
        "warmup_steps": trained.schedule.warmup_steps,
        "decay_start": trained.schedule.decay_start,
        "total_steps": trained.schedule.total_steps,
        "shares": {name: round(share, 5) for name, share in trained.shares.items()},
        "curve": [list(point) for point in trained.curve],
        "peak_memory_gib": round(trained.peak_memory_gib, 3),
        "tokens_per_s": round(trained.new_tokens / trained.seconds, 1) if trained.seconds else 0.0,
    }
