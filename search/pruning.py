"""Pareto successive halving: which trials go on at a rung, on paired early evaluations.

Every trial answers the same items, so two trials are compared item by item: noise that items share
cancels. The early signal is the answer loss (accuracy on some hundred items is mostly noise); the
second axis is device time. The non-dominated set is never pruned for rank.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FINALISTS = 3
"""Fewest trials that go on at each rung: short proxies rank the best third badly."""
SAME_COST = 0.15
"""Costs within 15 % count as equal: that is how far timings of one recipe spread."""
Z = 1.64
"""Paired z-score above which a difference in loss counts (one-sided 5 %)."""
FRONT = (
    f"no trial beats it: none has a clearly lower loss (z {Z} or more) in no more time, "
    "or a lower loss in clearly less time"
)
"""What it means to be on the front; see `dominates`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A trial's early evaluation at a rung."""

    trial: int
    losses: tuple[float, ...]
    """Loss per item, the same items in the same order for every entry."""
    gpu_hours: float
    control: bool = False

    @property
    def loss(self) -> float:
        """Mean loss."""
        return statistics.fmean(self.losses)

    def told(self) -> str:
        """Its mean loss with the standard error and the number of items."""
        return f"loss {self.loss:.3f} ± {stderr(self.losses):.3f} on {len(self.losses)} items"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of a trial at a rung, and why."""

    trial: int
    promoted: bool
    reason: str


def stderr(values: Sequence[float]) -> float:
    """Standard error of the mean; 0 for a single value, which says nothing of its spread."""
    if len(values) < 2:
        return 0.0
    mean = statistics.fmean(values)
    # not statistics.stdev: its exact fractions are thirty times slower
    squares = math.fsum((value - mean) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1) / len(values))


def paired(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """(mean of b - a over paired items, its standard error).

    Raises:
        ValueError: the sequences differ in length or are empty.
    """
    differences = [y - x for x, y in zip(a, b, strict=True)]
    if not differences:
        raise ValueError("a paired test needs at least one item")
    return statistics.fmean(differences), stderr(differences)


def paired_z(a: Sequence[float], b: Sequence[float]) -> float:
    """z-score of mean(b - a) over paired items; positive when `a` is lower (better).

    0 for a single pair, which cannot tell its own noise.

    Raises:
        ValueError: the sequences differ in length or are empty.
    """
    mean, spread = paired(a, b)
    if len(a) < 2:
        return 0.0  # one item says nothing of its own noise
    if spread == 0:
        return math.copysign(math.inf, mean) if mean else 0.0
    return mean / spread


def dominates(a: Entry, b: Entry) -> bool:
    """Whether `a` is at least as good as `b` on both axes and clearly better on one."""
    z = paired_z(a.losses, b.losses)
    if z >= Z:
        return a.gpu_hours <= b.gpu_hours * (1 + SAME_COST)
    return z > 0 and a.gpu_hours * (1 + SAME_COST) < b.gpu_hours


def fronts(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Non-dominated sorting: the first front is dominated by nobody, and so on."""
    left = list(entries)
    found: list[list[Entry]] = []
    while left:
        front = [e for e in left if not any(dominates(o, e) for o in left if o is not e)]
        front = front or left  # noisy tests can go round in a circle
        found.append(front)
        left = [e for e in left if e not in front]
    return found


def quota(count: int, eta: int) -> int:
    """How many of `count` trials go on: about one in eta, and at least the finalists."""
    return min(count, max(FINALISTS, math.ceil(count / eta)))


