"""What the study's own axes do in training: `data/axes.py`, which travels with job and recipe.

It holds the text of each axis's function (`spaces.Axis.apply`), so that the training process, and
whoever trains the recipe again, needs no file of the user's. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search import own_file
from search.errors import BadInput
from spaces import Axis, Recipe
from spaces.axis import Apply, source_of

FILE = "axes.py"
"""Within a job's data, and a recipe's."""
HEAD = '''"""What the study's own axes do: functions of a trial's optimizer and the axis's value."""

from __future__ import annotations

'''


def text_of(axes: Sequence[Axis]) -> str:
    """The content of axes.py; empty if no axis has a function.

    Raises:
        BadInput: two functions have one name, or one holds the path of the user's home folder.
    """
    texts: dict[str, str] = {}
    applied = {axis.name: axis.apply.__name__ for axis in axes if axis.apply}
    for axis in axes:
        if axis.apply is None:
            continue
        text = source_of(axis)
        if str(Path.home()) in text and len(Path.home().parts) > 1:
            raise BadInput(
                f"axis {axis.name}: its function names your home folder; its text travels with the "
                "recipe, so leave that out"
            )
        if texts.setdefault(applied[axis.name], text) != text:
            raise BadInput(f"axis {axis.name}: another axis's function is named as its own is")
    if not applied:
        return ""
    pairs = "".join(f'    "{name}": {function},\n' for name, function in applied.items())
    return HEAD + "\n" + "\n\n".join(texts.values()) + f"\n\nAPPLY = {{\n{pairs}}}\n"


def write(axes: Sequence[Axis], data: Path) -> Path | None:
    """Write axes.py if an axis has a function, and see that it can be read alone.

    Raises:
        BadInput: it cannot be.
    """
    text = text_of(axes)
    if not text:
        return None
    file = data / FILE
    file.write_text(text, encoding="utf-8")
    load(data)
    return file


def load(data: Path) -> dict[str, Apply]:
    """What the axes do, by name; nothing if there is no axes.py.

    Raises:
        BadInput: the file cannot be used.
    """
    file = data / FILE
    if not file.is_file():
        return {}
    with own_file.blamed("the functions of the study's own axes", file):
        found: dict[str, Apply] = dict(own_file.load(file, "own").APPLY)
    return found


def apply(known: Mapping[str, Apply], recipe: Recipe, optimizer: Any) -> None:
    """Set what a recipe's own axes mean.

    Raises:
        BadInput: an axis has no function, or its function fails.
    """
    for name, value in recipe.extra.items():
        if name not in known:
            raise BadInput(f"the recipe has {name}, an axis of which nothing says what it does")
        with own_file.blamed(f"axis {name}, {known[name].__name__}(optimizer, {value!r})"):
            known[name](optimizer, value)


def numbers(optimizer: Any) -> dict[str, Any]:
    """AdamW's numbers, as recipe.json has them."""
    group = optimizer.param_groups[0]
    return {
        "betas": [float(beta) for beta in group["betas"]],
        "eps": float(group["eps"]),
        "weight_decay": float(group["weight_decay"]),
    }
