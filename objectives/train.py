"""Training one segment: the same function for proxy trials and for the final run."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from objectives import axes, checkpoint
from objectives.adapter import Resident, Slot
from objectives.base import Base
from objectives.checkpoint import State
from objectives.flat import Flat, passes
from objectives.int8 import weight_only
from objectives.memory import ADAPTER_BYTES, LEAST, Anatomy, Memory, Settings, capacity_of
from objectives.mixture import Cursor, Sample, Stream
from objectives.model import answer_logits
from objectives.objective import Listener, Progress, Schedule, Trained
from objectives.packing import IGNORED, Batch, batches
from objectives.passes import Passes, launch_bound, quick, why_not
from objectives.quantize import Device, load_base
from objectives.schedule import SAFETY, end_of, fit_schedule, thin
from objectives.speed import matmul_speed
from objectives.tokens import Tokens
from search.errors import Diverged, Interrupted, OutOfMemory, WorkerFailed
from spaces import Quantization, Recipe
from spaces.axis import Apply

CHECKPOINT_EVERY_S = 60.0
"""Most seconds of training that a crash can lose."""
ALIVE_S = 30.0
"""A step that takes longer gives signs of life between its passes."""
GRADIENT_NORM = 1.0
"""Gradients are clipped to this global norm (the common default of all trainers)."""
STEP = "step"
"""AdamW's name for its count of steps."""


class Trial:
    """A trial whose adapter is in its slot, with its optimizer and state."""

    def __init__(self, name: str, state: State, slot: Slot, optimizer: torch.optim.Optimizer):
        self.name = name
        self.state = state
        self.recipe = Recipe.from_dict(state.recipe)
        self.slot = slot
        self.optimizer = optimizer


@dataclass(frozen=True, slots=True)
class Ready:
    """A step whose rows are on the device."""

    rows: Sequence[Batch | Flat]
    tokens: int
    """Non-padding tokens."""
    labelled: int
    """Tokens that are trained on."""
    cursor: Cursor
    """Where the stream is after it."""


