"""Training rows that overlap an evaluation item, found so that they can be dropped and listed.

Imports no torch. Two kinds of overlap count: an item's question word for word, and 13 words in a
row that an item has too. The 13-gram is the convention of the GPT-3 paper (Brown et al. 2020,
arXiv 2005.14165, appendix C), which lm-evaluation-harness follows; words are compared without case
and punctuation there as here. Unlike there, a row with an overlap is dropped whole, because a row
is one question and not a web page.

What many items share is an instruction, not a question, and would drop whole sources. So that is
no evidence (`MOST`, `RUN`, `OWN`); GPT-3 ignored what more than 10 training documents share for the
same reason, but counting on the items' side needs one pass over the rows only.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain, filterfalse
from typing import Literal

from objectives.rows import Row, prompt_key

GRAM = 13
"""Words of an n-gram that is evidence."""

MOST = 5
"""Distinct items that may share what is evidence for each of them; see `_limit` for few and for
thousands of items. A passage comes with up to four or five questions (BBQ, SQuAD), and is evidence.
Ten wordings of one instruction over a task's hundred or so items come back more often, and are
not."""

RUN = 4
"""What too many items share is looked for in runs of this many words: a template is short between
the names and numbers that fill it, and so is an instruction. In ordinary text little is lost: of
GSM8K's test set, 98 % of the 13-grams stay evidence, and each item has some."""

OWN = 8
"""Words of a 13-gram, more than half, that lie in no such shared run. With one less, a stock phrase
(`how much did he pay in total`) before an instruction that ends every prompt becomes evidence."""

LONGEST = 120
"""Characters of an overlap's text at most."""

_PROBE = (GRAM + 1) // 2
"""Wherever 13 words lie in a row, one of the row's words 0 to 6, 7 to 13, ... are among them."""

Words = tuple[str, ...]

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1B7F),  # Tai Tham, Balinese
    (0x3005, 0x3007),  # signs that stand for an ideograph
    (0x3040, 0x312F),  # kana, bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # ideographs, here and below
    (0x4E00, 0x9FFF),
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAADF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_GLUE = "\0"

_OPERATORS = frozenset("-+*/^=<>%")
_STRAY = re.compile(  # one that stands neither between operands nor as a number's sign
    r"[-+*/^=<>%](?!(?:(?<=[\w)].)|(?<=[\w)] .))(?= ?[-(\d])|(?<=-)(?<![\w)].)(?=\d))"
)


