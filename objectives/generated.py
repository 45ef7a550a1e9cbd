"""Rows from reasoning-gym's seeded generators. Imports no torch."""

from __future__ import annotations

import difflib
import functools
import warnings
from typing import TYPE_CHECKING, Any

from search.errors import BadInput

if TYPE_CHECKING:
    from objectives.rows import Row
    from studies.study import Generated


@functools.cache
def _library() -> Any:
    """reasoning-gym, imported when it is asked for: that takes most of a second."""
    with warnings.catch_warnings():
        # of its needs cellpylib has `is "recursive"`, told wherever Python compiles it anew
        warnings.simplefilter("ignore", SyntaxWarning)
        import reasoning_gym.factory  # noqa: PLC0415
    return reasoning_gym


def generators() -> list[str]:
    """Names of all generators, sorted."""
    return sorted(_library().factory.DATASETS)


def check_generator(name: str) -> None:
    """Raise BadInput, naming close matches, if there is no such generator."""
    known = generators()
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "see reasoning-gym's list of datasets"
    raise BadInput(f"there is no task or generator named {name!r}; {hint}")


def generate(origin: Generated, count: int, seed: int, system: str | None) -> list[Row]:
    """`count` rows in chat form, the same for the same seed.

    Rows whose question was already made are left out, so fewer than `count` may come from a
    generator with few different questions.

    Raises:
        BadInput: unknown generator, or parameters it does not take.
    """
    check_generator(origin.generator)
    try:
        dataset = _library().create_dataset(
            origin.generator, size=2 * count, seed=seed, **origin.parameters
        )
    except (TypeError, ValueError, AssertionError) as error:
        raise BadInput(
            f"the generator {origin.generator!r} refuses its parameters "
            f"{dict(origin.parameters)}: {error}"
        ) from None
    rows: dict[str, Row] = {}
    for number in range(2 * count):
        made: dict[str, Any] = dataset[number]
        if made["answer"] is None:
            raise BadInput(
                f"the generator {origin.generator!r} has no single right answer, which exact match "
                "needs; choose another"
            )
        question, answer = str(made["question"]).strip(), str(made["answer"]).strip()
        if answer and question not in rows:
            start = [{"role": "system", "content": system}] if system else []
            rows[question] = {
                "messages": [
                    *start,
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
            }
        if len(rows) == count:
            break
    return list(rows.values())
