"""A recipe's model that answers requests: base and adapter, many prompts at once."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Sequence
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import DynamicCache

from objectives.generator import Ask, Prompt, Tell, Token, Wanted, check_ids, too_long
from objectives.model import text_config
from objectives.pieces import Pieces, spans
from objectives.quantize import Device
from objectives.row import Row
from objectives.sampling import choose
from objectives.slab import rows_of
from search.errors import BadInput, WorkerFailed, brief

LEAVE = 0.75
"""Rows that are done leave the batch once this share of it, or less, is still going on."""
SCORED = 256
"""Tokens of a prompt whose logits over the whole vocabulary are computed together."""
STAND_IN = "<<prompt>>"
"""Shows where a chat template writes a message."""


class ModelGenerator:
    """A `Generator` of a causal language model."""

    def __init__(self, model: Any, tokenizer: Any, device: Device, *, raw: bool) -> None:
        """Nothing is computed yet.

        Args:
            model: of transformers, with its adapter, on the device.
            tokenizer: its tokenizer; with a chat template unless `raw`.
            device: what to compute on.
            raw: give prompts to the model as they are; else as one message of a user's.
        """
        self.model, self.tokenizer, self.device, self.raw = model, tokenizer, device, raw
        config = text_config(model.config)
        most = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
        self.context = int(min(most, 2**31))
        """Tokens of prompt and answer."""
        own = getattr(model.generation_config, "eos_token_id", None)
        listed = own if isinstance(own, list) else [own]
        self.ends = {end for end in (*listed, tokenizer.eos_token_id) if end is not None}
        """Tokens that end an answer; they are no part of it."""
        self._takes = set(inspect.signature(model.forward).parameters)
        self._lock = threading.Lock()  # a tokenizer of the tokenizers library is not for many

    def read(self, ask: Ask) -> Prompt:
        """See `Generator.read`."""
        written = ask.prompt if self.raw else self._wrapped(ask.prompt)
        offsets = ask.echo and bool(ask.prompt)
        if offsets and not self.tokenizer.is_fast:
            raise BadInput("echo_prompt: this model's tokenizer does not tell where tokens lie")
        with self._lock:
            found = self.tokenizer(
                written, add_special_tokens=self.raw, return_offsets_mapping=offsets
            )
        ids = tuple(found["input_ids"]) or self._beginning()
        if len(ids) + ask.max_new_tokens > self.context:
            raise BadInput(too_long(len(ids), ask.max_new_tokens, self.context))
        echoed: Sequence[tuple[int, str]] = ()
        if offsets:
            first, end = self._placed(ask.prompt, written)
            echoed = spans(found["offset_mapping"], written, first, end)
        return Prompt(ask=ask, ids=ids, echoed=tuple(echoed))

    def _wrapped(self, prompt: str) -> str:
        message = {"role": "user", "content": prompt}
        try:
            written: str = self.tokenizer.apply_chat_template(
                [message], tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise BadInput(f"the chat template refuses this prompt ({brief(error)})") from None
        return written

    def _beginning(self) -> tuple[int, ...]:
        """What stands for an empty prompt."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return (token,)
        raise BadInput("the prompt is empty, and the tokenizer has no token to begin with")

    def _placed(self, prompt: str, written: str) -> tuple[int, int]:
        """Where the prompt begins and ends in what the model reads; templates may strip it."""
        if self.raw:
            return 0, len(written)
        before, found, _ = self._wrapped(STAND_IN).partition(STAND_IN)
        for shown in (prompt, prompt.strip()):
            if found and written.startswith(before + shown):
                return len(before), len(before) + len(shown)
        raise BadInput("echo_prompt: the chat template rewrites this prompt; serve with --raw")

    def tokenize(self, text: str) -> list[int]:
        """See `Generator.tokenize`."""
        with self._lock:
            ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """See `Generator.decode`."""
        check_ids(tokens, len(self.tokenizer))
        with self._lock:
            found: str = self.tokenizer.decode(
                list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        return found

    def answer(self, prompts: Sequence[Prompt], tell: Tell, wanted: Wanted) -> None:
        """See `Generator.answer`."""
        left = sorted(range(len(prompts)), key=lambda k: -len(prompts[k].ids))
        with torch.no_grad():
            while left:
                new = max(prompts[k].ask.max_new_tokens for k in left)
                width = len(prompts[left[0]].ids) + new
                count = rows_of(self.model.config, width, self.device)
                rows = [self._row(k, prompts[k]) for k in left[:count] if wanted(k)]
                left = left[count:]
                self._answer(rows, tell, wanted)

    def _row(self, place: int, prompt: Prompt) -> Row:
        """An answer to a message stands by itself; without a template the text goes on."""
        return Row(place, prompt, Pieces(self.tokenizer, prompt.ids if self.raw else ()))

    def _answer(self, rows: list[Row], tell: Tell, wanted: Wanted) -> None:
        """Answer one batch."""
        for row in [row for row in rows if not row.prompt.ask.max_new_tokens]:
            rows.remove(row)
            tell(row.place, row.answer(self._echo(row.prompt)))
        if not rows:
            return
        cache = DynamicCache(config=self.model.config)
        logits, mask = self._prefill([row.prompt.ids for row in rows], cache)
        told: set[Row] = set()
        while True:
            chosen = self._choose(logits, rows)
            for row in (row for row in rows if row not in told):
                if row.done and wanted(row.place):
                    tell(row.place, row.answer(self._echo(row.prompt)))
                row.done = row.done or not wanted(row.place)
                if row.done:
                    told.add(row)
            going = [k for k, row in enumerate(rows) if not row.done]
            if not going:
                return
            if len(going) <= LEAVE * len(rows):
                kept = torch.tensor(going, device=chosen.device)
                cache.batch_select_indices(kept)
                chosen, mask, rows = chosen[kept], mask[kept], [rows[k] for k in going]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            logits = self._forward(chosen[:, None], mask, cache)[:, -1]

    def _choose(self, logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
        """The next token of each row, [B], from [B, V] logits; rows that go on take theirs."""
        chosen = choose(logits, [row.chooser for row in rows])
        logprobs = logits.log_softmax(-1)
        own = logprobs.gather(-1, chosen[:, None])[:, 0].tolist()
        for row, token, logprob, ranked in zip(
            rows, chosen.tolist(), own, _ranked(logprobs, rows), strict=True
        ):
            if row.done:
                continue
            if token in self.ends:
                row.finish()
            else:
                row.take(token, _finite(logprob), ranked)
        return chosen

    def _prefill(
        self, prompts: Sequence[Sequence[int]], cache: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the prompts' keys and values, ends aligned.

        Returns:
            (logits after each prompt, float32 [B, V]; mask [B, T], 1 where a token is).
        """
        width = max(map(len, prompts))
        ids = torch.zeros(len(prompts), width, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for k, prompt in enumerate(prompts):
            ids[k, width - len(prompt) :] = torch.tensor(prompt)
            mask[k, width - len(prompt) :] = 1
        ids, mask = ids.to(self.device.torch_device), mask.to(self.device.torch_device)
        size = max(1, self.device.eval_tokens // len(prompts))
        logits = torch.empty(0)
        for begin in range(0, width, size):
            end = min(begin + size, width)
            logits = self._forward(ids[:, begin:end], mask[:, :end], cache)
        return logits[:, -1], mask

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: Any, keep: int = 1
    ) -> torch.Tensor:
        """Logits of the last `keep` of new tokens [B, T], float32; mask is [B, all so far + T]."""
        options: dict[str, Any] = {}
        if "position_ids" in self._takes:
            positions = (mask.cumsum(-1) - 1)[:, -ids.shape[1] :]
            options["position_ids"] = positions.clamp(min=0, max=self.context - 1)
        if "logits_to_keep" in self._takes:
            options["logits_to_keep"] = keep
        out = self.model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **options
        )
        logits: torch.Tensor = out.logits[:, -keep:].float()
        return logits

    def _echo(self, prompt: Prompt) -> list[Token]:
        """The prompt's own tokens; the first has nothing before it, so its logprob is 0."""
        if not prompt.echoed:
            return []
        (_, first), *others = prompt.echoed
        found = [Token(text=first, logprob=0.0)]
        cache = DynamicCache(config=self.model.config)
        target = self.device.torch_device
        ids = torch.tensor([prompt.ids], device=target)
        parts = dict(others)
        for begin in range(0, max(parts, default=0), SCORED):
            end = min(begin + SCORED, max(parts))
            mask = torch.ones(1, end, dtype=torch.int64, device=target)
            logits = self._forward(ids[:, begin:end], mask, cache, keep=end - begin)
            logprobs = logits[0].log_softmax(-1)
            ranks = logprobs.topk(min(prompt.ask.candidates, logprobs.shape[-1]), dim=-1)
            own = logprobs.gather(-1, ids[0, begin + 1 : end + 1, None])[:, 0].tolist()
            for k, place in enumerate(range(begin + 1, end + 1)):
                if place in parts:
                    named = {
                        parts[place] if token == prompt.ids[place] else self._alone(token): likely
                        for token, likely in zip(
                            ranks.indices[k].tolist(), ranks.values[k].tolist(), strict=True
                        )
                        if math.isfinite(likely)
                    }
                    value = _finite(own[k])
                    found.append(Token(text=parts[place], logprob=value, candidates=named))
        return found

    def _alone(self, token: int) -> str:
        return Pieces(self.tokenizer).name(token)


def _finite(logprob: float) -> float:
    """A logprob that JSON can hold."""
    if not math.isfinite(logprob):
        raise WorkerFailed("the model's logits are not numbers")
    return logprob


def _ranked(logprobs: torch.Tensor, rows: Sequence[Row]) -> list[list[tuple[int, float]]]:
    """The most likely tokens of every row, as many as any row reports: (token, logprob)."""
    count = min(max(row.prompt.ask.candidates for row in rows), logprobs.shape[-1])
    values, tokens = logprobs.topk(count, dim=-1)
    return [
        [(token, value) for token, value in zip(*pair, strict=True) if math.isfinite(value)]
        for pair in zip(tokens.tolist(), values.tolist(), strict=True)
    ]
