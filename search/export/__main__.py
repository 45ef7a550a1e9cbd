"""`python -m search.export RUN_DIR --to all`: write a recipe in the form of other tools."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.cli import Parser, guarded
from search.errors import BadInput
from search.export.targets import ALL, TARGETS, Target, check_name, find
from search.own_file import blamed
from search.signs import printable

if TYPE_CHECKING:
    from search.export.source import Source


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="python -m search.export",
        description="Write a run's recipe in the form of other trainers, as a PEFT folder with a "
        "model card, as a submission to the 2023 challenge, or in a form of your own: to "
        "RUN_DIR/recipe/exports/.",
    )
    made.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the --out of a finished run")
    made.add_argument(
        "--to",
        required=True,
        metavar="|".join((*TARGETS, ALL, "NAME", "FILE.py")),
        help="the form: one that ships, all, an installed package's, or a file of your own with a "
        "function write(source, folder)",
    )
    return made


def export(run_dir: Path, to: Sequence[str], tell: Callable[[str], None] = lambda _: None) -> None:
    """Write a recipe in the form of some targets.

    Args:
        run_dir: of a finished run; its recipe folder will do as well.
        to: what the command line takes, each; of several forms, those are left out that the
            recipe does not suit, and those that do not ship and fail.
        tell: told the folders, once each is written whole, and what was left out.

    Raises:
        BadInput: there is no recipe or form, it is damaged, the folder cannot be written to, or
            what was written must not be handed on. What was told before stays.
    """
    from search.export.source import Unsuitable, open_recipe  # noqa: PLC0415  # --help without it

    targets = [target for reference in to for target in find(reference)]
    source = open_recipe(run_dir)
    for target in targets:
        try:
            tell(str(write(target, source)))
        except BadInput as error:
            if len(targets) == 1 or not (target.foreign or isinstance(error, Unsuitable)):
                raise
            tell(f"left out: {' '.join(str(error).split())}")


def write(target: Target, source: Source) -> Path:
    """Write one form; returns its folder, which is whole or as it was.

    Raises:
        BadInput: see `export`.
    """
    from objectives.rows import sums_of, write_sums  # noqa: PLC0415  # --help answers without it
    from search.export import private  # noqa: PLC0415  # likewise
    from search.export.source import Unsuitable  # noqa: PLC0415  # likewise
    from search.read_recipe import trained_by_us  # noqa: PLC0415  # likewise

    if not target.foreign and not trained_by_us(source.facts):
        raise Unsuitable(
            f"{target.name}: the recipe was trained by an objective of the study's own, which no "
            "other tool can do"
        )
    check_name(target)
    folder = source.folder / "exports" / target.name
    part = folder.with_name(target.name + ".part")
    blame = blamed(target.foreign, target.file) if target.foreign else contextlib.nullcontext()
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with blame:
            target.write(source, part)
            private.check(part, source.folder)
        sums = sums_of(part)
        if not sums:
            raise BadInput(f"--to {target.name}: it wrote no file")
        write_sums(part, sums)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    except OSError as error:
        raise BadInput(f"{folder}: cannot write there ({error.strerror or error})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""

    def work() -> int:
        options = parser().parse_args(arguments)
        export(options.run_dir, [options.to], lambda line: print(printable(line)))
        return 0

    return guarded(work, "interrupted")


if __name__ == "__main__":
    sys.exit(main())
