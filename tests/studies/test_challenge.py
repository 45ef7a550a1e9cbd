"""The 2023 challenge: its rules on base models and data, and the studies of its two tracks."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objectives import harness
from objectives.harness import library, outcome, perfect
from search.errors import BadInput
from search.request import Request, build_study
from spaces import Quantization
from studies import Source, Study
from studies.catalog import find
from studies.challenge import TASKS
from studies.challenge_rules import FAMILIES, check, family_of
from studies.study import Generated, HubDataset, LmEval, LocalFile
from tests.tiny import write_rows

TRACKS = ("challenge_4090", "challenge_a100")
FILE = LocalFile(path=Path("rows.jsonl"))
LIMA = HubDataset(id="GAIR/lima")
LLAMA = "meta-llama/Llama-2-13b-hf"
MISTRAL = "mistralai/Mistral-7B-v0.1"
QWEN = "Qwen/Qwen-14B"


def job(model: str, *sources: Source) -> Study:
    """A study of the challenge on another base model and other data."""
    study = find("challenge_4090")
    return replace(study, model=model).with_sources(sources, study.tasks)


def source(
    made_by: str | None, licence: str | None = "MIT", origin: LocalFile | HubDataset = FILE
) -> Source:
    """A source named `x`."""
    return Source(name="x", origin=origin, licence=licence, made_by=made_by)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("albert/albert-xxlarge-v2", "ALBERT"),
        ("facebook/bart-large", "BART"),
        ("google-bert/bert-base-uncased", "BERT"),
        ("bigscience/bloom", "Bloom"),
        ("bigscience/bloom-7b1", "Bloom"),
        ("cerebras/Cerebras-GPT-6.7B", "Cerebras (btlm, GPT)"),
        ("cerebras/btlm-3b-8k-base", "Cerebras (btlm, GPT)"),
        ("hpcai-tech/Colossal-LLaMA-2-7b-base", "Colossal-LLaMA-2-7b-base"),
        ("microsoft/deberta-v3-large", "DeBERTa"),
        ("Deci/DeciLM-6b", "DeciLM-6B"),
        ("distilbert/distilbert-base-uncased", "DistilBERT"),
        ("google/electra-large-discriminator", "Electra"),
        ("tiiuae/falcon-40b", "Falcon"),
        ("openai-community/gpt2-xl", "GPT2"),
        ("gpt2", "GPT2"),
        ("EleutherAI/gpt-j-6b", "GPT Neo, J, NeoX, Pythia"),
        ("EleutherAI/pythia-6.9b-deduped", "GPT Neo, J, NeoX, Pythia"),
        ("internlm/internlm-20b", "InternLM"),
        (LLAMA, "LLaMA or Llama 2"),
        ("/models/meta-llama/Llama-2-7b-hf/", "LLaMA or Llama 2"),
        (MISTRAL, "Mistral"),
        ("mosaicml/mpt-7b-8k", "MPT"),
        ("openlm-research/open_llama_7b_v2", "OpenLLaMA"),
        ("facebook/opt-6.7b", "OPT"),
        ("adept/persimmon-8b-base", "Persimmon"),
        (QWEN, "Qwen"),
        ("togethercomputer/RedPajama-INCITE-7B-Base", "RedPajama base"),
        ("FacebookAI/roberta-large", "RoBERTa"),
        ("google/t5-v1_1-xl", "T5"),
        ("google/ul2", "UL2"),
    ],
)
def test_a_listed_base_model_is_allowed(model: str, family: str) -> None:
    """All sizes of a listed family, by hub id or by a folder that is named like one."""
    found = family_of(model)
    assert found is not None
    assert found.name == family
    check(job(model, source("human")))


def test_every_family_on_the_list_is_known() -> None:
    """The organisers' page lists 25 families."""
    assert len({family.name for family in FAMILIES}) == len(FAMILIES) == 25


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("mistralai/Mistral-7B-Instruct-v0.1", "instruction-tuned"),
        ("meta-llama/Llama-2-7b-chat-hf", "instruction-tuned"),
        ("Qwen/Qwen-14B-Chat", "instruction-tuned"),
        ("tiiuae/falcon-7b-instruct", "instruction-tuned"),
        ("internlm/internlm-chat-7b", "instruction-tuned"),
        ("google/flan-t5-xl", "instruction-tuned"),
        ("bigscience/bloomz-7b1", "instruction-tuned"),
        ("facebook/opt-iml-1.3b", "instruction-tuned"),
        ("togethercomputer/RedPajama-INCITE-7B-Chat", "instruction-tuned"),
        ("HuggingFaceH4/zephyr-7b-beta", "not on the list"),
        ("teknium/OpenHermes-2.5-Mistral-7B", "not on the list"),
        ("somebody/Mistral-7B-v0.1", "not on the list"),
        ("mistralai/Mistral-7B-v0.3", "not on the list"),
        ("meta-llama/Meta-Llama-3-8B", "not on the list"),
        ("Qwen/Qwen2.5-14B", "not on the list"),
        ("microsoft/phi-2", "not on the list"),
        ("Mistral-7B-v0.1", "PUBLISHER/NAME"),
        ("", "not on the list"),
    ],
)
def test_another_base_model_is_refused(model: str, says: str) -> None:
    """Tuned models, other families, later generations, and copies by strangers."""
    with pytest.raises(BadInput, match=says) as caught:
        check(job(model, source("human")))
    assert "\n" not in str(caught.value)
    assert "github.io/challenge" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (MISTRAL, source("human", "CC-BY-SA-3.0")),
        (MISTRAL, source("human", "apache-2.0")),
        (MISTRAL, source("program", "CC0-1.0")),
        (MISTRAL, source("internlm/internlm-20b", "Apache-2.0")),
        (MISTRAL, source("Falcon 40B", "Apache-2.0")),
        (LLAMA, source("internlm-7b", "Apache-2.0")),
        (LLAMA, source("Llama-2-70b-hf", "LicenseRef-llama2")),
        ("hpcai-tech/Colossal-LLaMA-2-7b-base", source("Llama 2 7B", "LicenseRef-llama2")),
        (QWEN, source("Qwen/Qwen-7B", "LicenseRef-tongyi-qianwen")),
        (MISTRAL, source("human", "CC-BY-NC-SA-4.0", LIMA)),
        (MISTRAL, source(None, None, LIMA)),
        (MISTRAL, Source(name="x", origin=Generated(generator="aiw"))),
    ],
)
def test_open_data_of_known_origin_is_allowed(model: str, given: Source) -> None:
    """People's and programs' work, a listed base model's, and what the organisers name."""
    check(job(model, given))


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (MISTRAL, source(None), "does not say its made_by; declare"),
        (MISTRAL, source("human", None), "does not say its licence; declare"),
        (MISTRAL, source(None, None), "does not say its licence and made_by; declare"),
        (MISTRAL, source("human", "CC-BY-NC-4.0"), "CC-BY-NC-4.0, which is not open"),
        (MISTRAL, source("human", "LicenseRef-proprietary"), "not open"),
        (MISTRAL, source("human", "LicenseRef-llama2"), "not open"),
        (MISTRAL, source("gpt-4"), "made by gpt-4, which is no base model on the list"),
        (MISTRAL, source("ChatGPT"), "made by ChatGPT"),
        (MISTRAL, source("claude-2"), "made by claude-2"),
        (MISTRAL, source("Mistral-7B-Instruct-v0.1"), "made by Mistral-7B-Instruct-v0.1"),
        (MISTRAL, source("somebody/internlm-7b"), "made by somebody/internlm-7b"),
        (MISTRAL, source("human and gpt-4"), "made by human and gpt-4"),
        (MISTRAL, source("gpt-4", None, LIMA), "made by gpt-4"),
        (MISTRAL, source("Llama-2-70b-hf", "LicenseRef-llama2"), "start from LLaMA or Llama 2"),
        (QWEN, source("Llama-2-70b-hf", "LicenseRef-llama2"), "may not train Qwen/Qwen-14B"),
        (MISTRAL, source("Qwen-14B", "LicenseRef-tongyi-qianwen"), "start from Qwen"),
        (LLAMA, source("Llama-2-70b-hf", "MIT"), "licence='LicenseRef-llama2'"),
        (QWEN, source("Qwen-14B", "MIT"), "licence='LicenseRef-tongyi-qianwen'"),
    ],
)
def test_other_data_is_refused(model: str, given: Source, says: str) -> None:
    """One line that names the source, the rule and where it is written."""
    with pytest.raises(BadInput, match=says) as caught:
        check(job(model, source("human", origin=LIMA), replace(given, name="theirs")))
    assert "'theirs'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "rule: " in str(caught.value)
    assert "https://llm-efficiency-challenge.github.io/" in str(caught.value)


