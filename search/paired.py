"""Whether a paired difference is more than chance: a sign-flip test, and Holm's correction."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

GRAIN = 100_000
"""Outcomes are kept with five decimals."""
MOST = 200_000
"""Sums that the exact test goes through at a time; beyond, signs are drawn."""
DRAWS = 50_000
"""Draws of all signs, which tell p to about .001 where it matters."""


def sign_flip_p(differences: Sequence[Sequence[float]]) -> float:
    """Two-sided p of the mean over tasks of mean paired differences.

    If neither side were better, each item's difference could as well have the other sign. p is the
    share of all choices of signs whose mean is at least as far from 0. For outcomes of right and
    wrong and tasks of one size this is McNemar's exact test. Where there are too many sums to go
    through, p is that of `DRAWS` random choices with a fixed seed, the observed one among them.

    Args:
        differences: [task][item], outcomes of one side minus those of the other.

    Returns:
        p in (0, 1]; 1 if nothing differs.

    Raises:
        ValueError: there is no task, or one without an item.
    """
    if not differences or not all(differences):
        raise ValueError("a paired test needs at least one item of every task")
    scale = math.lcm(*(len(task) for task in differences))
    steps = [round(x * GRAIN) * (scale // len(task)) for task in differences for x in task]
    observed = abs(sum(steps))
    counts = Counter(abs(step) for step in steps if step)
    found = _exact(counts, observed)
    return _drawn(counts, observed, scale) if found is None else found


def _exact(counts: Counter[int], observed: int) -> float | None:
    """p over all signs of `counts[step]` steps each; None if there are too many sums."""
    sums = {0: 1.0}
    for step, count in counts.items():
        if len(sums) * (count + 1) > MOST:
            return None
        chances = [math.comb(count, k) / 2**count for k in range(count + 1)]
        further: defaultdict[int, float] = defaultdict(float)
        for total, chance in sums.items():
            for k, share in enumerate(chances):
                further[total + (2 * k - count) * step] += chance * share
        sums = dict(further)
    return min(1.0, math.fsum(p for total, p in sums.items() if abs(total) >= observed))


def _drawn(counts: Counter[int], observed: int, scale: int) -> float:
    """The same over random signs: each byte drawn is the signs of eight steps."""
    import numpy as np  # noqa: PLC0415  # seldom needed

    rng = np.random.default_rng(0)
    every = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) - 1  # [256, 8]
    steps = np.array([step / scale for step in sorted(counts.elements())])  # scale may be huge
    sums = np.pad(steps, (0, -len(steps) % 8)).reshape(-1, 8) @ every.T  # [eights, 256]
    totals = np.zeros(DRAWS)
    for sum_of in sums:
        totals += sum_of[rng.integers(256, size=DRAWS, dtype=np.uint8)]
    far = np.count_nonzero(np.abs(totals) >= observed / scale * (1 - 1e-9))
    return (int(far) + 1) / (DRAWS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """p-values of several tests, corrected by Holm so that one false alarm among all is rare.

    Args:
        values: p of each test.

    Returns:
        In the same order: the k-th smallest of m times m - k + 1, never less than a smaller one's
        and at most 1.
    """
    found = [0.0] * len(values)
    least = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(1.0, values[index] * (len(values) - place)))
        found[index] = least
    return found
