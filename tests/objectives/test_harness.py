"""lm-eval's tasks as items of a run folder: found, frozen, revived, refused."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives import harness
from objectives.harness import Leaf, cut, draw, keep, kept, library, outcome, perfect, revive
from search.errors import BadInput
from studies.study import LmEval

DATA = [
    {"question": f"what is {a} plus {b} ?", "answer": str(a + b), "wrong": [str(a), str(a + b + 1)]}
    for a in range(6)
    for b in range(6)
]
BASE = """
dataset_path: json
dataset_kwargs: {data_files: {train: DIR/data.jsonl, test: DIR/data.jsonl}}
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metadata: {version: 2.5}
"""
ACC = "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
EXACT = "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
SHORT = "output_type: generate_until\ngeneration_kwargs: {do_sample: false, max_gen_toks: 8}\n"
KINDS = {
    "choice": "output_type: multiple_choice\ndoc_to_choice: !function rules.choices\n"
    "doc_to_target: 0\n" + ACC,
    "shots": SHORT + "training_split: train\nfewshot_split: train\nnum_fewshot: 2\n" + EXACT,
    "likely": "output_type: loglikelihood\n" + ACC,
    "graded": SHORT + "process_results: !function rules.graded\n"
    "metric_list: [{metric: closeness, aggregation: mean, higher_is_better: true}]\n",
    "filtered": SHORT + EXACT + "filter_list:\n"
    "- {name: hashes, filter: [{function: regex, regex_pattern: '#### (\\d+)'}, "
    "{function: take_first}]}\n"
    "- {name: number, filter: [{function: regex, regex_pattern: '(\\d+)'}, "
    "{function: take_first}]}\n",
}
RULES = """
def choices(doc):
    return [doc["answer"], *doc["wrong"]]

