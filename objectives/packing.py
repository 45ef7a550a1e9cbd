"""From samples to rows of tokens: best-fit packs with isolated samples, or one padded row each."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from objectives.mixture import Sample

IGNORED = -100
"""Label of a position that is not trained on."""


def pack(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Best-fit decreasing: indices of `lengths` grouped into packs of at most `size` tokens.

    Each length goes to the fullest pack it still fits in. Indices within a pack are in their
    original order, and packs in the order of their first index.

    Raises:
        ValueError: a length is larger than `size`.
    """
    packs: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (room left, pack), sorted
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if length > size:
            raise ValueError(f"a sample of {length} tokens does not fit a pack of {size}")
        at = next((k for k, (room, _) in enumerate(free) if room >= length), None)
        if at is None:
            room, number = size, len(packs)
            packs.append([])
        else:
            room, number = free.pop(at)
        packs[number].append(index)
        insort(free, (room - length, number))
    return sorted((sorted(members) for members in packs), key=lambda members: members[0])


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

    A sample's first token is never predicted (its row neighbour is another sample), and with
    `packed` no position sees another sample.
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
    if not packed:
        # Right padding: no real position can see it under causal attention.
        positions = torch.arange(width).expand(shape)
        return Batch(ids, labels, positions, None, owner)
    same = owner[:, :, None] == owner[:, None, :]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    return Batch(ids, labels, positions, (same & causal)[:, None], owner)


def batches(
    samples: Sequence[Sample], *, packing: bool, max_length: int, micro_tokens: int
) -> list[Batch]:
    """Split the samples of one optimizer step into batches of at most about `micro_tokens`.

    Without packing, rows are sorted by length so that little is padded.
    """
    if packing:
        groups = pack([len(sample.ids) for sample in samples], max_length)
    else:
        by_length = sorted(range(len(samples)), key=lambda i: (-len(samples[i].ids), i))
        groups = [[i] for i in by_length]
    found: list[Batch] = []
    chunk: list[list[int]] = []
    for group in groups:
        width = max(sum(len(samples[i].ids) for i in g) for g in [*chunk, group])
        if chunk and width * (len(chunk) + 1) > micro_tokens:
            found.append(collate(samples, chunk, packed=packing))
            chunk = []
        chunk.append(group)
    found.append(collate(samples, chunk, packed=packing))
    return found