def judge(entries: Sequence[Entry], eta: int) -> list[Verdict]:
    """Decide on all trials of a bracket that reached a rung.

    Args:
        entries: one per trial.
        eta: about one in eta goes on.

    Returns:
        One verdict per entry, best first. The front and the best of the rest up to the quota go
        on, and so does the control.
    """
    goes_on = quota(len(entries), eta)
    lowest = min(entries, key=lambda e: (e.loss, e.trial), default=None)
    verdicts: list[Verdict] = []
    for rank, front in enumerate(fronts(entries)):
        for entry in sorted(front, key=lambda e: (e.loss, e.trial)):
            place = len(verdicts) + 1
            text = f"{entry.told()}, place {place} of {len(entries)}"
            if lowest is not None and entry is not lowest:
                text += f"; {_gap(entry, lowest)} above the lowest, trial {lowest.trial}'s"
            promoted = rank == 0 or place <= goes_on or entry.control
            if rank == 0:
                reason = f"promoted: {FRONT} ({text})"
            elif place <= goes_on:
                reason = f"promoted: among the best {goes_on} ({text})"
            elif entry.control:
                reason = f"kept as the control ({text})"
            else:
                reason = f"pruned: {_why(entry, entries, goes_on, text)}"
            verdicts.append(Verdict(trial=entry.trial, promoted=promoted, reason=reason))
    return verdicts


def _why(entry: Entry, entries: Sequence[Entry], goes_on: int, text: str) -> str:
    better = [other for other in entries if dominates(other, entry)]
    if not better:
        return f"outside the best {goes_on} ({text})"
    best = min(better, key=lambda e: e.loss)
    z = paired_z(best.losses, entry.losses)
    cheaper = "" if z >= Z else " in clearly less time"
    return (
        f"beaten by trial {best.trial}{cheaper} by {_gap(entry, best)} nats on the same items, "
        f"z {z:.1f} ({text.partition(';')[0]})"
    )


def _gap(entry: Entry, best: Entry) -> str:
    mean, spread = paired(best.losses, entry.losses)
    return f"{mean:.3f} ± {spread:.3f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finalist:
    """A candidate for the final run."""

    trial: int
    correct: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Mean outcome."""
        return sum(self.correct) / len(self.correct)

    @property
    def loss(self) -> float:
        """Mean loss."""
        return statistics.fmean(self.losses)


def choose(finalists: Sequence[Finalist], items: str) -> tuple[int, str]:
    """The trial for the final run, and why.

    Among those whose accuracy the paired test cannot tell from the best one's, the lowest loss:
    it is the steadier signal.

    Args:
        finalists: scored on the same items.
        items: what these are called, such as `fresh items`.

    Raises:
        ValueError: there is no finalist.
    """
    if not finalists:
        raise ValueError("no trial to choose from")
    top, *others = sorted(finalists, key=lambda f: (-f.accuracy, f.loss, f.trial))
    near = [f for f in finalists if paired_z(_wrong(top), _wrong(f)) < Z]
    chosen = min(near, key=lambda f: (f.loss, f.trial))
    text = (
        f"trial {chosen.trial}: accuracy {chosen.accuracy:.3f}, loss {chosen.loss:.3f} "
        f"on {len(chosen.correct)} {items}"
    )
    if not others:
        return chosen.trial, f"{text}, the only finalist"
    if len(near) == 1:
        gap = f"{_ahead(top, others[0])} against the next, trial {others[0].trial}"
        return chosen.trial, f"{text}, clearly the most accurate of {len(finalists)} ({gap})"
    apart = (
        f"the lowest loss among {len(near)} finalists whose accuracy the paired test cannot tell "
        "apart"
    )
    if chosen is top:
        return chosen.trial, (
            f"{text}, {apart}, and the most accurate "
            f"({_ahead(top, others[0])} against the next, trial {others[0].trial})"
        )
    gap = f"difference to the most accurate, trial {top.trial}: {_ahead(chosen, top)}"
    return chosen.trial, f"{text}, {apart} ({gap})"


def _wrong(finalist: Finalist) -> list[float]:
    return [1 - outcome for outcome in finalist.correct]


def _ahead(a: Finalist, b: Finalist) -> str:
    mean, spread = paired(b.correct, a.correct)
    return f"{mean:+.3f} ± {spread:.3f}"


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the non-dominated (accuracy, gpu_hours) points, cheapest first.

    Accuracy is better when higher, gpu_hours when lower. Of equal points the first one stays.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0], i))
    front: list[int] = []
    for index in order:
        if not front or points[index][0] > points[front[-1]][0]:
            front.append(index)
    return front