def graded(doc, results):
    off = abs(int(results[0]) - int(doc["answer"])) if results[0].strip().isdigit() else 99
    return {"closeness": max(0.0, 1 - off / 10)}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a task of every kind, and code of their own."""
    made = tmp_path / "tasks"
    made.mkdir()
    write_rows(made / "data.jsonl", DATA)
    (made / "rules.py").write_text(RULES)
    for name, own in KINDS.items():
        write(made, name, own)
    return made


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Data of a task."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write(folder: Path, name: str, own: str, base: str = BASE) -> None:
    """A task file."""
    (folder / f"{name}.yaml").write_text(f"task: {name}\n{base.replace('DIR', str(folder))}{own}")


def frozen(folder: Path, name: str, counts: tuple[int, ...], data: Path) -> tuple[Any, Any, Leaf]:
    """(items, the revived task, how it is scored)."""
    parts, leaves, _ = draw(name, LmEval(task=name, include_path=folder), counts, 0)
    data.mkdir(exist_ok=True)
    keep(leaves, folder, data)
    leaf = kept(data)[name]
    docs = [item["lm_eval"]["doc"] for part in parts for item in part]
    return parts, revive(leaf, docs, data), leaf


@pytest.mark.parametrize("name", KINDS)
def test_a_revived_task_needs_neither_its_folder_nor_its_data(
    folder: Path, tmp_path: Path, name: str
) -> None:
    """What was kept in the run folder scores a perfect answer as perfect, and a wrong one not."""
    parts, _, leaf = frozen(folder, name, (3, 2, 4), tmp_path / "data")
    docs = [item["lm_eval"]["doc"] for part in parts for item in part]
    for file in folder.iterdir():
        file.unlink()
    sys.modules.pop("rules", None)
    task = revive(leaf, docs, tmp_path / "data")
    wrong: dict[str, list[Any]] = {
        "choice": [(-9.0, False), (-1.0, False), (-2.0, False)],
        "likely": [(-1.0, False)],
    }
    for doc in docs:
        assert outcome(task, doc, perfect(task, doc), leaf.filter)[leaf.metric] == 1
        assert outcome(task, doc, wrong.get(name, ["x"]), leaf.filter)[leaf.metric] < 1


def test_items_are_random_disjoint_and_repeatable(folder: Path) -> None:
    """The same for the same seed, other ones for another, and no item in two parts."""
    origin = LmEval(task="likely", include_path=folder)
    first, _, line = draw("mine", origin, (5, 6, 7), 0)
    again, _, _ = draw("mine", origin, (5, 6, 7), 0)
    other, _, _ = draw("mine", origin, (5, 6, 7), 1)
    assert [len(part) for part in first] == [5, 6, 7]
    ids = [item["id"] for part in first for item in part]
    assert len(set(ids)) == 18
    assert first == again
    assert first != other
    assert {item["task"] for part in first for item in part} == {"mine"}
    assert line == "mine: 18 of 36 items of --include-path, scored by acc (none)"


def test_prompts_are_those_of_lm_eval_for_the_same_samples(folder: Path) -> None:
    """With few-shot examples drawn as its own `samples=` draws them, so others can check."""
    (part,), _, _ = draw("shots", LmEval(task="shots", include_path=folder), (6,), 3)
    ids = sorted(item["id"] for item in part)
    task = harness.load("shots", folder)["shots"]
    task.set_fewshot_seed(harness.FEWSHOT_SEED)
    task.build_all_requests(
        samples=ids,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        chat_template=harness.as_messages,
    )
    theirs = {i: json.loads(r.args[0]) for i, r in zip(ids, task.instances, strict=True)}
    assert {item["id"]: item["lm_eval"]["prompts"][0] for item in part} == theirs
    assert all(len(prompt["messages"]) == 5 for prompt in theirs.values())


def test_too_few_items_are_shared_out(folder: Path) -> None:
    """In the shares asked for, at least one each."""
    parts, _, _ = draw("likely", LmEval(task="likely", include_path=folder), (100, 100, 200), 0)
    assert [len(part) for part in parts] == [9, 9, 18]
    assert cut("abc", (100, 1, 100)) == [["a"], ["b"], ["c"]]


def test_of_several_filters_the_one_that_lets_the_right_answer_score_counts(
    folder: Path, tmp_path: Path
) -> None:
    """A filter that finds nothing in the task's own answers would score everybody zero."""
    _, _, leaf = frozen(folder, "filtered", (3,), tmp_path / "data")
    assert (leaf.metric, leaf.filter) == ("exact_match", "number")


def test_a_group_is_one_task_over_all_its_members(folder: Path) -> None:
    """Its items say which member they are of."""
    (folder / "both.yaml").write_text("group: both\ntask: [likely, choice]\n")
    (part,), leaves, _ = draw("both", LmEval(task="both", include_path=folder), (40,), 0)
    assert {leaf.name for leaf in leaves} == {"likely", "choice"}
    assert {str(item["id"]).split(":")[0] for item in part} == {"likely", "choice"}
    assert len({item["id"] for item in part}) == 40


