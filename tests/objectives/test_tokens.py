"""Tokenised rows on disk: the same samples as in memory, made once, read as needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from objectives import tokens
from objectives.mixture import Sample
from objectives.rows import write_jsonl
from objectives.text import tokenise
from objectives.tokens import Tokens, tokenised
from tests.tiny import make_tiny_model, rows

SAMPLES = st.lists(
    st.lists(st.integers(0, 2**31), min_size=1, max_size=9).flatmap(
        lambda ids: st.builds(
            lambda start: Sample(tuple(ids), start, "x", 0), st.integers(0, len(ids) - 1)
        )
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    """The tiny model's tokenizer."""
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("RECIPE_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


@settings(max_examples=50, deadline=None)
@given(samples=SAMPLES, length=st.integers(0, 9))
def test_arrays_hold_the_samples(samples: list[Sample], length: int) -> None:
    """One by one, as a slice, and those that are short enough, each under its row's number."""
    numbered = [Sample(s.ids, s.start, "x", row) for row, s in enumerate(samples)]
    made = Tokens.of("x", samples)
    assert list(made) == made[:] == numbered
    short = [sample for sample in numbered if len(sample.ids) <= length]
    assert list(made.up_to(length)) == short
    assert made.up_to(length).lengths.tolist() == [len(sample.ids) for sample in short]
    assert made.up_to(length).trained == sum(sample.trained for sample in short)


def test_a_file_is_tokenised_once(
    tokenizer: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time nothing is tokenised; another content or template starts anew."""
    monkeypatch.setattr(tokens, "TOLD", 5)
    file = tmp_path / "mine.jsonl"
    write_jsonl(file, rows(12))
    told: list[str] = []
    first = tokenised(file, tokenizer, told.append)
    assert told == [f"tokenising mine: {count} rows" for count in (5, 10, 12)]
    assert list(first) == list(tokenise(rows(12), tokenizer, "mine"))
    again = tokenised(file, tokenizer, told.append)
    assert list(again) == list(first)
    assert len(told) == 3
    assert len(list(cache.iterdir())) == 1
    write_jsonl(file, rows(13))
    assert len(tokenised(file, tokenizer)) == 13
    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template + " ")
    tokenised(file, tokenizer)
    assert len(list(cache.iterdir())) == 3


def test_a_tokenising_that_failed_leaves_nothing(
    tokenizer: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torn file in the cache would be read as whole the next time."""
    file = tmp_path / "mine.jsonl"
    write_jsonl(file, rows(12))

    def fail(*_: Any) -> Any:
        yield from tokenise(rows(3), tokenizer, "mine")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tokens, "tokenise", fail)
        with pytest.raises(KeyboardInterrupt):
            tokenised(file, tokenizer)
    assert list(cache.iterdir()) == []
    assert len(tokenised(file, tokenizer)) == 12


def test_tokens_do_not_depend_on_what_is_tokenised_together(tiny_model: Path) -> None:
    """Padding or truncation by a tokenizer's own settings never reaches a sample."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    together = list(tokenise(rows(12), tokenizer, "x"))
    alone = [next(tokenise([row], tokenizer, "x", n)) for n, row in enumerate(rows(12))]
    assert together == alone


def test_rows_over_the_length_are_left_out_whole(tokenizer: Any) -> None:
    """Nothing is truncated in silence."""
    whole = Tokens.of("x", tokenise(rows(12), tokenizer, "x"))
    longest = max(len(sample.ids) for sample in whole)
    kept = whole.up_to(longest - 1)
    assert 0 < len(kept) < 12
    assert [sample for sample in whole if len(sample.ids) < longest] == list(kept)


def test_another_tokenizer_has_its_own_tokens(tokenizer: Any, tmp_path: Path, cache: Path) -> None:
    """Also one that differs in its vocabulary alone."""
    file = tmp_path / "mine.jsonl"
    write_jsonl(file, rows(4))
    tokenised(file, tokenizer)
    make_tiny_model(tmp_path / "other")
    other = AutoTokenizer.from_pretrained(tmp_path / "other")
    other.add_tokens(["plus"])
    tokenised(file, other)
    assert len(list(cache.iterdir())) == 2
