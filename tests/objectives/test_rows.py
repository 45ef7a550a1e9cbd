"""Held-back rows and generated rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from objectives.generated import check_generator, generate
from objectives.rows import Row, hold_back, iterate_jsonl, prompt_key, write_jsonl
from search.errors import BadInput
from studies.study import Generated

ANSWER = {"role": "assistant", "content": "a"}


def held_back(rows: list[Row], count: int, file: Path) -> tuple[list[Row], list[Row]]:
    """(rows left in the file, rows taken out of it)."""
    assert write_jsonl(file, rows) == len(rows)
    held = hold_back(file, count, seed=0)
    return list(iterate_jsonl(file)), held


def test_held_back_rows_are_never_trained_on(tmp_path: Path) -> None:
    """The same question stays on one side, whatever its spelling."""
    rows = [
        {"messages": [{"role": "user", "content": f"Q {n % 10}"}, ANSWER]} for n in range(40)
    ] + [{"messages": [{"role": "user", "content": "q   3"}, ANSWER]}]
    train, held = held_back(rows, 3, tmp_path / "rows.jsonl")
    assert len(held) == 3
    assert not {prompt_key(r) for r in train} & {prompt_key(r) for r in held}
    assert len(train) + sum(prompt_key(r) in {prompt_key(h) for h in held} for r in rows) == 41


def test_at_most_a_third_is_held_back(tmp_path: Path) -> None:
    """A small source keeps most of its rows for training."""
    rows = [{"messages": [{"role": "user", "content": str(n)}, ANSWER]} for n in range(9)]
    train, held = held_back(rows, 100, tmp_path / "rows.jsonl")
    assert (len(train), len(held)) == (6, 3)


def test_generated_rows_depend_on_the_seed_alone() -> None:
    """The same seed gives the same rows, another seed others, and none twice."""
    origin = Generated(generator="chain_sum", parameters={"max_terms": 2})
    first = generate(origin, 30, 1, "Be brief.")
    assert first == generate(origin, 30, 1, "Be brief.")
    assert first != generate(origin, 30, 2, "Be brief.")
    assert len({prompt_key(row) for row in first}) == 30
    assert first[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_an_unknown_generator_is_named_with_close_matches() -> None:
    """A typing mistake is answered with what was meant."""
    with pytest.raises(BadInput, match="did you mean chain_sum"):
        check_generator("chain_sun")


def test_parameters_that_a_generator_refuses_are_bad_input() -> None:
    """The generator's own words are passed on."""
    with pytest.raises(BadInput, match="refuses its parameters"):
        generate(Generated(generator="chain_sum", parameters={"colour": 1}), 3, 0, None)


def test_generators_load_in_silence_where_python_compiles_them_anew(tmp_path: Path) -> None:
    """As in many a container, with PYTHONDONTWRITEBYTECODE: a need of theirs has bad syntax."""
    call = "from objectives.generated import generators; print('chain_sum' in generators())"
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", call],
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