class _Signs(dict[int, str]):
    """Code point -> what it becomes in normalised text, filled as signs are met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = self._of(chr(code), code)
        return found

    @staticmethod
    def _of(sign: str, code: int) -> str:
        kind = unicodedata.category(sign)
        if sign in "'`’‘ʼ′" or kind == "Cf" or 0xFE00 <= code <= 0xFE0F:
            return ""  # an apostrophe, or nothing that is seen
        if sign in _OPERATORS:
            return sign  # _STRAY took those that are mere punctuation
        unspaced = any(first <= code <= last for first, last in _UNSPACED)
        if kind[0] == "M":
            return f"{_GLUE}{sign} " if unspaced else sign
        if kind in {"Cc", "Sc", "Sk"} or kind[0] in "ZP" or sign in "|~":
            return " "
        return f" {sign} " if unspaced or kind[0] == "S" else sign


_SIGNS = _Signs()


def normalise(text: str) -> list[str]:
    """The words of a text, comparable whatever its case, punctuation and spacing.

    NFKC and case folding, then punctuation and currency signs part words and are gone; an
    apostrophe and an invisible sign are gone without parting (`don’t` is `dont`). In scripts
    written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese and their kin) each letter
    is a word, with the vowel and tone marks on it. There a 13-gram is some five to eight words of
    the language, so that rather more rows are dropped. Emoji and mathematical signs are words.

    An operator after a number, word or bracket and before a number or bracket is a word, and so is
    a number's minus sign: `3 + 4`, `3 - 4` and `3 - -4` are different questions. Brackets, decimal
    points and thousands' commas are punctuation like any other.

    Returns:
        Words, none empty; an empty list where nothing but punctuation is said.
    """
    if text.isascii():
        text = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", text).casefold()
        text = unicodedata.normalize("NFKC", folded).replace("−", "-")  # a minus sign, no hyphen
    text = _STRAY.sub(" ", " ".join(text.split()))
    for sign in _OPERATORS:
        if sign in text:
            text = text.replace(sign, f" {sign} ")
    text = text.translate(_SIGNS)
    if _GLUE in text:
        text = text.replace(f" {_GLUE}", "").replace(_GLUE, "")
    return text.split()


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """A training row and the evaluation item that it overlaps."""

    source: str
    row: int
    """The row's index in its source, from 0."""
    task: str
    item: str | int
    """The item's id."""
    kind: Literal["exact", "13-gram"]
    text: str
    """The shared words as `normalise` leaves them, at most `LONGEST` characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Item:
    task: str
    id: str | int
    key: str
    """`prompt_key`: the question without case and spacing, punctuation kept."""
    asked: Words
    """The last user message. Earlier ones may be examples from a training split."""
    asked_all: Words
    answer: Words

    @property
    def questions(self) -> set[Words]:
        return {words for words in (self.asked, self.asked_all) if words}

    @property
    def text(self) -> Words:
        return self.asked + self.answer


class Index:
    """What evaluation items ask and answer, to look training rows up in.

    Of an item its last user message and its answer count; system messages are shared by all rows.
    Words in a run of `RUN` words that too many distinct items share are boilerplate, and a 13-gram
    is evidence if `OWN` of its words are not. Too many is more than `MOST`, in the whole index or
    in one task; more than half of the items of a task that has fewer than ten; more than a
    hundredth of thousands. In the same way a question that so many items share (`Why?`; or one that
    differs in punctuation only) counts only if nothing but case and spacing is different.

    Memory grows with the items' words (about 0.2 kB each), not with the rows. Results do not depend
    on Python's hash seed: nothing is stored on disk, and a hash found is compared word by word.

    Args:
        items: evaluation items of any tasks and parts, `{"task", "id", "messages", "answer"}`.
            Keep all parts of a task together, so that what they share is seen.
    """

    def __init__(self, items: Iterable[Row]) -> None:
        distinct: dict[tuple[str, str], _Item] = {}
        for fields in items:
            answer = " ".join(fields["answer"].lower().split())
            distinct.setdefault((prompt_key(fields), answer), _read(fields))
        self._items = list(distinct.values())
        tasks = [item.task for item in self._items]
        shared = _shared(tasks, [item.questions | {item.text} for item in self._items])
        self._questions: dict[Words, int] = {}
        self._texts: dict[Words, int] = {}
        self._keys: dict[str, int] = {}
        for number, item in enumerate(self._items):
            if item.key and item.asked_all not in item.questions - shared:
                self._keys.setdefault(item.key, number)
            for words in item.questions - shared:
                self._questions.setdefault(words, number)
            if item.asked and item.answer and item.text not in shared:
                self._texts.setdefault(item.text, number)
        self._bare = [_bare(item.text) for item in self._items]
        runs = _shared(tasks, (set(_grams(words, RUN)) for words in self._bare))
        self._grams: dict[int, int] = {}
        self._probes: set[int] = set()
        for number, words in enumerate(self._bare):
            own = _own(words, runs)
            for start, gram in enumerate(_grams(words, GRAM)):
                if sum(own[start : start + GRAM]) >= OWN:
                    self._grams.setdefault(hash(gram), number)
                    self._probes.update(map(hash, _grams(gram, _PROBE)))

    def find(self, row: Row, source: str, number: int) -> Overlap | None:
        """The first overlap of a training row with an item, an exact one before a 13-gram.

        Exact is the row's question (all user messages joined) or one user message of several, if
        an item asks it; and all of the row or one message, if it is an item's question and answer.
        A user message of several that is shorter than a 13-gram may be a mere `Go on.`, and counts
        only if the reply holds the item's answer. 13-grams are looked for in all that user and
        assistant say, one after the other.

        Args:
            row: `{"messages": [...]}`.
            source: name of the row's source.
            number: the row's index in its source.
        """
        said = [
            (message["role"], tuple(normalise(message["content"])))
            for message in row["messages"]
            if message["role"] != "system"
        ]
        whole = tuple(chain.from_iterable(words for _, words in said))
        if (exact := self._exact(row, said, whole)) is not None:
            item, shared = exact
            return _overlap(self._items[item], source, number, "exact", shared)
        bare = _bare(whole)
        starts = range(0, len(bare) - _PROBE + 1, _PROBE)
        if self._probes.isdisjoint([hash(bare[at : at + _PROBE]) for at in starts]):
            return None
        for gram in _grams(bare, GRAM):
            found = self._grams.get(hash(gram))
            if found is not None and _holds(self._bare[found], gram):
                return _overlap(self._items[found], source, number, "13-gram", gram)
        return None

    def _exact(
        self, row: Row, said: Sequence[tuple[str, Words]], whole: Words
    ) -> tuple[int, Sequence[str]] | None:
        asked = [words for role, words in said if role == "user"]
        question = asked[0] if len(asked) == 1 else tuple(chain.from_iterable(asked))
        if (item := self._questions.get(question)) is not None:
            return item, question
        for words in (whole, *(words for _, words in said)):
            if (item := self._texts.get(words)) is not None:
                return item, words
        if len(asked) > 1:
            for (role, words), (_, reply) in zip(said, [*said[1:], ("", ())], strict=True):
                item = self._questions.get(words) if role == "user" else None
                if item is not None and (
                    len(words) >= GRAM or _holds(reply, self._items[item].answer)
                ):
                    return item, words
        if self._keys and (item := self._keys.get(key := prompt_key(row))) is not None:
            return item, key.split()
        return None


def drop(rows: Iterable[Row], source: str, index: Index, overlaps: list[Overlap]) -> Iterator[Row]:
    """The rows of a source that overlap no item, in their order.

    For each row that does, what it shares is appended to `overlaps`.
    """
    for number, row in enumerate(rows):
        if (overlap := index.find(row, source, number)) is None:
            yield row
        else:
            overlaps.append(overlap)


def _read(fields: Row) -> _Item:
    asked = [normalise(m["content"]) for m in fields["messages"] if m["role"] == "user"]
    return _Item(
        task=fields["task"],
        id=fields["id"],
        key=prompt_key(fields),
        asked=tuple(asked[-1]) if asked else (),
        asked_all=tuple(chain.from_iterable(asked)),
        answer=tuple(normalise(fields["answer"])),
    )


def _bare(words: Words) -> Words:
    return tuple(filterfalse(_OPERATORS.__contains__, words))


def _grams(words: Words, size: int) -> Iterable[Words]:
    return zip(*[words[start:] for start in range(size)], strict=False)


def _limit(items: int) -> int:
    """Of so many distinct items, how many may share what is evidence.

    In a task of a few items, two that share a run share an instruction. Among thousands, ordinary
    phrases come back too.
    """
    return max(1, min(MOST, items // 2), items // 100)


def _shared(tasks: Sequence[str], found: Iterable[Set[Words]]) -> set[Words]:
    """What more distinct items have than may, of all tasks or of one."""
    everywhere: Counter[Words] = Counter()
    by_task: defaultdict[str, Counter[Words]] = defaultdict(Counter)
    for task, things in zip(tasks, found, strict=True):
        everywhere.update(things)
        by_task[task].update(things)
    limit = max(MOST, _limit(len(tasks)))
    shared = {thing for thing, count in everywhere.items() if count > limit}
    for task, counts in by_task.items():
        limit = _limit(tasks.count(task))
        shared.update(thing for thing, count in counts.items() if count > limit)
    return shared


def _own(words: Words, runs: Set[Words]) -> list[bool]:
    """For each word whether it lies in none of the shared runs."""
    own = [True] * len(words)
    for start, run in enumerate(_grams(words, RUN)):
        if run in runs:
            own[start : start + RUN] = [False] * RUN
    return own


def _holds(words: Words, part: Words) -> bool:
    size = len(part)
    return size > 0 and any(
        words[start : start + size] == part for start in range(len(words) - size + 1)
    )


def _overlap(
    item: _Item,
    source: str,
    row: int,
    kind: Literal["exact", "13-gram"],
    words: Sequence[str],
) -> Overlap:
    text = " ".join(words)
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    return Overlap(source=source, row=row, task=item.task, item=item.id, kind=kind, text=text)
