"""The seam between the search and what trains: the Objective protocol and what it returns.

Plain values only, so that they travel as JSON between the parent and the GPU process, and no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from spaces import Quantization, Recipe

OWN = "objective of the study's own"
"""Origin of the base (`Loaded.base`) where that trains, and no language model: our trainer, other
trainers and the server can do nothing with its recipe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Learning rate over integer optimizer steps: linear warm-up, constant, linear decay to 0.

    Without a decay (the search's trials) the rate stays constant after the warm-up, so a trial's
    checkpoint is exactly a prefix of every longer run of the same recipe.
    """

    warmup_steps: int
    decay_start: int | None = None
    total_steps: int | None = None

    def factor(self, step: int) -> float:
        """Multiple of the peak rate at `step` (0-based), in [0, 1]."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.decay_start is None or self.total_steps is None or step < self.decay_start:
            return 1.0
        left = self.total_steps - step
        return max(0.0, left / (self.total_steps - self.decay_start + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What the objective found when it loaded the base model."""

    device: str
    reasons: list[str]
    """One line per automatic decision."""
    removed: dict[Quantization, str]
    """Quantization kinds that this device cannot do -> reason."""
    packing: bool
    """Whether packed samples are isolated from each other on this model and device."""
    parameters: int
    base: dict[str, str]
    """Identity of the base: id, revision or hash, where it came from."""
    versions: dict[str, str]
    padding_free: bool = False
    """Whether unpacked recipes train as packed ones do, as fast: nothing is ever padded."""
    over_long: dict[str, int] = field(default_factory=dict)
    """Rows by source that are over the space's longest row in tokens, and left out whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a segment of training did."""

    step: int
    """Optimizer steps the trial has now taken in all."""
    tokens: int
    """Non-padding tokens trained on in all."""
    loss: float
    """Mean training loss per labelled token over the segment's last quarter."""
    seconds: float
    """Seconds of this segment."""
    new_tokens: int
    """Tokens of this segment."""
    total_s: float
    """Seconds of training since the trial began, interrupted segments included."""
    step_s: float
    """Median seconds of an optimizer step in this segment, 0 if it took none."""
    schedule: Schedule
    """The schedule as carried out: a deadline can bring the decay forward."""
    shares: dict[str, float] = field(default_factory=dict)
    """Realised share of labelled tokens per source."""
    passes: dict[str, float] = field(default_factory=dict)
    """Times that each source of the mixture was read; at most `mixture.MAX_PASSES` unless all were,
    since then the others share its weight."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(tokens, training loss) along the whole trial."""
    peak_memory_gib: float = 0.0
    recomputing: bool = False
    """Whether gradient checkpointing was on: it saves memory and costs time."""
    optimizer: dict[str, Any] = field(default_factory=dict)
    """AdamW's `betas`, `eps` and `weight_decay`, as the study's own axes left them; empty: ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskScore:
    """Outcome of one task, item by item, in the order of the items file."""

    correct: list[float]
    """Outcome per item, in [0, 1]: 1 right, 0 wrong, and between them for a graded metric."""
    losses: list[float]
    """Mean negative log-likelihood per answer token, in nats."""

    @property
    def accuracy(self) -> float:
        """Mean outcome; for a metric of right and wrong, the share of items answered right."""
        return sum(self.correct) / len(self.correct)

    @property
    def loss(self) -> float:
        """Mean of the items' losses."""
        return sum(self.losses) / len(self.losses)


Scores = dict[str, TaskScore]
"""Task name -> outcome."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Smoke:
    """How the base model's answers to a task's first items look, before anything is trained."""

    items: int
    """Items answered."""
    malformed: int
    """Answers that no score could be made of: empty, without end, not in the form asked for."""
    prompt: str
    """One prompt as the model saw it, preferably one whose answer is malformed."""
    answer: str
    """The model's answer to it."""
    why: str
    """What makes the answer malformed; empty if no answer is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A sign of life in the middle of long work."""

    phase: str
    done: float
    """Share done, in [0, 1]."""
    tokens: int = 0
    loss: float | None = None
    tokens_per_s: float | None = None
    note: str = ""


Listener = Callable[[Progress], None]


class Objective(Protocol):
    """Trains and scores recipes. One call at a time; each may raise WorkerFailed or a subclass."""

    def load(self, listener: Listener) -> Loaded:
        """Load the base model; called once, first."""

    def smoke(self, count: int, listener: Listener) -> dict[str, Smoke]:
        """Let the base model answer the first `count` items of every task, and look at the form."""

    def train(
        self,
        trial: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
    ) -> Trained:
        """Go on training `trial` (from its checkpoint, if it has one) up to `until_step`.

        With `deadline_s` (seconds from now), the segment ends before it: the schedule's decay is
        brought forward if it has one, else training stops early.
        """

    def evaluate(
        self,
        trial: str | None,
        items: str,
        listener: Listener,
        *,
        exact: bool,
        part: tuple[int, int] | None = None,
        deadline_s: float | None = None,
    ) -> Scores:
        """Score `trial` (None: the base model) on an items file.

        These are: search, finalists, final, heldout.

        With `exact`, in the base model's stored precision; else in the device's fastest. With
        `part` (first, end), only these items of each task, by their place in the file. What has
        not ended after `deadline_s` seconds is given up with WorkerFailed.
        """

    def fork(self, trial: str, name: str) -> None:
        """Let `name` start from a copy of `trial`'s checkpoint, unless it has one of its own."""

    def discard(self, trial: str) -> None:
        """Delete a trial's checkpoint."""

    def export(self, trial: str, folder: Path) -> None:
        """Write `adapter/` (PEFT) and `data/train.jsonl` (the rows trained on, in order)."""

    def close(self) -> None:
        """Release everything; may be called twice."""
