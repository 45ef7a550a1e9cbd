"""PEFT: the adapter's folder with a model card, to load, to merge, or to put on the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

from search.export.card import model_card
from search.export.source import Source


def write(source: Source, target: Path) -> None:
    """Copy the adapter and write its card."""
    shutil.copytree(source.folder / "adapter", target, dirs_exist_ok=True)
    plain = source.facts | {"recipe": source.recipe.to_dict()}
    card = model_card(plain)
    (target / "README.md").write_text(card, encoding="utf-8")
