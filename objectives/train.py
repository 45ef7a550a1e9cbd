"""Training one segment: the same function for proxy trials and for the final run."""

from __future__ import annotations

import itertools
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from objectives import checkpoint
from objectives.base import Base
from objectives.checkpoint import State
from objectives.mixture import Cursor, Sample, Stream
from objectives.model import answer_logits, attention_modules
from objectives.objective import Listener, Progress, Schedule, Trained
from objectives.packing import IGNORED, Batch, batches
from objectives.quantize import Device, load_base
from objectives.tokens import Tokens
from search.errors import Diverged, Interrupted
from spaces import Quantization, Recipe, Targets

CHECKPOINT_EVERY_S = 60.0
"""Most seconds of training that a crash can lose."""
GRADIENT_NORM = 1.0
"""Gradients are clipped to this global norm (the common default of all trainers)."""
SAFETY = 1.03
"""A step is assumed to take this much longer than the median of those measured."""


class Trial:
    """An adapter in memory, with its optimizer and state."""

    def __init__(self, name: str, state: State, model: Any, optimizer: torch.optim.Optimizer):
        self.name = name
        self.state = state
        self.model = model
        self.optimizer = optimizer
        self.adapter: dict[str, torch.Tensor] = {
            key: tensor for key, tensor in model.named_parameters() if tensor.requires_grad
        }


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
        """
        self._clock = clock
        self._shuffle = shuffle
        self.base = base
        self.device = device
        self.whole_head = False
        self._sources = sources
        self._folder = folder
        self._seed = seed
        self._trust = trust_remote_code
        self._bases: dict[Quantization, Any] = {}
        self._trial: Trial | None = None

    def base_model(self, kind: Quantization = Quantization.BF16) -> Any:
        """The bare base model, any adapter taken off."""
        self._put_down()
        if kind not in self._bases:
            self._bases[kind] = load_base(
                self.base, kind, self.device, trust_remote_code=self._trust
            )
        return self._bases[kind]

    def trial_model(self, name: str) -> Any:
        """The base model with a trial's adapter, from its checkpoint."""
        if self._trial is None or self._trial.name != name:
            found = checkpoint.newest(self._folder / name)
            if found is None:
                raise FileNotFoundError(f"the trial {name} has no checkpoint")
            state = checkpoint.read_state(found)
            self._trial = self._pick_up(name, Recipe.from_dict(state.recipe))
        return self._trial.model

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
        """See `Objective.train`; `stop` turning true ends the segment with Interrupted."""
        began = self._clock()
        deadline = None if deadline_s is None else began + deadline_s
        if self._trial is None or self._trial.name != name:
            self._trial = self._pick_up(name, recipe)
        trial = self._trial
        state = trial.state
        asked = schedule = state.decaying or schedule
        stream = self._stream(recipe, state.cursor)
        first_step, first_tokens = state.step, state.tokens
        saved = mark = self._clock()
        durations: list[float] = []
        losses: list[float] = []
        while state.step < end_of(schedule, until_step):
            if stop():
                self._save(trial)
                raise Interrupted("stopped")
            if deadline is not None and durations:
                fitting = int((deadline - mark) / (statistics.median(durations[-9:]) * SAFETY))
                if fitting < 1:
                    break
                schedule = state.decaying or fit_schedule(asked, state.step, fitting)
            loss, tokens = self._step(trial, recipe, schedule, stream)
            losses.append(loss)
            state.step += 1
            state.tokens += tokens
            state.curve.append((state.tokens, round(loss, 4)))
            if schedule.decay_start is not None and state.step > schedule.decay_start:
                state.decaying = schedule  # from now on it cannot change
            target = end_of(schedule, until_step)
            listener(
                Progress(
                    phase="train",
                    done=(state.step - first_step) / max(1, target - first_step),
                    tokens=state.tokens,
                    loss=loss,
                    tokens_per_s=tokens / durations[-1] if durations else None,
                )
            )
            if mark - saved > CHECKPOINT_EVERY_S:
                self._save(trial)
                saved = mark
            now = self._clock()  # the one look per step: all of its work counts
            durations.append(now - mark)
            state.seconds += now - mark
            mark = now
        self._save(trial)
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
            passes=stream.passes(),
            curve=thin(state.curve),
            peak_memory_gib=self.peak_memory_gib(),
        )

    def fork(self, name: str, copy: str) -> None:
        """See `Objective.fork`."""
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
        if self._trial is not None and self._trial.name == name:
            self._put_down()
        for old in (self._folder / name).glob("step-*"):
            shutil.rmtree(old, ignore_errors=True)

    def export(self, name: str, folder: Path) -> None:
        """See `Objective.export`."""
        model = self.trial_model(name)
        model.peft_config["default"].base_model_name_or_path = self.base.id
        model.peft_config["default"].inference_mode = True
        # Embeddings are never trained here; asking PEFT to check would ask the hub.
        model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)

    def history(self, name: str) -> Iterator[Sample]:
        """The samples a trial was trained on so far, in order."""
        found = checkpoint.newest(self._folder / name)
        if found is None:
            raise FileNotFoundError(f"the trial {name} has no checkpoint")
        state = checkpoint.read_state(found)
        stream = self._stream(Recipe.from_dict(state.recipe), Cursor())
        return itertools.islice(stream, sum(state.cursor.drawn.values()))

    def _stream(self, recipe: Recipe, cursor: Cursor) -> Stream:
        fitting = {name: rows.up_to(recipe.max_length) for name, rows in self._sources.items()}
        return Stream(fitting, recipe.mixture, self._seed, cursor, shuffle=self._shuffle)

    def peak_memory_gib(self) -> float:
        """Most memory used so far: of the GPU, or of this process on a CPU."""
        if self.device.torch_device.type == "cuda":
            return float(torch.cuda.max_memory_allocated()) / 2**30
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30

    def _step(
        self, trial: Trial, recipe: Recipe, schedule: Schedule, stream: Stream
    ) -> tuple[float, int]:
        """One optimizer step; returns (loss per labelled token, tokens)."""
        state = trial.state
        goal = (state.step + 1) * recipe.tokens_per_step - state.tokens
        samples: list[Sample] = []
        tokens = 0
        while tokens < goal or not samples:
            samples.append(next(stream))
            tokens += len(samples[-1].ids)
        labelled = sum(sample.trained for sample in samples)
        total = 0.0
        for batch in batches(
            samples,
            packing=recipe.packing,
            max_length=recipe.max_length,
            micro_tokens=self.device.micro_tokens,
        ):
            loss = self._loss(trial.model, batch.to(self.device.torch_device)) / labelled
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        if not total < float("inf"):  # also true for NaN
            raise Diverged(f"the training loss is {total} at step {state.step}")
        norm = torch.nn.utils.clip_grad_norm_(trial.adapter.values(), GRADIENT_NORM)
        if not torch.isfinite(norm):
            raise Diverged(f"the gradient's norm is {norm.item()} at step {state.step}")
        for group in trial.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule.factor(state.step)
        trial.optimizer.step()
        trial.optimizer.zero_grad(set_to_none=True)
        return total, tokens

    def _loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Summed negative log-likelihood of a batch's labels."""
        with self.device.precision(exact=False):
            logits = answer_logits(model.get_base_model(), batch, whole=self.whole_head)
        targets = batch.labels[batch.labels != IGNORED]
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    def _pick_up(self, name: str, recipe: Recipe) -> Trial:
        base = self.base_model(recipe.quantization)
        torch.manual_seed(self._seed)
        every = recipe.targets is Targets.ALL_LINEAR
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=0.0,
            target_modules="all-linear" if every else attention_modules(base),
            task_type="CAUSAL_LM",
        )
        found = checkpoint.newest(self._folder / name)
        state = checkpoint.read_state(found) if found else State(recipe=recipe.to_dict())
        model = get_peft_model(base, config)
        try:
            weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
            optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
            trial = Trial(name, state, model, optimizer)
            if found:
                checkpoint.load_tensors(found, trial.adapter, optimizer)
        except BaseException:
            self._bases[recipe.quantization] = model.unload()  # the base stays bare
            raise
        return trial

    def _put_down(self) -> None:
        """Take the current adapter off its base."""
        if self._trial is not None:
            kind = Recipe.from_dict(self._trial.state.recipe).quantization
            self._bases[kind] = self._trial.model.unload()
            self._trial = None

    def forget(self) -> None:
        """Drop the adapter in memory without saving it (its checkpoint stays)."""
        self._put_down()

    def _save(self, trial: Trial) -> None:
        checkpoint.save(self._folder / trial.name, trial.state, trial.adapter, trial.optimizer)


def fit_schedule(schedule: Schedule, step: int, fitting: int) -> Schedule:
    """Shorten a schedule so that at most `fitting` (at least 1) more steps follow `step`.

    The decay keeps its length where it can. Called anew with the asked-for schedule before every
    step until the decay begins, so that a passing slowdown does not cost the rest of the run.
    """
    total, start = schedule.total_steps, schedule.decay_start
    if total is None or start is None or total - step <= fitting:
        return schedule
    shorter = step + fitting
    return replace(schedule, decay_start=max(step, shorter - (total - start)), total_steps=shorter)


def end_of(schedule: Schedule, until_step: int) -> int:
    """The step a segment ends at: asked for, or where the schedule ends."""
    return until_step if schedule.total_steps is None else min(until_step, schedule.total_steps)


def thin(curve: list[tuple[int, float]], points: int = 200) -> list[tuple[int, float]]:
    """At most about `points` points of a curve, its last one always among them."""
    every = max(1, len(curve) // points)
    return curve[::every] + (curve[-1:] if (len(curve) - 1) % every else [])
