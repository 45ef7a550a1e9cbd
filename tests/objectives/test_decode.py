"""Greedy decoding in batches: the same tokens as transformers gives one prompt at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from objectives import decode as decoding
from objectives import slab
from objectives.attention import NAME, grouped, grouped_attention
from objectives.decode import decode
from objectives.forced import Forced, Layout, Request, force
from objectives.quantize import Device, find_device
from objectives.slab import plain_attention

MOST = 12
PROMPTS = st.lists(st.lists(st.integers(3, 30), min_size=1, max_size=15), min_size=1, max_size=7)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    """The tiny model."""
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


@pytest.fixture(scope="module")
def device() -> Device:
    """The CPU in float32, with prefills small enough that there are several."""
    return replace(find_device(), autocast=False, eval_tokens=40)


def greedy(model: Any, prompt: list[int], ends: set[int]) -> list[int]:
    """What a plain loop answers, its end included."""
    ids, made = list(prompt), []
    with torch.no_grad():
        for _ in range(MOST):
            made.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            ids.append(made[-1])
            if made[-1] in ends:
                break
    return made


@settings(max_examples=30, deadline=None)
@given(
    prompts=PROMPTS,
    preamble=st.lists(st.integers(3, 30), max_size=10),
    ends=st.sets(st.integers(0, 50), min_size=10, max_size=25),
    rows=st.integers(1, 4),
)
def test_batches_decode_what_each_prompt_decodes_alone(
    model: Any,
    device: Device,
    prompts: list[list[int]],
    preamble: list[int],
    ends: set[int],
    rows: int,
) -> None:
    """Padding, shared beginnings, rows that leave and batches change no token."""
    prompts = [[*preamble, *prompt] for prompt in prompts]

    def stop(tokens: list[int], looked: int) -> bool:
        return any(token in ends for token in tokens[looked:])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slab, "ROWS", {"cpu": rows})
        found = decode(model, prompts, stop, MOST, device, exact=True)
    for prompt, tokens in zip(prompts, found, strict=True):
        wanted = greedy(model, prompt, ends)
        assert tokens[: len(wanted)] == wanted
        assert len(tokens) <= MOST


@settings(max_examples=30, deadline=None)
@given(prompts=PROMPTS, drafts=st.integers(0, 6), positions=st.integers(1, 40))
def test_drafts_change_no_answer(
    model: Any, device: Device, prompts: list[list[int]], drafts: int, positions: int
) -> None:
    """However many tokens a step guesses, the answers stay greedy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "DRAFTS", {"cpu": drafts})
        patch.setattr(decoding, "POSITIONS", {"cpu": positions})
        found = decode(model, prompts, lambda *_: False, MOST, device, exact=True)
    assert found == [greedy(model, prompt, set()) for prompt in prompts]


class Cycle(torch.nn.Module):
    """A model that says 5 6 7 8 5 6 7 8 ... and counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            num_attention_heads=1, num_hidden_layers=1, hidden_size=4, _attn_implementation="eager"
        )
        self.passes = 0

    def get_decoder(self) -> Any:
        """States that are the tokens themselves."""

        def forward(input_ids: torch.Tensor, past_key_values: slab.Slab, **_: Any) -> Any:
            self.passes += 1
            new = input_ids[:, None, :, None].float()
            past_key_values.update(new, new, 0)
            return SimpleNamespace(last_hidden_state=input_ids[..., None].float())

        return forward

    def get_output_embeddings(self) -> Any:
        """One-hot logits of the next token of the cycle."""
        return lambda states: torch.nn.functional.one_hot(
            torch.where(states[..., 0] == 8, 5, states[..., 0].long() + 1), 10
        )

    def get_input_embeddings(self) -> Any:
        """Tells the type of the weights."""
        return SimpleNamespace(weight=torch.zeros(1))


@pytest.mark.parametrize(("drafts", "passes"), [(0, 1 + 11), (1, 1 + 6), (3, 1 + 3)])
def test_drafts_that_come_true_save_steps(
    device: Device, monkeypatch: pytest.MonkeyPatch, drafts: int, passes: int
) -> None:
    """What a prompt says before is guessed again; each step yields the drafts and one more."""
    monkeypatch.setattr(decoding, "DRAFTS", {"cpu": drafts})
    model = Cycle()
    (found,) = decode(model, [[5, 6, 7, 8, 5]], lambda *_: False, MOST, device, exact=True)
    assert found == [6, 7, 8, 5] * 3
    assert model.passes == passes


@pytest.mark.parametrize("length", [1, 5])
def test_grouped_attention_is_transformers_own(model: Any, length: int) -> None:
    """Without a copy of keys and values for every head; the setting is put back."""
    made = torch.Generator().manual_seed(0)
    query = torch.randn(3, 6, length, 8, generator=made)
    key, value = (torch.randn(3, 2, 9, 8, generator=made) for _ in range(2))
    mask = torch.zeros(3, 1, length, 9).masked_fill(
        torch.rand(3, 1, length, 9, generator=made) > 0.7, float("-inf")
    )
    mask[..., 0] = 0
    layer: Any = torch.nn.Module()
    layer.num_key_value_groups = 3
    own, _ = sdpa_attention_forward(layer, query, key, value, mask, scaling=0.3)
    ours, _ = grouped_attention(layer, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(ours, own)
    with grouped(model):
        assert model.config._attn_implementation == NAME
    assert model.config._attn_implementation == "sdpa"


def test_looking_seldom_changes_no_answer(
    model: Any, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where several steps lie between two looks."""
    prompts = [[3, 4, 5], [6, 7], [8]]
    often = decode(model, prompts, lambda *_: False, MOST, device, exact=True)
    monkeypatch.setattr(decoding, "LOOK", {"cpu": 8})
    assert decode(model, prompts, lambda *_: False, MOST, device, exact=True) == often
    assert all(len(tokens) == MOST for tokens in often)


