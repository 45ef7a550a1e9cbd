"""What docs/ tells is run: every block of every tutorial, in order, in an empty folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from objectives.forms import FORMS
from tests.jobs import LONGER
from tests.pages import DOCS, RUN, Block, blocks, check, environment, shape, shell, tour
from tests.search.test_export import made

pytestmark = pytest.mark.alone

ROOT = DOCS.parent
SHARED = ROOT.parent / "shared" / "data"
FIRST, OWN_DATA, DAY = (DOCS / f"{n}.md" for n in ("first_recipe", "own_data", "a_day_on_a_4090"))
READING, LESSONS = DOCS / "reading_the_report.md", DOCS / "lessons_2023.md"
TUTORIALS = (FIRST, OWN_DATA, DAY, READING, LESSONS)
EMBEDDED = "HuggingFaceTB/SmolLM2-135M-Instruct"
REFUSAL = "the least that would do is"
"""Of a job whose budget is too small for the machine, as it is then."""


def test_the_first_recipe(run_dir: Path, tiny_model: Path, tmp_path: Path) -> None:
    """All but its job, which tests/test_end_to_end.py runs on the real model."""
    run = "python -m search.run --budget 20m --out first"
    tour(
        FIRST,
        tmp_path,
        instead={run: f"cp -r {run_dir} first"},
        replaced={
            EMBEDDED: str(tiny_model),
            "first/recipe\n": f"first/recipe --model {tiny_model}\n",
        },
    )


def test_own_data_and_an_own_task(tiny_model: Path, tmp_path: Path) -> None:
    """Rows and task as the page makes them; a small model and a short budget.

    Where the machine is too slow for that, a longer one.
    """
    for budget in ("60s", *LONGER):
        folder = tmp_path / budget
        folder.mkdir()
        short = {"--budget 20m --data": f"--budget {budget} --model {tiny_model} --data"}
        try:
            tour(OWN_DATA, folder, replaced=short)
            break
        except AssertionError as error:
            if REFUSAL not in str(error) or budget == LONGER[-1]:
                raise
    summary = json.loads((folder / "mine" / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["final"]["per_task"]) == {"units", "shop", "longer"}
    assert summary["overshoot_s"] == 0


@pytest.fixture(scope="module")
def day(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page about a day was followed, as if the machine had a GPU."""
    folder = tmp_path_factory.mktemp("day")
    shutil.copytree(tiny_model, folder / "models" / "mistralai" / "Mistral-7B-v0.1")
    tools = folder / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text("#!/bin/sh\n")  # by this a GPU is told to be there
    (tools / "nvidia-smi").chmod(0o755)
    finished_day(folder / "rtx")
    tour(DAY, folder, PATH=f"{tools}:{environment()['PATH']}")
    return folder


def finished_day(folder: Path) -> None:
    """What stands in for the folder of a day on the real card: a run whose tasks are lm-eval's."""
    made(folder)
    file = folder / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8"))
    summary["final"] |= {"per_task": {"mmlu": 0.5, "gsm8k": 0.25}, "heldout": {}}
    file.write_text(json.dumps(summary), encoding="utf-8")


def test_a_simulated_day_ends_in_time_with_a_recipe(day: Path) -> None:
    """What the page shows is a whole job's folder."""
    summary = json.loads((day / "day" / "summary.json").read_text(encoding="utf-8"))
    assert summary["overshoot_s"] == 0
    assert summary["final"]["accuracy"] > summary["default"]["accuracy"]
    assert (day / "day" / "recipe" / "recipe.json").is_file()


