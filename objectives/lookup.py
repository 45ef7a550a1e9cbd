"""Numbers found by hash, a million of them in a few megabytes. Imports no torch."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]


def digest(text: str) -> int:
    """64 bits of BLAKE2b: the same in every process."""
    found = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(found, "little")


class Lookup:
    """Numbers by 64-bit key, several per key, at 12 bytes each: sorted arrays, merged as they grow.

    Keys are hashes: of a million, two that differ are equal with a chance of 1 in 30 million.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Keys, Ints]] = []

    def find(self, keys: Keys, most: int) -> dict[int, list[int]]:
        """By index in `keys`, if known: the first `most` numbers, in the order they were added."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for known, numbers in self._runs:
            starts = np.searchsorted(known, keys)
            hits = np.flatnonzero(known[np.minimum(starts, len(known) - 1)] == keys)
            for hit, start in zip(hits.tolist(), starts[hits].tolist(), strict=True):
                last = start + most - len(found[hit])
                same = known[start:last] == keys[hit]
                found[hit] += numbers[start:last][same].tolist()
        return found

    def add(self, keys: Keys, numbers: Ints) -> None:
        """Take in as many numbers as keys."""
        while keys.size and self._runs and len(self._runs[-1][0]) <= 2 * len(keys):
            before = self._runs.pop()
            keys = np.concatenate((before[0], keys))
            numbers = np.concatenate((before[1], numbers))
        order = np.argsort(keys, kind="stable")
        if keys.size:
            self._runs.append((keys[order], numbers[order]))
