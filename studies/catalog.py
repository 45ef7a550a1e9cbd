"""Finding a study by its name or its file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path

from search.errors import BadInput, RecipeSearchError
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
    path = Path(reference)
    if path.suffix != ".py":
        raise BadInput(
            f"--study {reference!r}: there is no such study; "
            f"known: {', '.join(NAMES)}; or give a FILE.py with a function study()"
        )
    try:
        there = path.is_file()
    except OSError as error:
        raise BadInput(f"--study {reference}: {error.strerror}") from None
    if not there:
        raise BadInput(f"--study {reference}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"--study {reference}: Python cannot import it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
        made = module.study()
    except RecipeSearchError as error:
        raise BadInput(f"--study {reference}: {error}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's file can raise anything
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f", line {frames[-1].lineno}" if frames else ""
        raise BadInput(f"--study {reference}{line}: {type(error).__name__}: {error}") from None
    if not isinstance(made, Study):
        raise BadInput(
            f"--study {reference}: study() must return a Study, got {type(made).__name__}"
        )
    return made
