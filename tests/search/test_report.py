"""The report: whole, self-contained, honest about what is missing, and made from the folder."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from optuna.trial import TrialState

from objectives.objective import TaskScore
from objectives.replay import CurveObjective
from search.budget import SimulatedClock, Span, read_ledger
from search.folder import RunFolder
from search.job import run
from search.report.__main__ import main
from search.report.chance import gain_of
from search.report.course import forecast, verdict
from search.report.drawing import short_count
from search.report.embed import digest as hash_of
from search.report.facts import gather, joined, paired_gain, without_paths
from search.report.plots import pareto_figure
from search.report.text import closing_lines
from search.report.trials import story
from search.report.worth import comparisons, recipe
from search.report.worth_figure import SEARCHED, rows_of, worth_figure
from search.report.write import write_report
from search.request import Request, build_study
from search.store import Record, Store
from search.summary import summarise
from search.view import NoView

ROOT = Path(__file__).parents[2]
VOID = {"meta", "br", "hr", "img", "link", "input"}


@dataclass
class Page(HTMLParser):
    """A page taken apart; an element that is closed wrongly is an error."""

    text: str
    open: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of an hour, simulated; tests change copies of it."""
    path = tmp_path_factory.mktemp("original") / "run"
    clock = SimulatedClock()
    request = Request(budget_s=3600, out=path, name="my name")
    run(
        request,
        build_study(request),
        clock=clock,
        objective=lambda _study, _path: CurveObjective(clock),
        view=NoView(),
    )
    return path


