"""The command line: help, plan, exit codes and bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from search.cli import guarded
from search.request import Request, build_study, checkpoints_gib, disk_line
from search.run import main
from search.worker import ProcessObjective
from studies import demo
from tests.tiny import make_tiny_model, write_rows

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in the repository's root."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


@pytest.mark.parametrize(
    "module", ["search.run", "search.report", "search.reproduce", "search.serve"]
)
def test_help_imports_nothing_heavy(module: str) -> None:
    """What is not imported costs no time: --help answers at once."""
    done = python("-X", "importtime", "-m", module, "--help")
    assert done.returncode == 0
    assert "usage" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {
        "torch",
        "transformers",
        "optuna",
        "rich",
        "numpy",
        "datasets",
        "matplotlib",
        "fastapi",
    }
    assert not imported & heavy


def test_every_flag_of_the_contract_is_there() -> None:
    """The command line is frozen."""
    text = python("-m", "search.run", "--help").stdout
    for flag in ["budget", "study", "model", "data", "eval", "include-path", "gpu-memory", "out"]:
        assert f"--{flag} " in text
    for flag in ["seed", "name", "plan", "quiet"]:
        assert f"--{flag}" in text


def test_the_parent_never_imports_torch() -> None:
    """It survives the GPU, and starts at once."""
    code = "import search.job, search.loop, search.recipe, sys; print('torch' in sys.modules)"
    assert python("-c", code).stdout.strip() == "False"


def test_the_plan_is_printed_and_nothing_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`--plan` splits the budget and exits."""
    assert main(["--budget", "1h", "--plan", "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    for word in (
        "search",
        "final run",
        "final evaluation",
        "margin",
        "brackets of",
        "disk",
        "alive",
    ):
        assert word in out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "rank", "parameters"),
    [("HuggingFaceTB/SmolLM2-135M-Instruct", 16, 4_884_480), ("Mistral-7B", 64, 167_772_160)],
)
def test_the_disk_a_job_needs_is_foreseen(model: str, rank: int, parameters: int) -> None:
    """By the sizes of adapters that were measured."""
    plain = demo.study()
    study = replace(plain, model=model, space=replace(plain.space, rank=(4, rank)))
    one = checkpoints_gib(study, 5) - checkpoints_gib(study, 4)
    assert one * 2**30 == pytest.approx(12 * parameters, rel=0.05)


