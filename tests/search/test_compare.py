"""Runs side by side: the same items only, the right figures, and no more said than they show."""

from __future__ import annotations

import io
import json
import math
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from scipy.stats import binomtest

from objectives.rows import hash_file, write_jsonl
from search import formats, paired
from search.compare import main
from search.errors import BadInput
from search.finished import read_run
from search.folder import RunFolder
from search.paired import holm, sign_flip_p
from search.report.facts import paired_gain
from search.report.side_by_side import show, verdict
from search.side_by_side import Pair, figures, names_of, unit
from search.side_by_side import compare as set_side_by_side
from search.store import macro
from studies.demo import HELD_OUT, TRAINED
from studies.study import Generated, Source
from tests.simulated import Simulation

FINISHED = Path(__file__).parents[1] / "formats" / "1"
EIGHT = [1, 0, 1, 1, 0, 1, 1, 0]
SEARCHED = tuple(TRAINED)


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON object."""
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def give_items(run: Path, group: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Let a run have begun with these items."""
    file = run / "data" / "items" / f"{group}.jsonl"
    write_jsonl(file, [dict(row) for row in rows])
    hashes = json.loads((run / "data.json").read_text("utf-8"))["sha256"]
    edit(run / "data.json", sha256=hashes | {f"items/{group}.jsonl": hash_file(file)})


def give_scores(run: Path, group: str, outcomes: Mapping[str, Sequence[float]], part: str) -> None:
    """Let a part of a run have been scored like this."""
    content = {task: {"correct": list(c), "losses": [1.0] * len(c)} for task, c in outcomes.items()}
    (run / "scores" / f"{part}-{group}.json").write_text(json.dumps(content), encoding="utf-8")


def item(task: str, number: int, question: str = "") -> dict[str, Any]:
    """An item; its content follows from its number."""
    asked = [{"role": "user", "content": f"{question or task} {number}?"}]
    return {"task": task, "id": number, "messages": asked, "answer": str(number)}


