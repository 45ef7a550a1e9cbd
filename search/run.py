"""`python -m search.run --budget 24h`: arguments -> study -> job -> exit code."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from search import __version__
from search.budget import RealClock, parse_budget, process_age_s
from search.cli import Parser, guarded, joined
from search.errors import BadInput

SCRIPT = "recipe-search"
"""What the command is called where the package is installed."""


def parser() -> argparse.ArgumentParser:
    """The command line; its flags are few and frozen."""
    made = Parser(
        prog=SCRIPT if Path(sys.argv[0]).name == SCRIPT else "python -m search.run",
        description="Find the fine-tuning recipe, train it, prove what it is worth, export it: "
        "within one wall-clock budget on one GPU.",
        epilog="Give the same command with the same --out to resume an interrupted job.",
    )
    made.add_argument(
        "--budget", required=True, metavar="TIME", help="wall-clock time: 90s, 20m, 24h, 1d, 1h30m"
    )
    made.add_argument(
        "--study", default="demo", metavar="NAME|FILE.py", help="the job (default: demo)"
    )
    made.add_argument("--model", metavar="ID|PATH", help="base model instead of the study's")
    made.add_argument(
        "--data",
        nargs="+",
        action="extend",
        metavar="NAME=PATH|ID[:CONFIG[:SPLIT]][@REVISION]",
        help="sources of training data instead of the study's: JSONL, JSON, Parquet or CSV files, "
        "or hub datasets",
    )
    made.add_argument(
        "--eval",
        nargs="+",
        action="extend",
        metavar="TASK",
        help="tasks to search on: sources, or of reasoning-gym, lm-eval or --include-path",
    )
    made.add_argument(
        "--include-path",
        metavar="DIR",
        type=Path,
        help="folder with the user's own lm-eval task files",
    )
    made.add_argument("--gpu-memory", metavar="SIZE", help="use no more GPU memory: 24GiB")
    made.add_argument("--out", metavar="DIR", type=Path, help="run folder (default: runs/NAME)")
    made.add_argument("--seed", type=int, default=0, help="of all random choices (default: 0)")
    made.add_argument("--name", help="the run's name (default: study and time)")
    made.add_argument("--plan", action="store_true", help="print the budget's split and exit")
    made.add_argument("--quiet", action="store_true", help="print nothing but errors")
    made.add_argument("--version", action="version", version=f"{SCRIPT} {__version__}")
    made.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run code that comes with the base model (off by default)",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    started = RealClock().now() - process_age_s()
    words = joined(sys.argv[1:] if arguments is None else arguments, "--budget")
    return guarded(lambda: work(words, started), "interrupted; the same command goes on from here")


def work(words: Sequence[str], started: float) -> int:
    """Everything between the arguments and the exit code."""
    options = parser().parse_args(words)
    budget_s = parse_budget(options.budget)
    if not 0 <= options.seed < 2**63:
        raise BadInput(f"--seed {options.seed} must lie between 0 and 2^63")
    signal.signal(signal.SIGTERM, _terminate)
    from search.request import (  # noqa: PLC0415  # --help and a bad budget answer without it
        Request,
        build_study,
        plan_lines,
    )

    tasks = tuple(name for text in options.eval or () for name in text.split(",") if name)
    if options.eval is not None and not tasks:
        raise BadInput("--eval names no task; leave it out to search on the study's tasks")
    request = Request(
        budget_s=budget_s,
        study=options.study,
        model=options.model,
        data=tuple(options.data or ()),
        tasks=tasks,
        include_path=options.include_path,
        gpu_memory=options.gpu_memory,
        out=options.out,
        seed=options.seed,
        name=options.name,
        trust_remote_code=options.trust_remote_code,
    )
    study = build_study(request)
    if options.plan:
        from search.report.text import print_wrapped  # noqa: PLC0415  # --help answers without it

        for line in plan_lines(request, study):
            print_wrapped(line)
        return 0
    from search.job import run  # noqa: PLC0415  # bad input answers without Optuna

    run(request, study, started=started, quiet=options.quiet)
    gc.freeze()  # Python would look through 5,000 modules once more: .6 s that nobody meters
    return 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