def test_lm_evals_own_tasks_are_known_by_name() -> None:
    """Also those that a text search of its files does not show."""
    assert harness.known("gsm8k")
    assert harness.known("hellaswag")
    assert not harness.known("no_such_task")


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "no items": (
        lambda d: write_rows(d / "data.jsonl", []),
        "task bad: ",
    ),
    "no data file": (lambda d: (d / "data.jsonl").unlink(), "data_files"),
    "only perplexity": (
        lambda d: write(d, "bad", "output_type: loglikelihood_rolling\n"),
        "it has no accuracy",
    ),
    "no metric per item": (
        lambda d: write(
            d,
            "bad",
            "output_type: generate_until\n"
            "metric_list: [{metric: bleu, aggregation: bleu, higher_is_better: true}]\n",
        ),
        "none of its metrics",
    ),
    "metric of the hub": (
        lambda d: write(
            d,
            "bad",
            "output_type: generate_until\n"
            "metric_list: [{metric: somebody/closeness, aggregation: mean}]\n",
        ),
        "task bad: its metric 'somebody/closeness' is none of lm-eval's own",
    ),
    "beams": (
        lambda d: write(
            d, "bad", "output_type: generate_until\ngeneration_kwargs: {num_beams: 4}\n" + EXACT
        ),
        "num_beams",
    ),
    "warm": (
        lambda d: write(
            d, "bad", "output_type: generate_until\ngeneration_kwargs: {temperature: 1}\n" + EXACT
        ),
        "samples its answers",
    ),
    "empty choice": (
        lambda d: write(
            d, "bad", "output_type: multiple_choice\ndoc_to_choice: ['yes', '']\n" + ACC
        ),
        "task bad",
    ),
    "sampled": (
        lambda d: write(
            d,
            "bad",
            "output_type: generate_until\ngeneration_kwargs: {do_sample: true, until: []}\n"
            + EXACT,
        ),
        "samples its answers",
    ),
    "unsafe code": (
        lambda d: write(d, "bad", "output_type: generate_until\nunsafe_code: true\n" + EXACT),
        "runs code that a model wrote",
    ),
    "broken template": (
        lambda d: write(d, "bad", "output_type: loglikelihood\ndoc_to_text: '{{ 1 / 0 }}'\n" + ACC),
        "task bad",
    ),
    "no such column": (
        lambda d: write(d, "bad", "output_type: multiple_choice\ndoc_to_choice: nothing\n" + ACC),
        "lm-eval cannot load it",
    ),
    "no such split": (
        lambda d: write(d, "bad", "output_type: loglikelihood\ntest_split: nowhere\n" + ACC),
        "lm-eval cannot load it",
    ),
    "unknown output type": (
        lambda d: write(d, "bad", "output_type: poetry\n" + ACC),
        "lm-eval cannot load it",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_task_that_cannot_be_used_is_one_line(folder: Path, case: str) -> None:
    """Which task, what is wrong, what to do."""
    write(folder, "bad", "output_type: loglikelihood\n" + ACC)
    damage, text = BAD[case]
    damage(folder)
    with pytest.raises(BadInput) as caught:
        draw("bad", LmEval(task="bad", include_path=folder), (3, 2, 2), 0)
    assert text in str(caught.value)
    assert "task bad" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_of_a_hub_out_of_reach_names_the_file_to_provide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task, its dataset, and what to write instead."""
    monkeypatch.setattr(library, "hub_answers", lambda: False)
    with pytest.raises(BadInput) as caught:
        draw("gsm8k", LmEval(task="gsm8k"), (3, 2, 2), 0)
    for part in ("task gsm8k", "openai/gsm8k", "--include-path", "gsm8k-test.jsonl"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "holds no .yaml"), ("a: [", "no readable YAML"), ("- 1\n", "names a task")],
)
def test_a_folder_without_tasks_is_one_line(tmp_path: Path, content: str | None, text: str) -> None:
    """Before anything is loaded."""
    if content is not None:
        (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(BadInput, match=text):
        harness.check_folder(tmp_path)


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ("dataset_path: json", "dataset_path: ''"),
        ("data_files: {train: DIR/data.jsonl, test: DIR/data.jsonl}", ""),
        ("test: DIR/data.jsonl", "test: ''"),
        ("{train: DIR/data.jsonl, test: DIR/data.jsonl}", "[]"),
    ],
)
def test_data_without_a_name_is_refused_at_once(folder: Path, given: str, instead: str) -> None:
    """`datasets` would look through all files below the current folder."""
    assert given in BASE
    write(folder, "choice", KINDS["choice"], BASE.replace(given, instead))
    with pytest.raises(BadInput, match="it names no data; give a dataset_path"):
        draw("choice", LmEval(task="choice", include_path=folder), (2,), 0)


def test_checking_a_folder_runs_none_of_its_code(folder: Path) -> None:
    """`!function` is read as text only."""
    (folder / "rules.py").write_text("raise SystemExit('ran')")
    harness.check_folder(folder)


def test_the_filter_never_sees_another_items_answer(folder: Path, tmp_path: Path) -> None:
    """Outcomes do not depend on the order in which items are scored."""
    parts, task, leaf = frozen(folder, "filtered", (8,), tmp_path / "data")
    docs = [item["lm_eval"]["doc"] for item in parts[0]]
    answers = [f"so {doc['answer']}" if n % 2 else "so 99" for n, doc in enumerate(docs)]
    forwards = [
        outcome(task, doc, [text], leaf.filter)[leaf.metric]
        for doc, text in zip(docs, answers, strict=True)
    ]
    order = random.Random(0).sample(range(8), 8)
    shuffled = {n: outcome(task, docs[n], [answers[n]], leaf.filter)[leaf.metric] for n in order}
    assert forwards == [shuffled[n] for n in range(8)] == [n % 2 for n in range(8)]


def test_a_users_group_may_hold_lm_evals_own_tasks(folder: Path) -> None:
    """As with lm-eval's own command line; which of them can be had is another matter."""
    (folder / "mix.yaml").write_text("group: mix\ntask: [likely, gsm8k]\n")
    with pytest.raises(BadInput, match="openai/gsm8k"):
        harness.load("mix", folder)


@pytest.mark.parametrize("name", ["agieval", "hendrycks_math", "mmlu"])
def test_lm_evals_groups_are_loaded_as_groups(name: str) -> None:
    """Here without their data, which is on the hub: the line says so, and nothing else is wrong."""
    with pytest.raises(BadInput, match="Hugging Face hub, which cannot be reached"):
        harness.load(name, None)


def test_what_a_group_changes_of_a_task_is_kept(folder: Path, tmp_path: Path) -> None:
    """The revived task scores by the group's choices and metric, not by its own file's."""
    (folder / "changed.yaml").write_text(
        "group: changed\ntask:\n  - task: choice\n    doc_to_choice: ['{{answer}}', never]\n"
        "    metric_list: [{metric: acc_norm, aggregation: mean, higher_is_better: true}]\n"
        "  - likely\n"
    )
    (part,), leaves, _ = draw("changed", LmEval(task="changed", include_path=folder), (30,), 0)
    (tmp_path / "data").mkdir()
    keep(leaves, folder, tmp_path / "data")
    leaf = kept(tmp_path / "data")["choice"]
    assert leaf.metric == "acc_norm"
    doc = next(i["lm_eval"]["doc"] for i in part if i["lm_eval"]["task"] == "choice")
    task = revive(leaf, [doc], tmp_path / "data")
    assert len(task.doc_to_choice(doc)) == 2
    assert outcome(task, doc, [(-1.0, True), (-9.0, False)], leaf.filter) == {"acc_norm": 1.0}


def test_documents_with_one_and_with_several_right_answers_score_as_in_the_whole_task(
    folder: Path, tmp_path: Path
) -> None:
    """lm-eval decides by the task's first document, whichever items were drawn."""
    golds: list[Any] = ["4", ["1", "2"], "7", ["3"]]
    data = [{"question": f"what {n} ?", "answer": gold} for n, gold in enumerate(golds)]
    write_rows(folder / "many.jsonl", [d | {"answer": json.dumps(d["answer"])} for d in data])
    write(
        folder,
        "many",
        SHORT + "doc_to_target: !function several.gold\n" + EXACT,
        BASE.replace("data.jsonl", "many.jsonl"),
    )
    (folder / "several.py").write_text(
        "import json\ndef gold(doc):\n    return json.loads(doc['answer'])\n"
    )
    whole = harness.load("many", folder)["many"]
    (part,), leaves, _ = draw("many", LmEval(task="many", include_path=folder), (4,), 0)
    (tmp_path / "data").mkdir()
    keep(leaves, folder, tmp_path / "data")
    leaf = kept(tmp_path / "data")["many"]
    docs = [item["lm_eval"]["doc"] for item in part]
    for first in range(4):
        task = revive(leaf, docs[first:] + docs[:first], tmp_path / "data")
        for item, doc in zip(part, docs, strict=True):
            text = [item["answer"]]
            assert outcome(task, doc, text, leaf.filter) == outcome(whole, doc, text, leaf.filter)


def test_only_what_a_task_needs_is_copied(folder: Path, tmp_path: Path) -> None:
    """Its file, what that includes, and the code beside it; nothing of where its data lie."""
    (folder / "sub").mkdir()
    (folder / "sub" / "derived.yaml").write_text("include: ../likely.yaml\ntask: derived\n")
    (folder / "secret.yaml").write_text("token: x\n")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "x.py").write_text("")
    _, task, _ = frozen(folder, "derived", (3,), tmp_path / "data")
    assert task.config.task == "derived"
    copied = {str(p.relative_to(tmp_path / "data" / "tasks")) for p in files(tmp_path / "data")}
    assert copied == {"likely.yaml", "sub/derived.yaml"}
    for path in files(tmp_path / "data"):
        assert str(folder) not in path.read_text()


