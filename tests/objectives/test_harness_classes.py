"""lm-eval's tasks that are Python classes: asked and scored by their own code, kept like others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from objectives import harness
from objectives.harness import draw, keep, kept, outcome, perfect, revive
from search.errors import BadInput
from studies.study import LmEval
from tests.objectives.test_harness import DATA, write_rows

CODE = """
import datasets, pathlib
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask


class Base(ConfigurableTask):
    VERSION = 3

    def __init__(self, **kwargs):
        self.loaded = pathlib.Path("DIR/data.jsonl").read_text()  # gone when the task is revived
        super().__init__(config={"metadata": {"version": self.VERSION}})

    def download(self, *args, **kwargs):
        self.dataset = datasets.load_dataset("json", data_files={"validation": "DIR/data.jsonl"})

    def has_training_docs(self):
        return False

    def has_validation_docs(self):
        return True

    def has_test_docs(self):
        return False

    def validation_docs(self):
        return datasets.Dataset.from_list(list(map(self.prepared, self.dataset["validation"])))

    def prepared(self, doc):
        return {"ask": doc["question"], "choices": [*doc["wrong"], doc["answer"]], "gold": 2}

    def doc_to_text(self, doc):
        return doc["ask"]

    def doc_to_target(self, doc):
        return doc["choices"][doc["gold"]]

    def aggregation(self):
        return {"percent": sum, "good": sum}

    def higher_is_better(self):
        return {"percent": True, "good": True}


class Contains(Base):
    def construct_requests(self, doc, ctx, **kwargs):
        kwargs.pop("chat_template", None), kwargs.pop("apply_chat_template", None)
        arguments = (ctx, {"until": ["\\n"], "max_gen_toks": 8})
        return [Instance("generate_until", doc=doc, arguments=arguments, idx=0, **kwargs)]

    def process_results(self, doc, results):
        good = float(self.doc_to_target(doc) in results[0])
        return {"percent": 100 * good, "good": good}


class Choices(Base):
    def construct_requests(self, doc, ctx, chat_template=None, apply_chat_template=False, **kwargs):
        return [
            Instance("loglikelihood", doc=doc, arguments=(ctx, f" {choice}"), idx=k, **kwargs)
            for k, choice in enumerate(doc["choices"])
        ]

    def process_results(self, doc, results):
        likely = [logprob for logprob, _ in results]
        good = float(likely.index(max(likely)) == doc["gold"])
        return {"percent": 100 * good, "good": good}


class Both(Contains):
    def construct_requests(self, doc, ctx, **kwargs):
        kwargs.pop("chat_template", None), kwargs.pop("apply_chat_template", None)
        more = Instance("loglikelihood", doc=doc, arguments=(ctx, " no"), idx=1, **kwargs)
        return [*super().construct_requests(doc, ctx, **kwargs), more]


class Sampled(Contains):
    def construct_requests(self, doc, ctx, **kwargs):
        made = super().construct_requests(doc, ctx, **kwargs)
        made[0].arguments[1]["do_sample"] = True
        return made
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a class of every kind."""
    made = tmp_path / "tasks"
    made.mkdir()
    write_rows(made / "data.jsonl", DATA)
    (made / "classes.py").write_text(CODE.replace("DIR", str(made)))
    for name in ("Contains", "Choices", "Both", "Sampled"):
        (made / f"{name}.yaml").write_text(f"task: {name}\nclass: !function classes.{name}\n")
    return made


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        ("Contains", "generate_until", ["x"]),
        ("Choices", "multiple_choice", [(-1.0, True), (-9.0, False), (-2.0, False)]),
    ],
)
def test_a_class_is_revived_without_its_data(
    folder: Path, tmp_path: Path, name: str, kind: str, wrong: list[object]
) -> None:
    """Its documents, requests and scores are those of the whole task."""
    origin = LmEval(task=name, include_path=folder)
    (items,), leaves, line = draw("mine", origin, (6,), 0)
    assert line == "mine: 6 of 36 items of --include-path, scored by good (none)"
    assert leaves[0].kind == kind
    assert leaves[0].version == "3"
    data = tmp_path / "data"
    data.mkdir()
    keep(leaves, folder, data)
    for file in folder.iterdir():
        file.unlink()
    sys.modules.pop("classes", None)
    docs = [item["lm_eval"]["doc"] for item in items]
    task = revive(kept(data)[name], docs, data)
    for item, doc in zip(items, docs, strict=True):
        assert item["messages"][-1]["content"] == doc["ask"]
        assert item["answer"] == doc["choices"][2]
        assert outcome(task, doc, perfect(task, doc), "none")["good"] == 1
        assert outcome(task, doc, wrong, "none")["good"] == 0
        made = harness.requests(task, doc, "context")
        assert [request.args[0] for request in made] == ["context"] * len(made)
    harness.verify(items, data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Both", "asks 2 things about each document (generate_until, loglikelihood)"),
        ("Sampled", "it samples its answers"),
    ],
)
def test_a_class_without_one_repeatable_answer_is_one_line(
    folder: Path, name: str, text: str
) -> None:
    """Such as SQuAD v2, which also asks how likely `unanswerable` is."""
    with pytest.raises(BadInput) as caught:
        draw(name, LmEval(task=name, include_path=folder), (6,), 0)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
