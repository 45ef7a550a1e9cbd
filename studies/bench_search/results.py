"""Scores of searches in one file: an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.errors import BadInput

Scores = dict[str, dict[str, dict[str, dict[str, float]]]]
"""method -> problem -> budget -> seed -> score"""


class Results:
    """What was measured on one suite."""

    def __init__(self, path: Path, suite: str, unit: str) -> None:
        """Open or begin a file.

        Raises:
            BadInput: the file is something else, or of another suite.
        """
        self.path = path
        self.suite, self.unit = suite, unit
        self.scores: Scores = {}
        if not path.exists():
            return
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            of, self.scores = facts["suite"], facts["scores"]
        except (ValueError, KeyError, TypeError) as err:
            raise BadInput(f"--out {path}: holds no results; name another file") from err
        if of != suite:
            raise BadInput(f"--out {path}: holds results of the suite {of}; name another file")

    def has(self, method: str, problem: str, budget: float, seed: int) -> bool:
        """Whether a search was scored."""
        by_budget = self.scores.get(method, {}).get(problem, {})
        return str(seed) in by_budget.get(f"{budget:g}", {})

    def add(self, method: str, problem: str, budget: float, seed: int, score: float) -> None:
        """Take in a score."""
        by_budget = self.scores.setdefault(method, {}).setdefault(problem, {})
        by_budget.setdefault(f"{budget:g}", {})[str(seed)] = round(score, 5)

    def forget(self, method: str) -> None:
        """Measure a method anew."""
        self.scores.pop(method, None)

    def save(self, more: Mapping[str, Any]) -> None:
        """Write all of it, at once or not at all."""
        facts = {"suite": self.suite, "unit": self.unit, **more, "scores": self.scores}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(self.path.name + ".part")
        beside.write_text(compact(facts) + "\n", encoding="utf-8")
        beside.replace(self.path)


def compact(value: Any, indent: int = 0) -> str:
    """JSON with a line for each innermost mapping or list, so that changes can be read."""
    if not isinstance(value, dict) or not any(isinstance(v, dict) for v in value.values()):
        return json.dumps(value)
    pad = " " * (indent + 1)
    lines = [f"{pad}{json.dumps(k)}: {compact(v, indent + 1)}" for k, v in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
