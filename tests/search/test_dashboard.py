"""What optuna-dashboard shows of a run: a real server, and a real browser where there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from objectives.replay import CurveObjective
from search import artifacts, pending, watched
from search.artifacts import OF_STUDY, Artifacts
from search.dashboard import KEEP, Dashboard, bring_up_to_date
from search.errors import OutOfMemory, WorkerFailed
from search.folder import RunFolder
from search.report.__main__ import main as report
from search.report.__main__ import study_name
from search.request import Request
from search.store import Record, Store, mark_infeasible
from search.summary import summarise
from search.watched import EVERY_S, SHARE, Watched
from spaces import Recipe
from tests.search.test_formats import NUMBERS, restored
from tests.simulated import Simulation

FULL, BROKEN = "2", "3"
"""Trials that do not fit into memory, and that fail for another cause."""


class Killed(BaseException):
    """kill -9."""


class Easy(CurveObjective):
    """Of which many items are answered even after little training."""

    def loss(self, recipe: Recipe, tokens: int) -> float:
        return super().loss(recipe, tokens) / 3


class OnDisk(Simulation):
    """A short job with a real database, of which one trial is infeasible and one fails."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, budget_s=900)
        self.storage = None  # type: ignore[assignment]
        self.kind = Easy
        self.reported = True
        self.left = -1

    def go(self, left: int = -1) -> None:
        """Run, and be killed after `left` calls, if it is not negative."""
        self.left = left
        if left >= 0:
            with pytest.raises(Killed):
                self.run(fail=self.break_some)
        else:
            self.run(fail=self.break_some)

    def break_some(self, point: str, trial: str) -> None:
        """What goes wrong."""
        if not self.left:
            raise Killed
        self.left -= 1
        if point == "train" and trial == FULL:
            raise OutOfMemory("24 GiB are full")
        if point == "train" and trial == BROKEN:
            raise WorkerFailed(f"no_file_of_this_name: {Path.home()}/secret/cache, {self.path}/x")


def opened(path: Path) -> Store:
    """The study of a run folder."""
    return Store(RunFolder(path), study_name(path))


def attributes(path: Path) -> dict[str, str]:
    """The study's system attributes: key -> JSON."""
    with closing(sqlite3.connect(path / "study.db")) as database:
        return dict(database.execute("SELECT key, value_json FROM study_system_attributes"))


def note_of(path: Path, number: int | None) -> str:
    """A trial's note, or the study's, as the dashboard reads it."""
    from optuna_dashboard import get_note  # noqa: PLC0415  # takes two seconds

    store = opened(path)
    if number is None:
        return str(get_note(store.study))
    return str(get_note(optuna.Trial(store.study, store.trial_id(number))))


def unbroken(note: str) -> str:
    """A note without the line breaks within its lines."""
    return note.replace("  \n  ", " ")


