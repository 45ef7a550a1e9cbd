"""Teacher forcing: what a model makes of given continuations, each shared prefix computed once.

Requests are laid out as trees: token sequences that begin alike (the choices of one question, the
questions after one few-shot context) share the nodes of their common beginning. A row of the model
holds one or more trees in depth-first order, a position sees its ancestors only, and the head runs
only where a continuation's token is predicted. The scores are those of one row per request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from objectives.model import text_config
from objectives.quantize import Device

WIDTHS = (128, 192, 256, 384, 512, 640, 768, 1024, 1536, 2048)
"""Row widths to choose from, in tokens; a longer request gets a row of its own length."""
ALIGNED = 8
"""Row widths are multiples of this: fast kernels for masked attention ask for it."""
MASKED = 3.0
"""Cost of masked attention relative to its arithmetic: it computes what it then hides, with slower
kernels than plain causal attention."""
HEAD_BYTES = {"cpu": 400_000_000, "cuda": 1_600_000_000}
"""Bytes that the float32 logits held at once may take, by kind of device."""
WHOLE = 16
"""Where a model's own head runs over all positions, a batch holds this many times fewer."""


@dataclass(frozen=True, slots=True)
class Request:
    """A continuation to score: `ids[start:]`, given `ids[:start]`; 0 < start < len(ids)."""

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Forced:
    """What the model makes of a continuation of n tokens."""

    logprobs: tuple[float, ...]
    """Natural log-probability of each of its tokens, given what comes before."""
    choices: tuple[int, ...]
    """The model's first choice at each of its tokens."""
    greedy: bool
    """Whether every token is the model's first choice: greedy decoding would give just this."""

    @classmethod
    def of(cls, logprobs: np.ndarray, choices: np.ndarray, tokens: Sequence[int]) -> Forced:
        """From [n] log-probabilities and first choices."""
        picked = tuple(choices.tolist())
        return cls(tuple(logprobs.tolist()), picked, greedy=picked == tuple(tokens))

    @property
    def logprob(self) -> float:
        """Log-probability of the continuation."""
        return sum(self.logprobs)

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood per token, in nats."""
        return -self.logprob / len(self.logprobs)


class Row:
    """A row of trees under construction, in depth-first order."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.ends: list[int] = []
        """For each node, the end of the stretch of nodes that descend from it: those see it."""
        self.wanted: list[tuple[int, int, int]] = []
        """(request, token within its continuation, node that predicts it)."""
        self.chain = True
        """Whether plain causal attention does: every node sees all nodes before it."""
        self._last: tuple[int, ...] = ()
        self._path: list[int] = []

    def shared(self, ids: tuple[int, ...]) -> int:
        """Tokens of `ids` that the row's last request has computed already."""
        return common(self._last, ids)

    def add(self, number: int, request: Request) -> None:
        """Append a request; its common beginning with the one before is not repeated."""
        ids = request.ids[:-1]  # nothing is predicted after the last token
        old = self.shared(ids)
        first = len(self.ids)
        if len(ids) > old:
            self.chain = self.chain and old == first
            self.ids += ids[old:]
            self.positions += range(old, len(ids))
            end = len(self.ids)
            self.ends += [end] * (end - first)
            for node in self._path[:old]:
                self.ends[node] = end
        self._path = [*self._path[:old], *range(first, len(self.ids))]
        self._last = ids
        path = self._path
        self.wanted += [
            (number, k - request.start, path[k - 1]) for k in range(request.start, len(request.ids))
        ]


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning of two token sequences."""
    short = min(len(a), len(b))
    if a[:short] == b[:short]:
        return short
    low, high = 0, short  # a[:low] == b[:low] and a[:high] != b[:high]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle)
    return low


def rows_of(requests: Sequence[Request], order: Sequence[int], width: int) -> list[Row]:
    """Fill rows of at most `width` nodes in the given order; a longer request stands alone."""
    rows: list[Row] = []
    for number in order:
        ids = requests[number].ids[:-1]
        if not rows or len(rows[-1].ids) + len(ids) - rows[-1].shared(ids) > width:
            rows.append(Row())
        rows[-1].add(number, requests[number])
    return rows


def lay_out(requests: Sequence[Request], attention: float, *, share: bool) -> list[Row]:
    """Rows that cost least, longest first.

    Args:
        requests: what to score.
        attention: cost of plain causal attention per token and token seen, relative to the linear
            layers' cost per token.
        share: whether the model may be given a mask; else each request is a row of its own.
    """
    if not share:
        alone = [rows_of(requests, [number], 0)[0] for number in range(len(requests))]
        return sorted(alone, key=lambda row: -len(row.ids))
    order = sorted(range(len(requests)), key=lambda number: requests[number].ids)
    best: tuple[float, list[Row]] | None = None
    for width in WIDTHS:
        rows = rows_of(requests, order, width)
        cost = sum(
            len(row.ids) * (1 + attention * len(row.ids) * (0.5 if row.chain else MASKED))
            for row in rows
        )
        if best is None or cost < best[0]:
            best = (cost, rows)
    assert best is not None  # noqa: S101  # WIDTHS is not empty
    return sorted(best[1], key=lambda row: -len(row.ids))


def batched(rows: Sequence[Row], tokens: int) -> list[list[Row]]:
    """Rows of like length together, at most about `tokens` padded positions a batch."""
    found: list[list[Row]] = []
    for row in rows:  # longest first: memory trouble shows at once
        batch = found[-1] if found else None
        if batch is None or len(batch[0].ids) * (len(batch) + 1) > tokens:
            found.append([row])
        elif batch[0].chain and len(row.ids) * 1.25 < len(batch[0].ids):
            found.append([row])  # causal rows cost no mask: rather a new batch than much padding
        else:
            batch.append(row)
    return found


def attention_cost(config: Any) -> float:
    """Arithmetic of attention per token and token seen, relative to the linear layers' per token.

    Linear layers: 2 FLOPs per weight. Attention: 4 FLOPs per hidden unit, layer and token seen.
    """
    text = text_config(config)
    hidden: int = text.hidden_size
    inner: int = getattr(text, "intermediate_size", None) or 4 * hidden
    return 4 * hidden / (2 * (4 * hidden * hidden + 3 * hidden * inner))


class Layout:
    """Requests laid out for a model of one architecture; made once, used for every trial."""

    def __init__(
        self,
        requests: Sequence[Request],
        config: Any,
        device: Device,
        *,
        share: bool,
        whole_head: bool = False,
    ) -> None:
        """Lay requests out.

        Args:
            requests: what to score.
            config: the model's configuration.
            device: gives the most tokens of a forward pass.
            share: compute common beginnings once (needs a model that obeys a [B, 1, T, T] mask).
            whole_head: the model's own head will run over all positions.
        """
        tokens = device.eval_tokens // (WHOLE if whole_head else 1)
        self.requests = list(requests)
        lengths = [len(r.ids) - r.start for r in self.requests]
        self.first = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        """Index of each request's first continuation token among those of all requests."""
        rows = lay_out(self.requests, attention_cost(config), share=share) if requests else []
        self.batches = [_Batch(batch, self.requests, self.first) for batch in batched(rows, tokens)]
        self.nodes = sum(batch.nodes for batch in self.batches)


