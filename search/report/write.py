"""Writing report/ from a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.store import RunFolder, Store


def write_report(folder: RunFolder, store: Store, summary: Mapping[str, Any]) -> None:
    """Write report/index.html and report/pareto.png."""
