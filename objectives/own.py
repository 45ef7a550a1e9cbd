"""An objective of the study's own: three functions of a user's; the rest of the seam is here.

`Study(objective=MyObjective)` trains and scores anything that takes steps on rows and can be scored
on items: no language model, no GPU and no process of its own are needed. Imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import math
import statistics
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.kept import Arrays, Kept, read, write
from objectives.mixture import Cursor, Stream
from objectives.objective import (
    OWN,
    Listener,
    Loaded,
    Progress,
    Schedule,
    Scores,
    Smoke,
    TaskScore,
    Trained,
)
from objectives.rows import Row, iterate_jsonl, line_of, write_lines
from objectives.schedule import SAFETY, end_of, fit_schedule, thin
from search.errors import Diverged, OutOfMemory, RecipeSearchError, WorkerFailed, brief
from spaces import Recipe
from studies import Study

SAVE_EVERY_S = 60.0
"""Most seconds of training that a kill can lose."""
TELL_EVERY_S = 0.2
CURVE = 400
"""Points of a curve that are kept."""


class OwnObjective(ABC):
    """Base of a user's objective: `begin`, `step` and `score` are to be written.

    What they raise fails the segment, and three failures in a row the job; `Diverged` and
    `OutOfMemory` (search.errors) prune the trial. Outcomes are to depend on what they are given
    alone: then the same seed gives the same search.
    """

    device = "CPU"
    """What it computes on, for the report; its costs are hours of that."""

    @abstractmethod
    def begin(self, recipe: Recipe, rng: np.random.Generator) -> Arrays:
        """What is trained, before the first step: arrays by name. The untrained is the base.

        That is what it gives for the default recipe, whose `extra` has the axes' defaults.
        """

    @abstractmethod
    def step(self, state: Arrays, rows: list[Row], rate: float, recipe: Recipe) -> float:
        """Train on rows at a learning rate, changing `state`; returns the loss on them.

        Each row is `{"messages": [{"role", "content"}, ...]}`, the answer last. Rows come in the
        recipe's mixture, about `tokens_per_step` of them as `size` counts. The study's own axes are
        in `recipe.extra`.
        """

    @abstractmethod
    def score(self, state: Arrays, item: Row) -> tuple[float, float]:
        """(outcome from 0 to 1, loss) on an item: `{"task", "id", "messages", "answer"}`."""

    def size(self, row: Row) -> int:  # noqa: ARG002  # for those who count otherwise
        """What a row counts in tokens, at least 1; if not overridden, tokens are rows."""
        return 1

    def __init__(self, study: Study, run_dir: Path) -> None:
        """Nothing is read yet.

        Args:
            study: the job's.
            run_dir: the run folder.
        """
        self.study = study
        self._run_dir = run_dir
        self._seed = 0
        self._rows: dict[str, Rows] = {}

    def load(self, listener: Listener) -> Loaded:
        """Read the training rows."""
        self._seed = json.loads((self._run_dir / "job.json").read_text(encoding="utf-8"))["seed"]
        for file in sorted((self._run_dir / "data" / "sources").glob("*.jsonl")):
            with self._blamed("size"):
                self._rows[file.stem] = Rows(list(iterate_jsonl(file)), self.size)
        listener(Progress(phase="load", done=1.0))
        base = self._begin(self.study.default)
        return Loaded(
            device=self.device,
            reasons=[f"trained and scored by {type(self).__name__}, the study's own objective"],
            removed={},
            packing=True,
            parameters=sum(array.size for array in base.values()),
            base={
                "id": name_of(self.study.model),
                "revision": code_of(type(self))[:12],
                "origin": OWN,
            },
            versions={"python": sys.version.split()[0], "numpy": np.__version__},
        )

    def smoke(self, count: int, listener: Listener) -> dict[str, Smoke]:  # noqa: ARG002
        """There is no form of answers to look at."""
        return {}

    def train(
        self,
        trial: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
    ) -> Trained:
        """See `Objective.train`."""
        began = saved = told = mark = time.monotonic()
        deadline = None if deadline_s is None else began + deadline_s
        kept = self._pick_up(trial, recipe)
        asked = schedule = kept.decaying or schedule
        stream = self._stream(recipe, kept.cursor)
        first_step, first_tokens = kept.step, kept.tokens
        durations: list[float] = []
        losses: list[float] = []
        while kept.step < end_of(schedule, until_step):
            if deadline is not None and durations:
                fitting = int((deadline - mark) / (statistics.median(durations[-9:]) * SAFETY))
                if fitting < 1:
                    break
                schedule = kept.decaying or fit_schedule(asked, kept.step, fitting)
            losses.append(self._step(kept, stream, schedule, recipe))
            now = time.monotonic()
            durations.append(now - mark)
            kept.seconds += now - mark
            if now - told > TELL_EVERY_S:
                told = now
                done = (kept.step - first_step) / (end_of(schedule, until_step) - first_step)
                listener(
                    Progress(
                        phase="train", done=min(1.0, done), tokens=kept.tokens, loss=losses[-1]
                    )
                )
            if now - saved > SAVE_EVERY_S:
                saved = now
                write(self._file(trial), kept)
            mark = time.monotonic()  # the screen and the disk are no cost of the recipe's
        write(self._file(trial), kept)
        tail = losses[-max(1, len(losses) // 4) :] or [kept.curve[-1][1] if kept.curve else 0.0]
        return Trained(
            step=kept.step,
            tokens=kept.tokens,
            loss=statistics.fmean(tail),
            seconds=time.monotonic() - began,
            new_tokens=kept.tokens - first_tokens,
            total_s=kept.seconds,
            step_s=statistics.median(durations) if durations else 0.0,
            schedule=schedule,
            shares=kept.cursor.shares(),
            passes=self._stream(recipe, kept.cursor).passes(),
            curve=thin(kept.curve),
        )

    def _step(self, kept: Kept, stream: Stream, schedule: Schedule, recipe: Recipe) -> float:
        """One step; returns its loss.

        Raises:
            Diverged: the loss is not finite.
        """
        goal = (kept.step + 1) * recipe.tokens_per_step - kept.tokens
        rows: list[Row] = []
        count = 0
        while count < goal or not rows:
            source, index = stream.draw()
            rows.append(self._rows[source].rows[index])
            count += self._rows[source].trained_at(index)
        rate = recipe.learning_rate * schedule.factor(kept.step)
        with self._blamed("step"):
            loss = float(self.step(kept.arrays, rows, rate, recipe))
        if not math.isfinite(loss):
            raise Diverged(f"the training loss is {loss} at step {kept.step}")
        kept.step += 1
        kept.tokens += count
        kept.curve.append((kept.tokens, round(loss, 4)))
        if len(kept.curve) > 2 * CURVE:
            kept.curve = thin(kept.curve, CURVE)
        if schedule.decay_start is not None and kept.step > schedule.decay_start:
            kept.decaying = schedule  # from now on it cannot change
        return loss

    def evaluate(
        self,
        trial: str | None,
        items: str,
        listener: Listener,
        *,
        exact: bool,  # noqa: ARG002  # there is one precision
        part: tuple[int, int] | None = None,
        deadline_s: float | None = None,
    ) -> Scores:
        """See `Objective.evaluate`."""
        told = began = time.monotonic()
        state = self._begin(self.study.default) if trial is None else self._kept(trial).arrays
        asked: dict[str, list[Row]] = {}
        for item in iterate_jsonl(self._run_dir / "data" / "items" / f"{items}.jsonl"):
            asked.setdefault(item["task"], []).append(item)
        chosen = {task: own[slice(*part) if part else slice(None)] for task, own in asked.items()}
        total, done = sum(map(len, chosen.values())), 0
        found: Scores = {}
        for task, own in chosen.items():
            score = TaskScore(correct=[], losses=[])
            for item in own:
                now = time.monotonic()
                if deadline_s is not None and now - began > deadline_s:
                    raise WorkerFailed("the evaluation did not end before its deadline")
                if now - told > TELL_EVERY_S:
                    told = now
                    listener(Progress(phase="evaluate", done=done / total))
                self._score(state, item, score)
                done += 1
            if own:
                found[task] = score
        return found

    def _score(self, state: Arrays, item: Row, score: TaskScore) -> None:
        """Score one item; the outcome is added to `score`."""
        with self._blamed("score"):
            outcome, loss = map(float, self.score(state, item))
            if not 0 <= outcome <= 1:
                raise ValueError(f"an outcome must lie between 0 and 1, got {outcome}")
        score.correct.append(outcome)
        score.losses.append(loss)

    def fork(self, trial: str, name: str) -> None:
        """See `Objective.fork`."""
        if not self._file(name).is_file():
            write(self._file(name), self._kept(trial))

    def discard(self, trial: str) -> None:
        """See `Objective.discard`."""
        self._file(trial).unlink(missing_ok=True)

    def export(self, trial: str, folder: Path) -> None:
        """Write the arrays where others have an adapter, and the rows trained on, in order."""
        kept = self._kept(trial)
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        write(folder / "adapter" / "adapter_model.safetensors", kept, arrays_alone=True)
        config = {"objective": type(self).__name__, "seed": self._seed}
        text = json.dumps(config, indent=2) + "\n"
        (folder / "adapter" / "adapter_config.json").write_text(text, encoding="utf-8")
        stream = self._stream(Recipe.from_dict(kept.recipe), Cursor())
        drawn = (stream.draw() for _ in range(sum(kept.cursor.drawn.values())))
        lines = (line_of(self._rows[name].rows[n] | {"source": name}) for name, n in drawn)
        write_lines(folder / "data" / "train.jsonl", lines)

    def close(self) -> None:  # noqa: B027  # may be overridden
        """Release what `begin` or `step` hold; called at the end, and after a failure."""

    def _begin(self, recipe: Recipe) -> Arrays:
        with self._blamed("begin"):
            return dict(self.begin(recipe, np.random.default_rng(self._seed)))

    def _stream(self, recipe: Recipe, cursor: Cursor) -> Stream:
        return Stream(self._rows, recipe.mixture, self._seed, cursor)  # type: ignore[arg-type]  # draws places alone

    def _file(self, trial: str) -> Path:
        return self._run_dir / "trials" / trial / "state.safetensors"

    def _kept(self, trial: str) -> Kept:
        if not self._file(trial).is_file():
            raise WorkerFailed(f"the trial {trial} has no checkpoint")
        return read(self._file(trial))

    def _pick_up(self, trial: str, recipe: Recipe) -> Kept:
        if self._file(trial).is_file():
            return self._kept(trial)
        return Kept(arrays=self._begin(recipe), recipe=recipe.to_dict())

    @contextlib.contextmanager
    def _blamed(self, name: str) -> Iterator[None]:
        """Tell what a user's function raises, and where, as a failure of the segment."""
        try:
            yield
        except RecipeSearchError:
            raise
        except MemoryError as error:
            raise OutOfMemory(f"{type(self).__name__}.{name}: {brief(error)}") from None
        except Exception as error:  # noqa: BLE001  # a user's code can raise anything
            frames = traceback.extract_tb(error.__traceback__)
            own = [f for f in frames if f.filename not in (__file__, contextlib.__file__)]
            line = f", line {own[-1].lineno} of {Path(own[-1].filename).name}" if own else ""
            raise WorkerFailed(f"{type(self).__name__}.{name}{line}: {brief(error)}") from None


class Rows:
    """A source's rows as `objectives.mixture.Stream` asks for them."""

    def __init__(self, rows: list[Row], size: Callable[[Row], int]) -> None:
        """Count each row once."""
        self.rows = rows
        self.sizes: NDArray[np.int64] = np.array([max(1, int(size(row))) for row in rows], np.int64)
        self.trained = int(self.sizes.sum())
        """Of all rows, in tokens."""

    def __len__(self) -> int:
        return len(self.rows)

    def trained_at(self, index: int) -> int:
        """What a row counts, in tokens."""
        return int(self.sizes[index])


def name_of(model: str) -> str:
    """What a recipe may tell of `Study.model`: a hub id whole, of a path its last part alone."""
    path = Path(model)
    local = path.is_absolute() or path.is_dir() or len(path.parts) > 2 or model.startswith("~")
    return path.absolute().name if local else model


def code_of(objective: Any) -> str:
    """What identifies an objective's code: a hash of its text, or of its name if it has none."""
    try:
        text = inspect.getsource(objective)
    except (OSError, TypeError):
        text = getattr(objective, "__qualname__", type(objective).__qualname__)
    return hashlib.sha256(text.encode()).hexdigest()
