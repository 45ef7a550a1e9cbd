"""An objective computed from formulas, in simulated time: whole searches in milliseconds.

It ships in the package: tests and benchmarks drive the real search loop with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from objectives.objective import (
    Listener,
    Loaded,
    Progress,
    Schedule,
    Scores,
    Smoke,
    TaskScore,
    Trained,
)
from objectives.rows import write_jsonl
from search.budget import SimulatedClock
from search.errors import WorkerFailed
from spaces import Quantization, Recipe, Targets

NO_TENSORS = (2).to_bytes(8, "little") + b"{}"
"""A safetensors file that holds none."""


class CurveObjective:
    """Learning curves with the shape of real ones: a power law whose floor and pace depend on the
    recipe, a rate too high diverging late, cost depending on rank, targets and quantization.

    Outcomes are a pure function of (recipe, tokens, item): a resumed run sees the same.
    """

    def __init__(
        self,
        clock: SimulatedClock,
        *,
        tasks: tuple[str, ...] = ("alpha", "beta"),
        heldout: tuple[str, ...] = ("gamma",),
        search_items: int = 100,
        tokens_per_s: float = 5000.0,
        best_rate: float = 4e-4,
        malformed: tuple[str, ...] = (),
        load_s: float = 60.0,
        fail: Callable[[str, str], None] | None = None,
    ) -> None:
        """Set the scene.

        Args:
            clock: advanced by what each call would take.
            tasks: search tasks.
            heldout: held-out tasks.
            search_items: items per task; two thirds of them for the finalists.
            tokens_per_s: speed of the cheapest recipe.
            best_rate: learning rate at which the floor is lowest.
            load_s: seconds of loading.
            malformed: tasks of which the base model's every answer is malformed.
            fail: called at each `point` ("load", "smoke", "smoked", "train", "trained", "evaluate",
                "evaluated") with (point, trial); what it raises comes out of the call, after its
                effects if the point is a past one. The trial is what is evaluated, "base" for the
                base model, and followed by the items where those are not the search's: "3 on
                finalists".
        """
        self.clock = clock
        self.log: list[tuple[str, str, int]] = []
        """(operation, trial, step) of everything that was asked for."""
        self._tasks = {"search": tasks, "finalists": tasks, "final": tasks, "heldout": heldout}
        self._counts = dict.fromkeys(self._tasks, search_items)
        self._counts["finalists"] = max(1, search_items * 2 // 3)
        self._malformed = malformed
        self.tokens_per_s = tokens_per_s
        """Speed of the cheapest recipe; may be changed while a job runs."""
        self._best_rate = best_rate
        self._load_s = load_s
        self._fail = fail
        self.slowness = 1.0
        """Evaluations take this much longer; may be changed while a job runs."""
        self.state: dict[str, tuple[Recipe, int, list[tuple[int, float]], Schedule | None]] = {}
        """What a checkpoint holds: recipe, step, curve, and the schedule once it decays."""

    def load(self, listener: Listener) -> Loaded:
        """Time passes."""
        self.clock.advance(self._load_s)
        self._reach("load", "base")
        listener(Progress(phase="load", done=1.0))
        return Loaded(
            device="simulated GPU",
            reasons=["simulated"],
            removed={},
            packing=True,
            parameters=7_000_000_000,
            base={"id": "simulated", "revision": "0", "origin": "formulas"},
            versions={},
        )

    def smoke(self, count: int, listener: Listener) -> dict[str, Smoke]:
        """Well-formed answers, but for the tasks that are to be malformed."""
        self.clock.advance(0.1 * self.slowness * count * len(self._tasks["search"]))
        self._reach("smoke", "base")
        self.log.append(("smoke", "base", 0))
        listener(Progress(phase="smoke", done=1.0))
        found = {}
        for task in self._tasks["search"]:
            bad = task in self._malformed
            found[task] = Smoke(
                items=count,
                malformed=count if bad else 0,
                prompt=f"a rule\nand a question of {task}?",
                answer="" if bad else "42",
                why="no answer before the end of the turn" if bad else "",
            )
        self._reach("smoked", "base")
        return found

    def loss(self, recipe: Recipe, tokens: int) -> float:
        """Answer loss after `tokens`, in nats."""
        off = math.log(recipe.learning_rate / self._best_rate)
        pace = 4e5 * math.exp(-0.5 * off) * (1.0 if recipe.targets is Targets.ALL_LINEAR else 1.4)
        floor = 0.35 + 0.05 * off**2 + 0.25 * max(0.0, off) ** 2 + 0.3 / recipe.rank
        share = max(recipe.mixture.values())
        return float(floor + 0.2 * (share - 0.5) ** 2 + 2.5 * (1 + tokens / pace) ** -0.7)

    def speed(self, recipe: Recipe) -> float:
        """Tokens per second of a recipe."""
        slow = {Quantization.BF16: 1.0, Quantization.INT8: 1.5, Quantization.NF4: 1.2}
        targets = 1.0 if recipe.targets is Targets.ATTENTION else 1.15
        packing = 1.0 if recipe.packing else 1.8
        return self.tokens_per_s / (
            slow[recipe.quantization] * targets * packing * (1 + recipe.rank / 2000)
        )

    def train(
        self,
        trial: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
    ) -> Trained:
        """Advance the clock by what the segment takes, cut off at the deadline."""
        _, step, curve, decaying = self.state.get(trial, (recipe, 0, [], None))
        schedule = decaying or schedule
        began = self.clock.now()
        self._reach("train", trial)
        if deadline_s is not None:
            deadline_s -= self.clock.now() - began  # time that was lost there
        target = schedule.total_steps or until_step
        step_s = recipe.tokens_per_step / self.speed(recipe)
        steps = max(0, target - step)
        if deadline_s is not None:
            steps = max(0, min(steps, int(deadline_s / step_s)))
        if schedule.total_steps is not None and step + steps < schedule.total_steps:
            decay = schedule.total_steps - (schedule.decay_start or schedule.total_steps)
            end = step + steps
            schedule = replace(schedule, decay_start=max(step, end - decay), total_steps=end)
        self.clock.advance(steps * step_s)
        done = step + steps
        tokens = done * recipe.tokens_per_step
        loss = self.loss(recipe, tokens)
        curve = [*curve, (tokens, loss)]
        begun = schedule.decay_start is not None and done > schedule.decay_start
        self.state[trial] = (recipe, done, curve, schedule if begun else None)
        self.log.append(("train", trial, done))
        self._reach("trained", trial)
        listener(Progress(phase="train", done=1.0, tokens=tokens, loss=loss))
        return Trained(
            step=done,
            tokens=tokens,
            loss=loss,
            seconds=steps * step_s,
            new_tokens=steps * recipe.tokens_per_step,
            total_s=done * step_s,
            step_s=step_s if steps else 0.0,
            schedule=schedule,
            shares=dict(recipe.mixture),
            passes=dict.fromkeys(recipe.mixture, 1.0),
            curve=curve,
            peak_memory_gib=10 + recipe.rank / 64,
        )

    def evaluate(
        self,
        trial: str | None,
        items: str,
        listener: Listener,
        *,
        exact: bool,  # noqa: ARG002  # formulas have one precision
        part: tuple[int, int] | None = None,
        deadline_s: float | None = None,
    ) -> Scores:
        """Items with fixed difficulties: the same item is easy or hard for every recipe."""
        chosen = range(self._counts[items])[slice(*part) if part else slice(None)]
        takes_s = 0.05 * self.slowness * len(chosen) * len(self._tasks[items])
        if deadline_s is not None and takes_s > deadline_s:
            self.clock.advance(max(0.0, deadline_s))
            raise WorkerFailed("the evaluation did not end before its deadline")
        self.clock.advance(takes_s)
        what = (trial or "base") + ("" if items == "search" else f" on {items}")
        self._reach("evaluate", what)
        loss = 4.0
        if trial is not None:
            if trial not in self.state:
                raise WorkerFailed(f"the trial {trial} has no checkpoint")
            recipe, step, _, _ = self.state[trial]
            loss = self.loss(recipe, step * recipe.tokens_per_step)
        self.log.append(("evaluate", trial or "base", 0))
        listener(Progress(phase="evaluate", done=1.0))
        found: Scores = {}
        for task in self._tasks[items]:
            hardness = [_uniform(items, task, n) for n in chosen]
            noise = [_uniform(items, task, n, trial, loss) for n in chosen]
            own = [
                loss * (0.5 + hard) + 0.1 * (random_part - 0.5)
                for hard, random_part in zip(hardness, noise, strict=True)
            ]
            if not own:
                continue
            found[task] = TaskScore(correct=[float(value < 0.6) for value in own], losses=own)
        self._reach("evaluated", what)
        return found

    def _reach(self, point: str, trial: str) -> None:
        if self._fail is not None:
            self._fail(point, trial)

    def fork(self, trial: str, name: str) -> None:
        """Copy a trial's state."""
        if name not in self.state:
            self.state[name] = self.state[trial]

    def discard(self, trial: str) -> None:
        """Forget a trial."""
        self.state.pop(trial, None)

    def export(self, trial: str, folder: Path) -> None:  # noqa: ARG002  # all look the same
        """Write stand-ins for adapter and rows."""
        self.clock.advance(1)
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        config = folder / "adapter" / "adapter_config.json"
        config.write_text('{"peft_type": "LORA"}\n', encoding="utf-8")
        (folder / "adapter" / "adapter_model.safetensors").write_bytes(NO_TENSORS)
        write_jsonl(folder / "data" / "train.jsonl", [])

    def close(self) -> None:
        """Nothing to release."""


def _uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but `parts`."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