@pytest.fixture
def finished(original: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, without its report."""
    path = tmp_path / "run"
    shutil.copytree(original, path)
    shutil.rmtree(path / "report")
    return path


def unfinish(path: Path) -> None:
    """Take back what the end of a run writes."""
    for file in [*(path / "scores").glob("final-*.json"), path / "summary.json"]:
        file.unlink()
    shutil.rmtree(path / "recipe")


def opened(path: Path) -> tuple[RunFolder, Store]:
    """A run folder and its study."""
    folder = RunFolder(path)
    return folder, Store(folder, "my name")


def built(path: Path) -> str:
    """The page as the command line builds it."""
    assert main([str(path)]) == 0
    return (path / "report" / "index.html").read_text(encoding="utf-8")


def retell(patch: pytest.MonkeyPatch, number: int, **changes: str) -> None:
    """Let the study tell something else about a trial."""
    records = Store.records

    def changed(self: Store) -> list[Record]:
        return [replace(r, **changes) if r.number == number else r for r in records(self)]  # type: ignore[arg-type]

    patch.setattr(Store, "records", changed)


def test_the_run_itself_writes_the_report(original: Path) -> None:
    """A finished run needs no further command."""
    assert "Pareto front" in (original / "report" / "index.html").read_text(encoding="utf-8")
    assert (original / "report" / "pareto.png").is_file()


def test_the_page_is_well_formed_and_accessible(finished: Path) -> None:
    """Elements nest, headings go down one at a time, ids are unique, figures have a label."""
    page = Page(built(finished))
    assert page.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    figures = page.all("svg")
    assert len(figures) == 6  # too few trials for importances
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in figures)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in {"col", "row"} for cell in page.all("th"))


def test_the_page_needs_nothing_from_outside(finished: Path) -> None:
    """It opens offline and alone: every reference stays inside the page, or holds what it names."""
    text = built(finished)
    page = Page(text)
    references = [
        value or ""
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href", "srcset", "data"}
    ]
    assert references
    ids = {attributes.get("id") for _, attributes in page.elements}
    inside = {value for value in references if value[0] == "#"}
    assert all(value[1:] in ids for value in inside)
    kinds = ("data:image/svg+xml;base64,", "data:image/png;base64,")
    assert all(value.startswith(kinds) for value in set(references) - inside)
    assert not {"link", "iframe", "img", "base"} & {tag for tag, _ in page.elements}
    assert not any("src" in script for script in page.all("script"))
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert {part.partition(")")[0] for part in text.split("url(")[1:]} <= {f"#{i}" for i in ids}


def test_the_page_forbids_itself_requests_and_other_scripts(finished: Path) -> None:
    """Its policy allows nothing from outside, and of scripts the two whose hashes it tells."""
    text = built(finished)
    meta = [m for m in Page(text).all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    rules = {
        name: allowed
        for name, _, allowed in (
            rule.partition(" ") for rule in (meta[0]["content"] or "").split("; ")
        )
    }
    assert rules.pop("default-src") == "'none'"
    assert set(rules) == {"style-src", "img-src", "script-src"}
    assert rules["img-src"] == "data:"
    packed = text.partition('id="plotly">')[2].partition("<")[0]
    library = gzip.decompress(base64.b64decode(packed))
    own = text.partition("</script><script>")[2].partition("</script>")[0]
    assert b"plotly.js v" in library[:200]
    assert rules["script-src"].split() == [hash_of(library), hash_of(own.encode())]


def test_what_answers_to_a_pointer_has_a_drawing_in_its_place(finished: Path) -> None:
    """Without scripts and in print nothing is lost: each such figure is an SVG as well."""
    page = Page(built(finished))
    plots = [s["data-plot"] for s in page.all("script") if "data-plot" in s]
    assert plots == ["pareto", "curves"]
    ids = [attributes.get("id") for _, attributes in page.elements]
    for name in plots:
        card = ids.index(f"{name}-card")
        assert page.elements[card + 1][0] == "svg"
    assert ".drawn>svg{display:block}" in page.text.partition("@media print")[2]


def test_light_and_dark_come_with_the_page(finished: Path) -> None:
    """Figures follow the reader's theme: no fixed colour is left in them."""
    text = built(finished)
    assert "prefers-color-scheme:dark" in text
    for svg in text.split("<svg ")[1:]:
        drawing = svg.partition("</svg>")[0]
        assert "var(--ink)" in drawing
        assert ": #" not in drawing


def test_every_trial_is_told_with_its_reason_recipe_and_origin(finished: Path) -> None:
    """Why a trial was pruned or promoted is on the page."""
    text = built(finished)
    _, store = opened(finished)
    records = store.records()
    assert len(records) > 4
    for record in records:
        assert f'<th scope="row">{record.number}<span' in text
        assert escape(record.reason) in text
        assert escape(record.origin) in text
        assert escape(record.recipe.short()) in text
        for rung in record.rungs:
            assert f"{rung.tokens:,} tokens, loss {rung.loss:.3f}" in text


def test_a_trials_story_is_told_in_order(finished: Path) -> None:
    """Proposed, evaluated, promoted and why, ended, chosen and why."""
    _, store = opened(finished)
    found = next(r for r in store.records() if len(r.promotions) > 1 and r.finished)
    told = [str(step) for step in story(found, "it is the best")]
    assert told[0] == f"proposed: {escape(found.origin)}"
    for rung, why in found.promotions:
        place = told.index(f"promoted to rung {rung}: {escape(why.removeprefix('promoted: '))}")
        assert f"rung {rung - 1}:" in told[place - 1]
        assert f"rung {rung}:" in told[place + 1]
    assert told[-2:] == [
        f"<strong>{escape(found.reason)}</strong>",
        "<strong>chosen for the final run: it is the best</strong>",
    ]
    of_old = [str(step) for step in story(replace(found, promotions=()))]
    assert "promoted to rung 1" in of_old


def test_a_trial_under_way_is_told_as_such(finished: Path) -> None:
    """Without an end, and its first reason is not told twice."""
    _, store = opened(finished)
    record = replace(
        store.records()[1], state=TrialState.RUNNING, rungs=(), promotions=(), origin="expert x"
    )
    told = [str(step) for step in story(replace(record, reason="proposed: expert x"))]
    assert told == ["proposed: expert x", "not finished"]


def test_every_point_of_the_pareto_front_is_told(finished: Path) -> None:
    """The front is a table too, not only a picture."""
    text = built(finished)
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["pareto"]
    for point in summary["pareto"]:
        assert (
            f'<th scope="row">trial {point["trial"]}</th>'
            f'<td class="number">{point["tokens"]:,}</td>' in text
        )


def test_worth_budget_and_data_are_told(finished: Path) -> None:
    """Final, default and base with their errors, held-out tasks, every kind of the ledger."""
    text = built(finished)
    summary = json.loads((finished / "summary.json").read_text())
    for name in ("final", "default", "base"):
        assert f"{summary[name]['accuracy']:.3f} ± {summary[name]['stderr']:.3f}" in text
    assert "held-out task" in text
    for kind, seconds in summary["spent_s"].items():
        assert f'{kind}<span class="small">' in text
        assert f'<td class="number">{seconds:,.1f}</td>' in text
    data = json.loads((finished / "data.json").read_text())
    for line in data["lines"]:
        assert escape(line) in text
    for digest in data["sha256"].values():
        assert digest in text
    for command in ("python -m search.report RUN_DIR", "sqlite:///RUN_DIR/study.db"):
        assert command in text


def test_the_default_is_not_sold_as_a_fair_comparison(finished: Path) -> None:
    """Both token counts are given, and that the training lengths differ."""
    folder, store = opened(finished)
    summary = summarise(folder, store)
    said = " ".join(comparisons(gather(folder, store, summary)))
    assert f"{summary['default']['tokens']:,}" in said
    assert f"{summary['final']['tokens']:,}" in said
    assert "not a comparison at equal training length" in said
    same = summary | {"default": summary["default"] | {"tokens": summary["final"]["tokens"]}}
    said = " ".join(comparisons(gather(folder, store, same)))
    assert "not a comparison at equal training length" not in said


def test_the_picture_is_a_png(finished: Path) -> None:
    """pareto.png is an image that other programs open."""
    built(finished)
    assert (finished / "report" / "pareto.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_every_figure_is_a_file_as_well(finished: Path) -> None:
    """As SVG that stands alone and as PNG, beside the page and in it, to be saved from there.

    What a folder has no data for is not left over.
    """
    (finished / "report").mkdir()
    for kind in ("svg", "png"):
        (finished / "report" / f"importance.{kind}").write_text("of another time")
    page = Page(built(finished))
    names = {file.name for file in (finished / "report").iterdir()} - {"index.html"}
    shown = {"worth", "pareto", "curves", "budget", "slices", "mixture"}
    assert names == {f"{name}.{kind}" for name in shown for kind in ("svg", "png")}
    links = {a["download"] or "": a["href"] or "" for a in page.all("a") if "download" in a}
    assert set(links) == names
    for name, href in links.items():
        held = base64.b64decode(href.partition(";base64,")[2])
        assert held == (finished / "report" / name).read_bytes()
    for name in shown:
        assert (finished / "report" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        ElementTree.parse(finished / "report" / f"{name}.svg")


def test_the_same_folder_gives_the_same_report(finished: Path) -> None:
    """A report is a pure function of the run folder: no date, no chance; nothing else changes."""
    first = built(finished)
    pictures = {file: file.read_bytes() for file in (finished / "report").iterdir()}
    kept = {
        file: file.read_bytes()
        for file in finished.rglob("*")
        if file.is_file() and file.name != "study.db" and file.parent.name != "report"
    }
    shutil.rmtree(finished / "report")
    assert built(finished) == first
    assert {file: file.read_bytes() for file in (finished / "report").iterdir()} == pictures
    assert {file: file.read_bytes() for file in kept} == kept


def test_no_absolute_path_is_told(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report can be shown to others: neither the run folder's place nor the home is in it."""
    folder, _ = opened(finished)
    home = Path.home()
    told = f"failed: cannot read {finished}/trials/1/adapter and {home}/secret/x.bin"
    retell(monkeypatch, 1, reason=told, origin="expert of /srv/models/team: a good one")
    job = json.loads((finished / "job.json").read_text())
    folder.write("job.json", job | {"model": "/srv/models/base-7b"})
    text = built(finished)
    text += "".join(file.read_text() for file in (finished / "report").glob("*.svg"))
    for path in (finished, finished.resolve(), home, "/srv"):
        assert str(path) not in text
    assert "cannot read trials/1/adapter and secret/x.bin" in text
    assert "expert of team: a good one" in text
    assert "base-7b" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such file: /tmp/a/b.txt", "no such file: b.txt"),
        ("'/tmp/a/b.txt', line 3", "'b.txt', line 3"),
        ("file:///tmp/a/b.txt", "b.txt"),
        ("~/a/b.txt", "b.txt"),
        ("in /my runs [1]/data here", "in data here"),
        ("org/model at 3 tokens/s, 1/2, N/A, +/- 4", "org/model at 3 tokens/s, 1/2, N/A, +/- 4"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("a</b>", "a</b>"),
    ],
)
def test_only_paths_are_cut_down_to_their_names(text: str, shown: str) -> None:
    """What looks like a path but is none stays as it was written."""
    assert without_paths({"x": [text]}, ("/my runs [1]",)) == {"x": [shown]}


def test_what_a_run_says_cannot_become_markup(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reasons, origins, names and data lines are text, whatever they hold."""
    attack = "<script>alert('x')</script>&\"<b>"
    folder, store = opened(finished)
    retell(monkeypatch, 1, reason=f"pruned: {attack}", origin=f"origin {attack}")
    store.note("device", f"device {attack}")
    store.note("winner_reason", f"winner {attack}")
    store.note("versions", {f"lib {attack}": f"1.0 {attack}"})
    data = json.loads((finished / "data.json").read_text())
    folder.write("data.json", data | {"lines": [f"line {attack}"]})
    job = json.loads((finished / "job.json").read_text())
    folder.write("job.json", job | {"study": f"study {attack}", "model": f"model {attack}"})
    text = built(finished)
    page = Page(text)
    scripts = [script.get("type") for script in page.all("script")]
    assert scripts == ["application/json", "application/json", "text/plain", None]
    told = [json.loads(words) for words in page.words if words.startswith('{"data":')]
    assert len(told) == 2
    points = [point for plot in told for trace in plot["data"] for point in trace.get("text", [])]
    assert any("pruned: &lt;script&gt;alert" in point.replace("<br>", " ") for point in points)
    assert not any("<script" in point for point in points)
    for what in ("pruned:", "origin", "device", "winner", "line", "study", "model", "1.0", "lib"):
        assert f"{what} {escape(attack)}" in text


def test_an_unfinished_run_has_a_report_that_says_so(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing is named, and what is there is shown."""
    unfinish(finished)
    text = built(finished)
    page = Page(text)
    assert "This run is not finished." in text
    assert "no final run: nothing says yet what the recipe is worth" in text
    assert "no score of the base model" not in text
    assert len(page.all("svg")) == 6
    lines = capsys.readouterr().out.splitlines()
    records = opened(finished)[1].records()
    complete = sum(record.state is TrialState.COMPLETE for record in records)
    assert lines[0].startswith(f"not finished: {complete} trials complete")
    assert lines[1:] == [f"report: {finished / 'report' / 'index.html'}"]
    assert not (finished / "summary.json").exists()


def test_a_finished_run_is_not_called_unfinished(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The notice is for unfinished runs; the command prints the run's closing lines."""
    folder, store = opened(finished)
    assert "This run is not finished." not in built(finished)
    assert capsys.readouterr().out.splitlines() == closing_lines(summarise(folder, store), finished)


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    """A job killed before its first trial: every part of the page says what it lacks."""
    folder = RunFolder(tmp_path / "run")
    folder.open({"study": "demo", "model": "m", "budget_s": 60.0, "seed": 0, "fingerprint": "x"})
    folder.release()
    store = Store(folder, "my name")
    write_report(folder, store, summarise(folder, store))
    text = (folder.path / "report" / "index.html").read_text(encoding="utf-8")
    assert Page(text).all("svg") == []
    for lack in ("no plan", "no early evaluation", "no score of the base", "no final run"):
        assert lack in text
    for lack in ("No trial was proposed yet", "The ledger is empty", "there is no front"):
        assert lack in text
    assert (folder.path / "report" / "pareto.png").read_bytes()[:4] == b"\x89PNG"


def test_worth_is_drawn_by_task_with_held_out_tasks_apart(finished: Path) -> None:
    """Means first; each row has what was scored on all of its tasks, with its standard error."""
    folder, store = opened(finished)
    facts = gather(folder, store, summarise(folder, store))
    rows = rows_of(facts)
    assert [row.name for row in rows] == [SEARCHED, "alpha", "beta", "gamma"]
    assert [row.heldout for row in rows] == [False, False, False, True]
    for part in ("base", "default", "final"):
        told = facts.summary[part]
        assert rows[0].values[part] == pytest.approx((told["accuracy"], told["stderr"]), abs=1e-4)
        assert rows[1].values[part][0] == pytest.approx(told["per_task"]["alpha"], abs=1e-4)
        assert rows[3].values[part][0] == pytest.approx(told["heldout"]["gamma"], abs=1e-4)
    figure = worth_figure(facts)
    assert figure is not None
    assert len(figure.axes[0].containers) == 3
    assert worth_figure(replace(facts, scores={})) is None


def test_a_small_difference_is_called_so(finished: Path) -> None:
    """What the paired test cannot tell from chance may be chance."""
    folder, store = opened(finished)
    facts = gather(folder, store, summarise(folder, store))
    scores = dict(facts.scores)
    outcomes: dict[str, list[float]] = {
        "final": [1.0, 0.0] * 23 + [1.0, 1.0],
        "default": [1.0, 0.0] * 24,
        "base": [0.0] * 48,
    }
    for part, correct in outcomes.items():
        score = TaskScore(correct=correct, losses=[0.0] * 48)
        scores[part] = dict.fromkeys(("alpha", "beta", "gamma"), score)
    said = comparisons(replace(facts, scores=scores))
    against = {name: [line for line in said if name in line] for name in ("default r", "base m")}
    assert "may be chance" in against["default r"][0]
    assert "hardly chance" in against["base m"][0]
    assert any("on held-out tasks is +0.021" in line for line in said)


def scored_as(path: Path, **correct: list[float]) -> None:
    """Let parts have these outcomes on the fresh items of both tasks."""
    folder, _ = opened(path)
    for part, right in correct.items():
        score = TaskScore(correct=right, losses=[0.0] * len(right))
        name = "0" if part == "default" else part
        folder.write_scores(f"{name}-final", {"alpha": score, "beta": score})


def test_page_and_terminal_agree_on_what_may_be_chance(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One test decides for both, where items are few as well; what does not differ is told so."""
    few = {"final": [1.0, 1.0, 1.0, 0.0, 0.0], "base": [0.0] * 5, "default": [0.0] * 5}
    scored_as(finished, **few)
    text = built(finished)
    shown = capsys.readouterr().out
    assert "is +0.600 ± 0.155 against the base model&#x27;s (p 0.031: hardly chance)" in text
    assert "final +0.600 ± 0.155 (p 0.031: hardly chance)" in " ".join(shown.split())
    scored_as(finished, **few | {"final": [1.0, 1.0, 0.0, 0.0, 0.0], "default": few["final"]})
    text = built(finished)
    shown = capsys.readouterr().out
    assert "is +0.400 ± 0.155 against the base model&#x27;s (p 0.125: may be chance)" in text
    assert "final +0.400 ± 0.155 (p 0.125: may be chance)" in " ".join(shown.split())
    scored_as(finished, default=[1.0, 1.0, 0.0, 0.0, 0.0])
    text = built(finished)
    shown = capsys.readouterr().out
    assert "accuracy is the same as the default recipe&#x27;s, on every item" in text
    assert "final answers the same items right" in " ".join(shown.split())


def test_gains_that_cancel_between_tasks_are_differences() -> None:
    """A mean of 0 without spread is not the same outcome on every item."""
    up = TaskScore(correct=[1.0] * 3, losses=[0.0] * 3)
    down = TaskScore(correct=[0.0] * 3, losses=[0.0] * 3)
    gain = gain_of({"s": up, "t": down}, {"s": down, "t": up}, ["s", "t"])
    assert gain is not None
    assert (gain.mean, gain.stderr, gain.p, gain.differs) == (0.0, 0.0, 1.0, True)
    same = gain_of({"s": up}, {"s": up}, ["s"])
    assert same is not None
    assert not same.differs


def test_bars_are_not_said_to_decide(finished: Path) -> None:
    """Error bars are of single scores; the reader is sent to the paired comparisons, if any."""
    text = built(finished)
    assert "Whether bars overlap does not tell whether two scores differ" in text
    assert "only the comparisons below do" in text
    unfinish(finished)
    text = built(finished)
    assert "Whether bars overlap does not tell" in text
    assert "comparisons below" not in text


def test_the_default_that_was_not_scored_is_still_described(finished: Path) -> None:
    """Its recipe is known from its trial."""
    folder, store = opened(finished)
    summary = summarise(folder, store) | {"default": None}
    said = recipe(gather(folder, store, summary))
    assert (
        f'<th scope="row">rank</th><td class="number">{summary["final"]["recipe"]["rank"]}' in said
    )
    assert '<td class="number">16</td></tr>' in said


def test_an_error_bar_is_not_cut_off(finished: Path) -> None:
    """A wide interval must look wide."""
    folder, store = opened(finished)
    summary = summarise(folder, store)
    summary["final"] |= {"accuracy": 0.3, "stderr": 0.3}
    summary |= {"forecast_final": None, "default": None, "base": None}
    facts = replace(gather(folder, store, summary), records=())
    assert pareto_figure(facts).axes[0].get_ylim()[1] >= 0.6


@pytest.mark.parametrize(
    ("device", "unit"),
    [("NVIDIA H100", "GPU-hours"), ("CPU, 2 cores", "device-hours"), (None, "GPU-hours")],
)
def test_a_cpus_hours_are_not_called_gpu_hours(
    device: str | None, unit: str, finished: Path
) -> None:
    """The axis and the tables name the unit that was measured."""
    folder, store = opened(finished)
    facts = gather(folder, store, summarise(folder, store) | {"device": device})
    assert pareto_figure(facts).axes[0].get_xlabel().startswith(unit)
    store.note("device", device)
    text = built(finished)
    assert unit in text
    assert ({"GPU-hours", "device-hours"} - {unit}).pop() not in text


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "there is no such folder"),
        (lambda path: path.mkdir(), "it has no job.json"),
        (lambda path: (path.mkdir(), (path / "job.json").write_text("{}")), "no study.db"),
        (
            lambda path: (
                path.mkdir(),
                (path / "job.json").write_text("{}"),
                (path / "study.db").write_text(""),
            ),
            "no SQLite database",
        ),
    ],
)
def test_what_is_no_run_folder_is_refused_and_left_alone(
    make: Any, says: str, tmp_path: Path
) -> None:
    """One line on stderr, exit code 2, and nothing is created."""
    path = tmp_path / "run"
    make(path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    done = subprocess.run(
        [sys.executable, "-m", "search.report", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert path.exists() == (says != "there is no such folder")


def test_a_damaged_study_is_refused_in_one_line(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken database is the folder's fault, not a traceback."""
    study = finished / "study.db"
    study.write_bytes(study.read_bytes()[:100] + b"\xff" * 4000)
    assert main([str(finished)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_run_that_is_under_way_can_be_looked_at(finished: Path) -> None:
    """The report does not ask for the folder's lock."""
    job = json.loads((finished / "job.json").read_text())
    job.pop("format")
    folder = RunFolder(finished)
    folder.open(job)
    try:
        assert main([str(finished)]) == 0
    finally:
        folder.release()


@pytest.mark.parametrize(
    ("rho", "n", "says"),
    [
        (None, 2, "not known: 2 of at least 3"),
        (None, 5, "same loss; with only 5 trials"),
        (-0.4, 12, "did not foretell the order at the top at all"),
        (0.0, 12, "did not foretell"),
        (0.3, 12, "little of the order"),
        (0.7, 12, "part of the order"),
        (0.9, 12, "most of the order"),
        (0.9, 9, "with only 9 trials this is uncertain"),
    ],
)
def test_a_rank_correlation_is_put_in_words(rho: float | None, n: int, says: str) -> None:
    """A reader learns what to make of the figure, and when it is worth little."""
    assert says in verdict(rho, n)
    assert ("uncertain" in verdict(rho, n)) == (3 <= n < 10)


def test_the_forecast_is_held_against_the_outcome() -> None:
    """A forecast that failed is called so."""
    foreseen = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "gpu_hours": 1.0}
    assert "inside that range" in forecast(foreseen, {"accuracy": 0.6})
    assert "outside that range" in forecast(foreseen, {"accuracy": 0.61})
    assert "reached" not in forecast(foreseen, None)
    assert "not forecast" in forecast(None, None)


def test_a_gain_is_paired_item_by_item() -> None:
    """Noise that items share cancels; without common items there is no figure."""
    a = {"t": TaskScore(correct=[True, True, False, False], losses=[0.0] * 4)}
    b = {"t": TaskScore(correct=[True, False, False, False], losses=[0.0] * 4)}
    assert paired_gain(a, b, ["t"]) == pytest.approx((0.25, (0.1875 / 4) ** 0.5))
    assert paired_gain(a, a, ["t"]) == (0.0, 0.0)
    assert paired_gain(a, b, ["u"]) is None
    assert paired_gain(a, b, []) is None
    short = {"t": TaskScore(correct=[True], losses=[0.0])}
    assert paired_gain(a, short, ["t"]) is None


def test_pieces_of_one_span_are_joined() -> None:
    """The ledger's pieces are one block of the timeline; other work in between parts them."""
    spans = [
        Span(0.0, 15.0, "load", None, ""),
        Span(15.0, 2.0, "load", None, ""),
        Span(17.0, 5.0, "search_train", 1, "rung 0"),
        Span(22.0, 5.0, "search_train", 2, "rung 0"),
    ]
    assert joined(spans) == (Span(0.0, 17.0, "load", None, ""), *spans[2:])


def test_closing_lines_do_without_what_was_not_scored(finished: Path) -> None:
    """A default that never reached the top, no held-out task: the rest is still said."""
    summary = json.loads((finished / "summary.json").read_text())
    whole = closing_lines(summary, Path("run"))
    assert any(line.startswith("default recipe") for line in whole)
    assert any(line.startswith("held out, gamma") for line in whole)
    final = summary["final"] | {"heldout": {}}
    bare = closing_lines(summary | {"default": None, "final": final}, Path("run"))
    assert not any(line.startswith(("default", "held out")) for line in bare)
    nothing = closing_lines(summary | {"default": None, "final": None, "base": None}, Path("run"))
    assert nothing[0] == "the final run was not scored"
    assert nothing[-2] == "report: run/report/index.html"


def test_finalists_stand_side_by_side_with_their_held_out_scores(finished: Path) -> None:
    """Search, fresh and held-out score of every trial that could be chosen, the default named."""
    text = built(finished)
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["finalists"]
    for row in summary["finalists"]:
        name = f"{row['trial']}{' (default)' if row['trial'] == 0 else ''}"
        cells = "".join(
            f'<td class="number">{row[part]["accuracy"]:.3f} ± {row[part]["stderr"]:.3f}</td>'
            for part in ("search", "fresh", "heldout")
        )
        assert f'<th scope="row">{name}</th>{cells}' in text
    assert "gamma" in text


def disagree(path: Path, patch: pytest.MonkeyPatch, *, sign: int) -> None:
    """Let held-out accuracy rise (1) or fall (-1) with the search accuracy of the finalists."""
    folder, store = opened(path)
    numbers = store.noted("finalists")
    for place, number in enumerate(numbers):
        right = 50 + sign * 10 * place
        score = TaskScore(correct=[1.0] * right + [0.0] * (100 - right), losses=[1.0] * 100)
        folder.write_scores(f"{number}-heldout", {"gamma": score})
    records = Store.records

    def changed(self: Store) -> list[Record]:
        found = records(self)
        for place, number in enumerate(numbers):
            *rungs, top = found[number].rungs
            top = replace(top, accuracy=0.1 + place / 10)
            found[number] = replace(found[number], rungs=(*rungs, top))
        return found

    patch.setattr(Store, "records", changed)


def test_held_out_scores_that_disagree_with_the_search_are_warned_of(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the report and in the terminal; where they agree, there is no warning."""
    disagree(finished, monkeypatch, sign=-1)
    assert "Warning: the trials that scored higher on the search tasks" in built(finished)
    assert "warning: the trials" in capsys.readouterr().out
    disagree(finished, monkeypatch, sign=1)
    text = built(finished)
    assert "Warning: the trials" not in text
    assert "agree: Spearman +1.00 by accuracy" in text
    assert "warning" not in capsys.readouterr().out


def test_a_report_without_held_out_tasks_says_so(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence would read as if all was well."""
    (finished / "data" / "items" / "heldout.jsonl").write_text("")
    for file in (finished / "scores").glob("*-heldout.json"):
        file.unlink()
    assert "No held-out task: nothing shows" in built(finished)
    assert "no held-out task: nothing shows" in capsys.readouterr().out


def test_evaluation_seconds_stand_beside_training_seconds(finished: Path) -> None:
    """Per trial, and in sum; what scoring a finalist again took is in its row."""
    text = built(finished)
    summary = json.loads((finished / "summary.json").read_text())
    spans = read_ledger(finished / "ledger.jsonl")
    finalists = {row["trial"] for row in summary["finalists"]}
    _, store = opened(finished)
    for record in store.records():
        again = sum(s.seconds for s in spans if s.note.startswith(f"{record.number} on "))
        assert (again > 0) == (record.number in finalists)
        cells = {"training s": f"{record.train_s:,.1f}"}
        cells["early evaluation s"] = f"{record.rungs[-1].eval_s:,.1f}"
        cells["scored again s"] = f"{again:,.1f}" if again else "–"
        found = [
            f'<td class="number" data-label="{name}">{cell}</td>' for name, cell in cells.items()
        ]
        assert "".join(found) in text
    share = summary["spent_s"]["search_eval"]
    share /= share + summary["spent_s"]["search_train"]
    assert f"Evaluation took {share:.0%} of the search" in text
    assert any(f"took {share:.0%}" in line for line in closing_lines(summary, finished))


def overlap(row: int, text: str = "what is the sum of") -> dict[str, Any]:
    """A training row that shares something with an item."""
    return {"source": "s", "row": row, "task": "t", "item": 3, "kind": "13 words", "text": text}


def test_overlaps_with_evaluation_items_are_listed_up_to_fifty(finished: Path) -> None:
    """Counts by source, rows folded away, the rest in a file; what they hold is text."""
    folder, _ = opened(finished)
    data = json.loads((finished / "data.json").read_text())
    rows = [overlap(0, "<b>5 < 6</b>"), *(overlap(n) for n in range(1, 70))]
    found = {"counts": {"s": 69, "quiet": 0, "other": 1}, "rows": rows}
    folder.write("data.json", data | {"contamination": found})
    text = built(finished)
    page = Page(text)
    assert len(page.all("details")) == 1
    assert "70 overlapping rows were dropped before training" in text
    assert '<th scope="row">quiet</th><td class="number">0</td>' in text
    assert "&lt;b&gt;5 &lt; 6&lt;/b&gt;" in text
    assert '<th scope="row">s 49</th>' in text
    assert '<th scope="row">s 50</th>' not in text
    assert "And 20 more in data/contamination.jsonl" in text


def test_what_became_of_each_source_is_shown(finished: Path) -> None:
    """Rows read, dropped and kept, licence, shares asked and trained; examples folded away."""
    folder, store = opened(finished)
    data = json.loads((finished / "data.json").read_text())
    source = {
        "rows": 1200,
        "dropped": {"empty": 3, "near": 40},
        "kept": 1157,
        "form": "x",
        "licence": None,
        "made_by": "human",
        "revision": None,
    }
    names = list(json.loads((finished / "summary.json").read_text())["final"]["mixture"])
    row = {"source": names[0], "row": 7, "reason": "near", "text": "5 < 6"}
    examples = [row | {"earlier": ["other", 3]}, row | {"row": 8, "earlier": None}]
    folder.write(
        "data.json", data | {"sources": {names[0]: source, "unused": source}, "dropped": examples}
    )
    store.note("over_long", {names[0]: 57})
    text = built(finished)
    assert f'<th scope="row">{names[0]}</th><td class="number">1,200</td>' in text
    assert "3 empty, 40 near, 57 over the longest row" in text
    assert '<td class="number">1,100</td>' in text
    assert "not known" in text
    assert "<td>other 3</td>" in text
    assert "5 &lt; 6" in text
    assert "<summary>2 dropped rows</summary>" in text


def test_no_overlap_is_told_as_such_and_an_old_run_as_not_compared(finished: Path) -> None:
    """Nothing found is not the same as nothing looked for."""
    folder, _ = opened(finished)
    data = json.loads((finished / "data.json").read_text())
    folder.write("data.json", data | {"contamination": {"counts": {"s": 0}, "rows": []}})
    text = built(finished)
    assert "No overlap was found" in text
    assert "shares 13 words in a row" in text
    assert "<details>" not in text
    data.pop("contamination", None)
    folder.write("data.json", data)
    assert "was looked for" in built(finished)


def test_metrics_that_differ_are_named_task_by_task(finished: Path) -> None:
    """Accuracy is exact match only where it is."""
    folder, _ = opened(finished)
    data = json.loads((finished / "data.json").read_text())
    data.pop("metrics", None)
    folder.write("data.json", data)
    assert "fresh items: exact match, mean" in built(finished)
    folder.write("data.json", data | {"metrics": {"alpha": "acc", "beta": "f1"}})
    text = built(finished)
    assert "fresh items: each task&#x27;s own metric, mean over 2 tasks" in text
    assert "task, acc</span>" in text
    assert "held-out task, exact match</span>" in text
    folder.write("data.json", data | {"metrics": {"alpha": "acc", "beta": "acc"}})
    assert "Accuracy (acc) on the same" in built(finished)


def test_the_smoke_evaluation_is_told(finished: Path) -> None:
    """What the untrained model's answers looked like."""
    assert "smoke evaluation: alpha" in built(finished)
    assert "20 of 20 answers well-formed" in built(finished)


@pytest.mark.parametrize(
    ("value", "shown"), [(512, "512"), (262144, "262k"), (9437184, "9.44M"), (2e9, "2G")]
)
def test_counts_on_an_axis_are_short(value: float, shown: str) -> None:
    """Three digits are enough for a tick."""
    assert short_count(value) == shown
