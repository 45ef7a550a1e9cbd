"""Greedy decoding of many prompts at once: what a model answers when it is left to itself.

The keys and values of all rows lie in one slab per layer. The prompts' common beginning is computed
once; rows that are done leave the batch; on a CUDA device the step is captured as a graph, because
a small model's step is bound by the launching of its kernels. A step also computes a few drafted
tokens per row, those that followed the row's last tokens when they last occurred in it (prompt
lookup decoding, Saxena 2023), and keeps those that the model would have chosen itself: answers stay
greedy, and a step often yields more than one token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from objectives.attention import grouped
from objectives.forced import Forced, Targets, common, predict
from objectives.model import text_config
from objectives.quantize import Device
from objectives.slab import Slab, rows_of

LOOK = {"cpu": 1, "cuda": 8}
"""Steps between two looks at what was decoded: looking makes a GPU wait."""
LEAVE = {"cpu": 0.75, "cuda": 0.4}
"""The batch is made smaller once this share of its rows, or less, is still going on: on a CUDA
device that costs a new graph."""
DRAFTS = {"cpu": 2, "cuda": 0}
"""Most drafted tokens per row and step. On a CUDA device the slowest of some hundred rows needs
nearly as many steps with drafts, and rows that leave one by one cost graphs."""
POSITIONS = {"cpu": 48, "cuda": 4096}
"""Positions of a step, over all rows, up to which drafts cost little."""
GRAM = 3
"""A draft follows the last occurrence of this many of the last tokens, or of fewer."""
ALIGNED = 8
"""Slabs' widths are multiples of this: fast kernels for masked attention ask for it."""

Known = Callable[[int, Forced], bool]
"""(prompt, what the model makes of its expected answer) -> whether its answer is known by that."""
Stop = Callable[[list[int], int], bool]
"""(tokens decoded, how many of them were looked at before) -> whether the answer is complete."""


def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stop: Stop,
    most: int,
    device: Device,
    *,
    exact: bool,
    tell: Callable[[float], None] = lambda _: None,
    expected: Sequence[Sequence[int]] | None = None,
    known: Known = lambda *_: False,
) -> list[list[int]]:
    """Greedy continuations.

    Args:
        model: a causal language model of transformers, all of whose layers are full attention.
        prompts: token ids, none empty.
        stop: tells when an answer is complete; more tokens may have been decoded.
        most: tokens after which an answer ends in any case.
        device: what to compute on.
        exact: compute in the base's stored precision.
        tell: told the share done, in [0, 1].
        expected: tokens of each prompt's expected answer, none empty: before anything is decoded
            the model's opinion of them is told to `known`, at little cost, since the prompts are
            computed already.
        known: a prompt whose answer it knows is not decoded.

    Returns:
        For each prompt its tokens, at most `most`; those after the stop are the caller's to cut.
        Empty for prompts whose answer was known.
    """
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), tuple(prompts[i])))
    found: list[list[int]] = [[] for _ in prompts]
    longest = max(map(len, expected or [()]), default=0)
    done = 0
    with torch.no_grad(), grouped(model):
        while done < len(order):
            width = len(prompts[order[done]]) + max(most + max(DRAFTS.values()), longest)
            members = order[done : done + rows_of(model.config, width, device)]
            wanted = [list(expected[i]) for i in members] if expected is not None else []
            own = Decoding(
                model,
                [list(prompts[i]) for i in members],
                most,
                device,
                exact=exact,
                expected=wanted,
            )
            answers = own.run(
                stop,
                lambda k, forced, of=members: known(of[k], forced),  # type: ignore[misc]
                _part(tell, done / len(order), len(members) / len(order)),
            )
            for i, answer in zip(members, answers, strict=True):
                found[i] = answer
            done += len(members)
    return found


def _part(tell: Callable[[float], None], first: float, share: float) -> Callable[[float], None]:
    """Tell of a part as of a share of the whole."""
    return lambda done: tell(first + share * done)