def made(
    folder: Path,
    final: Mapping[str, Sequence[float]],
    heldout: Mapping[str, Sequence[float]] | None = None,
    *,
    first: int = 0,
    **facts: Any,
) -> Path:
    """A finished run with these outcomes on items that are numbered from `first` on."""
    shutil.copytree(FINISHED, folder)
    for file in (folder / "scores").glob("*"):
        file.unlink()
    for group, outcomes in (("final", final), ("heldout", heldout or {})):
        rows = [item(t, first + n) for t, found in outcomes.items() for n in range(len(found))]
        give_items(folder, group, rows)
        give_scores(folder, group, outcomes, "final")
    edit(folder / "job.json", name=folder.name, **facts)
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Whole jobs on the demo's items: of 15 minutes, of an hour, and of 15 minutes anew.

    They have few rows and no report, which would take most of the time.
    """
    root = tmp_path_factory.mktemp("simulated")
    sources = tuple(
        Source(name=name, origin=Generated(generator=name, parameters=parameters, rows=50))
        for name, parameters in TRAINED.items()
    )
    found = []
    for name, budget_s, seed in (("short", 900, 0), ("long", 3600, 0), ("other", 900, 1)):
        simulation = Simulation(root / name, budget_s, seed)
        simulation.request = replace(simulation.request, name=name)
        simulation.changes = {"sources": sources}
        simulation.run(tasks=SEARCHED, heldout=tuple(HELD_OUT), search_items=24)
        found.append(simulation.path)
    return found


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two finished runs of the same items, the first one better."""
    return [
        made(tmp_path / "one", {"t": [1] * 12}, {"h": EIGHT}),
        made(tmp_path / "two", {"t": [0] * 9 + [1] * 3}, {"h": EIGHT}),
    ]


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a comparison prints, as one line of text."""
    assert main([str(word) for word in words]) == 0
    seen = capsys.readouterr()
    assert seen.err == ""
    shown = seen.out
    for file in filter(Path.is_file, map(Path, map(str, words))):  # its folder may be a long one
        shown = shown.replace(f"{file.parent}/", "")
    assert max(map(len, shown.splitlines())) <= 80
    return " ".join(seen.out.split())


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that a comparison ends with."""
    assert main([str(word) for word in words]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.count("\n") == 1
    return seen.err


def enumerated(differences: Sequence[Sequence[float]]) -> float:
    """p by going through all choices of signs."""
    weighed = [x / len(task) for task in differences for x in task]
    observed = abs(sum(weighed)) - 1e-12
    sums = [
        abs(sum(s * x for s, x in zip(signs, weighed, strict=True)))
        for signs in product((1, -1), repeat=len(weighed))
    ]
    return sum(total >= observed for total in sums) / len(sums)


@pytest.mark.parametrize("seed", range(12))
def test_p_is_that_of_all_choices_of_signs(seed: int) -> None:
    """Tasks of unlike sizes, outcomes right and wrong or graded."""
    rng = random.Random(seed)
    grades = (-1.0, 0.0, 1.0) if seed % 2 else (-0.5, -0.25, 0.0, 0.33333, 1.0)
    sizes = rng.choice([(4, 6), (5,), (2, 3, 5), (1, 9)])
    differences = [[rng.choice(grades) for _ in range(size)] for size in sizes]
    assert sign_flip_p(differences) == pytest.approx(enumerated(differences))


@pytest.mark.parametrize(("ahead", "behind"), [(9, 0), (14, 6), (30, 31), (700, 500), (0, 0)])
def test_p_is_mcnemar_s_for_one_task_of_right_and_wrong(ahead: int, behind: int) -> None:
    """A binomial test of the items that differ."""
    expected = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    found = sign_flip_p([[1.0] * ahead + [-1.0] * behind + [0.0] * 20])
    assert found == pytest.approx(expected)


def test_p_is_drawn_where_there_are_too_many_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is near the exact one, the same each time, and never 0."""
    rng = random.Random(5)
    differences = [[rng.choice((-1.0, 0.0, 1.0, 1.0)) for _ in range(n)] for n in (20, 31)]
    exact = sign_flip_p(differences)
    monkeypatch.setattr(paired, "MOST", 1)
    drawn = sign_flip_p(differences)
    assert drawn == sign_flip_p(differences)
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact / paired.DRAWS))
    assert sign_flip_p([[1.0] * 200]) == 1 / (paired.DRAWS + 1)


def test_p_of_graded_outcomes_is_that_of_their_mean_and_spread() -> None:
    """Of hundreds of items in tasks of many sizes, by the normal law that such a sum follows."""
    rng = random.Random(2)
    differences = [[rng.uniform(-1, 1) + 0.02 for _ in range(n)] for n in (211, 307, 401, 503)]
    mean = math.fsum(math.fsum(task) / len(task) for task in differences)
    spread = math.sqrt(math.fsum(math.fsum(x * x for x in t) / len(t) ** 2 for t in differences))
    expected = math.erfc(abs(mean) / spread / math.sqrt(2))
    found = sign_flip_p(differences)
    assert 0.01 < expected < 0.99
    assert found == pytest.approx(expected, abs=0.005 + 4 * math.sqrt(expected / paired.DRAWS))
    turned = [[-x for x in reversed(task)] for task in reversed(differences)]
    assert sign_flip_p(turned) == found


@pytest.mark.parametrize("differences", [[], [[]], [[1.0], []]])
def test_nothing_cannot_be_tested(differences: list[list[float]]) -> None:
    """Neither no task nor one without items."""
    with pytest.raises(ValueError, match="at least one item"):
        sign_flip_p(differences)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.4, 0.9, 0.5], [1.0, 1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holm_s_correction(values: list[float], expected: list[float]) -> None:
    """Step by step from the smallest, never below a smaller one's."""
    assert holm(values) == pytest.approx(expected)


def test_runs_of_other_budgets_are_compared_on_the_items_that_both_scored(
    simulated: list[Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Here the first half of the final items, as their jobs did; hours are the ledger's."""
    short, long, _ = simulated
    file = tmp_path / "all.json"
    text = told(capsys, short, long, "--json", file)
    assert "96 in common, of 4 tasks (scored: A on 96, B on 96)" in text
    assert "72 in common, of 3 tasks" in text
    assert "B is better than A by " in text
    assert "A is better" not in text
    found = json.loads(file.read_text("utf-8"))
    for sign, run in (("A", short), ("B", long)):
        summary = json.loads((run / "summary.json").read_text("utf-8"))
        assert found["final"]["scores"][sign]["final"]["accuracy"] == pytest.approx(
            summary["final"]["accuracy"], abs=1e-5
        )
        assert {"base", "default"} <= set(found["final"]["scores"][sign])
        spent = sum(s for k, s in summary["spent_s"].items() if k.startswith(("search", "final")))
        assert found["runs"][sign]["hours"] == pytest.approx(spent / 3600, abs=1e-6)


def test_another_seed_s_items_count_where_they_are_the_same(
    simulated: list[Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By their content: their numbers and their order differ."""
    file = tmp_path / "all.json"
    told(capsys, *simulated, "--json", file)
    found = json.loads(file.read_text("utf-8"))["final"]
    sets = []
    for run in simulated:
        lines = (run / "data" / "items" / "final.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        first = [r for t in SEARCHED for r in [x for x in rows if x["task"] == t][:24]]
        sets.append({json.dumps(row | {"id": 0}) for row in first})
    assert 0 < found["items"] == len(sets[0] & sets[1] & sets[2]) < 96
    assert len(found["pairs"]) == 3


def test_known_outcomes_give_the_right_figures(tmp_path: Path) -> None:
    """Difference, standard error and p by the formulas, tasks counted the same."""
    a = {"s": [1, 1, 1, 1, 1, 1, 0, 0], "t": [1, 0, 1, 1]}
    b = {"s": [0, 0, 1, 1, 0, 0, 0, 1], "t": [0, 0, 1, 0]}
    runs = [
        read_run(RunFolder(made(tmp_path / name, found))) for name, found in (("a", a), ("b", b))
    ]
    final, heldout = set_side_by_side(runs)
    (pair,) = final.pairs
    s = [x - y for x, y in zip(a["s"], b["s"], strict=True)]
    t = [x - y for x, y in zip(a["t"], b["t"], strict=True)]
    assert pair.difference == pytest.approx((3 / 8 + 2 / 4) / 2)
    variances = [sum((x - sum(d) / len(d)) ** 2 for x in d) / len(d) ** 2 for d in (s, t)]
    assert pair.stderr == pytest.approx(math.sqrt(sum(variances)) / 2)
    assert pair.p == pair.p_holm == pytest.approx(enumerated([s, t]))
    assert (pair.items, pair.differing) == (12, 7)
    cut = [scores["final"] for scores in final.scores]
    assert paired_gain(cut[0], cut[1], ["s", "t"]) == (pair.difference, pair.stderr)
    shown = figures(runs, [final, heldout])
    assert shown["final"]["scores"]["A"]["final"]["accuracy"] == round(macro(cut[0])[0], 5)
    assert shown["final"]["scores"]["B"]["final"]["per_task"] == {"s": 0.375, "t": 0.25}
    assert (heldout.items, heldout.pairs) == (0, ())


def test_order_and_numbers_of_items_do_not_matter(tmp_path: Path) -> None:
    """An item is the same by what it asks and answers."""
    one = made(tmp_path / "one", {"t": EIGHT})
    two = made(tmp_path / "two", {"t": EIGHT[::-1]})
    give_items(two, "final", [item("t", n) | {"id": n + 100} for n in range(7, -1, -1)])
    final, _ = set_side_by_side([read_run(RunFolder(run)) for run in (one, two)])
    assert (final.items, final.pairs[0].differing) == (8, 0)


def test_equal_items_of_one_run_are_told_apart(tmp_path: Path) -> None:
    """The third of three is the other run's third."""
    runs = []
    for name, outcomes in (("one", [1, 0, 1, 1]), ("two", [0, 0, 1])):
        run = made(tmp_path / name, {"t": outcomes})
        give_items(run, "final", [item("t", 5) | {"id": n} for n in range(len(outcomes))])
        runs.append(read_run(RunFolder(run)))
    final, _ = set_side_by_side(runs)
    assert (final.items, final.pairs[0].differing) == (3, 1)


def test_a_run_that_scored_half_counts_with_that_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first items of each task are those it was scored on; a base without them is left out."""
    whole = made(tmp_path / "whole", {"t": [1, 1, 0, 0, 1, 1, 1, 1]})
    half = made(tmp_path / "half", {"t": EIGHT})
    give_scores(half, "final", {"t": [1, 0, 0, 0]}, "final")
    give_scores(whole, "final", {"t": [0] * 8}, "base")
    give_scores(half, "final", {"t": [0, 0]}, "base")
    text = told(capsys, whole, half)
    assert "4 in common, of 1 task (scored: A on 8, B on 4)" in text
    assert "warning" not in text
    final, _ = set_side_by_side([read_run(RunFolder(run)) for run in (whole, half)])
    assert [macro(scores["final"])[0] for scores in final.scores] == [0.5, 0.25]
    assert [set(scores) for scores in final.scores] == [{"base", "final"}, {"final"}]
    assert "base model 4 0.000 ± 0.150 –" in text


def test_few_common_items_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They may be the simpler ones."""
    runs = [made(tmp_path / str(n), {"t": EIGHT}, first=n) for n in (0, 5)]
    text = told(capsys, *runs)
    assert "3 in common, of 1 task (scored: A on 8, B on 8) warning: less than half" in text
    assert "A and B: 3 items are too few to show any difference" in text


def test_tasks_are_left_out_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not had by all, scored otherwise, other items, or but one."""
    tasks = ("t", "graded", "moved", "single")
    one = made(tmp_path / "one", dict.fromkeys(tasks, EIGHT) | {"own": EIGHT}, {"h": EIGHT})
    two = made(tmp_path / "two", dict.fromkeys(tasks, EIGHT), {"h": EIGHT})
    edit(two / "data.json", metrics={"graded": "f1"})
    rows = [
        item(t, n, "another" if t == "moved" or (t == "single" and n) else "")
        for t in tasks
        for n in range(8)
    ]
    give_items(two, "final", rows)
    give_items(two, "heldout", [item("h", n, "another") for n in range(8)])
    text = told(capsys, one, two)
    assert (
        "left out: graded: scored by exact match and by f1; moved: no item in common; "
        "single: 1 item in common, too few; own: only A scored on it"
    ) in text
    assert "8 in common, of 1 task" in text
    assert "none in common (scored: A on 8, B on 8) left out: h: no item in common" in text


def test_an_item_of_lm_eval_that_is_scored_otherwise_is_another_item(tmp_path: Path) -> None:
    """Its number in the dataset is not what makes it the same."""
    runs = []
    for k, name in enumerate(("one", "two", "three")):
        run = made(tmp_path / name, {"t": EIGHT})
        rows = [
            item("t", n) | {"lm_eval": {"task": "leaf", "doc_id": 10 * k + n, "doc": {"n": n}}}
            for n in range(8)
        ]
        give_items(run, "final", rows)
        (run / "data" / "tasks.json").write_text(json.dumps({"leaf": {"filter": k // 2}}))
        runs.append(read_run(RunFolder(run)))
    assert set_side_by_side(runs[:2])[0].items == 8
    with pytest.raises(BadInput, match="no item in common"):
        set_side_by_side(runs)


def test_runs_without_a_common_item_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do."""
    runs = [made(tmp_path / str(n), {"t": EIGHT}, {"h": EIGHT}, first=n) for n in (0, 50)]
    said = refused(capsys, *runs)
    assert "no evaluation items in common (t: no item in common, h: no item in common)" in said
    assert "same study and --seed" in said


def test_held_out_items_alone_can_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs that searched other tasks may still share those; the figure is then of them."""
    one = made(tmp_path / "one", {"s": EIGHT}, {"h": [1] * 8})
    two = made(tmp_path / "two", {"t": EIGHT}, {"h": [0] * 8})
    text = told(capsys, one, two, "--plot", tmp_path / "x.svg")
    assert "none in common (scored: A on 8, B on 8) left out: s: only A scored on it" in text
    assert "A is better than B by 1.000, with no spread within a task to tell by (p = 0.0078)" in (
        text
    )
    assert (tmp_path / "x.svg").is_file()


def test_runs_that_are_not_finished_are_named(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them in one line."""
    third = made(tmp_path / "three", {"t": EIGHT})
    (two[1] / "summary.json").unlink()
    (third / "scores" / "final-final.json").unlink()
    said = refused(capsys, *two, third)
    assert said.startswith("error: not finished")
    assert f"{two[1]}, {third};" in said
    assert str(two[0]) not in said


WORDS: dict[str, tuple[Callable[[list[Path]], Sequence[object]], str]] = {
    "one run only": (lambda two: two[:1], "only one run"),
    "no run": (lambda two: [], "RUN_DIR"),
    "the same twice": (lambda two: [two[0], two[0] / ".." / "one"], "same folder"),
    "no such folder": (lambda two: [two[0], two[0] / "none"], "no such folder"),
    "no run folder": (lambda two: [two[0], two[0] / "scores"], "no run folder"),
    "too many": (lambda two: [two[0]] * 27, "at most 26"),
    "a PDF": (lambda two: [*two, "--plot", "x.pdf"], "must end with .png or .svg"),
    "no suffix": (lambda two: [*two, "--plot", "png"], "must end with .png or .svg"),
    "an unknown flag": (lambda two: [*two, "--csv", "x"], "unrecognized arguments"),
}


@pytest.mark.parametrize("case", WORDS)
def test_bad_arguments_are_one_line(
    case: str, two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, with exit code 2."""
    words, expected = WORDS[case]
    assert expected in refused(capsys, *words(two))


def text(run: Path, name: str, content: str) -> None:
    """Write something else into a file."""
    (run / name).write_text(content, encoding="utf-8")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "job.json is cut": (lambda run: text(run, "job.json", '{"form'), "cannot read"),
    "newer format": (lambda run: edit(run / "job.json", format=99), "newer version"),
    "no format": (lambda run: edit(run / "job.json", format=None), "damaged"),
    "no seed": (lambda run: edit(run / "job.json", seed="x"), "seed must be a number"),
    "summary.json is a list": (lambda run: text(run, "summary.json", "[]"), "damaged"),
    "no times": (lambda run: edit(run / "summary.json", spent_s=None), "spent_s must be"),
    "a time is text": (
        lambda run: edit(run / "summary.json", spent_s={"search_train": "1"}),
        "search_train must be a number",
    ),
    "a time below 0": (
        lambda run: edit(run / "summary.json", spent_s={"search_train": -1}),
        "at least 0, got -1",
    ),
    "no final recipe": (lambda run: edit(run / "summary.json", final=None), "final must be"),
    "half a recipe": (
        lambda run: edit(run / "summary.json", final={"recipe": {"rank": 4}}),
        "summary.json is damaged: recipe: the field",
    ),
    "no data.json": (lambda run: (run / "data.json").unlink(), "cannot read"),
    "no hashes": (lambda run: edit(run / "data.json", sha256=[]), "no sha256"),
    "odd metrics": (lambda run: edit(run / "data.json", metrics=[]), "metrics must be"),
    "items changed": (lambda run: text(run, "data/items/final.jsonl", "{}\n"), "changed since"),
    "no items": (lambda run: (run / "data/items/heldout.jsonl").unlink(), "missing or changed"),
    "an item is no object": (lambda run: give_items_of(run, "3\n"), "names no task"),
    "an item names no task": (lambda run: give_items_of(run, '{"id": 1}\n'), "names no task"),
    "an item is cut": (lambda run: give_items_of(run, '{"task": '), "is damaged"),
    "scores are text": (lambda run: text(run, "scores/final-final.json", "x"), "cannot read"),
    "scores are cut": (
        lambda run: text(run, "scores/final-final.json", '{"t": {"correct": [1]}}'),
        "damaged",
    ),
    "more scores than items": (
        lambda run: give_scores(run, "final", {"t": [1] * 13}, "final"),
        "at most the 12 items of t",
    ),
    "scores of no task": (
        lambda run: give_scores(run, "final", {"u": [1]}, "base"),
        "at most the 0 items of u",
    ),
    "an outcome is no number": (
        lambda run: give_scores(run, "heldout", {"h": [math.nan]}, "final"),
        "outcomes from 0 to 1",
    ),
}


def give_items_of(run: Path, content: str) -> None:
    """Let a run have begun with an items file that is none."""
    give_items(run, "final", [])
    text(run, "data/items/final.jsonl", content)
    hashes = json.loads((run / "data.json").read_text("utf-8"))["sha256"]
    known = {"items/final.jsonl": hash_file(run / "data/items/final.jsonl")}
    edit(run / "data.json", sha256=hashes | known)


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_folders_are_one_line(
    case: str, two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """That names the folder."""
    damage, expected = DAMAGE[case]
    damage(two[1])
    said = refused(capsys, *two)
    assert expected in said
    assert str(two[1]) in said


def test_a_file_that_cannot_be_written_is_one_line(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the figures, which are told all the same."""
    assert main([*map(str, two), "--json", str(tmp_path / "none" / "x.json")]) == 2
    seen = capsys.readouterr()
    assert "A is better than B" in seen.out
    assert seen.err.count("\n") == 1
    assert "x.json" in seen.err


def test_an_earlier_version_s_folder_is_brought_up_to_date(
    two: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every command on a run folder."""

    def rename(_folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        return content | {"name": "upgraded"}

    monkeypatch.setattr(formats, "RUN", (*formats.RUN, rename))
    edit(two[0] / "job.json", format=formats.newest(formats.RUN))
    assert "B run upgraded" in told(capsys, *two)


@pytest.mark.parametrize("suffix", ["png", "svg", "SVG"])
def test_the_plot_is_an_image(
    suffix: str, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same one each time, whatever the runs are called."""
    for run, name in zip(two, ("$1^2_3$ 模型 " + "long " * 20, "two"), strict=True):
        edit(run / "job.json", name=name)
        give_scores(run, "final", {"t": [0] * 12}, "base")
    file = tmp_path / f"x.{suffix}"
    contents = []
    for _ in range(2):
        assert f"plot: {tmp_path}" in told(capsys, *two, "--plot", file)
        contents.append(file.read_bytes())
    assert contents[0] == contents[1]
    if suffix == "png":
        assert contents[0].startswith(b"\x89PNG\r\n\x1a\n")
        assert contents[0].endswith(b"IEND\xaeB`\x82")
    else:
        root = ET.fromstring(contents[0])
        assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_the_file_of_figures_holds_what_is_printed(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Number by number."""
    third = made(tmp_path / "three", {"t": EIGHT + EIGHT[:4]}, {"h": EIGHT[::-1]})
    file = tmp_path / "all.json"
    text = told(capsys, *two, third, "--json", file)
    found = json.loads(file.read_text("utf-8"))
    assert found["unit"] == "GPU-hours"
    for sign, run in found["runs"].items():
        assert f"{sign} run {run['name']}" in text
        assert f"{run['hours']:.4f} GPU-hours: search {run['search_hours']:.4f}" in text
    for group in ("final", "heldout"):
        assert f"{found[group]['items']} in common" in text
        row = [scores["final"] for scores in found[group]["scores"].values()]
        cells = " ".join(f"{part['accuracy']:.3f} ± {part['stderr']:.3f}" for part in row)
        assert f"final recipe {found[group]['items']} {cells}" in text
        for task, count in found[group]["tasks"].items():
            cells = " ".join(f"{part['per_task'][task]:.3f}" for part in row)
            assert f"{task} {count} {cells}" in text
        corrected = holm([pair["p"] for pair in found[group]["pairs"]])
        assert corrected == [pair["p_holm"] for pair in found[group]["pairs"]]
    best = found["final"]["pairs"][0]
    assert (best["a"], best["b"]) == ("A", "B")
    assert f"A is better than B by {best['difference']:.3f} ± {best['stderr']:.3f}" in text
    assert f"(p = {best['p_holm']:.2g})" in text
    assert "corrected by Holm for 3 pairs" in text


def test_many_runs_with_long_names_fit_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line is longer than 80 columns, which `told` checks; every run has its column."""
    task = "a_task_with_a_name_that_is_far_longer_than_its_column_can_be"
    runs = [
        made(tmp_path / f"a-rather-long-name-{n}-{'x' * 90}", {task: EIGHT, f"only{n}": EIGHT})
        for n in range(7)
    ]
    for run in runs:
        edit(run / "summary.json", base_model={"id": "m" * 120}, device="a device " * 12)
    text = told(capsys, *runs)
    for sign in "ABCDEFG":
        assert f"{sign} run a-rather" in text
    assert text.count("final recipe") == 3
    assert text.count("the same outcome on each of the 8 items") == 21


def test_a_wide_terminal_takes_more_runs_side_by_side(tmp_path: Path) -> None:
    """And is given styles."""
    runs = [read_run(RunFolder(made(tmp_path / str(n), {"t": EIGHT}))) for n in range(5)]
    out = io.StringIO()
    wide = Console(file=out, width=120, force_terminal=True, color_system="standard")
    show(wide, runs, set_side_by_side(runs))
    assert out.getvalue().count("final recipe") == 1
    assert "\x1b[1m" in out.getvalue()


def pair(
    difference: float, stderr: float, p: float, *, items: int = 96, differing: int = 9
) -> Pair:
    """Two runs."""
    return Pair(
        a=0,
        b=1,
        difference=difference,
        stderr=stderr,
        items=items,
        differing=differing,
        p=p,
        p_holm=p,
    )


VERDICTS = {
    "A is better than B by 0.031 ± 0.012 (p = 0.01).": pair(0.031, 0.012, 0.01),
    "A is better than B by 0.500 ± 0.100 (p = 0.01), on 12 items only: how much is uncertain.": (
        pair(0.5, 0.1, 0.01, items=12)
    ),
    "B is better than A by 0.500 ± 0.012 (p < 0.001).": pair(-0.5, 0.012, 1e-7),
    "A and B: no difference that 96 items could show: B ahead by 0.010 ± 0.020 (p = 0.5; "
    "9 of the items came out differently); from -0.029 to +0.049 remains possible.": pair(
        -0.01, 0.02, 0.5
    ),
    "A and B: no difference that 96 items could show: equal on the mean, 0.000 ± 0.020 (p = 1; "
    "9 of the items came out differently); from -0.039 to +0.039 remains possible.": pair(
        0.0, 0.02, 1.0
    ),
    "A and B: the same outcome on each of the 96 items, which does not show that they are "
    "equally good.": pair(0.0, 0.0, 1.0, differing=0),
    "A and B: 4 items are too few to show any difference (A ahead by 0.250 ± 0.200, p = 0.5).": (
        pair(0.25, 0.2, 0.5, items=4)
    ),
}


@pytest.mark.parametrize("words", VERDICTS)
def test_a_verdict_says_no_more_than_the_items_show(words: str) -> None:
    """Who is better only below 5 %; else what remains possible."""
    assert verdict(VERDICTS[words], 1) == words


def test_more_pairs_need_more_items() -> None:
    """Eight items could tell two runs apart, but not each of 21 pairs."""
    found = pair(0.25, 0.2, 0.5, items=8)
    assert "no difference that 8 items could show" in verdict(found, 1)
    assert "8 items are too few" in verdict(found, 21)


def test_runs_are_told_apart_by_name(tmp_path: Path) -> None:
    """By the job's own name, else by as much of the path as it takes; signs only, no escapes."""
    folders = [made(tmp_path / name / "run", {"t": EIGHT}) for name in ("x", "y")]
    runs = [read_run(RunFolder(folder)) for folder in folders]
    assert names_of(runs) == ["x/run", "y/run"]
    edit(folders[0] / "job.json", name="mine\x1b[31m\n")
    edit(folders[0] / "summary.json", device="CPU of sorts")
    runs[0] = read_run(RunFolder(folders[0]))
    assert names_of(runs) == ["mine ", "run"]
    assert unit(runs) == unit(runs[:1]) == "device-hours"
    assert unit(runs[1:]) == "GPU-hours"


def test_nothing_in_a_run_acts_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of tasks, values of a study's own axes: whoever sent the folder chose them."""
    task = "t\x1b]0;title\x07\x1b[2J\u202e"
    folders = [made(tmp_path / name, {task: EIGHT, f"{name}\x9b1A": EIGHT}) for name in ("x", "y")]
    final = json.loads((folders[0] / "summary.json").read_text("utf-8"))["final"]
    final["recipe"]["extra"] = {"kind": "\x1b[31mred"}
    edit(folders[0] / "summary.json", final=final)
    assert main([str(folder) for folder in folders]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert all(line.isprintable() for line in lines)
    assert any(line.split()[:2] == ["t", "8"] for line in lines)
    assert any("kind red" in line for line in lines)


def test_bad_arguments_answer_without_heavy_imports() -> None:
    """Within half a second, as --help does."""
    script = (
        "import sys; from search.compare import main; code = main(['x', 'y', '--plot', 'z.gif']); "
        "heavy = {'torch', 'optuna', 'numpy', 'matplotlib', 'rich', 'scipy'} & set(sys.modules); "
        "sys.exit(9 if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 2
