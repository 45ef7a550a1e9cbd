"""Records of local files, one after the other: JSONL, JSON, Parquet and CSV. Imports no torch.

Memory holds one record, or one batch of a Parquet file, however large the file. A reader yields
`(where, record)`; `where` names file and line or row, counted from 1, for an error about it.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from io import BufferedReader, TextIOBase, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any

from search.errors import BadInput, brief

FORMATS = "JSONL, JSON, Parquet or CSV file"

LONGEST = 64 * 2**20
"""Bytes of a line, or characters of a JSON value or CSV cell, at most: what is longer is broken."""

PIECE = 2**20
"""Characters of a JSON file, or bytes of a Parquet column, that are read at a time."""

BATCH = 256
"""Rows of a Parquet file that are decoded at a time."""

Record = tuple[str, Any]

_SIGN = re.compile(r"[^ \t\n\r]")
_DECODER = json.JSONDecoder()


def suffix(path: Path) -> str | None:
    """The suffix that tells a file's format, `.jsonl` for `a.JSONL.gz`; None: no known one."""
    name = path.name.lower()
    found = Path(name.removesuffix(".gz")).suffix
    known = found in READERS and not (found == ".parquet" and name.endswith(".gz"))
    return found if known else None


def records(path: Path) -> Iterator[Record]:
    """All records of a file, whatever they are.

    Raises:
        BadInput: the file's format is unknown, it cannot be read, or it is broken.
    """
    found = suffix(path)
    try:
        if found is None:
            path.open("rb").close()  # a missing file is told as such, whatever its name
            names = ", ".join(READERS)
            raise BadInput(f"{path}: give a {FORMATS}, named so ({names}; text also with .gz)")
        yield from READERS[found](path)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or brief(error)
        raise BadInput(f"cannot read {path}: {reason}; give the path of a {FORMATS}") from None


def count(path: Path) -> int | None:
    """Records of a file as far as it says so itself."""
    if suffix(path) != ".parquet":
        return None
    from pyarrow.parquet import read_metadata  # noqa: PLC0415  # other files never need it

    return int(read_metadata(path).num_rows)


def _open(path: Path) -> BufferedReader | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _lines(path: Path) -> Iterator[str]:
    with _open(path) as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise BadInput(f"{path}, line {number}: longer than {LONGEST >> 20} MiB")
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise BadInput(f"{path}, line {number}: not UTF-8 text ({error.reason})") from None
            yield text.removeprefix("\ufeff") if number == 1 else text


def _jsonl(path: Path) -> Iterator[Record]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except RecursionError:
            raise BadInput(f"{where}: nested too deeply") from None
        except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
            raise BadInput(f"{where}: broken JSON ({error}); mend the line") from None
        yield where, record


class _Json:
    """A JSON text that is decoded value by value while it is read; ValueError where it is broken.

    ijson is not used: of a file that nests deeply its memory grows with the depth squared, and it
    reads half a character as a question mark.
    """

    def __init__(self, file: TextIOBase) -> None:
        self._file = file
        self._text = ""
        self._at = 0

    def rows(self) -> Iterator[Any]:
        """Elements of the outermost array or of an object's array `data`; else all objects."""
        if self._peek() == "[":
            yield from self._array()
        elif (first := (yield from self._object())) is not None:
            yield first
            while self._peek():
                yield self._value()
        if self._peek():
            raise ValueError("more text after the end")

    def _array(self) -> Iterator[Any]:
        for _ in self._parts("[", "]"):
            yield self._value()

    def _object(self) -> Generator[Any, None, dict[str, Any] | None]:
        """Elements of the array `data` of the object that comes next; without one, the object."""
        found, fields = False, {}
        for _ in self._parts("{", "}"):
            if self._peek() != '"':
                raise ValueError("expected a field's name in double quotes")
            name = self._value()
            self._take(":")
            if name == "data" and self._peek() == "[":
                found = True
                yield from self._array()
            else:
                fields[name] = self._value()
        return None if found else fields

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        """Stops before each part of an array or object; the caller then reads it."""
        self._take(opening)
        if self._peek() == closing:
            self._take(closing)
            return
        yield
        while self._take("," + closing) == ",":
            yield

    def _take(self, signs: str) -> str:
        """The next sign that is not blank, which must be one of `signs`."""
        sign = self._peek()
        if not sign or sign not in signs:
            raise ValueError(f"expected {' or '.join(signs)}, got {sign or 'the end of the file'}")
        self._at += 1
        return sign

    def _peek(self) -> str:
        """The next sign that is not blank, left where it is; empty at the end."""
        while (found := _SIGN.search(self._text, self._at)) is None:
            self._at = len(self._text)
            if not self._more():
                return ""
        self._at = found.start()
        return found[0]

    def _value(self) -> Any:
        """The next value, whole."""
        self._peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LONGEST or not self._more():
                    raise ValueError(error.msg) from None
            else:
                if end < len(self._text) or not self._more():  # else a number may go on
                    self._at = end
                    return value

    def _more(self) -> bool:
        """Read on, at least as much again as is left, so that a long value is tried rarely."""
        left = self._text[self._at :]
        piece = self._file.read(max(PIECE, len(left)))
        self._text, self._at = left + piece, 0
        return bool(piece)


def _json(path: Path) -> Iterator[Record]:
    number = 1
    with TextIOWrapper(_open(path), encoding="utf-8-sig") as file:
        try:
            for record in _Json(file).rows():
                yield f"{path}, row {number}", record
                number += 1
        except UnicodeDecodeError as error:  # found where it is read, some rows early
            raise BadInput(
                f"{path}, row {number} or later: not UTF-8 text ({error.reason})"
            ) from None
        except RecursionError:
            raise BadInput(f"{path}, row {number}: nested too deeply") from None
        except ValueError as error:
            raise BadInput(f"{path}, row {number}: broken JSON ({error})") from None


def _csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(LONGEST)  # the csv module's only setting, for the whole process
    reader = csv.reader(_lines(path), strict=True)
    header: list[str] | None = None
    number = 1
    try:
        for cells in reader:
            where, number = f"{path}, line {number}", reader.line_num + 1
            if header is None:
                header = cells
            elif len(cells) == len(header):
                yield where, dict(zip(header, cells, strict=True))
            elif cells:
                raise BadInput(f"{where}: {len(cells)} cells under a header of {len(header)}")
    except csv.Error as error:
        raise BadInput(f"{path}, line {number}: broken CSV ({error})") from None


def _parquet(path: Path) -> Iterator[Record]:
    from pyarrow import ArrowException  # noqa: PLC0415  # other files never need it
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415  # likewise

    number = 0
    try:
        with (  # without these settings a whole row group, up to the whole file, is read at once
            path.open("rb") as opened,
            ParquetFile(opened, pre_buffer=False, buffer_size=PIECE) as file,
        ):
            batches = file.iter_batches(batch_size=BATCH)
            found = chain.from_iterable(batch.to_pylist() for batch in batches)
            for number, record in enumerate(found, 1):
                yield f"{path}, row {number}", record
    except (ArrowException, ValueError) as error:
        raise BadInput(f"{path}, after row {number}: broken Parquet ({brief(error)})") from None


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
}
"""Readers by the suffix of a file's name."""