def files(data: Path) -> list[Path]:
    """Files of the copied tasks."""
    return [path for path in (data / "tasks").rglob("*") if path.is_file()]


def test_an_include_outside_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    """The copy in the run folder could not find it."""
    (tmp_path / "outside.yaml").write_text((folder / "likely.yaml").read_text())
    (folder / "bad.yaml").write_text("include: ../outside.yaml\ntask: bad\n")
    parts, leaves, _ = draw("bad", LmEval(task="bad", include_path=folder), (3,), 0)
    assert parts
    (tmp_path / "data").mkdir()
    with pytest.raises(BadInput, match="lies outside"):
        keep(leaves, folder, tmp_path / "data")


def test_a_task_that_needs_more_than_its_files_is_found_out_before_a_model_loads(
    folder: Path, tmp_path: Path
) -> None:
    """Its code reads a file that lies beside it."""
    (folder / "rules.py").write_text(
        "from pathlib import Path\nX = Path(__file__).with_name('data.jsonl').read_text()\n" + RULES
    )
    (part,), leaves, _ = draw("graded", LmEval(task="graded", include_path=folder), (3,), 0)
    (tmp_path / "data").mkdir()
    keep(leaves, folder, tmp_path / "data")
    with pytest.raises(BadInput, match="keep all that it needs beside its YAML"):
        harness.verify(part, tmp_path / "data")


