"""`python -m search.report RUN_DIR`: build the report again from the run folder alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.budget import format_seconds
from search.cli import Parser, check_run, guarded
from search.errors import BadInput
from search.report.text import closing_lines, print_wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SQLITE = b"SQLite format 3\0"
"""How a database file begins."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="python -m search.report",
        description="Build RUN_DIR/report/index.html again, and every figure of it as SVG and PNG, "
        "from the run folder alone; an unfinished run has a report too. What optuna-dashboard "
        "shows beside the trials is brought up to date.",
    )
    made.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="the run folder")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the report, print the run's state; returns the exit code."""

    def work() -> int:
        for line in rebuild(parser().parse_args(arguments).run_dir):
            print_wrapped(line)
        return 0

    return guarded(work, "interrupted")


def rebuild(path: Path) -> list[str]:
    """Write the report of a run folder; returns what to tell the user.

    Raises:
        BadInput: it is no run folder, its study cannot be read, or report/ cannot be written.
    """
    check(path)
    from search.dashboard import bring_up_to_date, get_ready  # noqa: PLC0415  # likewise
    from search.folder import RunFolder  # noqa: PLC0415  # likewise
    from search.report.write import write_report  # noqa: PLC0415  # --help answers without it
    from search.store import Store  # noqa: PLC0415  # likewise
    from search.summary import summarise  # noqa: PLC0415  # likewise

    folder = RunFolder(path)
    folder.upgrade()
    store = Store(folder, study_name(path))
    summary = summarise(folder, store)
    write_report(folder, store, summary)
    lines: list[str] = []
    get_ready()  # now: a job that begins waits for who holds its folder
    with folder.unless_in_use() as ours:
        if ours:  # else its job keeps the dashboard up to date itself
            bring_up_to_date(folder, store, summary, lines.append)
    if folder.has("summary.json"):
        return closing_lines(summary, path) + lines
    return [state_line(summary), f"report: {path / 'report' / 'index.html'}", *lines]


def check(path: Path) -> None:
    """Raise BadInput unless `path` is a run folder with a study; writes nothing."""
    check_run(path)
    study = path / "study.db"
    if not study.is_file():
        raise BadInput(f"{path}: it has no study.db yet; go on with the run first")
    with study.open("rb") as file:
        if file.read(len(SQLITE)) != SQLITE:
            raise BadInput(f"{study}: this is no SQLite database; the run's study is damaged")


def study_name(path: Path) -> str:
    """The name of the one study in a run folder, which `--name` may have set.

    Raises:
        BadInput: the database cannot be read, or does not hold exactly one study.
    """
    import optuna  # noqa: PLC0415  # --help answers without it
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # likewise

    try:
        names = optuna.get_all_study_names(f"sqlite:///{path.resolve()}/study.db")
    except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise BadInput(
            f"{path}/study.db cannot be read as an Optuna study ({type(error).__name__})"
        ) from None
    if len(names) != 1:
        raise BadInput(f"{path}/study.db must hold one study, it holds {len(names)}")
    return names[0]


def state_line(summary: Mapping[str, Any]) -> str:
    """Where an unfinished run is, in one line."""
    trials = summary["trials"]
    spent = format_seconds(sum(summary["spent_s"].values()))
    return (
        f"not finished: {trials['complete']} trials complete, {trials['pruned']} pruned, "
        f"{spent} of {format_seconds(summary['budget_s'])} spent; "
        "the same command with the same --out goes on"
    )


if __name__ == "__main__":
    sys.exit(main())