def test_a_disk_that_is_too_small_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before anything is written; a job may still fit, so it is not refused."""
    assert disk_line(demo.study(), 9, tmp_path / "not" / "there").endswith("GiB")
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    line = disk_line(demo.study(), 9, tmp_path / "not" / "there")
    assert f"but only 0.0 are free at {tmp_path}" in line


NO_DURATIONS = [
    "",
    "0",
    " ",
    "-3h",
    "10 minutes",
    "1e3s",
    "5y",
    "20m;rm",
    "1h 30m",
    "m",
    "٣h",
    "1m2h",
]
WORDS: list[tuple[list[str], str]] = [
    *(([f"--budget={text}"], f"{text!r} is no duration; write 90s, 20m") for text in NO_DURATIONS),
    *(
        ([f"--budget={text}"], "longer than 0 s and at most a year")
        for text in ("0s", "0h0m", "5000d")
    ),
    ([], "--budget"),
    (["--budget"], "--budget"),
    (["--budget", "-5m"], "'-5m'"),
    (["--bud", "1h"], "--budget"),
    (["--budget", "1h", "--colour", "red"], "--colour"),
    (["--budget", "1h", "stray"], "stray"),
    (["--budget", "1h", "--seed", "x"], "--seed"),
    (["--budget", "1h", "--seed", "1.5"], "--seed"),
    (["--budget", "1h", "--seed", "-1"], "--seed"),
    (["--budget", "1h", "--seed", "9" * 30], "--seed"),
    (["--budget", "1h", "--eval", ","], "--eval"),
    (["--budget", "1h", "--eval", ""], "--eval"),
    (["--budget", "1h", "--eval", "rubiks_cube", "--out", "/dev/null/x"], "/dev/null/x"),
    (["--budget", "1h", "--out", "a%20b"], "'%'"),
    (["--budgt", "1h"], "--budgt, did you mean --budget?"),
    (["--zzz", "--budget", "1h"], "unrecognized arguments: --zzz; see"),
    (["--budget", "1h", "--sed=3"], "--sed, did you mean --seed?"),
    (["--budget", "1h", "--out", "a?b"], "'?'"),
    (["--budget", "1h", "--out", "n" * 300], "too long"),
    (["--budget", "1h", "--study", "n" * 300 + ".py"], "too long"),
    (["--budget", "1h", "--model", "n" * 300], "too long"),
    (["--budget", "1h", "--data", "x=" + "n" * 300], "too long"),
]
"""Whole command lines -> what the message must say."""


def bad_inputs(tmp: Path) -> dict[str, tuple[list[str], str]]:
    """Name -> (arguments after a good --budget and --out, what the message must say)."""
    good = write_rows(tmp / "good.jsonl", 60)
    (tmp / "broken.jsonl").write_text(good.read_text() + "{nope\n")
    (tmp / "empty.jsonl").write_text("")
    (tmp / "form.jsonl").write_text('{"text": "x"}\n')
    (tmp / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    (tmp / "one.jsonl").write_text(good.read_text().splitlines()[0] + "\n")
    (tmp / "bare").mkdir()
    (tmp / "config_only").mkdir()
    (tmp / "config_only" / "config.json").write_text("{}")
    (tmp / "pickled").mkdir()
    for name in ("config.json", "tokenizer_config.json"):
        (tmp / "pickled" / name).write_text("{}")
    (tmp / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    (tmp / "study.py").write_text("study = 3\n")
    (tmp / "negative.py").write_text(
        "from studies.catalog import find\nfrom studies import Source\n"
        "from studies.study import Generated\n"
        "def study():\n"
        "    s = find('demo')\n"
        "    a = Source(name='a', weight=-1.0, origin=Generated(generator='aiw'))\n"
        "    return s.with_sources((a,), s.tasks)\n"
    )
    (tmp / "zero.py").write_text((tmp / "negative.py").read_text().replace("-1.0", "0.0"))
    (tmp / "huge.jsonl").write_text('{"prompt": ' + "9" * 5000 + "}\n")
    (tmp / "half.jsonl").write_text('{"prompt": "\\ud800", "completion": "x"}\n')
    (tmp / "exits.py").write_text("import sys\ndef study():\n    sys.exit(7)\n")
    (tmp / "lines.py").write_text("def study():\n    raise ValueError('one\\ntwo')\n")
    (tmp / "outside.py").write_text(
        "from dataclasses import replace\nfrom studies.catalog import find\n"
        "def study():\n"
        "    s = find('demo')\n"
        "    e = replace(s.experts[0], recipe=replace(s.experts[0].recipe, rank=4096))\n"
        "    return replace(s, experts=(e,))\n"
    )
    (tmp / "torn").mkdir()
    (tmp / "torn" / "t.yaml").write_text("task: [t\n")
    (tmp / "tasks").mkdir()
    (tmp / "tasks" / "void.jsonl").write_text("")
    for name, file, kind in (
        ("nothing", "tasks/void.jsonl", "loglikelihood"),
        ("lost", "none.jsonl", "loglikelihood"),
        ("flowing", "good.jsonl", "loglikelihood_rolling"),
    ):
        (tmp / "tasks" / f"{name}.yaml").write_text(
            f"task: {name}\ndataset_path: json\n"
            f"dataset_kwargs: {{data_files: {{test: {tmp}/{file}}}}}\n"
            f"test_split: test\noutput_type: {kind}\n"
            "doc_to_text: what\ndoc_to_target: this\n"
        )
    for name, changed in (
        ("unnamed", "task: null\n"),
        ("numbered", "task: 7\n"),
        ("warm", "generation_kwargs: {temperature: hot}\n"),
        ("listed", "generation_kwargs: [1]\n"),
        ("unclosed", "doc_to_text: '{{prompt'\n"),
        ("unfiltered", "filter_list: [{name: x, filter: [{function: no_such}]}]\n"),
    ):
        (tmp / name).mkdir()
        (tmp / name / "mine.yaml").write_text(
            f"task: mine\ndataset_path: json\n"
            f"dataset_kwargs: {{data_files: {{test: {good}}}}}\n"
            "test_split: test\noutput_type: generate_until\n"
            "doc_to_text: '{{prompt}}'\ndoc_to_target: '{{completion}}'\n" + changed
        )
    (tmp / "cells.csv").write_text("prompt,completion\na,b,c\n")
    (tmp / "fake.parquet").write_text("PAR1")
    (tmp / "torn.json").write_text('[{"prompt": "a", "completion": "b"}, ')
    (tmp / "table.xlsx").write_bytes(b"PK")
    (tmp / "broken_config").mkdir()
    (tmp / "broken_config" / "config.json").write_text("{")
    (tmp / "occupied").mkdir()
    (tmp / "occupied" / "notes.txt").write_text("mine")
    (tmp / "file").write_text("")
    (tmp / "other").mkdir()
    other = {"format": 1, "study": "demo", "model": "another", "budget_s": 3600.0, "seed": 0}
    (tmp / "other" / "job.json").write_text(json.dumps(other))
    return {
        "unknown study": (["--study", "demmo"], "no such study"),
        "missing study file": (["--study", str(tmp / "none.py")], "no such file"),
        "study file without a study": (["--study", str(tmp / "study.py")], "study.py"),
        "negative mixture": (["--study", str(tmp / "negative.py")], "mixture"),
        "all-zero mixture": (["--study", str(tmp / "zero.py")], "every weight is zero"),
        "unknown task": (["--eval", "chain_summ"], "did you mean chain_sum"),
        "unknown task beside a folder's": (
            ["--include-path", str(tmp / "tasks"), "--eval", "flowin"],
            "did you mean flowing",
        ),
        "data without a name": (["--data", str(good)], "NAME=PATH"),
        "data without a path": (["--data", "x="], "NAME=PATH"),
        "data name with a slash": (["--data", f"../x={good}"], "source name"),
        "missing data file": (["--data", f"x={tmp}/none.jsonl"], "no such file"),
        "data folder": (["--data", f"x={tmp}"], "folder"),
        "broken line": (["--data", f"x={tmp}/broken.jsonl"], "broken.jsonl, line 61"),
        "empty source": (["--data", f"x={tmp}/empty.jsonl"], "holds no row"),
        "unknown form": (["--data", f"x={tmp}/form.jsonl"], "line 1: unknown form"),
        "binary data": (["--data", f"x={tmp}/binary.jsonl"], "not UTF-8"),
        "huge number": (["--data", f"x={tmp}/huge.jsonl"], "line 1"),
        "half a character": (["--data", f"x={tmp}/half.jsonl"], "line 1: the text holds half"),
        "study file that exits": (["--study", str(tmp / "exits.py")], "SystemExit"),
        "study file with a long message": (["--study", str(tmp / "lines.py")], "one two"),
        "expert outside the space": (["--study", str(tmp / "outside.py")], "rank 4096"),
        "model with a broken config": (["--model", str(tmp / "broken_config")], "is broken"),
        "task without a right answer": (["--eval", "rubiks_cube"], "no single right answer"),
        "a single row": (["--data", f"x={tmp}/one.jsonl"], "needs at least 3"),
        "two sources of one name": (["--data", f"x={good}", f"x={good}"], "two sources"),
        "dataset that the hub does not give": (["--data", "x=nobody/nothing"], "hub"),
        "unknown model": (["--model", "nobody/nothing-135M"], "does not give it"),
        "folder without a model": (["--model", str(tmp / "bare")], "no config.json"),
        "model without a tokenizer": (["--model", str(tmp / "config_only")], "tokenizer_config"),
        "pickled weights": (["--model", str(tmp / "pickled")], "safetensors"),
        "memory that is no size": (["--gpu-memory", "lots"], "24GiB"),
        "memory without a GPU": (["--gpu-memory", "24GiB"], "no CUDA device"),
        "too many cells": (["--data", f"x={tmp}/cells.csv"], "3 cells under a header of 2"),
        "Parquet in name only": (["--data", f"x={tmp}/fake.parquet"], "fake.parquet"),
        "JSON that ends early": (["--data", f"x={tmp}/torn.json"], "row 2"),
        "unknown kind of file": (["--data", f"x={tmp}/table.xlsx"], "table.xlsx"),
        "no folder of tasks": (["--include-path", str(tmp / "nowhere")], "no such folder"),
        "folder without tasks": (["--include-path", str(tmp / "bare")], "no .yaml"),
        "tasks without a name": (["--include-path", str(tmp / "tasks")], "--eval"),
        "broken task file": (
            ["--include-path", str(tmp / "torn"), "--eval", "t"],
            "no readable YAML",
        ),
        "task without items": (
            ["--include-path", str(tmp / "tasks"), "--eval", "nothing"],
            "task nothing",
        ),
        "task without its data": (
            ["--include-path", str(tmp / "tasks"), "--eval", "lost"],
            "task lost: cannot read its data_files",
        ),
        "task of a hub out of reach": (["--eval", "gsm8k"], "task gsm8k: its dataset openai/gsm8k"),
        "task without accuracy": (
            ["--include-path", str(tmp / "tasks"), "--eval", "flowing"],
            "task flowing: it has no accuracy",
        ),
        **{
            f"task that is {name}": (["--include-path", str(tmp / name), "--eval", "mine"], says)
            for name, says in (
                ("unnamed", "no task of that name"),
                ("numbered", "mine"),
                ("warm", "could not convert string to float: 'hot'"),
                ("listed", "task mine: lm-eval cannot load it"),
                ("unclosed", "task mine"),
                ("unfiltered", "task mine"),
            )
        },
        "occupied folder": (["--out", str(tmp / "occupied")], "no run"),
        "another job's folder": (["--out", str(tmp / "other")], "another job: its model differs"),
        "unwritable folder": (["--out", str(tmp / "file" / "run")], "cannot write"),
    }


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model may be loaded: the GPU process must not even be made."""

    def refuse(**_: object) -> None:
        raise AssertionError("the GPU process was started")

    monkeypatch.setattr(ProcessObjective, "load", refuse)


