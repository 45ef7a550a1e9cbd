"""Items of a task of lm-eval, drawn at random and written down as lm-eval would ask them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from objectives.harness.kept import Leaf, leaf_of
from objectives.harness.library import FEWSHOT_SEED, load
from objectives.harness.metrics import gold, kind_of
from objectives.rows import Row
from search.errors import BadInput, brief
from studies.study import LmEval

TOO_BIG = 200_000
"""Characters of a document beyond which an item is refused: no context holds it."""


def draw(
    name: str, origin: LmEval, counts: Sequence[int], seed: int
) -> tuple[list[list[Row]], list[Leaf], str]:
    """Random items of a task, in groups that share none.

    Args:
        name: what the study calls the task.
        origin: the task, group or tag of lm-eval or of the user's folder.
        counts: items wanted per group; where there are too few, in these shares.
        seed: of the choice.

    Returns:
        (items per group, how to score them, one line for people).

    Raises:
        BadInput: it cannot be loaded, or has too few items.
    """
    include_path = origin.include_path
    tasks = load(origin.task, include_path)
    docs = {leaf: _docs(leaf, task) for leaf, task in tasks.items()}
    for leaf, task in tasks.items():
        task.OUTPUT_TYPE = _kind(leaf, task, docs[leaf])
    pool = [(leaf, number) for leaf in tasks for number in range(len(docs[leaf]))]
    if len(pool) < len(counts):
        raise BadInput(f"task {name}: only {len(pool)} items; it needs at least {len(counts)}")
    wanted = min(sum(counts), len(pool))
    chosen = random.Random(f"{seed} {name}").sample(pool, wanted)
    leaves = {
        leaf: leaf_of(leaf, tasks[leaf], docs[leaf][0], include_path)
        for leaf in sorted({c[0] for c in chosen})
    }
    groups: list[list[Row]] = []
    for part in cut(chosen, counts):
        made: dict[tuple[str, int], Row] = {}
        for leaf in sorted({leaf for leaf, _ in part}):
            # in ascending order from one seed, as lm-eval's own `samples=` draws few-shot examples
            tasks[leaf].set_fewshot_seed(FEWSHOT_SEED)
            for place in sorted(place for place in part if place[0] == leaf):
                made[place] = _item(name, tasks[leaf], place, docs[leaf][place[1]])
        if len(tasks) > 1:
            for (leaf, number), item in made.items():
                item["id"] = f"{leaf}:{number}"
        groups.append([made[place] for place in part])
    scored = ", ".join(sorted({f"{leaf.metric} ({leaf.filter})" for leaf in leaves.values()}))
    source = "--include-path" if any(leaf.own for leaf in leaves.values()) else "lm-eval"
    line = f"{name}: {wanted} of {len(pool)} items of {source}, scored by {scored}"
    return groups, list(leaves.values()), line


def cut(chosen: Sequence[Any], counts: Sequence[int]) -> list[list[Any]]:
    """Cut a sequence into parts of these sizes, or in these shares if it is too short.

    Each part gets at least one, if there are as many as parts.
    """
    total = sum(counts)
    sizes = list(counts)
    if len(chosen) < total:
        sizes = [max(1, len(chosen) * count // total) for count in counts]
        sizes[-1] = len(chosen) - sum(sizes[:-1])
    parts, first = [], 0
    for size in sizes:
        parts.append(list(chosen[first : first + size]))
        first += size
    return parts


def _docs(leaf: str, task: Any) -> Any:
    """A task's documents; asked for once, since a task may shuffle them each time."""
    try:
        return task.eval_docs
    except Exception as error:  # noqa: BLE001  # users' code
        raise BadInput(f"task {leaf}: it has no items ({error})") from None


def _kind(leaf: str, task: Any, docs: Any) -> str:
    try:
        return kind_of(leaf, task, docs[0])
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  # users' code
        raise BadInput(f"task {leaf}: it cannot be asked ({brief(error)})") from None


def as_messages(history: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
    """Stand-in for a chat template: keeps what the template would be given, as JSON."""
    return json.dumps({"messages": history, "generate": add_generation_prompt}, ensure_ascii=False)


def _item(name: str, task: Any, place: tuple[str, int], doc: Any) -> Row:
    leaf, number = place
    try:
        shots = task.config.num_fewshot or 0
        context = task.fewshot_context(
            doc,
            num_fewshot=shots,
            system_instruction=None,
            apply_chat_template=True,
            fewshot_as_multiturn=True,
            chat_template=as_messages,
            gen_prefix=task.doc_to_prefix(doc),
        )
        contexts = context if isinstance(context, list) else [context]
        prompts = [json.loads(one) for one in contexts]
        answer = gold(task, doc)
        kept = json.loads(json.dumps(doc))
    except Exception as error:  # noqa: BLE001  # templates and users' code raise anything
        raise BadInput(f"task {leaf}, item {number}: cannot be asked ({brief(error)})") from None
    asked = [m for m in prompts[0]["messages"] if m["role"] == "user"][-1:]
    if len(json.dumps(prompts)) > TOO_BIG:
        raise BadInput(f"task {leaf}, item {number}: its prompt has over {TOO_BIG:,} characters")
    return {
        "task": name,
        "id": number,
        "messages": asked,
        "answer": answer,
        "lm_eval": {"task": leaf, "doc_id": number, "doc": kept, "prompts": prompts},
    }
