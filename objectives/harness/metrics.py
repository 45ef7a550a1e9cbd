"""How an answer to a task of lm-eval is judged: its filters, its metrics, its right answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from objectives.harness.library import check_generation
from search.errors import BadInput


def is_class(task: Any) -> bool:
    """Whether a task is a Python class of its own, which asks and scores by code."""
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415  # only where a task is

    own = type(task)
    return any(
        getattr(own, name) is not getattr(ConfigurableTask, name)
        for name in ("construct_requests", "process_results")
    )


def requests(task: Any, doc: Any, context: Any, **options: Any) -> list[Any]:
    """What a task asks a model about a document after a context: lm-eval's Instances."""
    options = {"metadata": (None, 0, 1), "apply_chat_template": True} | options
    made = task.construct_requests(doc=doc, ctx=context, **options)
    return made if isinstance(made, list) else [made]


def kind_of(leaf: str, task: Any, doc: Any) -> str:
    """A task's output_type: as its YAML says, or as its code's requests show.

    Raises:
        BadInput: one document is asked about in several ways, so it has no one answer.
    """
    if not is_class(task):
        return str(task.OUTPUT_TYPE)
    made = requests(task, doc, "")
    kinds = {instance.request_type for instance in made}
    if kinds == {"loglikelihood"}:
        return "multiple_choice" if len(made) > 1 else "loglikelihood"
    if kinds == {"generate_until"} and len(made) == 1:
        check_generation(leaf, made[0].args[1])
        return "generate_until"
    raise BadInput(
        f"task {leaf}: it asks {len(made)} things about each document ({', '.join(sorted(kinds))}) "
        "and has no accuracy; choose one that asks for one answer"
    )


def _choice_that_scores(task: Any, doc: Any) -> int | None:
    """The first choice that gets full marks from a task's code."""
    count = len(requests(task, doc, ""))
    for k in range(count):
        found = task.process_results(doc, _chosen(k, count))
        if any(as_score(value) == 1.0 for value in found.values()):
            return k
    return None


def right_choice(task: Any, doc: Any) -> int | None:
    """Index of the right choice of a multiple-choice document; None if it has none.

    lm-eval's own rule: with several inputs `doc_to_text` names it, else `doc_to_target`; of several
    right choices, the first.
    """
    if is_class(task):
        return _choice_that_scores(task, doc)
    found = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    choices = task.doc_to_choice(doc)
    if isinstance(found, list):
        found = found[0] if found else None
    if isinstance(found, str):
        return choices.index(found) if found in choices else None
    return found if isinstance(found, int) and 0 <= found < len(choices) else None


def gold(task: Any, doc: Any) -> str:
    """The right answer of a document, as text."""
    if task.config.doc_to_choice is not None and not task.multiple_input:
        right = right_choice(task, doc)
        return "" if right is None else str(task.doc_to_choice(doc)[right])
    found = task.doc_to_target(doc)
    if isinstance(found, list):
        found = found[0] if found else ""
    return str(found)


def as_score(value: Any) -> float | None:
    """A metric's value of one item as a number from 0 to 1; None if it is none."""
    if not isinstance(value, int | float | np.number | np.bool_):
        return None
    score = float(value)
    return score if 0.0 <= score <= 1.0 else None


def choose_metric(leaf: str, task: Any, doc: Any) -> tuple[str, str]:
    """(metric, filter) that counts as accuracy, tried on the task's first document.

    The first of the task's metrics that gives each item a number from 0 to 1, higher being better;
    of several filters the first that lets the task's own right answer score, else the first.

    Raises:
        BadInput: no metric does.
    """
    better = task.higher_is_better()
    best: tuple[str, str] | None = None
    for name in filters(task):
        try:
            found = outcome(task, doc, perfect(task, doc), name)
        except Exception:  # noqa: BLE001  # a users' metric may refuse a made-up answer
            found = {}
        for metric in task.aggregation():
            value = as_score(found.get(metric))
            if value is None or not better.get(metric, True):
                continue
            if value:
                return metric, name
            best = best or (metric, name)
    if best is None:
        raise BadInput(
            f"task {leaf}: none of its metrics ({', '.join(task.aggregation())}) scores each item "
            "from 0 to 1; choose a task with an accuracy"
        )
    return best


def perfect(task: Any, doc: Any) -> list[Any]:
    """Responses of a model that is always right, one per request of the document."""
    if task.OUTPUT_TYPE == "generate_until":
        return [gold(task, doc)]
    if task.OUTPUT_TYPE == "loglikelihood":
        return [(0.0, True)]
    right = right_choice(task, doc)
    if is_class(task):
        return _chosen(right, len(requests(task, doc, "")))
    count = len(task.doc_to_choice(doc))
    return _chosen(right, 2 * count if "acc_mutual_info" in task.aggregation() else count)


def _chosen(choice: int | None, count: int) -> list[tuple[float, bool]]:
    """Responses of a model that prefers one of several choices."""
    return [(0.0, True) if k == choice else (-100.0, False) for k in range(count)]


def filters(task: Any) -> list[str]:
    """Names of a task's filters, in its order."""
    # NOTE(lm-eval): `_filters` and `_metric_fn_kwargs` are shown nowhere else.
    return [ensemble.name for ensemble in task._filters]


def filtered(task: Any, doc: Any, response: Any, chosen: str) -> Any:
    """What a task's filter makes of one response."""
    return _answers(task, doc, [response], chosen)[0]


def outcome(task: Any, doc: Any, responses: Sequence[Any], chosen: str) -> Mapping[str, Any]:
    """What lm-eval's filters and metrics make of a document's responses.

    Args:
        task: lm-eval's Task.
        doc: the document.
        responses: one per request: (log-likelihood, greedy) or text.
        chosen: the filter's name.
    """
    found: Mapping[str, Any] = task.process_results(doc, _answers(task, doc, responses, chosen))
    return found


def _answers(task: Any, doc: Any, responses: Sequence[Any], chosen: str) -> list[Any]:
    from lm_eval.api.instance import Instance  # noqa: PLC0415  # only where a task is

    instances = [
        Instance(
            request_type=task.OUTPUT_TYPE,
            doc=doc,
            arguments=("", ""),
            idx=k,
            metadata=(None, 0, 1),
            resps=[response],
        )
        for k, response in enumerate(responses)
    ]
    for ensemble in task._filters:
        if ensemble.name == chosen:
            ensemble.apply(instances)
    return [instance.filtered_resps[chosen] for instance in instances]
