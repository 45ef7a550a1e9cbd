"""From token ids to text, token by token, and where a text ends. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from objectives.generator import Answer, Token

INCOMPLETE = "\ufffd"
"""What a tokenizer writes for bytes that are no whole character."""
BEFORE = 6
"""Tokens of the prompt that are looked at to tell how the text goes on after it."""


class Pieces:
    """The text of a growing list of tokens.

    A tokenizer may write a token otherwise after others than alone (with a space), and a character
    may take several tokens; so a few tokens are decoded together, and what they add is kept. The
    way is that of text-generation-inference and vLLM.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int] = ()) -> None:
        """Begin.

        Args:
            tokenizer: of transformers.
            before: tokens that the text goes on after; none: it stands by itself.
        """
        self._tokenizer = tokenizer
        self._ids = list(before[-BEFORE:])
        self._first = 0
        self._read = len(self._ids)

    def add(self, token: int) -> str:
        """The text that one more token adds: nothing while a character is incomplete."""
        self._ids.append(token)
        text = self._text(self._ids[self._first :])
        if text.endswith(INCOMPLETE):
            return ""
        return self._taken(text)

    def rest(self) -> str:
        """The text of what is still incomplete, when no more tokens come."""
        return self._taken(self._text(self._ids[self._first :]))

    def name(self, token: int) -> str:
        """The text of a token if it came next; its own name if it adds none."""
        text = self._text([*self._ids[self._first :], token])
        added = text[len(self._text(self._ids[self._first : self._read])) :]
        return added or str(self._tokenizer.convert_ids_to_tokens(token))

    def _taken(self, text: str) -> str:
        added = text[len(self._text(self._ids[self._first : self._read])) :]
        if added:  # else what comes next must still see what it goes on after
            self._first = self._read
        self._read = len(self._ids)
        return added

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def spans(
    offsets: Sequence[tuple[int, int]], text: str, first: int, end: int
) -> list[tuple[int, str]]:
    """The tokens of text[first:end], each with its part; the parts make up the whole.

    Args:
        offsets: for each token where it begins and ends in the text, as a tokenizer tells.
        text: all of it.
        first: where the wanted part begins.
        end: where it ends.

    Returns:
        (place of the token, its part). A character of several tokens is the first one's; what is
        between tokens is the later one's.
    """
    found: list[tuple[int, str]] = []
    done = first
    for place, (begin, stop) in enumerate(offsets):
        if stop <= begin or stop <= first:  # a token without text, or one before
            continue
        if begin >= end:
            break
        until = min(max(done, stop), end)
        found.append((place, text[done:until]))
        done = until
    if found and done < end:
        place, part = found.pop()
        found.append((place, part + text[done:end]))
    return found


def stop_at(text: str, stops: Sequence[str], looked: int = 0) -> int | None:
    """Where the first stop sequence begins in a text; None: there is none.

    Args:
        text: to be searched.
        stops: none empty.
        looked: characters at its beginning that were searched before.
    """
    longest = max(map(len, stops), default=0)
    begin = max(0, looked - longest + 1)
    places = [place for stop in stops if (place := text.find(stop, begin)) >= 0]
    return min(places, default=None)


def cut(tokens: Sequence[Token], length: int | None) -> Answer:
    """The first `length` characters (None: all): tokens after them go, the last one is cut."""
    kept: list[Token] = []
    text = ""
    for token in tokens:
        if length is not None and len(text) >= length:
            break
        part = token.text if length is None else token.text[: length - len(text)]
        kept.append(Token(text=part, logprob=token.logprob, candidates=token.candidates))
        text += part
    return Answer(text=text, tokens=tuple(kept))
