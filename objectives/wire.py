"""The protocol between parent and GPU process: one JSON object a line. Imports no torch.

Parent to child, one at a time: {"op": NAME, ...arguments}. Child to parent: any number of
{"event": "progress", ...} and then one {"event": "done", ...result} or {"event": "error",
"kind": KIND, "message": TEXT}. {"op": "stop"} may be sent while the child works: it then finishes
the step, saves, and answers with an error of kind "interrupted". The end of the child's input
means that the parent is gone: the child exits.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from objectives.objective import Loaded, Progress, Schedule, Scores, Smoke, TaskScore, Trained
from search.errors import (
    BadInput,
    Diverged,
    Interrupted,
    OutOfMemory,
    RecipeSearchError,
    WorkerFailed,
)
from spaces import Quantization

ERRORS: dict[str, type[RecipeSearchError]] = {
    "bad_input": BadInput,
    "diverged": Diverged,
    "failed": WorkerFailed,
    "interrupted": Interrupted,
    "out_of_memory": OutOfMemory,
}


def listen(
    stop: Callable[[], None], finish: Callable[[], None] = lambda: None
) -> queue.SimpleQueue[dict[str, Any]]:
    """The child's side of the input: what the parent asks for, as it comes.

    Args:
        stop: called, from another thread, when what is under way is to stop.
        finish: called before the process exits because the parent is gone, or done with it.
    """
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] == "stop":
                stop()
            else:
                requests.put(request)
        finish()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return requests


def error_kind(error: RecipeSearchError) -> str:
    """The name under which an error travels."""
    return next((kind for kind, cls in ERRORS.items() if type(error) is cls), "failed")


def plain(value: Loaded | Trained | Progress | Schedule) -> dict[str, Any]:
    """A result as JSON types."""
    return asdict(value)


def to_loaded(fields: dict[str, Any]) -> Loaded:
    """The inverse of `plain`."""
    removed = {Quantization(kind): reason for kind, reason in fields["removed"].items()}
    return Loaded(**fields | {"removed": removed})


def to_trained(fields: dict[str, Any]) -> Trained:
    """The inverse of `plain`."""
    curve = [(int(tokens), float(loss)) for tokens, loss in fields["curve"]]
    return Trained(**fields | {"schedule": Schedule(**fields["schedule"]), "curve": curve})


def plain_scores(scores: Scores) -> dict[str, Any]:
    """Scores as JSON types."""
    return {task: asdict(score) for task, score in scores.items()}


def to_scores(fields: dict[str, Any]) -> Scores:
    """The inverse of `plain_scores`."""
    return {
        task: TaskScore(correct=[float(c) for c in score["correct"]], losses=score["losses"])
        for task, score in fields.items()
    }


def plain_smoke(found: dict[str, Smoke]) -> dict[str, Any]:
    """What a smoke evaluation found, as JSON types."""
    return {task: asdict(smoke) for task, smoke in found.items()}


def to_smoke(fields: dict[str, Any]) -> dict[str, Smoke]:
    """The inverse of `plain_smoke`."""
    return {task: Smoke(**smoke) for task, smoke in fields.items()}
