"""A checkpoint of an objective of the study's own: one safetensors file, its facts in the header.

It appears by one rename, so it is whole or absent. Imports no torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from objectives.mixture import Cursor
from objectives.objective import Schedule
from search.errors import WorkerFailed

Arrays = dict[str, NDArray[Any]]
"""What is trained, by name."""
FACTS = "recipe-search"
"""Key of the header."""


@dataclass(slots=True)
class Kept:
    """A trial between two segments."""

    arrays: Arrays
    recipe: dict[str, Any]
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """Seconds of training behind these steps."""
    cursor: Cursor = field(default_factory=Cursor)
    curve: list[tuple[int, float]] = field(default_factory=list)
    decaying: Schedule | None = None
    """The schedule, once its decay has begun: it can no longer change."""


def write(file: Path, kept: Kept, *, arrays_alone: bool = False) -> None:
    """Write a checkpoint, or with `arrays_alone` what others may use of it.

    Raises:
        WorkerFailed: an array is none that a file can hold.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    facts = {name: value for name, value in asdict(kept).items() if name != "arrays"}
    header = {"format": "np"} if arrays_alone else {FACTS: json.dumps(facts)}
    part = file.with_name(file.name + ".part")
    try:
        arrays = {name: np.ascontiguousarray(array) for name, array in kept.arrays.items()}
        save_file(arrays, part, metadata=header)
    except (SafetensorError, TypeError, KeyError, AttributeError) as error:
        raise WorkerFailed(f"what is trained must be numpy arrays by name ({error!r})") from None
    part.replace(file)


def read(file: Path) -> Kept:
    """A checkpoint that `write` wrote.

    Raises:
        WorkerFailed: it is damaged.
    """
    try:
        with safe_open(file, framework="numpy") as opened:
            fields = json.loads(opened.metadata()[FACTS])
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no dict
        fields["cursor"] = Cursor(**fields["cursor"])
        fields["curve"] = [(int(tokens), float(loss)) for tokens, loss in fields["curve"]]
        if fields["decaying"]:
            fields["decaying"] = Schedule(**fields["decaying"])
        return Kept(arrays=arrays, **fields)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise WorkerFailed(f"the checkpoint {file} is damaged ({error})") from None
