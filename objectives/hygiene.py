"""Training rows that are broken or came before, dropped in one pass. Imports no torch."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from objectives.lookup import Lookup, digest
from objectives.nearly import Nearly, split
from objectives.rows import Row
from search.errors import BadInput

LISTED = 120
"""Characters of a dropped row's text at most."""


class Reason(StrEnum):
    """Why a row is dropped; the first that applies."""

    EMPTY = "empty"
    """No question or no answer: the user says nothing that is seen, or the assistant last."""
    SHORT = "short"
    """All that stands before the answer is too short."""
    LONG = "long"
    """The conversation is too long."""
    EXACT = "exact"
    """An earlier row is the same conversation after NFKC, but for case and spacing."""
    NEAR = "near"
    """An earlier row says nearly the same; see `objectives.nearly`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A row that was dropped."""

    source: str
    row: int
    """The row's index in its source, from 0."""
    reason: Reason
    earlier: tuple[str, int] | None
    """Source and index of the row that was kept instead, for EXACT and NEAR."""
    text: str
    """What the user says, at most `LISTED` characters."""


class Hygiene:
    """Drops broken rows, and rows that came before in the same source or an earlier one.

    What is dropped depends on the rows and their order alone, not on the batches nor the process,
    and sifting what was kept drops nothing. Lengths are in characters, runs of spaces as one, so
    that they mean something in scripts without spaces too.

    Memory grows by some 0.5 kB for each kept row of 100 words, and by 20 bytes without `near`.

    Args:
        shortest: characters before the answer, at least. An answer may have a single one.
        longest: characters of a conversation, at most.
        near: whether near-duplicates are dropped.
        examples: dropped rows listed for each source and reason, at most.
        batch: characters that are read ahead, or one row.

    Raises:
        BadInput: no row can be as short and as long as asked.
    """

    def __init__(
        self,
        *,
        shortest: int = 2,
        longest: int = 200_000,
        near: bool = True,
        examples: int = 5,
        batch: int = 600_000,
    ) -> None:
        if shortest > longest:
            raise BadInput(
                f"no row has at least {shortest} and at most {longest} characters; "
                "make the least length the smaller"
            )
        self._shortest, self._longest = shortest, longest
        self._listed, self._batch = examples, batch
        self._exact = Lookup()
        self._near = Nearly() if near else None
        self._sources: list[str] = []
        self._kept = (array("i"), array("i"))  # by number of a distinct row: source, row
        self.counts: dict[str, dict[Reason, int]] = {}
        """Rows dropped by source and reason, as far as the sources were read."""
        self.examples: list[Dropped] = []
        """The first rows dropped of each source for each reason, in order."""

    def sift(self, source: str, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows that stay, in their order; they are read as the result is.

        Raises:
            ValueError: the source was sifted before.
        """
        if source in self.counts:
            raise ValueError(f"source {source} was sifted before")
        self.counts[source] = dict.fromkeys(Reason, 0)
        self._sources.append(source)
        return self._sift(len(self._sources) - 1, enumerate(rows))

    def _sift(self, source: int, rows: Iterator[tuple[int, Row]]) -> Iterator[Row]:
        while batch := list(self._ahead(rows)):
            verdicts = self._judge(source, batch)
            for number, row in batch:
                if (verdict := verdicts.get(number)) is None:
                    yield row
                else:
                    self._note(source, number, row, *verdict)

    def _ahead(self, rows: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
        left = self._batch
        while left > 0 and (read := next(rows, None)) is not None:
            yield read
            left -= sum(len(message["content"]) for message in read[1]["messages"]) + 1

    def _judge(
        self, source: int, batch: list[tuple[int, Row]]
    ) -> dict[int, tuple[Reason, int | None]]:
        """By row, why it is dropped, and the number of the earlier row."""
        verdicts: dict[int, tuple[Reason, int | None]] = {}
        whole: list[_Whole] = []
        for number, row in batch:
            texts = [_fold(message["content"]) for message in row["messages"]]
            if (reason := self._broken(row, texts)) is not None:
                verdicts[number] = reason, None
            else:
                whole.append(_Whole(number, " ".join(m["role"] for m in row["messages"]), texts))
        distinct: list[_Whole] = []
        for this, earlier in zip(whole, self._repeats(whole), strict=True):
            if earlier is None:
                distinct.append(this)
            else:
                verdicts[this.number] = Reason.EXACT, earlier
        said = [(this.roles, split(this.texts)) for this in distinct]
        found = self._near.find(said) if self._near else [None] * len(said)
        for this, earlier in zip(distinct, found, strict=True):
            if earlier is not None:
                verdicts[this.number] = Reason.NEAR, earlier
            self._kept[0].append(source if earlier is None else self._kept[0][earlier])
            self._kept[1].append(this.number if earlier is None else self._kept[1][earlier])
        return verdicts

    def _repeats(self, whole: list[_Whole]) -> list[int | None]:
        """The number of the earlier row with the same conversation; the others are numbered."""
        keys = [digest("\n".join((this.roles, *this.texts))) for this in whole]
        known = self._exact.find(np.array(keys, np.uint64), 1)
        first = len(self._kept[0])
        fresh: dict[int, int] = {}
        found: list[int | None] = []
        for index, key in enumerate(keys):
            found.append(known[index][0] if index in known else fresh.get(key))
            if found[-1] is None:
                fresh[key] = first + len(fresh)
        self._exact.add(np.array([*fresh], np.uint64), np.array([*fresh.values()], np.int32))
        return found

    def _broken(self, row: Row, texts: list[str]) -> Reason | None:
        *before, last = row["messages"]
        asked = [m["content"] for m in before if m["role"] == "user"]
        if last["role"] != "assistant" or not _seen(last["content"]) or not any(map(_seen, asked)):
            return Reason.EMPTY
        if sum(map(len, texts[:-1])) < self._shortest:
            return Reason.SHORT
        return Reason.LONG if sum(map(len, texts)) > self._longest else None

    def _note(
        self, source: int, number: int, row: Row, reason: Reason, earlier: int | None
    ) -> None:
        name = self._sources[source]
        self.counts[name][reason] += 1
        if self.counts[name][reason] > self._listed:
            return
        asked = " ".join(m["content"] for m in row["messages"] if m["role"] == "user")
        text = " ".join(asked.split())
        before = None
        if earlier is not None:
            before = self._sources[self._kept[0][earlier]], self._kept[1][earlier]
        self.examples.append(
            Dropped(
                source=name,
                row=number,
                reason=reason,
                earlier=before,
                text=text if len(text) <= LISTED else text[: LISTED - 1] + "…",
            )
        )


class _Whole(NamedTuple):
    number: int
    roles: str
    texts: list[str]


def _fold(text: str) -> str:
    """A text without what makes no difference: case, spacing, the forms of letters."""
    if text.isascii():
        text = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", text).casefold()
        text = unicodedata.normalize("NFKC", folded)
    return " ".join(text.split())


def _seen(text: str) -> bool:
    return any(sign.isprintable() and not sign.isspace() for sign in text)
