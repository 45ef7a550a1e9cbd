"""A terminal in memory, as much of one as our live view needs, and processes that write to it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

ROOT = Path(__file__).parents[1]
PIECES = re.compile(
    r"\x1b\[(?P<args>[\d;?]*)(?P<what>[A-Za-z])|\x1b\](?P<mark>[^\x07]*)\x07|(?s:.)"
)
BELL = "\x07"
"""How a mark ends."""
TORN = re.compile(r"\x1b(?:\[[\d;?]*|\][^\x07]*)?$")
"""An escape sequence whose end has not come yet."""


class Screen:
    """Rows of text, a cursor, and what has scrolled off.

    Args:
        width: columns.
        height: rows.
        reflows: whether rows are wrapped anew when the width changes, as most terminals do; else
            they are cut off or stay as they are.
    """

    def __init__(self, width: int, height: int, *, reflows: bool = False) -> None:
        self.width, self.height, self.reflows = width, height, reflows
        self.rows: list[str] = [""]
        """From the first that ever was to the last; the screen is the last `height` of them."""
        self.wrapped: set[int] = set()
        """Rows that go on in the next one."""
        self.top = self.x = self.y = 0
        self.cursor_shown = True
        self.marks: list[str] = []
        """What the process said by an operating system command, which terminals do not show."""

    def shown(self) -> list[str]:
        """The screen's rows, without the empty ones at its end."""
        rows = [row.rstrip() for row in self.rows[self.top : self.top + self.height]]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def feed(self, text: str) -> None:
        """Take in what a process wrote; the last piece of an escape sequence must be there."""
        for piece in PIECES.finditer(text):
            if piece["mark"] is not None:
                self.marks.append(piece["mark"])
            elif piece["what"]:
                self._control(piece["what"], piece["args"])
            elif piece[0] == "\n":
                self._down()
            elif piece[0] == "\r":
                self.x = 0
            else:
                assert piece[0].isprintable(), repr(text[piece.start() : piece.start() + 40])
                self._put(piece[0])

    def _control(self, what: str, args: str) -> None:
        if what == "A":
            self.y = max(self.top, self.y - int(args or 1))
        elif what == "K":
            self.rows[self.y] = "" if args == "2" else self.rows[self.y][: self.x]
            self.wrapped.discard(self.y)
        elif (what, args) == ("J", "2"):
            self.rows[self.top :] = [""] * (self.y + 1 - self.top)
            self.wrapped = {row for row in self.wrapped if row < self.top}
        elif (what, args) == ("H", ""):
            self.x, self.y = 0, self.top
        elif args == "?25":
            self.cursor_shown = what == "h"
        else:
            assert what == "m", f"the terminal in memory does not know {args}{what}"

    def _put(self, sign: str) -> None:
        if self.x + cell_len(sign) > self.width:
            self.wrapped.add(self.y)
            self._down()
            self.x = 0
        row = self.rows[self.y].ljust(self.x)
        self.rows[self.y] = row[: self.x] + sign + row[self.x + 1 :]
        self.x += 1

    def _down(self) -> None:
        self.y += 1
        while len(self.rows) <= self.y:
            self.rows.append("")
        self.top = max(self.top, self.y + 1 - self.height)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        if self.reflows:
            self._reflow(width)
        self.width, self.height = width, height
        self.top = max(0, self.y + 1 - height)

    def _reflow(self, width: int) -> None:
        rows: list[str] = []
        wrapped: set[int] = set()
        line = ""
        for number, row in enumerate(self.rows):
            here = number == self.y
            line += row if number in self.wrapped else row.rstrip()
            if number in self.wrapped and not here:
                continue
            pieces = [line[at : at + width] for at in range(0, max(1, len(line)), width)]
            wrapped |= {len(rows) + place for place in range(len(pieces) - 1)}
            rows += pieces
            line = ""
            if here:
                at = len(rows) - 1
        self.rows, self.wrapped, self.y = rows, wrapped, at
        self.x = min(self.x, width)


class Process:
    """A process of ours in a terminal."""

    def __init__(
        self,
        screen: Screen,
        arguments: Sequence[str],
        encoding: str = "utf-8",
        **environment: str,
    ) -> None:
        """Start `python ARGUMENTS` from the repository's root."""
        ours = {name: at for name, at in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.screen = screen
        self._ours, theirs = pty.openpty()
        self._set_size()
        self._started = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env=ours | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)} | environment,
            start_new_session=True,
        )
        os.close(theirs)
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = ""
        self.written = ""
        """Everything so far, escape sequences included."""

    def __enter__(self) -> Process:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it if it still runs."""
        self._started.kill()
        self._started.wait()
        os.close(self._ours)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size; the process gets SIGWINCH."""
        self.screen.resize(width, height)
        self._set_size()

    def _set_size(self) -> None:
        size = struct.pack("HHHH", self.screen.height, self.screen.width, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._ours, text.encode())

    def read_to(self, mark: str) -> None:
        """Show what the process writes until it says `mark`; AssertionError if it ends before."""
        while mark not in self.screen.marks:
            assert self._read(), "\n".join(self.screen.shown())

    def finish(self) -> int:
        """Show the rest; returns the exit code."""
        while self._read():
            pass
        return self._started.wait()

    def _read(self) -> bool:
        """Show what there is to the next mark; returns whether more may come."""
        more = True
        if BELL not in self._rest:
            try:
                found = os.read(self._ours, 4096)
            except OSError:  # Linux says so when the other end is closed
                found = b""
            self._rest += self._decoder.decode(found, final=not found)
            more = bool(found)
        torn = TORN.search(self._rest)
        end = torn.start() if torn else len(self._rest)
        if BELL in self._rest:
            end = self._rest.index(BELL) + 1
        self.screen.feed(self._rest[:end])
        self.written += self._rest[:end]
        self._rest = self._rest[end:]
        return more
