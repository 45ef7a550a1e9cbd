"""What mattered: PED-ANOVA importances of the axes, with what they are worth.

PED-ANOVA asks how differently an axis is distributed among the best quarter of the trials and among
all of them. Its shares always add up to 1, in noise too. So each stands beside what it is when the
losses are shuffled among the trials, which tells what chance gives it, and, if there are trials
enough, beside the shares in halves of the trials, which tell its spread.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.report.sample import ENOUGH, Sample

if TYPE_CHECKING:
    from optuna.study import Study

BEST = 0.25
"""The part of the trials that counts as good."""
REPEATS = 20
"""Halves, and shuffles. They are drawn with a fixed seed: the same folder gives the same report."""
HALVED = 2 * ENOUGH
"""Trials from which on a half of them holds enough for importances of its own."""
MOST = 100
"""Trials that importances are computed from; of more, as many evenly by number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """What an axis mattered."""

    axis: str
    share: float
    """Of the importance of all axes; they sum to 1."""
    halves: tuple[float, float] | None
    """Shares that 1 of 20 halves of the trials stays below, and 1 of 20 goes beyond: with fewer
    trials an axis can weigh less or more, so `share` need not lie between them. None if there are
    fewer than `HALVED` trials."""
    chance: float
    """The most that `REPEATS` shuffles of the losses gave, on the same scale; it can be above 1."""

    @property
    def stands_out(self) -> bool:
        """Whether no shuffle gave as much; 1 of `REPEATS` + 1 axes of no effect does by luck."""
        return self.share > self.chance


def importances(sample: Sample) -> tuple[Importance, ...]:
    """Importance of every axis of a sample for its loss, largest first.

    Empty if the sample is smaller than `ENOUGH`, has no axis, or has one loss throughout.
    """
    used = _even(sample)
    losses = used.losses
    if used.n < ENOUGH or not used.axes or len(set(losses)) < 2:
        return ()
    study = _study(used)
    whole = _raw(study, used.axes, losses)
    total = math.fsum(whole.values())
    if not total:
        return ()
    draw = random.Random(0)
    shuffles = [_raw(study, used.axes, draw.sample(losses, used.n)) for _ in range(REPEATS)]
    halves: list[dict[str, float]] = []
    for _ in range(REPEATS if used.n >= HALVED else 0):
        half = set(draw.sample(range(used.n), used.n // 2))
        kept = [loss if i in half else math.inf for i, loss in enumerate(losses)]
        halves.append(_raw(study, used.axes, kept))
    found = [
        Importance(
            axis=axis,
            share=whole[axis] / total,
            halves=_spread(axis, halves) if halves else None,
            chance=max(shuffle[axis] for shuffle in shuffles) / total,
        )
        for axis in used.axes
    ]
    return tuple(sorted(found, key=lambda one: -one.share))


def _spread(axis: str, halves: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """An axis's shares in halves of the trials, without the 1 of 20 at either end."""
    shares = sorted(half[axis] / (math.fsum(half.values()) or 1.0) for half in halves)
    cut = len(shares) // 20
    return shares[cut], shares[-1 - cut]


def _even(sample: Sample) -> Sample:
    """At most `MOST` of the trials, evenly by number."""
    if sample.n <= MOST:
        return sample
    picked = tuple(sample.records[i * sample.n // MOST] for i in range(MOST))
    return Sample(rung=sample.rung, records=picked, axes=sample.axes)


def _study(sample: Sample) -> Study:
    """A study in memory: the run's own is never told losses of a lower rung."""
    import optuna  # noqa: PLC0415  # not needed where the sample is too small
    from optuna.trial import create_trial  # noqa: PLC0415  # likewise

    study = optuna.create_study(direction="minimize")
    values = {axis: sample.values(axis) for axis in sample.axes}
    distributions = {axis: sample.distribution(axis) for axis in sample.axes}
    study.add_trials(
        create_trial(
            params={axis: values[axis][place] for axis in sample.axes},
            distributions=distributions,
            value=loss,
        )
        for place, loss in enumerate(sample.losses)
    )
    return study


def _raw(study: Study, axes: Sequence[str], losses: Sequence[float]) -> dict[str, float]:
    """Importances before they are made to sum to 1; trials whose loss is infinite are left out."""
    from optuna.importance import PedAnovaImportanceEvaluator  # noqa: PLC0415  # as above

    evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)
    with warnings.catch_warnings():
        # It warns that a target of one's own is minimized, as losses are, and of ties.
        warnings.simplefilter("ignore")
        return evaluator.evaluate(study, list(axes), target=lambda trial: losses[trial.number])
