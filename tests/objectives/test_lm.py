"""SharedLM against lm-eval's own HFLM: the same answers, item by item, on the same model."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer

from objectives import harness
from objectives.base import Base, resolve
from objectives.lm import SharedLM
from objectives.quantize import Device, find_device, load_base
from objectives.questions import Generation, ready
from search.errors import BadInput
from spaces import Quantization
from studies.bench_eval import TASKS, write_tasks
from studies.study import LmEval

Pair = tuple[SharedLM, HFLM]


@pytest.fixture(scope="module")
def device() -> Device:
    """The CPU in float32, as HFLM computes."""
    return replace(find_device(), autocast=False)


def pair(base: Base, device: Device) -> Pair:
    """Both classes around one model."""
    model = load_base(base, Quantization.BF16, device, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)
    return SharedLM(model, tokenizer, device), theirs


@pytest.fixture(scope="module")
def tiny(tiny_model: Path, device: Device) -> Pair:
    """Both classes around the tiny model."""
    return pair(resolve(str(tiny_model)), device)


@pytest.fixture(scope="module")
def smol(embedded: Base, device: Device) -> Pair:
    """Both classes around SmolLM2."""
    return pair(embedded, device)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's tasks: multiple choice, likelihood, generation, with and without shots."""
    folder = tmp_path_factory.mktemp("tasks")
    write_tasks(folder, 5)
    return folder


def samples(lm: Any, task: str, folder: Path, count: int) -> list[dict[str, Any]]:
    """What lm-eval logs of the first items."""
    loaded = harness.load(task, folder)
    loaded[task].set_fewshot_seed(harness.FEWSHOT_SEED)
    found = lm_eval.evaluate(
        lm,
        {"tasks": loaded, "groups": {}, "group_map": {}},
        samples={task: list(range(count))},
        bootstrap_iters=0,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
    )
    logged: list[dict[str, Any]] = found["samples"][task]
    return logged


@pytest.mark.slow
@pytest.mark.parametrize("task", ["choice", "choice-5shot-fixed", "likelihood", "generation"])
def test_scores_equal_hflms_item_by_item_on_smollm2(smol: Pair, tasks: Path, task: str) -> None:
    """Every metric, greedy flag and generated text is the same; log-likelihoods to rounding."""
    count = 2 if task == "generation" else 4
    ours, theirs = (samples(lm, task, tasks, count) for lm in smol)
    assert len(ours) == count
    for a, b in zip(ours, theirs, strict=True):
        assert a["doc_id"] == b["doc_id"]
        assert [a[m] for m in a["metrics"]] == [b[m] for m in b["metrics"]]
        for (mine,), (other,) in zip(a["resps"], b["resps"], strict=True):
            if isinstance(mine, str):
                assert mine == other
            else:
                assert mine[0] == pytest.approx(other[0], abs=2e-3)
                assert mine[1] == other[1]


@pytest.mark.slow
def test_teacher_forcing_spares_decoding_on_smollm2(
    smol: Pair, tasks: Path, tmp_path: Path
) -> None:
    """Of short exact answers nearly all; and each scores as if it had been decoded."""
    lm = smol[0]
    origin = LmEval(task="answer-5shot", include_path=tasks)
    (items,), leaves, _ = harness.draw("answer-5shot", origin, (5,), 0)
    harness.keep(leaves, tasks, tmp_path)
    questions = ready(items, lm, tmp_path)
    spared = 0
    for question in questions:
        assert isinstance(question, Generation)
        (forced,) = lm.forced(lm.layout(question.requests))
        text = question.foreseen(forced)
        (decoded,) = lm.answer([question.context], question.until, question.most)
        if text is not None:
            spared += 1
            assert question.score([text]) == question.score([decoded])
    assert spared >= 3


def instances(kind: str, arguments: list[tuple[Any, ...]]) -> list[Instance]:
    """Requests as lm-eval makes them."""
    return [Instance(kind, {}, args, 0, ("t", n, 1)) for n, args in enumerate(arguments)]


TEXTS = ["what is 3", "what is 3 plus 4 ?", "<|user|> what is 7 plus", " 1 2 3 ", ""]


def test_likelihoods_equal_hflms_in_all_corners(tiny: Pair) -> None:
    """Empty contexts, blanks at the seam, repeated and over-long requests."""
    arguments = [(context, f" {word}") for context in TEXTS for word in ("12", "12 13", "is 4 ?")]
    arguments += [("1 2 3 ", "4"), ("", "<end> 5"), (" ".join(["7"] * 300), " 8 9"), arguments[0]]
    ours, theirs = (lm.loglikelihood(instances("loglikelihood", arguments)) for lm in tiny)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]
    assert [x for x, _ in ours] == pytest.approx([x for x, _ in theirs], abs=1e-3)


def test_rolling_likelihoods_equal_hflms(tiny: Pair) -> None:
    """Texts longer than the context are scored in the same windows."""
    texts = [("what is 3 plus 4 ?",), (" ".join(str(n % 40) for n in range(700)),)]
    ours, theirs = (
        lm.loglikelihood_rolling(instances("loglikelihood_rolling", texts)) for lm in tiny
    )
    assert ours == pytest.approx(theirs, abs=1e-2)


