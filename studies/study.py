"""Study: a complete job as one typed value. A study file is a function that returns one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from search.errors import BadInput
from spaces import Quantization, Recipe, Space
from spaces.space import parameters, with_defaults

if TYPE_CHECKING:
    from objectives.objective import Objective

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """Rows made by a seeded reasoning-gym generator: no download, one verifiable answer each."""

    generator: str
    """Name of a reasoning-gym dataset, such as `chain_sum`."""
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The generator's own configuration."""
    rows: int = 1000
    """Rows of a source; a task takes as many items as the study asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    """Rows of a JSONL, JSON, Parquet or CSV file."""

    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class HubDataset:
    """Rows of a dataset on the Hugging Face hub."""

    id: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    """A commit, tag or branch; None: the newest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldBack:
    """Items held back from a source's own rows (never trained on)."""

    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LmEval:
    """Items of a task of lm-eval: its own rules say how they are asked and scored."""

    task: str
    """Name of a task, group or tag."""
    include_path: Path | None = None
    """Folder with the user's own task YAML; None: lm-eval's own tasks only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A source of training data."""

    name: str
    origin: Generated | LocalFile | HubDataset
    weight: float = 1.0
    """Natural share in the mixture, relative to the other sources."""
    licence: str | None = None
    """SPDX identifier; None: not known."""
    made_by: str | None = None
    """Who wrote the answers: `human`, `program`, or the model that did; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A set of evaluation items, each scored from 0 to 1; exact match except for lm-eval tasks."""

    name: str
    origin: Generated | HeldBack | LmEval


@dataclass(frozen=True, kw_only=True, slots=True)
class Expert:
    """A recipe that somebody who knows the field would try; enqueued before any proposal."""

    name: str
    why: str
    recipe: Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One complete job.

    Raises:
        BadInput: names clash, a part is missing, or an expert's recipe lies outside the space.
    """

    name: str
    model: str
    """Hugging Face id or local folder of the base model."""
    sources: tuple[Source, ...]
    tasks: tuple[Task, ...]
    """What the search optimises: mean accuracy over these."""
    heldout: tuple[Task, ...] = ()
    """A task family that no decision of the search sees."""
    space: Space
    experts: tuple[Expert, ...]
    """The first is named `default`: the field's common default, kept to the top rung as control."""
    system: str | None = None
    """System message put before every generated question."""
    search_items: int = 32
    """Items per task for early evaluation, the same for every trial."""
    finalist_items: int = 32
    """Fresh items per task on which the finalists are scored again before one is chosen."""
    final_items: int = 64
    """Fresh items per task for the scores of the final and the default recipe."""
    heldout_items: int = 64
    """Items per held-out task."""
    smoke_items: int = 20
    """Items per task that the base model answers before anything is trained: if every answer of a
    task is malformed, the job stops. 0: no such check."""
    first_rung_tokens: int = 4096
    """The shortest segment that is worth evaluating."""
    eta: int = 3
    """Successive halving keeps about one trial in eta at each rung."""
    bracket: int = 9
    """Trials that start together at the first rung."""
    final_share: float = 0.45
    """Share of the time left after fixed costs that is planned for the final run."""
    fixed_split: bool = False
    """Whether the final run gets just that; else the search decides (`search.split`)."""
    chat_template: str | None = None
    """Jinja template of a conversation, for a base model whose tokenizer has none."""
    objective: Callable[[Study, Path], Objective] | None = None
    """Makes what trains and scores, from the study and the run folder (`objectives.own`); None:
    fine-tuning of `model` in a process of its own."""
    rules: Callable[[Study], None] | None = None
    """Raises BadInput if a job, as the command line changed it, breaks the rules it is held to."""

    def __post_init__(self) -> None:
        for group, named in (
            ("source", self.sources),
            ("task", self.tasks + self.heldout),
            ("expert", self.experts),
        ):
            names = [part.name for part in named]
            for name in names:
                if not NAME.fullmatch(name):
                    raise BadInput(
                        f"study {self.name}: the {group} name {name!r} may hold letters, "
                        "digits, '.', '_' and '-' only"
                    )
                if names.count(name) > 1:
                    raise BadInput(f"study {self.name}: two {group}s are named {name!r}")
        if not self.sources:
            raise BadInput(f"study {self.name}: it has no source of training data")
        if not self.tasks:
            raise BadInput(f"study {self.name}: it has no task to search on")
        if not self.experts or self.experts[0].name != "default":
            raise BadInput(f"study {self.name}: the first expert must be named 'default'")
        if set(self.space.natural_mixture) != {source.name for source in self.sources}:
            raise BadInput(f"study {self.name}: the space's mixture must name exactly the sources")
        for task in self.tasks + self.heldout:
            if isinstance(task.origin, HeldBack) and task.origin.source not in self.mixture():
                raise BadInput(f"study {self.name}: no source is named {task.origin.source!r}")
        for expert in self.experts:
            parameters(expert.recipe, self.space)
        for axis in self.space.axes:
            if axis.apply is None and self.objective is None:
                raise BadInput(
                    f"study {self.name}: the axis {axis.name} has no function `apply`, so that "
                    "training would not see its value"
                )
        if not 0 < self.final_share < 1:
            raise BadInput(f"study {self.name}: final_share must lie between 0 and 1")
        counts = (
            self.search_items,
            self.finalist_items,
            self.final_items,
            self.heldout_items,
            self.first_rung_tokens,
        )
        if min(counts) < 1 or self.smoke_items < 0:
            raise BadInput(f"study {self.name}: item and token counts must be at least 1")
        if self.eta < 2 or self.bracket < 2:
            raise BadInput(f"study {self.name}: eta and bracket must be at least 2")

    @property
    def default(self) -> Recipe:
        """The first expert's recipe, with the defaults of the study's own axes."""
        return with_defaults(self.experts[0].recipe, self.space)

    def mixture(self) -> dict[str, float]:
        """The natural mixture: weight per source."""
        return dict(self.space.natural_mixture)

    def with_sources(self, sources: tuple[Source, ...], tasks: tuple[Task, ...]) -> Study:
        """The same job on other data: the space and the experts take over the natural mixture."""
        natural = {source.name: source.weight for source in sources}
        return replace(
            self,
            sources=sources,
            tasks=tasks,
            space=replace(self.space, natural_mixture=natural),
            experts=tuple(
                replace(expert, recipe=replace(expert.recipe, mixture=natural))
                for expert in self.experts
            ),
        )

    def on_device(self, removed: Mapping[Quantization, str]) -> Study:
        """The same job on a device that cannot do the quantization kinds in `removed`."""
        kept = tuple(e for e in self.experts if e.recipe.quantization not in removed)
        if not kept or kept[0].name != "default":
            raise BadInput(
                f"study {self.name}: this device cannot do its default recipe's quantization "
                f"({removed.get(self.experts[0].recipe.quantization)})"
            )
        return replace(self, space=self.space.without(removed), experts=kept)
