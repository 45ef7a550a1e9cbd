"""FIDELITY.md: what a trainer's file carries over, and what it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """One field of a recipe in a trainer's file."""

    field: str
    ours: object
    theirs: str
    """Key and value there."""
    differs: str = ""
    """How it is not the same; empty if it is."""


def write_table(target: Path, name: str, command: str, fields: Sequence[Carried]) -> None:
    """Write FIDELITY.md.

    Args:
        target: folder of the export.
        name: of the trainer, with the version that the file was verified with.
        command: that trains with the file.
        fields: all that the recipe fixes.
    """
    lossy = [carried for carried in fields if carried.differs]
    lines = [
        f"# This recipe in {name}",
        "",
        "From the recipe folder (the one that holds recipe.json):",
        "",
        "```sh",
        command,
        "```",
        "",
        f"Of {len(fields)} fields, {len(fields) - len(lossy)} carry over exactly.",
        "",
        "| field | this recipe | there | exact | what differs |",
        "|---|---|---|---|---|",
    ]
    for carried in sorted(fields, key=lambda carried: not carried.differs):
        exact = "no" if carried.differs else "yes"
        cells = (carried.field, carried.ours, f"`{carried.theirs}`", exact, carried.differs)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    (target / "FIDELITY.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
