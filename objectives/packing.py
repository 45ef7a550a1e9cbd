"""From samples to rows of tokens: best-fit packs, balanced rows, and the batches of a step.

The samples of a step are chosen before. Here they are only laid out, so that little is padded, few
passes are made and rows are short: attention between samples is computed and then masked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace

import numpy as np
import torch
from numpy.typing import NDArray

from objectives.mixture import Sample

IGNORED = -100
"""Label of a position that is not trained on."""
PADDING = 0.03
"""Largest share of a packed step's positions that is padding."""
PASS = 1 / 16
"""What one more forward and backward pass costs, in full batches."""
FINER = 1.5
"""Factor between the numbers of rows that are tried."""
SPAN = 8192
"""Width of a row at which attention costs as much as all else: some six times the hidden size,
which is 576 in a model of 0.1 billion parameters and 4096 in one of 8 billion."""

Rows = list[list[int]]
"""Indices of samples by row."""


def pack(lengths: Sequence[int], size: int) -> Rows:
    """Best-fit decreasing: indices of `lengths` grouped into packs of at most `size` tokens.

    The longest goes first, each to the fullest pack it still fits in. Indices within a pack are in
    their original order, and packs in the order of their first index.

    Equal lengths are placed together, all packs of equal room at once. Packs with room for the
    current length are on a stack, the fullest on top; what they have left goes back on it if it is
    room for one more, and waits in a heap if it is not. O(n log n), whatever `size` is.

    Raises:
        ValueError: a length is larger than `size`, or below 1.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if not sizes.size:
        return []
    if (longest := int(sizes.max())) > size:
        raise ValueError(f"a sample of {longest} tokens does not fit a pack of {size}")
    if sizes.min() < 1:
        raise ValueError("a sample of no tokens cannot be packed")
    spare = size - sizes
    # numpy sorts 16 bits in linear time
    order = np.argsort(spare.astype(np.uint16) if size <= 2**16 else spare, kind="stable")
    ranked = sizes[order]
    firsts = np.flatnonzero(np.diff(ranked, prepend=0))
    counts = np.diff(firsts, append=len(ranked))
    placed: list[int] = []  # the pack of each length, longest first
    fitting: list[tuple[int, list[int]]] = []  # (room, packs)
    waiting: dict[int, list[int]] = {}  # room -> packs
    rooms: list[int] = []  # heap of the negative rooms that wait
    made = 0
    for length, left in zip(ranked[firsts].tolist(), counts.tolist(), strict=True):
        while rooms and -rooms[0] >= length:
            room = -heappop(rooms)
            fitting.append((room, waiting.pop(room)))
        while left:
            if not fitting:
                new = -(-left // (size // length))
                fitting.append((size, list(range(made, made + new))))
                made += new
            room, packs = fitting[-1]
            each = min(room // length, left)
            used = packs[-(left // each) :]
            del packs[-len(used) :]
            if not packs:
                fitting.pop()
            placed += used * each
            left -= len(used) * each
            room -= each * length
            if room >= length:
                fitting.append((room, used))
            elif room in waiting:
                waiting[room] += used
            elif room:
                waiting[room] = used
                heappush(rooms, -room)
    number = np.empty(len(placed), np.int64)
    number[order] = placed
    return _grouped(number)


def _grouped(number: NDArray[np.int64]) -> Rows:
    """Indices by equal numbers, in the order of their first index."""
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    ends = np.append(starts[1:], len(order))
    by_first = np.argsort(order[starts])
    indices = order.tolist()
    spans = zip(starts[by_first].tolist(), ends[by_first].tolist(), strict=True)
    return [indices[start:end] for start, end in spans]


def spread(lengths: Sequence[int], rows: int) -> Rows:
    """Indices of `lengths` in `rows` rows of about equal sums: the longest goes first, each to the
    row with the least. No row is empty unless there are fewer lengths."""
    found: Rows = [[] for _ in range(rows)]
    loads = [(0, row) for row in range(rows)]
    for index in _by_length(lengths):
        load, row = loads[0]
        found[row].append(index)
        heapreplace(loads, (load + lengths[index], row))
    return found


def _by_length(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def arrange(
    lengths: Sequence[int], *, packing: bool, max_length: int, micro_tokens: int
) -> list[Rows]:
    """Lay the samples of one optimizer step out as batches of rows.

    A batch has at most `micro_tokens` positions, padding included, or else one row. Without
    packing each sample is a row. With it, a row holds at most `max_length` tokens, and at most
    `PADDING` of all positions is padding; of several ways, from the fewest rows to the shortest,
    the cheapest is taken (`PASS`, `SPAN`).

    Raises:
        ValueError: a length is larger than `max_length`.
    """
    if not lengths:
        return []
    longest, total = max(lengths), sum(lengths)
    if longest > max_length:
        raise ValueError(f"a sample of {longest} tokens does not fit a row of {max_length}")
    size = max(longest, min(max_length, micro_tokens))
    most = total / (1 - PADDING) if packing else math.inf
    toll = PASS * micro_tokens
    least = math.inf
    best: list[Rows] = []
    for rows in _ways(lengths, size) if packing else [spread(lengths, len(lengths))]:
        rows.sort(key=lambda row: -sum(lengths[i] for i in row))
        loads = [sum(lengths[i] for i in row) for row in rows]
        if loads[0] > size or sum(map(_price, loads)) + PASS * total >= least:
            continue
        for eased in (toll, toll / 4, toll / 16, 0.5):  # at half a position, nothing is padded
            spans = _spans(loads, micro_tokens, eased)
            if sum((end - first) * loads[first] for first, end in spans) <= most:
                break
        cost = sum((end - first) * _price(loads[first]) + toll for first, end in spans)
        if cost < least:
            least, best = cost, [rows[first:end] for first, end in spans]
    return best


def _ways(lengths: Sequence[int], size: int) -> Iterator[Rows]:
    """Ways to fill rows, from the fewest to one a sample; some have rows over `size`."""
    yield pack(lengths, size)
    count = -(-sum(lengths) // size)
    while count < len(lengths):
        yield spread(lengths, count)
        count = max(count + 1, int(count * FINER))
    yield spread(lengths, len(lengths))


def _price(width: int) -> float:
    """Cost of a row, in positions of short rows."""
    return width + width * width / SPAN


def _spans(loads: Sequence[int], micro_tokens: int, toll: float) -> list[tuple[int, int]]:
    """Rows, the fullest first, cut into batches [first, end) at the least cost in all."""
    count = len(loads)
    places, prices = np.arange(count), np.array([_price(load) for load in loads])
    costs, came = np.zeros(count + 1), [0]
    low = 0
    for end in range(1, count + 1):
        while low < end - 1 and (end - low) * loads[low] > micro_tokens:
            low += 1
        tried = costs[low:end] + (end - places[low:end]) * prices[low:end]
        chosen = int(tried.argmin())
        costs[end] = tried[chosen] + toll
        came.append(low + chosen)
    cuts = [count]
    while cuts[-1]:
        cuts.append(came[cuts[-1]])
    return list(itertools.pairwise(cuts[::-1]))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows ready for the model; B rows of T positions."""

    ids: torch.Tensor
    """[B, T] int64 token ids."""
    labels: torch.Tensor
    """[B, T] int64: the token that each position must predict (already shifted), or IGNORED."""
    positions: torch.Tensor
    """[B, T] int64 position within the sample."""
    mask: torch.Tensor | None
    """[B, 1, T, T] bool, true where a position may look; None: plain causal attention."""
    owner: torch.Tensor
    """[B, T] int64 index of the sample that a position belongs to, -1 for padding."""

    @property
    def tokens(self) -> int:
        """Non-padding tokens."""
        return int((self.owner >= 0).sum())

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return Batch(
            self.ids.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.positions.to(device, non_blocking=True),
            mask,
            self.owner.to(device, non_blocking=True),
        )


