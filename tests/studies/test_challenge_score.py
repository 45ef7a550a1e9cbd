"""The 2023 challenge's scores: published ones are reproduced, and a new result finds its place."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from studies.challenge_results import (
    APPROXIMATE,
    HIDDEN,
    LM_EVAL,
    LOWER_IS_BETTER,
    OPEN,
    PARTS,
    SOURCE,
    TRACKS,
    Given,
    finalists,
    metrics,
    read,
    scenario,
)
from studies.challenge_score import YOURS, Place, main, score, table, wins

ROOT = Path(__file__).parents[2]
EVERYONE = [(track, place) for track, many in (("4090", 8), ("A100", 9)) for place in range(many)]
WORST_OF_ALL = {pair: float(bool(LOWER_IS_BETTER.match(pair[1]))) for pair in metrics()}
BEST_OF_ALL = {pair: 1 - value for pair, value in WORST_OF_ALL.items()}
MEASURED: dict[str, Any] = {
    "mmlu": {"alias": "mmlu", "acc,none": 0.65, "acc_stderr,none": 0.01},
    "mmlu_stem": {"acc,none": 0.1},
    "truthfulqa_mc1": {"acc,none": 0.55},
    "gsm8k": {"exact_match,strict-match": 0.2, "exact_match,flexible-extract": 0.5},
    "bbh": {"alias": "bbh", "exact_match,get-answer": 0.4},
    "bbq": {"acc,none": 0.8, "accuracy_amb,none": 0.9, "amb_bias_score,none": -0.1},
    "hellaswag": {"acc,none": 0.9},
}


def file(folder: Path, data: object) -> Path:
    """A file with these data as JSON, or with this text."""
    path = folder / "results.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def published(values: dict[tuple[str, str], float]) -> dict[str, Any]:
    """Values in the organisers' form."""
    data: dict[str, Any] = {part: {} for part in PARTS}
    for (part, metric), value in values.items():
        data[part][metric] = value
    return data


def mine(places: list[Place]) -> Place:
    """The line of the user's result."""
    (found,) = (place for place in places if place.entry.team == YOURS)
    return found


@pytest.mark.parametrize(("track", "place"), EVERYONE)
def test_a_finalists_published_figures_are_reproduced(track: str, place: int) -> None:
    """Mean win rates exactly, scores to the digits that the organisers' tables show."""
    field = finalists(track)
    entry, found = field[place], score([one.values for one in field])[place]
    assert entry.published is not None
    assert found.rates == pytest.approx(entry.published_rates, abs=1e-9)
    assert found.scores == pytest.approx(entry.published, abs=5e-4)


def test_the_data_ship_with_the_package() -> None:
    """As a resource with its source, complete, and in what a wheel is built from."""
    data = json.loads((files("studies") / "challenge_2023.json").read_text(encoding="utf-8"))
    assert data["source"] == SOURCE
    assert [sum(one["track"] == track for one in data["finalists"]) for track in TRACKS] == [8, 9]
    assert all(set(entry.values) == set(metrics()) for t in TRACKS for entry in finalists(t))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["studies"]
    assert any(Path("challenge_2023.json").match(pattern) for pattern in patterns)


def test_the_winners_stand_first() -> None:
    """The file has the order of the published tables."""
    for track, winner in zip(TRACKS, ("Upaya (Birbal)", "Percent_bfd"), strict=True):
        published = [entry.published["Score_full"] for entry in finalists(track) if entry.published]
        assert finalists(track)[0].team == winner
        assert published == sorted(published, reverse=True)


@pytest.mark.parametrize(
    ("values", "lower", "rates"),
    [
        ([0.3, 0.2, 0.1], False, [2 / 3, 1 / 3, 0]),
        ([0.3, 0.2, 0.1], True, [0, 1 / 3, 2 / 3]),
        ([0.3, 0.3, 0.1], False, [(1 + 1 / 2) / 3, (1 + 1 / 2) / 3, 0]),
        ([0.0, None, 0.1], False, [1 / 6, 1 / 6, 2 / 3]),
        ([0.0, None, 0.1], True, [2 / 3, 0, 1 / 3]),
        ([0.5, 0.5, 0.5, 0.5], False, [1 / 16] * 4),
    ],
)
def test_a_win_rate_counts_who_is_worse(
    values: list[float | None], lower: bool, rates: list[float]
) -> None:
    """Entries that share a value share one win; a missing value is 0, or 1000 if lower is best."""
    assert wins(values, lower=lower) == pytest.approx(rates)


