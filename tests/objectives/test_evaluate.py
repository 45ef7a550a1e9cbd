"""Scores item by item, decoding spared where teacher forcing tells the answer, the smoke test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from objectives import harness
from objectives.base import resolve
from objectives.evaluate import Evaluator, take
from objectives.objective import Progress
from objectives.quantize import Device, find_device, load_base
from objectives.questions import Generation
from objectives.rows import Row, to_item, write_jsonl
from spaces import Quantization
from studies.study import LmEval
from tests.objectives.test_harness import BASE, KINDS, RULES, write, write_rows
from tests.tiny import rows

Make = Callable[..., Evaluator]


def listen(_: Progress) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def device() -> Device:
    """The CPU in float32."""
    return replace(find_device(), autocast=False)


@pytest.fixture(scope="module")
def model(tiny_model: Path, device: Device) -> Any:
    """The tiny model."""
    return load_base(resolve(str(tiny_model)), Quantization.BF16, device, trust_remote_code=False)


@pytest.fixture
def make(model: Any, tiny_model: Path, device: Device, tmp_path: Path) -> Make:
    """Makes an evaluator of the given items files."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def made(**files: list[Row]) -> Evaluator:
        for name, items in files.items():
            write_jsonl(tmp_path / "data" / "items" / f"{name}.jsonl", items)
        return Evaluator(model, tokenizer, tmp_path / "data", device, whole_head=False, share=True)

    return made


def plain(count: int, task: str = "plain") -> list[Row]:
    """Items with one canonical answer."""
    return [to_item(row, task, n) for n, row in enumerate(rows(count))]


def test_teacher_forcing_says_what_greedy_decoding_does(make: Make, model: Any) -> None:
    """An item counts as right if and only if generate() gives its answer and stops."""
    items = plain(12)
    evaluator = make(search=items)
    right = []
    for question in evaluator.items["search"]:
        (request,) = question.requests
        prompt = torch.tensor([request.ids[: request.start]])
        made = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=len(request.ids) - request.start,
            do_sample=False,
            use_cache=True,
        )[0, request.start :].tolist()
        right.append(float(made == list(request.ids[request.start :])))
    assert evaluator.score(model, "search", listen, exact=True)["plain"].correct == right