def reread(path: Path) -> dict[str, bytes]:
    """Content of the artifacts' files by name."""
    return {file.name: file.read_bytes() for file in (path / "artifacts").iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> OnDisk:
    """A finished job that was killed twice; a user's name and a token are in its folder's path."""
    above = tmp_path_factory.mktemp("dashboard") / os.environ["USER"] / os.environ["HF_TOKEN"]
    job = OnDisk(above / "run")
    job.go(left=9)
    job.go(left=30)
    job.go()
    return job


@pytest.fixture
def run(finished: OnDisk, tmp_path: Path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(finished.path, tmp_path / "run"))


@pytest.fixture(scope="module")
def server(finished: OnDisk) -> Iterator[str]:
    """The address of a real server that was started as the README says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("optuna-dashboard")),
            f"sqlite:///{finished.path}/study.db",
            "--artifact-dir",
            str(finished.path / "artifacts"),
            "--port",
            str(port),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                get(f"{address}/api/studies")
                break
            except OSError:
                assert time.monotonic() < deadline, "the dashboard does not answer"
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def get(url: str) -> bytes:
    """What a server answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


@pytest.fixture(scope="module")
def study(server: str) -> dict[str, Any]:
    """What the server tells its page of the study."""
    told: dict[str, Any] = json.loads(get(f"{server}/api/studies/1"))
    return told


def test_the_job_had_nothing_to_complain_about(finished: OnDisk) -> None:
    """The other tests see what it wrote while it ran, and all states are among its trials."""
    assert not [line for line in finished.view.lines if "dashboard's notes" in line]
    summary = json.loads((finished.path / "summary.json").read_text(encoding="utf-8"))
    assert min(summary["trials"].values()) >= 1


def test_metrics_have_their_names(study: dict[str, Any]) -> None:
    """Both axes of the dashboard's own plots."""
    assert study["objective_names"] == ["accuracy", "gpu_hours"]
    assert study["directions"] == ["maximize", "minimize"]


def test_every_trial_has_a_note_of_recipe_origin_rungs_and_decisions(
    study: dict[str, Any], finished: OnDisk
) -> None:
    """As the job told them while it ran, also before it was killed."""
    records = opened(finished.path).records()
    assert any(len(record.promotions) > 1 for record in records)
    for record, shown in zip(records, study["trials"], strict=True):
        note = unbroken(shown["note"]["body"])
        assert note.startswith(f"**Trial {record.number}")
        assert record.recipe.short() in note
        assert dashboard_words(record.origin) in note
        for rung in record.rungs:
            assert f"{rung.tokens:,} tokens, loss {rung.loss:.3f}" in note
            assert f"accuracy {rung.accuracy:.3f} ± {rung.stderr:.3f}" in note
        assert note.count("**Promoted**") == record.promoted
        for rung_number, why in record.promotions:
            told = f"trial {record.number}: {why}"
            assert told in finished.view.lines
            said = dashboard_words(why.removeprefix("promoted: "))
            assert f"**Promoted** to rung {rung_number}: {said}" in note


def dashboard_words(text: str) -> str:
    """A text of the run in a note."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)


def test_a_note_tells_how_a_trial_ended(study: dict[str, Any], finished: OnDisk) -> None:
    """Pruned, infeasible, failed or complete, with the reason; no path of the user."""
    records = opened(finished.path).records()
    notes = [unbroken(trial["note"]["body"]) for trial in study["trials"]]
    for record, note in zip(records, notes, strict=True):
        if record.state is TrialState.COMPLETE:
            assert "**Complete**: reached the top rung" in note
        elif record.state is TrialState.PRUNED and not record.infeasible:
            said = dashboard_words(record.reason.removeprefix("pruned: "))
            assert f"**Pruned**: {said}" in note
    full, broken = notes[int(FULL)], notes[int(BROKEN)]
    assert "infeasible" in full.splitlines()[0]
    assert "24 GiB are full" in full
    assert r"**Failed**: no\_file\_of\_this\_name: secret/cache" in broken


def test_no_line_of_a_trial_s_note_ends_out_of_sight(study: dict[str, Any]) -> None:
    """The dashboard does not break lines on a page that a long attribute has made wide."""
    lines = [line for t in study["trials"] for line in t["note"]["body"].splitlines()]
    assert any(line.endswith("  ") for line in lines)
    assert max(map(len, lines)) < 130


def test_the_winner_says_why_it_was_chosen(study: dict[str, Any], finished: OnDisk) -> None:
    """And nobody else does."""
    store = opened(finished.path)
    chosen = [t["number"] for t in study["trials"] if "final run goes on" in t["note"]["body"]]
    assert chosen == [store.noted("winner")]
    note = unbroken(study["trials"][chosen[0]]["note"]["body"])
    assert dashboard_words(store.noted("winner_reason")) in note
    assert "Finalist, accuracy: " in note


def test_the_study_s_note_says_how_to_read_it_and_the_result(
    study: dict[str, Any], finished: OnDisk
) -> None:
    """The command, the default recipe, and what became of it."""
    note = study["note"]["body"]
    final = json.loads((finished.path / "summary.json").read_text(encoding="utf-8"))["final"]
    assert "`python -m search.run --budget 900s --study demo --out run --seed 0`" in note
    assert opened(finished.path).records()[0].recipe.short() in note
    assert "only for trials that reached the top rung" in note
    assert f"accuracy {final['accuracy']:.3f} ± {final['stderr']:.3f}" in note
    assert str(finished.path.parent) not in note


def test_only_infeasible_trials_have_a_broken_constraint(study: dict[str, Any]) -> None:
    """The dashboard takes a trial without constraints for feasible."""
    broken = {trial["number"]: trial["constraints"] for trial in study["trials"]}
    assert broken.pop(int(FULL)) == [1.0]
    assert set(map(tuple, broken.values())) == {()}


def test_optuna_s_samplers_go_on_after_infeasible_trials(finished: OnDisk, run: Path) -> None:
    """They read the constraint twice, under two names."""
    store = opened(run)
    assert store.study.trials[int(FULL)].constraints == {"0": 1.0, "memory": 1.0}
    record = store.records()[0]
    assert all(not t.constraints for t in store.study.trials if t.number != int(FULL))
    for sampler in (optuna.samplers.TPESampler(seed=0), optuna.samplers.NSGAIISampler(seed=0)):
        store.study.sampler = sampler
        asked = store.study.ask(dict(record.distributions))
        assert set(asked.params) == set(record.distributions)


def test_a_trial_may_be_marked_twice() -> None:
    """A kill may come between the mark and the trial's end."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    trial = study.ask()
    mark_infeasible(trial)
    mark_infeasible(trial)
    study.tell(trial, state=TrialState.PRUNED)
    assert study.trials[0].constraints == {"0": 1.0, "memory": 1.0}


def test_graphs_have_every_early_evaluation(study: dict[str, Any], finished: OnDisk) -> None:
    """Learning curves of all trials, and the front over all rungs."""
    graphs = {g["id"]: json.loads(g["graph_object"]) for g in study["plotly_graph_objects"]}
    assert set(graphs) == {"learning-curves", "pareto-over-all-rungs"}
    rungs = [rung for record in opened(finished.path).records() for rung in record.rungs]
    losses = [y for trace in graphs["learning-curves"]["data"] for y in values(trace["y"])]
    assert sorted(losses) == pytest.approx(sorted(rung.loss for rung in rungs), abs=1e-5)
    names = " ".join(trace["name"] for trace in graphs["learning-curves"]["data"])
    assert "final run" in names
    assert "Pareto front" in [trace["name"] for trace in graphs["pareto-over-all-rungs"]["data"]]


def values(given: Any) -> list[float]:
    """Numbers of a graph's axis, gaps left out."""
    assert isinstance(given, list)
    return [value for value in given if value is not None]


def test_artifacts_are_the_run_s_files(
    study: dict[str, Any], server: str, finished: OnDisk
) -> None:
    """Report, recipe, summary and adapter with the study; the recipe with the winner as well."""
    found = {a["filename"]: a["artifact_id"] for a in study["artifacts"]}
    assert list(found) == [Path(name).name for name in OF_STUDY]
    for name in OF_STUDY:
        content = get(f"{server}/artifacts/1/{found[Path(name).name]}")
        assert content == (finished.path / name).read_bytes()
    winner = study["trials"][opened(finished.path).noted("winner")]
    (recipe,) = winner["artifacts"]
    assert recipe["filename"] == "recipe.json"
    url = f"{server}/artifacts/1/{winner['trial_id']}/{recipe['artifact_id']}"
    assert get(url) == (finished.path / "recipe" / "recipe.json").read_bytes()
    assert sum(len(trial["artifacts"]) for trial in study["trials"]) == 1


def test_neither_notes_nor_graphs_nor_artifacts_tell_who_ran_it(finished: OnDisk) -> None:
    """No home folder, no user, no token: not of the environment, not of the folders' names."""
    assert "somebody-with-a-name/hf_theSecretOfSomebody" in str(finished.path)
    shown = [text.encode() for text in attributes(finished.path).values()]
    assert len(shown) > 20
    for content in [*shown, *reread(finished.path).values()]:
        for secret in (str(Path.home()), "somebody-with-a-name", "hf_theSecretOfSomebody"):
            assert secret.encode() not in content.replace(b"\\", b"")  # as notes escape it


def test_the_summary_s_copy_tells_no_path_of_the_user(run: Path) -> None:
    """As where the base model is a folder; the summary itself stays as it is."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary["model"] = f"{Path.home()}/models/mine"
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert report([str(run)]) == 0
    copies = [json.loads(c) for c in reread(run).values() if c.startswith(b'{\n  "study"')]
    assert [copy["model"] for copy in copies] == ["models/mine"]
    assert json.loads((run / "summary.json").read_text(encoding="utf-8")) == summary
    assert summary | {"model": "models/mine"} == copies[0]


def test_a_report_changes_nothing_that_is_up_to_date(run: Path) -> None:
    """No second artifact beside the first, and no new version of a note."""
    assert report([str(run)]) == 0
    notes, files = attributes(run), reread(run)
    assert report([str(run)]) == 0
    assert attributes(run) == notes
    assert reread(run) == files
    assert len(files) == len(OF_STUDY) + 1


def test_a_changed_file_takes_the_place_of_its_former_self(run: Path) -> None:
    """Its artifact keeps its id; one that was deleted comes back."""
    before = attributes(run)
    ids = artifacts.linked({key: json.loads(value) for key, value in before.items()}, "artifacts:")
    changed, deleted = ids["adapter_config.json"], ids["pareto.png"]
    (run / "recipe" / "adapter" / "adapter_config.json").write_text("{}")
    (run / "artifacts" / deleted).unlink()
    with closing(sqlite3.connect(run / "study.db")) as database, database:
        database.execute(pending.UPSERT, (1, f"artifacts:{deleted}", '"null"'))
    assert report([str(run)]) == 0
    assert (run / "artifacts" / changed).read_text() == "{}"
    assert len(reread(run)) == len(OF_STUDY) + 1


def test_a_large_adapter_is_not_copied(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note says where it is."""
    monkeypatch.setattr(artifacts, "LARGEST", 5)
    shutil.rmtree(run / "artifacts")
    assert report([str(run)]) == 0
    assert not reread(run)
    assert "RUN_DIR/recipe/adapter" in note_of(run, None)


def test_what_the_user_wrote_below_a_note_is_kept(run: Path) -> None:
    """Also where a note of the user's was there before ours."""
    from optuna_dashboard import save_note  # noqa: PLC0415  # takes two seconds

    store = opened(run)
    save_note(store.study, "my own study")
    trial = optuna.Trial(store.study, store.trial_id(1))
    save_note(trial, f"{KEEP}\nlook at *this* one")
    assert report([str(run)]) == 0
    assert note_of(run, None).endswith(f"{KEEP}\n\nmy own study")
    assert note_of(run, 1).startswith("**Trial 1")
    assert note_of(run, 1).endswith(f"{KEEP}\nlook at *this* one")


def as_an_older_version_left_it(run: Path) -> None:
    """Without notes, graphs, artifacts and reasons of promotions."""
    with closing(sqlite3.connect(run / "study.db")) as database, database:
        database.execute("DELETE FROM study_system_attributes WHERE key LIKE '%dashboard%'")
        database.execute("DELETE FROM study_system_attributes WHERE key LIKE 'artifacts%'")
        database.execute("DELETE FROM trial_user_attributes WHERE key = 'promotions'")
    shutil.rmtree(run / "artifacts")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_report_gives_an_older_folder_its_notes(number: int, tmp_path: Path) -> None:
    """Of every format; what was not kept then is said so."""
    run = restored(number, tmp_path / "run")
    assert report([str(run)]) == 0
    records = opened(run).records()
    for record in records:
        assert record.recipe.short() in note_of(run, record.number)
    promoted = next(record for record in records if record.promoted)
    assert "**Promoted** to rung 1: why was not kept" in note_of(run, promoted.number)
    assert {"dashboard:plot_data:learning-curves:0"} < set(attributes(run))
    assert reread(run)


def test_a_job_of_an_older_version_goes_on_with_notes(tmp_path: Path) -> None:
    """Of its first trials, too."""
    job = OnDisk(tmp_path / "run")
    job.go(left=60)
    as_an_older_version_left_it(job.path)
    job.go()
    records = opened(job.path).records()
    assert any(record.promoted and not record.promotions for record in records)
    assert any(record.promotions for record in records)
    for record in records:
        assert note_of(job.path, record.number).startswith(f"**Trial {record.number}")


def test_a_job_that_is_interrupted_leaves_its_notes_up_to_date(tmp_path: Path) -> None:
    """The last decisions included."""
    job = OnDisk(tmp_path / "run")
    job.go(left=40)
    records = opened(job.path).records()
    ended = [record for record in records if record.finished]
    assert len(ended) > 1
    for record in records:
        note = note_of(job.path, record.number)
        assert note.count("Rung ") == len(record.rungs)
        assert ("not finished" in note.splitlines()[0]) is not record.finished


def test_a_report_leaves_the_study_of_a_running_job_alone(run: Path) -> None:
    """The job itself keeps it up to date; the report is built all the same."""
    as_an_older_version_left_it(run)
    before = attributes(run)
    (run / "report" / "index.html").unlink()
    working = RunFolder(run)
    with working.unless_in_use() as held:
        assert held
        assert report([str(run)]) == 0
        assert attributes(run) == before
        assert (run / "report" / "index.html").is_file()
    assert report([str(run)]) == 0
    assert attributes(run) != before


def test_a_job_ends_well_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what is missing, once; artifacts do not need it."""
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    job = OnDisk(tmp_path / "run")
    job.go()
    said = [line for line in job.view.lines if "dashboard's notes" in line]
    assert len(said) == 1
    assert "optuna_dashboard" in said[0]
    assert (job.path / "recipe" / "recipe.json").is_file()
    assert not [key for key in attributes(job.path) if "note" in key or "plot" in key]
    assert reread(job.path)


def test_a_locked_study_is_told_and_left_as_it_was(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And brought up to date the next time."""
    monkeypatch.setattr(pending, "LOCKED_S", 0.01)
    as_an_older_version_left_it(run)
    before = attributes(run)
    folder, store = RunFolder(run), opened(run)
    summary = summarise(folder, store)
    said: list[str] = []
    with closing(sqlite3.connect(run / "study.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        bring_up_to_date(folder, store, summary, said.append)
        database.rollback()
    assert len(said) == 1
    assert "locked" in said[0]
    assert attributes(run) == before
    bring_up_to_date(folder, store, summary, said.append)
    assert len(said) == 1
    assert note_of(run, 0).startswith("**Trial 0")


def test_a_note_that_could_not_be_written_is_written_the_next_time(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the same process, which remembers what it wrote."""
    monkeypatch.setattr(pending, "LOCKED_S", 0.01)
    as_an_older_version_left_it(run)
    folder, store = RunFolder(run), opened(run)
    summary = summarise(folder, store)
    made = Dashboard(folder, store)
    with closing(sqlite3.connect(run / "study.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            made.refresh(summary)
        database.rollback()
    made.refresh(summary)
    assert note_of(run, 0).startswith("**Trial 0")
    assert note_of(run, None)


def test_a_locked_study_leaves_no_artifact_behind(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No link would lead to the copies, of which every attempt would add more."""
    monkeypatch.setattr(pending, "LOCKED_S", 0.01)
    as_an_older_version_left_it(run)
    made = Artifacts(RunFolder(run), opened(run))
    with closing(sqlite3.connect(run / "study.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            made.attach()
        database.rollback()
    assert not reread(run)
    made.attach()
    assert len(reread(run)) == len(OF_STUDY) + 1


def test_an_artifact_that_is_being_read_stays_whole(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download gets the former file or the new one; a full disk leaves the former."""
    adapter = run / "recipe" / "adapter" / "adapter_config.json"
    known = {key: json.loads(value) for key, value in attributes(run).items()}
    copy = run / "artifacts" / artifacts.linked(known, "artifacts:")[adapter.name]
    former = copy.read_bytes()
    made = Artifacts(RunFolder(run), opened(run))
    names = set(reread(run))

    def half(source: Any, target: Any) -> None:
        target.write(source.read()[:1])
        raise OSError("the disk is full")

    with copy.open("rb") as download:
        adapter.write_text("{}")
        with monkeypatch.context() as patch:
            patch.setattr("shutil.copyfileobj", half)
            with pytest.raises(OSError, match="full"):
                made.attach()
        assert copy.read_bytes() == former
        assert set(reread(run)) == names
        made.attach()
        assert copy.read_text() == "{}"
        assert download.read() == former


def test_a_job_reads_no_artifact_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the export are there when the summary, which tells its seconds, is attached."""
    compared: list[Path] = []

    def noted(one: Path, other: Path) -> bool:
        compared.append(one)
        return same(one, other)

    same = artifacts.same
    monkeypatch.setattr(artifacts, "same", noted)
    job = OnDisk(tmp_path / "run")
    job.go()
    assert len(reread(job.path)) == len(OF_STUDY) + 1
    assert not compared


def test_a_note_is_written_without_a_look_at_the_others(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all notes cost would grow with the square of the trials."""
    from optuna_dashboard import _note as package  # noqa: PLC0415  # takes two seconds

    seen: list[int] = []
    read = package.get_note_from_system_attrs

    def counted(attributes: dict[str, Any], trial_id: int | None) -> Any:
        seen.append(len(attributes))
        return read(attributes, trial_id)

    monkeypatch.setattr(package, "get_note_from_system_attrs", counted)
    store = opened(run)
    Dashboard(RunFolder(run), store).refresh(summarise(RunFolder(run), store))
    assert len(seen) == len(store.records()) + 1
    assert max(seen) < len(seen)


def stepped(
    monkeypatch: pytest.MonkeyPatch, cost_s: float, *, fail: bool = False
) -> tuple[Callable[[float], None], Any]:
    """(a function that moves the clock on and refreshes, the list of times of updates)."""
    clock = SimpleNamespace(time=0.0)
    records: list[Record | float] = []
    store: Any = SimpleNamespace(records=lambda: list(records), noted=lambda _key: None)
    folder: Any = SimpleNamespace(has=lambda _name: True)
    view: Any = SimpleNamespace(refresh=lambda _job: None, line=lambda _text: None)
    ledger: Any = SimpleNamespace(now=lambda: clock.time)
    made = Watched(view, folder, store, ledger)
    times: list[float] = []

    def update(_summary: object) -> None:
        times.append(clock.time)
        clock.time += cost_s
        if fail:
            raise OSError("the disk is full")

    monkeypatch.setattr(watched, "summarise", lambda _folder, _store: {})
    made._refresh = update  # type: ignore[assignment]

    def step(seconds: float) -> None:
        clock.time += seconds
        records.append(clock.time)
        made.refresh(None)  # type: ignore[arg-type]

    return step, times


def test_updates_are_some_seconds_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often something happens."""
    step, times = stepped(monkeypatch, cost_s=0.001)
    for _ in range(200):
        step(1.0)
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) > 10
    assert min(gaps) >= EVERY_S


@pytest.mark.parametrize("fail", [False, True])
def test_updates_take_a_small_share_of_the_time(
    fail: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much each of them takes, also where each fails; the first, which imports, does not
    hold up the second.
    """
    step, times = stepped(monkeypatch, cost_s=2.0, fail=fail)
    for _ in range(5000):
        step(1.0)
    assert times[1] - times[0] < 2 * EVERY_S
    assert len(times) > 5
    assert 2.0 * (len(times) - 2) <= SHARE * (times[-1] - times[1])


def test_a_command_tells_of_paths_the_last_part_only(tmp_path: Path) -> None:
    """It is kept with the study, which others may see."""
    rows = tmp_path / "my rows.jsonl"
    rows.write_text("")
    request = Request(
        budget_s=1200,
        model="owner/model",
        data=(f"mine={rows}", "gsm8k=openai/gsm8k:main"),
        tasks=("mine",),
        include_path=tmp_path,
        out=tmp_path / "out",
        seed=3,
    )
    assert request.command() == (
        "python -m search.run --budget 1200s --study demo --model owner/model --data "
        f"'mine=my rows.jsonl' gsm8k=openai/gsm8k:main --eval mine --include-path {tmp_path.name} "
        "--out out --seed 3"
    )


@pytest.mark.parametrize("made", [True, False])
def test_a_command_tells_no_folder_whose_name_has_an_equals_sign(
    made: bool, tmp_path: Path
) -> None:
    """Sweeps name folders like that; one that is gone since is not told either."""
    folder = tmp_path / "somebody-with-a-name" / "lr=1e-4"
    if made:
        folder.mkdir(parents=True)
        for name in ("study.py", "rows.jsonl"):
            (folder / name).touch()
    request = Request(
        budget_s=14 * 86400,
        study=str(folder / "study.py"),
        model=str(folder),
        data=(f"mine={folder / 'rows.jsonl'}",),
    )
    command = request.command()
    assert "somebody-with-a-name" not in command
    assert str(tmp_path) not in command
    if made:
        told = "--study study.py --model lr=1e-4 --data mine=rows.jsonl"
        assert f"--budget 1209600s {told} --seed 0" in command


def browser() -> str:
    """A Chromium on this machine; the test is skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium found: put one into PATH, or its path into CHROME")
    return found


def page(url: str, folder: Path) -> str:
    """The text and tags of a page after its scripts ran."""
    shown = subprocess.run(
        [
            *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={folder}", "--window-size=1400,3000"),
            *("--virtual-time-budget=20000", "--dump-dom", url),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return unescape(shown.stdout)


@pytest.mark.slow
def test_a_browser_shows_plots_graphs_and_artifacts(server: str, tmp_path: Path) -> None:
    """The study's page, drawn by the dashboard's own scripts."""
    shown = page(f"{server}/dashboard/studies/1", tmp_path)
    for name in ("learning-curves", "pareto-over-all-rungs"):
        graph = shown[shown.index(f'id="user-defined-plot:{name}"') :]
        assert graph.index("main-svg") < 5000
    assert "Learning curves: answer loss at every rung" in shown
    front = shown[shown.index('id="graph-pareto-front"') : shown.index('id="plot-history"')]
    assert 'class="point"' in front
    for name in OF_STUDY:
        assert Path(name).name in shown


@pytest.mark.slow
def test_a_browser_shows_notes(server: str, finished: OnDisk, tmp_path: Path) -> None:
    """Of the study, and of a trial that was pruned."""
    records = opened(finished.path).records()
    pruned = next(r for r in records if r.state is TrialState.PRUNED and not r.infeasible)
    shown = page(f"{server}/dashboard/studies/1/trials?numbers={pruned.number}", tmp_path / "a")
    assert f"<strong>Trial {pruned.number}: pruned</strong>" in shown
    told = " ".join(re.sub(r"<br[^>]*>", " ", shown).split())
    assert pruned.reason.removeprefix("pruned: ") in told
    shown = page(f"{server}/dashboard/studies/1/note", tmp_path / "b")
    assert "<strong>Result</strong>" in shown
    assert ">python -m search.run --budget" in shown
