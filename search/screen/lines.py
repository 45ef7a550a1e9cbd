"""Lines of a terminal's width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.signs import one_line

if TYPE_CHECKING:
    from rich.text import Text

WIDE = 150
"""Columns from which the curve stands beside the figures, and trials have a reason."""


def line_of(text: str, width: int, style: str = "") -> Text:
    """One line of signs that are seen, cut off at `width` columns."""
    from rich.text import Text  # noqa: PLC0415  # --help must not pay for it

    made = Text(one_line(text), style=style, no_wrap=True, end="\n")
    made.truncate(width, overflow="ellipsis")
    return made
