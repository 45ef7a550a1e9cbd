"""Scoring by teacher forcing: one forward pass tells what greedy decoding would answer.

Greedy decoding from the prompt yields exactly the right answer if and only if every token of the
right answer, its end of turn included, is the model's first choice given the tokens before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from objectives.mixture import Sample
from objectives.model import answer_logits
from objectives.objective import Listener, Progress, Scores, TaskScore
from objectives.packing import IGNORED, batches
from objectives.quantize import Device


def take(samples: Sequence[Sample], part: tuple[int, int] | None) -> list[Sample]:
    """The samples whose place among those of their task lies in `part` (first, end); None: all."""
    if part is None:
        return list(samples)
    seen: dict[str, int] = {}
    taken = []
    for sample in samples:
        place = seen[sample.source] = seen.get(sample.source, -1) + 1
        if part[0] <= place < part[1]:
            taken.append(sample)
    return taken


def score(
    model: Any,
    samples: Sequence[Sample],
    device: Device,
    listener: Listener,
    *,
    exact: bool,
    whole_head: bool = False,
) -> Scores:
    """Exact match and answer loss of every item.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        samples: tokenised items; `source` is the task.
        device: what to compute on.
        listener: told how far it is.
        exact: compute in the base's stored precision, so that others get the same answers.
        whole_head: see `answer_logits`.

    Returns:
        For each task, its items' outcomes in the order of `samples`.
    """
    if not samples:
        return {}
    correct = [False] * len(samples)
    losses = [0.0] * len(samples)
    # Longest first: memory trouble shows at once, and neighbours need little padding.
    work = batches(samples, packing=False, max_length=0, micro_tokens=device.micro_tokens)
    with torch.no_grad():
        for number, cpu_batch in enumerate(work):
            batch = cpu_batch.to(device.torch_device)
            chosen = batch.labels != IGNORED
            targets, owners = batch.labels[chosen], batch.owner[chosen]
            with device.precision(exact=exact):
                logits = answer_logits(model, batch, whole=whole_head)
            right = logits.argmax(-1) == targets
            nll = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
            for owner in sorted(set(owners.tolist())):
                own = owners == owner
                correct[owner] = bool(right[own].all())
                losses[owner] = float(nll[own].mean())
            listener(Progress(phase="evaluate", done=(number + 1) / len(work)))
    tasks: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        tasks.setdefault(sample.source, []).append(index)
    return {
        task: TaskScore(correct=[correct[i] for i in members], losses=[losses[i] for i in members])
        for task, members in tasks.items()
    }
