"""summary.json: what a run found, computed from its folder alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from objectives.objective import Scores, TaskScore
from search.budget import Kind, Span, read_ledger
from search.folder import RunFolder
from search.pruning import pareto
from search.store import Record, Store, macro


def summarise(folder: RunFolder, store: Store) -> dict[str, Any]:
    """All keys of summary.json; parts that a run has not reached yet are None or empty.

    `default`, `final` and `base` are measured on items that no pruning decision saw. `finalists`
    has a row per trial that could be chosen: its score by early evaluation, on the fresh items it
    was chosen by, and on held-out items. `heldout_correlation` compares the first and the last.
    """
    job = folder.read("job.json")
    records = store.records()
    finalists = finalist_rows(folder, store)
    spans = read_ledger(folder.ledger)
    facts = store.noted("final_trained")
    rungs = len((store.noted("plan") or {}).get("rungs", []))
    trained = sum(r.rungs[-1].tokens for r in records if r.rungs)
    train_s = sum(r.train_s for r in records)
    return {
        "study": job["study"],
        "model": job["model"],
        "budget_s": job["budget_s"],
        **spent_parts(spans, job["budget_s"]),
        "trials": {
            "complete": sum(r.state is TrialState.COMPLETE for r in records),
            "pruned": sum(r.state is TrialState.PRUNED and not r.infeasible for r in records),
            "infeasible": sum(r.infeasible for r in records),
            "failed": sum(r.state is TrialState.FAIL for r in records),
        },
        "pareto": pareto_points(records),
        "base": _scored(folder, "base"),
        "default": _default(folder, records),
        "final": _final(folder, store, records, spans),
        "forecast_final": store.noted("forecast_final"),
        "rank_correlation": rank_correlation(records, rungs),
        "finalists": finalists,
        "heldout_tasks": heldout_tasks(folder),
        "heldout_correlation": heldout_correlation(finalists),
        "smoke": store.noted("smoke"),
        "tokens_per_s": round(trained / train_s, 1) if train_s else None,
        "peak_memory_gib": max(
            [(facts or {}).get("peak_memory_gib", 0.0)]
            + [record.peak_memory_gib for record in records]
        ),
        "versions": store.noted("versions"),
        "base_model": store.noted("base"),
        "seed": job["seed"],
        "device": store.noted("device"),
        "winner_reason": store.noted("winner_reason"),
        "plan": store.noted("plan"),
        "data": folder.read("data.json")["sha256"] if folder.has("data.json") else {},
    }


def spent_on(spans: Sequence[Span]) -> dict[str, float]:
    """Seconds of a ledger by kind, every kind present."""
    spent = {str(kind): 0.0 for kind in Kind}
    for span in spans:
        spent[span.kind] += span.seconds
    return spent


def spent_parts(spans: Sequence[Span], budget_s: float) -> dict[str, Any]:
    """What of a summary the ledger alone tells, which goes on while the rest is written."""
    spent = spent_on(spans)
    return {
        "spent_s": {kind: round(seconds, 3) for kind, seconds in spent.items()},
        "overshoot_s": round(max(0.0, sum(spent.values()) - budget_s), 3),
    }


def pareto_points(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The Pareto front of accuracy versus gpu_hours over all rungs of all trials."""
    found = [(record.number, rung) for record in records for rung in record.rungs]
    front = pareto([(rung.accuracy, rung.gpu_hours) for _, rung in found])
    return [
        {
            "trial": found[i][0],
            "tokens": found[i][1].tokens,
            "accuracy": round(found[i][1].accuracy, 5),
            "stderr": round(found[i][1].stderr, 5),
            "gpu_hours": round(found[i][1].gpu_hours, 6),
        }
        for i in front
    ]


def rank_correlation(records: Sequence[Record], rungs: int) -> dict[str, dict[str, Any]]:
    """Spearman correlation of each rung with the top rung: by loss, and by accuracy.

    Over the trials that reached the top: those that were pruned cannot be counted, so the figure
    says how well a rung ranks the good ones. None below three trials.

    Returns:
        By rung: `spearman` (of the loss, which prunes), `accuracy_spearman` and `n`.
    """
    top = [r for r in records if rungs and len(r.rungs) == rungs]
    return {
        str(rung): {
            "spearman": _spearman([(r.rungs[rung].loss, r.rungs[-1].loss) for r in top]),
            "accuracy_spearman": _spearman(
                [(r.rungs[rung].accuracy, r.rungs[-1].accuracy) for r in top]
            ),
            "n": len(top),
        }
        for rung in range(rungs - 1)
    }


def finalist_rows(folder: RunFolder, store: Store) -> list[dict[str, Any]]:
    """For each trial that could be chosen: its scores by early evaluation, on fresh and held-out
    items; None where it has none. Empty before the choice.
    """
    numbers: list[int] = store.noted("finalists") or []
    scored: dict[str, dict[str, Scores]] = {}
    for items in ("finalists", "heldout"):
        known = {str(number): folder.read_scores(f"{number}-{items}") for number in numbers}
        scored[items] = cut_to_common({name: scores for name, scores in known.items() if scores})
    rows = []
    for number in numbers:
        top = store.records()[number].rungs[-1]
        search = {"accuracy": top.accuracy, "stderr": top.stderr, "loss": top.loss}
        rows.append(
            {
                "trial": number,
                "search": {key: round(x, 5) for key, x in search.items()},
                "fresh": _with_loss(scored["finalists"].get(str(number))),
                "heldout": _with_loss(scored["heldout"].get(str(number))),
            }
        )
    return rows


