"""Text from a recipe's model: the model's own choices, whatever a request is batched with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from objectives import slab
from objectives.base import Base
from objectives.generate import ModelGenerator
from objectives.generator import Answer, Ask
from objectives.pieces import Pieces, cut, spans, stop_at
from objectives.quantize import find_device, load_base
from objectives.sampling import Chooser, choose
from objectives.tuned import load
from search.errors import BadInput, WorkerFailed
from search.read_recipe import read_recipe
from spaces import Quantization
from tests.recipes import make_recipe
from tests.tiny import make_tiny_model

PROMPTS = [
    "what is 3 plus 4 ?",
    "7",
    "what is 12 plus 30 plus 30 plus 30 ?",
    "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    "",
]
GREEDY = Ask(prompt=PROMPTS[0], max_new_tokens=12, temperature=0.0)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Of so small a model, each operation is slower when it is shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipe(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe folder with an adapter that says much."""
    return make_recipe(tmp_path_factory.mktemp("recipe") / "recipe", tiny_model, scale=4.0)


def loaded(recipe: Path, model: Path, *, raw: bool) -> ModelGenerator:
    """The recipe, with prefills small enough that there are several."""
    facts = read_recipe(recipe)
    made = load(recipe, facts, str(model), raw=raw, trust_remote_code=False, say=lambda _: None)
    made.device = replace(made.device, eval_tokens=40)
    return made


@pytest.fixture(scope="module")
def raw(recipe: Path, tiny_model: Path) -> ModelGenerator:
    """Prompts go to the model as they are."""
    return loaded(recipe, tiny_model, raw=True)


@pytest.fixture(scope="module")
def chat(recipe: Path, tiny_model: Path) -> ModelGenerator:
    """Prompts are written in the chat template."""
    return loaded(recipe, tiny_model, raw=False)


def answers(generator: ModelGenerator, asks: Sequence[Ask]) -> list[Answer]:
    """All of them together."""
    found: dict[int, Answer] = {}
    prompts = [generator.read(ask) for ask in asks]
    generator.answer(prompts, found.__setitem__, lambda _: True)
    return [found[place] for place in range(len(asks))]


def answer(generator: ModelGenerator, ask: Ask) -> Answer:
    """One alone."""
    return answers(generator, [ask])[0]


def plain(generator: ModelGenerator, ask: Ask) -> tuple[list[int], list[float]]:
    """Greedy tokens of transformers' own loop without their end, and logprobs of plain passes."""
    prompt = list(generator.read(ask).ids)
    made = generator.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        max_new_tokens=ask.max_new_tokens,
        do_sample=False,
        pad_token_id=0,
    )[0].tolist()
    with torch.no_grad():
        logprobs = generator.model(torch.tensor([made])).logits[0].log_softmax(-1)
    values = [float(logprobs[k - 1, made[k]]) for k in range(len(prompt), len(made))]
    tokens = made[len(prompt) :]
    if tokens and tokens[-1] in generator.ends:
        tokens, values = tokens[:-1], values[:-1]
    return tokens, values


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("mode", ["raw", "chat"])
def test_greedy_is_what_transformers_generates(
    mode: str, prompt: str, request: pytest.FixtureRequest
) -> None:
    """Token for token, with the logprobs of a forward pass without a cache."""
    generator: ModelGenerator = request.getfixturevalue(mode)
    ask = replace(GREEDY, prompt=prompt, max_new_tokens=20)
    tokens, values = plain(generator, ask)
    found = answer(generator, ask)
    assert [token.logprob for token in found.tokens] == pytest.approx(values, abs=1e-4)
    text = generator.tokenizer.decode(tokens, skip_special_tokens=True)
    assert found.text.strip() == text.strip()
    assert found.text == "".join(token.text for token in found.tokens)
    assert found.logprob == pytest.approx(sum(values), abs=1e-3)


def test_helm_s_temperature_is_greedy(raw: ModelGenerator) -> None:
    """Its client sends 1e-7 for 0."""
    assert answer(raw, replace(GREEDY, temperature=1e-7)) == answer(raw, GREEDY)


ASKS = st.builds(
    Ask,
    prompt=st.sampled_from(PROMPTS) | st.text("0123 ", max_size=40),
    max_new_tokens=st.integers(0, 12),
    temperature=st.sampled_from([0.0, 0.0, 1.0]),
    seed=st.integers(0, 99),
    top_k=st.sampled_from([0, 3, 200]),
    echo=st.booleans(),
    candidates=st.integers(0, 3),
    stop=st.sampled_from([(), (" 2",), ("\n", "28"), ("",)]),
)