def own(folder: Path, data: Path, name: str, yaml: str, docs: list[dict[str, Any]]) -> list[Row]:
    """Items of a task of the user's, kept in `data`."""
    folder.mkdir(exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    (folder / "rules.py").write_text(RULES)
    write_rows(folder / "data.jsonl", docs)
    write(folder, name, yaml, BASE)
    (part,), leaves, _ = harness.draw(name, LmEval(task=name, include_path=folder), (len(docs),), 0)
    harness.keep(leaves, folder, data)
    return part


YAML = (
    "output_type: generate_until\n"
    "generation_kwargs: {{until: {until}, do_sample: false, max_gen_toks: {most}}}\n"
    "metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true{more}}}]\n"
)


@pytest.mark.parametrize("more", ["", ", ignore_case: true"])
@pytest.mark.parametrize("until", ['["?"]', '["plus"]', "[]", '["\\n"]'])
@pytest.mark.parametrize("most", [1, 2, 5])
def test_an_answer_that_teacher_forcing_foresees_scores_as_the_decoded_one(
    make: Make, model: Any, tmp_path: Path, until: str, most: int, more: str
) -> None:
    """Whether the model answers just so, goes on, stops early, or says something else."""
    questions = [f"what is {n} plus {n % 7} ?" for n in range(8)]
    first = make(search=plain(1))
    contexts = [
        first.lm.apply_chat_template([{"role": "user", "content": text}]) for text in questions
    ]
    said = first.lm.answer(contexts, [], 5)
    docs = []
    for asked, text in zip(questions, said, strict=True):
        words = text.split()
        answers = [" ".join(words[:k]) for k in (1, 2, 5)] + ["12", f"{words[0]} 39"]
        docs += [{"question": asked, "answer": answer} for answer in answers if answer]
    yaml = YAML.format(until=until, most=most, more=more)
    items = own(tmp_path / "tasks", tmp_path / "data", "t", yaml, docs)
    evaluator = make(search=items)
    scored = evaluator.score(model, "search", listen, exact=True)["t"].correct
    foreseen = 0
    for question, outcome in zip(evaluator.items["search"], scored, strict=True):
        assert isinstance(question, Generation)
        (text,) = evaluator.lm.answer([question.context], question.until, question.most)
        assert question.score([text]) == outcome
        (forced,) = evaluator.lm.forced(evaluator.lm.layout(question.requests))
        foreseen += question.foreseen(forced) is not None
    assert foreseen > 0
    assert 0 < sum(scored) < len(scored)


def test_tasks_of_all_kinds_are_scored_in_one_file(make: Make, model: Any, tmp_path: Path) -> None:
    """Outcomes lie in [0, 1], losses are finite, and items keep their order."""
    docs = [
        {"question": f"what is {n} plus 3 ?", "answer": str(n + 3), "wrong": ["1", str(n)]}
        for n in range(6)
    ]
    items, leaves = plain(5), []
    folder = tmp_path / "tasks"
    for name, yaml in KINDS.items():
        items += own(folder, tmp_path / "data", name, yaml, docs)
        leaves.append(harness.kept(tmp_path / "data")[name])
    harness.keep(leaves, folder, tmp_path / "data")
    evaluator = make(search=items)
    told: list[float] = []
    scores = evaluator.score(model, "search", lambda p: told.append(p.done), exact=True)
    assert {task: len(s.correct) for task, s in scores.items()} == {"plain": 5} | dict.fromkeys(
        KINDS, 6
    )
    for score in scores.values():
        assert all(0 <= value <= 1 for value in score.correct)
        assert all(0 < loss < 50 for loss in score.losses)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    assert evaluator.score(model, "search", listen, exact=True) == scores
    halves = [
        evaluator.score(model, "search", listen, exact=True, part=part) for part in ((0, 3), (3, 9))
    ]
    for task, score in scores.items():
        assert score.correct == halves[0][task].correct + halves[1][task].correct
        joined = halves[0][task].losses + halves[1][task].losses
        assert score.losses == pytest.approx(joined, abs=1e-5)


def test_a_part_takes_the_same_places_of_every_task() -> None:
    """Parts one after the other are the whole."""
    tasks = ["one", "two", "one", "one", "two", "one", "one"]
    assert take(tasks, None) == list(range(7))
    assert take(tasks, (0, 2)) == [0, 1, 2, 4]
    assert sorted(i for k in (0, 2, 4) for i in take(tasks, (k, k + 2))) == list(range(7))


def test_no_items_have_no_scores(make: Make, model: Any) -> None:
    """A study without held-out tasks is evaluated on nothing."""
    assert make(heldout=[]).score(model, "heldout", listen, exact=True) == {}


def test_smoke_shows_an_answer_of_every_task(make: Make, model: Any) -> None:
    """Of search and held-out tasks; the tiny model says something readable."""
    evaluator = make(search=plain(5) + plain(5, "other"), heldout=plain(2, "held"))
    found = evaluator.smoke(model, 3, listen)
    assert {task: smoke.items for task, smoke in found.items()} == {
        "plain": 3,
        "other": 3,
        "held": 2,
    }
    for smoke in found.values():
        assert (smoke.malformed, smoke.why) == (0, "")
        assert smoke.answer.strip()
        assert "what is" in smoke.prompt


def test_smoke_tells_answers_that_say_nothing(
    make: Make, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that ends its turn at once has answered nothing."""
    evaluator = make(search=plain(4))
    monkeypatch.setattr(evaluator.lm, "ends", lambda _=(): set(range(100)))
    found = evaluator.smoke(model, 4, listen)["plain"]
    assert (found.items, found.malformed, found.answer, found.why) == (4, 4, "", "it is empty")


def test_smoke_tells_likelihoods_that_are_no_numbers(
    make: Make, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A multiple-choice task on a model that overflows."""
    docs = [{"question": "what is 3 ?", "answer": str(n), "wrong": ["39"]} for n in range(3)]
    items = own(tmp_path / "tasks", tmp_path / "data", "choice", KINDS["choice"], docs)
    evaluator = make(search=items)
    with torch.no_grad():
        weight = model.get_output_embeddings().weight
        before = weight.clone()
        weight.fill_(float("nan"))
        found = evaluator.smoke(model, 3, listen)["choice"]
        weight.copy_(before)
    assert (found.malformed, found.why) == (3, "its log-likelihoods are not numbers")


@pytest.mark.parametrize(("pattern", "malformed"), [("never", 3), ("(.*)", 0)])
def test_smoke_tells_answers_in_which_the_tasks_filters_find_nothing(
    make: Make, model: Any, tmp_path: Path, pattern: str, malformed: int
) -> None:
    """Half of a contest's entries once scored zero somewhere for the form alone."""
    docs = [{"question": f"what is {n} ?", "answer": "1", "wrong": []} for n in range(3)]
    yaml = KINDS["filtered"].replace("#### (\\d+)", pattern).replace("'(\\d+)'", f"'{pattern}'")
    items = own(tmp_path / "tasks", tmp_path / "data", "filtered", yaml, docs)
    found = make(search=items).smoke(model, 3, listen)["filtered"]
    assert found.malformed == malformed
    assert bool(found.why) == bool(malformed)
