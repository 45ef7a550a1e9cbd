"""Notes for optuna-dashboard: whatever a run's texts hold, Markdown acts on our own signs only."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from optuna.trial import TrialState

from search.notes import study_note, trial_note
from search.store import Record
from spaces import Recipe
from studies.demo import study

IMAGE = "![](http://somewhere.example/x.png)"
OURS = {"strong_open", "strong_close", "code_inline", "text", "hardbreak", "softbreak"}
"""What our notes have within a line."""
BLOCKS = {
    *("paragraph_open", "paragraph_close", "inline"),
    *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
}


def record_with(text: str) -> Record:
    """A pruned trial that has a text of the user wherever one can be."""
    recipe = study().experts[0].recipe.to_dict() | {"extra": {"prompt": text}}
    return Record(
        number=0,
        state=TrialState.PRUNED,
        bracket=0,
        origin=text,
        recipe=Recipe.from_dict(recipe),
        params=MappingProxyType({}),
        distributions=MappingProxyType({}),
        reason=text,
    )


def notes_with(text: str) -> tuple[str, str]:
    """The notes of a trial and of its study."""
    summary = {
        "finalists": [],
        "winner_reason": text,
        "plan": None,
        "base_model": None,
        "model": text,
        "device": text,
        "heldout_tasks": [text],
        "final": None,
    }
    facts: Any = SimpleNamespace(summary=summary, records=(record_with(text),), unit="GPU-hours")
    job = {"study": text, "seed": 0, "budget_s": 60.0}
    return trial_note(facts, record_with(text), 0), study_note(facts, job, text)


def check(note: str, items: int) -> None:
    """Raise unless Markdown sees paragraphs and one list item per line of ours, and no more."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(note)
    assert {token.type for token in tokens} <= BLOCKS
    assert sum(token.type == "list_item_open" for token in tokens) == items
    for token in tokens:
        assert {child.type for child in token.children or []} <= OURS


@pytest.mark.parametrize("sign", ["`", "``", "```", "`` ` ``", "\n\n", "<b>", "**", "\\`"])
def test_no_sign_ends_the_code_that_it_stands_in(sign: str) -> None:
    """What follows it would be live: an image is a request to whoever wrote it."""
    of_trial, of_study = notes_with(f"a {sign} {IMAGE} {sign} b")
    check(of_trial, items=5)
    check(of_study, items=9)
    assert "GPU-hours" in of_study


@pytest.mark.parametrize(
    "sign", ["-", "+", "*", "1.", "12)", "#", ">", "---", "===", "~~~", "<div>"]
)
def test_no_line_that_is_broken_begins_something_else(sign: str) -> None:
    """A list, a heading, a quotation, a fence: wherever the break falls."""
    for before in range(60, 110):
        check(notes_with(f"{'a' * before} {sign} {IMAGE} b")[0], items=5)


@given(st.text(alphabet="ab 1`*_-+=#>.)|~:<\\![](\n", max_size=150))
def test_no_text_of_a_run_acts_in_a_note(text: str) -> None:
    """Of all signs of Markdown, in any order."""
    for note, items in zip(notes_with(f"x{text}x"), (5, 9), strict=True):
        check(note, items)
