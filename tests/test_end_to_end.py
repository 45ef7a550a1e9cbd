"""Whole jobs in real processes: the command line, the GPU process, SQLite, PEFT, the dashboard."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from objectives.base import Base, resolve
from objectives.evaluate import Evaluator
from objectives.objective import Progress
from objectives.quantize import find_device
from objectives.rows import iterate_jsonl, write_jsonl
from search.budget import read_ledger
from search.export.__main__ import main as export
from search.folder import RunFolder
from search.report.__main__ import study_name
from search.store import Store
from tests.jobs import finish, start, start_line
from tests.objectives.test_harness import DATA, KINDS, RULES
from tests.objectives.test_harness import write as write_task
from tests.objectives.test_harness import write_rows as write_task_rows
from tests.pages import DOCS, check, command

pytestmark = pytest.mark.alone

FIRST = DOCS / "first_recipe.md"


def summary_of(folder: Path) -> dict[str, Any]:
    """summary.json."""
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return content


def check_contract(folder: Path, wall: float) -> None:
    """What every finished run folder must show."""
    summary = summary_of(folder)
    assert summary["overshoot_s"] == 0
    assert summary["trials"]["pruned"] >= 2
    assert summary["trials"]["failed"] == 0
    assert len(summary["pareto"]) >= 1
    spans = read_ledger(folder / "ledger.jsonl")
    end = 0.0
    for span in spans:
        assert span.start == pytest.approx(end, abs=1e-3)
        end = span.start + span.seconds
    spent = sum(summary["spent_s"].values())
    assert end == pytest.approx(spent, abs=0.01)
    # 1 % of ten minutes; shorter jobs may differ by what Python takes to start and to end
    assert spent == pytest.approx(wall, rel=0.01, abs=1.0)
    assert summary["spent_s"]["idle"] + summary["spent_s"]["setup"] < 0.1 * summary["budget_s"]
    keys = (
        "budget_s spent_s overshoot_s trials pareto default final forecast_final rank_correlation "
        "tokens_per_s peak_memory_gib versions seed device"
    )
    assert set(keys.split()) <= set(summary)
    for part in ("default", "final"):
        assert {"recipe", "accuracy", "stderr", "per_task", "gpu_hours", "heldout"} <= set(
            summary[part]
        )
    for name in (
        "study.db",
        "report/index.html",
        "report/pareto.png",
        "recipe/recipe.json",
        "recipe/adapter/adapter_model.safetensors",
        "recipe/adapter/README.md",
        "recipe/data/train.jsonl",
        "recipe/data/sha256",
    ):
        assert (folder / name).stat().st_size > 0, name


def test_a_run_folder_holds_what_the_contract_says(run_dir: Path) -> None:
    """Files, keys, ledger and budget."""
    check_contract(run_dir, float((run_dir / "wall").read_text()))


def test_optuna_loads_the_study_with_two_named_directions(run_dir: Path) -> None:
    """The database is an ordinary Optuna study."""
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{run_dir}/study.db")
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy", "gpu_hours"]
    assert {t.state.name for t in study.trials} == {"COMPLETE", "PRUNED"}
    assert study.best_trials


def rescore(base: Base, folder: Path, items: str, scratch: Path) -> dict[str, float]:
    """Load the adapter as anybody would, and score it per task."""
    model = AutoModelForCausalLM.from_pretrained(base.path)
    tuned = PeftModel.from_pretrained(model, folder / "recipe" / "adapter").eval()
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    write_jsonl(
        scratch / "items" / "x.jsonl", iterate_jsonl(folder / "recipe" / "data" / f"{items}.jsonl")
    )

    def listen(_: Progress) -> None:
        """Nobody watches."""

    plain = tuned.get_base_model()
    beside = AutoTokenizer.from_pretrained(folder / "recipe" / "adapter")
    assert beside.chat_template == tokenizer.chat_template
    evaluator = Evaluator(plain, tokenizer, scratch, find_device(), whole_head=False, share=True)
    found = evaluator.score(plain, "x", listen, exact=True)
    return {task: round(s.accuracy, 5) for task, s in found.items()}


def test_the_adapter_loads_with_peft_and_gives_the_recorded_scores(
    run_dir: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """On the resolved base, task by task, on final and held-out items."""
    base = resolve(str(tiny_model))
    final = summary_of(run_dir)["final"]
    assert rescore(base, run_dir, "final", tmp_path) == final["per_task"]
    assert rescore(base, run_dir, "heldout", tmp_path) == final["heldout"]


def test_nothing_exported_names_this_machine(run_dir: Path, tiny_model: Path) -> None:
    """No home, no absolute path, no user and no token in recipe, exports or report."""
    assert export([str(run_dir), "--to", "all"]) == 0
    private = [str(run_dir), str(tiny_model), str(Path.home()), "/tmp/"]
    private += [os.environ[name] for name in ("HF_TOKEN", "USER", "LOGNAME")]
    for file in [*run_dir.glob("recipe/**/*"), *run_dir.glob("report/**/*")]:
        if file.is_file():
            content = file.read_bytes().decode(errors="replace")
            ours = "tool" in file.parts  # the source of this package, which may speak of /tmp/
            for words in private[:3] + private[4:] if ours else private:
                assert words not in content, f"{file.name} holds {words}"


def test_no_file_of_a_run_is_a_pickle(run_dir: Path) -> None:
    """Weights and optimizer states are safetensors."""
    suffixes = {f.suffix for f in run_dir.rglob("*") if f.is_file()}
    assert not suffixes & {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}
    assert not list(run_dir.glob("trials/*/step-*.part"))


def test_a_recipe_is_reproduced_bit_for_bit(run_dir: Path, tiny_model: Path) -> None:
    """Trained again from its own train.jsonl: the same adapter, the same score."""
    code, out, err = finish(
        start("search.reproduce", str(run_dir / "recipe"), "--model", str(tiny_model))
    )
    assert code == 0, out + err
    assert "the adapter is bit-identical" in out


def test_a_job_on_tasks_of_the_users_own(
    job: Sequence[str], tmp_path: Path, tiny_model: Path
) -> None:
    """lm-eval YAML with code beside it: scored, exported without a path, and reproduced."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "rules.py").write_text(RULES)
    write_task_rows(folder / "data.jsonl", DATA)
    for name in ("choice", "shots", "graded"):
        write_task(folder, name, KINDS[name])
    (folder / "own.yaml").write_text("group: own\ntask: [choice, graded]\n")
    out = tmp_path / "run"
    words = ["--eval", "own,shots", "--include-path", str(folder), "--out", str(out)]
    code, stdout, stderr = finish(start("search.run", "--budget", "60s", *job, *words))
    assert code == 0, stdout + stderr
    assert "own: 72 of 72 items of --include-path" in stdout
    summary = summary_of(out)
    assert summary["overshoot_s"] == 0
    assert set(summary["final"]["per_task"]) == {"own", "shots"}
    assert set(summary["smoke"]) >= {"own", "shots"}
    recipe = json.loads((out / "recipe" / "recipe.json").read_text())
    assert recipe["score"]["metric"] == {"own": "acc, closeness", "shots": "exact_match"}
    for file in (out / "recipe" / "data").rglob("*"):
        assert not file.is_file() or str(tmp_path) not in file.read_text(errors="replace"), file

    for file in folder.iterdir():
        file.unlink()
    again = ["search.reproduce", str(out / "recipe"), "--model", str(tiny_model)]
    code, _, stderr = finish(start(*again))
    assert code == 2
    assert "--trust-remote-code" in stderr
    (out / "recipe" / "data" / "tasks" / "rules.py").rename(tmp_path / "rules.py")
    assert finish(start(*again))[0] == 2  # YAML alone can run code too
    (tmp_path / "rules.py").rename(out / "recipe" / "data" / "tasks" / "rules.py")
    code, stdout, stderr = finish(start(*again, "--trust-remote-code"))
    assert code == 0, stdout + stderr
    assert "the adapter is bit-identical" in stdout


