"""Rows that say what an earlier row says, bar slips of the pen and an added sentence.

Imports no torch. Two rows are nearly the same if they have the same roles and, message by message
and in order,

- every number and sign is the same: digits, operators, brackets, the cells of a grid, words that
  hold a digit. Only marks that end, quote or shorten a word do not count (`Yes.`, `"yes"`,
  `don't`);
- the words are the same, bar slips. A slip is one letter too few, too many or another, or two
  swapped, in a word of at least `WORD` letters; and one of the two spellings stands nowhere else
  in either row. A message may have one per `SLIP` letters, so short ones, most answers among them,
  must agree word for word;
- before the answer, one of the rows, always the same one, may say more: runs of at least
  `SENTENCE` letters, together at most `EXTRA` of the other row.

Web pages are compared by Jaccard similarity alone. Training rows often come from a template, and
of those with the same answer many agree in nine of ten n-grams and yet ask different things:
`2 + 3` and `2 + 4`, `who was rich` and `who was poor`, `Amy` and `Ann`. They differ in a number or
a whole word. For the same reason a single word more (`not`) makes another row, and the same change
twice is no slip: it is a name. In scripts without capitals (Chinese, Thai, Arabic, Hindi, Korean)
a letter is too much of a word to be a slip; they are compared letter by letter, whatever the
spaces. Where in doubt rows stay: one too many does less harm than a template's rows lost.

MinHash and locality-sensitive hashing find the earlier rows to compare with. What must agree is
part of the hash, so rows with other numbers or another short answer never meet.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from rensa import RMinHash

from objectives.lookup import Keys, Lookup, digest

WORD = 4
"""Letters of a word that may have a slip, at least: many shorter ones are one letter from another
(`not`, `now`; `can`, `cant`)."""

SLIP = 60
"""Letters of a message, some twelve words, for each slip that it may have."""

SENTENCE = 20
"""Letters of a run of words that one row has more than the other, at least."""

EXTRA = 0.2
"""Letters that one row may have more than the other, as a share of the other's."""

GRAM = 6
"""Bytes of a shingle: six Latin letters, two Chinese ones."""

BANDS, DEPTH = 8, 5
"""Rows meet if they agree in one of 8 bands of 5 minima: 98 in 100 of those that share 83 % of
their shingles (as where one has a fifth more), 22 in 100 at half, 1 in 400 at a fifth."""

MEET = 4
"""Earlier rows that a row is compared with per band, so that thousands alike cost no more."""

Said = tuple[list[str], ...]
"""The words, numbers and signs of each message."""

_AFTER = r"(?<=[^\s!-/:-@\[-`{-~].)"  # a letter, digit or mark, then what was just matched
_CLOSES = r"[\"'”’»」』]"
_BREAK = r"(?=\s|$|[^\x00-\x7f])"
_SHORT = re.compile(r"['’](?<=[^\W\d_].)(?=[^\W\d_])")
_ENDS = re.compile(
    rf"[.,;:?。、]{_AFTER}{_CLOSES}?{_BREAK}"
    rf"|!(?<=[^\W\d_]{{2}}!){_CLOSES}?{_BREAK}"  # not the factorials 5! and n!
    rf"|{_CLOSES}{_AFTER}[.,;:?!。、]?{_BREAK}"
    r"|[\"'“‘«„「『](?:(?<=\s.)|(?<=^.))(?=[^\W_])"
)


class _Signs(dict[int, str]):
    """Code point -> what it becomes in split text, filled as signs are met."""

    def __missing__(self, code: int) -> str:
        sign, kind = chr(code), unicodedata.category(chr(code))
        if kind == "Cf" or 0xFE00 <= code <= 0xFE0F:
            found = ""  # nothing that is seen
        elif kind in {"Ll", "Lm", "Mn", "Nd"}:
            found = sign
        else:
            found = " " if kind[0] == "Z" or kind == "Cc" else f" {sign} "
        self[code] = found
        return found


_SIGNS = _Signs()


def split(texts: Sequence[str]) -> Said:
    """The words, numbers and signs of messages that are NFKC and without capitals already."""
    return tuple(_ENDS.sub(" ", _SHORT.sub("", text)).translate(_SIGNS).split() for text in texts)


def alike(one: Said, other: Said) -> bool:
    """Whether two rows with the same roles are nearly the same, by the rule at the top."""
    short, long = sorted((one, other), key=lambda said: _letters(chain(*said)))
    slips: list[tuple[str, str]] = []
    added = 0
    for number, (less, more) in enumerate(zip(short, long, strict=True), 1):
        found = _compare(less, more, slips)
        if found is None or (found and number == len(short)):
            return False
        added += found
    if added > EXTRA * _letters(chain(*short)):
        return False
    counts = Counter(chain(*short, *long)) if slips else Counter()
    return all(1 in (counts[one], counts[other]) for one, other in slips)


