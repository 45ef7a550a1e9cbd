"""Teacher forcing over shared prefixes: the same numbers as one request at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from objectives.forced import WIDTHS, Layout, Request, Row, common, force, lay_out
from objectives.quantize import Device, find_device

TOKENS = st.lists(st.integers(3, 9), min_size=1, max_size=12).map(tuple)


@st.composite
def request_lists(draw: st.DrawFn) -> list[Request]:
    """Questions with several continuations, some of which begin alike, and lone ones."""
    made = []
    preamble = draw(st.lists(st.integers(3, 9), max_size=20).map(tuple))
    for _ in range(draw(st.integers(1, 4))):
        context = preamble + draw(TOKENS)
        made += [
            Request(context + choice, len(context))
            for choice in draw(st.lists(TOKENS, min_size=1, max_size=4))
        ]
    return draw(st.permutations(made))


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    """The tiny model."""
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


@pytest.fixture(scope="module")
def device() -> Device:
    """The CPU in float32, with batches small enough that there are several."""
    return replace(find_device(), autocast=False, eval_tokens=200)


def alone(model: Any, request: Request) -> list[torch.Tensor]:
    """Log-probabilities over the vocabulary at each continuation token, by a plain call."""
    with torch.no_grad():
        logits = model(torch.tensor([request.ids])).logits[0].log_softmax(-1)
    return [logits[k - 1] for k in range(request.start, len(request.ids))]


@settings(max_examples=40, deadline=None)
@given(requests=request_lists())
@pytest.mark.parametrize("share", [True, False])
def test_shared_prefixes_change_no_number(
    model: Any, device: Device, share: bool, requests: list[Request]
) -> None:
    """Every log-probability and first choice is that of a plain call with the request alone."""
    layout = Layout(requests, model.config, device, share=share)
    for request, found in zip(requests, force(model, layout, device, exact=True), strict=True):
        plain = alone(model, request)
        target = request.ids[request.start :]
        wanted = [float(p[t]) for p, t in zip(plain, target, strict=True)]
        assert found.logprobs == pytest.approx(wanted, abs=1e-4)
        assert found.greedy == all(int(p.argmax()) == t for p, t in zip(plain, target, strict=True))


@settings(max_examples=40, deadline=None)
@given(requests=request_lists(), cost=st.floats(0, 0.1))
def test_every_request_is_laid_out_once_and_prefixes_only_once_a_row(
    requests: list[Request], cost: float
) -> None:
    """No continuation token is lost or doubled, and no row holds one prefix twice."""
    rows = lay_out(requests, cost, share=True)
    wanted = [(n, k) for row in rows for n, k, _ in row.wanted]
    assert sorted(wanted) == [
        (n, k) for n, r in enumerate(requests) for k in range(len(r.ids) - r.start)
    ]
    for row in rows:
        assert len(row.ids) <= max(WIDTHS)
        assert len(set(paths(row))) == len(row.ids)


def paths(row: Row) -> list[tuple[int, ...]]:
    """The tokens from the root to each node, by the rule of who sees whom."""
    return [tuple(row.ids[j] for j in range(i + 1) if row.ends[j] > i) for i in range(len(row.ids))]


def test_the_choices_of_a_question_share_its_context(model: Any, device: Device) -> None:
    """Four continuations of a long context cost the context once."""
    context = tuple(3 + n % 7 for n in range(60))
    requests = [Request((*context, c, c), 60) for c in (3, 4, 5, 6)]
    layout = Layout(requests, model.config, device, share=True)
    assert layout.nodes == 60 + 4
    assert Layout(requests, model.config, device, share=False).nodes == 4 * 61


def test_one_token_choices_need_no_mask(model: Any, device: Device) -> None:
    """They are all predicted by the context's last token: plain causal attention does."""
    requests = [Request((5, 6, 7, choice), 3) for choice in (8, 9, 10)]
    (batch,) = Layout(requests, model.config, device, share=True).batches
    assert "attention_mask" not in batch.inputs(torch.device("cpu"))


def test_no_request_gives_no_result(model: Any, device: Device) -> None:
    """An items file may be empty."""
    assert force(model, Layout([], model.config, device, share=True), device, exact=True) == []


@given(a=st.lists(st.integers(0, 1), max_size=9), b=st.lists(st.integers(0, 1), max_size=9))
def test_the_common_beginning_is_the_longest(a: Sequence[int], b: Sequence[int]) -> None:
    """As counted one by one."""
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    assert common(a, b) == count