def test_a_file_outside_its_folder_is_never_loaded(folder: Path, tmp_path: Path) -> None:
    """A recipe's tasks.json may come from anybody."""
    _, _, leaf = frozen(folder, "likely", (3,), tmp_path / "data")
    evil = Leaf(**{k: getattr(leaf, k) for k in Leaf.__slots__} | {"yaml": "../../x.yaml"})
    with pytest.raises(BadInput, match="lies outside"):
        revive(evil, [{}], tmp_path / "data")


def test_shuffling_tasks_are_drawn_the_same_again(folder: Path) -> None:
    """lm-eval seeds the global generators, so we do."""
    (folder / "rules.py").write_text(
        RULES + "import random\ndef mix(docs):\n"
        "    def one(doc):\n        return {'answer': str(random.randint(0, 9))}\n"
        "    return docs.map(one, load_from_cache_file=False)\n"
    )
    write(folder, "mixed", KINDS["likely"] + "process_docs: !function rules.mix\n")
    origin = LmEval(task="mixed", include_path=folder)
    assert draw("mixed", origin, (8,), 0) == draw("mixed", origin, (8,), 0)


@pytest.mark.parametrize(
    ("value", "score"),
    [(1, 1.0), (0.5, 0.5), (np.float32(0.25), 0.25), (np.bool_(True), 1.0), (np.int64(0), 0.0)]
    + [(value, None) for value in (1.5, -0.1, float("nan"), (0.5, 1), None, "1")],
)
def test_a_score_is_a_number_from_0_to_1(value: Any, score: float | None) -> None:
    """Metrics return Python's numbers and numpy's; corpus metrics return pairs."""
    assert harness.as_score(value) == score
