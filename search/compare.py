"""`python -m search.compare RUN_DIR RUN_DIR ...`: set finished runs side by side."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from search.cli import Parser, check_run, guarded
from search.errors import BadInput

MOST = 26
"""Runs at a time: each has a letter."""
SUFFIXES = (".png", ".svg")
NARROW = 80
"""Columns where stdout is no terminal."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="python -m search.compare",
        description="Set finished runs side by side, on the final and held-out items that all of "
        "them were scored on: accuracy, device-hours, and a paired test of every two.",
        epilog="Runs of the same study and --seed have the same items; models, budgets and "
        "recipes may differ.",
    )
    made.add_argument("run_dirs", metavar="RUN_DIR", type=Path, nargs="+", help="a finished run")
    made.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    made.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw accuracy against device-hours, as .png or .svg",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""

    def work() -> int:
        options = parser().parse_args(arguments)
        side_by_side(options.run_dirs, options.json, options.plot)
        return 0

    return guarded(work, "interrupted")


def side_by_side(paths: Sequence[Path], json_file: Path | None, plot: Path | None) -> None:
    """Print the comparison, and write its files.

    Raises:
        BadInput: see `check`; or a run is not finished, a folder is damaged, no item is common.
        OSError: a file cannot be written.
    """
    check(paths, plot)
    from rich.console import Console  # noqa: PLC0415  # --help and bad arguments answer without it

    from search.finished import is_finished, read_run  # noqa: PLC0415  # likewise
    from search.folder import RunFolder  # noqa: PLC0415  # likewise
    from search.report.side_by_side import show  # noqa: PLC0415  # likewise
    from search.side_by_side import compare, figures  # noqa: PLC0415  # likewise

    folders = [RunFolder(path) for path in paths]
    for folder in folders:
        folder.upgrade()
    if going := [str(folder.path) for folder in folders if not is_finished(folder)]:
        raise BadInput(
            f"not finished, no final recipe was scored: {', '.join(going)}; go on with the run "
            "first (the same command with the same --out)"
        )
    runs = [read_run(folder) for folder in folders]
    standings = compare(runs)
    if sys.stdout.isatty():
        show(Console(), runs, standings)
    else:
        plain = io.StringIO()
        show(Console(file=plain, width=NARROW, color_system=None), runs, standings)
        print("\n".join(line.rstrip() for line in plain.getvalue().splitlines()))
    if json_file is not None:
        text = json.dumps(figures(runs, standings), indent=2, ensure_ascii=False)
        json_file.write_text(text + "\n", encoding="utf-8")
        print(f"figures: {json_file}")
    if plot is not None:
        from search.report.side_figure import figure_of, image  # noqa: PLC0415  # only here

        standing = next(standing for standing in standings if standing.items)
        plot.write_bytes(image(figure_of(runs, standing), plot.suffix.lower()))
        print(f"plot: {plot}")


def check(paths: Sequence[Path], plot: Path | None) -> None:
    """Raise BadInput unless these are different run folders, and `plot` is one that can be drawn.

    Reads nothing, so that it answers at once.
    """
    if plot is not None and plot.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--plot {plot}: its name must end with {' or '.join(SUFFIXES)}")
    if len(paths) == 1:
        raise BadInput(f"there is only one run, {paths[0]}; give two or more to compare")
    if len(paths) > MOST:
        raise BadInput(f"{len(paths)} runs are too many to read; give at most {MOST}")
    seen: dict[Path, Path] = {}
    for path in paths:
        check_run(path)
        if (known := path.resolve()) in seen:
            raise BadInput(f"{path} is the same folder as {seen[known]}; give each run once")
        seen[known] = path


if __name__ == "__main__":
    sys.exit(main())