def test_changed_training_data_is_not_reproduced(run_dir: Path, tmp_path: Path) -> None:
    """The hash tells."""
    import shutil  # noqa: PLC0415  # only here

    shutil.copytree(run_dir / "recipe", tmp_path / "recipe")
    with (tmp_path / "recipe" / "data" / "train.jsonl").open("a") as file:
        file.write("{}\n")
    code, _, err = finish(start("search.reproduce", str(tmp_path / "recipe")))
    assert code == 2
    assert "changed since the recipe was written" in err
    assert len(err.strip().splitlines()) == 1


def test_the_report_is_rebuilt_from_the_folder_alone(run_dir: Path) -> None:
    """`python -m search.report` needs nothing but the files."""
    page = run_dir / "report" / "index.html"
    page.unlink()
    code, out, err = finish(start("search.report", str(run_dir)))
    assert code == 0, out + err
    assert "trial" in page.read_text()


def test_a_second_call_on_a_finished_run_changes_nothing(job: Sequence[str], run_dir: Path) -> None:
    """The same command says that the job is done."""
    before = (run_dir / "summary.json").read_bytes()
    budget = f"{json.loads((run_dir / 'job.json').read_text())['budget_s']:.0f}s"
    code, out, err = finish(start("search.run", "--budget", budget, "--out", str(run_dir), *job))
    assert code == 0, err
    assert "finished" in out
    assert (run_dir / "summary.json").read_bytes() == before