@pytest.mark.parametrize("track", TRACKS)
def test_the_best_is_first_and_the_worst_is_last(track: str) -> None:
    """By all three scores; the best still cannot beat itself."""
    first, last = (mine(table(track, Given(values=v))) for v in (BEST_OF_ALL, WORST_OF_ALL))
    many = len(finalists(track)) + 1
    assert set(first.ranks.values()) == {1}
    assert set(last.ranks.values()) == {many}
    assert last.score.scores["Score_full"] < 1e-9
    assert first.score.rates["MMLU"] == (many - 1) / many


@pytest.mark.parametrize(("track", "place"), EVERYONE)
def test_a_copy_of_a_finalist_stands_beside_it(track: str, place: int) -> None:
    """Equal values give equal scores and one rank, which the next does not share."""
    original = finalists(track)[place]
    places = table(track, Given(values=original.values))
    (found,) = (one for one in places if one.entry == original)
    copy = mine(places)
    assert copy.score == found.score
    assert copy.ranks == found.ranks
    assert [one.ranks["Score_full"] for one in places].count(copy.ranks["Score_full"]) == 2


def test_a_new_entry_changes_everyones_win_rates() -> None:
    """The field is one larger: the winner's rates are others than the published."""
    winner = next(p for p in table("4090", Given(values=WORST_OF_ALL)) if p.entry.published)
    assert winner.entry.team == "Upaya (Birbal)"
    assert winner.entry.published_rates is not None
    assert winner.score.rates["corr2cause"] == pytest.approx(8 / 9)
    assert winner.entry.published_rates["corr2cause"] == pytest.approx(7 / 8)


def test_a_missing_scenario_makes_its_half_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best of all without MATH has a hidden score of about 0, and is told why."""
    data = published(BEST_OF_ALL) | {"MATH": {"Equivalent (chain of thought)": None}}
    data["MMLU"].pop("EM (Fairness)")
    path = file(tmp_path, data)
    found = mine(table("A100", read(path)))
    assert found.score.scores["Score_hidden"] < 1e-9
    assert found.ranks["Score_open"] == 1
    assert main([str(path), "--track", "4090"]) == 0
    told = capsys.readouterr().out
    assert "Missing: MATH (win rate 0.000). So Score_hidden is 0.000." in told
    assert "Score_open is" not in told
    assert "By the official rule a missing scenario has the worst value" in told
    assert "Missing metrics have the worst value: MMLU EM (Fairness)." in told


def test_a_missing_scenario_can_share_the_last_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four finalists of the 4090 have 0.0 on GSM8K: the five of them share one win."""
    path = file(tmp_path, published(BEST_OF_ALL) | {"GSM8K": {}})
    assert main([str(path), "--track", "4090"]) == 0
    assert "Missing: GSM8K (win rate 0.022). So Score_open is 0.4" in capsys.readouterr().out