@pytest.mark.parametrize(
    ("config", "plain"),
    [
        ({}, True),
        ({"layer_types": ["full_attention", "full_attention"]}, True),
        ({"layer_types": ["sliding_attention", "full_attention"]}, False),
        ({"sliding_window": 4096}, False),
        ({"sliding_window": 4096, "use_sliding_window": False}, True),
        ({"sliding_window": None}, True),
    ],
)
def test_models_with_windows_are_left_to_transformers(config: dict[str, Any], plain: bool) -> None:
    """A slab and a mask say all there is only where every layer sees everything."""
    assert plain_attention(SimpleNamespace(**config)) is plain


@settings(max_examples=30, deadline=None)
@given(
    prompts=PROMPTS,
    preamble=st.lists(st.integers(3, 30), max_size=6),
    answers=st.lists(st.lists(st.integers(3, 30), min_size=1, max_size=15), min_size=7, max_size=7),
    spared=st.sets(st.integers(0, 6)),
    rows=st.integers(1, 4),
)
def test_expected_answers_are_judged_as_teacher_forcing_does(
    model: Any,
    device: Device,
    prompts: list[list[int]],
    preamble: list[int],
    answers: list[list[int]],
    spared: set[int],
    rows: int,
) -> None:
    """And change nothing for the prompts that are then decoded; the others are not."""
    prompts = [[*preamble, *prompt] for prompt in prompts]
    expected = answers[: len(prompts)]
    told: dict[int, Forced] = {}

    def known(number: int, forced: Forced) -> bool:
        told[number] = forced
        return number in spared

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slab, "ROWS", {"cpu": rows})
        found = decode(
            model,
            prompts,
            lambda *_: False,
            MOST,
            device,
            exact=True,
            expected=expected,
            known=known,
        )
    requests = [
        Request((*prompt, *answer), len(prompt))
        for prompt, answer in zip(prompts, expected, strict=True)
    ]
    alone = force(model, Layout(requests, model.config, device, share=False), device, exact=True)
    for number, (prompt, tokens) in enumerate(zip(prompts, found, strict=True)):
        assert told[number].logprobs == pytest.approx(alone[number].logprobs, abs=1e-4)
        assert told[number].choices == alone[number].choices
        assert tokens == ([] if number in spared else greedy(model, prompt, set()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and -m gpu")
def test_captured_steps_decode_as_steps_one_by_one(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CUDA graph gives the same tokens, also after rows have left the batch."""
    device = find_device()
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    model = model.to(device.torch_device).eval()
    prompts = [[3 + n % 20, *range(4, 4 + n % 5), 7] for n in range(24)]
    steps: list[decoding.Step] = []
    made = decoding.Step.__init__

    def remember(self: decoding.Step, *arguments: Any) -> None:
        made(self, *arguments)
        steps.append(self)

    monkeypatch.setattr(decoding.Step, "__init__", remember)

    def some(tokens: list[int], _: int) -> bool:
        return len(tokens) > 1 + sum(tokens[:1]) % 40  # rows leave at different times

    graphs = decode(model, prompts, some, 64, device, exact=True)
    assert steps[-1].captured
    monkeypatch.setattr(decoding.Step, "_capture", lambda self: setattr(self, "captured", False))
    one_by_one = decode(model, prompts, some, 64, device, exact=True)
    assert not steps[-1].captured
    for a, b in zip(graphs, one_by_one, strict=True):
        assert a == b
