"""The stream of training samples: which row comes next, so that trained tokens hold the mixture.

The stream is a pure function of (rows, mixture, seed): it does not depend on how long training
lasts, so a short trial reads exactly the beginning of what a long run reads.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


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
        """Number of tokens that are trained on (labelled)."""
        return len(self.ids) - self.start


@dataclass(slots=True)
class Cursor:
    """Position in the stream; all a checkpoint needs to go on with the very next sample."""

    drawn: dict[str, int] = field(default_factory=dict)
    """Samples drawn per source."""
    trained: dict[str, int] = field(default_factory=dict)
    """Labelled tokens drawn per source."""

    def shares(self) -> dict[str, float]:
        """Realised share of labelled tokens per source (empty before the first sample)."""
        total = sum(self.trained.values())
        return {name: got / total for name, got in sorted(self.trained.items())} if total else {}


class Stream:
    """Draws samples so that each source's share of labelled tokens tracks its weight.

    Each draw takes the source that is furthest behind its weight, so the realised shares differ
    from the asked ones by at most one sample per source, at any length. Within a source, rows come
    in a seeded order, reshuffled for every pass.
    """

    def __init__(
        self,
        sources: Mapping[str, Sequence[Sample]],
        mixture: Mapping[str, float],
        seed: int,
        cursor: Cursor | None = None,
        *,
        shuffle: bool = True,
    ) -> None:
        """Start at `cursor`, or at the beginning; without `shuffle`, rows keep their order."""
        self._shuffle = shuffle
        self._weights = {
            name: weight for name, weight in sorted(mixture.items()) if weight > 0 and sources[name]
        }
        if not self._weights:
            raise ValueError("no source with a positive weight has a row left")
        self._sources = sources
        self._seed = seed
        self._orders: dict[str, tuple[int, list[int]]] = {}
        self.cursor = cursor or Cursor()
        for name in self._weights:
            self.cursor.drawn.setdefault(name, 0)
            self.cursor.trained.setdefault(name, 0)

    def __iter__(self) -> Iterator[Sample]:
        """The stream itself; it never ends."""
        return self

    def __next__(self) -> Sample:
        """The next sample."""
        cursor = self.cursor
        name = min(self._weights, key=lambda n: (cursor.trained[n] / self._weights[n], n))
        rows = self._sources[name]
        lap, place = divmod(cursor.drawn[name], len(rows))
        sample = rows[self._order(name, lap)[place]]
        cursor.drawn[name] += 1
        cursor.trained[name] += sample.trained
        return sample

    def _order(self, name: str, lap: int) -> list[int]:
        known = self._orders.get(name)
        if known is None or known[0] != lap:
            digest = hashlib.sha256(f"{self._seed}/{name}/{lap}".encode()).digest()
            order = list(range(len(self._sources[name])))
            if self._shuffle:
                random.Random(digest).shuffle(order)
            known = self._orders[name] = (lap, order)
        return known[1]
