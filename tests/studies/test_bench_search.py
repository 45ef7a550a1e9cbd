"""The replay benchmark on made-up records: methods, results, comparison and command."""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import BadInput, WorkerFailed
from studies.bench_search import compare, halving, lcbench, peers, plot
from studies.bench_search.__main__ import main
from studies.bench_search.bench import Bench
from studies.bench_search.methods import METHODS, run
from studies.bench_search.ours import STARTUP
from studies.bench_search.results import Results
from studies.recorded import Config, Meter, Parameter, Point, Problem, Scale

HERE = list(METHODS)
LCBENCH = Path(__file__).parents[3] / "shared" / "replay" / "lcbench"


def curve(config: Config, step: int) -> Point:
    """Best at x = 0.7, but wide nets (y) take longer and get further."""
    x, y = float(config["x"]), float(config["y"])
    top = 1 - (x - 0.7) ** 2 - 0.3 / y
    accuracy = top * (1 - math.exp(-step / 3))
    return Point(accuracy=accuracy, loss=1 - accuracy, seconds=step * y)


def problem(**changes: Any) -> Problem:
    """A problem with a trade-off between accuracy and time."""
    axes = (
        Parameter(name="x", default=0.5),
        Parameter(name="y", low=1, high=64, log=True, whole=True, default=8),
    )
    fields: dict[str, Any] = {"name": "made up", "parameters": axes, "full": 52, "measure": curve}
    return Problem(**(fields | changes))


def rows(count: int = 12) -> Problem:
    """The same as a table."""
    rng = np.random.default_rng(1)
    configs = {f"r{k}": problem().draw(rng) for k in range(count)}
    axis = Parameter(name="run", choices=tuple(configs), default="r0")
    return problem(
        parameters=(axis,),
        measure=lambda config, step: curve(configs[str(config["run"])], step),
        table=True,
    )


def scale_of(of: Problem) -> Scale:
    """The scale of a problem from a sample."""
    rng = np.random.default_rng(0)
    return Scale.of([of.measure(of.draw(rng), of.full) for _ in range(2000)], timed=of.timed)


BUDGET_S = 8 * 52 * 16.0


def budget_s(name: str) -> float:
    """Shorter for what computes long for each of many cheap runs."""
    return BUDGET_S / 2 if name == "ours" else BUDGET_S


@pytest.mark.parametrize("name", HERE)
def test_a_method_spends_its_budget_and_no_more(name: str) -> None:
    """Every method searches until the meter ends it."""
    meter = run(METHODS[name].search, problem(), budget_s(name), 0)
    assert meter.left_s == pytest.approx(0)
    assert meter.finished
    assert all(when <= budget_s(name) for when, _ in meter.finished)


