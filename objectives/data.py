"""Preparing a job's data: training rows by source, and evaluation items, in the run folder.

Imports no torch: all of this happens before the GPU process starts. Layout:
`data/sources/NAME.jsonl` (rows), `data/items/{search,finalists,final,heldout}.jsonl` (items),
`data/contamination.jsonl` (rows dropped), `data/tasks.json` and `data/tasks/` (lm-eval tasks).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from objectives import harness
from objectives.contamination import Index, Overlap, drop
from objectives.generated import check_generator, generate
from objectives.rows import (
    Row,
    form_of,
    hold_back,
    prompt_key,
    read_hub,
    read_jsonl,
    to_item,
    write_jsonl,
)
from search.errors import BadInput
from studies import Source, Study, Task
from studies.study import Generated, HeldBack, LmEval, LocalFile

ITEM_SEED = 1_000_003
"""Added to the job's seed for items, so that no generator makes a training row of an item."""

ITEMS = ("search", "finalists", "final", "heldout")
"""Files of evaluation items; no two share a question with its answer."""
LISTED = 50
"""Overlapping rows that the report shows; data/contamination.jsonl has them all."""
FEWEST = 3
"""Items that a task needs at least: one to search, one to choose, one to measure."""


def check(study: Study) -> None:
    """Raise BadInput if a generator is unknown or a file cannot be read; writes nothing."""
    origins = [source.origin for source in study.sources]
    for origin in [*origins, *(task.origin for task in study.tasks + study.heldout)]:
        if isinstance(origin, Generated):
            check_generator(origin.generator)
        elif isinstance(origin, LocalFile):
            read_jsonl(origin.path)
        elif isinstance(origin, LmEval) and origin.include_path:
            harness.check_folder(origin.include_path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What preparing a job's data gave, for people and for the record: data.json."""

    lines: list[str]
    """One per source, per task and per decision."""
    sha256: dict[str, str]
    """By file name within data/."""
    metrics: dict[str, str]
    """What accuracy means, by task."""
    contamination: dict[str, Any]
    """`counts`: rows dropped by source; `rows`: what each shared with which item."""


def prepare(study: Study, run_dir: Path, seed: int) -> Prepared:
    """Write all rows and items of a job.

    Training rows that overlap with an evaluation item are dropped.

    Raises:
        BadInput: a source or task cannot be had, or has no rows left.
    """
    lines: list[str] = []
    sources: dict[str, list[Row]] = {}
    for source in study.sources:
        sources[source.name], line = _rows(source, study, seed)
        lines.append(line)
    wanted = (study.search_items, study.finalist_items, study.final_items)
    items: dict[str, list[Row]] = {name: [] for name in ITEMS}
    leaves: dict[str, harness.Leaf] = {}
    metrics: dict[str, str] = {}
    seen: dict[str, str] = {}
    for task in study.tasks + study.heldout:
        searched = task in study.tasks
        counts = wanted if searched else (study.heldout_items,)
        groups = ITEMS[:3] if searched else ITEMS[3:]
        if isinstance(task.origin, LmEval):
            parts, own, line = harness.draw(task.name, task.origin, counts, seed)
            leaves |= {leaf.name: leaf for leaf in own}
            metrics[task.name] = ", ".join(sorted({leaf.metric for leaf in own}))
            lines.append(line)
        else:
            found = _items(task, study, seed, sum(counts), sources)
            parts = harness.cut(found, counts)
            metrics[task.name] = "exact match"
        for name, part in zip(groups, parts, strict=True):
            fresh = [item for item in part if seen.setdefault(_identity(item), name) == name]
            if len(fresh) < len(part):
                known = len(part) - len(fresh)
                lines.append(f"{task.name}: {known} {name} items left out: another task has them")
            if not fresh:
                raise BadInput(f"task {task.name}: all its {name} items belong to other tasks too")
            items[name] += fresh
    index = Index(item for group in items.values() for item in group)
    overlaps: list[Overlap] = []
    hashes: dict[str, str] = {}
    for name, rows in sources.items():
        kept, shared = drop(rows, name, index)
        overlaps += shared
        if shared:
            lines.append(f"{name}: {len(shared)} rows dropped: they overlap with evaluation items")
        if not kept:
            raise BadInput(f"source {name}: every row is an evaluation item; give it more rows")
        hashes[f"sources/{name}.jsonl"] = _write(run_dir, f"sources/{name}.jsonl", kept)
    for name, group in items.items():
        hashes[f"items/{name}.jsonl"] = _write(run_dir, f"items/{name}.jsonl", group)
    listed = [asdict(overlap) for overlap in overlaps]
    hashes["contamination.jsonl"] = _write(run_dir, "contamination.jsonl", listed)
    if leaves:
        written = harness.keep(list(leaves.values()), _folder(study), run_dir / "data")
        hashes |= {str(f.relative_to(run_dir / "data")): hash_file(f) for f in written}
        harness.verify([item for group in items.values() for item in group], run_dir / "data")
    return Prepared(
        lines=lines,
        sha256=hashes,
        metrics=metrics,
        contamination={
            "counts": {name: sum(o.source == name for o in overlaps) for name in sources},
            "rows": listed[:LISTED],
        },
    )


def _identity(item: Row) -> str:
    """What makes two items of different tasks the same: question and answer."""
    return f"{prompt_key(item)} -> {' '.join(item['answer'].lower().split())}"


def _folder(study: Study) -> Path | None:
    """The one folder of the user's task YAML.

    Raises:
        BadInput: there are several.
    """
    origins = [task.origin for task in study.tasks + study.heldout]
    folders = {o.include_path for o in origins if isinstance(o, LmEval) and o.include_path}
    if len(folders) > 1:
        raise BadInput(f"study {study.name}: its tasks name several include_path folders; use one")
    return next(iter(folders), None)


def _rows(source: Source, study: Study, seed: int) -> tuple[list[Row], str]:
    origin = source.origin
    if isinstance(origin, Generated):
        rows = generate(origin, origin.rows, seed, study.system)
        return rows, f"{source.name}: {len(rows)} rows generated by {origin.generator}"
    if isinstance(origin, LocalFile):
        rows = read_jsonl(origin.path)
        return rows, f"{source.name}: {len(rows)} rows read as {form_of(origin.path)}"
    rows = read_hub(origin.reference)
    return rows, f"{source.name}: {len(rows)} rows of {origin.reference} from the hub"


def _items(
    task: Task, study: Study, seed: int, count: int, sources: dict[str, list[Row]]
) -> list[Row]:
    if isinstance(task.origin, HeldBack):
        name = task.origin.source
        sources[name], rows = hold_back(sources[name], count, seed)
    elif isinstance(task.origin, Generated):
        rows = generate(task.origin, count, seed + ITEM_SEED, study.system)
    else:
        raise TypeError(f"{task.origin} makes its items itself")
    if len(rows) < FEWEST:
        raise BadInput(f"task {task.name}: only {len(rows)} items; it needs at least {FEWEST}")
    return [to_item(row, task.name, number) for number, row in enumerate(rows)]


def _write(run_dir: Path, name: str, rows: list[Row]) -> str:
    path = run_dir / "data" / name
    write_jsonl(path, rows)
    return hash_file(path)


def hash_file(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(study: Study) -> str:
    """A hash of everything that makes the job what it is, local files' contents included."""
    parts: list[object] = [study.name, study.model, study.system, repr(study.tasks)]
    parts += [
        repr(study.heldout),
        repr(study.space),
        study.search_items,
        study.finalist_items,
        study.final_items,
        study.heldout_items,
        study.smoke_items,
    ]
    folder = _folder(study)
    if folder is not None:
        files = [p for p in sorted(folder.rglob("*")) if p.suffix in {".yaml", ".py"}]
        parts += [hash_file(path) for path in files if path.is_file()]
    parts += [json.dumps(expert.recipe.to_dict()) for expert in study.experts]
    for source in study.sources:
        parts.append(source.name)
        if isinstance(source.origin, LocalFile):
            parts.append(hash_file(source.origin.path))
        else:
            parts.append(repr(source.origin))
    return hashlib.sha256(repr(parts).encode()).hexdigest()
