"""Our language model class for lm-eval: the same answers as its own HFLM, with less work.

All that decides what is asked (tokenisation, chat template, truncation, windows) is HFLM's; only
how the model is run differs: see objectives.forced and objectives.decode.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    has_bos_prefix,
    normalize_gen_kwargs,
    postprocess_generated_text,
)

from objectives.decode import Known, decode
from objectives.forced import Forced, Layout, Request, force
from objectives.harness import PLAIN
from objectives.quantize import Device
from objectives.slab import plain_attention
from search.errors import BadInput

PLAIN_BATCH = 8
"""Prompts that HFLM decodes together where our own decoding does not do."""
HALF = "\ufffd"
"""What part of a character decodes to."""
STEERING = (
    "repetition_penalty",
    "no_repeat_ngram_size",
    "min_length",
    "min_new_tokens",
    "bad_words_ids",
    "sequence_bias",
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "num_beams",
    "guidance_scale",
    "exponential_decay_length_penalty",
    "stop_strings",
)
"""Fields of a model's generation_config that change even its greedy answers."""

Pair = tuple[str, str]
"""(context, continuation)"""


class SharedLM(HFLM):  # type: ignore[misc]  # lm-eval publishes no types
    """HFLM that computes shared prefixes once, the head only where needed, and decodes in graphs.

    Use it as any lm-eval model: `lm_eval.simple_evaluate(model=SharedLM(...), ...)`. Batch sizes
    follow from token counts; lm-eval's own are ignored.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        device: Device,
        *,
        exact: bool = True,
        share: bool = True,
        whole_head: bool = False,
        tell: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Wrap a resident model; nothing is copied.

        Args:
            model: a causal language model of transformers, with or without an adapter.
            tokenizer: its tokenizer.
            device: where it lies.
            exact: compute in the base's stored precision, as HFLM does.
            share: compute common beginnings once (needs a model that obeys masks).
            whole_head: run the model's own head over all positions.
            tell: told the share done of each call, in [0, 1].
        """
        logger = logging.getLogger("lm_eval.models.huggingface")
        level = logger.level
        logger.setLevel(logging.ERROR)  # it warns of ready-made models, which is what we have
        training = model.training
        try:
            super().__init__(
                pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=PLAIN_BATCH
            )
        finally:
            logger.setLevel(level)
            model.train(training)  # HFLM leaves every model in evaluation mode
        self.device_of_job = device
        self.exact = exact
        self.share = share and plain_attention(model.config)
        self.whole_head = whole_head
        self.tell = tell
        self._encoded: dict[str, list[int]] = {}
        self._texts: list[frozenset[str]] | None = None

    def use(self, model: Any, *, exact: bool, tell: Callable[[float], None]) -> None:
        """Go on with another model of the same architecture and tokenizer."""
        self._model = self.pretrained = model  # lm-eval keeps it twice
        self.exact, self.tell = exact, tell

    def release(self) -> None:
        """Let go of the model: `use` must give another before anything is asked."""
        self._model = self.pretrained = None

    # ------------------------------------------------------------------ tokens

    def encode_all(self, texts: Iterable[str]) -> None:
        """Tokenise texts in one go, as `tok_encode` would one by one, and remember them."""
        bos = self.tokenizer.decode(self.prefix_token_id)
        new = sorted({text for text in texts if text not in self._encoded})
        for with_bos in (True, False):
            group = [text for text in new if has_bos_prefix(text, bos) is with_bos]
            if group:
                special = {"add_special_tokens": False} if with_bos else {}
                ids = self.tokenizer(group, **special)["input_ids"]
                self._encoded.update(zip(group, ids, strict=True))

    def forget(self) -> None:
        """Drop remembered tokens."""
        self._encoded.clear()

    def pair(self, context: str, continuation: str) -> Request:
        """Tokens of a continuation after a context, as HFLM would feed them to the model.

        Raises:
            BadInput: the continuation has no token.
        """
        if context == "":
            after = self.tok_encode(continuation, add_special_tokens=False)
            before = [self.prefix_token_id]
            if after and after[0] == self.prefix_token_id:
                before, after = after[:1], after[1:]
            return self._request(before, after, continuation)
        blanks = len(context) - len(context.rstrip())
        text = context[:-blanks] if blanks else context
        self.encode_all([context + continuation, text])
        whole, before = self._encoded[context + continuation], self._encoded[text]
        return self._request(before, whole[len(before) :], continuation)

    def _request(self, before: Sequence[int], after: Sequence[int], continuation: str) -> Request:
        if not after:
            raise BadInput(
                f"the continuation {continuation!r} has no token after its context; "
                "mend the task's choices or target_delimiter"
            )
        ids = [*before, *after][-(self.max_length + 1) :]
        return Request(tuple(ids), len(ids) - min(len(after), len(ids) - 1))

    # -------------------------------------------------------------- likelihood

    def layout(self, requests: Sequence[Request]) -> Layout:
        """Lay requests out for this model."""
        return Layout(
            requests,
            self.model.config,
            self.device_of_job,
            share=self.share,
            whole_head=self.whole_head,
        )

    def forced(self, layout: Layout) -> list[Forced]:
        """Teacher forcing with this model."""
        return force(
            self.model,
            layout,
            self.device_of_job,
            exact=self.exact,
            whole_head=self.whole_head,
            tell=self.tell,
        )

    def loglikelihood(
        self,
        requests: list[Any],
        disable_tqdm: bool = False,  # noqa: ARG002  # lm-eval's signature
    ) -> list[tuple[float, bool]]:
        """(log-likelihood, whether greedy decoding gives it) of each (context, continuation)."""
        pairs: list[Pair] = [request.args for request in requests]
        self.encode_all(
            text
            for context, continuation in pairs
            if context
            for text in (context.rstrip() or context, context + continuation)
        )
        found = self.forced(self.layout([self.pair(*pair) for pair in pairs]))
        return [(one.logprob, one.greedy) for one in found]

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,  # noqa: ARG002  # lm-eval's signature
        override_bs: int | None = None,  # noqa: ARG002  # likewise
    ) -> list[tuple[float, bool]]:
        """What HFLM's rolling likelihood asks for: windows of tokens."""
        found = self.forced(self.layout([self._request(b, a, "") for _, b, a in requests]))
        return [(one.logprob, one.greedy) for one in found]

    # -------------------------------------------------------------- generation

    def generate_until(
        self,
        requests: list[Any],
        disable_tqdm: bool = False,  # noqa: ARG002  # lm-eval's signature
    ) -> list[str]:
        """Greedy answers, each cut before its first stop sequence.

        Raises:
            BadInput: a task asks for sampling or beams, whose answers no two runs repeat.
        """
        answers = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(repr(request.args[1]), []).append(number)
        for members in groups.values():
            kwargs = requests[members[0]].args[1]
            until, most = self.options(kwargs)
            contexts = [requests[number].args[0] for number in members]
            odd = {key: value for key, value in kwargs.items() if key not in PLAIN}
            texts = (
                self._as_hflm(contexts, until, most, **odd)
                if odd
                else self.answer(contexts, until, most)
            )
            for number, text in zip(members, texts, strict=True):
                answers[number] = text
        return answers

    def options(self, gen_kwargs: dict[str, Any]) -> tuple[list[str], int]:
        """(stop sequences, most tokens) of a task's generation_kwargs.

        Raises:
            BadInput: they ask for something other than greedy decoding.
        """
        kwargs: dict[str, Any] = dict(normalize_gen_kwargs(gen_kwargs, self.max_gen_toks))
        until = handle_stop_sequences(
            kwargs.pop("until", None),
            eos=self.tok_decode(self.eot_token_id, skip_special_tokens=False),
        )
        most = kwargs.pop("max_gen_toks")
        if kwargs.get("do_sample"):
            raise BadInput(
                "the task samples its answers (do_sample in generation_kwargs), which no two "
                "evaluations repeat; set do_sample: false"
            )
        return until, most

    def room(self, most: int) -> int:
        """Tokens of a context that leave room for an answer of `most`.

        Raises:
            BadInput: there is none.
        """
        if most >= self.max_length:
            raise BadInput(
                f"an answer of {most} tokens leaves no room for a prompt in the model's context of "
                f"{self.max_length}; set max_gen_toks in the task's generation_kwargs"
            )
        return int(self.max_length - most)

    def answer(
        self,
        contexts: Sequence[str],
        until: list[str],
        most: int,
        *,
        expected: Sequence[Sequence[int]] | None = None,
        known: Known = lambda *_: False,
    ) -> list[str]:
        """Greedy answers to contexts, at most `most` tokens, cut before the first stop.

        `expected` and `known` spare decoding: see `objectives.decode.decode`; only where `simple`.
        """
        room = self.room(most)
        if not self.simple:
            return self._as_hflm(contexts, until, most)
        ends = self.ends(until)
        prompts = [ids[-room:] for ids in map(self.context, contexts)]
        tokens = decode(
            self.model,
            prompts,
            self._stopper(until, ends),
            most,
            self.device_of_job,
            exact=self.exact,
            tell=self.tell,
            expected=expected,
            known=known,
        )
        found = []
        for ids in tokens:
            end = next((k for k, token in enumerate(ids) if token in ends), len(ids))
            text = self.tok_decode(ids[:end])
            found.append(postprocess_generated_text(text, until, None))
        return found

    @property
    def simple(self) -> bool:
        """Whether greedy decoding is no more than the argmax of what the head says."""
        config = getattr(self.model, "generation_config", None)
        steered = any(getattr(config, name, None) not in (None, 0, 1, []) for name in STEERING)
        return self.share and not self.whole_head and not steered

    def _as_hflm(
        self, contexts: Sequence[str], until: list[str], most: int, **odd: Any
    ) -> list[str]:
        """HFLM's own way, for models and options that `decode` does not do."""
        options = {"until": until, "do_sample": False, "max_gen_toks": most, **odd}
        requests = [
            Instance("generate_until", {}, (context, dict(options)), 0, (None, number, 1))
            for number, context in enumerate(contexts)
        ]
        with torch.no_grad(), self.device_of_job.precision(exact=self.exact):
            found: list[str] = super().generate_until(requests, disable_tqdm=True)
        return found

    def context(self, text: str) -> list[int]:
        """Tokens of a context as HFLM makes them for generation."""
        special = {}
        if has_bos_prefix(text, getattr(self.tokenizer, "bos_token", None)):
            special = {"add_special_tokens": False}
        ids: list[int] = self.tokenizer(text, **special)["input_ids"]
        return ids or [self.prefix_token_id]

    def after(self, text: str, answer: str) -> list[int]:
        """Tokens of an answer after a context, as a model that reads the context would write it."""
        before, whole = self.context(text), self.context(text + answer)
        if whole[: len(before)] == before and len(whole) > len(before):
            return whole[len(before) :]
        ids: list[int] = self.tokenizer(answer, add_special_tokens=False)["input_ids"]
        return ids

    def ends(self, until: Sequence[str] = ()) -> set[int]:
        """Tokens that end an answer: the model's, the tokenizer's, and special ones in `until`.

        Special tokens leave no text behind, so a stop that is one is looked for as a token.
        """
        config = getattr(self.model, "generation_config", None)
        eos = getattr(config, "eos_token_id", None)
        known = set(eos) if isinstance(eos, list) else {eos}
        special = set(self.tokenizer.all_special_ids)
        named = {self.tokenizer.convert_tokens_to_ids(term) for term in until}
        return {t for t in known if t is not None} | {self.eot_token_id} | (named & special)

    def _stopper(self, until: list[str], ends: set[int]) -> Callable[[list[int], int], bool]:
        """Whether an answer is complete; decodes text only where a token can end a stop."""
        last = {term[-1] for term in until if term}
        texts = self.token_texts()

        def finished(tokens: list[int], looked: int) -> bool:
            new = tokens[looked:]
            if any(token in ends for token in new):
                return True
            if not any(last & texts[token] or HALF in texts[token] for token in new):
                return False
            text = self.tok_decode(tokens)
            return any(term in text for term in until if term)

        return finished

    def token_texts(self) -> list[frozenset[str]]:
        """The characters of each token of the model's vocabulary; HALF for part of a character."""
        if self._texts is None:
            size = self.model.get_output_embeddings().weight.shape[0]
            known = min(size, len(self.tokenizer))
            texts = self.tokenizer.batch_decode([[i] for i in range(known)])
            raw = self.tokenizer.convert_ids_to_tokens(list(range(known)))
            made = [
                frozenset(text) | ({" "} if token.startswith("▁") else set())
                for text, token in zip(texts, raw, strict=True)
            ]
            self._texts = made + [frozenset()] * (size - known)
        return self._texts
