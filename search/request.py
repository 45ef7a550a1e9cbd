"""From the command line's words to a checked Study, and a first guess of what it will cost.

Nothing here loads a model or imports torch.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from objectives import base, data, harness
from objectives.generated import generators
from objectives.readers import FORMATS, suffix
from search.budget import format_budget, format_seconds
from search.errors import BadInput
from search.forecast import CostForecast, assumed_token_s
from search.planner import RESCORED, Costs, make_plan
from studies import Source, Study, Task
from studies.catalog import find
from studies.study import Generated, HeldBack, HubDataset, LmEval, LocalFile

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(GiB|GB|G)", re.IGNORECASE)
LOAD_S = 12.0
"""Seconds that loading a 135M model takes, careful; more for larger ones."""
FETCH_S = 40.0
"""Seconds more when the base model has to be fetched first."""
SMOKE = 3
"""What a smoke answer costs relative to scoring an item: its few tokens are decoded one by one."""
ITEM_TOKENS = 60
"""Tokens of an evaluation item before any was seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asked for."""

    budget_s: float
    study: str = "demo"
    model: str | None = None
    data: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    include_path: Path | None = None
    gpu_memory: str | None = None
    out: Path | None = None
    seed: int = 0
    name: str | None = None
    trust_remote_code: bool = False

    def command(self) -> str:
        """The command line that asks for the same, with the last part of every path only."""
        from search.report.facts import without_paths  # noqa: PLC0415  # bad input answers without

        flags: list[tuple[str, Sequence[str]]] = [
            ("--budget", [format_budget(self.budget_s)]),
            ("--study", [_tail(self.study)]),
            ("--model", [_tail(self.model)] if self.model else []),
            ("--data", [_tail(text) for text in self.data]),
            ("--eval", self.tasks),
            ("--include-path", [_tail(str(self.include_path))] if self.include_path else []),
            ("--gpu-memory", [self.gpu_memory] if self.gpu_memory else []),
            ("--out", [self.out.resolve().name] if self.out else []),
            ("--seed", [str(self.seed)]),
            ("--name", [self.name] if self.name else []),
        ]
        words = ["python", "-m", "search.run"]
        for flag, values in flags:
            words += [flag, *values] if values else []
        words += ["--trust-remote-code"] if self.trust_remote_code else []
        return shlex.join(without_paths(words, (str(Path.home()),)))  # also one that is not there


def _tail(text: str) -> str:
    """`NAME=PATH` or `PATH` with the path's last part only, if it is there; either may hold `=`."""
    name, sign, where = text.partition("=")
    for before, path in (("", text), (f"{name}{sign}", where)):
        if path and Path(path).expanduser().exists():
            return before + Path(path).expanduser().resolve().name
    return text


def build_study(request: Request) -> Study:
    """The study that a request means.

    Raises:
        BadInput: unknown study, source, task or model.
    """
    folder = request.include_path
    if folder is not None:
        harness.check_folder(folder)
        if not request.tasks:
            raise BadInput("--include-path: name the tasks of the folder to use with --eval")
    parse_memory(request.gpu_memory)
    study = find(request.study)
    if request.model:
        study = replace(study, model=request.model)
    if request.data:
        sources = tuple(parse_source(text) for text in request.data)
        tasks = tuple(Task(name=s.name, origin=HeldBack(source=s.name)) for s in sources)
        study = study.with_sources(sources, tasks)
    if request.tasks:
        named = {task.name: task for task in study.tasks + study.heldout}
        tasks = tuple(
            pick_task(name, study, named, folder.resolve() if folder else None)
            for name in request.tasks
        )
        heldout = tuple(task for task in study.heldout if task.name not in request.tasks)
        study = replace(study, tasks=tasks, heldout=heldout)
    if study.rules:
        study.rules(study)
    data.check(study)
    return study


def parse_source(text: str) -> Source:
    """A source from `NAME=PATH|ID[:CONFIG[:SPLIT]][@REVISION]`.

    Raises:
        BadInput: malformed, or a path that does not exist.
    """
    name, _, where = text.partition("=")
    path = Path(where).expanduser()
    if name and where and path.is_file():
        return Source(name=name, origin=LocalFile(path=path))
    asked, at, revision = where.partition("@")
    repo, config, split = [*asked.split(":", 2), "", ""][:3]
    if not name or not repo or (at and not revision):
        raise BadInput(
            f"--data {text!r}: write NAME=PATH, such as math=math.jsonl, or "
            "NAME=ID[:CONFIG[:SPLIT]][@REVISION] of a dataset on the hub"
        )
    path = Path(repo).expanduser()
    looks_local = suffix(path) is not None or repo.startswith((".", "/", "~"))
    if looks_local or path.exists() or repo.count("/") > 1:
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise BadInput(f"--data {text}: {what}; give the path of a {FORMATS}")
    return Source(
        name=name,
        origin=HubDataset(
            id=repo, config=config or None, split=split or "train", revision=revision or None
        ),
    )