def test_bad_input_is_one_line_and_exit_2_before_any_model_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unloaded: None
) -> None:
    """Each says what is wrong; none leaves a half-made run behind."""
    out = tmp_path / "run"
    good = ["--budget", "1h", "--quiet", "--out", str(out)]
    lines = {name: ([*good, *more], says) for name, (more, says) in bad_inputs(tmp_path).items()}
    lines |= {" ".join(words): (words, says) for words, says in WORDS}
    assert len(lines) >= 60
    for name, (words, says) in lines.items():
        code = main(words)
        error = capsys.readouterr().err
        assert code == 2, f"{name}: exit code {code}, {error}"
        assert says in error, f"{name}: {error}"
        assert len(error.strip().splitlines()) == 1, f"{name}: {error}"
        assert "Traceback" not in error
        assert not out.exists(), name


@pytest.mark.parametrize("module", ["search.report", "search.reproduce", "search.serve"])
def test_the_other_commands_answer_in_one_line_too(module: str, tmp_path: Path) -> None:
    """No usage text, no traceback."""
    for words in ([], [str(tmp_path / "none")], [str(tmp_path)], ["--colour"]):
        done = python("-m", module, *words)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_another_python_is_told_to_be_the_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Who forgot to activate the environment reads which package is missing from which Python."""

    def lacks(name: str) -> int:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    assert guarded(lambda: lacks("numpy.linalg"), "interrupted") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {sys.executable} lacks the package numpy; ")
    assert error.count("\n") == 1
    with pytest.raises(ModuleNotFoundError, match="gone"):  # a mistake of ours, told in full
        guarded(lambda: lacks("search.gone"), "interrupted")


def test_the_plan_is_cut_at_spaces_in_a_terminal_and_whole_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, unloaded: None
) -> None:
    """A terminal would cut within words; a script reads lines."""
    assert main(["--budget", "1h", "--plan"]) == 0
    whole = capsys.readouterr().out
    assert max(map(len, whole.splitlines())) > 200
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["--budget", "1h", "--plan"]) == 0
    cut = capsys.readouterr().out
    assert max(map(len, cut.splitlines())) <= 80
    assert cut.split() == whole.split()


def test_a_held_out_task_can_be_searched_on_and_is_then_not_held_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--eval syllogism` moves it."""
    assert main(["--budget", "1h", "--plan", "--eval", "syllogism,aiw"]) == 0
    study = build_study(Request(budget_s=3600, tasks=("syllogism", "aiw")))
    assert [t.name for t in study.tasks] == ["syllogism", "aiw"]
    assert "syllogism" not in [t.name for t in study.heldout]


def test_a_budget_too_small_exits_3_and_names_the_least(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, unloaded: None
) -> None:
    """Nothing is loaded and nothing is made."""
    assert main(["--budget", "30s", "--out", str(tmp_path / "run")]) == 3
    assert "the least that would do is" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_model_without_chat_template_exits_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The GPU process finds it out from the tokenizer, before the weights are read."""
    make_tiny_model(tmp_path / "model", chat_template=False)
    rows = write_rows(tmp_path / "rows.jsonl", 200)
    arguments = ["--model", str(tmp_path / "model"), "--data", f"x={rows}", "--budget", "10m"]
    assert main([*arguments, "--quiet", "--out", str(tmp_path / "run")]) == 2
    assert "no chat template" in capsys.readouterr().err
