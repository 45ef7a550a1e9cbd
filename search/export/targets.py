"""The forms that a recipe can take: those that ship, those of installed packages, a file's own.

All of them are one thing: a function `write(source, folder)`, given an open recipe
(`search.export.source.Source`) and an empty folder. A package offers one under a name with an
entry point of the group `recipe_search.exporters`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import BadInput
from search.own_file import blamed, find_file, load

if TYPE_CHECKING:
    from search.export.source import Source

TARGETS = ("axolotl", "llamafactory", "trl", "peft", "challenge")
"""Those that ship; each is a module here with a function `write`."""
ALL = "all"
GROUP = "recipe_search.exporters"
"""Entry points of installed packages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A form, and what writes it."""

    name: str
    """Of its folder in RUN_DIR/recipe/exports/."""
    write: Callable[[Source, Path], None]
    """Writes the form of a recipe into an empty folder; an installed package is loaded by that."""
    foreign: str = ""
    """How it was asked for, to be told of its errors; empty if it ships."""
    file: Path | None = None
    """The user's file that it came from."""


def installed() -> dict[str, metadata.EntryPoint]:
    """What installed packages offer, by name; a name that ships is not theirs to take."""
    found = metadata.entry_points(group=GROUP)
    return {point.name: point for point in found if point.name not in (*TARGETS, ALL)}


def find(reference: str) -> list[Target]:
    """The forms that `--to` asks for: by name, by a file, or all that have a name.

    Raises:
        BadInput: there is none of that name, or a file's code cannot be used.
    """
    if reference == ALL:
        return [named(name) for name in (*TARGETS, *sorted(installed()))]
    return [of_file(reference) if reference.endswith(".py") else named(reference)]


def named(name: str) -> Target:
    """A form that ships, or an installed package's.

    Raises:
        BadInput: there is none of that name.
    """
    if name in TARGETS:
        return Target(name=name, write=import_module(f"search.export.{name}").write)
    offered = installed()
    if name not in offered:
        raise BadInput(
            f"--to {name!r}: there is no such form; known: "
            f"{', '.join((*TARGETS, *sorted(offered), ALL))}; "
            "or give a FILE.py with a function write(source, folder)"
        )
    point = offered[name]

    def write(source: Source, folder: Path) -> None:
        function(point.load())(source, folder)

    return Target(name=name, write=write, foreign=f"--to {name} ({point.value})")


def of_file(reference: str) -> Target:
    """The form that a user's file writes; the file's name without `.py` is its name.

    Raises:
        BadInput: no such file, it cannot be used, or its name is that of a form that ships.
    """
    path, what = find_file(reference, "--to"), f"--to {reference}"
    if path.stem in (*TARGETS, ALL):
        raise BadInput(f"{what}: {path.stem} is the name of a form that ships; rename the file")
    with blamed(what, path):
        write = function(load(path, "export").write)
    return Target(name=path.stem, write=write, foreign=what, file=path)


def check_name(target: Target) -> None:
    """Raise BadInput unless a form's name can be a folder's."""
    if not target.name.replace("-", "_").isidentifier():
        raise BadInput(
            f"{target.foreign}: the name {target.name!r} may hold letters, digits, '_' and '-' only"
        )


def function(write: Any) -> Callable[[Source, Path], None]:
    """`write`, if it can be called.

    Raises:
        BadInput: it cannot.
    """
    if not callable(write):
        raise BadInput(
            f"write must be a function write(source, folder), got {type(write).__name__}"
        )
    made: Callable[[Source, Path], None] = write
    return made