@pytest.mark.parametrize("kind", ["small", "simulated"])
def test_each_check_on_a_report_runs(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """On a short real job, where much is missing, and on a simulated day, where nothing is."""
    folder = request.getfixturevalue("run_dir" if kind == "small" else "day")
    shutil.copytree(folder if kind == "small" else folder / "day", tmp_path / "first")
    shown = tour(READING, tmp_path)
    (error,) = (s.output for s in shown if s.output.startswith("±"))
    ours, theirs = re.findall(r"\d\.\d+", error)[:2]
    assert float(ours) == pytest.approx(float(theirs), abs=1.5e-4)  # one was rounded twice


def test_the_lessons_of_2023(tmp_path: Path) -> None:
    """On the finalists' figures that the package ships; the page tells the spreads found there."""
    shown = " ".join(s.output for s in tour(LESSONS, tmp_path))
    text = LESSONS.read_text(encoding="utf-8")
    for times, words in (("20", "Rates differ 20 times"), ("32", "Ranks differ 32 times")):
        assert f": {times} times" in shown
        assert words in text


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_is_not_run_says_why(page: Path) -> None:
    """A block runs, is a file, or is marked with a reason; few are marked, none is overlooked."""
    found = blocks(page)
    assert len(re.findall(r"^\s*```\w", page.read_text("utf-8"), re.MULTILINE)) == len(found)
    for block in found:
        kind, _, reason = block.mark.partition(":")
        assert not block.mark or (kind in {"not run", "not checked", "file"} and reason.strip())
    asked = [block for block in found if block.language in RUN]
    assert 3 * sum(block.says("not run") is not None for block in asked) <= len(asked)


def test_shapes_differ_where_words_do() -> None:
    """Numbers and durations are left out of what is compared, words are not."""
    assert shape("load   1m04s    5%") == shape("load 43s 15%") == "load #t #%"
    assert shape("accuracy 0.625 ± 0.031") == shape("accuracy 1 ± .5") != shape("loss 1 ± .5")
    with pytest.raises(AssertionError, match="nobody prints"):
        check(Block(page=DOCS, line=1, language="text", code="a 1\n", mark=""), "b 1\n")


def test_the_index_names_every_page() -> None:
    """And the pages' links lead to files that are there."""
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert not [
        page.name
        for page in DOCS.glob("*.md")
        if f"({page.name})" not in index and page.name != "README.md"
    ]


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted(DOCS.glob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    """Files are there, and so are the headings within pages."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}


def test_all_forms_are_in_the_page_about_own_data() -> None:
    """With their fields."""
    text = OWN_DATA.read_text(encoding="utf-8")
    for form in FORMS:
        assert form.name in text
        assert all(f"`{field}`" in text for field in form.fields)


def test_the_page_s_prior_is_one() -> None:
    """The lines about priors make a study that has one."""
    (lines,) = (block.code for block in blocks(OWN_DATA) if "import Prior" in block.code)
    names: dict[str, Any] = {}
    exec(lines, names)  # our own page
    assert names["study"]().space.priors["learning_rate"].best == 1e-3


def five_sources() -> Sequence[Block]:
    """The blocks of the page's larger job: rows, study, command."""
    found = blocks(OWN_DATA)
    place = next(n for n, block in enumerate(found) if '"bbq.jsonl"' in block.code)
    return found[place : place + 3]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs GSM8K and BBQ in {SHARED}")
def test_five_real_and_generated_sources_run_end_to_end(tmp_path: Path) -> None:
    """The page's own lines, on the real model, in a budget shorter than the page's."""
    (tmp_path / "data" / "bbq").mkdir(parents=True)
    (tmp_path / "data" / "gsm8k.jsonl").symlink_to(SHARED / "gsm8k" / "train.jsonl")
    for name in ("Age", "Religion"):
        (tmp_path / "data" / "bbq" / f"{name}.jsonl").symlink_to(SHARED / "bbq" / f"{name}.jsonl")
    convert, study, command = five_sources()
    (tmp_path / str(study.says("file"))).write_text(study.code, encoding="utf-8")
    (tmp_path / "convert.py").write_text(convert.code, encoding="utf-8")
    shell("python convert.py", tmp_path)
    assert "--budget 15m" in command.code
    shell(command.code.replace("15m", "6m"), tmp_path)
    data = json.loads((tmp_path / "five" / "data.json").read_text(encoding="utf-8"))
    assert set(data["sources"]) == {"gsm8k", "bbq", "sums", "words", "family"}
    assert data["sources"]["bbq"]["licence"] == "CC-BY-4.0"
    facts = json.loads((tmp_path / "five" / "recipe" / "recipe.json").read_text("utf-8"))
    asked, got = facts["recipe"]["mixture"], facts["training"]["shares"]
    assert set(got) == set(asked) == set(data["sources"])
    seen = {name for name, share in got.items() if share > 0}  # a small share may owe no row yet
    assert {name for name, share in asked.items() if share > 0.05} <= seen
    trained = (tmp_path / "five" / "recipe" / "data" / "train.jsonl").read_text("utf-8")
    assert {json.loads(line)["source"] for line in trained.splitlines()} == seen
