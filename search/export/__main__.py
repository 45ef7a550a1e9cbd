"""`python -m search.export RUN_DIR --to all`: write a recipe in the form of other tools."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from search.cli import Parser, guarded
from search.errors import BadInput

TARGETS = ("axolotl", "llamafactory", "trl", "peft", "challenge")
"""Each is a module here with a function write(source, folder)."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="python -m search.export",
        description="Write a run's recipe in the form of other trainers, as a PEFT folder with a "
        "model card, or as a submission to the 2023 challenge: to RUN_DIR/recipe/exports/.",
    )
    made.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the --out of a finished run")
    made.add_argument(
        "--to",
        required=True,
        choices=(*TARGETS, "all"),
        metavar="|".join((*TARGETS, "all")),
        help="the form",
    )
    return made


def export(run_dir: Path, targets: Sequence[str]) -> list[str]:
    """Write a recipe in the form of some targets.

    Args:
        run_dir: of a finished run; its recipe folder will do as well.
        targets: of TARGETS; of several, those are left out that the recipe does not suit.

    Returns:
        What to tell the user: the folders written, each whole or absent, and what was left out.

    Raises:
        BadInput: there is no recipe, it is damaged, or the folder cannot be written to.
    """
    from objectives.rows import sums_of, write_sums  # noqa: PLC0415  # --help answers without it
    from search.export.source import Unsuitable, open_recipe  # noqa: PLC0415  # likewise

    source = open_recipe(run_dir)
    made = []
    for name in targets:
        folder = source.folder / "exports" / name
        part = folder.with_name(name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            import_module(f"search.export.{name}").write(source, part)
            write_sums(part, sums_of(part))
            shutil.rmtree(folder, ignore_errors=True)
            part.replace(folder)
        except Unsuitable as error:
            shutil.rmtree(part, ignore_errors=True)
            if len(targets) == 1:
                raise
            made.append(f"left out: {error}")
            continue
        except OSError as error:
            raise BadInput(f"{folder}: cannot write there ({error.strerror or error})") from None
        made.append(str(folder))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""

    def work() -> int:
        options = parser().parse_args(arguments)
        for line in export(options.run_dir, TARGETS if options.to == "all" else [options.to]):
            print(line)
        return 0

    return guarded(work, "interrupted")


if __name__ == "__main__":
    sys.exit(main())