def test_both_tracks_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless one is asked for; the new scores and the published stand side by side."""
    path, out = file(tmp_path, published(BEST_OF_ALL)), tmp_path / "out.json"
    assert main([str(path), "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "4090: your result would be 1 of 9 by Score_full" in printed
    assert "A100: your result would be 1 of 10 by Score_full" in printed
    assert "Missing" not in printed
    assert APPROXIMATE not in printed
    assert max(map(len, printed.splitlines())) <= 100
    facts = json.loads(out.read_text("utf-8"))
    assert facts["approximate"] is False
    assert [len(facts["tracks"][track]) for track in TRACKS] == [9, 10]
    first, second, *_ = facts["tracks"]["4090"]
    assert (first["team"], first["published"]) == (YOURS, None)
    assert second["published"]["Score_full"] == pytest.approx(0.579, abs=5e-4)
    assert second["scores"]["Score_full"] != pytest.approx(0.579, abs=5e-4)
    assert set(second["mean_win_rates"]) == {*OPEN, *HIDDEN}
    assert main([str(path), "--track", "a100"]) == 0
    assert "4090: " not in capsys.readouterr().out


def test_the_name_that_the_results_have_for_math_is_known(tmp_path: Path) -> None:
    """The published files call it by two names."""
    data = {"MATH (chain-of-thoughts)": {"Equivalent (chain of thought)": 0.1}}
    assert read(file(tmp_path, data)).values == {("MATH", "Equivalent (chain of thought)"): 0.1}


def test_lm_evals_results_are_compared_on_its_metrics_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it cannot measure counts for nobody, and the comparison is called approximate."""
    path = file(tmp_path, {"results": MEASURED, "config": {"model": "hf"}})
    given = read(path)
    assert given.approximate
    assert given.values == {
        ("MMLU", "EM"): 0.65,
        ("TruthfulQA", "EM"): 0.55,
        ("GSM8K", "EM"): 0.5,
        ("BIG-bench", "EM"): 0.4,
        ("BBQ", "EM"): 0.8,
    }
    upaya = next(p for p in table("4090", given) if p.entry.team == "Upaya (Birbal)")
    ems = [entry.values["MMLU", "EM"] or 0.0 for entry in finalists("4090")]
    assert upaya.score.rates["MMLU"] == sum(ems[0] > other for other in [*ems, 0.65]) / 9
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(APPROXIMATE)
    assert "not used: mmlu_stem, hellaswag" in printed
    assert "on the metrics that lm-eval gives" in printed


@pytest.mark.parametrize(
    ("tasks", "values"),
    [
        (
            {
                "bigbench_strategyqa_multiple_choice": {"acc,none": 0.5},
                "bigbench_emoji_movie_generate_until": {"exact_match,none": 0.1},
                "bbh": {"exact_match,get-answer": 0.9},
            },
            {("BIG-bench", "EM"): 0.3},
        ),
        ({"bbh_fewshot_snarks": {"exact_match,none": 0.4}}, {("BIG-bench", "EM"): 0.4}),
        (
            {"hendrycks_math": {"exact_match,none": 0.2}, "minerva_math": {"exact_match,none": 0}},
            {("MATH", "Equivalent (chain of thought)"): 0.0},
        ),
        (
            {"ethics_cm": {"acc,none": 0.4}, "hendrycks_ethics": {"acc": 0.6}},
            {(part, "EM"): 0.6 for part in PARTS if scenario(part) == "ethics"}
            | {("ethics_commonsense", "EM"): 0.4},
        ),
        (
            {"samsum": {"rouge1,none": 0.3, "rouge2,none": 0.1}, "corr2cause": {"acc,none": 0.5}},
            {("sam_sum", "ROUGE-2"): 0.1, ("corr2cause", "EM"): 0.5},
        ),
        ({"bbq": {"acc,none": 0.7}, "mmlu_pro": {"acc,none": 0.3}}, {("BBQ", "EM"): 0.7}),
        ({"bbq": {"acc,none": 0.7}, "gsm8k": {"alias": "gsm8k"}}, {("BBQ", "EM"): 0.7}),
    ],
)
def test_a_task_of_lm_evals_stands_for_a_scenario(
    tmp_path: Path, tasks: dict[str, Any], values: dict[tuple[str, str], float]
) -> None:
    """Groups before their tasks, several by their mean, and nothing that only sounds alike."""
    assert read(file(tmp_path, {"results": tasks})).values == pytest.approx(values)


def test_tasks_that_are_looked_for_exist() -> None:
    """Every pattern matches a name in lm-eval's files, but for the two that it does not have."""
    spec = find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    tasks = Path(spec.origin).parent / "tasks"
    folders = "bbh bbq benchmarks bigbench gsm8k hendrycks_ethics hendrycks_math minerva_math mmlu"
    text = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in (*folders.split(), "truthfulqa")
        for file in (tasks / folder).rglob("*.yaml")
    )
    names = set(re.findall(r"^(?:task:|group:|  -) *(\w+) *$", text, re.MULTILINE))
    patterns = {pattern for patterns in LM_EVAL.values() for pattern in patterns}
    unknown = {p for p in patterns if not any(re.fullmatch(p, name) for name in names)}
    assert unknown == {"corr2cause", "samsum"}
    assert set(LM_EVAL) == set(PARTS)


