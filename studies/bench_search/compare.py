"""What the scores say: means, standard errors, paired tests of one method against the others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from search.errors import BadInput
from studies.bench_search.results import Scores

LEVEL = 0.05
"""p below which a difference is called significant."""
FEWEST = 6
"""Problems of which Wilcoxon's test can give such a p at all."""


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; of a single value the error is not known, and given as 0."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, statistics.stdev(values) / math.sqrt(len(values))


def table(scores: Scores, budget: str) -> dict[str, dict[str, float]]:
    """Per method: mean score, standard errors over problems and over seeds, and how many.

    Problems count alike. The error over seeds says how sure the mean on these problems is; that
    over problems, how sure it is for other problems of the kind.
    """
    found = {}
    for method, by_problem in scores.items():
        by_seed: dict[str, list[float]] = {}
        means = []
        for by_budget in by_problem.values():
            seeds = by_budget.get(budget, {})
            if seeds:
                means.append(statistics.fmean(seeds.values()))
            for seed, score in seeds.items():
                by_seed.setdefault(seed, []).append(score)
        if not means:
            continue
        mean, over_problems = mean_and_error(means)
        most = max(len(values) for values in by_seed.values())
        whole = [statistics.fmean(v) for v in by_seed.values() if len(v) == most]
        found[method] = {
            "mean": mean,
            "error_over_problems": over_problems,
            "error_over_seeds": mean_and_error(whole)[1],
            "problems": len(means),
            "seeds": len(by_seed),
        }
    return found


def pairs(scores: Scores, budget: str, method: str) -> dict[str, dict[str, Any]]:
    """One method against each other one, on the problems and seeds that both have.

    `p_problems` is the honest one: a Wilcoxon signed-rank test over the problems' means, since the
    seeds of one problem are no independent evidence about others. `p_seeds` pairs every problem's
    seeds, and is the only one where there is a single problem.
    """
    found = {}
    for other in scores:
        if other == method:
            continue
        differences = _differences(scores, budget, method, other)
        if not differences:
            continue
        means = [statistics.fmean(d) for d in differences.values()]
        single = [value for d in differences.values() for value in d]
        mean, error = mean_and_error(means if len(means) > 1 else single)
        facts: dict[str, Any] = {
            "difference": mean,
            "error": error,
            "better": sum(m > 0 for m in means),
            "equal": sum(m == 0 for m in means),
            "worse": sum(m < 0 for m in means),
            "searches": len(single),
            "p_problems": wilcoxon(means) if len(means) > 1 else None,
            "p_seeds": wilcoxon(single),
        }
        found[other] = facts | {"verdict": verdict(facts)}
    return found


def verdict(facts: Mapping[str, Any]) -> str:
    """`better` or `worse` by the honest test, else `equal`; `open` if too few problems can tell.

    The test is of ranks: where it finds a difference that the mean does not share, since a few
    large ones turn that, the verdict is `mixed`.
    """
    p = facts["p_problems"] if facts["p_problems"] is not None else facts["p_seeds"]
    problems = facts["better"] + facts["equal"] + facts["worse"]
    if 1 < problems < FEWEST:
        return "open"
    if p >= LEVEL:
        return "equal"
    if (facts["better"] - facts["worse"]) * facts["difference"] < 0:
        return "mixed"
    return "better" if facts["difference"] > 0 else "worse"


def wilcoxon(differences: Sequence[float]) -> float:
    """Two-sided p that the differences are around 0; 1 if there is none to tell by.

    Raises:
        BadInput: scipy is missing.
    """
    try:
        from scipy.stats import wilcoxon as test  # noqa: PLC0415  # not needed by the product
    except ImportError as err:
        raise BadInput("scipy is missing; pip install recipe-search[bench]") from err
    left = [d for d in differences if d]
    return float(test(left).pvalue) if left else 1.0


def _differences(scores: Scores, budget: str, method: str, other: str) -> dict[str, list[float]]:
    found = {}
    for problem, by_budget in scores.get(method, {}).items():
        ours = by_budget.get(budget, {})
        theirs = scores[other].get(problem, {}).get(budget, {})
        common = [round(ours[seed] - theirs[seed], 9) for seed in ours if seed in theirs]
        if common:
            found[problem] = common
    return found


def summary(scores: Scores, method: str) -> dict[str, Any]:
    """All of the above, by budget."""
    budgets = sorted({b for m in scores.values() for p in m.values() for b in p}, key=float)
    return {
        budget: {
            "methods": table(scores, budget),
            "against": {method: pairs(scores, budget, method)},
        }
        for budget in budgets
    }


def lines(found: Mapping[str, Any], method: str, unit: str) -> list[str]:
    """The summary for people."""
    told = []
    names = {name for facts in found.values() for name in facts["methods"]}
    width = max(map(len, names), default=0) + 2
    for budget, facts in found.items():
        told.append(f"{budget} {unit}: mean score ± standard error over problems / over seeds")
        ranked = sorted(facts["methods"].items(), key=lambda kv: -kv[1]["mean"])
        for name, m in ranked:
            text = (
                f"  {name:<{width}}{m['mean']:.3f} ± {m['error_over_problems']:.3f} / "
                f"{m['error_over_seeds']:.3f}  ({m['problems']:g} × {m['seeds']:g})"
            )
            against = facts["against"][method].get(name)
            if against:
                p = against["p_problems"]
                p_text = f"p {p:.2g}" if p is not None else f"p over seeds {against['p_seeds']:.2g}"
                text += (
                    f"  {method} {against['difference']:+.3f} ± {against['error']:.3f}, "
                    f"{p_text}: {against['verdict']}"
                )
            told.append(text)
    return told
