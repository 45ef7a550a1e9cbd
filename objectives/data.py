"""Preparing a job's data: training rows by source, and evaluation items, in the run folder.

Rows pass through as streams: read, cleaned (`objectives.hygiene`), written; then those that are
held back as items or overlap with one are taken out. Imports no torch: all of this happens before
the GPU process starts. Layout: `data/sources/NAME.jsonl` (rows),
`data/items/{search,finalists,final,heldout}.jsonl` (items), `data/contamination.jsonl` (rows
dropped), `data/tasks.json` and `data/tasks/` (lm-eval tasks), `data/axes.py` (own axes).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from objectives import axes, harness, sources
from objectives.contamination import Index, Overlap, drop
from objectives.generated import check_generator, generate
from objectives.hygiene import Hygiene
from objectives.own import code_of
from objectives.rows import (
    TEMPLATE,
    Row,
    hash_file,
    hold_back,
    iterate_jsonl,
    prompt_key,
    to_item,
    write_jsonl,
)
from objectives.sources import Reading
from search.errors import BadInput
from studies import Source, Study, Task
from studies.study import Generated, HeldBack, LmEval, LocalFile

Tell = Callable[[str, float | None], None]
"""(what is being done, share done in [0, 1] if it is known)."""

ITEM_SEED = 1_000_003
"""Added to the job's seed for items, so that no generator makes a training row of an item."""

ITEMS = ("search", "finalists", "final", "heldout")
"""Files of evaluation items; no two share a question with its answer."""
LISTED = 50
"""Overlapping rows that the report shows; data/contamination.jsonl has them all."""
TOLD_S = 0.2
"""Seconds between two words about how far it is."""
OWN_SCORE = "the score of the study's own objective"
"""What accuracy means where that is asked."""
FEWEST = 3
"""Items that a task needs at least: one to search, one to choose, one to measure."""


def check(study: Study) -> None:
    """Raise BadInput if a generator is unknown or a file cannot be read; writes nothing."""
    origins = [source.origin for source in study.sources]
    for origin in [*origins, *(task.origin for task in study.tasks + study.heldout)]:
        if isinstance(origin, Generated):
            check_generator(origin.generator)
        elif isinstance(origin, LocalFile):
            sources.check(origin)
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
    sources: dict[str, Any]
    """By source: `rows` read and `kept`, `dropped` by reason, `form`, `licence`, `made_by`,
    `revision`."""
    dropped: list[dict[str, Any]]
    """Examples of rows that were dropped because they are broken or came before."""
    contamination: dict[str, Any]
    """`counts`: rows dropped by source; `rows`: what each shared with which item."""


def prepare(study: Study, run_dir: Path, seed: int, tell: Tell = lambda *_: None) -> Prepared:
    """Write all rows and items of a job.

    Training rows that are broken, came before or overlap with an evaluation item are dropped.

    Raises:
        BadInput: a source or task cannot be had, or has no rows left.
    """
    files = {s.name: run_dir / "data" / "sources" / f"{s.name}.jsonl" for s in study.sources}
    facts, dropped, lines = _clean(study, files, seed, tell)
    items, tasks = _draw(study, files, seed, tell)
    lines += tasks.lines
    index = Index(item for group in items.values() for item in group)
    overlaps: list[Overlap] = []
    hashes: dict[str, str] = {}
    for name, file in files.items():
        before = len(overlaps)
        rows = _counted(iterate_jsonl(file), f"comparing {name} with the items", None, tell)
        facts[name]["kept"] = write_jsonl(file, drop(rows, name, index, overlaps))
        if shared := len(overlaps) - before:
            lines.append(f"{name}: {shared:,} rows dropped: they overlap with evaluation items")
        if not facts[name]["kept"]:
            raise BadInput(f"source {name}: every row is an evaluation item; give it more rows")
        hashes[f"sources/{name}.jsonl"] = hash_file(file)
    for name, group in items.items():
        hashes[f"items/{name}.jsonl"] = _write(run_dir, f"items/{name}.jsonl", group)
    listed = [asdict(overlap) for overlap in overlaps]
    hashes["contamination.jsonl"] = _write(run_dir, "contamination.jsonl", listed)
    if study.chat_template:
        file = run_dir / "data" / TEMPLATE
        file.write_text(study.chat_template, encoding="utf-8")
        hashes[TEMPLATE] = hash_file(file)
    if own := axes.write(study.space.axes, run_dir / "data"):
        hashes[own.name] = hash_file(own)
    if tasks.leaves:
        written = harness.keep(list(tasks.leaves.values()), _folder(study), run_dir / "data")
        hashes |= {str(f.relative_to(run_dir / "data")): hash_file(f) for f in written}
        harness.verify([item for group in items.values() for item in group], run_dir / "data")
    return Prepared(
        lines=lines,
        sha256=hashes,
        metrics=tasks.metrics,
        sources=facts,
        dropped=dropped,
        contamination={
            "counts": {name: sum(o.source == name for o in overlaps) for name in files},
            "rows": listed[:LISTED],
        },
    )


