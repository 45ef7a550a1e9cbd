"""A random model small enough for milliseconds, and rows that it can learn."""

from __future__ import annotations

import json
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }} <end>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
WORDS = ["<pad>", "<unk>", "<end>", "<|system|>", "<|user|>", "<|assistant|>", "\n"]
DIGITS = [str(n) for n in range(40)]


def make_tiny_model(folder: Path, *, chat_template: bool = True) -> None:
    """Write a two-layer Llama with seeded random weights and a word-level tokenizer."""
    import torch  # noqa: PLC0415  # most tests need no torch
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415  # likewise
    from transformers import (  # noqa: PLC0415  # likewise
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
    )

    words = [*WORDS, *DIGITS, "plus", "is", "what", "?"]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    )
    if chat_template:
        fast.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            pad_token_id=0,
            eos_token_id=2,
            tie_word_embeddings=False,
        )
    )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


def rows(count: int, step: int = 1, offset: int = 0) -> list[dict[str, object]]:
    """Chat rows asking for a + step; lengths differ, so that packing has something to do."""
    made: list[dict[str, object]] = []
    for number in range(count):
        a, b = number % 20, (number // 20 + offset) % 20
        question = " ".join(["what is", str(b)] + [f"plus {a}"] * (1 + number % 3) + ["?"])
        made.append(
            {
                "messages": [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": str((a * step + b) % 40)},
                ]
            }
        )
    return made


def write_rows(path: Path, count: int, step: int = 1, offset: int = 0) -> Path:
    """`rows` as a JSONL file."""
    lines = [json.dumps(row) + "\n" for row in rows(count, step, offset)]
    path.write_text("".join(lines), encoding="utf-8")
    return path