def pick_task(name: str, study: Study, named: dict[str, Task], folder: Path | None) -> Task:
    """A task by name.

    In this order: one of the user's folder, one of the study's, a source's held-back rows, a
    reasoning-gym generator's, one of lm-eval's.

    Raises:
        BadInput: there is none of that name.
    """
    if folder is not None and harness.in_folder(name, folder):
        return Task(name=name, origin=LmEval(task=name, include_path=folder))
    if name in named:
        return named[name]
    if name in study.mixture():
        return Task(name=name, origin=HeldBack(source=name))
    if name in generators():
        return Task(name=name, origin=Generated(generator=name))
    if harness.known(name):
        return Task(name=name, origin=LmEval(task=name))
    known = [*named, *study.mixture(), *generators(), *harness.names(folder)]
    close = difflib.get_close_matches(name, dict.fromkeys(known), n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "`lm-eval ls tasks` lists lm-eval's"
    raise BadInput(f"--eval {name}: there is no task of that name; {hint}")


def parse_memory(text: str | None) -> float | None:
    """GiB of `--gpu-memory`, or None if it was not given.

    Raises:
        BadInput: it is no size, or there is no GPU to cap.
    """
    if text is None:
        return None
    match = SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise BadInput(f"--gpu-memory {text!r} is no size; write it like 24GiB")
    if not has_cuda():
        raise BadInput("--gpu-memory: this machine has no CUDA device to cap; leave it out")
    return float(match[1]) * (1e9 / 2**30 if match[2].upper() == "GB" else 1.0)


def has_cuda() -> bool:
    """Whether this machine has an NVIDIA GPU, asked without torch."""
    return Path("/proc/driver/nvidia/gpus").is_dir() or shutil.which("nvidia-smi") is not None


def guess_parameters(model: str) -> float:
    """Parameters of a base model from its name or its files' size, for a first forecast."""
    match = re.search(r"(\d+(?:\.\d+)?)\s*([bBmM])(?![A-Za-z0-9])", model)
    if match:
        return float(match[1]) * (1e9 if match[2] in "bB" else 1e6)
    with suppress(OSError):
        size = sum(file.stat().st_size for file in Path(model).glob("*.safetensors"))
        if size:
            return size / 2
    return 7e9


def first_costs(study: Study, origin: str) -> tuple[CostForecast, Costs]:
    """Costs before anything was measured on this machine."""
    parameters = guess_parameters(study.model)
    cuda = has_cuda()
    token_s = assumed_token_s(parameters, cuda=cuda, cores=os.cpu_count() or 1)
    item_s = ITEM_TOKENS * token_s / 3  # a forward pass costs a third of a training step
    fetch = 0.0 if "cache" in origin or "folder" in origin else FETCH_S
    forecast = CostForecast(token_s)
    tasks, heldout = len(study.tasks), len(study.heldout)
    costs = Costs(
        load_s=LOAD_S * (1 + parameters / 1e9) + fetch,
        token_s=token_s,
        search_eval_s=item_s * study.search_items * tasks,
        finalist_eval_s=item_s * study.finalist_items * tasks,
        heldout_eval_s=item_s * study.heldout_items * heldout,
        final_eval_s=item_s * (study.final_items * tasks + study.heldout_items * heldout),
    )
    smoke_s = SMOKE * item_s * study.smoke_items * (tasks + heldout)
    return forecast, replace(costs, load_s=costs.load_s + costs.search_eval_s + smoke_s)


def checkpoints_gib(study: Study, trials: int) -> float:
    """About how much disk checkpoints can take, in GiB, if all are of the largest adapter.

    An adapter's parameter takes 12 bytes: itself and the two moments of its gradient, in float32.
    How many there are to a rank follows from the base's size, as measured on SmolLM2-135M and
    Mistral-7B (305,280 and 2,621,440 on all layers); other shapes differ by a factor of two.

    Args:
        study: the job's.
        trials: of a bracket; beside them lie finalists, control, final run, and one being written.
    """
    per_rank: float = 305_280 * (guess_parameters(study.model) / 134.5e6) ** 0.54
    return (trials + RESCORED + 2) * 12 * study.space.rank[1] * per_rank / 2**30


def disk_line(study: Study, trials: int, out: Path) -> str:
    """What the job needs of the disk, and whether that is there."""
    need = checkpoints_gib(study, trials)
    there = next(p for p in (out.resolve(), *out.resolve().parents) if p.exists())
    free = shutil.disk_usage(there).free / 2**30
    line = f"disk: checkpoints take at most about {need:.1f} GiB"
    return f"{line}, but only {free:.1f} are free at {there}" if free < need else line


def plan_lines(request: Request, study: Study) -> list[str]:
    """The split of the budget as foreseen before loading.

    Raises:
        BadInput: nothing foretells the speed of the study's own objective.
        BudgetTooSmall: the budget cannot hold the job.
    """
    if study.objective is not None:
        raise BadInput(
            f"--plan: the study {study.name} has an objective of its own, whose speed is measured "
            "when it runs; leave --plan out"
        )
    _, costs = first_costs(study, base.check(study.model))
    plan = make_plan(study, request.budget_s, 0.0, costs)
    return [
        f"study {study.name}, base {study.model}, budget {format_seconds(request.budget_s)}",
        *plan.lines(),
        disk_line(study, plan.bracket, request.out or Path()),
        "the budget is time on the clock while the job is alive: killed or stopped, it pauses",
        "speeds are assumed; the split is made again once they are measured",
    ]