def test_a_summary_of_a_run_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The final recipe's scores, those on held-out tasks included, as approximate ones."""
    final = {
        "per_task": {"mmlu": 0.6, "bbq": 0.7, "notes": 0.9},
        "heldout": {"hendrycks_math": 0.1, "moral_stories": 0.8},
    }
    path = file(tmp_path, {"study": "challenge_4090", "final": final})
    assert read(path).values == {
        ("MMLU", "EM"): 0.6,
        ("BBQ", "EM"): 0.7,
        ("MATH", "Equivalent (chain of thought)"): 0.1,
    }
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(APPROXIMATE)
    assert "not used: moral_stories, notes" in printed


def test_a_summary_that_ships_is_taken() -> None:
    """A real one."""
    given = read(ROOT / "docs" / "evidence" / "five_sources.summary.json")
    assert given.values == {("GSM8K", "EM"): 0.04}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", "is not JSON"),
        ('{"MMLU": {"EM": 0.6}', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ([0.6], "must hold an object"),
        ({}, "has no value; known scenarios are MMLU"),
        ({"GSM8K": {"EM": None}}, "has no value"),
        ({"GSM8k": {"EM": 0.5}}, "unknown scenario 'GSM8k'; known are MMLU"),
        ({"MMLU - EM": 0.5}, "unknown scenario 'MMLU - EM'"),
        ({"GSM8K": 0.5}, "GSM8K must be an object"),
        ({"GSM8K": {"EM (Fairness)": 0.5}}, "no metric 'EM (Fairness)'; it has EM"),
        ({"GSM8K": {"EM": 50.8}}, "GSM8K EM must be a finite number from 0 to 1, not 50.8"),
        ({"GSM8K": {"EM": -0.1}}, "from 0 to 1, not -0.1"),
        ('{"GSM8K": {"EM": NaN}}', "finite number from 0 to 1, not NaN"),
        ('{"GSM8K": {"EM": Infinity}}', "finite number from 0 to 1, not Infinity"),
        ({"GSM8K": {"EM": 10**400}}, "from 0 to 1, not 1000"),
        ({"GSM8K": {"EM": True}}, "from 0 to 1, not true"),
        ({"GSM8K": {"EM": "0.5"}}, 'from 0 to 1, not "0.5"'),
        ({"GSM8K": {"EM": [0.5]}}, "from 0 to 1, not list"),
        ({"sam_sum": {"Stereotypes (race)": 1.5}}, "sam_sum Stereotypes (race) must be"),
        ({"results": {"hellaswag": {"acc,none": 0.5}}}, "no task of the challenge's"),
        ({"results": {"mmlu": {"acc,none": "N/A"}}}, "mmlu acc,none must be a finite number"),
        ({"results": {"mmlu": 0.5}}, "no task of the challenge's"),
        ({"results": 0.5}, "unknown scenario 'results'"),
        ({"final": None}, "has no scores of a final recipe"),
        ({"final": {"per_task": {"mmlu": 65}, "heldout": {}}}, "mmlu acc must be"),
        ({"final": {"per_task": {}, "heldout": [1]}}, '"heldout" must be an object'),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: object, says: str
) -> None:
    """It names the file and what is wrong with it; exit code 2, and no table."""
    path = file(tmp_path, data)
    assert main([str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert says in printed.err
    assert str(path) in printed.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing.json"], "missing.json: No such file"),
        (["."], "Is a directory"),
        ([], "required: RESULTS.json"),
        (["results.json", "--track", "h100"], "invalid choice: 'h100'"),
        (["results.json", "--json", "no/folder.json"], "no/folder.json: No such file"),
    ],
)
def test_bad_arguments_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    says: str,
) -> None:
    """Likewise."""
    monkeypatch.chdir(tmp_path)
    file(tmp_path, published(BEST_OF_ALL))
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert says in error


def test_the_help_tells_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    """All three forms, and every scenario and metric by its name."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ('{"MMLU": {"EM"', '{"results"', '{"final"'))
    for part, names in PARTS.items():
        assert f"  {part}: {', '.join(names)}" in told


def test_an_entry_names_its_base() -> None:
    """Where it is known."""
    bases = {entry.base_model for track in TRACKS for entry in finalists(track)}
    assert bases == {"Mistral-7B", "Qwen-14B", None}
