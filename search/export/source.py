"""What is exported: a run's recipe, and how its steps look to a trainer that counts rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.rows import TEMPLATE, iterate_jsonl
from search.errors import BadInput
from search.read_recipe import CONFIG, read_recipe
from spaces import Quantization, Recipe, Targets

ROWS = "data/train.jsonl"
COMMIT = re.compile("[0-9a-f]{40}")
MOST_AT_ONCE = 8
"""Rows, or packs, of a micro-batch: more of them are left to gradient accumulation."""
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
"""The attention projections of the Llama family, where the adapter does not name its own."""


class Unsuitable(BadInput):
    """A recipe that cannot take a form, though it can take others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """A recipe's schedule as `warmup_stable_decay` of transformers carries it out.

    Its first step has rate 0 where ours has 1 / (warm-up + 1) of the peak; after that one step all
    rates are ours, each a step later.
    """

    warmup: int
    stable: int
    decay: int
    exact: bool
    """False where ours begins to decay within the warm-up, which theirs cannot."""

    @property
    def total(self) -> int:
        """Optimizer steps in all."""
        return self.warmup + self.stable + self.decay


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A recipe folder and what exporters need to know of it."""

    folder: Path
    """RUN_DIR/recipe."""
    facts: dict[str, Any]
    """recipe.json."""
    rows: int
    """Rows of data/train.jsonl."""
    turns: int
    """Rows with more than one assistant message, of which ours trains the last alone."""

    @property
    def steps(self) -> Steps:
        """Its schedule."""
        return steps_of(self.facts["training"])

    @property
    def per_step(self) -> int:
        """Packs per optimizer step, or rows where nothing is packed."""
        recipe = self.recipe
        if self.packed:
            return max(1, round(recipe.tokens_per_step / recipe.max_length))
        done: int = self.facts["training"]["steps"]
        return max(1, round(self.rows / done))

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        found: Recipe = self.facts["recipe"]
        return found

    @property
    def micro_batch(self) -> int:
        """Packs or rows on the device at a time: the largest divisor of a step's that may be."""
        return max(n for n in range(1, MOST_AT_ONCE + 1) if self.per_step % n == 0)

    @property
    def accumulation(self) -> int:
        """Micro-batches per optimizer step."""
        return self.per_step // self.micro_batch

    @property
    def on_cpu(self) -> bool:
        """Whether the recipe was trained on a CPU, and so in float32."""
        return str(self.facts["device"]).startswith("CPU")

    @property
    def packed(self) -> bool:
        """Whether the trainer is to pack: on a CPU none of them keeps packed samples apart."""
        return self.recipe.packing and not self.on_cpu

    @property
    def modules(self) -> list[str] | str:
        """Names of the layers that carry an adapter, or `all-linear`."""
        config = json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))
        found = config.get("target_modules")
        if isinstance(found, list) and found:
            return sorted(found)
        return Targets.ALL_LINEAR.value if self.all_linear else list(ATTENTION)

    @property
    def all_linear(self) -> bool:
        """Whether every linear layer but the head carries an adapter."""
        return self.recipe.targets is Targets.ALL_LINEAR

    @property
    def bits(self) -> int:
        """Of a base weight: 16, 8 or 4."""
        return {Quantization.BF16: 16, Quantization.INT8: 8, Quantization.NF4: 4}[
            self.recipe.quantization
        ]

    @property
    def template(self) -> str | None:
        """The chat template that the rows were written with, if the recipe brings it."""
        for part in ("adapter", "data"):
            file = self.folder / part / TEMPLATE
            if file.is_file():
                return file.read_text(encoding="utf-8")
        return None

    @property
    def revision(self) -> str | None:
        """Commit of the base model on the hub, if it came from there, through a cache or not."""
        found: str = self.facts["base"]["revision"]
        return found if COMMIT.fullmatch(found) else None

    @property
    def base_differs(self) -> str:
        """How what a trainer gets by the base's name is another base; empty if it is not."""
        if self.revision:
            return ""
        if self.facts["base"]["origin"] == "local folder":
            return "it was a local folder: put its path there"
        return f"the recipe's came from {self.facts['base']['origin']}, not from the hub"

    @property
    def own_template(self) -> bool:
        """Whether the chat template is the study's, since the base has none."""
        return (self.folder / "data" / TEMPLATE).is_file()

    def messages(self) -> Iterator[list[dict[str, Any]]]:
        """The conversations that were trained on, in order."""
        for row in iterate_jsonl(self.folder / ROWS):
            yield row["messages"]


def open_recipe(folder: Path) -> Source:
    """Read a run's recipe, or a recipe folder alone.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such folder; give the --out of a finished run")
    inner = folder / "recipe"
    if (inner / "recipe.json").is_file():
        folder = inner
    elif not (folder / "recipe.json").is_file():
        raise BadInput(f"{folder}: it holds no recipe yet; go on with the run first")
    facts = read_recipe(folder)
    rows = turns = 0
    for row in iterate_jsonl(folder / ROWS):
        rows += 1
        turns += sum(message["role"] == "assistant" for message in row["messages"]) > 1
    return Source(folder=folder, facts=facts, rows=rows, turns=turns)


def steps_of(training: dict[str, Any]) -> Steps:
    """Our schedule in their words.

    Ours has the factor (s + 1) / (W + 1) at step s of W of warm-up, and (T - s) / (D + 1) in the
    last D of T. Theirs has s / W and 1 - (s - first) / D: with W + 1, D + 1 and one step more in
    all, each of ours comes a step later.
    """
    warmup, total = training["warmup_steps"], training["total_steps"]
    decay = total - training["decay_start"]
    stable = total - 1 - warmup - decay
    if stable >= 0:
        return Steps(warmup=warmup + 1, stable=stable, decay=decay + 1, exact=True)
    rising = min(warmup, total - 1)
    return Steps(warmup=rising + 1, stable=0, decay=total - rising, exact=False)
