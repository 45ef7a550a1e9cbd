"""The split of the budget: the final run is reserved first, the rest is search.

Nothing starts unless it fits: a segment is admitted only if now + its forecast + what is reserved
lies before the deadline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from search.budget import format_seconds
from search.errors import BudgetTooSmall
from search.forecast import KNOWN, CostForecast
from search.pruning import FINALISTS, quota
from search.split import LEAST_FINAL
from studies import Study

MARGIN_SHARE = 0.01
"""Share of the time left that is left free, so that a late step or a slow disk does no harm."""
MARGIN_S = 4.0
MOST_MARGIN_S = 240.0
"""Enough, at the end of a day, for two new training processes of a large model."""
EXPORT_S = 5.0
"""Seconds for writing recipe and report."""
SCORED = 3
"""Base, default and final recipe: what is scored on the final and the held-out items."""
RESCORED = FINALISTS + 1
"""Trials that time is reserved for to score again on fresh items, the control among them, and on
held-out items, where the control is scored as the default recipe anyway."""
BRACKETS = 3
"""Brackets that must fit before rungs are made longer than the study asks for."""
FULL_BRACKET = 6
"""Fewest trials of which successive halving prunes two."""
SMALLEST_BRACKET = 4
LATER = (
    "; that is planned, but the search ends sooner if the time of further trials is worth more to "
    f"the final run, and goes on if it is worth less, up to {1 - LEAST_FINAL:.0%}"
)
LADDER = (
    *(0.25, 0.375, 0.5, 0.75),
    *(1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512),
)
"""First rungs come in these multiples of the study's own: a coarse grid, so that timing noise
seldom changes the plan. Below 1 only where nothing else fits: a short budget, a slow machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Forecast seconds of what a job is made of."""

    load_s: float
    """Loading, still to come."""
    token_s: float
    """Training seconds per token of the default recipe, pessimistic."""
    search_eval_s: float
    """One evaluation on the search items."""
    final_eval_s: float
    """One evaluation on the final and the held-out items."""
    finalist_eval_s: float = 0.0
    """One evaluation on the finalists' items."""
    heldout_eval_s: float = 0.0
    """One evaluation on the held-out items."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a budget is split; all in seconds, in the order in which they are spent."""

    budget_s: float
    load_s: float
    """Setting up, loading and the base model's evaluation."""
    search_s: float
    """Trials: training and early evaluation."""
    final_train_s: float
    final_eval_s: float
    """Base, default and final recipe on final and held-out items."""
    export_s: float
    margin_s: float
    rungs: tuple[int, ...]
    """Tokens at which a trial is evaluated, in all since its start."""
    bracket: int
    """Trials that start together."""
    reason: str
    least_final_s: float | None = None
    """What the search leaves to the final run whatever it finds; if None, the split is fixed."""
    finalists_s: float = 0.0
    """Scoring the finalists again on fresh items, before one is chosen."""
    heldout_s: float = 0.0
    """Scoring the finalists on held-out items, after one was chosen."""

    @property
    def reserve_s(self) -> float:
        """What is kept from the search, as the split is planned or was decided."""
        return self.finalists_s + self.heldout_s + self.after_finalists_s

    @property
    def least_reserve_s(self) -> float:
        """What the search must leave whatever it finds."""
        return self.reserve_s - self.final_train_s + self.floor_s

    @property
    def floor_s(self) -> float:
        """What of that is the final run's training."""
        return self.final_train_s if self.least_final_s is None else self.least_final_s

    def decided(self, left_s: float, reason: str) -> Plan:
        """The split as it came out, with `left_s` left when the search ended."""
        final = max(0.0, left_s - self.least_reserve_s + self.floor_s)
        search = self.search_s + self.final_train_s - final
        return replace(
            self,
            search_s=search,
            final_train_s=final,
            least_final_s=min(final, self.floor_s),
            reason=reason,
        )

    @property
    def after_finalists_s(self) -> float:
        """What must be left once a finalist is chosen; held-out scores of trials may go without."""
        return self.final_train_s + self.final_eval_s + self.export_s + self.margin_s

    @property
    def after_heldout_s(self) -> float:
        """What must be left once base, default and the finalists are scored."""
        return self.final_train_s + self.after_training_s

    @property
    def after_training_s(self) -> float:
        """What must be left once the final run is trained."""
        return self.final_eval_s / SCORED + self.export_s + self.margin_s

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Plan:
        """The inverse of `to_dict`."""
        return cls(**{**fields, "rungs": tuple(fields["rungs"])})

    def lines(self) -> list[str]:
        """The split for people."""
        parts = {
            "load": self.load_s,
            "search": self.search_s,
            "finalists": self.finalists_s,
            "held-out check": self.heldout_s,
            "final run": self.final_train_s,
            "final evaluation": self.final_eval_s,
            "export": self.export_s,
            "margin": self.margin_s,
        }
        width = max(len(name) for name in parts)
        lines = [
            f"{name:<{width}}  {format_seconds(seconds):>7}  {seconds / self.budget_s:>4.0%}"
            for name, seconds in parts.items()
        ]
        tokens = ", ".join(f"{tokens:,}" for tokens in self.rungs)
        return [
            *lines,
            f"brackets of {self.bracket} trials, evaluated at {tokens} tokens",
            self.reason,
        ]


def margin_of(seconds: float) -> float:
    """What is left free at the end, as far as may go wrong in the `seconds` still to come."""
    return min(MARGIN_S + MARGIN_SHARE * seconds, MOST_MARGIN_S)


