"""Samples behind each other in one row, for a pass over a GPU: nothing is padded but its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from objectives.mixture import Sample

GRAIN = 256
"""A row's positions are rounded up to a multiple of this, so that few shapes occur; what fills it
up is samples of at most so many positions, since attention must know the longest."""
FEWEST = 32
"""Bounds are filled up to this number, or a power of four times it."""


@dataclass(frozen=True, slots=True)
class Flat:
    """One row of T positions, samples behind each other."""

    ids: torch.Tensor
    """[1, T] int64 token ids."""
    positions: torch.Tensor
    """[1, T] int64 position within the sample."""
    bounds: torch.Tensor
    """[S + 1] int32: where samples begin; those behind the last one are padding, or empty."""
    places: torch.Tensor
    """[L] int64: positions that must predict a token."""
    targets: torch.Tensor
    """[L] int64: the tokens they must predict."""
    tokens: int
    """Non-padding tokens."""

    @property
    def shape(self) -> tuple[int, int]:
        """(positions, bounds): what a CUDA graph is made for."""
        return self.ids.shape[1], len(self.bounds)

    def to(self, device: torch.device) -> Flat:
        """The same on another device, copied while the CPU goes on."""
        pin = device.type == "cuda"

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            return (tensor.pin_memory() if pin else tensor).to(device, non_blocking=True)

        return Flat(
            moved(self.ids),
            moved(self.positions),
            moved(self.bounds),
            moved(self.places),
            moved(self.targets),
            self.tokens,
        )


def flatten(samples: Sequence[Sample], grain: int = GRAIN) -> Flat:
    """One row of samples. A sample's last token predicts nothing: what follows is another one."""
    lengths = [len(sample.ids) for sample in samples]
    tokens = sum(lengths)
    width = math.ceil(tokens / grain) * grain
    ends = [*range(tokens + GRAIN, width, GRAIN), width]  # of what fills the row up
    count = FEWEST
    while count < len(samples) + len(ends):
        count *= 4
    ids = np.zeros(width, np.int64)
    positions = np.zeros(width, np.int64)
    bounds = np.full(count + 1, width, np.int32)
    bounds[0] = 0
    places, targets, at = [], [], 0
    for number, (sample, length) in enumerate(zip(samples, lengths, strict=True), 1):
        own = np.asarray(sample.ids, np.int64)
        ids[at : at + length] = own
        positions[at : at + length] = np.arange(length)
        first = max(sample.start, 1)
        places.append(np.arange(at + first - 1, at + length - 1))
        targets.append(own[first:])
        at += length
        bounds[number] = at
    positions[at:] = np.arange(width - at) % GRAIN
    bounds[len(samples) + 1 : len(samples) + 1 + len(ends)] = ends
    return Flat(
        torch.from_numpy(ids[None]),
        torch.from_numpy(positions[None]),
        torch.from_numpy(bounds),
        torch.from_numpy(np.concatenate(places)),
        torch.from_numpy(np.concatenate(targets)),
        tokens,
    )


def passes(samples: Sequence[Sample], most: int, grain: int = GRAIN) -> list[Flat]:
    """The samples of a step as rows of about equal length, of at most `most` tokens each.

    A sample longer than that is a row of its own.
    """
    total = sum(len(sample.ids) for sample in samples)
    count = math.ceil(total / most)
    while True:
        goal = total / count
        made: list[list[Sample]] = []
        size = math.inf
        for sample in samples:
            length = len(sample.ids)
            if size + length > most or size >= goal:
                made.append([])
                size = 0
            made[-1].append(sample)
            size += length
        if len(made) <= count or len(made) == len(samples):
            return [flatten(own, grain) for own in made]
        count += 1