class Decoding:
    """One batch of prompts on its way."""

    def __init__(
        self,
        model: Any,
        prompts: list[list[int]],
        most: int,
        device: Device,
        *,
        exact: bool,
        expected: list[list[int]],
    ) -> None:
        self.model, self.prompts, self.most, self.device = model, prompts, most, device
        self.exact, self.expected = exact, expected
        self.shared = 0
        if len(prompts) > 1:
            first, last = min(prompts), max(prompts)
            self.shared = min(common(first, last), min(map(len, prompts)) - 1)
        kind = device.torch_device.type
        width = max(map(len, prompts)) + max([most + DRAFTS[kind], *map(len, expected)])
        self.slab = Slab(len(prompts), -(-width // ALIGNED) * ALIGNED)
        text = text_config(model.config)
        self._furthest = (getattr(text, "max_position_embeddings", None) or 2**31) - 1
        """Last position the model knows: drafts after an answer's end must not leave it."""
        weight = model.get_input_embeddings().weight
        half = device.autocast and not exact
        self._mask_type = torch.get_autocast_dtype(kind) if half else weight.dtype

    def precision(self) -> AbstractContextManager[Any]:
        """Context of a forward pass."""
        return self.device.precision(exact=self.exact)

    def run(self, stop: Stop, known: Known, tell: Callable[[float], None]) -> list[list[int]]:
        """Decode until every row is complete."""
        answers: list[list[int]] = [[] for _ in self.prompts]
        last, opinions = self.prefill()
        going = list(range(len(self.prompts)))
        if self.expected:
            going = [k for k in going if not known(k, opinions[k])]
        if going:
            step = Step(self, self.choice(last))
            if len(going) < len(self.prompts):
                step.keep(going)
            self._go_on(step, going, answers, stop, tell)
        tell(1.0)
        return [answer[: self.most] for answer in answers]

    def _go_on(
        self,
        step: Step,
        going: list[int],
        answers: list[list[int]],
        stop: Stop,
        tell: Callable[[float], None],
    ) -> None:
        """Step until the answers of all rows that are `going` are complete."""
        kind = self.device.torch_device.type
        complete: set[int] = set()
        while True:
            for k, i in enumerate(going):
                if i not in complete:
                    looked = len(answers[i])
                    answers[i] += step.decoded(k)[looked:]
                    if stop(answers[i], looked) or len(answers[i]) >= self.most:
                        complete.add(i)
            alive = [k for k, i in enumerate(going) if i not in complete]
            if not alive:
                return
            if len(alive) <= LEAVE[kind] * len(going):
                step.keep(alive)
                going = [going[k] for k in alive]
            tell(min(len(answers[i]) for i in going if i not in complete) / self.most)
            step.advance(LOOK[kind])

    def prefill(self) -> tuple[torch.Tensor, list[Forced]]:
        """Compute the prompts' keys and values.

        The expected answers are read behind them, where decoding overwrites what they leave.

        Returns:
            (the prompts' last states, [B, H]; teacher forcing of the expected answers, if any).
        """
        if self.shared:
            self.states((0, 1), np.array([self.prompts[0][: self.shared]]), 0)
            self.slab.share(self.shared)
        answers = self.expected or [[] for _ in self.prompts]
        rows = [p[self.shared :] + a for p, a in zip(self.prompts, answers, strict=True)]
        lasts, opinions = [], []
        size = max(1, self.device.eval_tokens // max(map(len, rows)))
        for begin in range(0, len(rows), size):
            end = min(begin + size, len(rows))
            states = self.states((begin, end), _padded(rows[begin:end]), self.shared)
            ends = np.array([len(prompt) - self.shared for prompt in self.prompts[begin:end]])
            places = torch.from_numpy(ends - 1).to(states.device)
            lasts.append(states[torch.arange(end - begin, device=states.device), places])
            if self.expected:
                opinions += self._opinions(states, ends - 1, self.expected[begin:end])
        return torch.cat(lasts), opinions

    def _opinions(
        self, states: torch.Tensor, first: np.ndarray, answers: Sequence[list[int]]
    ) -> list[Forced]:
        """Teacher forcing of answers from [B, T, H] states, predicted from places `first`, [B]."""
        width = states.shape[1]
        lengths = np.array([len(answer) for answer in answers])
        ends = np.cumsum(lengths)
        starts = np.arange(len(answers)) * width + first - (ends - lengths)
        tokens = np.array([token for answer in answers for token in answer])
        logprobs, choices = predict(
            states.reshape(-1, states.shape[-1]),
            self.model.get_output_embeddings(),
            Targets(
                np.repeat(starts, lengths) + np.arange(len(tokens)), np.arange(len(tokens)), tokens
            ),
            self.device,
            exact=self.exact,
        )
        return [
            Forced.of(logprobs[end - len(answer) : end], choices[end - len(answer) : end], answer)
            for answer, end in zip(answers, ends.tolist(), strict=True)
        ]

    def states(self, span: tuple[int, int], tokens: np.ndarray, first: int) -> torch.Tensor:
        """[B, T, H] states of the new tokens [B, T] of the rows `span`, from a column on."""
        target = self.device.torch_device
        columns = torch.arange(first, first + tokens.shape[1], device=target)
        ids = torch.from_numpy(tokens).to(target)
        return self.step_states(span, ids, columns.expand(ids.shape), first + tokens.shape[1])

    def step_states(
        self, span: tuple[int, int], tokens: torch.Tensor, columns: torch.Tensor, limit: int
    ) -> torch.Tensor:
        """As `states`, from what lies on the device: [B, T] tokens and columns below `limit`."""
        self.slab.at(span, columns, limit)
        later = torch.arange(limit, device=columns.device) > columns[:, None, :, None]
        mask = torch.zeros(later.shape, dtype=self._mask_type, device=columns.device)
        mask.masked_fill_(later, float("-inf"))
        with self.precision():
            out = self.model.get_decoder()(
                input_ids=tokens,
                position_ids=columns.clamp(max=self._furthest),
                attention_mask=mask,
                past_key_values=self.slab,
                use_cache=True,
            )
        states: torch.Tensor = out.last_hidden_state
        return states

    def choice(self, states: torch.Tensor) -> torch.Tensor:
        """The first choice after each of [..., H] states: [...] int64."""
        with self.precision():
            logits: torch.Tensor = self.model.get_output_embeddings()(states)
        return logits.argmax(-1)


def _padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """[B, T] int64, filled up with zeros at the end."""
    found = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for b, row in enumerate(rows):
        found[b, : len(row)] = row
    return found


class Step:
    """The decoding step: one token or more for every row, again and again."""

    def __init__(self, batch: Decoding, first: torch.Tensor) -> None:
        """Begin with the [B] first tokens of the answers."""
        self.batch = batch
        target = batch.device.torch_device
        lengths = torch.tensor([len(prompt) for prompt in batch.prompts], device=target)
        self.starts = lengths
        """[B] where the answers begin."""
        tokens = np.zeros((len(batch.prompts), batch.slab.width + 1), dtype=np.int64)
        tokens[:, : max(map(len, batch.prompts))] = _padded(batch.prompts)
        self.tokens = torch.from_numpy(tokens).to(target)
        """[B, width + 1] prompts and what was decoded; then what was rejected."""
        self.tokens.scatter_(1, lengths[:, None], first[:, None])
        self.known = lengths + 1
        """[B] how many of the tokens are known; the last one's keys and values are not yet."""
        self.graph: Any = None
        self.captured = target.type == "cuda"
        """Whether a graph is to be captured; a model that cannot be captured turns it off."""
        self._look()

    @property
    def drafts(self) -> int:
        """Drafted tokens per row."""
        kind = self.tokens.device.type
        return max(0, min(DRAFTS[kind], POSITIONS[kind] // len(self.tokens) - 1))

    def decoded(self, row: int) -> list[int]:
        """The tokens of a row's answer, as of the last look."""
        first, end = int(self._starts[row]), int(self._known[row])
        tokens: list[int] = self._tokens[row, first:end].tolist()
        return tokens

    def _look(self) -> None:
        """Copy the state to where Python reads it; a GPU is waited for."""
        self._tokens, self._known = self.tokens.cpu().numpy(), self.known.cpu().numpy()
        self._starts = self.starts.cpu().numpy()

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows only."""
        chosen = torch.tensor(rows, device=self.tokens.device)
        self.batch.slab.keep(chosen)
        self.tokens, self.known = self.tokens[chosen].clone(), self.known[chosen].clone()
        self.starts = self.starts[chosen].clone()
        self.graph = None
        self._look()

    def advance(self, count: int) -> None:
        """Step `count` times."""
        width = self.batch.slab.width
        for taken in range(count):
            if self.captured and self.graph is None:
                self._capture()
            if self.graph is not None:
                self.graph.replay()
            else:
                furthest = int(self._known.max()) + (taken + 1) * (self.drafts + 1) - 1
                self._once(min(furthest, width))
        self._look()

    def _once(self, limit: int) -> None:
        """One step, all of it on the device: the state moves on in place."""
        last = self.known - 1
        columns = last[:, None] + torch.arange(self.drafts + 1, device=last.device)
        if self.drafts:
            self.tokens.scatter_(1, columns[:, 1:], self._drafted(last))
        ids = self.tokens.gather(1, columns)
        states = self.batch.step_states((0, len(last)), ids, columns, limit)
        chosen = self.batch.choice(states)
        agreed = (ids[:, 1:] == chosen[:, :-1]).cumprod(1).sum(1)
        self.tokens.scatter_(1, columns + 1, chosen)
        most = self.starts + self.batch.most
        self.known.copy_(torch.minimum(self.known + 1 + agreed, most))

    def _drafted(self, last: torch.Tensor) -> torch.Tensor:
        """[B, drafts] guesses at what follows the columns `last`, [B]."""
        columns = torch.arange(self.tokens.shape[1], device=last.device)
        alike = columns < last[:, None]
        score = torch.zeros_like(self.tokens)
        for back in range(GRAM):
            wanted = self.tokens.gather(1, (last - back).clamp(min=0)[:, None])
            alike = alike & (self.tokens.roll(back, 1) == wanted) & (columns >= back)
            score += alike * len(columns)
        found = (score + columns * (score > 0)).argmax(1)
        after = found[:, None] + 1 + torch.arange(self.drafts, device=last.device)
        return self.tokens.gather(1, after)

    def _capture(self) -> None:
        """Capture a step as a CUDA graph; what does not allow it is decoded without."""
        state = [self.tokens.clone(), self.known.clone()]
        width = self.batch.slab.width
        try:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's stubs
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._once(width)  # lets libraries set themselves up before the capture
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            self._restore(state)
            with torch.cuda.graph(graph):
                self._once(width)
            self.graph = graph
        except RuntimeError:
            torch.cuda.synchronize()
            self.captured = False
        self._restore(state)

    def _restore(self, state: Sequence[torch.Tensor]) -> None:
        """Take back what trial runs of the step did; the columns they wrote are written again."""
        for tensor, before in zip((self.tokens, self.known), state, strict=True):
            tensor.copy_(before)
