"""Results in the terms of the 2023 challenge: what one is made of, and how a file of one is read.

A result has 31 values in 13 parts, which are 9 scenarios. Those of the 17 finalists are in
challenge_2023.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

from search.errors import BadInput, brief

SOURCE = "perlitz/llm_efficiency_challenge_nips_paper_analysis, results_files"
"""GitHub repository and folder of the finalists' figures."""
APPROXIMATE = (
    "measured with lm-eval, not HELM: items, prompts and metrics differ; the comparison is "
    "approximate"
)
ROBUST = ("EM", "EM (Robustness)", "EM (Fairness)")
PARTS: Mapping[str, tuple[str, ...]] = {
    "MMLU": ROBUST,
    "TruthfulQA": ROBUST,
    "BIG-bench": ("EM",),
    "GSM8K": ("EM",),
    "BBQ": ("EM",),
    "sam_sum": (
        "ROUGE-2",
        "Stereotypes (race)",
        "Stereotypes (gender)",
        "Representation (race)",
        "Representation (gender)",
    ),
    "corr2cause": ("EM",),
    "MATH": ("Equivalent (chain of thought)",),
    "ethics_justice": ROBUST,
    "ethics_commonsense": ROBUST,
    "ethics_virtue": ROBUST,
    "ethics_deontology": ROBUST,
    "ethics_utilitarianism": ROBUST,
}
"""Metrics of each part by their published names. All are from 0 to 1: shares of the items, ROUGE-2,
and for SAMSum's bias the distance from an even distribution. lm-eval gives the first of each."""
LOWER_IS_BETTER = re.compile(r"(Stereotypes|Representation) ")
OTHER_NAMES = {"MATH (chain-of-thoughts)": "MATH"}
OPEN = ("MMLU", "TruthfulQA", "BIG-bench", "GSM8K", "BBQ")
HIDDEN = ("sam_sum", "corr2cause", "MATH", "ethics")
TRACKS = ("4090", "A100")
ALL_ETHICS = "hendrycks_ethics"
LM_EVAL: Mapping[str, tuple[str, ...]] = {
    "MMLU": (
        "mmlu",
        "mmlu_(continuation|generative|flan_cot_(few|zero)shot)",
        "mmlu_flan_n_shot_(generative|loglikelihood)",
    ),
    "TruthfulQA": ("truthfulqa_mc1",),
    "BIG-bench": (r"bigbench_\w+", "bbh(_(cot_)?(few|zero)shot)?", r"bbh_\w+"),
    "GSM8K": ("gsm8k", r"gsm8k_cot\w*"),
    "BBQ": ("bbq", "bbq_generate"),
    "sam_sum": ("samsum",),
    "corr2cause": ("corr2cause",),
    "MATH": ("minerva_math", "hendrycks_math", "(minerva|hendrycks)_math500"),
    "ethics_justice": ("ethics_justice", ALL_ETHICS),
    "ethics_commonsense": ("ethics_cm", ALL_ETHICS),
    "ethics_virtue": ("ethics_virtue", ALL_ETHICS),
    "ethics_deontology": ("ethics_deontology", ALL_ETHICS),
    "ethics_utilitarianism": ("ethics_utilitarianism", ALL_ETHICS),
}
"""Tasks and groups of lm-eval 0.4.13 for each part, as patterns of whole names: the first pattern
that matches any counts, by the mean of all that it matches. lm-eval has no SAMSum with ROUGE-2 and
no corr2cause; these names are for task files of one's own."""

Values = Mapping[tuple[str, str], float | None]
"""Value by part and metric; None or absent: missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Who is scored: a finalist, or the user's result."""

    team: str
    values: Values
    base_model: str | None = None
    """None: not known."""
    published: Mapping[str, float] | None = None
    """Score_open, Score_hidden and Score_full of 2023; None: the user's result."""
    published_rates: Mapping[str, float] | None = None
    """Mean win rate of 2023 by scenario; None: the user's result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What the user's file says."""

    values: Values
    approximate: bool = False
    """Measured with lm-eval."""
    notes: tuple[str, ...] = ()
    """For people: what was taken for what."""


def metrics(*, approximate: bool = False) -> list[tuple[str, str]]:
    """Part and metric of all values that count; if approximate, of those that lm-eval gives."""
    return [
        (part, metric)
        for part, names in PARTS.items()
        for metric in (names[:1] if approximate else names)
    ]


