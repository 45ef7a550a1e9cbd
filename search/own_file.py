"""Python files of the user's own: imported from where they lie, and blamed by line when they fail.

A study (`--study FILE.py`) and an exporter (`--to FILE.py`) are given in this way.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from search.errors import BadInput, RecipeSearchError


def find_file(reference: str, flag: str) -> Path:
    """The file that a flag names.

    Raises:
        BadInput: there is none.
    """
    path = Path(reference)
    try:
        there = path.is_file()
    except OSError as error:
        raise BadInput(f"{flag} {reference}: {error.strerror}") from None
    if not there:
        raise BadInput(f"{flag} {reference}: there is no such file")
    return path


def load(path: Path, role: str) -> ModuleType:
    """Import a file as a module of its own, named by its role and its file name.

    Raises:
        Exception: whatever the file raises; see `blamed`.
    """
    spec = importlib.util.spec_from_file_location(f"{role}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput("Python cannot import it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def blamed(what: str, path: Path | None = None) -> Iterator[None]:
    """Tell what a user's code raises in one line.

    Args:
        what: was asked for, such as `--study mine.py`.
        path: of the code; the line that failed there is told.

    Raises:
        BadInput: whatever was raised; a kind of BadInput stays of that kind.
    """
    try:
        yield
    except RecipeSearchError as error:
        kind = type(error) if isinstance(error, BadInput) else BadInput
        raise kind(f"{what}: {error}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's code can raise anything
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if path and frame.filename == str(path.absolute())]
        line = f", line {own[-1].lineno}" if own else ""
        raise BadInput(f"{what}{line}: {type(error).__name__}: {error}") from None
