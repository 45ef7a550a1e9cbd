"""ETHICS, utilitarianism: pairs of scenarios, the more pleasant one first."""

from __future__ import annotations

from typing import Any


def pairs(docs: Any) -> Any:
    """The dataset without a header, which only some copies of the file have."""
    return docs.filter(lambda doc: doc["baseline"] != "baseline")