@settings(max_examples=15, deadline=None)
@given(asks=st.lists(ASKS, min_size=2, max_size=6), rows=st.integers(1, 5))
def test_a_batch_changes_no_answer(raw: ModelGenerator, asks: list[Ask], rows: int) -> None:
    """Padding, rows that end early, other rules and random numbers of the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slab, "ROWS", {"cpu": rows})
        together = answers(raw, asks)
    for ask, found in zip(asks, together, strict=True):
        alone = answer(raw, ask)
        assert found.text == alone.text
        assert [t.text for t in found.tokens] == [t.text for t in alone.tokens]
        assert found.logprob == pytest.approx(alone.logprob, abs=1e-3)


def test_a_seed_draws_the_same_text_again(raw: ModelGenerator) -> None:
    """Another one draws another, and so does none."""
    ask = replace(GREEDY, temperature=1.0, seed=5)
    again = answers(raw, [replace(ask, seed=seed) for seed in (5, 5, 6, None, None)])
    texts = [found.text for found in again]
    assert texts[0] == texts[1] == answer(raw, ask).text
    assert len(set(texts)) == 4


def drawn(raw: ModelGenerator, **rules: Any) -> set[str]:
    """The first tokens that many seeds draw."""
    asks = [replace(GREEDY, max_new_tokens=1, seed=k, **rules) for k in range(200)]
    return {found.text for found in answers(raw, asks)}


def test_top_k_and_top_p_restrict_what_is_drawn(raw: ModelGenerator) -> None:
    """Over many seeds, exactly the most likely tokens are drawn."""
    (first,) = answer(raw, replace(GREEDY, max_new_tokens=1, candidates=51)).tokens
    ranked = list(first.candidates)
    shares = [math.exp(value) for value in first.candidates.values()]
    assert sum(shares) == pytest.approx(1.0, abs=1e-4)
    assert drawn(raw, temperature=1.0, top_k=3) == set(ranked[:3])
    assert drawn(raw, temperature=1.0, top_k=1) == set(ranked[:1])
    assert drawn(raw, temperature=1.0, top_p=0.0) == set(ranked[:1])
    most = sum(shares[:3]) + shares[3] / 2
    assert drawn(raw, temperature=1.0, top_p=most) == set(ranked[:4])
    assert len(drawn(raw, temperature=1.0)) > 20
    assert len(drawn(raw, temperature=0.01)) < 3


def test_draws_have_the_model_s_probabilities() -> None:
    """Top-p counts what top-k has left; rows keep their own rules."""
    logits = torch.tensor([0.5, 0.25, 0.15, 0.1]).log().expand(4000, 4)
    asks = [Ask(prompt="", temperature=1.0, seed=k) for k in range(4000)]
    chosen = choose(logits, [Chooser(ask) for ask in asks])
    shares = torch.bincount(chosen, minlength=4) / 4000
    assert torch.allclose(shares, logits[0].exp(), atol=0.03)
    both = [replace(ask, top_k=3, top_p=0.8) for ask in asks]
    shares = torch.bincount(choose(logits, [Chooser(ask) for ask in both]), minlength=4) / 4000
    assert shares[:2].tolist() == pytest.approx([2 / 3, 1 / 3], abs=0.03)
    mixed = [Chooser(replace(asks[0], temperature=0.0)), Chooser(replace(asks[1], top_k=1))]
    assert choose(logits[:2], mixed).tolist() == [0, 0]


def test_a_stop_sequence_that_spans_tokens_ends_the_text_before_it(raw: ModelGenerator) -> None:
    """Neither text nor tokens hold it; a token that it begins within is cut."""
    whole = answer(raw, GREEDY)
    parts = [token.text for token in whole.tokens]
    stop = parts[4][-1] + parts[5] + parts[6][:2]
    end = whole.text.index(stop)
    found = answer(raw, replace(GREEDY, stop=("never", stop)))
    assert found.text == whole.text[:end] == "".join(token.text for token in found.tokens)
    assert len(found.tokens) < len(parts)
    assert [t.logprob for t in found.tokens] == pytest.approx(
        [t.logprob for t in whole.tokens[: len(found.tokens)]], abs=1e-4
    )
    assert answer(raw, replace(GREEDY, stop=(parts[0],))) == Answer(text="", tokens=())
    assert answer(raw, replace(GREEDY, stop=("",))).text == whole.text


def test_candidates_are_the_most_likely_tokens(raw: ModelGenerator) -> None:
    """As many as asked for, by logprob; none if 0."""
    (first, *_) = answer(raw, replace(GREEDY, candidates=5)).tokens
    values = list(first.candidates.values())
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    assert next(iter(first.candidates)) == first.text
    assert values[0] == first.logprob
    assert answer(raw, replace(GREEDY, candidates=0)).tokens[0].candidates == {}


@pytest.mark.parametrize("mode", ["raw", "chat"])
def test_an_echoed_prompt_comes_with_its_logprobs(
    mode: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a plain pass over what the model reads gives them; the first is 0."""
    monkeypatch.setattr("objectives.generate.SCORED", 3)
    generator: ModelGenerator = request.getfixturevalue(mode)
    ask = replace(GREEDY, echo=True, candidates=2)
    ids = generator.read(ask).ids
    with torch.no_grad():
        logprobs = generator.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    own = generator.tokenize(ask.prompt)
    begin = ids.index(own[0])
    wanted = [float(logprobs[begin + k - 1, token]) for k, token in enumerate(own)]
    found = answer(generator, ask)
    continued = answer(generator, replace(ask, echo=False))
    assert found.text == ask.prompt + continued.text
    assert "".join(token.text for token in found.tokens) == found.text
    assert len(found.tokens) == len(own) + len(continued.tokens)
    logged = [token.logprob for token in found.tokens[: len(own)]]
    assert logged == pytest.approx([0.0, *wanted[1:]], abs=1e-4)
    assert all(len(token.candidates) == 2 for token in found.tokens[1:])
    only = answer(generator, replace(ask, max_new_tokens=0))
    assert only == Answer(text=ask.prompt, tokens=found.tokens[: len(own)])


