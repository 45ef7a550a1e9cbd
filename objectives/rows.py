"""Rows of text: telling them apart, holding items back, files of them. Imports no torch.

A row is `{"messages": [{"role", "content"}, ...]}` ending with an assistant message, which is what
is trained on. An item is a row with one right answer: `{"task", "id", "messages", "answer"}` where
`messages` ends with the user's question.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from search.errors import BadInput

SUMS = "sha256"
"""File of a folder that holds the hashes of the others."""
TEMPLATE = "chat_template.jinja"
"""File of a chat template of the study's own, within a job's data and beside an adapter."""

Row = dict[str, Any]


def prompt_key(row: Row) -> str:
    """What makes two rows the same question: the user's words, without case and spacing."""
    asked = [m["content"] for m in row["messages"] if m["role"] == "user"]
    return " ".join(" ".join(asked).lower().split())


def hold_back(file: Path, count: int, seed: int) -> list[Row]:
    """Take rows out of a source's file, at most one in three questions.

    Of rows that ask the same question, the first is returned and the others leave the file too.
    """
    keys = sorted({_digest(row) for row in iterate_jsonl(file)})
    random.Random(seed).shuffle(keys)
    held = keys[: min(count, len(keys) // 3)]
    found: dict[bytes, Row] = {}
    wanted = set(held)

    def others() -> Iterator[Row]:
        for row in iterate_jsonl(file):
            if (key := _digest(row)) in wanted:
                found.setdefault(key, row)
            else:
                yield row

    write_jsonl(file, others())
    return [found[key] for key in held]


def _digest(row: Row) -> bytes:
    """A short stand-in for a row's question: of a million there is room for those."""
    return hashlib.blake2b(prompt_key(row).encode("utf-8"), digest_size=12).digest()


def to_item(row: Row, task: str, number: int) -> Row:
    """An evaluation item from a row: the last assistant message is the one right answer."""
    *asked, answer = row["messages"]
    return {"task": task, "id": number, "messages": asked, "answer": answer["content"]}


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a file that is complete or absent, never torn; returns how many."""
    return write_lines(path, map(line_of, rows))


def line_of(row: Row) -> str:
    """A row as `write_jsonl` writes it."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """As `write_jsonl`, with rows that `line_of` was asked for before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    count = 0
    with part.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return count


def iterate_jsonl(path: Path) -> Iterator[Row]:
    """Rows of a file that `write_jsonl` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def hash_file(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_of(folder: Path) -> dict[str, str]:
    """sha256 in hex of all files of a folder, by name in it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hash_file(file) for file in files}


def write_sums(folder: Path, hashes: Mapping[str, str]) -> None:
    """Write a folder's sums, as `sums_of` gives them; `sha256sum --check sha256` reads them."""
    text = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    (folder / SUMS).write_text(text, encoding="utf-8")


def verify(folder: Path, hashes: Mapping[str, str], since: str) -> None:
    """See that a folder's files are those that were written.

    Args:
        folder: where they are.
        hashes: sha256 in hex, by name in the folder.
        since: when they were written, for the message.

    Raises:
        BadInput: one is missing, changed, or outside the folder.
    """
    for name, digest in hashes.items():
        file = folder / name
        try:
            inside = file.resolve().is_relative_to(folder.resolve())
            same = inside and file.is_file() and hash_file(file) == digest
        except (OSError, ValueError):  # no name of a file, or it cannot be read
            raise BadInput(f"the file {str(file)!r} cannot be read") from None
        if not inside:
            raise BadInput(f"{folder}: the file {name!r} lies outside of it")
        if not same:
            raise BadInput(f"the file {str(file)!r} is missing or changed since {since} (sha256)")
