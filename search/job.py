"""One job from its request to a finished run folder."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from sqlalchemy.exc import SQLAlchemyError

from objectives import base, data
from objectives.objective import Objective
from search.budget import Clock, Kind, Ledger, RealClock
from search.errors import BadInput, BudgetTooSmall, Interrupted
from search.folder import RunFolder
from search.loop import run_job
from search.own_file import blamed
from search.planner import make_plan
from search.recipe import export_recipe
from search.report import cost_lines, get_ready, result_lines, write_report
from search.request import Request, disk_line, first_costs, parse_memory
from search.state import Job, View
from search.store import Store, reason_of
from search.summary import spent_parts, summarise
from search.view import choose_view
from search.watched import Watched
from search.worker import ProcessObjective
from studies import Study

MakeObjective = Callable[[Study, Path], Objective]


def default_out(request: Request, study: Study) -> Path:
    """Where a run goes that was given no --out."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / (request.name or f"{study.name}-{stamp}")


def run(
    request: Request,
    study: Study,
    *,
    started: float | None = None,
    quiet: bool = False,
    clock: Clock | None = None,
    objective: MakeObjective | None = None,
    view: View | None = None,
    storage: BaseStorage | None = None,
) -> RunFolder:
    """Run a job to its end, or go on with one.

    Args:
        request: what to do.
        study: the job, as `build_study` made it from the request.
        started: the clock's reading when the process began; the budget counts from there.
        quiet: print nothing.
        clock: the real one, if not given.
        objective: makes the objective; the study's own, or the GPU process, if not given.
        view: where to report to; chosen by stdout, if not given.
        storage: Optuna's storage, for tests; RUN_DIR/study.db, if not given.

    Raises:
        BadInput: nothing was loaded or lost.
        BudgetTooSmall: the budget cannot hold the job.
        Interrupted: stopped by the user; the same request resumes it.
        WorkerFailed: the training process failed for good.
    """
    clock = clock or RealClock()
    began = clock.now() if started is None else started
    make = objective or study.objective
    origin = "simulated folder" if make else base.check(study.model)
    forecast, costs = first_costs(study, origin)
    folder = RunFolder(request.out or default_out(request, study))
    if not (folder.path / "job.json").is_file() and not make:
        make_plan(study, request.budget_s, 0.0, costs)  # too small: say so before anything is made
    existed = folder.open(
        {
            "study": study.name,
            "model": study.model,
            "budget_s": request.budget_s,
            "seed": request.seed,
            "fingerprint": data.fingerprint(study),
        },
        {"name": request.name or study.name},
    )
    shown = view or choose_view(quiet=quiet)
    made: Objective | None = None
    try:
        if finished(folder):
            shown.line(f"{folder.path} is finished already; its recipe is in {folder.path}/recipe")
            return folder
        shown.line(f"{'going on with' if existed else 'writing to'} {folder.path}")
        made = own(make, study, folder) if make else worker(request, study, folder)
        if not make:
            shown.line(disk_line(study, study.bracket, folder.path))
        prepare_data(study, folder, request.seed, shown)
        store = Store(folder, str(folder.read("job.json").get("name")), storage)
        ledger = Ledger(folder.ledger, clock, started=began)  # charges all of this to setup
        watched = Watched(shown, folder, store, ledger)
        if not store.records() and any(s.kind == Kind.SEARCH_TRAIN for s in ledger.spans):
            raise BadInput(
                f"{folder.path}/study.db holds no trial, though some were trained: it was removed "
                "or replaced; restore it, or start a new run"
            )
        try:
            job = Job(
                study=study,
                budget_s=request.budget_s,
                seed=request.seed,
                folder=folder,
                store=store,
                ledger=ledger,
                objective=made,
                view=watched,
                forecast=forecast,
            )
            store.note("command", request.command())
            imports = threading.Thread(
                target=prepare, args=(get_ready, watched.get_ready), daemon=True
            )
            watched.wait_for(imports)
            imports.start()
            run_job(job)
            job.phase = "export"
            with ledger.span(Kind.EXPORT):
                export_recipe(job)
                found = summarise(folder, store)
                imports.join()
                write_report(folder, store, found)
                watched.finish(found)
                told = result_lines(found, folder.path)
                made.close()
        except BadInput:
            if not store.records():
                made.close()
                folder.undo()  # nothing was trained: a mended command may use the folder
            raise
        except (StorageInternalError, SQLAlchemyError) as error:  # what was written is whole
            raise BadInput(
                f"{folder.path}/study.db: {reason_of(error)}; mend that and give the same command "
                "again"
            ) from None
        except BudgetTooSmall:
            shown.line(f"what was found so far is kept in {folder.path}")
            raise
        finally:
            try:
                watched.update()
            finally:  # also where that is interrupted
                if folder.has("job.json"):
                    ledger.close()
        summary = found | spent_parts(ledger.spans, request.budget_s)
        folder.write("summary.json", summary)
        watched.attach()
        job.phase = "done"
        shown.refresh(job)
        shown.close()
        for line in [*told, *cost_lines(summary, folder.path)]:
            shown.line(line)
    except (KeyboardInterrupt, Interrupted):
        where = "" if request.out else f" with --out {shlex.quote(str(folder.path))}"
        raise Interrupted(f"interrupted; the same command{where} goes on from here") from None
    finally:
        shown.close()
        if made is not None:
            made.close()
        folder.release()
    return folder


def prepare(*imports: Callable[[], None]) -> None:
    """Import what is needed later, in what the training process leaves of the processor.

    On two cores it would else slow that process down tenfold, as its threads wait for each other.
    """
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    for each in imports:
        each()


def worker(request: Request, study: Study, folder: RunFolder) -> ProcessObjective:
    """The GPU process, which gets ready while the parent prepares the data."""
    made = ProcessObjective(
        model=study.model,
        run_dir=folder.path,
        seed=request.seed,
        max_length=max(study.space.max_length),
        memory_gib=parse_memory(request.gpu_memory),
        trust_remote_code=request.trust_remote_code,
    )
    made.start()
    return made


def own(make: MakeObjective, study: Study, folder: RunFolder) -> Objective:
    """An objective of the study's own.

    Raises:
        BadInput: it cannot be made, or is none.
    """
    try:
        with blamed(f"study {study.name}: its objective"):
            made = make(study, folder.path)
            check_objective(made)
    except BadInput:
        if not folder.has("data.json"):
            folder.undo()  # nothing was begun: a mended study may use the folder
        raise
    return made


def check_objective(made: object) -> None:
    """Raise BadInput if something lacks a function of the Objective protocol."""
    names = [name for name in vars(Objective) if not name.startswith("_")]
    if lacks := [name for name in names if not callable(getattr(made, name, None))]:
        raise BadInput(f"a {type(made).__name__} is no Objective: it lacks {lacks[0]}()")


def finished(folder: RunFolder) -> bool:
    """Whether the job has exported its recipe."""
    return folder.has("summary.json")


def prepare_data(study: Study, folder: RunFolder, seed: int, view: View) -> None:
    """Write training rows and items, once per job."""
    if folder.has("data.json"):
        folder.verify_data()
        return
    try:
        prepared = data.prepare(study, folder.path, seed, view.busy)
    except BadInput:
        folder.undo()
        raise
    folder.write("data.json", asdict(prepared))
    for line in prepared.lines:
        view.line(line)
