"""Tokenised rows as arrays: made once per tokenizer and file, kept in the cache, read as needed."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from objectives.base import cache_dir
from objectives.mixture import Sample
from objectives.rows import iterate_jsonl
from objectives.text import tokenise

FORMAT = 1
"""Version of what lies in the cache."""
TOLD = 10_000
"""Rows between two lines about tokenising."""
FILES = {"ids": np.uint32, "ends": np.int64, "starts": np.int32}
"""The arrays of a source, by name, and their types."""


class Tokens(Sequence[Sample]):
    """A source's samples, over arrays that need not be in memory."""

    def __init__(
        self,
        source: str,
        ids: NDArray[np.uint32],
        ends: NDArray[np.int64],
        starts: NDArray[np.int32],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Hold samples.

        Args:
            source: the source's name.
            ids: [N] token ids of all rows, one row behind the other.
            ends: [R] where each row ends.
            starts: [R] index of each row's first answer token within the row.
            rows: [K] indices of the rows that count; None: all.
        """
        self.source = source
        self._ids, self._ends, self._starts = ids, ends, starts
        self._rows = np.arange(len(ends)) if rows is None else rows

    @classmethod
    def of(cls, source: str, samples: Iterable[Sample]) -> Tokens:
        """From samples; their row numbers are those of the order given."""
        made = list(samples)
        ids = [token for sample in made for token in sample.ids]
        return cls(
            source,
            np.array(ids, np.uint32),
            np.cumsum([len(sample.ids) for sample in made], dtype=np.int64),
            np.array([sample.start for sample in made], np.int32),
        )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """A sample, or several."""
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        row = int(self._rows[index])
        first = int(self._ends[row - 1]) if row else 0
        ids = self._ids[first : int(self._ends[row])]
        return Sample(tuple(ids.tolist()), int(self._starts[row]), self.source, row)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[K] tokens of each sample."""
        return self._all_lengths()[self._rows]

    @property
    def trained(self) -> int:
        """Labelled tokens of all samples together."""
        return int((self.lengths - np.maximum(self._starts[self._rows], 1)).sum())

    def trained_at(self, index: int) -> int:
        """Labelled tokens of a sample, without its tokens being read."""
        row = int(self._rows[index])
        first = int(self._ends[row - 1]) if row else 0
        return int(self._ends[row]) - first - max(int(self._starts[row]), 1)

    def row(self, index: int) -> int:
        """Which row of its file a sample is."""
        return int(self._rows[index])

    def _all_lengths(self) -> NDArray[np.int64]:
        return np.diff(self._ends, prepend=np.int64(0))

    def up_to(self, length: int) -> Tokens:
        """Those of at most `length` tokens."""
        rows = self._rows[self.lengths <= length]
        return Tokens(self.source, self._ids, self._ends, self._starts, rows)


def tokenised(file: Path, tokenizer: Any, tell: Callable[[str], None] = lambda _: None) -> Tokens:
    """The samples of a file of rows, from the cache if they were made before.

    Args:
        file: rows as `write_jsonl` writes them; the source is named after it.
        tokenizer: of transformers, with a chat template.
        tell: told how far it is, in words.

    Raises:
        BadInput: the chat template refuses a row.
    """
    source = file.stem
    folder = cache_dir() / "tokens" / _key(file, tokenizer)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="part-") as name:
            part = Path(name) / "tokens"
            part.mkdir()
            _write(part, tokenise(iterate_jsonl(file), tokenizer, source), source, tell)
            if not folder.is_dir():
                shutil.move(part, folder)
    arrays = {name: _read(folder / name, kind) for name, kind in FILES.items()}
    return Tokens(source, arrays["ids"], arrays["ends"], arrays["starts"])


def _key(file: Path, tokenizer: Any) -> str:
    """A hash of all that the tokens follow from."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    facts = {
        "format": FORMAT,
        "tokenizer": backend.to_str() if backend else tokenizer.get_vocab(),
        "special": [str(token) for token in tokenizer.all_special_tokens],
        "template": tokenizer.chat_template,
        "end": tokenizer.eos_token_id,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    with file.open("rb") as data:
        digest.update(hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()


def _write(
    folder: Path, samples: Iterator[Sample], source: str, tell: Callable[[str], None]
) -> None:
    """Append samples to the three arrays, some at a time."""
    files = {name: (folder / name).open("wb") for name in FILES}
    rows = end = 0
    try:
        while some := list(islice(samples, TOLD)):
            ends = end + np.cumsum([len(sample.ids) for sample in some], dtype=np.int64)
            ids = np.concatenate([np.array(sample.ids, FILES["ids"]) for sample in some])
            starts = np.array([sample.start for sample in some], FILES["starts"])
            for name, array in (("ids", ids), ("ends", ends), ("starts", starts)):
                files[name].write(array.tobytes())
            end = int(ends[-1])
            rows += len(some)
            tell(f"tokenising {source}: {rows:,} rows")
    finally:
        for opened in files.values():
            opened.close()


def _read(path: Path, kind: Any) -> NDArray[Any]:
    """An array on disk; nothing is read until it is looked at."""
    if not path.stat().st_size:
        return np.empty(0, kind)
    return np.memmap(path, dtype=kind, mode="r").view(np.ndarray)  # indexing a memmap is slow