@pytest.mark.parametrize("name", TRACKS)
def test_a_track_keeps_its_own_rules(name: str) -> None:
    """The shipped studies pass the check that others are held to."""
    study = build_study(Request(budget_s=86_400, study=name))
    assert study.rules is check
    assert study.name == name


@pytest.mark.parametrize("name", TRACKS)
def test_a_tracks_tasks_are_in_lm_eval(name: str) -> None:
    """Or a file of ours; no held-out task is searched on."""
    study = find(name)
    origins = [task.origin for task in study.tasks + study.heldout]
    tasks = [origin.task for origin in origins if isinstance(origin, LmEval)]
    assert len(set(tasks)) == len(origins)
    ours = [o.task for o in origins if isinstance(o, LmEval) and o.include_path == TASKS]
    assert len(ours) == 7
    assert [task for task in tasks if task not in ours and not harness.known(task)] == []


ROWS: dict[str, tuple[list[dict[str, Any]], str, float]] = {
    "samsum": (
        [
            {"id": n, "dialogue": f"A: Lunch {n}?\nB: Yes.", "summary": "A and B will have lunch."}
            for n in range(8)
        ],
        "Summary:",
        1.0,
    ),
    "corr2cause": (
        [{"input": f"Premise: {n}. Hypothesis: A causes B.", "label": n % 2} for n in range(8)],
        "Is the hypothesis true?",
        1.0,
    ),
    "ethics_commonsense": (
        [{"label": n % 2, "input": f"I helped {n}.", "is_short": True} for n in range(8)],
        "Is this wrong?",
        1.0,
    ),
    "ethics_deontology": (
        [
            {"label": n % 2, "scenario": f"Could you help {n}?", "excuse": "No, I am a table."}
            for n in range(8)
        ],
        "No, I am a table.",
        1.0,
    ),
    "ethics_justice": (
        [{"label": n % 2, "scenario": f"I deserve {n}."} for n in range(8)],
        "reasonable or unreasonable",
        1.0,
    ),
    "ethics_virtue": (
        [{"label": n % 2, "scenario": f"Jo ran {n} miles. [SEP] lazy"} for n in range(8)],
        'exhibit the trait "lazy"?',
        1.0,
    ),
    "ethics_utilitarianism": (
        [{"baseline": "baseline", "less_pleasant": "less_pleasant"}]
        + [{"baseline": "I ate." + "!" * n, "less_pleasant": "I fell."} for n in range(8)],
        "Is Scenario 1 preferable?",
        1.0,
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_our_own_task_files_ask_and_score(name: str, tmp_path: Path) -> None:
    """On rows like those of their datasets: items can be drawn, and the right answer scores 1."""
    rows, asked, best = ROWS[name]
    copy = tmp_path / "tasks"
    shutil.copytree(TASKS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        if name != "ethics_utilitarianism":  # whose first row is one already
            writer.writeheader()
        writer.writerows(rows)
    path = copy / f"challenge_{name}.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"test: hf://\S+", f"test: {tmp_path}/rows.csv", text))
    assert str(tmp_path) in path.read_text()
    origin = LmEval(task=f"challenge_{name}", include_path=copy)
    parts, leaves, _ = harness.draw(f"challenge_{name}", origin, [4, 4], 0)
    assert [len(part) for part in parts] == [4, 4]
    assert all(
        asked in json.dumps(item, ensure_ascii=False).replace('\\"', '"')
        for part in parts
        for item in part
    )
    (task,) = library.load(origin.task, copy).values()
    (leaf,) = leaves
    for doc in task.eval_docs:
        assert outcome(task, doc, perfect(task, doc), leaf.filter)[leaf.metric] == best


def test_our_own_task_files_pin_their_data() -> None:
    """Where the dataset's address can carry a commit; and none of them samples."""
    files = sorted(TASKS.glob("*.yaml"))
    assert len(files) == 7
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "hf://datasets/" in text
        assert "do_sample: true" not in text


@pytest.mark.parametrize("name", TRACKS)
def test_a_track_starts_from_finalists(name: str) -> None:
    """Besides the default, published recipes whose `why` names the place they took."""
    default, *others = find(name).experts
    assert default.name == "default"
    assert len(others) == 9
    assert all(" on the 4090" in e.why or " on the A100" in e.why for e in others)
    assert len({expert.recipe for expert in (default, *others)}) == len(others) + 1


def test_the_4090_starts_in_4_bits() -> None:
    """Its memory is the smaller; every kind stays in the space of both."""
    small, large = (find(name) for name in TRACKS)
    assert {e.recipe.quantization for e in small.experts} == {Quantization.NF4}
    assert large.experts[0].recipe.quantization is Quantization.BF16
    assert small.space == large.space
    assert set(small.space.quantization) == set(Quantization)


def test_both_search_around_what_is_known_of_the_rate() -> None:
    """The prior favours the published rate over the ends of the range, and tells its origin."""
    for name in TRACKS:
        space = find(name).space
        rate = space.priors["learning_rate"]
        low, high = space.learning_rate
        assert rate.weight(rate.best) > 1.5 * max(rate.weight(low), rate.weight(high))
        assert all(len(prior.why) > 40 for prior in space.priors.values())


def test_a_file_of_unknown_origin_is_refused_from_the_command_line(tmp_path: Path) -> None:
    """`--data` cannot say who made a file; the message tells where it can be said."""
    path = write_rows(tmp_path / "rows.jsonl", 30)
    request = Request(budget_s=86_400, study="challenge_4090", data=(f"x={path}",))
    with pytest.raises(BadInput, match=r"the source 'x' .* declare .* Source\(name='x'") as caught:
        build_study(request)
    assert "\n" not in str(caught.value)
    build_study(replace(request, study="demo"))  # other studies take it


def test_another_model_is_checked_from_the_command_line() -> None:
    """`--model` is held to the rules as well."""
    request = Request(budget_s=86_400, study="challenge_4090", model="Qwen/Qwen-14B-Chat")
    with pytest.raises(BadInput, match="instruction-tuned"):
        build_study(request)
    assert build_study(replace(request, model=QWEN)).model == QWEN


DECLARED = """
from pathlib import Path
from studies import Source, Task
from studies.catalog import find
from studies.study import HeldBack, LocalFile
def study():
    source = Source(name="x", origin=LocalFile(path=Path({path!r})), licence="MIT", made_by="human")
    task = Task(name="x", origin=HeldBack(source="x"))
    return find("challenge_4090").with_sources((source,), (task,))
"""


def test_a_declared_file_is_allowed_in_a_study_file(tmp_path: Path) -> None:
    """What the message asks for works."""
    rows = write_rows(tmp_path / "rows.jsonl", 30)
    path = tmp_path / "mine.py"
    path.write_text(DECLARED.format(path=str(rows)))
    assert build_study(Request(budget_s=86_400, study=str(path))).mixture() == {"x": 1.0}
