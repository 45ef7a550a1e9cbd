"""Text that others wrote, as a terminal may be given it."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # a colour, a move of the cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\x9d]*(?:\x07|\x1b\\|\x9c)"  # a title, a link
)
"""Whole escape sequences (ECMA-48), which leave nothing behind."""


def printable(text: str) -> str:
    """A text of one line, of signs that are seen and nothing else.

    Messages of libraries have colours in them, and names and data may hold anything: signs that
    move the cursor, break the line or turn the direction of writing. Escape sequences are left
    out, every other sign that is not seen becomes a space; spaces are kept as they are.
    """
    plain = _SEQUENCE.sub("", text)
    return "".join(sign if sign.isprintable() else " " for sign in plain)


def one_line(text: str) -> str:
    """A `printable` text with single spaces, for a sentence or a cell of a table."""
    return " ".join(printable(text).split())