def _compare(less: list[str], more: list[str], slips: list[tuple[str, str]]) -> int | None:
    """Letters of the runs that `more` has besides; None if more is different. Appends slips."""
    at = added = 0
    before = len(slips)
    for place in range(len(less) + 1):
        word, ahead = less[place : place + 1], less[place : place + 3]
        if word == more[at : at + 1]:
            at += 1
            continue
        if word and at < len(more) and _slip(word[0], more[at]):
            slips.append((word[0], more[at]))
            at += 1
            continue
        ends = range(at + 1, len(more) - len(less) + place + 1)
        end = next((end for end in ends if more[end : end + 3] == ahead), at)
        run = more[at:end]
        if _letters(run) < SENTENCE or any(map(_fixed, run)):
            return None
        added += _letters(run)
        at = end + 1
    new = len(slips) - before
    return None if new and new > min(_letters(less), _letters(more)) // SLIP else added


def _letters(words: Iterable[str]) -> int:
    return sum(map(len, words))


def _fixed(word: str) -> bool:
    """Whether it is a number, a sign, or a word with one."""
    return not word.isalpha() and any(unicodedata.category(sign)[0] not in "LM" for sign in word)


def _slip(one: str, other: str) -> bool:
    if min(len(one), len(other)) < WORD or not (one.isalpha() and other.isalpha()):
        return False
    pairs = zip(one, other, strict=False)
    start = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
    one, other = one[start:], other[start:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])


class Nearly:
    """Rows so far, to find those again that say nearly the same.

    A row takes some 0.5 kB: its words, compressed, and `BANDS` entries of 12 bytes.
    """

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._bands = [Lookup() for _ in range(BANDS)]

    def find(self, rows: Sequence[tuple[str, Said]]) -> list[int | None]:
        """For each row the number of the earlier row that says nearly the same.

        Rows are numbered from 0 over all calls. One for which an earlier row is found is not
        itself compared with later rows.

        Args:
            rows: the roles in one text, and `split` of the messages.
        """
        if not rows:
            return []
        texts = [_text(said) for _, said in rows]
        keys = _sketch(texts, [_key(*row) for row in rows])
        known = [band.find(keys[:, b], MEET) for b, band in enumerate(self._bands)]
        fresh: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        found: list[int | None] = []
        kept: list[int] = []
        first = len(self._texts)
        for index, (own, (_, said)) in enumerate(zip(keys.tolist(), rows, strict=True)):
            meets: dict[int, None] = {}
            for band in enumerate(own):
                met = known[band[0]].get(index, [])
                meets |= dict.fromkeys((met + fresh.get(band, []))[:MEET])
            match = next((n for n in sorted(meets) if alike(self._said(n), said)), None)
            found.append(match)
            self._texts.append(zlib.compress(texts[index], 1) if match is None else b"")
            if match is None:
                kept.append(index)
                for band in enumerate(own):
                    fresh[band].append(first + index)
        for b, lookup in enumerate(self._bands):
            lookup.add(keys[kept, b], np.array(kept, np.int32) + np.int32(first))
        return found

    def _said(self, number: int) -> Said:
        text = zlib.decompress(self._texts[number]).decode("utf-8", "surrogatepass")
        return tuple(message.split(" ") if message else [] for message in text.split("\n"))


def _text(said: Said) -> bytes:
    return "\n".join(map(" ".join, said)).encode("utf-8", "surrogatepass")


def _sketch(texts: Sequence[bytes], keys: Sequence[int]) -> Keys:
    """[texts, BANDS]: equal where the keys are, and texts agree in all of a band's minima."""
    sizes = np.array([len(text) for text in texts])
    flat = b"".join(text + bytes(8) for text in texts)
    windows = np.ndarray(len(flat) - 7, "<u8", flat, strides=(1,))
    inside = np.ones(len(windows), bool)  # a text's own bytes; seven of its zeros end in the next
    inside[(np.cumsum(sizes + 8)[:-1, None] - np.arange(1, 8)).ravel()] = False
    shingles = _mix(windows[inside] & np.uint64(256**GRAM - 1))
    offsets = np.concatenate(([0], np.cumsum(sizes + 1))).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles, offsets, BANDS * DEPTH, 0)
    minima = np.array(matrix.to_rows(), np.uint64).reshape(len(texts), BANDS, DEPTH)
    bands = np.repeat(np.array(keys, np.uint64)[:, None], BANDS, axis=1)
    for place in range(DEPTH):
        bands = _mix(bands ^ minima[:, :, place])
    return bands


def _mix(hashes: Keys) -> Keys:
    hashes = hashes * np.uint64(0x9E3779B97F4A7C15)
    return hashes ^ (hashes >> np.uint64(29))


def _key(roles: str, said: Said) -> int:
    """A hash of what must agree: the roles, numbers and signs, and the answer if it is short."""
    answer = said[-1] if _letters(said[-1]) < SLIP else []
    parts = [roles, *(" ".join(filter(_fixed, words)) for words in said), " ".join(answer)]
    return digest("\n".join(parts))