def heldout_tasks(folder: RunFolder) -> list[str] | None:
    """Names of the held-out tasks; None if the data were not prepared yet."""
    if not folder.has("data/items/heldout.jsonl"):
        return None
    return sorted({str(item["task"]) for item in folder.items("heldout")})


def heldout_correlation(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Spearman correlation of the search score with the held-out score over trials.

    The search score is the last early evaluation, the held-out score the mean over held-out tasks.

    Args:
        rows: as `finalist_rows` gives them; those without a held-out score are left out.

    Returns:
        `spearman` (of accuracy) and `loss_spearman`, None where they cannot be told, and `n`.
    """
    both = [(row["search"], row["heldout"]) for row in rows if row["heldout"]]
    return {
        "spearman": _spearman([(a["accuracy"], b["accuracy"]) for a, b in both]),
        "loss_spearman": _spearman([(a["loss"], b["loss"]) for a, b in both]),
        "n": len(both),
    }


def _with_loss(scores: Scores | None) -> dict[str, Any] | None:
    if not scores:
        return None
    accuracy, stderr = macro(scores)
    return {
        "accuracy": round(accuracy, 5),
        "stderr": round(stderr, 5),
        "loss": round(sum(s.loss for s in scores.values()) / len(scores), 5),
        "items": sum(len(s.correct) for s in scores.values()),
        "per_task": {task: round(s.accuracy, 5) for task, s in scores.items()},
    }


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    rho = spearman([a for a, _ in pairs], [b for _, b in pairs])
    return None if rho is None else round(rho, 3)


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties averaged; None below three pairs or without spread."""
    if len(a) < 3:
        return None
    x, y = _ranks(a), _ranks(b)
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    xy = sum((p - mean_x) * (q - mean_y) for p, q in zip(x, y, strict=True))
    xx = sum((p - mean_x) ** 2 for p in x)
    yy = sum((q - mean_y) ** 2 for q in y)
    return xy / math.sqrt(xx * yy) if xx and yy else None


def _ranks(values: Sequence[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def common_scores(folder: RunFolder, items: str) -> dict[str, Scores]:
    """Scores of base, default ("0") and final on the items that all of them were scored on.

    A machine that became slow scored the final recipe on the first items of each task only; the
    others are cut to the same ones. Parts that were not scored are left out.
    """
    known = {name: folder.read_scores(f"{name}-{items}") for name in ("base", "0", "final")}
    return cut_to_common({name: scores for name, scores in known.items() if scores})


def cut_to_common(scored: Mapping[str, Scores]) -> dict[str, Scores]:
    """Scores of several on the same items: the tasks that all have, and the first items of each."""
    first: Scores = next(iter(scored.values()), {})
    tasks = [task for task in first if all(task in scores for scores in scored.values())]
    found: dict[str, Scores] = {}
    for name, scores in scored.items():
        found[name] = {}
        for task in tasks:
            count = min(len(other[task].correct) for other in scored.values())
            found[name][task] = TaskScore(
                correct=scores[task].correct[:count], losses=scores[task].losses[:count]
            )
    return found


def _scored(folder: RunFolder, name: str) -> dict[str, Any] | None:
    scores = common_scores(folder, "final").get(name)
    if not scores:
        return None
    heldout = common_scores(folder, "heldout").get(name, {})
    accuracy, stderr = macro(scores)
    return {
        "accuracy": round(accuracy, 5),
        "stderr": round(stderr, 5),
        "items": sum(len(s.correct) for s in scores.values()),
        "per_task": {task: round(s.accuracy, 5) for task, s in scores.items()},
        "heldout": {task: round(s.accuracy, 5) for task, s in heldout.items()},
    }


def _default(folder: RunFolder, records: Sequence[Record]) -> dict[str, Any] | None:
    scored = _scored(folder, "0")
    if scored is None or not records or not records[0].rungs:
        return None
    top = records[0].rungs[-1]
    return {
        "recipe": records[0].recipe.to_dict(),
        **scored,
        "gpu_hours": round(top.gpu_hours, 6),
        "tokens": top.tokens,
        "trial": 0,
    }


def _final(
    folder: RunFolder, store: Store, records: Sequence[Record], spans: Sequence[Span]
) -> dict[str, Any] | None:
    scored = _scored(folder, "final")
    facts = store.noted("final_trained")
    if scored is None or facts is None:
        return None
    winner = records[store.noted("winner")]
    hours = winner.rungs[-1].gpu_hours + spent_on(spans)[Kind.FINAL_TRAIN] / 3600
    return {
        "recipe": winner.recipe.to_dict(),
        **scored,
        "gpu_hours": round(hours, 6),
        "tokens": facts["tokens"],
        "trial": winner.number,
        "mixture": {
            name: {
                "asked": round(share, 5),
                "trained": facts["shares"].get(name, 0.0),
                "passes": facts["passes"].get(name, 0.0),
            }
            for name, share in winner.recipe.mixture.items()
        },
    }
