"""Finding a study by its name or its file."""

from __future__ import annotations

import importlib

from search.errors import BadInput
from search.own_file import blamed, find_file, load
from studies.study import Study

NAMES = ("demo", "challenge_4090", "challenge_a100")
"""Studies that ship with the package; each is a module here with a function `study`."""


def find(reference: str) -> Study:
    """The study of that name, or the one that a Python file's function `study()` returns.

    Raises:
        BadInput: no such study or file, or the file does not give a Study.
    """
    if reference in NAMES:
        shipped: Study = importlib.import_module(f"studies.{reference}").study()
        return shipped
    if not reference.endswith(".py"):
        raise BadInput(
            f"--study {reference!r}: there is no such study; "
            f"known: {', '.join(NAMES)}; or give a FILE.py with a function study()"
        )
    path = find_file(reference, "--study")
    with blamed(f"--study {reference}", path):
        made = load(path, "study").study()
    if not isinstance(made, Study):
        raise BadInput(
            f"--study {reference}: study() must return a Study, got {type(made).__name__}"
        )
    return made
