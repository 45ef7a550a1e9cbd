"""The Optuna study of a run folder: what a job knows of its trials, so that a killed job goes on.

Trials stay RUNNING in Optuna until they are pruned, complete or failed; between segments they
rest, and their results so far are in their user attributes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from objectives.objective import Scores, Trained
from search.errors import BadInput
from search.folder import RunFolder
from search.pruning import Entry
from search.signs import one_line
from spaces import Recipe

METRICS = ["accuracy", "gpu_hours"]
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
CUT_OFF = "pruned: no time left"
"""How the reason of a trial begins that was pruned for time only: its checkpoint is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """What a trial's early evaluation at a rung gave."""

    rung: int
    tokens: int
    step: int
    accuracy: float
    stderr: float
    loss: float
    per_task: dict[str, float]
    train_s: float
    """Seconds of training since the trial began."""
    eval_s: float
    """Seconds of evaluation since the trial began."""

    @property
    def gpu_hours(self) -> float:
        """Device-hours the trial has cost."""
        return (self.train_s + self.eval_s) / 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A trial as the search sees it."""

    number: int
    state: TrialState
    bracket: int
    origin: str
    """Why it was proposed."""
    recipe: Recipe
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    rungs: tuple[Rung, ...] = ()
    promoted: int = 0
    """The rung it may train up to."""
    promotions: tuple[tuple[int, str], ...] = ()
    """(rung it was promoted to, why), in order; not kept by earlier versions."""
    reason: str = ""
    """The latest decision about it."""
    control: bool = False
    curve: tuple[tuple[int, float], ...] = ()
    """(tokens, training loss) so far."""
    train_s: float = 0.0
    """Seconds of training so far, also those since its last evaluation."""
    peak_memory_gib: float = 0.0
    recomputing: bool = False
    """Whether it was trained with gradient checkpointing."""
    infeasible: bool = False

    @property
    def finished(self) -> bool:
        """Whether Optuna was told its end."""
        return self.state in FINISHED

    @property
    def cut_off(self) -> bool:
        """Whether it was pruned for time only."""
        return self.reason.startswith(CUT_OFF)


def macro(scores: Scores) -> tuple[float, float]:
    """(mean accuracy over tasks, its standard error): tasks count the same, items are binomial.

    The variance is that of Jeffreys' estimate (half an item added on either side), so that no item
    right out of many does not read as certainty. For a graded metric it is an upper bound: outcomes
    in [0, 1] with mean p vary by no more than p (1 - p).
    """
    accuracies = [score.accuracy for score in scores.values()]
    variance = 0.0
    for score in scores.values():
        count = len(score.correct)
        share = (sum(score.correct) + 0.5) / (count + 1)
        variance += share * (1 - share) / count
    return sum(accuracies) / len(accuracies), variance**0.5 / len(accuracies)


class Store:
    """The Optuna study of a run folder, and the trials' records in memory.

    All changes go to the database at once; the records are read from it when the store is opened.
    Only one process works on a run folder (`RunFolder.open` locks it).
    """

    def __init__(
        self, folder: RunFolder, name: str, storage: optuna.storages.BaseStorage | None = None
    ) -> None:
        """Create or load the study.

        Args:
            folder: where study.db and scores/ lie.
            name: the study's name in Optuna.
            storage: another storage than RUN_DIR/study.db, for tests.

        Raises:
            BadInput: study.db is damaged, or not of this tool.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder = folder
        try:
            self._open(name, storage or f"sqlite:///{folder.path.resolve()}/study.db")
        except (SQLAlchemyError, OptunaError) as error:
            raise BadInput(
                f"{folder.path}/study.db cannot be used ({reason_of(error)}); restore it, or start "
                "a new run"
            ) from None

    def _open(self, name: str, storage: optuna.storages.BaseStorage | str) -> None:
        self.study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        if self.study.metric_names != METRICS:
            with warnings.catch_warnings():
                # The only way to name the axes; optuna calls it experimental since 3.2.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self.study.set_metric_names(METRICS)
        self._notes: dict[str, Any] = dict(self.study.user_attrs)
        trials = self.study.get_trials(deepcopy=False)
        # NOTE(optuna): no public way leads from a number to a running trial; ids are stable.
        self._ids = {trial.number: trial._trial_id for trial in trials}
        self._records = [to_record(trial) for trial in trials]

    def note(self, key: str, value: Any) -> None:
        """Keep a value with the study."""
        self.study.set_user_attr(key, value)
        self._notes[key] = value

    def noted(self, key: str) -> Any:
        """A value kept earlier, or None."""
        return self._notes.get(key)

    def trial_id(self, number: int) -> int:
        """A trial's id in the database, which Optuna keeps to itself."""
        return self._ids[number]

    def records(self) -> list[Record]:
        """All trials, by number."""
        return list(self._records)

    def add(
        self,
        *,
        recipe: Recipe,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        origin: str,
        bracket: int,
    ) -> Record:
        """Start a trial: one transaction, so that it is wholly there or not at all."""
        number = len(self._records)
        shares = {f"share_{name}": round(share, 4) for name, share in recipe.mixture.items()}
        made = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={
                "recipe": recipe.to_dict(),
                "bracket": bracket,
                "origin": origin,
                "reason": f"proposed: {origin}",
                "control": number == 0,
                **shares,
            },
        )
        # NOTE(optuna): as `Study.add_trial` does, which keeps the id to itself.
        storage = self.study._storage
        self._ids[number] = storage.create_new_trial(self.study._study_id, template_trial=made)
        self._records.append(to_record(storage.get_trial(self._ids[number])))
        return self._records[number]

    def _set(self, number: int, **attributes: Any) -> None:
        for key, value in attributes.items():
            self.study._storage.set_trial_user_attr(self._ids[number], key, value)

    def add_segment(self, number: int, trained: Trained) -> None:
        """Keep what a segment of training gave."""
        record = self._records[number]
        train_s = round(trained.total_s, 3)
        memory = round(max(record.peak_memory_gib, trained.peak_memory_gib), 3)
        found = replace(
            record,
            train_s=train_s,
            curve=tuple(trained.curve),
            peak_memory_gib=memory,
            recomputing=trained.recomputing,
        )
        self._set(number, train_seconds=train_s, curve=[list(point) for point in trained.curve])
        if found.peak_memory_gib != record.peak_memory_gib:  # every attribute is a commit
            self._set(number, peak_memory_gib=memory)
        if found.recomputing != record.recomputing:
            self._set(number, recomputing=trained.recomputing)
        self._records[number] = found

    def add_rung(self, number: int, trained: Trained, scores: Scores, eval_s: float) -> Rung:
        """Keep an early evaluation: per item in scores/, in sum in the trial's attributes."""
        record = self._records[number]
        accuracy, stderr = macro(scores)
        before = record.rungs[-1].eval_s if record.rungs else 0.0
        found = Rung(
            rung=len(record.rungs),
            tokens=trained.tokens,
            step=trained.step,
            accuracy=accuracy,
            stderr=stderr,
            loss=sum(s.loss for s in scores.values()) / len(scores),
            per_task={task: s.accuracy for task, s in scores.items()},
            train_s=record.train_s,
            eval_s=round(before + eval_s, 3),
        )
        self.folder.write_scores(f"trial-{number}-rung-{found.rung}", scores)
        rungs = (*record.rungs, found)
        self._set(number, rungs=[_plain(rung) for rung in rungs])
        self._records[number] = replace(record, rungs=rungs)
        return found

    def entry(self, record: Record, rung: int) -> Entry:
        """A trial's evaluation at a rung, for the pruner."""
        scores = self._rung_scores(record, rung)
        losses = tuple(loss for task in sorted(scores) for loss in scores[task].losses)
        return Entry(
            trial=record.number,
            losses=losses,
            gpu_hours=record.rungs[rung].gpu_hours,
            control=record.control,
        )

    def correct(self, record: Record, rung: int) -> tuple[float, ...]:
        """Outcomes per item, in the order of `entry`'s losses."""
        scores = self._rung_scores(record, rung)
        return tuple(c for task in sorted(scores) for c in scores[task].correct)

    def _rung_scores(self, record: Record, rung: int) -> Scores:
        name = f"trial-{record.number}-rung-{rung}"
        scores = self.folder.read_scores(name)
        if scores is None:
            raise BadInput(f"{self.folder.path}/scores/{name}.json is missing; start a new run")
        return scores

    def promote(self, number: int, rung: int, reason: str) -> None:
        """Let a trial train up to `rung`."""
        record = self._records[number]
        # a promotion that a kill cut short is told again, not twice
        promotions = (*(known for known in record.promotions if known[0] < rung), (rung, reason))
        plain = [list(promotion) for promotion in promotions]
        self._set(number, reason=reason, promotions=plain, promoted=rung)
        self._records[number] = replace(record, reason=reason, promotions=promotions, promoted=rung)

    def complete(self, number: int) -> None:
        """Tell Optuna the values at the top rung."""
        top = self._records[number].rungs[-1]
        reason = "complete: reached the top rung"
        self._finish(number, TrialState.COMPLETE, reason, [top.accuracy, top.gpu_hours])

    def prune(self, number: int, reason: str, *, infeasible: bool = False) -> None:
        """Tell Optuna that a trial was pruned; never its values at a lower rung."""
        if infeasible:
            self._set(number, infeasible=True)
            self._records[number] = replace(self._records[number], infeasible=True)
            mark_infeasible(optuna.Trial(self.study, self._ids[number]))
        self._finish(number, TrialState.PRUNED, reason, None)

    def fail(self, number: int, reason: str) -> None:
        """Tell Optuna that a trial failed for a cause that is not its recipe's."""
        self._finish(number, TrialState.FAIL, reason, None)

    def _finish(
        self, number: int, state: TrialState, reason: str, values: list[float] | None
    ) -> None:
        record = self._records[number]
        reason = one_line(reason)  # it may quote anything, and is shown in terminals and pages
        flat: dict[str, Any] = {}
        if record.rungs:  # flat numbers are what the dashboard can sort and plot
            last = record.rungs[-1]
            flat |= {
                "eval_seconds": last.eval_s,
                "early_loss": round(last.loss, 5),
                "early_accuracy": round(last.accuracy, 5),
                "tokens": last.tokens,
            }
        self._set(number, reason=reason, **flat)
        self.study.tell(number, values, state=state)
        self._records[number] = replace(record, state=state, reason=reason)


