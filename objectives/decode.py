"""Greedy decoding of many prompts at once: what a model answers when it is left to itself.

The keys and values of all rows lie in one slab per layer. The prompts' common beginning is computed
once; rows that are done leave the batch; on a CUDA device the step is captured as a graph, because
a small model's step is bound by the launching of its kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from objectives.forced import Forced, Targets, common, predict
from objectives.model import text_config
from objectives.quantize import Device
from objectives.slab import Slab, rows_of

LOOK = {"cpu": 1, "cuda": 8}
"""Steps between two looks at what was decoded: looking makes a GPU wait."""
LEAVE = {"cpu": 0.75, "cuda": 0.4}
"""The batch is made smaller once this share of its rows, or less, is still going on: on a CUDA
device that costs a new graph."""

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
        stop: tells when an answer is complete; up to `LOOK` tokens more may have been decoded.
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
    while done < len(order):
        width = len(prompts[order[done]]) + max(most, longest)
        members = order[done : done + rows_of(model.config, width, device)]
        wanted = [list(expected[i]) for i in members] if expected is not None else []
        own = Decoding(
            model, [list(prompts[i]) for i in members], most, device, exact=exact, expected=wanted
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
        self.look = LOOK[device.torch_device.type]
        self.shared = 0
        if len(prompts) > 1:
            first, last = min(prompts), max(prompts)
            self.shared = min(common(first, last), min(map(len, prompts)) - 1)
        self.start = max(map(len, prompts))
        """Column of the first decoded token's own key and value."""
        # whole looks only: the last one may decode more than `most`
        steps = -(-most // self.look) * self.look
        self.slab = Slab(len(prompts), self.start + max([steps, *map(len, expected)]))

    def precision(self) -> AbstractContextManager[Any]:
        """Context of a forward pass."""
        return self.device.precision(exact=self.exact)

    def run(self, stop: Stop, known: Known, tell: Callable[[float], None]) -> list[list[int]]:
        """Decode until every row is complete."""
        answers: list[list[int]] = [[] for _ in self.prompts]
        with torch.no_grad():
            last = self.prefill()
            going = list(range(len(self.prompts)))
            if self.expected:
                opinions = self.peek(last)
                going = [k for k in going if not known(k, opinions[k])]
            if not going:
                tell(1.0)
                return answers
            token = self.choice(last)
            state = Step(self, token)
            if len(going) < len(self.prompts):
                state.keep(going)
            first = token.tolist()
            for i in going:
                answers[i].append(first[i])
            complete: set[int] = set()
            length = 1
            looked = 0
            while True:
                complete |= {i for i in going if i not in complete and stop(answers[i], looked)}
                alive = [k for k, i in enumerate(going) if i not in complete]
                if not alive or length >= self.most:
                    break
                if len(alive) <= LEAVE[self.device.torch_device.type] * len(going):
                    state.keep(alive)
                    going = [going[k] for k in alive]
                looked = length
                tell(length / self.most)
                for step in state.advance(self.look):
                    for i, new in zip(going, step, strict=True):
                        answers[i].append(new)
                length += self.look
        tell(1.0)
        return [answer[: self.most] for answer in answers]

    def prefill(self) -> torch.Tensor:
        """Compute the prompts' keys and values; returns their last states, [B, H]."""
        target, shared = self.device.torch_device, self.shared
        if shared:
            ids = torch.tensor([self.prompts[0][:shared]], device=target)
            self.slab.span, self.slab.first = (0, 1), 0
            causal = torch.ones(1, 1, shared, shared, dtype=torch.bool, device=target).tril()
            self.states(ids, torch.arange(shared, device=target)[None], causal)
            for slabs in (self.slab.keys, self.slab.values):
                for slab in slabs:
                    slab[:, :, :shared] = slab[:1, :, :shared].clone()
        last = []
        width = self.start - shared
        chunk = max(1, self.device.eval_tokens // width)
        for begin in range(0, len(self.prompts), chunk):
            prompts = self.prompts[begin : begin + chunk]
            tokens = np.zeros((len(prompts), width), dtype=np.int64)
            positions = np.zeros((len(prompts), width), dtype=np.int64)
            seen = np.zeros((len(prompts), width, self.start), dtype=bool)
            later = np.tri(width, dtype=bool)
            for b, prompt in enumerate(prompts):
                blank = self.start - len(prompt)
                tokens[b, blank:] = prompt[shared:]
                positions[b, blank:] = np.arange(shared, len(prompt))
                seen[b, :, :shared] = True
                seen[b, :, shared:] = later
                seen[b, blank:, shared : shared + blank] = False
            self.slab.span, self.slab.first = (begin, begin + len(prompts)), shared
            states = self.states(
                torch.from_numpy(tokens).to(target),
                torch.from_numpy(positions).to(target),
                torch.from_numpy(seen[:, None]).to(target),
            )
            last.append(states[:, -1])
        return torch.cat(last)

    def peek(self, last: torch.Tensor) -> list[Forced]:
        """Teacher forcing of the expected answers after the prompts, from their [B, H] last states.

        The keys and values it writes lie where decoding will overwrite them.
        """
        target = self.device.torch_device
        found: list[Forced] = []
        width = max(map(len, self.expected))
        chunk = max(1, self.device.eval_tokens // width)
        for begin in range(0, len(self.prompts), chunk):
            prompts = self.prompts[begin : begin + chunk]
            expected = self.expected[begin : begin + chunk]
            tokens = np.zeros((len(prompts), width), dtype=np.int64)
            positions = np.zeros((len(prompts), width), dtype=np.int64)
            seen = np.zeros((len(prompts), width, self.start + width), dtype=bool)
            for b, (prompt, answer) in enumerate(zip(prompts, expected, strict=True)):
                tokens[b, : len(answer)] = answer
                positions[b, : len(answer)] = np.arange(len(prompt), len(prompt) + len(answer))
                seen[b, :, : self.shared] = True
                seen[b, :, self.shared + self.start - len(prompt) : self.start] = True
            seen[:, :, self.start :] = np.tri(width, dtype=bool)
            self.slab.span, self.slab.first = (begin, begin + len(prompts)), self.start
            states = self.states(
                torch.from_numpy(tokens).to(target),
                torch.from_numpy(positions).to(target),
                torch.from_numpy(seen[:, None]).to(target),
            )
            # the state before each token predicts it: the prompt's last one, then the answer's own
            before = torch.cat([last[begin : begin + chunk, None], states[:, :-1]], dim=1)
            places = np.flatnonzero(np.arange(width) < np.array([[len(a)] for a in expected]))
            order = np.arange(len(places))
            logprobs, choices = predict(
                before.reshape(-1, before.shape[-1]),
                self.model.get_output_embeddings(),
                Targets(places, order, tokens.reshape(-1)[places]),
                self.device,
                exact=self.exact,
            )
            ends = np.cumsum([len(answer) for answer in expected])
            for answer, end in zip(expected, ends.tolist(), strict=True):
                own = slice(end - len(answer), end)
                found.append(Forced.of(logprobs[own], choices[own], answer))
        return found

    def states(
        self, ids: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor
    ) -> torch.Tensor:
        """[B, T, H] states of new tokens that look at what `seen` says, [B, 1, T, columns]."""
        with self.precision():
            out = self.model.get_decoder()(
                input_ids=ids,
                position_ids=positions,
                attention_mask=seen,
                past_key_values=self.slab,
                use_cache=True,
            )
        states: torch.Tensor = out.last_hidden_state
        return states

    def choice(self, states: torch.Tensor) -> torch.Tensor:
        """The first choice after each of [B, H] states: [B] int64."""
        with self.precision():
            logits: torch.Tensor = self.model.get_output_embeddings()(states)
        return logits.argmax(-1)


class Step:
    """The decoding step: one token for every row, again and again."""

    def __init__(self, batch: Decoding, token: torch.Tensor) -> None:
        self.batch = batch
        target = batch.device.torch_device
        self.ids = token[:, None].clone()
        lengths = torch.tensor([len(p) for p in batch.prompts], device=target)
        self.positions = lengths[:, None].clone()
        self.column = torch.tensor([batch.start], device=target)
        columns = torch.arange(batch.slab.width, device=target)
        blank = (batch.start - lengths)[:, None]
        hidden = (columns >= batch.shared) & (columns < batch.shared + blank)
        self.seen = (~hidden & (columns < batch.start))[:, None, None]
        """[B, 1, 1, width] bool: the columns that a row's new token sees."""
        batch.slab.column = self.column
        text = text_config(batch.model.config)
        self.furthest = getattr(text, "max_position_embeddings", None) or 2**31
        self.furthest -= 1
        """Last position the model knows: steps after an answer's end must not leave it."""
        self.taken = 0
        self.graph: Any = None
        self.captured = target.type == "cuda"
        """Whether a graph is to be captured; a model that cannot be captured turns it off."""

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows only."""
        chosen = torch.tensor(rows, device=self.ids.device)
        self.batch.slab.keep(chosen)
        self.ids, self.positions = self.ids[chosen].clone(), self.positions[chosen].clone()
        self.seen = self.seen[chosen].clone()
        self.graph = None

    def advance(self, count: int) -> list[list[int]]:
        """Decode `count` tokens for every row; returns them step by step."""
        kept = []
        for _ in range(count):
            if self.captured and self.graph is None:
                self._capture()
            if self.graph is not None:
                self.graph.replay()
            else:
                if self.ids.device.type == "cpu":
                    self.batch.slab.limit = self.batch.start + self.taken + 1
                self._once()
            self.taken += 1
            kept.append(self.ids[:, 0].clone())
        decoded: list[list[int]] = torch.stack(kept).tolist()
        return decoded

    def _once(self) -> None:
        """One step, all of it on the device: the state moves on in place."""
        self.seen.index_fill_(3, self.column, True)
        seen = self.seen[..., : self.batch.slab.limit]
        states = self.batch.states(self.ids, self.positions, seen)
        self.ids.copy_(self.batch.choice(states[:, -1])[:, None])
        self.positions.add_(1).clamp_(max=self.furthest)
        self.column.add_(1)

    def _capture(self) -> None:
        """Capture a step as a CUDA graph; what does not allow it is decoded without."""
        state = [t.clone() for t in (self.ids, self.positions, self.column, self.seen)]
        try:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's stubs
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._once()  # lets libraries set themselves up before the capture
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            self._restore(state)
            with torch.cuda.graph(graph):
                self._once()
            self.graph = graph
        except RuntimeError:
            torch.cuda.synchronize()
            self.captured = False
        self._restore(state)

    def _restore(self, state: Sequence[torch.Tensor]) -> None:
        """Take back what trial runs of the step did; the column they wrote is written again."""
        for tensor, before in zip(
            (self.ids, self.positions, self.column, self.seen), state, strict=True
        ):
            tensor.copy_(before)