class Trainer:
    """Keeps the base model resident, one per quantization kind, and swaps adapters."""

    def __init__(
        self,
        base: Base,
        device: Device,
        sources: dict[str, Tokens],
        folder: Path,
        seed: int,
        *,
        shuffle: bool = True,
        trust_remote_code: bool = False,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda _: None,
        memory_gib: float | None = None,
        load: Callable[[Quantization], Any] | None = None,
        own_axes: Mapping[str, Apply] = MappingProxyType({}),
    ) -> None:
        """Nothing is loaded yet.

        Args:
            base: where the base model lies.
            device: what to compute on.
            sources: tokenised training rows by source.
            folder: where trials keep their checkpoints.
            seed: of adapters' initial weights and of the order of rows.
            shuffle: draw a source's rows in a seeded order; else in the given one.
            trust_remote_code: run code that comes with the base model.
            clock: seconds; deadlines and speeds are read from it.
            tell: told what is left out on this device, and why.
            load: gives the frozen base in a quantization kind; None: from where `base` says.
            own_axes: what the study's own axes do, by name (`objectives.axes`).
        """
        self._own_axes = own_axes
        self._load = load or (
            lambda kind: load_base(base, kind, device, trust_remote_code=trust_remote_code)
        )
        self._tell = tell
        self._runners: dict[tuple[Quantization, bool], Passes] = {}
        self._told: set[str] = set()
        self._memory_gib = memory_gib
        self.memory: Memory | None = None
        """Forecasts of a GPU's memory, once a base is loaded; None on a CPU."""
        self._speed = 0.0
        self._peak = 0.0
        self.segment_gib: float | None = None
        """Most GiB of the GPU that the latest segment took, other recipes' bases aside."""
        self._clock = clock
        self._writer = checkpoint.Writer()
        self._shuffle = shuffle
        self.base = base
        self.device = device
        self.whole_head = False
        self.isolates = True
        """Whether samples of one row do not see each other: only then are rows flat."""
        self._sources = sources
        self._folder = folder
        self._seed = seed
        self._bases: dict[Quantization, Resident] = {}
        self.released: Callable[[], None] = lambda: None
        """Called when a base is dropped: whoever else holds it must let go."""
        self._trial: Trial | None = None

    def _resident(self, kind: Quantization) -> Resident:
        """The base of one kind; the kinds used longest ago make room where it needs it."""
        if kind in self._bases:
            self._bases[kind] = self._bases.pop(kind)  # the latest used comes last
            return self._bases[kind]
        if self.memory:
            self._make_room(kind, self.memory.anatomy.weights(kind))
        if kind is Quantization.INT8:  # in scoring it would tell that it computes in float16
            logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        loaded = self._load(kind)
        if self.memory is None and self.device.torch_device.type == "cuda":
            self._look_at(loaded)
        self._bases[kind] = Resident(loaded)
        return self._bases[kind]

    def _look_at(self, base: Any) -> None:
        """What passes over this base cost on this GPU."""
        device = self.device.torch_device
        capacity = capacity_of(device, self._memory_gib)
        if self._memory_gib is None:
            capacity += torch.cuda.memory_reserved()
        anatomy, most = Anatomy.of(base), self.device.micro_tokens
        self._speed = matmul_speed(device)
        torch.cuda.empty_cache()
        bound = launch_bound(anatomy, most, self._speed)
        fewest = LEAST if bound else quick(anatomy, self._speed)
        self.memory = Memory(anatomy, capacity, most, fewest)

    def _make_room(self, kind: Quantization, needed: float) -> None:
        """Drop other kinds' bases until `needed` bytes, for all of this kind, are there."""
        memory = self.memory
        assert memory is not None  # noqa: S101  # the caller looked
        for other in [held for held in self._bases if held is not kind]:
            if needed + self._held(kind) <= memory.usable:
                return
            if self._trial is not None and self._trial.recipe.quantization is other:
                self.forget()
            for key in [key for key in self._runners if key[0] is other]:
                del self._runners[key]
            del self._bases[other]
            self.released()
            gc.collect()
            torch.cuda.empty_cache()
            self._tell(f"the base in {other} made room for {kind}")

    def _held(self, kind: Quantization) -> float:
        """Bytes of the bases of other kinds, with what is put on them."""
        assert self.memory is not None  # noqa: S101  # the caller looked
        weights = self.memory.anatomy.weights
        return sum(
            weights(other) + resident.beside(None)
            for other, resident in self._bases.items()
            if other is not kind
        )

    def base_model(self, kind: Quantization = Quantization.BF16) -> Any:
        """The bare base model, any adapter switched off, to be scored."""
        self.forget()
        self._make_room_to_score(kind)
        return self._resident(kind).bare()

    def trial_model(self, name: str) -> Any:
        """The base model with a trial's adapter, from its checkpoint, switched on, to be scored."""
        if self._trial is None or self._trial.name != name:
            self.written(name)
            found = checkpoint.newest(self._folder / name)
            if found is None:
                raise FileNotFoundError(f"the trial {name} has no checkpoint")
            recipe = Recipe.from_dict(checkpoint.read_state(found).recipe)
            self._make_room_to_score(recipe.quantization, recipe)
            self._trial = self._pick_up(name, recipe)
        else:
            self._make_room_to_score(self._trial.recipe.quantization)
        return self._resident(self._trial.recipe.quantization).base

    def train(
        self,
        name: str,
        recipe: Recipe,
        schedule: Schedule,
        until_step: int,
        deadline_s: float | None,
        listener: Listener,
        stop: Callable[[], bool],
    ) -> Trained:
        """See `Objective.train`; `stop` turning true ends the segment with Interrupted.

        Its checkpoint is still being written when it returns: `written` waits for it.
        """
        began = self._clock()
        deadline = None if deadline_s is None else began + deadline_s
        settings = self._settle(recipe)
        if self._trial is None or self._trial.name != name:
            self._trial = self._pick_up(name, recipe)
        trial = self._trial
        state = trial.state
        asked = schedule = state.decaying or schedule
        stream = self._stream(recipe, state.cursor.copy())
        runner = self._runner(recipe, settings)
        most = settings.positions
        ahead = self._prepare(stream, recipe, state.step, state.tokens, runner, most)
        first_step, first_tokens = state.step, state.tokens
        self._begin_measuring()
        saved = mark = self._clock()
        durations: list[float] = []
        losses: list[float] = []
        largest = 0
        last = Progress(phase="train", done=0.0, tokens=state.tokens)
        engaged = runner.engaged() if runner else contextlib.nullcontext()
        with weight_only(self._resident(recipe.quantization).base), engaged:
            while state.step < end_of(schedule, until_step):
                if stop():
                    self._save(trial)
                    self.written()
                    raise Interrupted("stopped")
                if deadline is not None and durations:
                    fitting = int((deadline - mark) / (statistics.median(durations[-9:]) * SAFETY))
                    if fitting < 1:
                        break
                    schedule = state.decaying or fit_schedule(asked, state.step, fitting)
                setup_s = runner.setup_s if runner else 0.0
                ready, tokens = ahead, ahead.tokens
                largest = max(largest, *(rows.ids.numel() for rows in ready.rows))
                found = self._step(trial, schedule, ready, runner, partial(listener, last))
                # while a GPU works on this step, the next one is made ready
                ahead = self._prepare(
                    stream, recipe, state.step + 1, state.tokens + tokens, runner, most
                )
                loss, norm = found.tolist()
                _check(loss, norm, state.step)
                losses.append(loss)
                state.step += 1
                state.tokens += tokens
                state.cursor = ready.cursor
                state.curve.append((state.tokens, round(loss, 4)))
                if schedule.decay_start is not None and state.step > schedule.decay_start:
                    state.decaying = schedule  # from now on it cannot change
                target = end_of(schedule, until_step)
                last = Progress(
                    phase="train",
                    done=(state.step - first_step) / max(1, target - first_step),
                    tokens=state.tokens,
                    loss=loss,
                    tokens_per_s=tokens / durations[-1] if durations else None,
                )
                listener(last)
                if mark - saved > CHECKPOINT_EVERY_S:
                    self._save(trial)
                    saved = mark
                now = self._clock()  # the one look per step: all of its work counts
                durations.append(now - mark - (runner.setup_s - setup_s if runner else 0.0))
                state.seconds += now - mark
                mark = now
        self._save(trial)
        if losses:
            self._measure(recipe, settings, runner, largest)
        tail = losses[-max(1, len(losses) // 4) :] or [state.curve[-1][1] if state.curve else 0.0]
        return Trained(
            step=state.step,
            tokens=state.tokens,
            loss=statistics.fmean(tail),
            seconds=self._clock() - began,
            new_tokens=state.tokens - first_tokens,
            total_s=state.seconds,
            step_s=statistics.median(durations) if durations else 0.0,
            schedule=schedule,
            shares=state.cursor.shares(),
            passes=self._stream(recipe, state.cursor).passes(),
            curve=thin(state.curve),
            peak_memory_gib=self.peak_memory_gib(),
            recomputing=settings.checkpointing,
            optimizer=axes.numbers(trial.optimizer),
        )

    def fork(self, name: str, copy: str) -> None:
        """See `Objective.fork`."""
        self.written(name)
        target = self._folder / copy
        source = checkpoint.newest(self._folder / name)
        if source is not None and checkpoint.newest(target) is None:
            target.mkdir(parents=True, exist_ok=True)
            part = target / f"{source.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(source, part)
            part.replace(target / source.name)

    def discard(self, name: str) -> None:
        """See `Objective.discard`."""
        self.written(name)
        if self._trial is not None and self._trial.name == name:
            self.forget()
        for old in (self._folder / name).glob("step-*"):
            shutil.rmtree(old, ignore_errors=True)

    def export(self, name: str, folder: Path) -> None:
        """See `Objective.export`."""
        self.trial_model(name)
        trial = self._trial
        assert trial is not None  # noqa: S101  # just picked up
        resident = self._resident(trial.recipe.quantization)
        resident.export(trial.slot, trial.recipe, self.base.id, folder)

    def history(self, name: str) -> list[tuple[str, int]]:
        """The rows a trial was trained on so far, in order: source, and index in its file."""
        self.written(name)
        found = checkpoint.newest(self._folder / name)
        if found is None:
            raise FileNotFoundError(f"the trial {name} has no checkpoint")
        state = checkpoint.read_state(found)
        recipe = Recipe.from_dict(state.recipe)
        fitting = self._fitting(recipe)
        stream = self._stream(recipe, Cursor())
        drawn = [stream.draw() for _ in range(sum(state.cursor.drawn.values()))]
        return [(source, fitting[source].row(index)) for source, index in drawn]

    def _fitting(self, recipe: Recipe) -> dict[str, Tokens]:
        return {name: rows.up_to(recipe.max_length) for name, rows in self._sources.items()}

    def _stream(self, recipe: Recipe, cursor: Cursor) -> Stream:
        fitting = self._fitting(recipe)
        return Stream(fitting, recipe.mixture, self._seed, cursor, shuffle=self._shuffle)

    def peak_memory_gib(self) -> float:
        """Most memory used so far: of the GPU, or of this process on a CPU."""
        if self.device.torch_device.type == "cuda":
            self._peak = max(self._peak, float(torch.cuda.max_memory_allocated()) / 2**30)
            return self._peak
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30

    def _begin_measuring(self) -> None:
        if self.device.torch_device.type == "cuda":
            self.peak_memory_gib()
            torch.cuda.reset_peak_memory_stats()

    def _measure(
        self, recipe: Recipe, settings: Settings, runner: Passes | None, largest: int
    ) -> None:
        """Let the memory model learn from a segment, unless graphs hold what nobody counts."""
        memory = self.memory
        if memory is None:
            return
        beside = self._held(recipe.quantization) + self._beside(recipe)
        peak = torch.cuda.max_memory_allocated() - beside
        self.segment_gib = peak / 2**30
        if not (runner and runner.graphs):
            memory.learn(
                recipe,
                self.width(recipe),
                settings,
                peak,
                largest=largest,
                compiled=runner is not None,
            )

    def _beside(self, recipe: Recipe) -> float:
        """Bytes of adapters that other targets left on the recipe's base."""
        resident = self._bases.get(recipe.quantization)
        return resident.beside(recipe.targets) if resident else 0.0

    def out_of_memory(self, recipe: Recipe) -> None:
        """Take in that training a recipe ran out of memory."""
        memory = self.memory
        if memory is not None:
            width, flat = self.width(recipe), self._flat()
            with contextlib.suppress(OutOfMemory):  # by forecast: known already
                settings = memory.settle(recipe, width, compiled=flat, beside=self._beside(recipe))
                memory.failed(recipe, width, settings, compiled=flat)

    def _prepare(
        self,
        stream: Stream,
        recipe: Recipe,
        step: int,
        tokens: int,
        runner: Passes | None,
        most: int,
    ) -> Ready:
        """The rows of a step, before which `tokens` tokens were trained on, on the device."""
        goal = (step + 1) * recipe.tokens_per_step - tokens
        samples: list[Sample] = []
        count = 0
        while count < goal or not samples:
            samples.append(next(stream))
            count += len(samples[-1].ids)
        made: Sequence[Batch | Flat]
        if runner:
            made = passes(samples, most, runner.grain(most))
        else:
            made = batches(
                samples,
                packing=recipe.packing,
                max_length=recipe.max_length,
                micro_tokens=most,
            )
        return Ready(
            rows=[rows.to(self.device.torch_device) for rows in made],
            tokens=count,
            labelled=sum(sample.trained for sample in samples),
            cursor=stream.cursor.copy(),
        )

    def _step(
        self,
        trial: Trial,
        schedule: Schedule,
        ready: Ready,
        runner: Passes | None,
        alive: Callable[[], None],
    ) -> torch.Tensor:
        """One optimizer step; returns [2] (loss per labelled token, norm of the gradient).

        A GPU may still be at it: nothing here waits for it. `alive` is called between passes once
        the step takes long.
        """
        slot, began = trial.slot, time.monotonic()
        total = torch.zeros((), device=slot.weights.device)
        for rows in ready.rows:
            if isinstance(rows, Flat):
                assert runner is not None  # noqa: S101  # rows are flat for it
                total += runner.run(slot, rows, 1 / ready.labelled)
            else:
                loss = self._loss(trial, rows) / ready.labelled
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
                if time.monotonic() - began > ALIVE_S:
                    alive()
        norm = torch.nn.utils.clip_grad_norm_(slot.weights, GRADIENT_NORM)
        for group in trial.optimizer.param_groups:
            group["lr"] = trial.recipe.learning_rate * schedule.factor(trial.state.step)
        trial.optimizer.step()
        slot.gradient.zero_()
        return torch.stack([total, norm])

    def packed_logits(self) -> Callable[[Sequence[Sample]], torch.Tensor] | None:
        """Logits of samples packed as they are trained, or None: in masked rows."""
        base = self.base_model()
        if self.device.torch_device.type != "cuda" or self.whole_head or why_not(base):
            return None
        return Passes(base, self.device, self._longest(), graphs=False, compiled=False).logits

    def _longest(self) -> int:
        return max(int(rows.lengths.max()) for rows in self._sources.values())

    def _settle(self, recipe: Recipe) -> Settings:
        """How a recipe is trained on this device; other bases make room for it.

        Raises:
            OutOfMemory: it does not fit, by forecast; nothing was touched.
        """
        settings, gib = self.plan(recipe)
        if gib is not None:
            self._make_room(recipe.quantization, gib * 2**30 + self._beside(recipe))
        return settings

    def plan(self, recipe: Recipe) -> tuple[Settings, float | None]:
        """How a recipe would be trained, and the GiB of the GPU that it would take at its peak.

        None on a CPU, whose memory is not planned.

        Raises:
            OutOfMemory: it does not fit, by forecast.
        """
        if not self._bases:
            self._resident(recipe.quantization)
        memory = self.memory
        if memory is None:
            return Settings(self.device.micro_tokens, checkpointing=False), None
        width, flat, beside = self.width(recipe), self._flat(), self._beside(recipe)
        settings = memory.settle(recipe, width, compiled=flat, beside=beside)
        return settings, memory.needed(recipe, width, settings, compiled=flat) / 2**30

    def width(self, recipe: Recipe) -> int:
        """Width of a recipe's slot: few occur, so that few graphs are made."""
        width = self.device.rank_width
        if width == 1:
            return recipe.rank
        while width < recipe.rank:
            width *= 4
        return width

    def padding_free(self) -> bool:
        """Whether rows are flat, packed or not: samples behind each other, nothing padded."""
        self.base_model()
        return self._flat()

    def eval_tokens(self) -> int:
        """Most tokens of a forward pass in evaluation that fit beside the base."""
        if self.memory is None:
            return self.device.eval_tokens
        fitting = int(self._scoring_bytes() / self.memory.anatomy.passing())
        return max(1024, min(self.device.eval_tokens, fitting))

    def _scoring_bytes(self) -> float:
        """What scoring may take beside the base that it scores."""
        assert self.memory is not None  # noqa: S101  # the callers looked
        return (self.memory.capacity - self.memory.anatomy.weights(Quantization.BF16)) / 2

    def _make_room_to_score(self, kind: Quantization, recipe: Recipe | None = None) -> None:
        """Let other bases make room for scoring one, with a trial's adapter that is picked up."""
        if self.memory is None:
            return
        resident, anatomy = self._bases.get(kind), self.memory.anatomy
        needed = anatomy.weights(kind) + self._scoring_bytes()
        needed += resident.beside(recipe.targets if recipe else None) if resident else 0
        if recipe:
            needed += anatomy.sides[recipe.targets] * self.width(recipe) * ADAPTER_BYTES
        self._make_room(kind, needed)

    def _flat(self) -> bool:
        """Whether rows are flat here, and layers compiled, or why not is told."""
        if self.device.torch_device.type != "cuda" or self.whole_head or not self.isolates:
            return False
        reason = why_not(next(iter(self._bases.values())).base)
        if reason and reason not in self._told:
            self._told.add(reason)
            self._tell(f"trained without compiled layers: {reason}")
        return not reason

    def _runner(self, recipe: Recipe, settings: Settings) -> Passes | None:
        """What trains flat rows on a GPU, unless this model must be trained in the plain way."""
        kind = recipe.quantization
        base = self._resident(kind).base
        if not self._flat():
            return None
        key = (kind, settings.checkpointing)
        if key not in self._runners:
            self._runners[key] = Passes(
                base,
                self.device,
                self._longest(),
                self._tell,
                graphs=not settings.checkpointing and self._launch_bound(settings.positions),
                checkpointing=settings.checkpointing,
            )
        return self._runners[key]

    def _launch_bound(self, positions: int) -> bool:
        assert self.memory is not None  # noqa: S101  # rows are flat on a GPU only
        return launch_bound(self.memory.anatomy, positions, self._speed)

    def _loss(self, trial: Trial, batch: Batch) -> torch.Tensor:
        """Summed negative log-likelihood of a batch's labels."""
        model = self._resident(trial.recipe.quantization).base
        with self.device.precision(exact=False):
            logits = answer_logits(model, batch, whole=self.whole_head)
        targets = batch.labels[batch.labels != IGNORED]
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    def _pick_up(self, name: str, recipe: Recipe) -> Trial:
        self.forget()
        self.written(name)
        slot = self._resident(recipe.quantization).slot(recipe.targets, self.width(recipe))
        slot.start(recipe, self._seed)
        fused = self.device.torch_device.type == "cuda"
        optimizer = torch.optim.AdamW(
            [slot.weights], lr=recipe.learning_rate, weight_decay=0.0, fused=fused
        )
        axes.apply(self._own_axes, recipe, optimizer)
        found = checkpoint.newest(self._folder / name)
        if found is None:
            return Trial(name, State(recipe=recipe.to_dict()), slot, optimizer)
        state = checkpoint.read_state(found)
        adapter, moments = checkpoint.read_tensors(found)
        own: dict[str, torch.Tensor] = {}
        try:
            slot.fill(slot.weights.data, adapter, recipe.rank)
            for kind, tensors in moments.items():
                if kind == STEP:
                    # AdamW keeps its step count on the CPU unless it is fused.
                    own[kind] = tensors[STEP].to(slot.weights.device if fused else "cpu")
                else:
                    own[kind] = torch.zeros_like(slot.weights.data)
                    slot.fill(own[kind], tensors, recipe.rank)
        except torch.cuda.OutOfMemoryError:
            raise
        except (KeyError, RuntimeError) as error:
            raise WorkerFailed(f"the checkpoint {found} is damaged ({error})") from None
        optimizer.state[slot.weights] = own
        return Trial(name, state, slot, optimizer)

    def forget(self) -> None:
        """Drop the adapter in memory without saving it (its checkpoint stays)."""
        self._trial = None

    def _save(self, trial: Trial) -> None:
        slot, rank = trial.slot, trial.recipe.rank
        moments = {
            kind: {STEP: value} if kind == STEP else slot.tensors(value, rank)
            for kind, value in trial.optimizer.state.get(slot.weights, {}).items()
        }
        adapter = slot.tensors(slot.weights.detach(), rank)
        self._writer.save(self._folder / trial.name, trial.state, adapter, moments)

    def written(self, name: str | None = None) -> None:
        """Wait until the latest checkpoints, of one trial or of all, are on the disk."""
        self._writer.wait(None if name is None else self._folder / name)


def _check(loss: float, norm: float, step: int) -> None:
    """Raise Diverged if a step was none."""
    if not loss < math.inf:  # also true for NaN
        raise Diverged(f"the training loss is {loss} at step {step}")
    if not norm < math.inf:
        raise Diverged(f"the gradient's norm is {norm} at step {step}")