def _clean(
    study: Study, files: dict[str, Path], seed: int, tell: Tell
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Write each source's rows that are sound and new; returns (facts, examples, lines)."""
    hygiene = Hygiene()
    facts: dict[str, dict[str, Any]] = {}
    lines: list[str] = []
    for source in study.sources:
        reading = _read(source, study, seed)
        rows = _counted(reading.rows, f"reading {source.name}", reading.total, tell)
        kept = write_jsonl(files[source.name], hygiene.sift(source.name, rows))
        counts = {str(reason): n for reason, n in hygiene.counts[source.name].items() if n}
        total = kept + sum(counts.values())
        lines.append(f"{source.name}: {total:,} rows, {reading.form}")
        if counts:
            told = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
            lines.append(f"{source.name}: {sum(counts.values()):,} rows dropped: {told}")
        if not kept:
            raise BadInput(f"source {source.name}: no row is left after cleaning ({counts})")
        facts[source.name] = {
            "rows": total,
            "dropped": counts,
            "form": reading.form,
            "licence": source.licence or reading.licence,
            "made_by": source.made_by,
            "revision": reading.revision,
        }
    return facts, [asdict(example) for example in hygiene.examples], lines


@dataclass(slots=True)
class _Tasks:
    """What drawing items found out."""

    lines: list[str]
    leaves: dict[str, harness.Leaf]
    metrics: dict[str, str]


def _draw(
    study: Study, files: dict[str, Path], seed: int, tell: Tell
) -> tuple[dict[str, list[Row]], _Tasks]:
    """The evaluation items, in groups that share none; held-back rows leave their source's file."""
    wanted = (study.search_items, study.finalist_items, study.final_items)
    items: dict[str, list[Row]] = {name: [] for name in ITEMS}
    found = _Tasks(lines=[], leaves={}, metrics={})
    seen: dict[str, str] = {}
    for task in study.tasks + study.heldout:
        tell(f"items of {task.name}", None)
        searched = task in study.tasks
        counts = wanted if searched else (study.heldout_items,)
        groups = ITEMS[:3] if searched else ITEMS[3:]
        if isinstance(task.origin, LmEval):
            parts, own, line = harness.draw(task.name, task.origin, counts, seed)
            found.leaves |= {leaf.name: leaf for leaf in own}
            found.metrics[task.name] = ", ".join(sorted({leaf.metric for leaf in own}))
            found.lines.append(line)
        else:
            parts = harness.cut(_items(task, study, seed, sum(counts), files), counts)
            found.metrics[task.name] = OWN_SCORE if study.objective else "exact match"
        for name, part in zip(groups, parts, strict=True):
            fresh = [item for item in part if seen.setdefault(_identity(item), name) == name]
            if len(fresh) < len(part):
                known = len(part) - len(fresh)
                found.lines.append(
                    f"{task.name}: {known} {name} items left out: another task has them"
                )
            if not fresh:
                raise BadInput(f"task {task.name}: all its {name} items belong to other tasks too")
            items[name] += fresh
    return items, found


def _counted(rows: Iterable[Row], doing: str, total: int | None, tell: Tell) -> Iterator[Row]:
    """The rows as they are, telling now and then how many have passed."""
    told = 0.0
    for number, row in enumerate(rows):
        if number % 256 == 0 and (now := time.monotonic()) - told > TOLD_S:
            told = now
            tell(f"{doing}: {number:,} rows", number / total if total else None)
        yield row


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


def _read(source: Source, study: Study, seed: int) -> Reading:
    origin = source.origin
    if not isinstance(origin, Generated):
        return sources.read(origin, source.name)
    rows = generate(origin, origin.rows, seed, study.system)
    return Reading(
        rows=iter(rows),
        form=f"generated by {origin.generator}",
        total=len(rows),
        licence=None,
        revision=None,
    )


def _items(task: Task, study: Study, seed: int, count: int, files: dict[str, Path]) -> list[Row]:
    if isinstance(task.origin, HeldBack):
        rows = hold_back(files[task.origin.source], count, seed)
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
        study.chat_template,
    ]
    if study.space.axes:
        parts += [repr(study.space.axes), axes.text_of(study.space.axes)]
    if study.objective is not None:
        parts.append(code_of(study.objective))
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
