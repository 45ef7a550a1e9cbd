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


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of a trial at a rung, and why."""

    trial: int
    promoted: bool
    reason: str


def paired_z(a: Sequence[float], b: Sequence[float]) -> float:
    """z-score of mean(b - a) over paired items; positive when `a` is lower (better).

    Raises:
        ValueError: the sequences differ in length or are empty.
    """
    differences = [y - x for x, y in zip(a, b, strict=True)]
    if not differences:
        raise ValueError("a paired test needs at least one item")
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return math.copysign(math.inf, mean) if mean else 0.0
    # not statistics.stdev: its exact fractions are thirty times slower
    squares = math.fsum((difference - mean) ** 2 for difference in differences)
    spread = math.sqrt(squares / (len(differences) - 1) / len(differences))
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
    verdicts: list[Verdict] = []
    for rank, front in enumerate(fronts(entries)):
        for entry in sorted(front, key=lambda e: (e.loss, e.trial)):
            place = len(verdicts) + 1
            text = f"loss {entry.loss:.3f}, place {place} of {len(entries)}"
            if rank == 0:
                verdict = Verdict(
                    trial=entry.trial, promoted=True, reason=f"promoted: no trial beats it ({text})"
                )
            elif place <= goes_on:
                verdict = Verdict(
                    trial=entry.trial, promoted=True, reason=f"promoted: a finalist ({text})"
                )
            elif entry.control:
                verdict = Verdict(
                    trial=entry.trial, promoted=True, reason=f"kept as the control ({text})"
                )
            else:
                verdict = Verdict(
                    trial=entry.trial,
                    promoted=False,
                    reason=f"pruned: {_why(entry, entries, eta, text)}",
                )
            verdicts.append(verdict)
    return verdicts


def _why(entry: Entry, entries: Sequence[Entry], eta: int, text: str) -> str:
    better = [other for other in entries if dominates(other, entry)]
    if not better:
        return f"outside the {quota(len(entries), eta)} finalists ({text})"
    best = min(better, key=lambda e: e.loss)
    gap = entry.loss - best.loss
    z = paired_z(best.losses, entry.losses)
    return f"beaten by trial {best.trial} by {gap:.3f} nats on the same items, z {z:.1f} ({text})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finalist:
    """A candidate for the final run."""

    trial: int
    correct: tuple[bool, ...]
    losses: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Share of items answered exactly."""
        return sum(self.correct) / len(self.correct)

    @property
    def loss(self) -> float:
        """Mean loss."""
        return statistics.fmean(self.losses)


def choose(finalists: Sequence[Finalist]) -> tuple[int, str]:
    """The trial for the final run, and why.

    Among those whose accuracy the paired test cannot tell from the best one's, the lowest loss:
    it is the steadier signal.

    Raises:
        ValueError: there is no finalist.
    """
    if not finalists:
        raise ValueError("no trial to choose from")
    top = max(finalists, key=lambda f: (f.accuracy, -f.loss, -f.trial))
    near = [
        f
        for f in finalists
        if paired_z([-float(c) for c in top.correct], [-float(c) for c in f.correct]) < Z
    ]
    chosen = min(near, key=lambda f: (f.loss, f.trial))
    text = f"trial {chosen.trial}: accuracy {chosen.accuracy:.3f}, loss {chosen.loss:.3f}"
    if len(near) == 1:
        return chosen.trial, f"{text}, clearly the most accurate of {len(finalists)} finalists"
    return chosen.trial, (
        f"{text}, the lowest loss among {len(near)} finalists whose accuracy "
        f"{len(chosen.correct)} items cannot tell apart"
    )


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
