"""Pages of docs/ as programs: their blocks in order, run, and what they show held against it.

What a page says of a block stands in a comment on the line above it, which readers of the page do
not see:

  <!-- not run: REASON -->      this block is not run
  <!-- not checked: REASON -->  this output is not held against anything
  <!-- file: NAME -->           this block is saved under that name
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:^<!-- (.+?) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = ("sh", "python")
DURATION = re.compile(r"(?:\d+[dhms])+\b")
NUMBER = re.compile(r"(?:(?<=[ (])[-+])?\.?\d(?:[\d,.]*\d)?(?:e[-+]?\d+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A code block of a page."""

    page: Path
    line: int
    """Of its first line of code."""
    language: str
    code: str
    mark: str
    """The comment above it; "" if there is none."""

    def says(self, kind: str) -> str | None:
        """What follows `kind:` in its mark; None if the mark is of another kind."""
        before, colon, after = self.mark.partition(":")
        return after.strip() if colon and before == kind else None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.name}, line {self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a block of a page printed when it was run."""

    block: Block
    output: str


def blocks(page: Path) -> list[Block]:
    """All code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start(3)) + 1,
            language=found[2],
            code=found[3],
            mark=found[1] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def command(page: Path, beginning: str) -> tuple[Block, Block]:
    """The one block of a page that begins with these words, and what it shows next as output."""
    found = blocks(page)
    (place,) = (n for n, block in enumerate(found) if block.code.startswith(beginning))
    shown = next(block for block in found[place:] if block.language == "text")
    return found[place], shown


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with `python` and the package to be found from any folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | more


def shell(code: str, folder: Path, **more: str) -> str:
    """Run lines of a shell in a folder; returns what they printed.

    Raises:
        AssertionError: a line failed.
    """
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}"
    return done.stdout


def tour(
    page: Path,
    folder: Path,
    *,
    instead: Mapping[str, str] | None = None,
    replaced: Mapping[str, str] | None = None,
    **more: str,
) -> list[Shown]:
    """Follow a page in a folder: save its files, run its blocks in order, check what it shows.

    Args:
        page: a page of docs/.
        folder: an empty folder, where all happens.
        instead: first words of a block -> lines of a shell to run in its place; what the page shows
            of the block is not checked then.
        replaced: words -> what they are in the blocks that are run, such as a shorter budget.
        more: variables of the environment.

    Raises:
        AssertionError: a block failed or shows what it did not print, or a word to replace is gone.
    """
    instead, replaced = instead or {}, replaced or {}
    all_code = "".join(block.code for block in blocks(page))
    for words in (*instead, *replaced):
        assert words in all_code, f"{page.name} no longer holds {words!r}"
    names: dict[str, Any] = {"__name__": "__main__"}
    found: list[Shown] = []
    last: Shown | None = None
    for block in blocks(page):
        if block.language == "text":
            if last is not None and block.says("not checked") is None:
                check(block, last.output)
            continue
        last = None
        code = block.code
        for words, other in replaced.items():
            code = code.replace(words, other)
        if (name := block.says("file")) is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(code, encoding="utf-8")
        elif stand_ins := [lines for words, lines in instead.items() if code.startswith(words)]:
            shell(stand_ins[0], folder, **more)
        elif block.language in RUN and block.says("not run") is None:
            last = Shown(block=block, output=_run(block, code, folder, names, more))
            found.append(last)
    return found


def _run(
    block: Block, code: str, folder: Path, names: dict[str, Any], more: Mapping[str, str]
) -> str:
    if block.language == "sh":
        return shell(code, folder, **more)
    return _python(block, code, names, folder)


def _python(block: Block, code: str, names: dict[str, Any], folder: Path) -> str:
    """Run a block in a namespace that all blocks of its page share."""
    printed = io.StringIO()
    lines = "\n" * (block.line - 1) + code  # so that a traceback names the page's line
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(lines, str(block.page), "exec"), names)  # our own page
    return printed.getvalue()


def shape(line: str) -> str:
    """A line without its numbers, durations and blanks: what of it is the same in every run."""
    return " ".join(NUMBER.sub("#", DURATION.sub("#t", line)).replace("[", "[ ").split())


def check(block: Block, output: str, but: Sequence[str] = ()) -> None:
    """Check that each line a page shows is one that was printed, whatever its numbers.

    Args:
        block: what the page shows; lines of "…" stand for any.
        output: what was printed.
        but: words that lines hold which this run need not print.

    Raises:
        AssertionError: a line was not printed.
    """
    printed = {shape(line) for line in output.splitlines()}
    for line in block.code.splitlines():
        if line.strip() in ("", "…") or any(words in line for words in but):
            continue
        assert shape(line) in printed, f"{block.place}: nobody prints {line!r}; printed:\n{output}"
