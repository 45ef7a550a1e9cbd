"""Sources of training rows, read as streams: local files and datasets of the Hugging Face hub.

Imports no torch. Nothing is kept in memory but what is being read, so a source may have millions
of rows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from objectives import readers
from objectives.forms import recognise
from objectives.readers import Record
from objectives.rows import Row
from search.errors import BadInput, brief
from studies.study import HubDataset, LocalFile

FIRST = 100
"""Rows that `check` looks at."""

CONFIGS = 20
"""Configurations of a dataset that are named when one must be picked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A source that is being read."""

    rows: Iterator[Row]
    """In the source's order, once: `{"messages": [{"role", "content"}, ...]}`, the last message
    the assistant's; it is empty if the row has no answer. BadInput where a row is malformed."""
    form: str
    """The form that the first row has, and the fields that tell it."""
    total: int | None
    """Rows, if the source says so itself."""
    licence: str | None
    """As the hub's dataset card says, such as `apache-2.0`; None: not known."""
    revision: str | None
    """The commit that the hub gives; None: a local file, or the hub is out of reach."""


def read(origin: LocalFile | HubDataset, name: str) -> Reading:
    """Begin to read a source; the first row is read at once.

    Args:
        origin: where the rows are.
        name: the source's name, for advice in errors.

    Raises:
        BadInput: it cannot be had, holds no row, or is of unknown form.
    """
    if isinstance(origin, LocalFile):
        rows, form = _to_rows(readers.records(origin.path), str(origin.path))
        total = readers.count(origin.path)
        return Reading(rows=rows, form=form, total=total, licence=None, revision=None)
    return _read_hub(origin, name)


def check(origin: LocalFile | HubDataset) -> None:
    """Look at the first rows of a local file; a dataset of the hub is not asked for.

    Raises:
        BadInput: the file cannot be read, is of unknown form, or one of its first rows is broken.
    """
    if isinstance(origin, LocalFile):
        for _ in islice(read(origin, "").rows, FIRST):
            pass


def _to_rows(records: Iterator[Record], what: str) -> tuple[Iterator[Row], str]:
    """Chat rows, and the form that the first record has."""
    checked = ((where, _fields(record, where)) for where, record in records)
    first = next(checked, None)
    if first is None:
        raise BadInput(f"{what} holds no row; a source needs at least one")
    where, fields = first
    form = recognise(fields, where)
    rows = (form.to_chat(fields, where) for where, fields in chain([first], checked))
    return rows, form.describe(fields)


def _fields(record: object, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise BadInput(f"{where}: expected a JSON object, got {type(record).__name__}")
    return record


def _read_hub(origin: HubDataset, name: str) -> Reading:
    import datasets  # noqa: PLC0415  # half a second that local files never pay

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what it logs as an error, it raises too
    try:
        revision, licence = _card(origin)
        dataset = datasets.load_dataset(
            origin.id, origin.config, split=origin.split, revision=revision, streaming=True
        )
    except Exception as error:  # noqa: BLE001  # datasets raises many kinds; the user needs one line
        raise BadInput(_advice(origin, name, error)) from None
    splits = dataset.info.splits or {}
    total = splits[origin.split].num_examples if origin.split in splits else None
    rows, form = _to_rows(_hub_records(dataset, origin), f"the dataset {origin.id!r}")
    return Reading(rows=rows, form=form, total=total or None, licence=licence, revision=revision)


def _card(origin: HubDataset) -> tuple[str | None, str | None]:
    """Commit and licence of a dataset; None each if it is a folder or the hub is out of reach.

    What is loaded then is the folder, or what datasets keeps in its cache, where no revision can
    be asked for: if one is, the hub's error is raised.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415  # likewise

    if Path(origin.id).is_dir():
        return None, None
    try:
        info = HfApi().dataset_info(origin.id, revision=origin.revision)
    except Exception:  # of the network, the hub or the id; load_dataset then says it better
        if origin.revision:
            raise
        return None, None
    licence = getattr(info.card_data, "license", None)
    if isinstance(licence, list):
        licence = ", ".join(licence)
    return info.sha, None if licence == "unknown" else licence


def _advice(origin: HubDataset, name: str, error: Exception) -> str:
    """What a failure to get a dataset means, on one line."""
    if found := re.search(r"available configs: \[(.*?)\]", str(error)):
        configs = found[1].split(", ")
        more = f" or {len(configs) - CONFIGS} more" if len(configs) > CONFIGS else ""
        return (
            f"the dataset {origin.id!r} has several configurations: pick one of "
            f"{', '.join(configs[:CONFIGS])}{more}, and write {name}={origin.id}:CONFIG"
        )
    return (
        f"cannot get the dataset {origin.id!r} from the Hugging Face hub ({brief(error)}); "
        f"check its name and split, or give {name}=PATH of a local file"
    )


def _hub_records(dataset: Any, origin: HubDataset) -> Iterator[Record]:
    number = 0
    try:
        for number, record in enumerate(dataset, 1):
            yield f"{origin.id}, row {number}", record
    except Exception as error:  # noqa: BLE001  # of the network, or of any file format
        raise BadInput(
            f"cannot read the dataset {origin.id!r} after row {number} ({brief(error)}); try "
            "again, or download it and give the path of a local file"
        ) from None
