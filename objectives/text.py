"""From chat rows to samples: the chat template, tokens, and where the answer begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jinja2 import TemplateError

from objectives.mixture import Sample
from objectives.rows import Row
from search.errors import BadInput


def check_template(tokenizer: Any, model: str) -> None:
    """Raise BadInput if the tokenizer has no chat template."""
    if not tokenizer.chat_template:
        raise BadInput(
            f"--model {model}: its tokenizer has no chat template; choose an instruction-tuned "
            "model, or add a chat_template.jinja file to its folder"
        )


def to_sample(row: Row, tokenizer: Any, source: str, number: int) -> Sample:
    """Tokenise a chat row; the answer is the last message, down to its end-of-turn token.

    Prompt and answer are tokenised apart, so that the answer's tokens are those a model is asked
    for when it gets the prompt alone.
    """
    *asked, answer = row["messages"]
    try:
        prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        full = tokenizer.apply_chat_template(row["messages"], tokenize=False)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in row["messages"])
        raise BadInput(
            f"{source}, row {number}: the model's chat template refuses messages of the roles "
            f"{roles} ({error})"
        ) from None
    if not full.startswith(prompt):
        # The template rewrites history; fall back to the answer's bare text and the end of turn.
        full = prompt + answer["content"] + (tokenizer.eos_token or "")
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = tokenizer(full[len(prompt) :], add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    if end in after:
        last = len(after) - 1 - after[::-1].index(end)
        after = after[: last + 1]  # what follows the end of turn is never generated
    return Sample(tuple(before + after), len(before), source, number)


def to_samples(
    rows: Iterable[Row], tokenizer: Any, source: str, max_length: int
) -> tuple[list[Sample], int]:
    """Tokenise rows; returns (samples, number of rows dropped for being over `max_length`)."""
    samples = [to_sample(row, tokenizer, source, n) for n, row in enumerate(rows)]
    kept = [sample for sample in samples if len(sample.ids) <= max_length]
    return kept, len(samples) - len(kept)


def item_sample(item: Row, tokenizer: Any, number: int) -> Sample:
    """The sample whose answer tokens must all be the model's first choice."""
    answer = {"role": "assistant", "content": item["answer"]}
    row = {"messages": [*item["messages"], answer]}
    return to_sample(row, tokenizer, item["task"], number)