def test_a_template_may_strip_what_is_echoed_but_not_rewrite_it(chat: ModelGenerator) -> None:
    """The echo is what was sent; where its tokens cannot be told, that is said."""
    own = chat.tokenizer.chat_template
    asked = replace(GREEDY, prompt=" 3 plus 4 ", echo=True, max_new_tokens=0)
    try:
        chat.tokenizer.chat_template = own.replace("message['content']", "message['content']|trim")
        found = answer(chat, asked)
        assert found.text == asked.prompt
        assert "".join(token.text for token in found.tokens) == "3 plus 4"
        chat.tokenizer.chat_template = own.replace(
            "message['content']", "message['content']|reverse"
        )
        with pytest.raises(BadInput, match="rewrites this prompt"):
            chat.read(asked)
        chat.tokenizer.chat_template = "{{ raise_exception('no users here') }}"
        with pytest.raises(BadInput, match="no users here"):
            chat.read(asked)
    finally:
        chat.tokenizer.chat_template = own


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(raw: ModelGenerator) -> None:
    """Prompt and new tokens share the context."""
    fitting = replace(GREEDY, prompt="3 " * 246, max_new_tokens=10)
    assert len(answer(raw, fitting).tokens) <= 10
    with pytest.raises(BadInput, match=r"247 tokens.* is 10.* is 256: .* at most 246"):
        raw.read(replace(fitting, prompt="3 " * 247))
    with pytest.raises(BadInput, match="room for 256"):
        raw.read(replace(fitting, max_new_tokens=256))


def test_an_empty_prompt_begins_with_the_tokenizers_own_token(raw: ModelGenerator) -> None:
    """Or is refused if there is none."""
    assert raw.read(replace(GREEDY, prompt="")).ids == (2,)
    end = raw.tokenizer.eos_token
    try:
        raw.tokenizer.eos_token = None
        with pytest.raises(BadInput, match="the prompt is empty"):
            raw.read(replace(GREEDY, prompt=""))
    finally:
        raw.tokenizer.eos_token = end


def test_tokens_are_decoded_to_their_text(raw: ModelGenerator) -> None:
    """Special ones too; what is no token is refused."""
    ids = raw.tokenize("what is <end> 3")
    assert raw.decode(ids) == "what is <end> 3"
    with pytest.raises(BadInput, match=r"token 51 .* 0 to 50"):
        raw.decode([51])