@pytest.mark.parametrize("name", HERE)
def test_the_same_seed_gives_the_same_search(name: str) -> None:
    """And another seed another one."""
    first, again, other = (
        [r.config for r in run(METHODS[name].search, problem(), budget_s(name), seed).runs]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", [n for n in HERE if METHODS[n].anytime])
def test_a_method_that_does_not_know_its_budget_does_the_same_with_less(name: str) -> None:
    """So that one search tells of all budgets."""
    whole = run(METHODS[name].search, problem(), budget_s(name), 1)
    half = run(METHODS[name].search, problem(), budget_s(name) / 2, 1)
    assert half.by(budget_s(name) / 2) == whole.by(budget_s(name) / 2)


@pytest.mark.parametrize("name", HERE)
def test_a_method_ends_when_a_table_holds_no_more(name: str) -> None:
    """No row is begun twice, and the search ends by itself."""
    meter = run(METHODS[name].search, rows(), 1e9, 0)
    names = [r.config["run"] for r in meter.runs]
    assert len(names) == len(set(names)) == 12
    assert meter.left_s > 0


def test_ours_looks_at_a_table_before_it_promotes_and_ends_with_all_of_it() -> None:
    """Rows teach nothing of each other: where half of the budget is enough, all are begun first."""
    table, first = rows(27), 2
    looks_s = sum(table.measure({"run": f"r{k}"}, first).seconds for k in range(27))
    enough = run(METHODS["ours"].search, table, 4 * looks_s, 0)
    assert len(enough.runs) == 27
    when, point = enough.finished[0]
    assert when > looks_s + 0.9 * point.seconds
    short = run(METHODS["ours"].search, table, looks_s, 0)
    assert 9 <= len(short.runs) < 27
    assert any(r.step > first for r in short.runs)
    whole = run(METHODS["ours"].search, table, 1e9, 0)
    assert len(whole.finished) == 27


def test_ours_takes_the_rows_of_a_table_in_any_order() -> None:
    """Those that are not known are alike: where they are listed does not choose among them."""
    last = [
        run(METHODS["ours"].search, rows(27), 1e9, seed).runs[-1].config["run"] for seed in range(4)
    ]
    assert len(set(last)) > 1


def test_ours_tries_no_config_twice_where_there_are_others() -> None:
    """Also where it settles on a corner of a space in whole numbers."""
    axes = (
        Parameter(name="depth", low=1, high=5, whole=True, default=3),
        Parameter(name="width", low=1, high=32, whole=True, default=8),
    )

    def measure(config: Config, step: int) -> Point:
        depth, width = float(config["depth"]), float(config["width"])
        return Point(
            accuracy=(0.1 * depth + 0.004 * width) * (1 - 0.5 / step),
            loss=1.0,
            seconds=step * (1 + 0.1 * width),
        )

    meter = run(METHODS["ours"].search, problem(parameters=axes, measure=measure), 800, 0)
    tried = [(r.config["depth"], r.config["width"]) for r in meter.runs]
    assert len(tried) > 20
    assert len(set(tried[STARTUP:])) == len(tried) - STARTUP


def test_a_run_whose_next_step_is_dear_waits() -> None:
    """It is foreseen from the seconds so far; without a limit the best goes on, however dear."""
    meter = Meter(problem(measure=dear), 1e9)
    for x in (0.2, 0.4, 0.9):
        meter.start({"x": x, "y": 8}).train(2)
    best = meter.runs[-1]
    more_s = best.points[2].seconds / 2 * 8
    assert halving.promotable(meter.problem, meter, [2, 10, 52]) is best
    assert halving.promotable(meter.problem, meter, [2, 10, 52], most_s=more_s) is best
    assert halving.promotable(meter.problem, meter, [2, 10, 52], most_s=0.99 * more_s) is None


def dear(config: Config, step: int) -> Point:
    """The better, the slower."""
    x = float(config["x"])
    return Point(accuracy=x, loss=1 - x, seconds=step * (1 + 100 * x))


def test_stopping_early_tries_more_than_finishing_everything() -> None:
    """The Pareto rule and successive halving save time for further runs."""
    plain = run(METHODS["random"].search, problem(), BUDGET_S, 0)
    for name in ("random+pareto", "mo-asha", "one-epoch"):
        assert len(run(METHODS[name].search, problem(), BUDGET_S, 0).runs) > len(plain.runs)


def test_stopping_what_is_beaten_scores_better_than_finishing_it() -> None:
    """On a problem whose early signs are right, at the same budget."""
    scale = scale_of(problem())

    def mean(name: str) -> float:
        meters = [run(METHODS[name].search, problem(), BUDGET_S, seed) for seed in range(16)]
        return float(np.mean([scale.score(m.by(BUDGET_S)) for m in meters]))

    assert mean("random+pareto") > mean("random") + 0.01
    assert mean("tpe+pareto") > mean("tpe") + 0.01


def test_real_jobs_begin_with_the_default() -> None:
    """Where a problem says so, the first run is the default config."""
    for name in ("random", "tpe", "nsga2"):
        meter = run(METHODS[name].search, problem(default_first=True), BUDGET_S, 0)
        assert meter.runs[0].config == {"x": 0.5, "y": 8}


def test_runs_are_ranked_front_by_front_and_the_farthest_first() -> None:
    """The front before what it dominates; within it the best, then the farthest from it."""
    values = np.array([[0.5, 0.5], [0.0, 1.0], [0.6, 0.6], [1.0, 0.0], [0.1, 0.95]])
    assert halving.order(values) == [1, 3, 0, 4, 2]


@given(
    st.integers(1, 2).flatmap(
        lambda goals: st.lists(st.tuples(*[st.integers(0, 5)] * goals), min_size=1)
    )
)
def test_each_front_is_what_no_row_left_beats(rows: list[tuple[int, ...]]) -> None:
    """By the definition, with many ties: rows of one goal and of two."""
    values = np.array(rows, float)
    left = set(range(len(rows)))
    for front in halving.fronts(values):
        assert front.tolist() == sorted(
            k
            for k in left
            if not any(
                rows[j] != rows[k] and all(a <= b for a, b in zip(rows[j], rows[k], strict=True))
                for j in left
            )
        )
        left -= set(front.tolist())
    assert not left


def test_nothing_is_stopped_before_there_are_peers() -> None:
    """The Pareto rule needs four; then a run that all of them beat is stopped."""
    made = problem()
    meter = Meter(made, 1e9)
    for count in range(6):
        good = meter.start({"x": 0.7, "y": 2})
        good.train(2)
        assert not halving.beaten(made, meter, good, 2)
        bad = Meter(made, 1e9)
        bad.runs = [*meter.runs]
        worse = bad.start({"x": 0.0, "y": 64})
        worse.train(2)
        assert halving.beaten(made, bad, worse, 2) == (count + 1 >= halving.PEERS)
        assert halving.below_median(made, bad, worse, 2) == (count + 1 >= halving.PEERS)


DRIVER = """
import json, sys
for line in sys.stdin:
    job = json.loads(line)
    number = 0
    while True:
        config = {p["name"]: (p["choices"] or [p["default"]])[0] for p in job["parameters"]}
        for step in (4, job["full"]):
            print(json.dumps({"run": str(number), "step": step, "config": config}), flush=True)
            goals = json.loads(sys.stdin.readline())["goals"]
            if goals is None:
                break
            assert len(goals) == job["goals"]
        if goals is None:
            break
        number += 1
        if job["seed"] == 99:
            raise RuntimeError("out of ideas")
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Peers whose driver is a made-up one."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    monkeypatch.setattr(peers, "DRIVER", driver)
    monkeypatch.setattr(peers, "NEEDED", "pass")
    made = peers.Peers(sys.executable)
    yield made.methods()
    made.close()


def test_a_peer_is_driven_through_a_pipe(others: Any) -> None:
    """It is charged like all others, resumes its runs, and serves one search after another."""
    for seed in range(2):
        meter = run(others["neps-moasha"].search, problem(), BUDGET_S, seed)
        assert meter.left_s == 0
        assert set(meter.runs[0].points) == {4, 52}


def test_a_peer_that_repeats_itself_gets_another_row(others: Any) -> None:
    """A table's rows are tried once, whatever the peer asks for."""
    meter = run(others["neps-moasha"].search, rows(), 1e9, 0)
    assert len({r.config["run"] for r in meter.runs}) == 12


def test_a_peer_that_fails_is_told_with_its_last_words(others: Any) -> None:
    """The benchmark ends with the library's own message."""
    with pytest.raises(WorkerFailed, match="neps-moasha ended: RuntimeError: out of ideas"):
        run(others["neps-moasha"].search, problem(), BUDGET_S, 99)


def test_a_python_without_the_libraries_is_refused() -> None:
    """One line says which is missing and how to get it."""
    with pytest.raises(BadInput, match=r"No module named.*pip install torch syne-tune"):
        peers.Peers(sys.executable)
    with pytest.raises(BadInput, match="--peers-python /no/python: No such file"):
        peers.Peers("/no/python")


def test_results_are_found_again(tmp_path: Path) -> None:
    """What was kept is there after reading, and a method can be forgotten."""
    path = tmp_path / "deep" / "r.json"
    results = Results(path, "lcbench", "full runs")
    results.add("tpe", "3945", 5.0, 0, 0.5)
    results.save({"command": "x"})
    again = Results(path, "lcbench", "full runs")
    assert again.has("tpe", "3945", 5.0, 0)
    assert not again.has("tpe", "3945", 10.0, 0)
    assert not again.has("tpe", "3945", 5.0, 1)
    again.forget("tpe")
    assert not again.has("tpe", "3945", 5.0, 0)


def test_an_interrupted_benchmark_keeps_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow searches are kept one by one; the next call measures only what is missing."""
    monkeypatch.setattr("studies.bench_search.bench.KEEP_S", 0.0)
    measured: list[int] = []

    def way(_: str, seed: int) -> list[tuple[float, float]]:
        measured.append(seed)
        if measured == [0, 1, 2]:
            raise KeyboardInterrupt
        return [(1.0, seed / 10)]

    def go() -> Results:
        results = Results(tmp_path / "scores.json", "made up", "full runs")
        Bench(str, {"slow": way}, [1.0], 4).measure(results, ["a"], lambda: results.save({}))
        return results

    with pytest.raises(KeyboardInterrupt):
        go()
    assert measured == [0, 1, 2]
    assert go().scores["slow"]["a"]["1"] == {"0": 0.0, "1": 0.1, "2": 0.2, "3": 0.3}
    assert measured == [0, 1, 2, 2, 3]


def test_a_file_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    """Neither another suite's results nor any other file."""
    path = tmp_path / "r.json"
    Results(path, "peft", "GPU-hours").save({})
    with pytest.raises(BadInput, match="of the suite peft"):
        Results(path, "lcbench", "full runs")
    path.write_text("my notes")
    with pytest.raises(BadInput, match="holds no results"):
        Results(path, "lcbench", "full runs")


def scores(gap: float) -> Any:
    """Two methods on ten problems with five seeds; `a` is ahead by `gap` on each problem."""
    rng = np.random.default_rng(0)
    made: Any = {"a": {}, "b": {}}
    for k in range(10):
        level = rng.random()
        for method, extra in (("a", gap), ("b", 0.0)):
            noise = rng.normal(size=5) * 0.01
            made[method][f"p{k}"] = {
                "5": {str(s): level + extra + float(e) for s, e in enumerate(noise)}
            }
    return made


def test_a_clear_gap_is_significant_and_noise_is_not() -> None:
    """Pairing sees a gap far smaller than the spread of the problems."""
    clear = compare.pairs(scores(0.05), "5", "a")["b"]
    assert clear["verdict"] == "better"
    assert clear["p_problems"] < 0.01
    assert clear["difference"] == pytest.approx(0.05, abs=0.01)
    assert compare.pairs(scores(-0.05), "5", "a")["b"]["verdict"] == "worse"
    assert compare.pairs(scores(0.0), "5", "a")["b"]["verdict"] == "equal"


def test_a_few_large_gains_do_not_make_a_method_better_that_is_mostly_behind() -> None:
    """The test of ranks finds it behind, the mean ahead: neither is called better."""
    made: Any = {"a": {}, "b": {}}
    for k in range(20):
        ahead = 3.0 if k == 0 else -0.01 - k / 1000
        made["a"][f"p{k}"], made["b"][f"p{k}"] = {"5": {"0": ahead}}, {"5": {"0": 0.0}}
    found = compare.pairs(made, "5", "a")["b"]
    assert found["difference"] > 0
    assert (found["better"], found["worse"]) == (1, 19)
    assert found["p_problems"] < compare.LEVEL
    assert found["verdict"] == "mixed"


def test_only_what_both_methods_searched_is_compared() -> None:
    """A problem or seed that one of them lacks says nothing of the difference."""
    made = scores(0.05)
    del made["b"]["p0"]
    del made["b"]["p1"]["5"]["0"]
    found = compare.pairs(made, "5", "a")["b"]
    assert found["better"] + found["equal"] + found["worse"] == 9
    assert found["searches"] == 44


def test_too_few_problems_leave_it_open() -> None:
    """With five, no gap can be significant, so that neither is its absence a finding."""
    made = scores(0.05)
    for k in range(5, 10):
        del made["b"][f"p{k}"]
    found = compare.pairs(made, "5", "a")["b"]
    assert found["p_problems"] > compare.LEVEL
    assert found["verdict"] == "open"
    least = [0.1 + k / 100 for k in range(compare.FEWEST)]
    assert compare.wilcoxon(least) < compare.LEVEL < compare.wilcoxon(least[1:])


def test_the_plot_says_which_methods_searched_fewer_problems() -> None:
    """Their means are of other problems."""
    made = scores(0.05)
    del made["b"]["p0"]
    axes = plot.figure(compare.summary(made, "a"), "a", "lcbench", "full runs").axes[0]
    assert {label.get_text() for label in axes.get_yticklabels()} == {"a", "b (9 of 10 sets)"}


def test_a_single_problem_is_compared_over_its_seeds() -> None:
    """There is then no test over problems, and the verdict rests on the seeds."""
    made = {m: {"p": {"5": {str(s): s / 10 + gap for s in range(8)}}} for m, gap in
            (("a", 0.1), ("b", 0.0))}  # fmt: skip
    found = compare.pairs(made, "5", "a")["b"]
    assert found["p_problems"] is None
    assert found["verdict"] == "better"
    assert compare.wilcoxon([0.0, 0.0]) == 1


def test_the_table_counts_problems_alike() -> None:
    """A problem with more seeds weighs no more."""
    made = {"a": {"p": {"5": {"0": 0.0, "1": 0.0}}, "q": {"5": {"0": 1.0}}}}
    found = compare.table(made, "5")["a"]
    assert found["mean"] == 0.5
    assert (found["problems"], found["seeds"]) == (2, 2)


def recorded(folder: Path, count: int = 14) -> Path:
    """Made-up runs in the form of PEFT's method comparison."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    for k in range(count):
        top, pace = rng.uniform(0.2, 0.6), rng.uniform(20, 200)
        looks = [
            {"train loss": 2 - top * s / 20, "train time": pace, "valid accuracy": top * s / 20}
            for s in range(1, 21)
        ]
        info = {"train_time": 20 * pace, "metrics": [*looks, {"test accuracy": top}]}
        (folder / f"run{k}.json").write_text(json.dumps({"train_info": info}))
    return folder


def command(tmp_path: Path, *more: str) -> list[str]:
    """The command on made-up runs."""
    folder = tmp_path / "runs"
    if not folder.exists():
        recorded(folder)
    given = ["--data", str(folder), "--suite", "peft", "--out", str(tmp_path / "out" / "r.json")]
    return [*given, "--seeds", "3", "--budgets", "1", "2", "--pair", "mo-asha", *more]


METHODS_ASKED = ("--methods", "random", "mo-asha", "tpe")


def test_the_command_compares_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results and plot are written; a second call measures only what is asked for again."""
    assert main(command(tmp_path, *METHODS_ASKED)) == 0
    first = json.loads((tmp_path / "out" / "r.json").read_text())
    assert set(first["scores"]) == {"random", "mo-asha", "tpe"}
    assert set(first["scores"]["tpe"]["metamathqa"]["2"]) == {"0", "1", "2"}
    assert (tmp_path / "out" / "r.png").stat().st_size > 1000
    assert "2 GPU-hours" in capsys.readouterr().out
    begun: list[str] = []
    plain = Meter.__init__

    def counted(self: Meter, problem: Problem, budget_s: float) -> None:
        begun.append(problem.name)
        plain(self, problem, budget_s)

    monkeypatch.setattr(Meter, "__init__", counted)
    assert main(command(tmp_path, *METHODS_ASKED)) == 0
    assert begun == []
    assert main(command(tmp_path, *METHODS_ASKED, "--again", "tpe")) == 0
    assert len(begun) == 3
    assert json.loads((tmp_path / "out" / "r.json").read_text())["scores"] == first["scores"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--methods", "magic"), "--methods magic: choose from"),
        (("--methods", "neps-primo"), "it needs --peers-python"),
        (("--datasets", "other"), "--datasets other: peft has metamathqa"),
        (("--datasets", "0"), "--datasets 0: peft has 1 to 1"),
        (("--again", "magic"), "--again magic: it is not among"),
        (("--pair", "magic"), "--pair magic: choose from ours, random"),
        (("--seeds", "0"), "--seeds 0: give at least 1"),
        (("--budgets", "-1"), "--budgets -1: give a positive number"),
        (("--suite", "none"), "invalid choice: 'none'"),
        (("--data", "/nowhere"), "/nowhere: holds 0 runs; give the folder"),
        (("--suite", "lcbench"), "give the folder `lcbench` of github.com/slds-lmu/yahpo_data"),
        (("--suite", "regmix"), "give the folder `data` of github.com/sail-sg/regmix"),
        (("--peers-python", "/no/python"), "--peers-python /no/python: No such file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    more: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which argument is wrong and what would do."""
    if "lcbench" in more:
        pytest.importorskip("onnxruntime")
    assert main(command(tmp_path, *more)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_surrogate_is_read_as_its_authors_do() -> None:
    """Time grows with epochs, accuracy is a share, and the scale is that of the sample."""
    pytest.importorskip("onnxruntime")
    if not LCBENCH.is_dir():
        pytest.skip(f"{LCBENCH} is not there: the surrogate is no part of the project")
    suite = lcbench.suite(LCBENCH)
    assert len(suite.sets) == 34
    task = suite.load("3945")
    config = task.problem.default()
    points = [task.problem.measure(config, step) for step in range(1, 53)]
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(points))
    assert points[0].seconds < points[-1].seconds
    assert 0.5 < points[-1].accuracy <= 1
    assert points[-1].accuracy > points[0].accuracy
    meter = run(METHODS["mo-asha"].search, task.problem, suite.seconds(task, 10), 0)
    found = meter.by(meter.budget_s)
    assert 0.5 < task.scale.score(found) < 1
    linear = lcbench.suite(LCBENCH, log_time=False)
    assert linear.name != suite.name
    other = linear.load("3945")
    assert not other.problem.log_time
    assert task.scale.score(found) < other.scale.score(found) < 1