def mark_infeasible(trial: optuna.Trial) -> None:
    """Tell Optuna that a running trial's recipe does not fit into memory.

    optuna-dashboard 0.21 knows nothing of `set_constraint`, new in Optuna 5: it reads only the list
    that samplers' `constraints_func` left before, and takes a trial without one for feasible.
    Optuna reads both, as two constraints that are broken alike.
    """
    if "memory" not in trial.constraints:  # unless a kill came before its end was told
        trial.set_constraint("memory", 1.0)
    # NOTE(optuna): the list has no public writer outside samplers
    trial.storage.set_trial_system_attr(trial._trial_id, "constraints", [1.0])


def reason_of(error: Exception) -> str:
    """Why a database could not be read or written: its own words, on one line."""
    cause = error.__cause__ or error
    return " ".join(str(getattr(cause, "orig", None) or cause).split())[:200]


def to_record(trial: FrozenTrial) -> Record:
    """A trial of Optuna as the search sees it.

    Raises:
        BadInput: somebody else added it to the study.
    """
    attributes = trial.user_attrs
    if not {"bracket", "origin", "recipe", "reason", "control"} <= set(attributes):
        raise BadInput(f"study.db: trial {trial.number} is none of this tool's; delete it there")
    return Record(
        number=trial.number,
        state=trial.state,
        bracket=attributes["bracket"],
        origin=attributes["origin"],
        recipe=Recipe.from_dict(attributes["recipe"]),
        params=trial.params,
        distributions=trial.distributions,
        rungs=tuple(Rung(**fields) for fields in attributes.get("rungs", [])),
        promoted=attributes.get("promoted", 0),
        promotions=tuple((int(rung), str(why)) for rung, why in attributes.get("promotions", [])),
        reason=attributes["reason"],
        control=attributes["control"],
        curve=tuple((int(t), float(loss)) for t, loss in attributes.get("curve", [])),
        train_s=attributes.get("train_seconds", 0.0),
        peak_memory_gib=attributes.get("peak_memory_gib", 0.0),
        recomputing=attributes.get("recomputing", False),
        infeasible=attributes.get("infeasible", False),
    )


def _plain(rung: Rung) -> dict[str, Any]:
    return {name: getattr(rung, name) for name in rung.__dataclass_fields__}
