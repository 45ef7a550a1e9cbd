"""What our commands share: one line per error, its exit code, and what a run folder is."""

from __future__ import annotations

import argparse
import codecs
import difflib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from search.errors import BadInput, Interrupted, RecipeSearchError
from search.signs import one_line

SPELT = {"±": "+-", "×": "x", "–": "-", "…": "...", "→": "->", "·": "-"}
"""Signs in our lines that not every encoding has."""

ROOMS = ("objectives", "search", "spaces", "studies")
"""Packages of this tool: if one of their modules is missing, no other environment helps."""


def spell(stream: TextIO) -> None:
    """Let a stream write what its encoding lacks in signs that it has, instead of failing."""
    codecs.register_error("spelt", _spelt)
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="spelt")


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(SPELT.get(sign, "?") for sign in signs), error.end


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line, without abbreviated flags; it guesses at misspelt ones."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        """`prog` as the user types it."""
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False)

    def parse_known_args(  # type: ignore[override]  # of argparse's overloads the one in use
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, but a flag that there is not is told before one that is missing."""
        words = sys.argv[1:] if args is None else list(args)
        for word in words[: words.index("--")] if "--" in words else words:
            flag = word.partition("=")[0]
            if flag.startswith("--") and flag not in self._option_string_actions:
                near = difflib.get_close_matches(flag, self._option_string_actions, 1)
                hint = f", did you mean {near[0]}?" if near else ""
                self.error(f"unrecognized arguments: {flag}{hint}")
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise BadInput instead of printing the usage."""
        raise BadInput(f"{message}; see {self.prog} --help")


def guarded(work: Callable[[], int], interrupted: str) -> int:
    """Run a command's work; errors become one line on stderr and an exit code.

    Args:
        work: what to do; returns the exit code.
        interrupted: the line for Ctrl-C, where the work does not say it more exactly.
    """
    for stream in (sys.stdout, sys.stderr):
        spell(stream)
    try:
        return work()
    except KeyboardInterrupt:
        return say(interrupted, Interrupted.exit_code)
    except Interrupted as stopped:
        return say(str(stopped), stopped.exit_code)
    except RecipeSearchError as error:
        return say(f"error: {error}", error.exit_code)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", *ROOMS):
            raise
        return say(
            f"error: {sys.executable} lacks the package {missing}; give the command to the Python "
            "that this tool is installed for, such as .venv/bin/python",
            2,
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or type(error).__name__
        return say(f"error: {where}{reason}; mend that and give the same command again", 2)


def check_run(path: Path) -> None:
    """Raise BadInput unless `path` is the folder of a run; reads nothing."""
    if not path.is_dir():
        raise BadInput(f"{path}: there is no such folder; give the --out of a run")
    if not (path / "job.json").is_file():
        raise BadInput(f"{path}: no run folder, it has no job.json; give the --out of a run")


def say(text: str, code: int) -> int:
    """Print one line on stderr, whatever signs the text holds; returns `code`."""
    print(one_line(text), file=sys.stderr)
    return code


def told(text: str) -> None:
    """A line that the next one takes the place of, for people who watch."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text}", end="", flush=True)


def joined(arguments: Sequence[str], flag: str) -> list[str]:
    """Arguments with `FLAG -5m` written as `FLAG=-5m`, which argparse takes as a value."""
    made: list[str] = []
    for word in arguments:
        if made and made[-1] == flag and word[:1] == "-" and word[1:2].isdigit():
            made[-1] = f"{flag}={word}"
        else:
            made.append(word)
    return made
