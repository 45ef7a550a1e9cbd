"""`python -m studies.bench_forecast`: forecasts of memory and speed against what is measured.

A model of random weights is trained for a few steps on two or three probes. From these, peak memory
and tokens/s of other recipes are forecast, all of them before the first is trained: other ranks,
targets, quantization kinds, lengths and step sizes. `--gpu-memory 24GiB` caps the card as a job
does: what fits is then trained in shorter passes or with gradient checkpointing, and what does not
must be refused by the forecast; a real lack of memory is told, and counts as a miss.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.cli import guarded
from search.errors import BadInput, OutOfMemory
from search.forecast import CostForecast, assumed_token_s
from search.request import parse_memory
from spaces import Quantization, Recipe, Targets
from studies.bench_train import RECIPE, SHAPES, parameters_of, random_trainer, rows

if TYPE_CHECKING:
    from objectives.memory import Memory

BF16, INT8, NF4 = Quantization.BF16, Quantization.INT8, Quantization.NF4
ALL, ATTENTION = Targets.ALL_LINEAR, Targets.ATTENTION
PROBES = (
    (16, ALL, BF16, 2048, 8192),
    (16, ALL, BF16, 2048, 4096),
    (16, ATTENTION, BF16, 2048, 8192),
    (16, ALL, NF4, 2048, 8192),
)
"""(rank, targets, quantization, longest row, tokens of a step) that are trained to learn from."""
HELD_OUT = (
    (4, ALL, BF16, 1024, 4096),
    (64, ALL, BF16, 1024, 8192),
    (32, ATTENTION, BF16, 2048, 4096),
    (256, ALL, BF16, 2048, 8192),
    (8, ALL, NF4, 2048, 4096),
    (128, ALL, NF4, 1024, 8192),
    (256, ALL, NF4, 2048, 16384),
    (64, ATTENTION, NF4, 512, 4096),
    (16, ATTENTION, NF4, 2048, 8192),
    (16, ALL, NF4, 2048, 16384),
)
"""Recipes that are forecast before any of them is trained."""
IN_INT8 = (16, ALL, INT8, 2048, 8192)
HELD_OUT_IN_INT8 = ((64, ATTENTION, INT8, 1024, 4096), (8, ALL, INT8, 2048, 8192))
"""Further ones, if asked for."""


def made(choice: tuple[int, Targets, Quantization, int, int]) -> Recipe:
    """The recipe of a line above."""
    rank, targets, quantization, longest, tokens = choice
    return replace(
        RECIPE,
        rank=rank,
        alpha=2 * rank,
        targets=targets,
        quantization=quantization,
        max_length=longest,
        tokens_per_step=tokens,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What training a recipe showed."""

    seconds: float
    """Of a step, whose tokens are the recipe's on the mean."""
    gib: float
    """At the peak."""
    recomputing: bool


