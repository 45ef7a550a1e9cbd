"""Forecasts with an uncertainty: what a segment will cost, and how good the final run will be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from objectives.cpu import cpu_has_bf16
from spaces import Quantization, Recipe, Targets

UNKNOWN = 1.25
"""Safety factor on the cost of a kind of recipe that was not measured yet."""
KNOWN = 1.10
"""Safety factor on the cost of a kind of recipe that was measured."""

QUANTIZATION_COST = {Quantization.BF16: 1.0, Quantization.INT8: 1.6, Quantization.NF4: 1.25}
"""Training seconds relative to bf16, before anything is measured (research on 8B models)."""
ATTENTION_COST = 0.85
PADDING_COST = 1.35
WIDE, WIDE_COST = 64, 1.1
"""Adapters of a higher rank, and what they cost."""
RECOMPUTING_COST = 1.4
"""What gradient checkpointing costs (measured on a GPU with a shape of 7B: 1.35 to 1.47)."""

Shape = tuple[Targets, Quantization, bool, int]


def shape(recipe: Recipe) -> Shape:
    """What decides a recipe's speed: targets, quantization, packing and step size."""
    return (recipe.targets, recipe.quantization, recipe.packing, recipe.tokens_per_step)


def relative_cost(key: Shape) -> float:
    """Guessed seconds per token relative to a packed bf16 recipe on all layers."""
    targets, quantization, packing, _ = key
    cost = QUANTIZATION_COST[quantization]
    cost *= ATTENTION_COST if targets is Targets.ATTENTION else 1.0
    return cost * (1.0 if packing else PADDING_COST)


Effects = tuple[tuple[float, float, float], ...]
"""(a property, what it is assumed to do to log seconds per token, standard deviation of that)"""
UNIT = 3.0
"""Standard deviation of the assumed log seconds per token of the plainest recipe."""
OWN = 0.04
"""Standard deviation of what a shape does beyond its properties' effects."""
TIMING = 0.03
"""Standard deviation of a segment's measured log seconds per token."""
MOST_SPREAD = 4.0
"""Steps of fewer than a fourth of 8,192 tokens are not assumed to cost more for each."""
SLOWED = 4.0
"""An evaluation that takes this many times as long as before tells of the machine."""
AGED = 1.5
"""That grows by this factor with every later segment of the same shape: speeds change."""
RECENT = 64
"""Segments that are remembered: a machine's speed may change."""


