"""Reading sources: forms, errors with their line, held-back rows, generated rows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.generated import check_generator, generate
from objectives.rows import form_of, hold_back, prompt_key, read_jsonl, to_chat
from search.errors import BadInput
from studies.study import Generated

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"messages": CHAT}, "chat messages"),
        ({"prompt": "q", "completion": "a"}, "prompt/completion"),
        ({"instruction": "q", "output": "a"}, "instruction/output"),
        ({"question": "q", "answer": "a", "id": 7}, "question/answer"),
    ],
)
def test_known_forms_become_the_same_chat(
    fields: dict[str, Any], form: str, tmp_path: Path
) -> None:
    """Every recognised form ends as messages, and the form is told."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(fields) + "\n")
    assert read_jsonl(path) == [{"messages": CHAT}]
    assert form_of(path) == form


def test_an_instructions_input_follows_it() -> None:
    """The optional input is part of the question."""
    row = to_chat({"instruction": "add", "input": "1 2", "output": "3"}, "here")
    assert row["messages"][0]["content"] == "add\n\n1 2"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{broken", "broken JSON"),
        (b"[1, 2]", "expected a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"text": "x"}', "unknown form"),
        (b'{"prompt": "q", "completion": ""}', "empty"),
        (b'{"prompt": 1, "completion": "a"}', "must be text"),
        (b'{"messages": []}', "at least one message"),
        (b'{"messages": [{"role": "user", "content": "q"}]}', "last message"),
        (b'{"messages": [{"role": "robot", "content": "q"}]}', "role"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(line: bytes, says: str, tmp_path: Path) -> None:
    """The user learns which line of which file to mend."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps({"messages": CHAT}).encode() + b"\n" + line + b"\n")
    with pytest.raises(BadInput, match=says) as caught:
        read_jsonl(path)
    assert f"{path}, line 2" in str(caught.value)


def test_missing_unreadable_and_empty_files_are_bad_input(tmp_path: Path) -> None:
    """Each has its own words."""
    with pytest.raises(BadInput, match="No such file"):
        read_jsonl(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="Is a directory"):
        read_jsonl(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(BadInput, match="holds no row"):
        read_jsonl(tmp_path / "empty.jsonl")
    if os.geteuid() != 0:
        secret = tmp_path / "secret.jsonl"
        secret.write_text("{}")
        secret.chmod(0)
        with pytest.raises(BadInput, match="Permission denied"):
            read_jsonl(secret)


@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_bad_input(content: bytes) -> None:
    """No file content makes the reader fail in another way."""
    path = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    file = path / f"recipe-search-fuzz-{os.getpid()}.jsonl"
    file.write_bytes(content)
    try:
        assert read_jsonl(file)
    except BadInput:
        pass
    finally:
        file.unlink()


def test_held_back_rows_are_never_trained_on() -> None:
    """The same question stays on one side, whatever its spelling."""
    rows = [
        {"messages": [{"role": "user", "content": f"Q {n % 10}"}, CHAT[1]]} for n in range(40)
    ] + [{"messages": [{"role": "user", "content": "q   3"}, CHAT[1]]}]
    train, held = hold_back(rows, 3, seed=0)
    assert len(held) == 3
    assert not {prompt_key(r) for r in train} & {prompt_key(r) for r in held}
    assert len(train) + sum(prompt_key(r) in {prompt_key(h) for h in held} for r in rows) == 41


def test_at_most_a_third_is_held_back() -> None:
    """A small source keeps most of its rows for training."""
    rows = [{"messages": [{"role": "user", "content": str(n)}, CHAT[1]]} for n in range(9)]
    train, held = hold_back(rows, 100, seed=0)
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