@dataclass(frozen=True, slots=True)
class Targets:
    """Tokens to be predicted, and from where."""

    places: np.ndarray
    """[M] int64 indices of the states that predict something, ascending."""
    inverse: np.ndarray
    """[N] int64, ascending: which of the places predicts each token."""
    tokens: np.ndarray
    """[N] int64 the tokens."""


class _Batch:
    """Rows of one forward pass as arrays."""

    def __init__(self, rows: Sequence[Row], requests: Sequence[Request], first: np.ndarray) -> None:
        self.width = width = -(-len(rows[0].ids) // ALIGNED) * ALIGNED
        self.nodes = sum(len(row.ids) for row in rows)
        self.chain = all(row.chain for row in rows)
        self.ids = np.zeros((len(rows), width), dtype=np.int64)
        self.positions = np.zeros((len(rows), width), dtype=np.int64)
        self.ends = np.tile(np.arange(1, width + 1), (len(rows), 1))
        """[B, T] see `Row.ends`; padding is seen by itself alone: to see nothing would be NaN."""
        for b, row in enumerate(rows):
            self.ids[b, : len(row.ids)] = row.ids
            self.positions[b, : len(row.ids)] = row.positions
            self.ends[b, : len(row.ids)] = row.ends
        wanted = [
            (b * width + node, requests[n].ids[requests[n].start + k], first[n] + k)
            for b, row in enumerate(rows)
            for n, k, node in row.wanted
        ]
        table = np.array(sorted(wanted), dtype=np.int64).reshape(-1, 3)
        places, inverse = np.unique(table[:, 0], return_inverse=True)
        self.targets = Targets(places, inverse, table[:, 1])
        self.slots = table[:, 2]
        """[N] where each target's outcome goes among those of all requests."""

    def inputs(self, device: torch.device) -> dict[str, Any]:
        """What the model is called with."""
        found: dict[str, Any] = {
            "input_ids": torch.from_numpy(self.ids).to(device),
            "position_ids": torch.from_numpy(self.positions).to(device),
            "use_cache": False,
        }
        if not self.chain:
            place = torch.arange(self.width, device=device)
            ends = torch.from_numpy(self.ends).to(device)
            below = place[None, None, :, None] < ends[:, None, None, :]
            found["attention_mask"] = below & (place[:, None] >= place)
        return found


def force(
    model: Any,
    layout: Layout,
    device: Device,
    *,
    exact: bool,
    whole_head: bool = False,
    tell: Callable[[float], None] = lambda _: None,
) -> list[Forced]:
    """Score continuations.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        layout: what to score.
        device: what to compute on.
        exact: compute in the base's stored precision, so that others get the same answers.
        whole_head: run the model's own head over all positions (for models that scale logits).
        tell: told the share done, in [0, 1].

    Returns:
        One result per request, in their order.
    """
    count = int(layout.first[-1])
    logprobs, choices = np.zeros(count), np.zeros(count, dtype=np.int64)
    done = 0
    with torch.no_grad():
        for batch in layout.batches:
            inputs = batch.inputs(device.torch_device)
            with device.precision(exact=exact):
                if whole_head:
                    states, head = model(**inputs).logits, None
                else:
                    states = model.get_decoder()(**inputs).last_hidden_state
                    head = model.get_output_embeddings()
            flat = states.reshape(-1, states.shape[-1])
            logprobs[batch.slots], choices[batch.slots] = predict(
                flat, head, batch.targets, device, exact=exact
            )
            done += batch.nodes
            tell(done / layout.nodes)
    result = []
    for number, request in enumerate(layout.requests):
        own = slice(int(layout.first[number]), int(layout.first[number + 1]))
        result.append(Forced.of(logprobs[own], choices[own], request.ids[request.start :]))
    return result


def predict(
    states: torch.Tensor,
    head: Callable[[torch.Tensor], torch.Tensor] | None,
    targets: Targets,
    device: Device,
    *,
    exact: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of tokens, and the model's first choices in their place.

    Args:
        states: [B * T, H] states, or logits if there is no head.
        head: gives logits.
        targets: N tokens.
        device: what to compute on.
        exact: compute in the base's stored precision.

    Returns:
        [N] float64 natural log-probabilities and [N] int64 tokens.
    """
    logprobs = np.zeros(len(targets.tokens))
    choices = np.zeros(len(targets.tokens), dtype=np.int64)
    vocabulary = states.shape[-1] if head is None else getattr(head, "out_features", 50_000)
    step = max(64, HEAD_BYTES[device.torch_device.type] // (4 * vocabulary))
    for first in range(0, len(targets.places), step):
        last = min(first + step, len(targets.places))
        here = torch.from_numpy(targets.places[first:last]).to(device.torch_device)
        part = slice(*np.searchsorted(targets.inverse, [first, last]).tolist())
        own = torch.from_numpy(targets.inverse[part] - first).to(device.torch_device)
        tokens = torch.from_numpy(targets.tokens[part]).to(device.torch_device)
        with device.precision(exact=exact):
            logits = states[here] if head is None else head(states[here])
        logits = logits.float()
        logprobs[part] = (logits[own, tokens] - logits.logsumexp(-1)[own]).cpu().numpy()
        choices[part] = logits.argmax(-1)[own].cpu().numpy()
    return logprobs, choices