def wait_for(out: Path, state: str, process: subprocess.Popen[str], timeout: float = 60) -> None:
    """Wait until the ledger holds a span of this kind."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if (out / "ledger.jsonl").exists() and state in (out / "ledger.jsonl").read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {state} within {timeout} s")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_job_is_resumed_by_the_same_command(
    sign: signal.Signals, job: Sequence[str], tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM exit 130 in order; a kill loses nothing that was finished either."""
    out = tmp_path / "run"
    command = ["search.run", "--budget", "45s", "--out", str(out), *job]
    first = start(*command)
    wait_for(out, "search_eval", first)
    time.sleep(1.5)
    os.kill(first.pid, sign)
    code, _, err = finish(first)  # one that the sign did not stop ends by itself, with 0
    if sign is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130
        assert err == "interrupted; the same command goes on from here\n"
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{out}/study.db")
    before = {t.number: t.params for t in study.trials}
    rungs = {t.number: len(t.user_attrs.get("rungs", [])) for t in study.trials}
    assert before

    code, stdout, err = finish(start(*command))
    assert code == 0, stdout + err
    assert "going on with" in stdout
    after = optuna.load_study(study_name=None, storage=f"sqlite:///{out}/study.db").trials
    assert {n: after[n].params for n in before} == before
    assert all(len(after[n].user_attrs["rungs"]) >= count for n, count in rungs.items())
    summary = summary_of(out)
    assert summary["overshoot_s"] == 0
    assert summary["trials"]["failed"] == 0


def test_the_training_process_ends_with_its_parent(job: Sequence[str], tmp_path: Path) -> None:
    """A killed job leaves nothing behind that holds the GPU."""
    out = tmp_path / "run"
    process = start("search.run", "--budget", "45s", "--out", str(out), *job)
    wait_for(out, "search_eval", process)
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    children = [int(line) for line in listing.stdout.split()]
    assert children
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(Path(f"/proc/{c}").exists() for c in children):
        time.sleep(0.1)
    assert not [c for c in children if Path(f"/proc/{c}").exists()]


def test_optuna_dashboard_serves_the_study(run_dir: Path) -> None:
    """A real server lists it with its metric names and trials."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("optuna-dashboard")),
            f"sqlite:///{run_dir}/study.db",
            "--port",
            str(port),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                url = f"http://127.0.0.1:{port}/api/studies/1"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    study = json.loads(answer.read())
                break
            except OSError:
                assert time.monotonic() < deadline, "the dashboard does not answer"
                time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(timeout=20)
    assert study["objective_names"] == ["accuracy", "gpu_hours"]
    assert len(study["trials"]) == sum(summary_of(run_dir)["trials"].values())


SMALL = """
from dataclasses import replace
from studies.catalog import find

def study():
    demo = find("demo")
    kept = ("chain_sum", "aiw")
    demo = demo.with_sources(
        tuple(s for s in demo.sources if s.name in kept),
        tuple(t for t in demo.tasks if t.name in kept),
    )
    return replace(
        demo,
        name="small",
        heldout=tuple(t for t in demo.heldout if t.name == "basic_arithmetic"),
        search_items=16,
        final_items=24,
        heldout_items=12,
        first_rung_tokens=1024,
        bracket=6,
    )
"""


def evaluations(folder: Path) -> set[tuple[float, float]]:
    """(accuracy, gpu_hours) of every early evaluation."""
    records = Store(RunFolder(folder), study_name(folder)).records()
    return {(rung.accuracy, rung.gpu_hours) for record in records for rung in record.rungs}


def not_beaten(points: set[tuple[float, float]]) -> set[tuple[float, float]]:
    """Those that no other is at least as good as in both; one by one."""
    return {
        (accuracy, hours)
        for accuracy, hours in points
        if not any(
            other >= accuracy and cost <= hours and (other, cost) != (accuracy, hours)
            for other, cost in points
        )
    }


@pytest.mark.slow
def test_the_real_model_is_fine_tuned_end_to_end(embedded: Base, tmp_path: Path) -> None:
    """SmolLM2 on two tasks, by the first tutorial's command: better than the base model."""
    (tmp_path / "small.py").write_text(SMALL)
    out = tmp_path / "first"
    run, shown = command(FIRST, "python -m search.run --budget 20m --out first")
    began = time.monotonic()
    line = run.code.replace("--budget 20m", "--budget 5m --study small.py")
    code, stdout, stderr = finish(start_line(line, tmp_path), timeout=320)
    wall = time.monotonic() - began
    assert code == 0, stdout + stderr
    assert wall < 300
    check(shown, stdout)
    check_contract(out, wall)
    summary = summary_of(out)
    front = {(point["accuracy"], point["gpu_hours"]) for point in summary["pareto"]}
    points = evaluations(out)
    assert len(points) > 1
    assert front == {(round(a, 5), round(hours, 6)) for a, hours in not_beaten(points)}
    assert sum(summary["trials"].values()) >= 6
    assert summary["final"]["accuracy"] > summary["base"]["accuracy"]
    assert rescore(embedded, out, "final", tmp_path) == summary["final"]["per_task"]
