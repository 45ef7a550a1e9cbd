"""From chat rows to samples: the chat template, tokens, and where the answer begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from objectives.mixture import Sample
from objectives.rows import TEMPLATE, Row
from search.errors import BadInput

TOGETHER = 512
"""Rows that are tokenised together."""


def check_template(tokenizer: Any, model: str, file: Path) -> str | None:
    """Make sure that the tokenizer has a chat template: its own, or else the job's.

    Args:
        tokenizer: of transformers; it is given the job's template if it has none.
        model: its name.
        file: the job's template, which need not exist.

    Returns:
        What was decided, if anything was.

    Raises:
        BadInput: neither has one.
    """
    if tokenizer.chat_template:
        return None
    if not file.is_file():
        raise BadInput(
            f"--model {model}: its tokenizer has no chat template; choose an instruction-tuned "
            f"model, set the study's chat_template, or add a {TEMPLATE} file to its folder"
        )
    tokenizer.chat_template = file.read_text(encoding="utf-8")
    return "conversations are written in the study's chat template: the tokenizer has none"


def tokenise(rows: Iterable[Row], tokenizer: Any, source: str, first: int = 0) -> Iterator[Sample]:
    """Tokenise chat rows; the answer is the last message, down to its end-of-turn token.

    Prompt and answer are tokenised apart, so that the answer's tokens are those a model is asked
    for when it gets the prompt alone.

    Args:
        rows: of the source, in order.
        tokenizer: of transformers, with a chat template.
        source: its name.
        first: number of the first row.

    Raises:
        BadInput: the chat template refuses a row.
    """
    numbered = enumerate(rows, first)
    while some := list(islice(numbered, TOGETHER)):
        texts = [_texts(row, tokenizer, f"{source}, row {number}") for number, row in some]
        prompts = tokenizer([p for p, _ in texts], add_special_tokens=False)["input_ids"]
        answers = tokenizer([a for _, a in texts], add_special_tokens=False)["input_ids"]
        for (number, _), before, after in zip(some, prompts, answers, strict=True):
            ids = tuple(before + _to_end(after, tokenizer.eos_token_id))
            yield Sample(ids, len(before), source, number)


def _texts(row: Row, tokenizer: Any, where: str) -> tuple[str, str]:
    """(prompt, answer with its end of turn) as the chat template writes them."""
    *asked, answer = row["messages"]
    try:
        prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        full = tokenizer.apply_chat_template(row["messages"], tokenize=False)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in row["messages"])
        raise BadInput(
            f"{where}: the model's chat template refuses messages of the roles {roles} ({error})"
        ) from None
    if not full.startswith(prompt):
        # The template rewrites history; fall back to the answer's bare text and the end of turn.
        full = prompt + answer["content"] + (tokenizer.eos_token or "")
    return prompt, full[len(prompt) :]


def _to_end(answer: list[int], end: int | None) -> list[int]:
    """An answer's tokens without what follows the end of turn: that is never generated."""
    if end not in answer:
        return answer
    return answer[: len(answer) - answer[::-1].index(end)]


def item_sample(item: Row, tokenizer: Any, number: int) -> Sample:
    """The sample whose answer tokens must all be the model's first choice."""
    answer = {"role": "assistant", "content": item["answer"]}
    row = {"messages": [*item["messages"], answer]}
    return next(tokenise([row], tokenizer, item["task"], number))
