"""What must not be handed on: this machine's paths and the user's secrets."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from search.errors import BadInput

SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|_KEY)$")
"""Names of environment variables whose values are secrets."""
SHORTEST = 12
"""Characters of a secret: shorter values are words that any file may hold."""
HUB_TOKEN = rb"hf_[A-Za-z0-9]{30,}\b"
ROWS = frozenset({".csv", ".jsonl", ".parquet"})
"""Suffixes of the files that a form has rows in."""


def check(folder: Path, where: Path) -> None:
    """See that no file of an export holds a path of this machine or a secret.

    Rows may hold the paths and tokens that the recipe's own rows and items mention: those are data,
    as where a container's home is /root. They may not hold what the environment keeps secret. Of a
    safetensors file its header is read: numbers hold no text.

    Args:
        folder: what was written; its files' names are checked, too.
        where: the recipe's folder, whose own path is one of those.

    Raises:
        BadInput: a file does; it is named, and what it holds, but not the secret.
    """
    paths = {word.encode(): what for word, what in paths_of(where)}
    secrets = {word.encode(): what for word, what in secrets_of()}
    # a path is meant, not the end of a longer one or the beginning of a longer name
    path = rb"(?:" + any_of(paths) + rb")(?![\w-])[\w./-]*"
    secret = rb"(?:" + any_of(secrets) + rb")(?![\w-])|" if secrets else b""
    strict = re.compile(rb"(?<![\w.-])(?:" + secret + path + rb")|\b" + HUB_TOKEN)
    loose = re.compile(path + rb"|" + HUB_TOKEN)  # within JSON, \n may stand before
    own: set[bytes] | None = None
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = file.relative_to(folder)
        held = found_in(contents(file), strict)
        if held and file.suffix in ROWS:
            if own is None:
                data = sorted((where / "data").glob("*.jsonl"))
                own = found_in(chain.from_iterable(map(contents, data)), loose)
            held -= own - set(secrets)
        for text in sorted(held | found_in([str(name).encode()], strict)):
            if text in secrets:
                what = secrets[text]
            elif text.startswith(b"hf_"):
                what = "a token of the Hugging Face hub"
            else:
                what = next(paths[word] for word in longest_first(paths) if text.startswith(word))
            raise BadInput(f"{name} holds {what}; leave it out")


def paths_of(where: Path) -> Iterator[tuple[str, str]]:
    """Paths that no file may hold: (text, what that is)."""
    for path in (where.absolute(), where.resolve()):
        yield str(path), "the path of the recipe's folder on this machine"
    home = Path.home()
    if len(home.parts) > 1:  # of a user without one it is /
        yield str(home), "the path of your home folder"


def secrets_of() -> Iterator[tuple[str, str]]:
    """The same of what the environment keeps secret."""
    for name, value in os.environ.items():
        if SECRET.search(name) and len(value) >= SHORTEST:
            yield value, f"the value of ${name}"


def longest_first(words: Iterable[bytes]) -> list[bytes]:
    """Words, those that begin with another before that."""
    return sorted(words, key=len, reverse=True)


def any_of(words: Iterable[bytes]) -> bytes:
    """A pattern that finds any of some words, the longest that there is."""
    return b"|".join(map(re.escape, longest_first(words)))


def found_in(texts: Iterable[bytes | mmap.mmap], pattern: re.Pattern[bytes]) -> set[bytes]:
    """All that a pattern finds."""
    return {found[0] for text in texts for found in pattern.finditer(text)}


def contents(file: Path) -> Iterator[bytes | mmap.mmap]:
    """What of a file can be text."""
    with file.open("rb") as opened:
        if file.suffix == ".safetensors":
            size = int.from_bytes(opened.read(8), "little")
            yield opened.read(min(size, 2**27))
        elif file.stat().st_size:
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text:
                yield text