def bracket_cost(count: int, rungs: tuple[int, ...], costs: Costs, eta: int) -> float:
    """Seconds of a bracket of successive halving, the control going on at every rung."""
    seconds = 0.0
    alive, before = count, 0
    for tokens in rungs:
        seconds += alive * ((tokens - before) * costs.token_s + costs.search_eval_s)
        alive, before = min(alive, quota(alive, eta) + 1), tokens
    return seconds


def make_plan(study: Study, budget_s: float, spent_s: float, costs: Costs) -> Plan:
    """Split a budget.

    Args:
        study: the job.
        budget_s: the whole budget.
        spent_s: seconds already spent.
        costs: forecasts.

    Raises:
        BudgetTooSmall: not even the smallest search and final run fit; says what would.
    """
    found = _try_plan(study, budget_s, spent_s, costs)
    if found is None:
        least = least_budget(study, spent_s, costs)
        raise BudgetTooSmall(
            f"--budget {format_seconds(budget_s)} is too small for the study {study.name} on this "
            f"machine; the least that would do is {format_seconds(least)}"
        )
    return found


def least_budget(study: Study, spent_s: float, costs: Costs) -> float:
    """The smallest budget that `make_plan` takes, rounded up to 10 seconds."""
    low, high = 0.0, 60.0
    while _try_plan(study, high, spent_s, costs) is None:
        low, high = high, high * 2
    while high - low > 5:
        middle = (low + high) / 2
        fits = _try_plan(study, middle, spent_s, costs) is not None
        low, high = (low, middle) if fits else (middle, high)
    return math.ceil(high / 10) * 10


def _try_plan(study: Study, budget_s: float, spent_s: float, costs: Costs) -> Plan | None:
    margin = margin_of(budget_s)
    load = spent_s + costs.load_s
    final_eval = SCORED * costs.final_eval_s
    finalists = RESCORED * costs.finalist_eval_s
    heldout = (RESCORED - 1) * costs.heldout_eval_s
    free = budget_s - load - margin - EXPORT_S - final_eval - finalists - heldout
    final_train = study.final_share * free
    search = free - final_train
    if final_train < LADDER[0] * study.first_rung_tokens * costs.token_s:
        return None  # the final run must add at least a first rung
    found = ladder(study, search, final_train, costs)
    if found is None:
        return None
    bracket, rungs = found
    return Plan(
        budget_s=budget_s,
        load_s=load,
        search_s=search,
        final_train_s=final_train,
        least_final_s=None if study.fixed_split else min(final_train, LEAST_FINAL * free),
        final_eval_s=final_eval,
        export_s=EXPORT_S,
        margin_s=margin,
        finalists_s=finalists,
        heldout_s=heldout,
        rungs=rungs,
        bracket=bracket,
        reason=(
            f"{study.final_share:.0%} of what fixed costs leave is for the final run, "
            "which goes on from the chosen trial's checkpoint"
            + ("" if study.fixed_split else LATER)
        ),
    )


def ladder(
    study: Study, search_s: float, final_train_s: float, costs: Costs
) -> tuple[int, tuple[int, ...]] | None:
    """The longest rungs whose brackets fit: (trials of a bracket, tokens per rung).

    Rungs are longer than the study's only where `BRACKETS` brackets fit: the sampler learns from
    one what to try in the next; else one must do. A full bracket comes before three rungs, three
    rungs before longer ones, and a bracket too small to prune two trials comes last. The top rung
    stays below a third of what the final run adds: what time is then left starts further brackets.
    """
    longest = final_train_s / costs.token_s / study.eta
    full = min(FULL_BRACKET, study.bracket)
    ideal = tuple(multiple for multiple in LADDER if multiple >= 1)
    attempts = [(count, ideal) for count in range(study.bracket, full - 1, -1)]
    attempts += [(count, LADDER) for count in range(study.bracket, full - 1, -1)]
    attempts += [(count, LADDER) for count in range(full - 1, SMALLEST_BRACKET - 1, -1)]
    for count, allowed in attempts:
        for rung_count in (3, 2):
            for multiple in sorted(allowed, reverse=True):
                first = round(study.first_rung_tokens * multiple)
                rungs = tuple(first * study.eta**k for k in range(rung_count))
                if multiple > 1 and rungs[-1] > longest:
                    continue
                brackets = BRACKETS if multiple > 1 else 1
                if brackets * bracket_cost(count, rungs, costs, study.eta) <= search_s:
                    return count, rungs
    return None


def affordable_bracket(plan: Plan, left_s: float, costs: Costs, eta: int) -> int:
    """Trials of a further bracket that fits into `left_s`; 0 if none does."""
    for count in range(plan.bracket, SMALLEST_BRACKET - 1, -1):
        if bracket_cost(count, plan.rungs, costs, eta) <= left_s:
            return count
    return 0


def costs_of(forecast: CostForecast, study: Study, load_s: float) -> Costs:
    """Costs as the forecast sees them now, for the default recipe."""
    per_item = KNOWN * forecast.evaluation_s.get("search", 0.0)
    final = forecast.evaluation_s.get("final", 0.0) + forecast.evaluation_s.get("heldout", 0.0)
    return Costs(
        load_s=load_s,
        token_s=forecast.per_token(study.default)[1],
        search_eval_s=per_item,
        final_eval_s=KNOWN * final,
        finalist_eval_s=KNOWN * forecast.evaluation_s.get("finalists", 0.0),
        heldout_eval_s=KNOWN * forecast.evaluation_s.get("heldout", 0.0),
    )
