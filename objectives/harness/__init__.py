"""Tasks of lm-eval: found by name or in a user's folder, and written down as items. No torch.

lm-eval decides what is asked: its task YAML, few-shot sampling, filters and metrics. What it asks
is kept in the run folder item by item, so that every trial, every resumed process and whoever
reproduces the recipe answers the very same prompts, with or without a network.
"""

from objectives.harness.items import as_messages, cut, draw
from objectives.harness.kept import Leaf, docs_by_task, keep, kept, revive, verify
from objectives.harness.library import (
    FEWSHOT_SEED,
    PLAIN,
    check_folder,
    in_folder,
    known,
    load,
    names,
)
from objectives.harness.metrics import (
    as_score,
    choose_metric,
    filtered,
    filters,
    gold,
    is_class,
    outcome,
    perfect,
    requests,
    right_choice,
)

__all__ = [
    "FEWSHOT_SEED",
    "PLAIN",
    "Leaf",
    "as_messages",
    "as_score",
    "check_folder",
    "choose_metric",
    "cut",
    "docs_by_task",
    "draw",
    "filtered",
    "filters",
    "gold",
    "in_folder",
    "is_class",
    "keep",
    "kept",
    "known",
    "load",
    "names",
    "outcome",
    "perfect",
    "requests",
    "revive",
    "right_choice",
    "verify",
]
