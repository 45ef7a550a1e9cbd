"""The training losses of what is under way, in little memory however long it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Trace:
    """Losses as they came, each cell the mean of equally many: at most `MOST` cells.

    When all cells are full, every two become one. So a place on the curve stays a moment of the
    run, which it would not if only the older losses were thinned out.
    """

    MOST = 512

    of: str = ""
    """Whose losses these are."""
    first: float = math.nan
    last: float = math.nan
    _full: list[float] = field(default_factory=list)
    _each: int = 1
    """Losses in a full cell."""
    _sum: float = 0.0
    _count: int = 0
    """Losses in the cell that is not full yet."""

    def add(self, loss: float) -> None:
        """Take a loss in; the same one twice in a row, or one that is no number, counts for none.

        A sign of life that brings no step brings the loss of the step before.
        """
        if loss == self.last or not math.isfinite(loss):
            return
        if math.isnan(self.first):
            self.first = loss
        self.last = loss
        self._sum += loss
        self._count += 1
        if self._count < self._each:
            return
        self._full.append(self._sum / self._each)
        self._sum, self._count = 0.0, 0
        if len(self._full) == self.MOST:
            pairs = zip(self._full[::2], self._full[1::2], strict=True)
            self._full = [(one + other) / 2 for one, other in pairs]
            self._each *= 2

    def cells(self) -> list[float]:
        """The curve, from the first loss to the last; empty if there was none."""
        return self._full + ([self._sum / self._count] if self._count else [])
