"""What must not be handed on: this machine's paths and the user's secrets."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from search.errors import BadInput

SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|_KEY)$")
"""Names of environment variables whose values are secrets."""
SHORTEST = 12
"""Characters of a secret: shorter values are words that any file may hold."""
HUB_TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{30,}\b")


def check(folder: Path, where: Path) -> None:
    """See that no file of an export holds a path of this machine or a secret.

    Of a safetensors file its header is read: numbers hold no text.

    Args:
        folder: what was written; its files' names are checked, too.
        where: the recipe's folder, whose own path is one of those.

    Raises:
        BadInput: a file does; it is named, and what it holds, but not the secret.
    """
    told = {word.encode(): what for word, what in forbidden(where)}
    # a path is meant, not the end of a longer one or the beginning of a longer name
    anywhere = b"|".join(re.escape(word) for word in sorted(told, key=len, reverse=True))
    pattern = re.compile(rb"(?<![\w.-])(" + anywhere + rb")(?![\w-])")
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = file.relative_to(folder)
        for text in chain([str(name).encode()], contents(file)):
            if HUB_TOKEN.search(text):
                raise BadInput(f"{name} holds a token of the Hugging Face hub; leave it out")
            if found := pattern.search(text):
                raise BadInput(f"{name} holds {told[found[1]]}; leave it out")


def forbidden(where: Path) -> Iterator[tuple[str, str]]:
    """What no file may hold: (text, what that is)."""
    for path in (where.absolute(), where.resolve()):
        yield str(path), "the path of the recipe's folder on this machine"
    home = Path.home()
    if len(home.parts) > 1:  # of a user without one it is /
        yield str(home), "the path of your home folder"
    for name, value in os.environ.items():
        if SECRET.search(name) and len(value) >= SHORTEST:
            yield value, f"the value of ${name}"


def contents(file: Path) -> Iterator[bytes | mmap.mmap]:
    """What of a file can be text."""
    with file.open("rb") as opened:
        if file.suffix == ".safetensors":
            size = int.from_bytes(opened.read(8), "little")
            yield opened.read(min(size, 2**27))
        elif file.stat().st_size:
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text:
                yield text