def collate(samples: Sequence[Sample], groups: Sequence[Sequence[int]], *, packed: bool) -> Batch:
    """Lay groups of samples out as rows.

    Positions restart with every sample. A sample's last token predicts nothing: what follows it is
    another sample, or padding. With `packed` no position sees another sample; without, a row must
    hold one sample only. Where every row does, plain causal attention is enough and there is no
    mask.
    """
    width = max(sum(len(samples[i].ids) for i in group) for group in groups)
    shape = (len(groups), width)
    ids = torch.zeros(shape, dtype=torch.int64)
    labels = torch.full(shape, IGNORED, dtype=torch.int64)
    positions = torch.zeros(shape, dtype=torch.int64)
    owner = torch.full(shape, -1, dtype=torch.int64)
    for row, group in enumerate(groups):
        at = 0
        for index in group:
            sample = samples[index]
            length = len(sample.ids)
            here = slice(at, at + length)
            ids[row, here] = torch.tensor(sample.ids)
            positions[row, here] = torch.arange(length)
            owner[row, here] = index
            first = max(sample.start, 1)
            labels[row, at + first - 1 : at + length - 1] = torch.tensor(sample.ids[first:])
            at += length
    if not packed or all(len(group) == 1 for group in groups):
        # Right padding: no real position can see it under causal attention.
        positions = torch.arange(width).expand(shape)
        return Batch(ids, labels, positions, None, owner)
    same = owner[:, :, None] == owner[:, None, :]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    return Batch(ids, labels, positions, (same & causal)[:, None], owner)


def batches(
    samples: Sequence[Sample], *, packing: bool, max_length: int, micro_tokens: int
) -> list[Batch]:
    """The samples of one optimizer step as batches, laid out by `arrange`.

    Raises:
        ValueError: a sample is longer than `max_length`.
    """
    lengths = [len(sample.ids) for sample in samples]
    layout = arrange(lengths, packing=packing, max_length=max_length, micro_tokens=micro_tokens)
    return [collate(samples, rows, packed=packing) for rows in layout]