class Bench:
    """One model shape on one device."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        from objectives.quantize import find_device  # noqa: PLC0415  # it imports torch

        self.options = options
        self.device = find_device()
        shape = SHAPES[options.shape]
        self.parameters = parameters_of(shape)
        self.told: list[str] = []
        self.trainer = random_trainer(
            shape,
            rows(shape.get("vocab_size", 32000), 2048),
            scratch,
            self.device,
            tell=self.told.append,
            memory_gib=options.memory_gib,
        )
        self._count = 0

    def train(self, recipe: Recipe) -> Seen:
        """Train a new trial."""
        from objectives.objective import Schedule  # noqa: PLC0415  # it imports torch

        self._count += 1
        name = f"t{self._count}"

        def segment(until: int) -> Any:
            schedule = Schedule(warmup_steps=10)
            return self.trainer.train(
                name, recipe, schedule, until, None, lambda _: None, lambda: False
            )

        warm = self.options.warmup
        segment(warm)
        found = segment(warm + self.options.steps)
        self.trainer.discard(name)
        return Seen(
            seconds=found.step_s,
            gib=self.trainer.segment_gib or 0.0,
            recomputing=found.recomputing,
        )


def _run(options: argparse.Namespace) -> int:
    options.memory_gib = parse_memory(options.gpu_memory)
    import torch  # noqa: PLC0415  # --help answers at once

    if not torch.cuda.is_available():
        raise BadInput(
            "python -m studies.bench_forecast needs a CUDA device; this machine has none"
        )
    if options.memory_gib:
        total = torch.cuda.get_device_properties(0).total_memory / 2**30
        torch.cuda.set_per_process_memory_fraction(min(1.0, options.memory_gib / total))
    with tempfile.TemporaryDirectory() as name:
        return _measure(Bench(options, Path(name)), options)


def _measure(bench: Bench, options: argparse.Namespace) -> int:
    import torch  # noqa: PLC0415  # --help answers at once

    trainer, lines = bench.trainer, []
    forecast: CostForecast | None = None
    cap = f", no more than {options.gpu_memory}" if options.gpu_memory else ""
    print(f"{bench.device.name}, torch {torch.__version__}: {options.shape}{cap}", flush=True)
    for choice in (*PROBES, IN_INT8) if options.int8 else PROBES:
        recipe = made(choice)
        found, failure = _attempt(bench, recipe)
        if found is None:
            print(f"probe {_named(choice)}: {failure}", flush=True)
            continue
        if forecast is None:
            forecast = CostForecast(assumed_token_s(bench.parameters, cuda=True, cores=1))
        forecast.learn(recipe, recipe.tokens_per_step, found.seconds, recomputing=found.recomputing)
        way = ", checkpointing" if found.recomputing else ""
        speed = recipe.tokens_per_step / found.seconds
        print(
            f"probe {_named(choice)}: {speed:,.0f} tokens/s, {found.gib:.1f} GiB{way}", flush=True
        )
    if forecast is None or trainer.memory is None:
        raise BadInput("no probe fits; give more --gpu-memory")
    learned = copy.deepcopy(trainer.memory)
    for choice in (*HELD_OUT, *HELD_OUT_IN_INT8) if options.int8 else HELD_OUT:
        line = _held_out(bench, made(choice), learned, forecast)
        lines.append({"recipe": _named(choice)} | line)
        print(_told(lines[-1]), flush=True)
    for note in bench.told:
        print(note)
    trained = [line for line in lines if "gib" in line]
    for what in ("gib", "tokens_per_s"):
        off = [abs(line[f"{what}_forecast"] / line[what] - 1) for line in trained]
        print(f"{what}: off by {statistics.mean(off):.1%} on the mean, {max(off):.1%} at most")
    if options.out:
        options.out.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")
    return 0


def _attempt(bench: Bench, recipe: Recipe) -> tuple[Seen | None, str]:
    """What `Bench.train` returns, or None and why not; a real lack of memory is learned from."""
    import torch  # noqa: PLC0415  # --help answers at once

    try:
        return bench.train(recipe), ""
    except OutOfMemory as error:
        return None, str(error)
    except torch.cuda.OutOfMemoryError as error:
        failure = str(error).partition(". GPU")[0]
    # out of the handler: what the error refers to holds memory
    bench.trainer.out_of_memory(recipe)
    bench.trainer.forget()
    torch.cuda.empty_cache()
    return None, f"MISSED BY THE FORECAST: {failure}"


def _held_out(
    bench: Bench, recipe: Recipe, learned: Memory, forecast: CostForecast
) -> dict[str, Any]:
    trainer = bench.trainer
    began = time.perf_counter()
    try:
        settings, _ = trainer.plan(recipe)
    except OutOfMemory as error:
        return {"refused": str(error)}
    needed = learned.needed(recipe, trainer.width(recipe), settings)
    line: dict[str, Any] = {
        "positions": settings.positions,
        "checkpointing": settings.checkpointing,
        "gib_forecast": needed / 2**30,
        "tokens_per_s_forecast": 1
        / forecast.per_token(recipe, recomputing=settings.checkpointing)[0],
    }
    found, line["refused"] = _attempt(bench, recipe)
    if found:
        line |= {"gib": found.gib, "tokens_per_s": recipe.tokens_per_step / found.seconds}
    return line | {"wall_s": time.perf_counter() - began}


def _named(choice: tuple[int, Targets, Quantization, int, int]) -> str:
    rank, targets, quantization, longest, tokens = choice
    return f"rank {rank}, {targets}, {quantization}, rows of {longest}, {tokens} a step"


def _told(line: dict[str, Any]) -> str:
    if "gib" not in line:
        return f"{line['recipe']}: {line['refused']}"
    found = [
        f"{line[what]:,.{digits}f} {unit} ({line[what + '_forecast'] / line[what] - 1:+.1%})"
        for what, unit, digits in (("gib", "GiB", 1), ("tokens_per_s", "tokens/s", 0))
    ]
    way = f"{line['positions']} positions{', checkpointing' if line['checkpointing'] else ''}"
    return f"{line['recipe']}: {', '.join(found)}; {way}, {line['wall_s']:.1f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m studies.bench_forecast", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="mistral-7b")
    parser.add_argument("--gpu-memory", metavar="SIZE", help="use no more GPU memory: 24GiB")
    parser.add_argument("--int8", action="store_true", help="train recipes in int8, too")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock runs")
    parser.add_argument("--steps", type=int, default=10, help="steps that are timed")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options), "stopped")


if __name__ == "__main__":
    sys.exit(main())