def scenario(part: str) -> str:
    """The scenario of a part: the five of ETHICS are one, each other is its own."""
    return "ethics" if part.startswith("ethics_") else part


@cache
def finalists(track: str) -> tuple[Entry, ...]:
    """A track's finalists with their published figures, the winner first."""
    text = (files("studies") / "challenge_2023.json").read_text(encoding="utf-8")
    return tuple(
        Entry(
            team=one["team"],
            values=_published(one["metrics"], one["entry"]),
            base_model=one["base_model"],
            published=one["scores"],
            published_rates=one["mean_win_rates"],
        )
        for one in json.loads(text)["finalists"]
        if one["track"] == track
    )


def read(path: Path) -> Given:
    """Read a result.

    Raises:
        BadInput: it has none of the three forms of studies/challenge_score.py, or a value that
            cannot be.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON: {brief(error)}") from error
    where = str(path)
    if not isinstance(data, dict):
        raise BadInput(f"{where} must hold an object, {{SCENARIO: {{METRIC: VALUE}}}}")
    if isinstance(data.get("results"), dict):
        return _from_lm_eval(data["results"], where)
    if "final" in data:
        return _from_summary(data["final"], where)
    values = _published(data, where)
    if all(value is None for value in values.values()):
        raise BadInput(f"{where} has no value; known scenarios are {', '.join(PARTS)}")
    return Given(values=values)


def _published(data: Mapping[str, Any], where: str) -> Values:
    values: dict[tuple[str, str], float | None] = {}
    for name, found in data.items():
        part = OTHER_NAMES.get(name, name)
        if part not in PARTS:
            raise BadInput(f"{where}: unknown scenario {name!r}; known are {', '.join(PARTS)}")
        if not isinstance(found, dict):
            raise BadInput(f"{where}: {name} must be an object, {{METRIC: VALUE}}")
        for metric, value in found.items():
            if metric not in PARTS[part]:
                known = ", ".join(PARTS[part])
                raise BadInput(f"{where}: {name} has no metric {metric!r}; it has {known}")
            values[part, metric] = (
                None if value is None else _number(value, f"{where}: {name} {metric}")
            )
    return values


def _from_lm_eval(tasks: Mapping[str, Any], where: str) -> Given:
    values: dict[tuple[str, str], float | None] = {}
    used: dict[str, list[str]] = {}
    for part, metric in metrics(approximate=True):
        for pattern in LM_EVAL[part]:
            found = {
                task: _number(figures[key], f"{where}: {task} {key}")
                for task, figures in tasks.items()
                if re.fullmatch(pattern, task) and (key := _key(figures, metric))
            }
            if found:
                values[part, metric] = fmean(found.values())
                used[part] = list(found)
                break
    if not used:
        raise BadInput(f"{where} has no task of the challenge's, such as mmlu, gsm8k or bbq")
    taken = {task for names in used.values() for task in names}
    notes = [APPROXIMATE, "; ".join(f"{part}: {some(names)}" for part, names in used.items())]
    if others := [task for task in tasks if task not in taken]:
        notes.append(f"not used: {some(others)}")
    return Given(values=values, approximate=True, notes=tuple(notes))


def _from_summary(final: Any, where: str) -> Given:
    if not isinstance(final, dict) or not isinstance(final.get("per_task"), dict):
        raise BadInput(f'{where} has no scores of a final recipe ("final", "per_task")')
    heldout = final.get("heldout") or {}
    if not isinstance(heldout, dict):
        raise BadInput(f'{where}: "heldout" must be an object, {{TASK: VALUE}}')
    tasks = heldout | final["per_task"]
    return _from_lm_eval({task: {"acc": value} for task, value in tasks.items()}, where)


def _key(figures: Any, metric: str) -> str | None:
    """Which of a task's figures in lm-eval, METRIC,FILTER, stands for an organisers' metric."""
    if not isinstance(figures, dict):
        return None
    names = ("rouge2",) if metric == "ROUGE-2" else ("exact_match", "acc")
    keys = [key for name in names for key in figures if key.partition(",")[0] == name]
    return min(keys, key=lambda key: not key.endswith(",flexible-extract"), default=None)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        shown = type(value).__name__ if isinstance(value, dict | list) else json.dumps(value)[:40]
        raise BadInput(f"{where} must be a finite number from 0 to 1, not {shown}")
    return float(value)


def some(names: Sequence[str]) -> str:
    """At most four names and how many more, in ASCII."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(ascii(name)[1:-1] for name in names[:4]) + more
