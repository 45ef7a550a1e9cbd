"""The stream of training samples: which row comes next, so that trained tokens hold the mixture.

The stream is a pure function of (rows, mixture, seed): it does not depend on how long training
lasts, so a short trial reads exactly the beginning of what a long run reads.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAX_PASSES = 4
"""Times a source is read before the others take over its weight: up to four passes over the same
data are nearly as good as new data (Muennighoff et al. 2023, arXiv 2305.16264)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A tokenised row."""

    ids: tuple[int, ...]
    """Token ids of prompt and answer."""
    start: int
    """Index of the first answer token; tokens before it are context only."""
    source: str
    row: int
    """Index of the row in its source."""

    @property
    def trained(self) -> int:
        """Number of tokens that are trained on (labelled); a row's first token never is."""
        return len(self.ids) - max(self.start, 1)


@dataclass(slots=True)
class Cursor:
    """Position in the stream; all a checkpoint needs to go on with the very next sample."""

    drawn: dict[str, int] = field(default_factory=dict)
    """Samples drawn per source."""
    trained: dict[str, int] = field(default_factory=dict)
    """Labelled tokens drawn per source."""

    def copy(self) -> Cursor:
        """This position, to keep."""
        return Cursor(dict(self.drawn), dict(self.trained))

    def shares(self) -> dict[str, float]:
        """Realised share of labelled tokens per source (empty before the first sample)."""
        total = sum(self.trained.values())
        return {name: got / total for name, got in sorted(self.trained.items())} if total else {}


def labelled(rows: Sequence[Sample]) -> int:
    """Labelled tokens of a source; asked for, where it knows them, rather than counted."""
    known = getattr(rows, "trained", None)
    return sum(sample.trained for sample in rows) if known is None else int(known)


def trained_at(rows: Sequence[Sample]) -> Callable[[int], int]:
    """Labelled tokens of the sample at an index; asked for, where the source knows them."""
    known: Callable[[int], int] | None = getattr(rows, "trained_at", None)
    return known or (lambda index: rows[index].trained)


class Stream:
    """Draws samples so that each source's share of labelled tokens tracks its weight.

    Each draw takes the source that is furthest behind its weight, in tokens. So at any length a
    source is ahead of its weight by at most one sample, and behind by at most 1 + 1/2 + ... +
    1/(k-1) of the longest samples for k sources: 1 for two sources, 3.5 for twenty. Within a
    source, rows come in a seeded order, reshuffled for every pass.

    A source that was read `max_passes` times is left out, and the others share its weight in their
    proportions: from then on only their tokens are compared. When all have been left out, a new
    round begins: each may be read `max_passes` times more, and tokens are counted from there. What
    a source fell behind while it was left out is not made up for; else it would come back in one
    long run.
    """

    def __init__(
        self,
        sources: Mapping[str, Sequence[Sample]],
        mixture: Mapping[str, float],
        seed: int,
        cursor: Cursor | None = None,
        *,
        shuffle: bool = True,
        max_passes: int = MAX_PASSES,
    ) -> None:
        """Start at `cursor`, or at the beginning.

        Args:
            sources: rows by source; one that is not in a list is asked for by index, one at a time.
            mixture: weights by source; only their proportions count.
            seed: of the rows' order.
            cursor: where to go on; moved by every draw.
            shuffle: draw a source's rows in a seeded order; else in the given one.
            max_passes: times a source is read before it is left out, at least 1.
        """
        self._weights = {
            name: weight
            for name, weight in sorted(mixture.items())
            if weight > 0 and len(sources[name])
        }
        if not self._weights:
            raise ValueError("no source with a positive weight has a row left")
        if max_passes < 1:
            raise ValueError(f"max_passes must be at least 1, got {max_passes}")
        self._sources = sources
        self._trained = {name: trained_at(sources[name]) for name in self._weights}
        self._seed = seed
        self._shuffle = shuffle
        self._max_passes = max_passes
        self._limits = {name: max_passes * len(sources[name]) for name in self._weights}
        self._orders: dict[str, tuple[int, NDArray[np.int64]]] = {}
        self.cursor = cursor or Cursor()
        for name in self._weights:
            self.cursor.drawn.setdefault(name, 0)
            self.cursor.trained.setdefault(name, 0)
        self._shares, self._began = self._round()

    def __iter__(self) -> Iterator[Sample]:
        """The stream itself; it never ends."""
        return self

    def __next__(self) -> Sample:
        """The next sample."""
        name, index = self.draw()
        return self._sources[name][index]

    def draw(self) -> tuple[str, int]:
        """Where the next sample is: its source, and its index there. Its tokens are not read."""
        cursor, shares = self.cursor, self._shares
        got = {name: cursor.trained[name] - self._began[name] for name in shares}
        total = sum(got.values())
        name = max(shares, key=lambda n: (shares[n] * total - got[n], shares[n]))
        index = self._row(name)
        cursor.drawn[name] += 1
        cursor.trained[name] += self._trained[name](index)
        if cursor.drawn[name] % self._limits[name] == 0:
            self._shares, self._began = self._round()
        return name, index

    def passes(self) -> dict[str, float]:
        """How many times each source of the mixture was read so far."""
        return {name: self.cursor.drawn[name] / len(self._sources[name]) for name in self._weights}

    def capped(self) -> list[str]:
        """The sources that were read `max_passes` times or more."""
        return [name for name, limit in self._limits.items() if self.cursor.drawn[name] >= limit]

    def _round(self) -> tuple[dict[str, float], dict[str, int]]:
        """Shares of the sources that may be drawn, and their labelled tokens before this round.

        In full rounds each source was read a whole number of times, so the cursor tells both.
        """
        drawn, limits = self.cursor.drawn, self._limits
        rounds = min(drawn[name] // limit for name, limit in limits.items())
        left = [name for name, limit in limits.items() if drawn[name] < (rounds + 1) * limit]
        total = math.fsum(self._weights[name] for name in left)
        shares = {name: self._weights[name] / total for name in left}
        if not rounds:
            return shares, dict.fromkeys(left, 0)
        passes = rounds * self._max_passes
        return shares, {name: passes * labelled(self._sources[name]) for name in left}

    def _row(self, name: str) -> int:
        """Index of the source's next row."""
        count = len(self._sources[name])
        lap, place = divmod(self.cursor.drawn[name], count)
        if not self._shuffle:
            return place
        known = self._orders.get(name)
        if known is None or known[0] != lap:
            digest = hashlib.sha256(f"{self._seed}/{name}/{lap}".encode()).digest()
            rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest)))
            known = self._orders[name] = (lap, rng.permutation(count))
        return int(known[1][place])