def effects(recipe: Recipe, *, recomputing: bool) -> Effects:
    """What decides a recipe's seconds per token, with assumptions until it is measured."""
    kind = recipe.quantization
    spread = min(MOST_SPREAD, 8192 / recipe.tokens_per_step) - 1  # what a step costs in itself
    return (
        (1.0, 0.0, UNIT),
        (float(recipe.targets is Targets.ATTENTION), math.log(ATTENTION_COST), 0.3),
        (float(kind is Quantization.INT8), math.log(QUANTIZATION_COST[Quantization.INT8]), 0.5),
        (float(kind is Quantization.NF4), math.log(QUANTIZATION_COST[Quantization.NF4]), 0.3),
        (float(not recipe.packing), math.log(PADDING_COST), 0.3),
        (spread, 0.05, 0.07),  # starting and ending it
        (spread * (kind is not Quantization.BF16), 0.05, 0.05),  # making weights whole
        (float(recipe.rank > WIDE), math.log(WIDE_COST), 0.1),
        (float(recomputing), math.log(RECOMPUTING_COST), 0.1),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long a segment's tokens took."""

    recipe: Recipe
    recomputing: bool
    """Whether it was trained with gradient checkpointing."""
    token_s: float


@dataclass(slots=True)
class CostForecast:
    """Seconds per token and per evaluation, learned from what was measured.

    Seconds per token are a product of effects, each with an assumption that gives way to
    measurements (Bayesian linear regression on logarithms), and of what is each shape's own. So
    bf16 and 4 bits on all layers and bf16 on attention tell of 4 bits on attention.
    """

    token_s: float
    """Seconds per token of a packed bf16 recipe on all layers, before anything is measured."""
    evaluation_s: dict[str, float] = field(default_factory=dict)
    """Seconds of an evaluation by items file: of the slowest so far, or as foreseen."""
    foreseen: set[str] = field(default_factory=set)
    """Items that nothing was scored on yet."""
    measured: list[Timing] = field(default_factory=list)
    """The latest segments."""
    _weights: np.ndarray | None = field(default=None, repr=False)
    """Of the measured segments in a forecast; None when one was added."""

    def learn(
        self, recipe: Recipe, tokens: int, seconds: float, *, recomputing: bool = False
    ) -> None:
        """Take in a segment (its first tokens include warming up)."""
        if tokens > 0 and seconds > 0:
            timing = Timing(recipe=recipe, recomputing=recomputing, token_s=seconds / tokens)
            self.measured = [*self.measured, timing][-RECENT:]
            self._weights = None

    def foresee_evaluation(self, items: str, seconds: float) -> None:
        """Assume how long an evaluation takes until the first of its kind was made."""
        self.foreseen.add(items)
        self.evaluation_s[items] = seconds

    def learn_evaluation(self, items: str, seconds: float) -> None:
        """Take in an evaluation; the slowest one counts.

        One that takes many times as long as before means that the machine has become slow, for the
        other items as well.
        """
        before = self.evaluation_s.get(items, 0.0)
        if before and seconds > SLOWED * before:
            for other in self.evaluation_s:
                self.evaluation_s[other] *= seconds / before
        self.evaluation_s[items] = seconds if items in self.foreseen else max(seconds, before)
        self.foreseen.discard(items)

    def per_token(self, recipe: Recipe, *, recomputing: bool | None = None) -> tuple[float, float]:
        """(expected, pessimistic) training seconds per token.

        Without `recomputing`, as the measured recipe that is most alike was trained.
        """
        known = any(shape(timing.recipe) == shape(recipe) for timing in self.measured)
        if recomputing is None:
            recomputing = self._recomputing(recipe)
        expected = math.exp(self._assumed(recipe, recomputing) + self._learned(recipe, recomputing))
        return expected, expected * (KNOWN if known else UNKNOWN)

    def _recomputing(self, recipe: Recipe) -> bool:
        """Whether the measured recipe that is most alike, the latest of such, recomputed."""

        def unlike(timing: Timing) -> tuple[bool, bool, float, float]:
            other = timing.recipe
            return (
                other.quantization is not recipe.quantization,
                other.targets is not recipe.targets,
                abs(math.log(other.tokens_per_step / recipe.tokens_per_step)),
                abs(math.log(other.rank / recipe.rank)),
            )

        nearest = min(reversed(self.measured), key=unlike, default=None)
        return nearest is not None and nearest.recomputing

    def _assumed(self, recipe: Recipe, recomputing: bool) -> float:
        known = effects(recipe, recomputing=recomputing)
        return math.log(self.token_s) + sum(x * mean for x, mean, _ in known)

    def _learned(self, recipe: Recipe, recomputing: bool) -> float:
        if not self.measured:
            return 0.0
        if self._weights is None:
            off = np.array(
                [
                    math.log(t.token_s) - self._assumed(t.recipe, t.recomputing)
                    for t in self.measured
                ]
            )
            seen: Counter[Shape] = Counter()
            noise = []
            for timing in reversed(self.measured):
                noise.append((TIMING * AGED ** seen[shape(timing.recipe)]) ** 2)
                seen[shape(timing.recipe)] += 1
            among = _alike(self.measured, self.measured) + np.diag(noise[::-1])
            self._weights = np.linalg.solve(among, off)
        asked = Timing(recipe=recipe, recomputing=recomputing, token_s=math.nan)
        return float(_alike([asked], self.measured)[0] @ self._weights)

    def segment_s(self, recipe: Recipe, tokens: int) -> float:
        """Pessimistic seconds of training `tokens` and evaluating on the search items."""
        return tokens * self.per_token(recipe)[1] + KNOWN * self.evaluation_s.get("search", 0.0)


def _alike(some: Sequence[Timing], others: Sequence[Timing]) -> np.ndarray:
    """Covariances [n, m] of what recipes' log seconds per token are beside the assumptions."""
    left, right = (
        np.array(
            [
                [x * spread for x, _, spread in effects(t.recipe, recomputing=t.recomputing)]
                for t in timings
            ]
        )
        for timings in (some, others)
    )
    same = np.array([[shape(a.recipe) == shape(b.recipe) for b in others] for a in some])
    found: np.ndarray = left @ right.T + OWN**2 * same
    return found


def assumed_token_s(parameters: float, *, cuda: bool, cores: int) -> float:
    """Training seconds per token before anything is measured, on the careful side.

    A frozen base costs 4 FLOPs per parameter and token. Assumed: 55 GFLOP/s per CPU core with
    bfloat16 units and 35 without (measured on two cores of an EPYC: 62 and 39), 100 TFLOP/s on a
    GPU, and no more than 25,000 tokens/s.
    """
    flops = 1e14 if cuda else (5.5e10 if cpu_has_bf16() else 3.5e10) * max(1, cores)
    return max(4 * parameters / flops, 1 / 25_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyForecast:
    """Expected accuracy of the final run with a nominal 80 % interval."""

    accuracy: float
    low: float
    high: float


def forecast_accuracy(
    points: Sequence[tuple[int, float]], tokens: int, items: int
) -> AccuracyForecast | None:
    """Extrapolate (tokens, accuracy) points of one trial to `tokens`.

    A straight line through the last two points in (log tokens, logit accuracy), its slope halved,
    since curves flatten. The interval spans from no further gain to the full slope, widened by the
    sampling noise of `items` items. One point: no gain is foreseen. While fewer than three items
    are right, accuracy says nothing of what is to come, and the interval is open to 1. No point:
    None.
    """
    if not points:
        return None
    last_tokens, last = points[-1]
    noise = 1.28 * math.sqrt(max(last * (1 - last), 0.25 / items) / items)
    floor = last * items < 3
    if len(points) < 2 or points[-2][0] >= last_tokens or tokens <= last_tokens:
        return AccuracyForecast(
            accuracy=last,
            low=max(0.0, last - noise),
            high=1.0 if floor else min(1.0, last + noise),
        )
    before_tokens, before = points[-2]
    slope = (_logit(last, items) - _logit(before, items)) / math.log(last_tokens / before_tokens)
    slope = max(0.0, slope)
    ahead = math.log(tokens / last_tokens)
    start = _logit(last, items)
    return AccuracyForecast(
        accuracy=_expit(start + slope * ahead / 2),
        low=max(0.0, last - noise),
        high=1.0 if floor else min(1.0, _expit(start + slope * ahead) + noise),
    )


def _logit(accuracy: float, items: int) -> float:
    smooth = (accuracy * items + 0.5) / (items + 1)
    return math.log(smooth / (1 - smooth))


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))
