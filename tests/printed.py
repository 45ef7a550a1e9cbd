"""docs/extending.md: its files, and the lines that it gives for mistakes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from search.own_file import load

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = ("decay.py", "bigrams.py", "mlx_lora.py")
CODE = dict(zip(FILES, re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.M), strict=True))


def printed(name: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """A file of the page in a folder, perhaps with something in it replaced."""
    code = CODE[name]
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    file = folder / name
    file.write_text(code, encoding="utf-8")
    return file


def module(folder: Path) -> Any:
    """The page's bigrams.py, imported."""
    return load(printed("bigrams.py", folder), "study")


def told(error: str) -> None:
    """What went wrong is one line, part of which the page gives."""
    assert error.count("\n") <= 1
    lines = re.findall(r"^\| [^|]+ \| `([^`]+)` \|$", TEXT.partition("## Common mistakes")[2], re.M)
    assert any(line in error for line in lines), error
