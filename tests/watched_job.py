"""A simulated job that is watched: `python -m tests.watched_job FOLDER [WIDTHxHEIGHT ...]`.

In a terminal it waits, at each of several moments, for the terminal's next size, and says before
and after that what should be on the screen. Elsewhere it waits for a line of input once.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import sys
import termios
import time
from pathlib import Path

from rich.console import Console

from objectives.objective import Listener, Progress, Schedule, Trained
from objectives.replay import CurveObjective
from search.budget import format_seconds
from search.cli import guarded
from search.report.text import wrapped
from search.screen import budget
from search.screen.picture import picture
from search.state import Job, View
from search.view import LiveView, choose_view
from spaces import Recipe
from tests.simulated import Simulation

SIGNS = 9
"""Signs of life in a segment."""
STAGE = 60
"""Signs of life from one size to the next."""


class Chatty(CurveObjective):
    """Gives signs of life, as real training does."""

    def train(
        self,
        trial: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
    ) -> Trained:
        """As the formulas have it."""
        for sign in range(1, SIGNS + 1):
            loss = self.loss(recipe, sign * until_step * recipe.tokens_per_step // (SIGNS + 1))
            share = sign / (SIGNS + 1)
            listener(Progress(phase="train", done=share, loss=loss, tokens_per_s=12_345.6))
        return super().train(trial, recipe, schedule, until_step, deadline_s, listener)


class Watched:
    """A view that stops at moments, and says what it should be showing."""

    def __init__(self, view: View, folder: Path, sizes: list[tuple[int, int]]) -> None:
        self.view, self.folder, self.sizes = view, folder, sizes
        self.said: list[str] = []
        self.signs = self.marks = 0

    def line(self, text: str) -> None:
        self.said.append(text)
        self.view.line(text)

    def busy(self, doing: str, done: float | None) -> None:
        self.view.busy(doing, done)

    def close(self) -> None:
        self.view.close()

    def refresh(self, job: Job) -> None:
        self.view.refresh(job)
        self.signs += 1
        if self.signs % STAGE:
            return
        if not isinstance(self.view, LiveView):
            if self.signs == STAGE:
                sys.stdin.readline()
            return
        self._say(job)
        if not self.sizes:
            time.sleep(60)  # until Ctrl-C
        size = self.sizes.pop(0)
        while tuple(os.get_terminal_size()) != size:
            time.sleep(0.01)
        self.view.refresh(job)
        self._say(job)

    def _say(self, job: Job) -> None:
        """Write down the picture and what was said, then a mark that terminals do not show."""
        width, height = os.get_terminal_size()
        console = Console(file=io.StringIO(), width=width, height=height, record=True)
        console.print(picture(job, width, height))
        said = [row for line in self.said for row in wrapped(line, width)]
        found = {"picture": console.export_text().splitlines(), "said": said}
        (self.folder / f"{self.marks}.json").write_text(json.dumps(found), encoding="utf-8")
        os.write(1, f"\x1b]{self.marks}\x07".encode())  # rich would take sys.stdout's for text
        self.marks += 1


def main() -> int:
    """Run the job."""
    folder = Path(sys.argv[1])
    sizes = [(int(w), int(h)) for w, h in (text.split("x") for text in sys.argv[2:])]
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches this process
    budget.deadline = lambda left_s: f"ends in {format_seconds(left_s)}"  # the clock goes on
    LiveView.EVERY_S = 0.0
    LiveView.TICK_S = 1e6  # a picture drawn while the terminal is looked at would be seen half
    simulation = Simulation(folder / "run", budget_s=3600)
    simulation.kind = Chatty
    simulation.view = Watched(choose_view(quiet=False), folder, sizes)  # type: ignore[assignment]

    def work() -> int:
        simulation.run(tokens_per_s=50_000.0)
        return 0

    return guarded(work, "interrupted")


if __name__ == "__main__":
    sys.exit(main())
