"""PEFT's method comparison: 63 recorded fine-tuning runs of Llama-3.2-3B on MetaMathQA.

`method_comparison/MetaMathQA/results` of github.com/huggingface/peft: 5,000 steps each, looked at
every 250; a quarter of an hour to two hours on an L40S. Goals: test accuracy up, hours down. A
table: nothing is known of a run before it is begun, and no other can be tried. Accuracy before the
end is of 50 questions, so the early sign is the training loss.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search.errors import BadInput
from studies.bench_search.suite import Suite, Task
from studies.recorded import Config, Parameter, Point, Problem, Scale

BUDGETS = (4.0, 8.0)
NAME = "metamathqa"


def curves(folder: Path) -> dict[str, list[Point]]:
    """Each run's points, those of the last step with the test accuracy.

    Raises:
        BadInput: the folder holds no such runs.
    """
    files = sorted(folder.glob("*.json"))
    advice = (
        "give the folder `method_comparison/MetaMathQA/results` of github.com/huggingface/peft "
        "with --data"
    )
    if len(files) < 2:
        raise BadInput(f"{folder}: holds {len(files)} runs; {advice}")
    try:
        found = {
            file.stem: _curve(json.loads(file.read_text(encoding="utf-8"))["train_info"])
            for file in files
        }
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BadInput(f"{folder}: {err!r}; {advice}".replace("\n", " ")) from err
    lengths = {len(curve) for curve in found.values()}
    if len(lengths) > 1:
        raise BadInput(f"{folder}: curves have {sorted(lengths)} points; {advice}")
    return found


def _curve(info: dict[str, Any]) -> list[Point]:
    """Time is shared out among the steps by what each took to train; evaluations do not count."""
    *looks, end = info["metrics"]
    total = sum(look["train time"] for look in looks)
    points, spent = [], 0.0
    for look in looks:
        spent += look["train time"]
        points.append(
            Point(
                accuracy=look["valid accuracy"],
                loss=look["train loss"],
                seconds=info["train_time"] * spent / total,
            )
        )
    last = Point(accuracy=end["test accuracy"], loss=points[-1].loss, seconds=info["train_time"])
    return [*points[:-1], last]


def problem(recorded: dict[str, list[Point]]) -> Problem:
    """The table."""
    names = tuple(recorded)

    def measure(config: Config, step: int) -> Point:
        return recorded[str(config["run"])][step - 1]

    return Problem(
        name=NAME,
        parameters=(Parameter(name="run", choices=names, default=names[0]),),
        full=len(recorded[names[0]]),
        measure=measure,
        early="loss",
        table=True,
    )


def suite(folder: Path) -> Suite:
    """The one table."""
    recorded = curves(folder)
    scale = Scale.of([curve[-1] for curve in recorded.values()], timed=True)
    return Suite(
        name="peft",
        sets=(NAME,),
        load=lambda _: Task(problem=problem(recorded), scale=scale),
        budgets=BUDGETS,
        unit="GPU-hours",
    )