@pytest.mark.parametrize("until", [[], ["7"], ["1", " 2"], ["no such text"], "9"])
def test_answers_equal_hflms(tiny: Pair, until: Any) -> None:
    """With stops, without, and with prompts that fill the context."""
    kwargs = {"until": until, "do_sample": False, "max_gen_toks": 20}
    long = " ".join(str(n % 40) for n in range(400))
    arguments = [(text, kwargs) for text in [*TEXTS[:3], "plus plus plus", long]]
    ours, theirs = (lm.generate_until(instances("generate_until", arguments)) for lm in tiny)
    assert ours == theirs


@pytest.mark.parametrize("change", [{"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2}])
def test_a_models_own_generation_settings_are_obeyed(tiny: Pair, change: dict[str, Any]) -> None:
    """What steers even greedy decoding is left to transformers."""
    kwargs = {"until": ["7"], "do_sample": False, "max_gen_toks": 12}
    arguments = [(text, kwargs) for text in TEXTS[:3]]
    config = tiny[0].model.generation_config
    before = {name: getattr(config, name) for name in change}
    plain = tiny[0].generate_until(instances("generate_until", arguments))
    try:
        config.update(**change)
        ours, theirs = (lm.generate_until(instances("generate_until", arguments)) for lm in tiny)
    finally:
        config.update(**before)
    assert ours == theirs
    assert ours != plain


@pytest.mark.parametrize("kwargs", [{"do_sample": True}, {"temperature": 0.7}])
def test_sampling_is_refused(tiny: Pair, kwargs: dict[str, Any]) -> None:
    """Two evaluations of one model must agree."""
    with pytest.raises(BadInput, match="samples its answers"):
        tiny[0].generate_until(instances("generate_until", [("1", {"until": []} | kwargs)]))


def test_an_answer_as_long_as_the_context_is_refused(tiny: Pair) -> None:
    """The remedy is named."""
    with pytest.raises(BadInput, match="max_gen_toks"):
        tiny[0].room(256)
    assert tiny[0].room(200) == 56


@pytest.mark.parametrize("more", [{"repetition_penalty": 1.5}, {"num_beams": 3}])
def test_a_tasks_own_generation_settings_are_obeyed(tiny: Pair, more: dict[str, Any]) -> None:
    """What greedy decoding cannot honour is left to transformers."""
    kwargs = {"until": ["7"], "do_sample": False, "max_gen_toks": 12} | more
    arguments = [(text, kwargs) for text in TEXTS[:3]]
    ours, theirs = (lm.generate_until(instances("generate_until", arguments)) for lm in tiny)
    assert ours == theirs


def test_every_end_of_turn_ends_an_answer(tiny: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's own, the tokenizer's, and special tokens that a task names as stops."""
    ours = tiny[0]
    monkeypatch.setattr(ours.model.generation_config, "eos_token_id", 5)
    pad = ours.tokenizer.pad_token
    assert ours.ends() == {5, ours.tokenizer.eos_token_id}
    assert ours.ends([pad, "7"]) == {5, ours.tokenizer.eos_token_id, ours.tokenizer.pad_token_id}


def test_a_model_that_obeys_no_mask_is_left_to_transformers(
    tiny: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slabs and shared prefixes need masks; answers and likelihoods stay HFLM's."""
    monkeypatch.setattr(tiny[0], "share", False)
    assert not tiny[0].simple
    kwargs = {"until": ["7"], "do_sample": False, "max_gen_toks": 9}
    arguments = [(text, kwargs) for text in TEXTS[:3]]
    ours, theirs = (lm.generate_until(instances("generate_until", arguments)) for lm in tiny)
    assert ours == theirs


def test_an_empty_choice_is_refused(tiny: Pair) -> None:
    """It has no likelihood."""
    with pytest.raises(BadInput, match="no token"):
        tiny[0].loglikelihood(instances("loglikelihood", [("what is", "")]))


def test_wrapping_leaves_the_model_as_it_was(tiny_model: Path, device: Device) -> None:
    """HFLM switches models to evaluation mode; a trial goes on training afterwards."""
    base = resolve(str(tiny_model))
    model = load_base(base, Quantization.BF16, device, trust_remote_code=False).train()
    SharedLM(model, AutoTokenizer.from_pretrained(base.path), device)
    assert model.training


def test_the_benchmark_names_every_kind(tasks: Path) -> None:
    """Multiple choice, few-shot, likelihood and generation are all timed."""
    kinds = {harness.load(task, tasks)[task].OUTPUT_TYPE for task in TASKS}
    assert kinds == {"multiple_choice", "loglikelihood", "generate_until"}


def test_a_released_model_is_gone(tiny_model: Path, device: Device) -> None:
    """Its memory may be needed for another base: nothing of the evaluation holds it."""
    lm = pair(resolve(str(tiny_model)), device)[0]
    model = weakref.ref(lm.model)
    lm.use(lm.model, exact=True, tell=lambda _: None)
    lm.release()
    gc.collect()
    assert model() is None