def test_rows_that_nobody_waits_for_leave(raw: ModelGenerator) -> None:
    """The others are answered."""
    told: dict[int, Answer] = {}
    prompts = [raw.read(replace(GREEDY, prompt=prompt)) for prompt in PROMPTS[:3]]
    raw.answer(prompts, told.__setitem__, lambda place: place == 1)
    assert list(told) == [1]
    assert told[1].text == answer(raw, prompts[1].ask).text


def test_a_model_that_computes_no_numbers_says_so(
    raw: ModelGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of answering with NaN, which is no JSON."""
    monkeypatch.setattr(
        raw, "_forward", lambda ids, *_, **__: torch.full((*ids.shape, 51), math.nan)
    )
    for ask in (GREEDY, replace(GREEDY, echo=True, max_new_tokens=0)):
        with pytest.raises(WorkerFailed, match="not numbers"):
            answer(raw, ask)


def test_the_adapter_counts_and_must_fit(recipe: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The base alone answers otherwise; another base is refused in one line."""
    facts = read_recipe(recipe)
    other = make_recipe(tmp_path / "recipe", tiny_model, scale=0.0)
    base = loaded(other, tiny_model, raw=True)
    tuned = loaded(recipe, tiny_model, raw=True)
    assert answer(base, GREEDY).text != answer(tuned, GREEDY).text
    make_tiny_model(tmp_path / "bare", chat_template=False)
    said: list[str] = []
    made = load(
        recipe, facts, str(tmp_path / "bare"), raw=False, trust_remote_code=False, say=said.append
    )
    assert made.raw
    assert any("no chat template" in line for line in said)
    assert any("another revision" in line for line in said)
    small = tmp_path / "small"
    make_tiny_model(small)
    config = (small / "config.json").read_text(encoding="utf-8")
    (small / "config.json").write_text(config.replace('"hidden_size": 64', '"hidden_size": 32'))
    with pytest.raises(BadInput, match="cannot load it") as caught:
        load(recipe, facts, str(small), raw=False, trust_remote_code=False, say=said.append)
    assert "\n" not in str(caught.value)
    (recipe / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(BadInput, match="does not fit the base model"):
        load(recipe, facts, str(tiny_model), raw=False, trust_remote_code=False, say=said.append)


TEXTS = st.lists(st.text(max_size=8) | st.just("<|im_end|>"), max_size=4).map("".join)


@pytest.fixture(scope="module")
def tokenizer(embedded: Base) -> Any:
    """The embedded model's: bytes, merged."""
    return AutoTokenizer.from_pretrained(embedded.path)


@settings(max_examples=100, deadline=None)
@example(text="\x16", before="")
@example(text="\x16a", before="")
@given(text=TEXTS, before=st.sampled_from(["", "a é ", "<|im_end|>"]))
def test_pieces_and_spans_make_up_the_text(tokenizer: Any, text: str, before: str) -> None:
    """Characters of several tokens included."""
    ids = tokenizer(text)["input_ids"]
    pieces = Pieces(tokenizer, tokenizer(before)["input_ids"])
    found = [pieces.add(token) for token in ids]
    whole = "".join(found) + pieces.rest()
    assert whole == tokenizer.decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    encoded = tokenizer(before + text, return_offsets_mapping=True)
    first, end = len(before), len(before + text)
    placed = spans(encoded["offset_mapping"], before + text, first, end)
    if not any(stop > first for _, stop in encoded["offset_mapping"]):
        assert not placed  # a text that the tokenizer has no token for
        return
    assert "".join(part for _, part in placed) == text


def test_where_a_text_stops() -> None:
    """At the first stop sequence; what was searched before is searched again where it matters."""
    assert stop_at("abcabc", ("ca", "bc")) == 1
    assert stop_at("abcabc", ("x",)) is None
    assert stop_at("abcabc", ()) is None
    assert stop_at("ab.\nc", (".\n",), looked=3) == 2
    assert cut((), None) == Answer(text="", tokens=())


def test_the_embedded_model_answers(embedded: Base) -> None:
    """A chat model, greedy, in its own template: it says what everybody knows."""
    device = find_device()
    model = load_base(embedded, Quantization.BF16, device, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(embedded.path)
    generator = ModelGenerator(model, tokenizer, device, raw=False)
    ask = Ask(prompt="What is the capital of France?", temperature=0.0, stop=(" Paris",))
    assert answer(generator, ask).text.endswith("capital of France is")
